//! Keeps one source's token: renewed ahead of its end, once however many calls wait.
//!
//! A call asks for a [`pass`](Keeper::pass) and, if GitHub refuses it, for what to do
//! ([`refused`](Keeper::refused)). While the token is good that is a clock read and a clone of a
//! reference. A token is minted in a task of its own, the *flight*, so that a call which is
//! dropped while it waits takes nothing from the others.

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

/// The keeper of one source's token.
pub(crate) struct Keeper {
    source: Arc<dyn TokenSource>,
    policy: TokenPolicy,
    store: Option<Arc<dyn TokenStore>>,
    held: RwLock<Option<Arc<Held>>>,
    state: Mutex<State>,
}

/// A token that is kept, and until when.
#[derive(Debug)]
pub(crate) struct Held {
    token: AccessToken,
    /// Counts the tokens of a keeper, so that a refusal is laid to the right one.
    serial: u64,
    since: Instant,
    /// Whether it was minted then, and not only found.
    minted: bool,
    /// From here on the token is renewed while it is used.
    renew: Option<Due>,
    /// From here on it is not used.
    end: Option<Due>,
}

impl Held {
    /// The `Authorization` header: a reference to the one that was made with the token.
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
    /// The mint under way.
    flight: Option<Flight>,
    flights: u64,
    /// Whether the last flight stalled or was lost: it may still hold the lock of the store.
    has_stalled: bool,
    serial: u64,
    /// Failures since the last token, and when the next attempt may begin.
    failures: u32,
    failed: Option<(Instant, Error)>,
    /// What GitHub refused last: a store may still hold it.
    refused: Option<AccessToken>,
    discarded_at: Option<Instant>,
    warned_at: Option<Instant>,
}

type Outcome = Result<Arc<Held>>;

/// A mint under way.
#[derive(Clone)]
struct Flight {
    /// Tells it from others.
    number: u64,
    since: Instant,
    outcome: watch::Receiver<Option<Outcome>>,
    /// The runtime of its task.
    runtime: Option<HomeRuntime>,
}

/// What a call does about its turn.
enum Turn {
    Go(Arc<Held>),
    Wait(Flight),
    Fail(Error),
}

/// Waits before a token that may not have settled is sent again; each once, doubling.
const SETTLE_DELAY: Duration = Duration::from_millis(500);
/// How often a token is discarded because GitHub refused it.
const DISCARD_INTERVAL: Duration = Duration::from_secs(60);
/// How often an old credential is warned about.
const WARN_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest pause after a failure that a server asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);
/// How long a flight may take, whatever hangs: a source, a store, or a runtime that nobody drives.
const LONGEST_FLIGHT: Duration = Duration::from_secs(5 * 60);
/// A token that is read from somewhere costs nothing to read again.
const REREAD_INTERVAL: Duration = Duration::from_secs(1);
/// A credential's age is looked at this often.
const AGE_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
/// Flights that ended without an outcome before a call gives up.
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

    /// Takes a token that is at hand before any was minted.
    fn begin_with(&self, token: AccessToken) {
        let mut state = self.state();
        state.serial = state.serial.wrapping_add(1);
        self.set(Some(Arc::new(self.hold(token, state.serial, false))));
    }

    pub(crate) fn source(&self) -> &dyn TokenSource {
        &*self.source
    }

    /// The token for one attempt.
    ///
    /// It waits only if there is none that is good: for the flight that is under way, or for one
    /// that it starts. Every waiter gets the same outcome.
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
            // A flight is lost if the runtime that flew it was shut down, or stands still.
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

    /// Waits until the runtime of a flight stands still, if another flight may begin then. A token that can
    /// be renewed once must not be renewed twice at a time.
    async fn stalled(&self, runtime: Option<&HomeRuntime>) {
        runtimes::stalled(runtime.filter(|_| self.source.keep() != Keep::Must)).await;
    }

    /// Does not wait for a flight any longer.
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

    /// What a call does whose token GitHub refused: sends again after this time, or, for `None`,
    /// fails. `times` is how often it was refused before.
    pub(crate) fn refused(
        &self,
        held: &Held,
        times: u32,
        rejection: &Rejection<'_>,
    ) -> Option<Duration> {
        let mut state = self.state();
        let current = self.current();
        if current.is_none_or(|current| current.serial != held.serial) {
            // Replaced meanwhile: another call was refused first.
            return Some(Duration::ZERO);
        }
        // An endpoint that wants another kind of token takes none of these, however long one waits.
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

    /// How its token is.
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

    /// The token at hand, fresh or not.
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
        // A flight takes itself off when it arrives: one whose channel is closed was lost.
        // So was one that takes longer than any may: nobody drives its runtime.
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

    /// Starts the flight.
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
            // A source that panics is one that fails.
            let mint =
                AssertUnwindSafe(timeout(LONGEST_FLIGHT, keeper.mint(&client, replaces_stalled)));
            let outcome = match mint.catch_unwind().await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => Err(keeper.hangs()),
                Err(_) => Err(keeper.lost()),
            };
            if replaces_stalled && outcome.is_err() {
                // The stalled one may still hold the lock.
                keeper.state().has_stalled = true;
            }
            let outcome = keeper.arrive(number, outcome);
            sender.send_replace(Some(outcome));
        };
        tokio::spawn(FLYING.scope(flying, flown.instrument(span)));
        flight
    }

    /// Takes the outcome of a flight over.
    fn arrive(&self, number: u64, outcome: Result<Minted>) -> Outcome {
        let mut state = self.state();
        if state.flight.as_ref().is_some_and(|flight| flight.number == number) {
            state.flight = None;
        } else if let Some(held) = self.current().filter(|held| held.is_good()) {
            // Another flight took its place, and has arrived.
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

    /// Lets nobody try again for a while.
    fn fail(&self, state: &mut State, error: Error) {
        state.failures = state.failures.saturating_add(1);
        let delay = self.policy.delay(state.failures);
        // A budget may be raised, or another process may give something back.
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
        // One that never ends is looked at for its age.
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

    /// The age of the credential behind the tokens.
    pub(crate) fn age(&self) -> Option<Duration> {
        SystemTime::now().duration_since(self.source.created_at()?).ok()
    }
}

tokio::task_local! {
    /// The keepers in whose flights this task is: to wait for one of them is to wait for ever.
    static FLYING: Vec<usize>;
}

/// The flights that this task is a part of, and this one.
fn flying_now(own: usize) -> Vec<usize> {
    let mut flying = FLYING.try_with(Clone::clone).unwrap_or_default();
    flying.push(own);
    flying
}

/// Keeps this in the flights that the task is a part of now, in whichever task it is polled later.
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
