#!/usr/bin/env bash
# Checks the packages to publish, octowire-codegen and octowire: packs them, compares their sizes with the limit
# of crates.io, and builds and runs the quickstart with the library of the unpacked archives.
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

target=$(cargo metadata --locked --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')

# Packs both crates: Cargo resolves the dependency of the one on the other without the registry. Cargo's own
# check would compile every dependency once more: the quickstart below compiles the contents of the archives.
cargo package --quiet --locked --package octowire-codegen --package octowire --no-verify "$@"

# Unpacks the archive of a package, and compares its size with the limit. Sets `folder`.
unpack() { # package
    local id name archive bytes files
    id=$(cargo pkgid --package "$1")
    name=$1-${id##*[@#]}
    archive=$target/package/$name.crate
    bytes=$(wc -c < "$archive" | tr -d ' ')
    tar -C "$work" -xzf "$archive"
    folder=$work/$name
    # The archive's files have the date 2006, and Cargo would reuse an older build.
    find "$folder" -type f -exec touch {} +
    files=$(find "$folder" -type f | wc -l | tr -d ' ')
    printf '%s.crate: %s files, %s bytes of at most %s\n' "$name" "$files" "$bytes" "$max_bytes"
    if [ "$bytes" -gt "$max_bytes" ]; then
        printf 'the archive is too large for crates.io\n' >&2
        exit 1
    fi
}
unpack octowire-codegen
codegen=$folder
unpack octowire

# The examples are not published: a copy depends on the unpacked library, by the same relative path. With the profile
# of the workspace, dependencies that a test has compiled are not compiled again. The command is that of the README, so
# this also checks that the quickstart needs no feature but those that its package enables.
cp -R examples "$folder/examples"
cp Cargo.lock "$folder/examples/"
sed -n '/^\[profile\./,$p' Cargo.toml >>"$folder/examples/Cargo.toml"

# The archive of octowire depends on the other one by version. Until that version is published, the unpacked
# archive takes its place, which changes the lock file: without a network, no other version changes with it.
cargo fetch --quiet --locked
printf 'the quickstart, with the archives:\n'
cargo run --quiet --offline --manifest-path "$folder/examples/Cargo.toml" --target-dir "$target" \
    --config "patch.crates-io.octowire-codegen.path='$codegen'" --example quickstart
