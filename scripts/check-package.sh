#!/usr/bin/env bash
# Checks the package to publish: packs it, compares its size with the limit of crates.io, and builds and runs
# the quickstart from the unpacked archive alone.
#
#   ./scripts/check-package.sh                 the committed files
#   ./scripts/check-package.sh --allow-dirty   the working copy
set -euo pipefail
cd "$(dirname "$0")/.."

# The limit of crates.io.
max_bytes=$((10 * 1024 * 1024))

case "$*" in
    '' | --allow-dirty) ;;
    *) printf 'usage: %s [--allow-dirty]\n' "$0" >&2; exit 2 ;;
esac
if [ $# -eq 0 ] && [ -n "$(git status --porcelain)" ]; then
    printf 'the working tree has changes: commit them, or pass --allow-dirty to include them\n' >&2
    exit 1
fi

export CARGO_INCREMENTAL="${CARGO_INCREMENTAL:-0}"
export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-never}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

id=$(cargo pkgid --package octowire)
name=octowire-${id##*[@#]}
target=$(cargo metadata --locked --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')

# Without Cargo's own check, which compiles every dependency once more: the quickstart below compiles the
# contents of the archive.
cargo package --quiet --locked --package octowire --no-verify "$@"
archive=$target/package/$name.crate
bytes=$(wc -c < "$archive" | tr -d ' ')
tar -C "$work" -xzf "$archive"
# The archive's files have the date 2006, and Cargo would reuse an older build.
find "$work/$name" -type f -exec touch {} +
files=$(find "$work/$name" -type f | wc -l | tr -d ' ')
printf '%s.crate: %s files, %s bytes of at most %s\n' "$name" "$files" "$bytes" "$max_bytes"
if [ "$bytes" -gt "$max_bytes" ]; then
    printf 'the archive is too large for crates.io\n' >&2
    exit 1
fi

printf 'the quickstart, from the archive:\n'
cargo run --quiet --locked --manifest-path "$work/$name/Cargo.toml" --target-dir "$target" \
    --example quickstart --features testing
