//! The health of a client: the input of a readiness probe, and whether objectives are met.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::recent::{MinuteStats, RecentActivity};
pub use crate::policy::auth::TokenHealth;
use crate::policy::circuit_breaker::CircuitState;
pub use crate::policy::rate_limit::{PrimaryLimitHealth, RateLimitHealth};
use crate::store::StoreHealth;
use crate::time::clock;

/// The objectives of a client's calls: [`ClientBuilder::slo`](crate::ClientBuilder::slo).
///
/// A call failed if the response was 401, 403, 408, 429 or 5xx, or if it ended with an error that the caller did not
/// cause. GitHub was unavailable if it could not be reached, did not respond in time, responded with 5xx, or the
/// [circuit](crate::CircuitBreaker) was open. Fewer than twenty calls in five minutes do not make a client
/// [degraded](HealthStatus::Degraded), whatever their outcome. These do not count as failures: a request error such as
/// a 404 or 422, a response that is [not ready](crate::Error::is_not_ready), and the errors of a GraphQL query. Dropped
/// calls do not count at all.
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use = "objectives do nothing before they are given to a client"]
pub struct ServiceLevelObjectives {
    max_error_rate: f64,
    max_mean_latency: Duration,
    min_availability: f64,
}

impl Default for ServiceLevelObjectives {
    /// Less than 1 % of calls fail, requests take less than 500 ms on average, and GitHub is available for 99.9 % of
    /// calls.
    fn default() -> Self {
        Self {
            max_error_rate: 0.01,
            max_mean_latency: Duration::from_millis(500),
            min_availability: 0.999,
        }
    }
}

impl ServiceLevelObjectives {
    /// Sets the error rate, from 0 to 1, below which the objective is met; 0.01 by default.
    pub fn max_error_rate(mut self, share: f64) -> Self {
        self.max_error_rate = if share.is_finite() { share.clamp(0.0, 1.0) } else { 1.0 };
        self
    }

    /// Sets the mean response time of requests; 500 ms by default.
    pub fn max_mean_latency(mut self, time: Duration) -> Self {
        self.max_mean_latency = time;
        self
    }

    /// Sets the share of calls, from 0 to 1, for which GitHub is available; 0.999 by default.
    pub fn min_availability(mut self, share: f64) -> Self {
        self.min_availability = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
        self
    }
}

/// The health of a client: [`Client::health`](crate::Client::health). As JSON it has the same names; times are in seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// The time of the snapshot.
    pub time: DateTime<Utc>,
    /// The identity of the client.
    pub identity: String,
    /// The status for a probe.
    pub status: HealthStatus,
    /// The reasons why the client is not [`Ready`](HealthStatus::Ready), in one sentence each.
    pub reasons: Vec<String>,
    /// The token; `None` for a client without one.
    pub token: Option<TokenHealth>,
    /// The token for a [gateway](crate::ClientBuilder::gateway), if there is one.
    pub gateway: Option<TokenHealth>,
    /// The servers that the client calls: the API's, and the upload server if it is another.
    pub circuits: Vec<CircuitHealth>,
    /// The store; `None` without one.
    pub store: Option<StoreStatus>,
    /// The rate limits of the identity.
    pub limits: RateLimitHealth,
    /// The objectives, each over the last 5 minutes, hour and day.
    pub objectives: Vec<SloStatus>,
}

/// Whether calls can be expected to succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HealthStatus {
    /// Calls can be expected to succeed.
    Ready,
    /// Calls can be expected to succeed, but they wait, or a problem needs attention.
    Degraded,
    /// Calls will fail at once: no token is available for the moment, or the circuit of the API's server is open. The
    /// status ends by itself, without a call.
    NotReady,
}

/// The state of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CircuitHealth {
    /// The server's base URL.
    pub server: String,
    /// The state of the server's circuit.
    pub state: CircuitState,
}

/// The state of the store.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StoreStatus {
    /// For how long the store has been unavailable, in seconds; `None` if it is available.
    pub unavailable_for_secs: Option<f64>,
    /// How often the store became unavailable since the client was built.
    pub outages: u64,
}

/// Whether an objective is met.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SloStatus {
    /// The kind of the objective.
    pub kind: SloKind,
    /// The target: a share from 0 to 1, or seconds.
    pub target: f64,
    /// The actual values, over the last 5 minutes, hour and day.
    pub windows: Vec<SloWindow>,
}

/// The kinds of objectives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SloKind {
    /// The share of failed calls.
    ErrorRate,
    /// The mean response time of requests.
    MeanLatency,
    /// The share of calls for which GitHub was available.
    Availability,
}

/// The actual value of an objective over a period of time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SloWindow {
    /// The length of the period, in minutes, with the current minute.
    pub minutes: u64,
    /// The calls or requests in the period.
    pub count: u64,
    /// The actual value: a share from 0 to 1, or seconds; `None` if there was no call.
    pub value: Option<f64>,
    /// Whether the objective is met; `None` if there was no call.
    pub met: Option<bool>,
}

/// The reported periods, in minutes.
const WINDOWS: [u64; 3] = [5, 60, 24 * 60];
/// With fewer calls than this, the objectives do not affect the status.
const MIN_SAMPLES: u64 = 20;

/// The state of a client, from which its health follows.
pub(crate) struct HealthInputs<'a> {
    pub(crate) identity: String,
    pub(crate) token: Option<TokenHealth>,
    pub(crate) gateway: Option<TokenHealth>,
    /// The names and the states of the API's server and of the upload server, which can be the same.
    pub(crate) circuits: [(&'a str, CircuitState); 2],
    pub(crate) store: Option<StoreHealth>,
    pub(crate) limits: RateLimitHealth,
    pub(crate) recent: &'a RecentActivity,
    pub(crate) slo: &'a ServiceLevelObjectives,
    /// The names of the exhausted budgets.
    pub(crate) exhausted_budgets: Vec<&'a str>,
}

impl Health {
    /// Returns whether calls can be expected to succeed, possibly after a delay: the result of a readiness probe.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.status != HealthStatus::NotReady
    }

    /// Returns the health as JSON, on one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Numbers and strings always have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Assesses the state of a client.
    pub(crate) fn new(inputs: HealthInputs<'_>) -> Self {
        let mut circuits: Vec<CircuitHealth> = Vec::new();
        for (server, state) in inputs.circuits {
            if circuits.iter().all(|known| known.server != server) {
                circuits.push(CircuitHealth { server: server.to_owned(), state });
            }
        }
        let store = inputs.store.map(|health| StoreStatus {
            unavailable_for_secs: health.unavailable_for.map(|down| down.as_secs_f64()),
            outages: health.outages,
        });
        let mut health = Self {
            time: clock::to_utc(clock::monotonic_wall_clock()),
            identity: inputs.identity,
            status: HealthStatus::Ready,
            reasons: Vec::new(),
            token: inputs.token,
            gateway: inputs.gateway,
            circuits,
            store,
            limits: inputs.limits,
            objectives: objectives(inputs.recent, inputs.slo),
        };
        health.assess(&inputs.exhausted_budgets);
        health
    }

    /// Adds a problem.
    fn assess(&mut self, exhausted_budgets: &[&str]) {
        let mut found = Vec::new();
        for (token, whose) in [(&self.token, ""), (&self.gateway, " for the gateway")] {
            let Some(token) = token else { continue };
            let Some(failure) = &token.failure else { continue };
            // When the pause has ended, the next call is the probe: the readiness status must admit that call.
            let waits = !token.is_valid && token.retry_in_secs.is_some_and(|next| next > 0.0);
            let status = if waits { HealthStatus::NotReady } else { HealthStatus::Degraded };
            found.push((status, format!("token refresh{whose} failed: {failure}")));
        }
        for (index, circuit) in self.circuits.iter().enumerate() {
            let status = match (circuit.state, index) {
                (CircuitState::Closed, _) => continue,
                (CircuitState::Open, 0) => HealthStatus::NotReady,
                _ => HealthStatus::Degraded,
            };
            found.push((status, format!("circuit open: too many failures of {}", circuit.server)));
        }
        let degraded = |reason: String| (HealthStatus::Degraded, reason);
        let exhausted = exhausted_budgets.iter();
        found.extend(exhausted.map(|name| degraded(format!("budget {name:?} is exhausted"))));
        if let Some(down) = self.store.as_ref().and_then(|store| store.unavailable_for_secs) {
            found.push(degraded(format!("store unavailable for {down:.0} s")));
        }
        if let Some(paused) = self.limits.paused_for_secs {
            found.push(degraded(format!("secondary rate limit exceeded; retry in {paused:.0} s")));
        }
        for primary in &self.limits.primary {
            if let (0, Some(reset)) = (primary.remaining, primary.reset) {
                let name = &primary.resource;
                found.push(degraded(format!(
                    "primary rate limit {name} exhausted; resets in {reset:.0} s"
                )));
            }
        }
        for SloStatus { kind: objective, windows, .. } in &self.objectives {
            let missed = windows.first().filter(|window| window.count >= MIN_SAMPLES);
            if missed.is_some_and(|window| window.met == Some(false)) {
                found.push(degraded(format!("objective missed: {objective}")));
            }
        }
        self.status = found.iter().map(|(status, _)| *status).max().unwrap_or(HealthStatus::Ready);
        self.reasons = found.into_iter().map(|(_, reason)| reason).collect();
    }
}

fn objectives(watch: &RecentActivity, expected: &ServiceLevelObjectives) -> Vec<SloStatus> {
    let windows = WINDOWS.map(|minutes| (minutes, watch.last(minutes)));
    let share = |part: u64, all: u64| (all > 0).then(|| part as f64 / all as f64);
    let of = |objective, target: f64, value: &dyn Fn(&MinuteStats) -> (u64, Option<f64>)| {
        let windows = windows.iter().map(|(minutes, sum)| {
            let (count, value) = value(sum);
            let met = value.map(|value| match objective {
                SloKind::Availability => value >= target,
                // The remainder cannot be less than zero.
                _ => value < target || value == 0.0,
            });
            SloWindow { minutes: *minutes, count, value, met }
        });
        SloStatus { kind: objective, target, windows: windows.collect() }
    };
    vec![
        of(SloKind::ErrorRate, expected.max_error_rate, &|sum| {
            (sum.calls, share(sum.failed, sum.calls))
        }),
        of(SloKind::MeanLatency, expected.max_mean_latency.as_secs_f64(), &|sum| {
            let mean =
                (sum.responses > 0).then(|| sum.total_latency.as_secs_f64() / sum.responses as f64);
            (sum.responses, mean)
        }),
        of(SloKind::Availability, expected.min_availability, &|sum| {
            (sum.calls, share(sum.calls - sum.unavailable, sum.calls))
        }),
    ]
}

impl fmt::Display for SloKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ErrorRate => "error rate",
            Self::MeanLatency => "mean response time",
            Self::Availability => "availability",
        })
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = match self.status {
            HealthStatus::Ready => "ready",
            HealthStatus::Degraded => "degraded",
            HealthStatus::NotReady => "not ready",
        };
        write!(f, "{} is {status}", self.identity)?;
        if !self.reasons.is_empty() {
            write!(f, ": {}", self.reasons.join("; "))?;
        }
        Ok(())
    }
}
