//! What the rooms tell of numbers. Without the feature `metrics`, nothing is done with it.
//!
//! As `tracing` does, the `metrics` facade hands each of them to the recorder that the application
//! has installed, if it has one.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use metrics::{Gauge, Key, Level, Metadata, Unit, with_recorder};

use super::error_type::error_type;
use super::keys::{Names, OTHER, key, keys};
use super::table::{self, METRICS, Metric, MetricKind};
use crate::cache::CacheStatus;
use crate::circuit::{Circuit, CircuitState};
use crate::error::Error;
use crate::limits::Told;

const ABOUT: Metadata<'static> =
    Metadata::new("octowire", Level::INFO, Some("octowire::telemetry"));

/// Tells the recorder what each metric is, and its unit.
///
/// [`ClientBuilder::build`](crate::ClientBuilder::build) does so by itself, so that this is only for a
/// recorder that is installed later.
pub fn describe_metrics() {
    with_recorder(|recorder| {
        for Metric { name, kind, unit, description, .. } in METRICS {
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

/// A client was built: what it may tell of is described, and circuits that nobody has told of are
/// closed.
pub(crate) fn built(circuits: &[Arc<Circuit>]) {
    describe_metrics();
    for of in circuits {
        if !SERVERS.knows(of.server()) {
            circuit(of.server(), CircuitState::Closed);
        }
    }
}

static IN_FLIGHT: Key = Key::from_static_name(table::CALLS_IN_FLIGHT.name);
static WAITING: Key = Key::from_static_name(table::CALLS_WAITING.name);
#[cfg(feature = "webhooks-core")]
static QUEUED: Key = Key::from_static_name(table::WEBHOOK_QUEUE.name);

/// A call or a delivery that is under way, until it is dropped. It gives back to the gauge that it took
/// from, also if another recorder is installed meanwhile.
pub(crate) struct InFlight(Gauge);

impl InFlight {
    pub(crate) fn call() -> Self {
        Self::of(&IN_FLIGHT)
    }

    /// One that asks to be let through.
    pub(crate) fn waiting() -> Self {
        Self::of(&WAITING)
    }

    /// A delivery that waits or is handled.
    #[cfg(feature = "webhooks-core")]
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

/// A call ended: well, or as it failed.
pub(crate) fn call(operation: &'static str, time: Duration, failed: Option<&'static str>) {
    count(&table::CALLS, [operation, failed.unwrap_or("ok")]);
    observe(&table::CALL_DURATION, [operation, ""], time);
}

/// So many items of one page did not decode.
pub(crate) fn undecodable_items(operation: &'static str, items: usize) {
    let key = key(&table::UNDECODABLE_ITEMS, [operation, ""]);
    let items = u64::try_from(items).unwrap_or(u64::MAX);
    with_recorder(|recorder| recorder.register_counter(key, &ABOUT).increment(items));
}

/// What the cache had for a read, and whether that saved a request that counts.
pub(crate) fn cached(came: CacheStatus, saved: bool) {
    count(&table::CACHE, [came.name(), ""]);
    if saved {
        count(&table::QUOTA_SAVED, ["", ""]);
    }
}

/// An attempt ended.
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
    observe(&table::ATTEMPT_DURATION, [method, status], time);
}

/// A call goes again after this error.
pub(crate) fn retry(error: &Error) {
    count(&table::RETRIES, [error_type(error), ""]);
}

/// A call waited.
pub(crate) fn waited(reason: &'static str, time: Duration) {
    if !time.is_zero() {
        observe(&table::WAIT, [reason, ""], time);
    }
}

/// GitHub told how a primary limit is.
pub(crate) fn told(identity: &'static str, told: &Told<'_>) {
    // Of whom there are too many, the numbers of one say nothing of the others.
    if identity == OTHER {
        return;
    }
    let labels = [identity, resource(told.resource)];
    let of = [&table::RATE_LIMIT, &table::RATE_LIMIT_REMAINING, &table::RATE_LIMIT_RESET];
    let values = [told.limit as f64, told.remaining as f64, told.reset as f64];
    with_recorder(|recorder| {
        for (key, value) in keys(of, labels).iter().zip(values) {
            recorder.register_gauge(key, &ABOUT).set(value);
        }
    });
}

/// GitHub refused for a limit.
pub(crate) fn limited(secondary: bool, told: Option<Told<'_>>) {
    let kind = if secondary { "secondary" } else { "primary" };
    let resource = told.map_or("none", |told| resource(told.resource));
    count(&table::RATE_LIMITED, [kind, resource]);
}

/// The name of whom a client calls as, for labels.
pub(crate) fn identity(name: &str) -> &'static str {
    static IDENTITIES: LazyLock<Names> = LazyLock::new(Names::default);
    IDENTITIES.name(name)
}

/// A token was had, or not: `minted`, `stored` or `failed`.
pub(crate) fn token(outcome: &'static str) {
    count(&table::TOKENS, [outcome, ""]);
}

static SERVERS: LazyLock<Names> = LazyLock::new(Names::default);

/// A circuit changed.
pub(crate) fn circuit(server: &str, state: CircuitState) {
    let state = match state {
        CircuitState::Closed => 0.0,
        CircuitState::HalfOpen => 1.0,
        CircuitState::Open => 2.0,
    };
    set(&table::CIRCUIT, [SERVERS.name(server), ""], state);
}

/// The name of a budget, for labels.
pub(crate) fn budget_name(name: &str) -> &'static str {
    static BUDGETS: LazyLock<Names> = LazyLock::new(Names::default);
    BUDGETS.name(name)
}

/// What was spent of a budget, of so much, by name and identity.
pub(crate) fn budget(labels: [&'static str; 2], used: f64, limit: Option<u64>) {
    // Of whom there are too many, the numbers of one say nothing of the others.
    if labels.contains(&OTHER) {
        return;
    }
    set(&table::BUDGET_USED, labels, used);
    if let Some(limit) = limit {
        set(&table::BUDGET_LIMIT, labels, limit as f64);
    }
}

/// A budget has no room for a request.
pub(crate) fn budget_refused(budget: &'static str) {
    count(&table::BUDGET_REFUSED, [budget, ""]);
}

/// The store answers, or does not.
pub(crate) fn store(available: bool) {
    set(&table::STORE_AVAILABLE, ["", ""], f64::from(u8::from(available)));
    if !available {
        count(&table::STORE_FAILURES, ["", ""]);
    }
}

/// Counts a value in the store that cannot be read.
pub(crate) fn unreadable(kind: &'static str) {
    count(&table::STORE_UNREADABLE, [kind, ""]);
}

/// Values were not written to the store: `full` or `failed`.
pub(crate) fn store_writes_dropped(reason: &'static str, writes: u64) {
    let key = key(&table::STORE_WRITES_DROPPED, [reason, ""]);
    with_recorder(|recorder| recorder.register_counter(key, &ABOUT).increment(writes));
}

/// What became of a delivery of a webhook. An event is only told of one that was verified.
#[cfg(feature = "webhooks-core")]
pub(crate) fn delivery(event: Option<&str>, outcome: &'static str) {
    count(&table::WEBHOOKS, [self::event(event), outcome]);
}

/// An attempt at handling a delivery ended.
#[cfg(feature = "webhooks-core")]
pub(crate) fn handled(event: &str, time: Duration) {
    observe(&table::WEBHOOK_DURATION, [self::event(Some(event)), ""], time);
}

/// A payload does not fit the type of its event. Both names are of GitHub's description.
#[cfg(feature = "webhooks-core")]
pub(crate) fn undecoded(event: &'static str, action: Option<&'static str>) {
    count(&table::WEBHOOK_UNDECODED, [action.unwrap_or("none"), event]);
}

#[cfg(feature = "webhooks-core")]
fn event(name: Option<&str>) -> &'static str {
    static EVENTS: LazyLock<Names> = LazyLock::new(Names::default);
    name.map_or("none", |name| EVENTS.name(name))
}

/// The primary limits that GitHub names; there is no list, and some twenty are known.
fn resource(name: &str) -> &'static str {
    static RESOURCES: LazyLock<Names> = LazyLock::new(Names::default);
    match name {
        "core" => "core",
        name => RESOURCES.name(name),
    }
}

fn count(metric: &Metric, values: [&'static str; 2]) {
    let key = key(metric, values);
    with_recorder(|recorder| recorder.register_counter(key, &ABOUT).increment(1));
}

fn observe(metric: &Metric, values: [&'static str; 2], time: Duration) {
    let key = key(metric, values);
    with_recorder(|recorder| recorder.register_histogram(key, &ABOUT).record(time.as_secs_f64()));
}

fn set(metric: &Metric, values: [&'static str; 2], value: f64) {
    let key = key(metric, values);
    with_recorder(|recorder| recorder.register_gauge(key, &ABOUT).set(value));
}
