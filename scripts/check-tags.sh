#!/usr/bin/env bash
# Checks that tags compile alone, each as the only feature.
#
#   ./scripts/check-tags.sh            every tag
#   ./scripts/check-tags.sh git apps   these (or other features)
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -gt 0 ]; then
    tags=("$@")
else
    # The features that `full` is made of.
    # (macOS's bash has no mapfile.)
    tags=()
    while read -r tag; do tags+=("$tag"); done < <(sed -n '/^full = \[/,/^\]/s/^ *"\(.*\)",$/\1/p' Cargo.toml)
fi
failed=()
for tag in "${tags[@]}"; do
    started=$SECONDS
    if cargo check --quiet --locked --lib --no-default-features --features "$tag"; then
        printf '  %-32s %3s s\n' "$tag" $((SECONDS - started))
    else
        failed+=("$tag")
    fi
done
printf 'tags compiled alone: %s of %s\n' $((${#tags[@]} - ${#failed[@]})) "${#tags[@]}"
if [ ${#failed[@]} -gt 0 ]; then
    printf 'these do not compile alone: %s\n' "${failed[*]}" >&2
    exit 1
fi
