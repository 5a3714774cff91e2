#!/usr/bin/env bash
# Checks that the library compiles with its minimum compiler, the `rust-version` of Cargo.toml.
#
#   ./scripts/check-msrv.sh
#
# Not part of scripts/test.sh, which uses the installed toolchain.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
if ! cargo "+$version" --version >/dev/null 2>&1 &&
    ! rustup toolchain install "$version" --profile minimal --no-self-update; then
    printf 'Rust %s is required: install rustup, then run: rustup toolchain install %s\n' "$version" "$version" >&2
    exit 1
fi
export CARGO_INCREMENTAL="${CARGO_INCREMENTAL:-0}"
export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-never}"
for features in default full webhooks-full,webhooks-axum,webhooks-journal app-registration,blocking,disk-store,oauth,usage; do
    cargo "+$version" check --quiet --locked --lib --features "$features"
    printf 'compiles with Rust %s: %s\n' "$version" "$features"
done
