#!/usr/bin/env bash
# Measures the cost of building the library, compared with octocrab, in one run on an idle machine: for the first
# run of the quickstart, one tag, the default and every tag.
#
#   ./scripts/build-cost.sh [--write] [octocrab's version]
#
# Prints a section of Markdown: the date and the machine, and a table. With --write, it replaces the section between
# the marks in docs/guide/cost.md as well.
#
# A fresh build includes build dependencies and the build script, but no download. The first run is that of the
# README's command, in the workspace and by its profile. "The crate alone" is the rebuild after a change of only the
# crate itself. The build script runs separately, as Cargo runs it. The type check is that of a program with one call,
# after a change of that call. The last three are the median of three runs. Debug builds; only the first run and the
# type check are incremental, as they are for users.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
page=docs/guide/cost.md
write=
if [ "${1:-}" = --write ]; then
    write=1
    shift
fi
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

# Seconds of the type check of a program with one call, after a change of that call.
type_check() { # name
    local started
    cat > "$work/$1/src/main.rs" <<'RUST'
fn main() {
    let _ = async {
        let github = octowire::Client::builder().build()?;
        let issue = github.issues().get().owner("octocat").repo("hello").issue_number(1);
        println!("{}", issue.send().await?.title);
        Ok::<(), octowire::Error>(())
    };
}
RUST
    (cd "$work/$1" && CARGO_INCREMENTAL=1 cargo check --quiet --offline --target-dir "$work/$1/check") || exit 1
    for number in 2 3 4; do
        sed -i.old "s/issue_number([0-9]*)/issue_number($number)/" "$work/$1/src/main.rs"
        started=$(now)
        (cd "$work/$1" && CARGO_INCREMENTAL=1 cargo check --quiet --offline --target-dir "$work/$1/check") || exit 1
        awk -v a="$started" -v b="$(now)" 'BEGIN { printf "%.2f\n", b - a }'
    done | median || exit 1
    rm -rf "$work/$1/check"
}

fresh() { # name: seconds of a fresh build
    local started
    started=$(now)
    (cd "$work/$1" && cargo build --quiet --offline --target-dir "$work/$1/target") || exit 1
    since "$started"
}

# Seconds of what a clone compiles for the README's first command. Incremental, as it is for its user.
first_run() {
    local started
    cargo fetch --quiet --locked
    started=$(now)
    CARGO_INCREMENTAL=1 cargo build --quiet --locked --offline --package octowire-examples --example quickstart \
        --target-dir "$work/first-run" || exit 1
    since "$started"
    rm -rf "$work/first-run"
}

# Seconds of the crate alone: `before` makes it stale.
alone() { # name, before
    local started
    for _ in 1 2 3; do
        (cd "$work/$1" && eval "$2")
        started=$(now)
        (cd "$work/$1" && cargo build --quiet --offline --target-dir "$work/$1/target") || exit 1
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

# The machine that the times belong to.
machine() {
    case $(uname -s) in
    Darwin) printf '%s cores of an %s' "$(sysctl -n hw.ncpu)" "$(sysctl -n machdep.cpu.brand_string)" ;;
    *) printf '%s cores of an %s' "$(nproc)" "$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)" ;;
    esac
}

# The section of the page.
section() {
    consumer octocrab "octocrab = \"$octocrab\""
    peer_fresh=$(fresh octocrab)
    peer_alone=$(alone octocrab 'cargo clean --quiet --offline -p octocrab --target-dir target')
    version=$(cd "$work/octocrab" && cargo pkgid --offline octocrab | sed 's/.*[@#]//')

    printf 'Debug builds on %s with rustc %s, beside octocrab in the same run, measured on %s.\n\n' \
        "$(machine)" "$(rustc --version | cut -d ' ' -f 2)" "$(LC_ALL=C date '+%e %B %Y' | sed 's/^ *//')"
    printf '| build | fresh, s | of octocrab | crate alone, s | of octocrab | build script, s | type check, s | generated lines | types | .rlib, MB |\n'
    printf '|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n'
    printf '| octocrab %s | %s | 1.00 | %s | 1.00 | | | | | %s |\n' \
        "$version" "$peer_fresh" "$peer_alone" "$(size octocrab octocrab)"
    whole=$(first_run)
    printf '| first run | %s | %s | | | | | | | |\n' "$whole" "$(ratio "$whole" "$peer_fresh")"

    for build in 'issues:default-features = false, features = ["rustls", "issues"]' 'default:' 'full:features = ["full"]'; do
        name=${build%%:*}
        features=${build#*:}
        consumer "$name" "octowire = { path = \"$root\"${features:+, $features} }"
        whole=$(fresh "$name")
        own=$(alone "$name" "touch '$root/src/lib.rs'")
        out=$(find "$work/$name/target/debug/build" -path '*octowire-*/out/api.rs' | head -n 1)
        script=$(build_script "$name")
        checked=$(type_check "$name")
        types=$(awk '/^pub mod types/ { inside = 1 } /^pub mod/ && !/types/ { inside = 0 }
            inside && /^(pub struct|codec::(open_enum|closed_enum|read_union|sent_union))/ { n++ } END { print n }' "$out")
        # shellcheck disable=SC2016 # Markdown's backticks
        printf '| `%s` | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n' "$name" \
            "$whole" "$(ratio "$whole" "$peer_fresh")" "$own" "$(ratio "$own" "$peer_alone")" \
            "$script" "$checked" "$(wc -l < "$out" | tr -d ' ')" "$types" "$(size "$name" octowire)"
        rm -rf "$work/$name/target"
        case $name in
        default) default_check=$checked ;;
        full) full_check=$checked ;;
        esac
    done
    printf '\nA type check with `full` takes %s of one with the default features.\n' "$(ratio "$full_check" "$default_check")"
}

section | tee "$work/section.md"
if [ -n "$write" ]; then
    awk -v section="$work/section.md" '
        /^<!-- end of build-cost -->$/ { inside = 0; print "" }
        !inside { print }
        /^<!-- build-cost -->$/ { inside = 1; print ""; while ((getline line < section) > 0) print line }
    ' "$page" > "$work/page.md"
    cat "$work/page.md" > "$page"
fi
