//! Token manager of one source: refreshes the token before it expires, once for all waiting calls.
//!
//! A call requests a [`pass`](Keeper::pass), and if GitHub rejects the token, the next step
//! ([`refused`](Keeper::refused)). While the token is fresh, that is a clock read and a clone of a reference. A refresh
//! runs in a task of its own, so that dropping one waiting call does not affect the others.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use futures_util::future::{Either, select};
use http::HeaderValue;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tracing::{Instrument, debug, info_span, warn};

use super::failure::AuthFailure;
use super::health::TokenHealth;
use super::policy::{TokenPolicy, some_of, with_jitter};
use super::source::{Keep, MintRequest, Reaction, Rejection, TokenSource};
use super::store::TokenStore;
use super::token::AccessToken;
use crate::client::Client;
use crate::clock;
use crate::detachable::BoxFuture;
use crate::error::{Error, ErrorKind, Result};
use crate::runtimes::{self, HomeRuntime};
use crate::telemetry::meter;

mod due;
mod mint;

use due::Due;
use mint::Minted;

/// The token manager of one source.
pub(crate) struct Keeper {
    source: Arc<dyn TokenSource>,
    policy: TokenPolicy,
    store: Option<Arc<dyn TokenStore>>,
    held: RwLock<Option<Arc<Held>>>,
    state: Mutex<State>,
}

/// A cached token with its deadlines.
#[derive(Debug)]
pub(crate) struct Held {
    token: AccessToken,
    /// A sequence number of the manager's tokens, so that a rejection is attributed to the right one.
    serial: u64,
    since: Instant,
    /// Whether the token was issued at that time, in contrast to one that was loaded.
    minted: bool,
    /// From this time on, the token is refreshed while it is still used.
    renew: Option<Due>,
    /// From this time on, the token is not used.
    end: Option<Due>,
}

impl Held {
    /// Returns the `Authorization` header: a reference to the value that was made with the token.
    pub(crate) fn header(&self) -> HeaderValue {
        self.token.header().clone()
    }

    pub(crate) fn token(&self) -> &AccessToken {
        &self.token
    }

    fn is_fresh(&self) -> bool {
        !self.renew.as_ref().is_some_and(Due::has_come)
    }

    fn is_good(&self) -> bool {
        !self.end.as_ref().is_some_and(Due::has_come)
    }
}

#[derive(Default)]
struct State {
    /// The refresh in progress.
    flight: Option<Flight>,
    flights: u64,
    /// Whether the last refresh stalled or was lost: it might still hold the lock of the store.
    has_stalled: bool,
    serial: u64,
    /// The failures since the last token, and the earliest time of the next attempt.
    failures: u32,
    failed: Option<(Instant, Error)>,
    /// The last token that GitHub rejected: a store might still contain it.
    refused: Option<AccessToken>,
    discarded_at: Option<Instant>,
    warned_at: Option<Instant>,
}

type Outcome = Result<Arc<Held>>;

/// A refresh in progress.
#[derive(Clone)]
struct Flight {
    /// Distinguishes this refresh from others.
    number: u64,
    since: Instant,
    outcome: watch::Receiver<Option<Outcome>>,
    /// The runtime of the refresh task.
    runtime: Option<HomeRuntime>,
}

/// The role of a call: it waits for a refresh, or starts one.
enum Turn {
    Go(Arc<Held>),
    Wait(Flight),
    Fail(Error),
}

/// The delay before a token that might not have propagated is sent again; it doubles with each further attempt.
const SETTLE_DELAY: Duration = Duration::from_millis(500);
/// The minimum interval between two tokens that are discarded because GitHub rejected them.
const DISCARD_INTERVAL: Duration = Duration::from_secs(60);
/// The minimum interval between warnings about an old credential.
const WARN_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest delay that a server can request after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);
/// The longest duration of a refresh if a source, a store or a runtime hangs.
const LONGEST_FLIGHT: Duration = Duration::from_secs(5 * 60);
/// The interval for tokens that are read from a file or variable, which is cheap to repeat.
const REREAD_INTERVAL: Duration = Duration::from_secs(1);
/// The interval at which a credential's age is checked.
const AGE_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
/// The number of refreshes without an outcome after which a call fails.
const MAX_LOST_FLIGHTS: usize = 3;

impl Keeper {
    pub(crate) fn new(
        source: Arc<dyn TokenSource>,
        policy: TokenPolicy,
        store: Option<Arc<dyn TokenStore>>,
    ) -> Arc<Self> {
        let store = store.filter(|_| source.keep() != Keep::No);
        let first = source.at_hand();
        let (held, state) = (RwLock::default(), Mutex::default());
        let keeper = Self { source, policy, store, held, state };
        if let Some(token) = first {
            keeper.begin_with(token);
        }
        Arc::new(keeper)
    }

    /// Caches a token that is available before the first refresh.
    fn begin_with(&self, token: AccessToken) {
        let mut state = self.state();
        state.serial = state.serial.wrapping_add(1);
        self.set(Some(Arc::new(self.hold(token, state.serial, false))));
    }

    pub(crate) fn source(&self) -> &dyn TokenSource {
        &*self.source
    }

    /// Returns the token for one attempt.
    ///
    /// It waits only if no fresh token is cached: for the refresh in progress, or for one that it starts. All waiting
    /// calls get the same outcome.
    pub(crate) async fn pass(self: &Arc<Self>, client: &Client) -> Result<Arc<Held>> {
        if let Some(held) = self.current().filter(|held| held.is_fresh()) {
            return Ok(held);
        }
        let own = Arc::as_ptr(self) as usize;
        if FLYING.try_with(|flying| flying.contains(&own)).unwrap_or(false) {
            return Err(self.recursive());
        }
        for _ in 0..MAX_LOST_FLIGHTS {
            let mut flight = match self.turn(client) {
                Turn::Go(held) => return Ok(held),
                Turn::Fail(error) => return Err(error),
                Turn::Wait(flight) => flight,
            };
            // A refresh is lost if its runtime was shut down, or is not polled.
            let outcome = pin!(flight.outcome.wait_for(Option::is_some));
            let stalled = pin!(self.stalled(flight.runtime.as_ref()));
            match select(outcome, stalled).await {
                Either::Left((Ok(outcome), _)) => {
                    if let Some(outcome) = &*outcome {
                        return outcome.clone();
                    }
                }
                Either::Left((Err(_), _)) => {}
                Either::Right(_) => self.give_up(flight.number),
            }
        }
        Err(self.lost())
    }

    /// Waits until the runtime of a refresh stops making progress, if another refresh can start then. A token with a
    /// single-use refresh token must not be refreshed twice at a time.
    async fn stalled(&self, runtime: Option<&HomeRuntime>) {
        runtimes::stalled(runtime.filter(|_| self.source.keep() != Keep::Must)).await;
    }

    /// Abandons a refresh that has stalled.
    fn give_up(&self, number: u64) {
        let mut state = self.state();
        if state.flight.as_ref().is_some_and(|flight| flight.number == number) {
            debug!(
                identity = &*self.source.identity(),
                "token refresh stalled; starting a new one"
            );
            state.flight = None;
            state.has_stalled = true;
        }
    }

    /// Returns the next step of a call after GitHub rejected its token: send again after this delay, or, for `None`,
    /// fail. `times` is the number of earlier rejections.
    pub(crate) fn refused(
        &self,
        held: &Held,
        times: u32,
        rejection: &Rejection<'_>,
    ) -> Option<Duration> {
        let mut state = self.state();
        let current = self.current();
        if current.is_none_or(|current| current.serial != held.serial) {
            // Replaced meanwhile, after a rejection of another call.
            return Some(Duration::ZERO);
        }
        // An endpoint that requires another kind of token rejects all of these, whatever the delay.
        let misdirected = rejection.refusal.wants_jwt;
        let settles = self.source.settles_within();
        let settles = if misdirected || !held.minted { Duration::ZERO } else { settles };
        let delay = SETTLE_DELAY.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX));
        if held.since.elapsed().saturating_add(delay) <= settles {
            debug!(
                identity = &*self.source.identity(),
                "new token not accepted yet; retrying after the propagation delay"
            );
            return Some(delay);
        }
        match self.source.rejected(rejection) {
            Reaction::Fail => return None,
            Reaction::MintAgain => {
                let reread = held.token.asks_again_after().is_some();
                let interval = if reread { REREAD_INTERVAL } else { DISCARD_INTERVAL };
                let early = |at: Instant| at.elapsed() < interval;
                if state.discarded_at.is_some_and(early) {
                    return None;
                }
                state.discarded_at = Some(Instant::now());
            }
            Reaction::Changed => {}
        }
        warn!(identity = &*self.source.identity(), "token rejected by GitHub; refreshing");
        state.refused = Some(held.token.clone());
        self.set(None);
        Some(Duration::ZERO)
    }

    /// Returns the state of the token.
    pub(crate) fn health(&self) -> TokenHealth {
        let state = self.state();
        let held = self.current();
        let failed = state.failed.as_ref();
        let pause = failed.map(|(until, _)| until.saturating_duration_since(Instant::now()));
        TokenHealth {
            identity: self.source.identity().into_owned(),
            is_good: held.as_ref().is_some_and(|held| held.is_good()),
            minted_at: held.as_ref().map(|held| clock::date(held.token.minted_at())),
            expires_at: held.and_then(|held| held.token.expires_at()).map(clock::date),
            failures: state.failures,
            failure: failed.map(|(_, error)| error.to_string()),
            next_attempt: pause.map(|pause| pause.as_secs_f64()),
            credential_age: self.age().map(|age| age.as_secs_f64()),
        }
    }

    /// Returns the cached token, fresh or not.
    fn current(&self) -> Option<Arc<Held>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, held: Option<Arc<Held>>) {
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = held;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(self: &Arc<Self>, client: &Client) -> Turn {
        let mut state = self.state();
        let current = self.current().filter(|held| held.is_good());
        if let Some(held) = current.as_ref().filter(|held| held.is_fresh()) {
            return Turn::Go(Arc::clone(held));
        }
        // A refresh clears its slot when it completes: one whose channel is closed was lost. So was one that exceeds
        // the longest duration: its runtime is not polled.
        let lost = |flight: &Flight| {
            flight.outcome.has_changed().is_err()
                || flight.since.elapsed() > LONGEST_FLIGHT.saturating_add(SETTLE_DELAY)
        };
        if state.flight.as_ref().is_some_and(lost) {
            state.flight = None;
            state.has_stalled = true;
            if current.is_some() {
                self.fail(&mut state, self.lost());
            }
        }
        let flying = state.flight.clone();
        let failed = state.failed.as_ref().filter(|(until, _)| Instant::now() < *until);
        match (current, flying, failed) {
            (Some(held), None, None) => {
                self.depart(&mut state, client);
                Turn::Go(held)
            }
            (Some(held), ..) => Turn::Go(held),
            (None, Some(flight), _) => Turn::Wait(flight),
            (None, None, Some((_, error))) => Turn::Fail(error.clone()),
            (None, None, None) => Turn::Wait(self.depart(&mut state, client)),
        }
    }

    /// Starts a refresh.
    fn depart(self: &Arc<Self>, state: &mut State, client: &Client) -> Flight {
        let (sender, outcome) = watch::channel(None);
        state.flights = state.flights.wrapping_add(1);
        let number = state.flights;
        let flight =
            Flight { number, since: Instant::now(), outcome, runtime: HomeRuntime::current() };
        state.flight = Some(flight.clone());
        let replaces_stalled = std::mem::take(&mut state.has_stalled);
        let flying = flying_now(Arc::as_ptr(self) as usize);
        let (keeper, client) = (Arc::clone(self), client.clone());
        let span = info_span!(parent: None, "github_token", identity = &*self.source.identity());
        let flown = async move {
            // A panic of a source counts as a failure.
            let mint =
                AssertUnwindSafe(timeout(LONGEST_FLIGHT, keeper.mint(&client, replaces_stalled)));
            let outcome = match mint.catch_unwind().await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => Err(keeper.hangs()),
                Err(_) => Err(keeper.lost()),
            };
            if replaces_stalled && outcome.is_err() {
                // The stalled refresh might still hold the lock.
                keeper.state().has_stalled = true;
            }
            let outcome = keeper.arrive(number, outcome);
            sender.send_replace(Some(outcome));
        };
        tokio::spawn(FLYING.scope(flying, flown.instrument(span)));
        flight
    }

    /// Applies the outcome of a refresh.
    fn arrive(&self, number: u64, outcome: Result<Minted>) -> Outcome {
        let mut state = self.state();
        if state.flight.as_ref().is_some_and(|flight| flight.number == number) {
            state.flight = None;
        } else if let Some(held) = self.current().filter(|held| held.is_good()) {
            // Another refresh replaced it, and has completed.
            return Ok(held);
        }
        match outcome {
            Ok(Minted { token, stored }) => {
                state.failures = 0;
                state.failed = None;
                state.serial = state.serial.wrapping_add(1);
                let held = Arc::new(self.hold(token, state.serial, !stored));
                self.warn_of_age(&mut state);
                debug!(expires_at = ?held.token.expires_at(), stored, "token refreshed");
                meter::token(if stored { "stored" } else { "minted" });
                self.set(Some(Arc::clone(&held)));
                Ok(held)
            }
            Err(error) => {
                meter::token("failed");
                self.fail(&mut state, error.clone());
                Err(error)
            }
        }
    }

    /// Blocks further attempts for a while.
    fn fail(&self, state: &mut State, error: Error) {
        state.failures = state.failures.saturating_add(1);
        let delay = self.policy.delay(state.failures);
        // A budget can be raised, or another process can return quota.
        let asked = error.retry_after().filter(|_| error.kind() != ErrorKind::Budget);
        let asked = asked.unwrap_or_default().min(LONGEST_PAUSE);
        let delay = with_jitter(delay).max(asked);
        let good = self.current().is_some_and(|held| held.is_good());
        warn!(%error, token_still_valid = good, retry_in = ?delay, "token refresh failed");
        state.failed = Some((clock::after(Instant::now(), delay), error));
    }

    fn hangs(&self) -> Error {
        AuthFailure::Other
            .error(
                format!(
                    "token refresh timed out after {LONGEST_FLIGHT:?}: no response from the token \
                     source {} or its store",
                    self.source.identity()
                ),
                "set a timeout in the token source",
            )
            .with_retryable(true)
    }

    fn recursive(&self) -> Error {
        AuthFailure::Other.error(
            format!("the token source {} waits for its own token", self.source.identity()),
            "call GitHub with client.without_auth() or client.as_app() in the token source",
        )
    }

    fn lost(&self) -> Error {
        AuthFailure::Other.error(
            format!(
                "the token source {} stopped before it returned a token",
                self.source.identity()
            ),
            "it panicked, or its runtime was shut down: see the log",
        )
    }

    fn hold(&self, token: AccessToken, serial: u64, minted: bool) -> Held {
        let lifetime = token.lifetime();
        let renew = lifetime.map(|lifetime| {
            let ahead = self.policy.margin.saturating_add(some_of(self.policy.jitter));
            lifetime.saturating_sub(ahead.min(clock::half(lifetime)))
        });
        // A token that never expires is still checked for its age.
        let age = self.policy.max_age.and(self.source.created_at()).map(|_| AGE_INTERVAL);
        let renew = renew.into_iter().chain(token.asks_again_after()).chain(age).min();
        Held {
            serial,
            minted,
            since: Instant::now(),
            renew: renew.map(Due::after),
            end: lifetime.map(Due::after),
            token,
        }
    }

    fn warn_of_age(&self, state: &mut State) {
        let Some((max, age)) = self.policy.max_age.zip(self.age()) else { return };
        let lately = |at: Instant| at.elapsed() < WARN_INTERVAL;
        if age > max && !state.warned_at.is_some_and(lately) {
            state.warned_at = Some(Instant::now());
            let days = age.as_secs() / (24 * 60 * 60);
            warn!(age_days = days, "credential exceeds max_age; rotate it");
        }
    }

    /// Returns the age of the credential with which the tokens are requested.
    pub(crate) fn age(&self) -> Option<Duration> {
        SystemTime::now().duration_since(self.source.created_at()?).ok()
    }
}

tokio::task_local! {
    /// The token managers in whose refreshes this task runs: waiting for one of them would never end.
    static FLYING: Vec<usize>;
}

/// Returns the refreshes that this task is a part of, and this one.
fn flying_now(own: usize) -> Vec<usize> {
    let mut flying = FLYING.try_with(Clone::clone).unwrap_or_default();
    flying.push(own);
    flying
}

/// Keeps this future in the refreshes of the current task, in whichever task it is polled later.
pub(crate) fn keep_flights<T: 'static>(future: BoxFuture<T>) -> BoxFuture<T> {
    match FLYING.try_with(Clone::clone) {
        Ok(flying) => Box::pin(FLYING.scope(flying, future)),
        Err(_) => future,
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper")
            .field("source", &self.source)
            .field("token", &self.current().map(|held| held.token.clone()))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
