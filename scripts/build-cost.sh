#!/usr/bin/env bash
# Measures the cost of building the library, compared with octocrab, in one run on an idle machine: for one
# tag, the default and every tag.
#
#   ./scripts/build-cost.sh [octocrab's version]
#
# Prints a Markdown table. A fresh build includes build dependencies and the build script, but no download.
# "The crate alone" is the rebuild after a change of only the crate itself. The build script runs separately,
# as Cargo runs it. The last two are the median of three runs. Debug builds, without incremental compilation.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
octocrab=${1:-0.54}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never

# (macOS's date has no fractions of a second.)
now() { perl -MTime::HiRes=time -e 'printf "%.3f", time'; }
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
    find "$work/$1/target/debug/deps" -name "lib$2-*.rlib" -exec cat {} + | wc -c | awk '{ printf "%.1f", $1 / 1e6 }'
}

# Seconds of octowire's build script, run as Cargo ran it in `name`.
build_script() { # name
    local started messages=$work/$1/messages script features feature
    # A build that is fresh still prints the path of its program, and its environment.
    (cd "$work/$1" && cargo build --quiet --offline --target-dir "$work/$1/target" --message-format json >"$messages")
    script=$(sed -n '/"name":"build-script-build"/s/.*"filenames":\["\([^"]*\/octowire-[0-9a-f]*\/build-script-build\)".*/\1/p' "$messages")
    features=$(sed -n '/"name":"octowire"/s/.*"features":\[\([^]]*\)\].*/\1/p' "$messages" | tr -d '"' | tr ',' ' ')
    mkdir -p "$work/$1/out"
    (
        export CARGO_MANIFEST_DIR="$root" OUT_DIR="$work/$1/out"
        for feature in $features; do
            export "CARGO_FEATURE_$(printf '%s' "$feature" | tr 'a-z-' 'A-Z_')=1"
        done
        for _ in 1 2 3; do
            started=$(now)
            "$script" >/dev/null
            since "$started"
            echo
        done
    ) | median
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
    script=$(build_script "$name")
    types=$(awk '/^pub mod types/ { inside = 1 } /^pub mod/ && !/types/ { inside = 0 }
        inside && /^(pub struct|wire::(open_enum|closed_enum|read_union|sent_union))/ { n++ } END { print n }' "$out")
    # shellcheck disable=SC2016 # Markdown's backticks
    printf '| `%s` | %s | %s | %s | %s | %s | %s | %s | %s |\n' "$name" \
        "$whole" "$(ratio "$whole" "$peer_fresh")" "$own" "$(ratio "$own" "$peer_alone")" \
        "$script" "$(wc -l < "$out" | tr -d ' ')" "$types" "$(size "$name" octowire)"
    rm -rf "$work/$name/target"
done
