#!/usr/bin/env bash
# Checks that each example compiles with the features that its command names, and with no other, and that the programs
# with octocrab compile.
#
#   ./scripts/check-examples.sh                    all of them
#   ./scripts/check-examples.sh progress script    these examples
#
# scripts/test.sh compiles all examples together, where each has the features of the others as well.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -gt 0 ]; then
    examples=("$@")
else
    # (macOS's bash has no mapfile.)
    examples=()
    while read -r example; do examples+=("$example"); done < <(
        sed -n '/^\[\[example\]\]/,$s/^name = "\(.*\)"$/\1/p' examples/Cargo.toml
    )
fi
failed=()
for example in "${examples[@]}"; do
    started=$SECONDS
    features=$(sed -n "/^name = \"$example\"\$/,/^\$/s/^required-features = \[\"\(.*\)\"\]\$/\1/p" examples/Cargo.toml)
    if cargo check --quiet --locked --package octowire-examples --example "$example" --features "$features"; then
        printf '  %-32s %3s s\n' "$example" $((SECONDS - started))
    else
        failed+=("$example")
    fi
done
# The programs with octocrab, which scripts/test.sh leaves out.
if [ $# -eq 0 ]; then
    examples+=(octocrab)
    cargo check --quiet --locked --package octowire-examples-octocrab --all-targets || failed+=(octocrab)
fi
printf 'examples compiled alone: %s of %s\n' $((${#examples[@]} - ${#failed[@]})) "${#examples[@]}"
if [ ${#failed[@]} -gt 0 ]; then
    printf 'these do not compile alone: %s\n' "${failed[*]}" >&2
    exit 1
fi
