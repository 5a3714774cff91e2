#!/usr/bin/env bash
# What it costs to build the library, beside octocrab, in one run on an idle
# machine: for one tag, the default and every tag.
#
#   ./scripts/build-cost.sh [octocrab's version]
#
# Prints a Markdown table. A fresh build has everything in it, build
# dependencies and build script included, but no download; "the crate alone" is
# what is rebuilt when only the crate itself changed. The median of three for
# the crate alone. Debug builds, without incremental compilation.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
octocrab=${1:-0.54}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never

now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.1f", b - a }'; }
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }

# A program that only depends on a crate.
consumer() { # name, dependency
    mkdir -p "$work/$1/src"
    printf 'fn main() {}\n' > "$work/$1/src/main.rs"
    cat > "$work/$1/Cargo.toml" <<TOML
[package]
name = "consumer"
version = "0.0.0"
edition = "2024"

[dependencies]
$2

[workspace]
TOML
    (cd "$work/$1" && cargo fetch --quiet)
}

fresh() { # name: seconds of a fresh build
    local started
    started=$(now)
    (cd "$work/$1" && cargo build --quiet --offline --target-dir "$work/$1/target")
    since "$started"
}

# Seconds of the crate alone: `before` makes it stale.
alone() { # name, before
    local started
    for _ in 1 2 3; do
        (cd "$work/$1" && eval "$2")
        started=$(now)
        (cd "$work/$1" && cargo build --quiet --offline --target-dir "$work/$1/target")
        since "$started"
        echo
    done | median
}

size() { # name, crate: MB of the .rlib
    find "$work/$1/target/debug/deps" -name "lib$2-*.rlib" -printf '%s\n' | awk '{ printf "%.1f", $1 / 1e6 }'
}

consumer octocrab "octocrab = \"$octocrab\""
peer_fresh=$(fresh octocrab)
peer_alone=$(alone octocrab 'cargo clean --quiet --offline -p octocrab --target-dir target')
version=$(cd "$work/octocrab" && cargo pkgid --offline octocrab | sed 's/.*[@#]//')

printf '| build | fresh, s | of octocrab | crate alone, s | of octocrab | build script, s | generated lines | types | .rlib, MB |\n'
printf '|---|---:|---:|---:|---:|---:|---:|---:|---:|\n'
printf '| octocrab %s | %s | 1.00 | %s | 1.00 | | | | %s |\n' \
    "$version" "$peer_fresh" "$peer_alone" "$(size octocrab octocrab)"

for build in 'issues:default-features = false, features = ["rustls", "issues"]' 'default:' 'full:features = ["full"]'; do
    name=${build%%:*}
    features=${build#*:}
    consumer "$name" "octowire = { path = \"$root\"${features:+, $features} }"
    whole=$(fresh "$name")
    own=$(alone "$name" "touch '$root/src/lib.rs'")
    out=$(find "$work/$name/target/debug/build" -path '*octowire-*/out/api.rs' | head -n 1)
    script=$(alone "$name" "touch '$root/openapi/overlay.yaml'")
    script=$(awk -v a="$script" -v b="$own" 'BEGIN { printf "%.1f", a - b }')
    types=$(awk '/^pub mod types/ { inside = 1 } /^pub mod/ && !/types/ { inside = 0 }
        inside && /^(pub struct|wire::(open_enum|closed_enum|read_union|sent_union))/ { n++ } END { print n }' "$out")
    printf '| `%s` | %s | %s | %s | %s | %s | %s | %s | %s |\n' "$name" \
        "$whole" "$(ratio "$whole" "$peer_fresh")" "$own" "$(ratio "$own" "$peer_alone")" \
        "$script" "$(wc -l < "$out" | tr -d ' ')" "$types" "$(size "$name" octowire)"
    rm -rf "$work/$name/target"
done
