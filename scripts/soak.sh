#!/usr/bin/env bash
# Runs the soak test for MINUTES (10 by default): clients, a cache and limits in a Redis that fails, a webhook
# receiver that is killed, and a GitHub with all kinds of failures. See tests/soak/main.rs.
#
#   ./scripts/soak.sh [MINUTES]
#
# To repeat a run, set OCTOWIRE_SOAK_SEED, which each run prints. It needs redis-server, which scripts/test.sh
# installs.
set -euo pipefail
cd "$(dirname "$0")/.."

minutes="${1:-10}"
case $minutes in
    '' | *[!0-9]* | 0) printf 'soak.sh: MINUTES must be a number of at least 1, not %s\n' "$minutes" >&2; exit 2 ;;
esac
OCTOWIRE_SOAK_SECONDS=$((minutes * 60)) cargo test --locked --test soak \
    --features redis,webhooks-axum,webhooks-journal -- --nocapture
