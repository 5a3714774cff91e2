#!/usr/bin/env bash
# Runs every version of the description through all stages of the build: each version of @octokit/openapi from
# 16.0.0 on, and in it api.github.com, GitHub Enterprise Cloud and each release of GitHub Enterprise Server.
# GitHub's next version will be similar, so stages that process all of them are likely to process it.
#
#   ./scripts/check-versions.sh                download them (needs npm)
#   ./scripts/check-versions.sh FOLDER         take them from FOLDER/VERSION/generated
#   ./scripts/check-versions.sh --few [FOLDER] api.github.com of two old versions, which
#                                              stay in FOLDER [default: target/versions]
#                                              for the tests: OCTOWIRE_VERSIONS=FOLDER
#
# At most one package of 25 to 40 MB is on disk at a time. Exits with 3 if they could not be fetched. The
# complete check takes about ten minutes; --few is part of scripts/test.sh.
set -euo pipefail

export CARGO_INCREMENTAL="${CARGO_INCREMENTAL:-0}"
export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-never}"

package='@octokit/openapi'
few=false
if [ "${1:-}" = --few ]; then
    few=true
    shift
fi
if [ $# -gt 1 ]; then
    printf 'usage: %s [--few] [FOLDER]\n' "$0" >&2
    exit 1
fi
# Relative to where it was typed.
folder=${1:-}
case $folder in '' | /*) ;; *) folder=$PWD/$folder ;; esac
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

needs_npm() {
    if command -v npm >/dev/null; then return; fi
    printf 'npm is missing, which downloads %s: install it (apt-get install npm, brew install node), or pass\n' "$package" >&2
    printf 'a folder that has VERSION/generated/*.json: %s FOLDER\n' "$0" >&2
    exit 3
}

# Extracts the descriptions of a version into a folder.
fetch() {
    rm -rf "$work/package" "$work"/*.tgz
    if ! npm pack --silent --pack-destination "$work" "$package@$1" >/dev/null; then
        printf 'npm could not fetch %s@%s\n' "$package" "$1" >&2
        exit 3
    fi
    tar -C "$work" --exclude '*.deref.json' -xzf "$work"/*.tgz
    rm "$work"/*.tgz
    mkdir -p "$2"
    rm -rf "${2:?}/$1"
    mv "$work/package" "$2/$1"
}

# Descriptions that were broken when they were published, so that rejecting them is correct.
broken() {
    case $1 in
        '16.6.0 ghes-3.12') echo 'four operations are called enterprise-admin/get-manage-settings' ;;
        '17.0.0 api.github.com') echo 'webhooks of project_card and project_column say that they are of project' ;;
        '17.0.0 ghec') echo 'two operations are called users/get-by-id' ;;
        '17.0.0 ghes-3.13') echo 'it is not JSON: two documents, merged line by line' ;;
        *) return 1 ;;
    esac
}

failed=0
surveyed=0

# Processes the descriptions of one version, and prints a row for each.
survey() {
    version=$1
    shift
    status=0
    cargo run --quiet --locked --package octowire-refresh -- --survey "$@" >"$work/rows" || status=$?
    # More than one failed description.
    if [ "$status" -gt 1 ]; then failed=$((failed + 1)); fi
    # Without a row for each, no row shows the failure.
    rows=$(wc -l <"$work/rows")
    if [ "$rows" -ne $# ]; then
        printf '%s: %s rows for %s documents (status %s)\n' "$version" "$((rows))" $# "$status" >&2
        cat "$work/rows"
        failed=$((failed + 1))
        return
    fi
    while IFS= read -r row; do
        surveyed=$((surveyed + 1))
        name=$(basename "$1" .json)
        shift
        if reason=$(broken "$version $name"); then
            case $row in
                *FAILED*) row="| $version | $name | refused: $reason | | | |" ;;
                *)
                    row="$version $name is called broken in $0, and passes"
                    failed=$((failed + 1))
                    ;;
            esac
        else
            case $row in *FAILED:* | *PANICKED:*) failed=$((failed + 1)) ;; esac
        fi
        printf '%s\n' "$row"
    done <"$work/rows"
}

# The descriptions of a version, without those that have no references.
documents() {
    find "$1/generated" -name '*.json' ! -name '*.deref.json' | sort
}

header() {
    printf '| version | document | operations | webhooks | stale actions | seconds |\n|---|---|---:|---:|---:|---:|\n'
}

survey_version() {
    paths=()
    while read -r path; do paths+=("$path"); done < <(documents "$1")
    if [ ${#paths[@]} -eq 0 ]; then
        printf 'no documents in %s/generated\n' "$1" >&2
        exit 1
    fi
    survey "$(basename "$1")" "${paths[@]}"
}

if $few; then
    # The files that the tests of tests/drift/ read.
    few_versions='16.0.0 22.0.0 23.0.2'
    folder=${folder:-target/versions}
    for version in $few_versions; do
        if [ ! -f "$folder/$version/generated/api.github.com.json" ]; then
            needs_npm
            printf 'fetching %s@%s\n' "$package" "$version"
            fetch "$version" "$folder"
            find "$folder/$version/generated" -type f \
                ! -name api.github.com.json ! -name ghec.json ! -name ghes-3.19.json -delete
        fi
    done
    header
    for version in $few_versions; do survey "$version" "$folder/$version/generated/api.github.com.json"; done
elif [ -n "$folder" ]; then
    header
    for version in "$folder"/*/; do survey_version "${version%/}"; done
else
    needs_npm
    if ! versions=$(npm view "$package" versions --json); then
        printf 'npm could not list the versions of %s\n' "$package" >&2
        exit 3
    fi
    header
    for version in $(printf '%s' "$versions" | tr -d '[]," ' | sort -t. -k1,1n -k2,2n -k3,3n); do
        if [ "${version%%.*}" -lt 16 ]; then continue; fi
        fetch "$version" "$work"
        survey_version "$work/$version"
        rm -rf "${work:?}/$version"
    done
fi
printf '%s documents\n' "$surveyed"
if $few; then printf 'OCTOWIRE_VERSIONS=%s\n' "$(cd "$folder" && pwd)"; fi
if [ "$failed" -gt 0 ]; then
    printf '%s of them fail\n' "$failed" >&2
    exit 1
fi
