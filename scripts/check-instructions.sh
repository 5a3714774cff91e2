#!/usr/bin/env bash
# Checks the instructions of the main paths against bench/instructions.tsv: each within 2 % of its committed
# ratio to a call of bare reqwest, which is counted in the same run.
#
#   ./scripts/check-instructions.sh            compare
#   ./scripts/check-instructions.sh --update   commit the counts of this build instead
#
# Installs valgrind if it is missing (Debian), and builds the benchmark: ten minutes on a fresh machine, two
# after that. A failure names each path with both figures. Run it with the
# compiler that the first line of bench/instructions.tsv names.
set -euo pipefail
cd "$(dirname "$0")/.."

case "${1:-}" in
    '') mode=--check ;;
    --update) mode=--update ;;
    *)
        printf 'usage: %s [--update]\n' "$0" >&2
        exit 2
        ;;
esac
if ! command -v valgrind >/dev/null; then
    if [ "$(uname)" != Linux ]; then
        printf 'valgrind is missing, and is installed automatically only on Debian\n' >&2
        exit 3
    fi
    sudo=''
    [ "$(id -u)" = 0 ] || sudo='sudo'
    $sudo apt-get update -qq
    # Debian's libc6-dbg lets valgrind replace functions of the C library.
    $sudo apt-get install -y -qq --no-install-recommends valgrind libc6-dbg >/dev/null
fi
cargo run --locked --release --quiet --package octowire-bench -- instructions "$mode"
