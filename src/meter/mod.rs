//! The metrics that the modules record. Without the feature `metrics`, they are discarded.
//!
//! As `tracing` does, the `metrics` facade passes each value to the recorder that the application has installed, if
//! any.

#[cfg(feature = "metrics")]
pub(crate) mod catalog;
#[cfg(feature = "metrics")]
mod keys;

use std::sync::LazyLock;
use std::time::Duration;

use metrics::{Gauge, Key, Level, Metadata, Unit, with_recorder};

use self::catalog::{METRICS, MetricDescription, MetricKind};
use self::keys::{LabelInterner, OTHER_LABEL, key, keys};
use crate::headers::rate_limit::RateLimitHeaders;

const ABOUT: Metadata<'static> =
    Metadata::new("octowire", Level::INFO, Some("octowire::observability"));

/// Describes each metric and its unit to the recorder.
///
/// [`ClientBuilder::build`](crate::ClientBuilder::build) calls this, so that it is needed only for a recorder that is
/// installed later.
pub fn describe_metrics() {
    with_recorder(|recorder| {
        for MetricDescription { name, kind, unit, description, .. } in METRICS {
            let unit = match *unit {
                "seconds" => Unit::Seconds,
                _ => Unit::Count,
            };
            let (name, description) = ((*name).into(), (*description).into());
            match kind {
                MetricKind::Counter => recorder.describe_counter(name, Some(unit), description),
                MetricKind::Gauge => recorder.describe_gauge(name, Some(unit), description),
                MetricKind::Histogram => recorder.describe_histogram(name, Some(unit), description),
            }
        }
    });
}

/// Initializes the metrics of a new client: describes them, and reports the circuits of servers that have no state yet.
pub(crate) fn client_built<'a>(circuits: impl Iterator<Item = (&'a str, f64)>) {
    describe_metrics();
    for (server, state) in circuits {
        if !SERVERS.contains(server) {
            circuit(server, state);
        }
    }
}

static IN_FLIGHT: Key = Key::from_static_name(catalog::CALLS_IN_FLIGHT.name);
static WAITING: Key = Key::from_static_name(catalog::CALLS_WAITING.name);
#[cfg(feature = "webhooks")]
static QUEUED: Key = Key::from_static_name(catalog::WEBHOOK_QUEUE.name);

/// A call or a delivery in flight, until this is dropped. It decrements the gauge that it incremented, even if another
/// recorder is installed meanwhile.
pub(crate) struct InFlight(Gauge);

impl InFlight {
    pub(crate) fn call() -> Self {
        Self::of(&IN_FLIGHT)
    }

    /// Begins a call that waits for admission.
    pub(crate) fn waiting() -> Self {
        Self::of(&WAITING)
    }

    /// Begins a delivery that waits or is handled.
    #[cfg(feature = "webhooks")]
    pub(crate) fn delivery() -> Self {
        Self::of(&QUEUED)
    }

    fn of(key: &'static Key) -> Self {
        let gauge = with_recorder(|recorder| recorder.register_gauge(key, &ABOUT));
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// Records the end of a call: a success, or this failure.
pub(crate) fn call(operation: &'static str, time: Duration, failed: Option<&'static str>) {
    // Both keys are found together; the duration has only the first label.
    let metrics = [&catalog::CALLS, &catalog::CALL_DURATION];
    let [calls, duration] = keys(metrics, [operation, failed.unwrap_or("ok")]) else { return };
    with_recorder(|recorder| {
        recorder.register_counter(calls, &ABOUT).increment(1);
        recorder.register_histogram(duration, &ABOUT).record(time.as_secs_f64());
    });
}

/// Records the number of items of one page that did not decode.
pub(crate) fn undecodable_items(operation: &'static str, items: usize) {
    let key = key(&catalog::UNDECODABLE_ITEMS, [operation, ""]);
    let items = u64::try_from(items).unwrap_or(u64::MAX);
    with_recorder(|recorder| recorder.register_counter(key, &ABOUT).increment(items));
}

/// Records the cache status of a read, and whether the cache saved a request that counts.
pub(crate) fn cache_looked_up(status: &'static str, saved: bool) {
    count(&catalog::CACHE, [status, ""]);
    if saved {
        count(&catalog::QUOTA_SAVED, ["", ""]);
    }
}

/// Records the end of an attempt.
pub(crate) fn attempt(method: &http::Method, time: Duration, status: &'static str) {
    let method = match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "_OTHER",
    };
    observe(&catalog::ATTEMPT_DURATION, [method, status], time);
}

/// Records a retry after an error of this type.
pub(crate) fn retry(error_type: &'static str) {
    count(&catalog::RETRIES, [error_type, ""]);
}

/// Records the waiting time of a call.
pub(crate) fn wait_recorded(reason: &'static str, time: Duration) {
    if !time.is_zero() {
        observe(&catalog::WAIT, [reason, ""], time);
    }
}

/// Records the state of a primary limit that GitHub reported.
pub(crate) fn rate_limit_observed(identity: &'static str, update: &RateLimitHeaders<'_>) {
    // In the combined label, the numbers of one identity do not describe the others.
    if identity == OTHER_LABEL {
        return;
    }
    let labels = [identity, resource(update.resource)];
    let of = [&catalog::RATE_LIMIT, &catalog::RATE_LIMIT_REMAINING, &catalog::RATE_LIMIT_RESET];
    let values = [update.limit as f64, update.remaining as f64, update.reset as f64];
    with_recorder(|recorder| {
        for (key, value) in keys(of, labels).iter().zip(values) {
            recorder.register_gauge(key, &ABOUT).set(value);
        }
    });
}

/// Records a rejection by GitHub because of a limit, and the primary limit that the response names.
pub(crate) fn rate_limited(secondary: bool, named: Option<&str>) {
    let kind = if secondary { "secondary" } else { "primary" };
    count(&catalog::RATE_LIMITED, [kind, named.map_or("none", resource)]);
}

/// Returns the label of the identity that a client uses.
pub(crate) fn identity(name: &str) -> &'static str {
    static IDENTITIES: LazyLock<LabelInterner> = LazyLock::new(LabelInterner::default);
    IDENTITIES.intern(name)
}

/// Records the outcome of a token request: `issued`, `stored` or `failed`.
pub(crate) fn token(outcome: &'static str) {
    count(&catalog::TOKENS, [outcome, ""]);
}

static SERVERS: LazyLock<LabelInterner> = LazyLock::new(LabelInterner::default);

/// Records the state of a circuit, as a number: see [`catalog`].
pub(crate) fn circuit(server: &str, state: f64) {
    set(&catalog::CIRCUIT, [SERVERS.intern(server), ""], state);
}

/// Returns the label of a budget.
#[cfg(feature = "usage")]
pub(crate) fn budget_name(name: &str) -> &'static str {
    static BUDGETS: LazyLock<LabelInterner> = LazyLock::new(LabelInterner::default);
    BUDGETS.intern(name)
}

/// Records the spent part and the limit of a budget, by name and identity.
#[cfg(feature = "usage")]
pub(crate) fn budget(labels: [&'static str; 2], used: f64, limit: Option<u64>) {
    // In the combined label, the numbers of one identity do not describe the others.
    if labels.contains(&OTHER_LABEL) {
        return;
    }
    set(&catalog::BUDGET_USED, labels, used);
    if let Some(limit) = limit {
        set(&catalog::BUDGET_LIMIT, labels, limit as f64);
    }
}

/// Records a request that a budget rejects.
#[cfg(feature = "usage")]
pub(crate) fn budget_rejected(budget: &'static str) {
    count(&catalog::BUDGET_REJECTED, [budget, ""]);
}

/// Records whether the store is available.
pub(crate) fn store(available: bool) {
    set(&catalog::STORE_AVAILABLE, ["", ""], f64::from(u8::from(available)));
    if !available {
        count(&catalog::STORE_FAILURES, ["", ""]);
    }
}

/// Counts a value in the store that cannot be read.
pub(crate) fn unreadable(kind: &'static str) {
    count(&catalog::STORE_UNREADABLE, [kind, ""]);
}

/// Records values that were not written to the store: `full` or `failed`.
pub(crate) fn store_writes_dropped(reason: &'static str, writes: u64) {
    let key = key(&catalog::STORE_WRITES_DROPPED, [reason, ""]);
    with_recorder(|recorder| recorder.register_counter(key, &ABOUT).increment(writes));
}

/// Records the outcome of a webhook delivery. The event is recorded only for a verified delivery.
#[cfg(feature = "webhooks")]
pub(crate) fn delivery(event: Option<&'static str>, outcome: &'static str) {
    count(&catalog::WEBHOOKS, [event.unwrap_or("none"), outcome]);
}

/// Records the end of an attempt at handling a delivery.
#[cfg(feature = "webhooks")]
pub(crate) fn delivery_handled(event: &'static str, time: Duration) {
    observe(&catalog::WEBHOOK_DURATION, [event, ""], time);
}

/// Records a payload that does not match the type of its event. Both names are from GitHub's description.
#[cfg(feature = "webhooks")]
pub(crate) fn undecoded(event: &'static str, action: Option<&'static str>) {
    count(&catalog::WEBHOOK_UNDECODED, [action.unwrap_or("none"), event]);
}

/// Returns the label of the event of a verified delivery.
#[cfg(feature = "webhooks")]
pub(crate) fn event_label(name: &str) -> &'static str {
    static EVENTS: LazyLock<LabelInterner> = LazyLock::new(LabelInterner::default);
    EVENTS.intern(name)
}

/// The primary limits that GitHub names; there is no list, and some twenty are known.
fn resource(name: &str) -> &'static str {
    static RESOURCES: LazyLock<LabelInterner> = LazyLock::new(LabelInterner::default);
    match name {
        "core" => "core",
        name => RESOURCES.intern(name),
    }
}

fn count(metric: &MetricDescription, values: [&'static str; 2]) {
    let key = key(metric, values);
    with_recorder(|recorder| recorder.register_counter(key, &ABOUT).increment(1));
}

fn observe(metric: &MetricDescription, values: [&'static str; 2], time: Duration) {
    let key = key(metric, values);
    with_recorder(|recorder| recorder.register_histogram(key, &ABOUT).record(time.as_secs_f64()));
}

fn set(metric: &MetricDescription, values: [&'static str; 2], value: f64) {
    let key = key(metric, values);
    with_recorder(|recorder| recorder.register_gauge(key, &ABOUT).set(value));
}
