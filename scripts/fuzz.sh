#!/usr/bin/env bash
# Fuzzes every parser of untrusted bytes, each target for some seconds (60 by default), with overflow checks
# and debug assertions. Installs missing tools: a nightly toolchain and cargo-fuzz.
#
#   ./scripts/fuzz.sh [seconds] [target ...]
#
# FUZZ_RUNS bounds the inputs of a target as well. Inputs that reach new code are added to fuzz/corpus/;
# minimize it with `FUZZ_MINIMIZE=1 ./scripts/fuzz.sh 0`. A failing input is in fuzz/artifacts/, and belongs
# into the corpus together with the fix: the normal tests replay it.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds="${1:-60}"
shift || true
export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-never}"
# Sanitizers find memory errors, and the crate has no unsafe code.
sanitizer="${FUZZ_SANITIZER:-none}"

cargo +nightly --version >/dev/null 2>&1 || rustup toolchain install nightly --profile minimal
cargo fuzz --version >/dev/null 2>&1 || cargo install cargo-fuzz --locked --quiet

targets=("$@")
# shellcheck disable=SC2207 # names have no spaces
[ ${#targets[@]} != 0 ] || targets=($(cargo +nightly fuzz list))
cargo +nightly fuzz build --sanitizer "$sanitizer"

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
failed=0
for target in "${targets[@]}"; do
    mkdir -p "$work/$target" "fuzz/corpus/$target"
    if [ "$seconds" != 0 ]; then
        # New inputs go into the work folder first: most of them are not worth keeping.
        log="$work/$target.log"
        if cargo +nightly fuzz run --sanitizer "$sanitizer" "$target" "$work/$target" "fuzz/corpus/$target" -- \
            -max_total_time="$seconds" -runs="${FUZZ_RUNS:--1}" -timeout=10 -rss_limit_mb=2048 -max_len=4096 \
            -print_final_stats=1 >"$log" 2>&1; then
            printf '%-16s %12s inputs, no failure\n' "$target" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
        else
            printf '%-16s FAILED\n' "$target"
            tail -n 40 "$log"
            failed=1
        fi
    fi
    if [ -n "${FUZZ_MINIMIZE:-}" ]; then
        mkdir "$work/$target.min"
        cargo +nightly fuzz run --sanitizer "$sanitizer" "$target" "$work/$target.min" "fuzz/corpus/$target" "$work/$target" -- \
            -set_cover_merge=1 -max_len=1024 >/dev/null 2>&1
        # The smallest ones, up to 50 and 12 KB per target.
        size=0
        # shellcheck disable=SC2012 # names are digests
        while read -r input; do
            size=$((size + $(wc -c <"$work/$target.min/$input")))
            [ "$size" -le 12000 ] || break
            cp "$work/$target.min/$input" "fuzz/corpus/$target/"
        done < <(ls -Sr "$work/$target.min" | head -n 50)
    fi
done
exit "$failed"
