#!/usr/bin/env bash
# Replaces the vendored OpenAPI description by another version, and reports the changes. All checks run before
# the replacement, which covers all files of openapi/ or none. The next build generates from them.
#
#   ./scripts/refresh-openapi.sh              the newest @octokit/openapi (needs npm)
#   ./scripts/refresh-openapi.sh 23.0.2       this version of it
#   ./scripts/refresh-openapi.sh FILE         a document on this machine
#   ./scripts/refresh-openapi.sh --from rest-api-description [REF]
#                                             GitHub's own repository (needs git)
#   ./scripts/refresh-openapi.sh --check ...  compare only: replace nothing
#   ./scripts/refresh-openapi.sh --index      write openapi/index.txt and openapi/corrections.json again
#   ./scripts/refresh-openapi.sh --help       all options
#
# Exits with 0 if no change affects a user, with 10 if something is deprecated, with 20 if something breaks,
# with 1 if it failed, with 2 if actions of the overlay no longer have an effect, and with 3 if the
# description could not be fetched; nothing is replaced with 1, 2 and 3.
set -euo pipefail

# Without changing the folder, since FILE and --report can be relative to it.
here=$(cd "$(dirname "$0")/.." && pwd)
exec cargo run --quiet --locked --manifest-path "$here/Cargo.toml" --package octowire-refresh -- "$@"
