#!/usr/bin/env bash
# Replaces the vendored OpenAPI document by another edition, and says what
# changes. Everything is checked before anything is replaced; then all files of
# openapi/ are, or none. The next build generates from them.
#
#   ./scripts/refresh-openapi.sh              the newest @octokit/openapi (needs npm)
#   ./scripts/refresh-openapi.sh 23.0.2       this version of it
#   ./scripts/refresh-openapi.sh FILE         a document on this machine
#   ./scripts/refresh-openapi.sh --from rest-api-description [REF]
#                                             GitHub's own repository (needs git)
#   ./scripts/refresh-openapi.sh --check ...  compare only: replace nothing
#   ./scripts/refresh-openapi.sh --index      write openapi/index.txt anew
#   ./scripts/refresh-openapi.sh --help       all options
#
# Exits with 0 if nothing changes that concerns a user, with 10 if something is
# deprecated, with 20 if something breaks, with 1 if it failed, with 2 if actions
# of the overlay do nothing any more, and with 3 if the document could not be
# fetched; nothing is replaced with 1, 2 and 3.
set -euo pipefail

# Without changing the folder, since FILE and --report may be relative to it.
here=$(cd "$(dirname "$0")/.." && pwd)
exec cargo run --quiet --locked --manifest-path "$here/Cargo.toml" --package octowire-refresh -- "$@"
