//! How a client is: what a readiness probe asks, and whether objectives are met.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

pub use crate::auth::TokenHealth;
use crate::circuit::CircuitState;
use crate::client::Client;
use crate::clock;
pub use crate::limits::{LimitsHealth, PrimaryHealth};
use crate::telemetry::watch::{Minute, Watch};

/// What is expected of calls: [`ClientBuilder::objectives`](crate::ClientBuilder::objectives).
///
/// A call failed if it was answered with 401, 403, 408, 429 or 5xx, or ended with an error that is not the
/// caller's own. It was unavailable if GitHub could not be reached, did not answer in time, answered 5xx, or
/// the [circuit](crate::CircuitBreaker) was open. Fewer than twenty calls in five minutes are no reason to be
/// [degraded](HealthStatus::Degraded), however they ended. What the caller asked for in vain or wrongly, such as a
/// 404 or 422, is no failure, nor is a response that is [not ready](crate::Error::is_not_ready), nor are the errors of a GraphQL query; what the caller dropped does not count.
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use = "objectives do nothing before they are given to a client"]
pub struct Objectives {
    error_rate: f64,
    mean_response: Duration,
    availability: f64,
}

impl Default for Objectives {
    /// Less than 1 % of calls fail, requests are answered in less than 500 ms on average, and 99.9 % of calls
    /// find GitHub available.
    fn default() -> Self {
        Self { error_rate: 0.01, mean_response: Duration::from_millis(500), availability: 0.999 }
    }
}

impl Objectives {
    /// The share of calls, from 0 to 1, that fewer fail than; 0.01 by default.
    pub fn error_rate(mut self, share: f64) -> Self {
        self.error_rate = if share.is_finite() { share.clamp(0.0, 1.0) } else { 1.0 };
        self
    }

    /// The time in which requests are answered on average; 500 ms by default.
    pub fn mean_response(mut self, time: Duration) -> Self {
        self.mean_response = time;
        self
    }

    /// The share of calls, from 0 to 1, that find GitHub available; 0.999 by default.
    pub fn availability(mut self, share: f64) -> Self {
        self.availability = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
        self
    }
}

/// How a client is: [`Client::health`]. As JSON it has the same names; times are in seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// When.
    pub time: DateTime<Utc>,
    /// As whom the client calls.
    pub identity: String,
    /// What a probe decides by.
    pub status: HealthStatus,
    /// Why it is not [`Ready`](HealthStatus::Ready), in a sentence each.
    pub reasons: Vec<String>,
    /// The token; `None` for a client without one.
    pub token: Option<TokenHealth>,
    /// The token for a [gateway](crate::ClientBuilder::gateway), if there is one.
    pub gateway: Option<TokenHealth>,
    /// The servers that it calls: the API's, and that for uploads if it is another.
    pub circuits: Vec<CircuitHealth>,
    /// The store; `None` without one.
    pub store: Option<StoreStatus>,
    /// The rate limits of the identity.
    pub limits: LimitsHealth,
    /// The objectives, each over the last 5 minutes, hour and day.
    pub objectives: Vec<ObjectiveHealth>,
}

/// Whether calls may be expected to succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HealthStatus {
    /// They may.
    Ready,
    /// They may, but they wait, or something has to be looked after.
    Degraded,
    /// They will fail at once: no token can be had for the moment, or the circuit of the API's server is open. It ends by
    /// itself, without a call.
    NotReady,
}

/// How a server is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CircuitHealth {
    /// Its address.
    pub server: String,
    /// Whether calls to it are let through.
    pub state: CircuitState,
}

/// How the store is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StoreStatus {
    /// For how long it has not answered, in seconds; `None` if it does.
    pub down: Option<f64>,
    /// How often it stopped answering since the client was built.
    pub outages: u64,
}

/// Whether an objective is met.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ObjectiveHealth {
    /// Which one.
    pub objective: Objective,
    /// What is expected: a share from 0 to 1, or seconds.
    pub target: f64,
    /// What was, over the last 5 minutes, hour and day.
    pub windows: Vec<ObjectiveWindow>,
}

/// The sorts of objectives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Objective {
    /// The share of calls that failed.
    ErrorRate,
    /// The mean time in which requests were answered.
    MeanResponse,
    /// The share of calls that found GitHub available.
    Availability,
}

/// How an objective was met over a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ObjectiveWindow {
    /// How long it is, in minutes, with the one that goes on.
    pub minutes: u64,
    /// The calls or requests in it.
    pub count: u64,
    /// What was: a share from 0 to 1, or seconds; `None` if there was no call.
    pub value: Option<f64>,
    /// Whether that is what is expected; `None` if there was no call.
    pub is_met: Option<bool>,
}

/// The stretches of time that objectives are told of, in minutes.
const WINDOWS: [u64; 3] = [5, 60, 24 * 60];
/// Fewer calls than these say nothing of a client's health.
const ENOUGH: u64 = 20;

impl Health {
    /// Whether calls may be expected to succeed, if only after a while: what a readiness probe asks.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.status != HealthStatus::NotReady
    }

    /// The health as JSON, on one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Numbers and text are JSON whatever they are.
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(crate) fn of(client: &Client) -> Self {
        let inner = client.inner();
        let mut circuits: Vec<CircuitHealth> = Vec::new();
        for circuit in &inner.circuits {
            let server = circuit.server().to_owned();
            if circuits.iter().all(|known| known.server != server) {
                circuits.push(CircuitHealth { server, state: circuit.current() });
            }
        }
        let store = client.store_health().map(|health| StoreStatus {
            down: health.down.map(|down| down.as_secs_f64()),
            outages: health.outages,
        });
        let mut health = Self {
            time: clock::date(clock::now()),
            identity: client.identity().into_owned(),
            status: HealthStatus::Ready,
            reasons: Vec::new(),
            token: inner.auth.keeper().map(|keeper| keeper.health()),
            gateway: inner.gateway.as_ref().map(|gateway| gateway.keeper.health()),
            circuits,
            store,
            limits: client.lane().health(client.limited_as().into_owned()),
            objectives: objectives(&inner.watch, &inner.objectives),
        };
        health.judge(client.account().spent());
        health
    }

    /// Says what is not as it should be.
    fn judge<'a>(&mut self, spent: impl Iterator<Item = &'a str>) {
        let mut found = Vec::new();
        for (token, whose) in [(&self.token, ""), (&self.gateway, " for the gateway")] {
            let Some(token) = token else { continue };
            let Some(failure) = &token.failure else { continue };
            // When the pause is over, the next call finds out: somebody has to be let in to make it.
            let waits = !token.is_good && token.next_attempt.is_some_and(|next| next > 0.0);
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
        found.extend(spent.map(|name| degraded(format!("budget {name:?} is exhausted"))));
        if let Some(down) = self.store.as_ref().and_then(|store| store.down) {
            found.push(degraded(format!("store unavailable for {down:.0} s")));
        }
        if let Some(paused) = self.limits.paused {
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
        for ObjectiveHealth { objective, windows, .. } in &self.objectives {
            let missed = windows.first().filter(|window| window.count >= ENOUGH);
            if missed.is_some_and(|window| window.is_met == Some(false)) {
                found.push(degraded(format!("objective missed: {objective}")));
            }
        }
        self.status = found.iter().map(|(status, _)| *status).max().unwrap_or(HealthStatus::Ready);
        self.reasons = found.into_iter().map(|(_, reason)| reason).collect();
    }
}

fn objectives(watch: &Watch, expected: &Objectives) -> Vec<ObjectiveHealth> {
    let windows = WINDOWS.map(|minutes| (minutes, watch.last(minutes)));
    let share = |part: u64, all: u64| (all > 0).then(|| part as f64 / all as f64);
    let of = |objective, target: f64, value: &dyn Fn(&Minute) -> (u64, Option<f64>)| {
        let windows = windows.iter().map(|(minutes, sum)| {
            let (count, value) = value(sum);
            let is_met = value.map(|value| match objective {
                Objective::Availability => value >= target,
                // Nothing is less than nothing.
                _ => value < target || value == 0.0,
            });
            ObjectiveWindow { minutes: *minutes, count, value, is_met }
        });
        ObjectiveHealth { objective, target, windows: windows.collect() }
    };
    vec![
        of(Objective::ErrorRate, expected.error_rate, &|sum| {
            (sum.calls, share(sum.failed, sum.calls))
        }),
        of(Objective::MeanResponse, expected.mean_response.as_secs_f64(), &|sum| {
            let mean = (sum.answers > 0).then(|| sum.took.as_secs_f64() / sum.answers as f64);
            (sum.answers, mean)
        }),
        of(Objective::Availability, expected.availability, &|sum| {
            (sum.calls, share(sum.calls - sum.unavailable, sum.calls))
        }),
    ]
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ErrorRate => "error rate",
            Self::MeanResponse => "mean response time",
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
