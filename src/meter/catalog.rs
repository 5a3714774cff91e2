//! The metrics of this crate, as data: for exporters, dashboards and tests.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

/// One metric, as [`METRICS`] lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetricDescription {
    /// The name, such as `octowire_calls_total`.
    pub name: &'static str,
    /// The kind of metric.
    pub kind: MetricKind,
    /// The unit: `seconds`, `count`, or `state` for a number that encodes a state.
    pub unit: &'static str,
    /// The names of its labels, sorted.
    pub labels: &'static [&'static str],
    /// The meaning of the metric.
    pub description: &'static str,
}

/// The kinds of a [`MetricDescription`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetricKind {
    /// A value that only increases.
    Counter,
    /// A value that increases and decreases.
    Gauge,
    /// The distribution of values.
    Histogram,
}

/// The upper bounds, in seconds, of buckets that suit all histograms: from a cache hit to the wait for a primary limit.
pub const HISTOGRAM_BUCKETS: [f64; 15] =
    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0, 3600.0];

const fn metric(
    name: &'static str,
    kind: MetricKind,
    unit: &'static str,
    labels: &'static [&'static str],
    description: &'static str,
) -> MetricDescription {
    MetricDescription { name, kind, unit, labels, description }
}

macro_rules! metrics {
    ($($constant:ident = $name:literal: $kind:ident, $unit:literal, $labels:expr, $description:literal;)+) => {
        // Each metric has one address, by which its keys are found.
        $(#[cfg_attr(
            not(all(feature = "usage", feature = "webhooks")),
            allow(dead_code, reason = "no code records budgets or deliveries then")
        )]
        pub(super) static $constant: MetricDescription =
            metric(concat!("octowire_", $name), MetricKind::$kind, $unit, &$labels, $description);)+

        /// Every metric. The documentation of [`observability`](crate::observability) lists the possible values of their
        /// labels.
        pub const METRICS: &[MetricDescription] = &[
            $(metric(concat!("octowire_", $name), MetricKind::$kind, $unit, &$labels, $description)),+
        ];
    };
}

metrics! {
    CALLS = "calls_total": Counter, "count", ["operation", "outcome"], "Completed calls by outcome: `ok` or the error kind";
    CALL_DURATION = "call_duration_seconds": Histogram, "seconds", ["operation"], "Duration of calls, with all waits and attempts";
    CALLS_IN_FLIGHT = "calls_in_flight": Gauge, "count", [], "Calls in flight, queued or not";
    CALLS_WAITING = "calls_waiting": Gauge, "count", [], "Calls queued by the rate limiter";
    UNDECODABLE_ITEMS = "undecodable_items_total": Counter, "count", ["operation"], "List items that did not decode, yielded as errors or skipped";
    ATTEMPT_DURATION = "attempt_duration_seconds": Histogram, "seconds", ["method", "status"], "Duration from a request to its response; without a response, the status is the error kind";
    RETRIES = "retries_total": Counter, "count", ["reason"], "Retries by the kind of the preceding error";
    WAIT = "wait_seconds": Histogram, "seconds", ["reason"], "Waiting times of calls: for a `rate_limit`, before a `retry`, or for a response that is `not_ready`";
    RATE_LIMIT = "rate_limit_limit": Gauge, "count", ["identity", "resource"], "Requests that a primary rate limit allows in its window";
    RATE_LIMIT_REMAINING = "rate_limit_remaining": Gauge, "count", ["identity", "resource"], "Requests remaining in the window";
    RATE_LIMIT_RESET = "rate_limit_reset_seconds": Gauge, "seconds", ["identity", "resource"], "End of the window, in seconds since 1970";
    RATE_LIMITED = "rate_limited_total": Counter, "count", ["kind", "resource"], "Requests rejected by a rate limit of GitHub, `primary` or `secondary`";
    CACHE = "cache_total": Counter, "count", ["outcome"], "Reads by cache status: `hit`, `revalidated`, `stale`, `miss` or `bypass`";
    QUOTA_SAVED = "quota_saved_total": Counter, "count", [], "Reads served by the cache without a request, or with one that did not count";
    TOKENS = "tokens_total": Counter, "count", ["outcome"], "Token acquisitions by outcome: `issued`, `stored` or `failed`";
    CIRCUIT = "circuit_state": Gauge, "state", ["server"], "Circuit breaker state of a server: 0 closed, 1 half-open, 2 open";
    BUDGET_USED = "budget_used": Gauge, "count", ["budget", "identity"], "Requests counted against a budget in its window";
    BUDGET_LIMIT = "budget_limit": Gauge, "count", ["budget", "identity"], "Hard limit of a budget, or its soft limit if it has no hard one";
    BUDGET_REJECTED = "budget_rejected_total": Counter, "count", ["budget"], "Requests rejected because a budget is exhausted";
    STORE_FAILURES = "store_failures_total": Counter, "count", [], "Failed operations of the store";
    STORE_AVAILABLE = "store_available": Gauge, "state", [], "Whether the store is available: 1 or 0";
    STORE_UNREADABLE = "store_unreadable_total": Counter, "count", ["kind"], "Unreadable values in the store, by the kind of their key";
    STORE_WRITES_DROPPED = "store_writes_dropped_total": Counter, "count", ["reason"], "Cache values not written to the store: `failed`, or too many pending (`full`)";
    WEBHOOKS = "webhook_deliveries_total": Counter, "count", ["event", "outcome"], "Webhook deliveries by outcome: `accepted` and then `handled` or `failed`, with a `failed_attempt` for each failed attempt, or rejected";
    WEBHOOK_DURATION = "webhook_handler_duration_seconds": Histogram, "seconds", ["event"], "Duration of attempts to handle a delivery";
    WEBHOOK_UNDECODED = "webhook_undecoded_total": Counter, "count", ["action", "event"], "Webhook payloads that do not match the type of their event";
    WEBHOOK_QUEUE = "webhook_queue_length": Gauge, "count", [], "Deliveries that are queued or being handled";
}
