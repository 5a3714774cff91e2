//! A circuit breaker for each server: while most attempts fail, calls fail at once.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::error::{Error, ErrorKind};
use crate::meter;
use crate::time::clock::{millis, saturating_after};
use crate::time::ring::TimeRing;

/// Policy for rejecting calls to a failing server before they are sent.
///
/// The circuit breaker counts attempts without a response, and responses with 500, 502, 503 and 504. If too many
/// attempts fail, the circuit *opens*: for a while every call fails at once with [`ErrorKind::CircuitOpen`], so that
/// the program does not wait for a server that is down, and the server is not loaded further. Then a few calls are
/// admitted as probes (*half open*): if they succeed, the circuit is *closed* again, otherwise it stays open for twice
/// as long.
///
/// ```
/// use std::time::Duration;
/// use octowire::{CircuitBreaker, Client};
///
/// # fn example() -> octowire::Result<()> {
/// let breaker = CircuitBreaker::default().failure_rate(0.8).open_duration(Duration::from_secs(5));
/// let client = Client::builder().circuit_breaker(breaker).build()?;
/// # let _ = client;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "it does nothing before it is given to a client"]
pub struct CircuitBreaker {
    failure_rate: f64,
    min_samples: u32,
    window: Duration,
    open_duration: Duration,
    half_open_probes: u32,
    is_disabled: bool,
}

/// The state of a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CircuitState {
    /// Calls are admitted.
    Closed,
    /// Calls fail at once.
    Open,
    /// A few calls are admitted as probes.
    HalfOpen,
}

impl CircuitState {
    /// Returns the value of the metric `octowire_circuit_state`.
    pub(crate) fn metric_value(self) -> f64 {
        match self {
            Self::Closed => 0.0,
            Self::HalfOpen => 1.0,
            Self::Open => 2.0,
        }
    }
}

const HOUR: Duration = Duration::from_secs(60 * 60);
/// The longest time that a circuit stays open before a probe.
const MAX_OPEN_DURATION: Duration = Duration::from_secs(5 * 60);

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self {
            failure_rate: 0.5,
            min_samples: 20,
            window: Duration::from_secs(30),
            open_duration: Duration::from_secs(10),
            half_open_probes: 3,
            is_disabled: false,
        }
    }
}

impl CircuitBreaker {
    /// Returns a policy without a circuit breaker: every call is sent.
    pub fn disabled() -> Self {
        Self { is_disabled: true, ..Self::default() }
    }

    /// Sets the share of failures, from 0 to 1, at which the circuit opens; 0.5 by default.
    pub fn failure_rate(mut self, share: f64) -> Self {
        self.failure_rate = if share.is_finite() { share.clamp(0.0, 1.0) } else { 1.0 };
        self
    }

    /// Sets how many attempts have to be counted before the share of failures is used; 20 by default, at least 1.
    pub fn min_samples(mut self, attempts: u32) -> Self {
        self.min_samples = attempts.max(1);
        self
    }

    /// Sets how long an attempt counts; 30 seconds by default, an hour at most.
    pub fn window(mut self, time: Duration) -> Self {
        self.window = time.min(HOUR);
        self
    }

    /// Sets how long the circuit stays open at first; 10 seconds by default. It doubles each time that it opens again,
    /// up to five minutes.
    pub fn open_duration(mut self, time: Duration) -> Self {
        self.open_duration = time.min(MAX_OPEN_DURATION);
        self
    }

    /// Sets how many probes have to succeed for the circuit to close, which is also how many are admitted at a time; 3
    /// by default, at least 1.
    pub fn half_open_probes(mut self, calls: u32) -> Self {
        self.half_open_probes = calls.max(1);
        self
    }
}

/// The circuits of a client. They are the same if the API and uploads have the same server.
pub(crate) struct EndpointCircuits {
    pub(crate) api: Arc<Circuit>,
    pub(crate) upload: Arc<Circuit>,
}

impl EndpointCircuits {
    /// Returns both, the API's first.
    pub(crate) fn all(&self) -> [&Arc<Circuit>; 2] {
        [&self.api, &self.upload]
    }
}

/// The circuit of one server.
pub(crate) struct Circuit {
    policy: CircuitBreaker,
    /// The server's name, for error messages.
    server: String,
    /// Whether the circuit is not closed, so that the usual case costs one atomic read.
    not_closed: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    origin: Instant,
    /// The attempts and failures of each bucket of the window.
    counts: TimeRing<(u32, u32)>,
    phase: Phase,
    /// How often the circuit has opened since it was closed.
    consecutive_openings: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed,
    Open { until: Instant },
    HalfOpen { in_flight: u32, succeeded: u32, since: Instant },
}

const BUCKETS: u64 = 10;

impl Circuit {
    pub(crate) fn new(policy: CircuitBreaker, server: String) -> Arc<Self> {
        let state = State {
            origin: Instant::now(),
            counts: TimeRing::new(BUCKETS),
            phase: Phase::Closed,
            consecutive_openings: 0,
        };
        let not_closed = AtomicBool::new(false);
        Arc::new(Self { policy, server, not_closed, state: Mutex::new(state) })
    }

    /// Returns whether the circuit would admit an attempt, without taking the place of a probe.
    ///
    /// # Errors
    /// If the circuit is open.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.policy.is_disabled || !self.not_closed.load(Ordering::Acquire) {
            return Ok(());
        }
        match self.state().phase {
            Phase::Open { until } => match until.checked_duration_since(Instant::now()) {
                Some(wait) if !wait.is_zero() => Err(self.open_error(wait)),
                _ => Ok(()),
            },
            Phase::Closed | Phase::HalfOpen { .. } => Ok(()),
        }
    }

    /// Admits an attempt.
    ///
    /// # Errors
    /// If the circuit is open.
    pub(crate) fn acquire(self: &Arc<Self>) -> Result<CircuitPermit, Error> {
        let permit =
            |probe| CircuitPermit { circuit: Some(Arc::clone(self)), probing_since: probe };
        if self.policy.is_disabled {
            return Ok(CircuitPermit { circuit: None, probing_since: None });
        }
        if !self.not_closed.load(Ordering::Acquire) {
            return Ok(permit(None));
        }
        let now = Instant::now();
        let mut state = self.state();
        match state.phase {
            Phase::Closed => Ok(permit(None)),
            Phase::Open { until } if now < until => {
                Err(self.open_error(until.saturating_duration_since(now)))
            }
            Phase::Open { .. } => {
                info!(server = self.server, "circuit half-open; probing");
                state.phase = Phase::HalfOpen { in_flight: 1, succeeded: 0, since: now };
                meter::circuit(&self.server, CircuitState::HalfOpen.metric_value());
                Ok(permit(Some(now)))
            }
            Phase::HalfOpen { in_flight, succeeded, since } => {
                if in_flight.saturating_add(succeeded) >= self.policy.half_open_probes {
                    return Err(self.open_error(Duration::from_secs(1)));
                }
                let in_flight = in_flight.saturating_add(1);
                state.phase = Phase::HalfOpen { in_flight, succeeded, since };
                Ok(permit(Some(since)))
            }
        }
    }

    /// Returns the server's name.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    pub(crate) fn current(&self) -> CircuitState {
        match self.state().phase {
            Phase::Closed => CircuitState::Closed,
            Phase::Open { until } if Instant::now() < until => CircuitState::Open,
            Phase::Open { .. } | Phase::HalfOpen { .. } => CircuitState::HalfOpen,
        }
    }

    fn open_error(&self, wait: Duration) -> Error {
        Error::new(
            ErrorKind::CircuitOpen,
            format!("circuit open: too many failures of {}", self.server),
        )
        .with_advice(format!(
            "nothing was sent: retry in {} s; see https://www.githubstatus.com",
            wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0))
        ))
        .with_retry_after(wait)
        .with_retryable(true)
    }

    fn record(&self, now: Instant, probe: Option<Instant>, failed: bool) {
        let mut state = self.state();
        match (probe, state.phase) {
            (None, Phase::Closed) => {
                state.count(now, self.policy.window, failed);
                // A success never opens the circuit.
                if failed && state.exceeds(&self.policy) {
                    self.open_circuit(&mut state, now);
                }
            }
            (Some(then), Phase::HalfOpen { in_flight, succeeded, since }) if then == since => {
                if failed {
                    self.open_circuit(&mut state, now);
                } else if succeeded.saturating_add(1) >= self.policy.half_open_probes {
                    info!(server = self.server, "circuit closed");
                    meter::circuit(&self.server, CircuitState::Closed.metric_value());
                    state.phase = Phase::Closed;
                    state.consecutive_openings = 0;
                    state.counts = TimeRing::new(BUCKETS);
                    self.not_closed.store(false, Ordering::Release);
                } else {
                    let in_flight = in_flight.saturating_sub(1);
                    let succeeded = succeeded.saturating_add(1);
                    state.phase = Phase::HalfOpen { in_flight, succeeded, since };
                }
            }
            // The attempt was admitted before the circuit opened, or closed.
            _ => {}
        }
    }

    /// Returns the slot of a probe that was dropped before its end.
    fn release_probe(&self, probe: Instant) {
        let mut state = self.state();
        if let Phase::HalfOpen { in_flight, succeeded, since } = state.phase
            && since == probe
        {
            let in_flight = in_flight.saturating_sub(1);
            state.phase = Phase::HalfOpen { in_flight, succeeded, since };
        }
    }

    fn open_circuit(&self, state: &mut State, now: Instant) {
        let doubled = 1_u32.checked_shl(state.consecutive_openings).unwrap_or(u32::MAX);
        let time = self.policy.open_duration.saturating_mul(doubled).min(MAX_OPEN_DURATION);
        warn!(server = self.server, open_duration = ?time, "circuit opened: too many failures");
        meter::circuit(&self.server, CircuitState::Open.metric_value());
        state.phase = Phase::Open { until: saturating_after(now, time) };
        state.consecutive_openings = state.consecutive_openings.saturating_add(1);
        self.not_closed.store(true, Ordering::Release);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts an attempt.
    fn count(&mut self, now: Instant, window: Duration, failed: bool) {
        let part = (millis(window) / BUCKETS).max(1);
        let passed = millis(now.saturating_duration_since(self.origin));
        let count = self.counts.bucket_mut(passed.checked_div(part).unwrap_or_default());
        count.0 = count.0.saturating_add(1);
        count.1 = count.1.saturating_add(u32::from(failed));
    }

    /// Returns whether the share of failures in the window, up to the last attempt, opens the circuit.
    fn exceeds(&self, policy: &CircuitBreaker) -> bool {
        let window = self.counts.since(0);
        let (attempts, failures) =
            window.fold((0_u32, 0_u32), |(attempts, failures), (_, count)| {
                (attempts.saturating_add(count.0), failures.saturating_add(count.1))
            });
        let share = f64::from(failures) / f64::from(attempts.max(1));
        attempts >= policy.min_samples && share >= policy.failure_rate
    }
}

/// An admitted attempt. If it is dropped, it does not count.
#[must_use]
pub(crate) struct CircuitPermit {
    circuit: Option<Arc<Circuit>>,
    /// The start of the half-open period to which the attempt belongs.
    probing_since: Option<Instant>,
}

impl CircuitPermit {
    /// Returns whether the attempt is a probe.
    pub(crate) fn is_probe(&self) -> bool {
        self.probing_since.is_some()
    }

    /// Records the outcome of the attempt, which ended at `now`.
    pub(crate) fn record(mut self, now: Instant, failed: bool) {
        if let Some(circuit) = self.circuit.take() {
            circuit.record(now, self.probing_since, failed);
        }
    }
}

impl Drop for CircuitPermit {
    fn drop(&mut self) {
        if let Some((circuit, probe)) = self.circuit.take().zip(self.probing_since) {
            circuit.release_probe(probe);
        }
    }
}

impl fmt::Debug for Circuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circuit").field("server", &self.server).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn circuit(policy: CircuitBreaker) -> Arc<Circuit> {
        Circuit::new(policy, "api.github.com".to_owned())
    }

    fn attempts(circuit: &Arc<Circuit>, count: u32, failed: bool) {
        for _ in 0..count {
            circuit.acquire().unwrap().record(Instant::now(), failed);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_at_its_share_of_failures_and_not_before_enough_were_counted() {
        let circuit = circuit(CircuitBreaker::default());
        attempts(&circuit, 19, true);
        assert_eq!(circuit.current(), CircuitState::Closed);
        attempts(&circuit, 1, true);
        assert_eq!(circuit.current(), CircuitState::Open);
        let error = circuit.acquire().err().unwrap();
        assert_eq!(
            (error.kind(), error.retry_after()),
            (ErrorKind::CircuitOpen, Some(10 * SECOND))
        );
        assert!(error.to_string().contains("api.github.com"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_failures_among_many_do_not_open_it() {
        let circuit = circuit(CircuitBreaker::default());
        for _ in 0..100 {
            attempts(&circuit, 6, false);
            attempts(&circuit, 4, true);
        }
        assert_eq!(circuit.current(), CircuitState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_outside_the_window_do_not_count() {
        let circuit = circuit(CircuitBreaker::default());
        attempts(&circuit, 19, true);
        advance(31 * SECOND).await;
        attempts(&circuit, 19, true);
        assert_eq!(circuit.current(), CircuitState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn probes_close_it_and_a_failing_one_opens_it_for_longer() {
        let circuit = circuit(CircuitBreaker::default());
        attempts(&circuit, 20, true);
        advance(10 * SECOND).await;
        assert_eq!(circuit.current(), CircuitState::HalfOpen);
        let probes =
            [circuit.acquire().unwrap(), circuit.acquire().unwrap(), circuit.acquire().unwrap()];
        assert!(circuit.acquire().is_err(), "three at a time");
        let [good, dropped, bad] = probes;
        good.record(Instant::now(), false);
        drop(dropped);
        let again = circuit.acquire().unwrap();
        bad.record(Instant::now(), true);
        assert_eq!(circuit.acquire().err().unwrap().retry_after(), Some(20 * SECOND));
        // The attempt belongs to an earlier period.
        again.record(Instant::now(), false);
        advance(20 * SECOND).await;
        attempts(&circuit, 3, false);
        assert_eq!(circuit.current(), CircuitState::Closed);
        attempts(&circuit, 20, true);
        assert_eq!(circuit.acquire().err().unwrap().retry_after(), Some(10 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn it_stays_open_for_five_minutes_at_most_and_can_be_off() {
        let circuit = circuit(CircuitBreaker::default().half_open_probes(1));
        attempts(&circuit, 20, true);
        for _ in 0..40 {
            let wait = circuit.acquire().err().unwrap().retry_after().unwrap();
            assert!(wait <= 300 * SECOND);
            advance(wait).await;
            attempts(&circuit, 1, true);
        }
        let off = super::tests::circuit(CircuitBreaker::disabled());
        attempts(&off, 100, true);
        assert_eq!(off.current(), CircuitState::Closed);
    }
}
