//! The metrics that this crate gives, as data: for exporters, dashboards and tests.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

/// One metric, as [`METRICS`] lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metric {
    /// The name, such as `octowire_calls_total`.
    pub name: &'static str,
    /// What sort it is.
    pub kind: MetricKind,
    /// The unit: `seconds`, `count`, or `state` for a number that stands for something.
    pub unit: &'static str,
    /// The names of its labels, sorted.
    pub labels: &'static [&'static str],
    /// What it says.
    pub description: &'static str,
}

/// The sorts of a [`Metric`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetricKind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// How often there was what value.
    Histogram,
}

/// The upper bounds, in seconds, of buckets that suit all histograms: from a hit of the cache to the
/// wait for a primary limit.
pub const BUCKETS: [f64; 15] =
    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0, 3600.0];

const fn metric(
    name: &'static str,
    kind: MetricKind,
    unit: &'static str,
    labels: &'static [&'static str],
    description: &'static str,
) -> Metric {
    Metric { name, kind, unit, labels, description }
}

macro_rules! metrics {
    ($($constant:ident = $name:literal: $kind:ident, $unit:literal, $labels:expr, $description:literal;)+) => {
        // Each has one address, by which its keys are found.
        $(#[cfg_attr(
            not(feature = "webhooks-core"),
            allow(dead_code, reason = "nobody tells of deliveries then")
        )]
        pub(super) static $constant: Metric =
            metric(concat!("octowire_", $name), MetricKind::$kind, $unit, &$labels, $description);)+

        /// Every metric. The documentation of [`telemetry`](crate::telemetry) says what their labels
        /// may be.
        pub const METRICS: &[Metric] = &[
            $(metric(concat!("octowire_", $name), MetricKind::$kind, $unit, &$labels, $description)),+
        ];
    };
}

metrics! {
    CALLS = "calls_total": Counter, "count", ["operation", "outcome"], "Calls that ended, by how: `ok` or the error's type";
    CALL_DURATION = "call_duration_seconds": Histogram, "seconds", ["operation"], "From the beginning of a call to its end, with all waits and attempts";
    CALLS_IN_FLIGHT = "calls_in_flight": Gauge, "count", [], "Calls that are under way, waiting or not";
    CALLS_WAITING = "calls_waiting": Gauge, "count", [], "Calls that ask to be let through by a rate limit";
    UNDECODABLE_ITEMS = "undecodable_items_total": Counter, "count", ["operation"], "Items of lists that did not decode, whether they were yielded as errors or skipped";
    ATTEMPT_DURATION = "attempt_duration_seconds": Histogram, "seconds", ["method", "status"], "From sending a request to its answer; without an answer, the status is the error's type";
    RETRIES = "retries_total": Counter, "count", ["reason"], "Attempts after the first of a call, by the error's type before";
    WAIT = "wait_seconds": Histogram, "seconds", ["reason"], "Times that calls waited: for a `rate_limit`, before a `retry`, or for what is `not_ready`";
    RATE_LIMIT = "rate_limit_limit": Gauge, "count", ["identity", "resource"], "Requests that a primary rate limit allows in its window";
    RATE_LIMIT_REMAINING = "rate_limit_remaining": Gauge, "count", ["identity", "resource"], "Requests that are left in the window";
    RATE_LIMIT_RESET = "rate_limit_reset_seconds": Gauge, "seconds", ["identity", "resource"], "When the window ends, in seconds since 1970";
    RATE_LIMITED = "rate_limited_total": Counter, "count", ["kind", "resource"], "Refusals for a rate limit by GitHub, `primary` or `secondary`";
    CACHE = "cache_total": Counter, "count", ["outcome"], "Reads, by what the cache had: `hit`, `revalidated`, `stale`, `miss` or `bypass`";
    QUOTA_SAVED = "quota_saved_total": Counter, "count", [], "Reads that the cache answered without a request, or with one that did not count";
    TOKENS = "tokens_total": Counter, "count", ["outcome"], "Tokens that were `minted`, found `stored`, or `failed` to be had";
    CIRCUIT = "circuit_state": Gauge, "state", ["server"], "Whether calls to a server are let through: 0 closed, 1 half open, 2 open";
    BUDGET_USED = "budget_used": Gauge, "count", ["budget", "identity"], "Requests that were made of a budget in its window";
    BUDGET_LIMIT = "budget_limit": Gauge, "count", ["budget", "identity"], "Its hard limit, or the soft one if it has no other";
    BUDGET_REFUSED = "budget_refused_total": Counter, "count", ["budget"], "Requests that were not sent since a budget is spent";
    STORE_FAILURES = "store_failures_total": Counter, "count", [], "Times that the store did not answer";
    STORE_AVAILABLE = "store_available": Gauge, "state", [], "Whether the store answers: 1 or 0";
    STORE_UNREADABLE = "store_unreadable_total": Counter, "count", ["kind"], "Values in the store that could not be read, by the kind of their key";
    STORE_WRITES_DROPPED = "store_writes_dropped_total": Counter, "count", ["reason"], "Values of the cache that were not written to the store: `failed`, or too many were pending (`full`)";
    WEBHOOKS = "webhook_deliveries_total": Counter, "count", ["event", "outcome"], "What happened to deliveries of webhooks: one is `accepted` and then `handled` or `failed`, with as many of `failed_attempt`, or is not taken";
    WEBHOOK_DURATION = "webhook_handler_duration_seconds": Histogram, "seconds", ["event"], "Attempts at handling a delivery";
    WEBHOOK_UNDECODED = "webhook_undecoded_total": Counter, "count", ["action", "event"], "Payloads of webhooks that do not fit the type of their event";
    WEBHOOK_QUEUE = "webhook_queue_length": Gauge, "count", [], "Deliveries that wait or are handled";
}
