#!/usr/bin/env bash
# Checks the library against GitHub's other OpenAPI descriptions, of GitHub Enterprise Cloud and of each
# release of GitHub Enterprise Server: that the stages of the build process them, that their request examples
# can be sent, and that the generated code compiles.
#
#   ./scripts/check-documents.sh                     download them (needs npm)
#   ./scripts/check-documents.sh FOLDER              take them from a folder
#   ./scripts/check-documents.sh --stages [FOLDER]   the stages only: do not compile
#
# The descriptions are those of the package and version in openapi/upstream.toml. Exits with 3 if they could
# not be fetched. scripts/test.sh runs the stages if npm is installed: half a minute, after a download of 29
# MB. The complete check takes some minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

export CARGO_INCREMENTAL="${CARGO_INCREMENTAL:-0}"
export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-never}"

compile=true
if [ "${1:-}" = --stages ]; then
    compile=false
    shift
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

upstream() { sed -n "s/^$1 = \"\(.*\)\"\$/\1/p" openapi/upstream.toml; }

if [ $# -gt 0 ]; then
    folder=$(cd "$1" && pwd)
else
    folder=$work/documents
    package="$(upstream package)@$(upstream version)"
    if ! command -v npm >/dev/null; then
        printf 'npm is missing, which downloads %s: install it (apt-get install npm, brew install node), or pass\n' "$package" >&2
        printf 'a folder with ghec.json and ghes-*.json: ./scripts/check-documents.sh FOLDER\n' >&2
        exit 3
    fi
    printf 'fetching %s\n' "$package"
    if ! npm pack --silent --pack-destination "$work" "$package" >/dev/null; then
        printf 'npm could not fetch %s\n' "$package" >&2
        exit 3
    fi
    tar -C "$work" -xzf "$work"/*.tgz
    mkdir "$folder"
    for name in ghec 'ghes-*'; do
        find "$work/package/$(dirname "$(upstream file)")" -name "$name.json" ! -name '*.deref.json' \
            -exec cp {} "$folder" \;
    done
fi

documents=()
for document in "$folder"/ghec.json "$folder"/ghes-*.json; do
    case $document in
        *.deref.json) ;;
        *) if [ -f "$document" ]; then documents+=("$document"); fi ;;
    esac
done
if [ ${#documents[@]} -eq 0 ]; then
    printf 'no ghec.json and no ghes-*.json in %s\n' "$folder" >&2
    exit 1
fi

printf '\n== the stages of the build, and request examples\n'
OCTOWIRE_DOCUMENTS=$folder cargo test --quiet --locked --package octowire-codegen -- \
    --nocapture other_documents
if ! $compile; then exit 0; fi

printf '\n== what is generated\n'
printf '| document | operations | seconds | ok |\n|---|---:|---:|---|\n'
failed=0
for document in "${documents[@]}"; do
    name=$(basename "$document" .json)
    started=$SECONDS
    if OCTOWIRE_OPENAPI=$document cargo check --quiet --locked --lib \
        --features custom-openapi,full,webhooks-full --message-format json-render-diagnostics >"$work/messages"; then
        ok=yes
    else
        ok=no
        failed=$((failed + 1))
    fi
    # The output folder of the build script, as Cargo reports it.
    out=$(sed -n 's/.*"reason":"build-script-executed".*"out_dir":"\([^"]*\/octowire-[0-9a-f]*\/out\)".*/\1/p' "$work/messages")
    operations='?'
    if [ -f "$out/api.rs" ]; then operations=$(grep -c '^crate::Operation {' "$out/api.rs"); fi
    # shellcheck disable=SC2016 # Markdown's backticks
    printf '| `%s` | %s | %s | %s |\n' "$name" "$operations" $((SECONDS - started)) "$ok"
done
if [ "$failed" -gt 0 ]; then
    printf '%s of %s documents do not compile\n' "$failed" "${#documents[@]}" >&2
    exit 1
fi
