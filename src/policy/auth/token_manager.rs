//! Token manager of one provider: refreshes the token before it expires, once for all waiting calls.
//!
//! A call requests a [`token`](TokenManager::token), and if GitHub rejects the token, the next step
//! ([`on_rejected`](TokenManager::on_rejected)). While the token is fresh, that is a clock read and a clone of a reference. A refresh
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

use super::health::TokenHealth;
use super::policy::{TokenPolicy, random_fraction, with_jitter};
use super::provider::{Persistence, Rejection, RejectionAction, TokenProvider, TokenRequest};
use super::token::AccessToken;
use super::token_store::TokenStore;
use super::transport::AuthTransport;
use crate::error::auth::AuthFailure;
use crate::error::{Error, FailureClass, Result};
use crate::meter;
use crate::runtime::detachable::BoxFuture;
use crate::runtime::{self, HomeRuntime};
use crate::sanitize::SecretHeader;
use crate::time::clock;

use crate::time::expiry::Expiry;
use refresh::RefreshOutcome;

/// The token manager of one provider.
pub(crate) struct TokenManager {
    provider: Arc<dyn TokenProvider>,
    policy: Arc<TokenPolicy>,
    store: Option<Arc<dyn TokenStore>>,
    cached: RwLock<Option<Arc<CachedToken>>>,
    state: Mutex<State>,
}

/// A cached token with its deadlines.
#[derive(Debug)]
pub(crate) struct CachedToken {
    token: AccessToken,
    /// A sequence number of the manager's tokens, so that a rejection is attributed to the right one.
    generation: u64,
    cached_at: Instant,
    /// Whether the token was issued at that time, in contrast to one that was loaded.
    is_new: bool,
    /// From this time on, the token is refreshed while it is still used.
    refresh_at: Option<Expiry>,
    /// From this time on, the token is not used.
    expiry: Option<Expiry>,
}

impl CachedToken {
    /// Returns the `Authorization` header: a reference to the value that was made with the token.
    pub(crate) fn header(&self) -> HeaderValue {
        self.token.header().clone()
    }

    /// Returns the header with its secrets.
    pub(crate) fn secret_header(&self) -> &SecretHeader {
        self.token.secret_header()
    }

    pub(crate) fn token(&self) -> &AccessToken {
        &self.token
    }

    fn needs_no_refresh(&self) -> bool {
        !self.refresh_at.as_ref().is_some_and(Expiry::has_passed)
    }

    fn is_valid(&self) -> bool {
        !self.expiry.as_ref().is_some_and(Expiry::has_passed)
    }
}

#[derive(Default)]
struct State {
    /// The refresh in progress. In a box, as the backoff, since most managers have neither.
    refresh: Option<Box<Refresh>>,
    refresh_count: u64,
    /// Whether the last refresh stalled or was lost: it might still hold the lock of the store.
    last_refresh_stalled: bool,
    generation: u64,
    /// The failures since the last token, and the earliest time of the next attempt.
    failures: u32,
    backoff: Option<Box<(Instant, Error)>>,
    /// The last token that GitHub rejected: a store might still contain it.
    last_rejected: Option<Arc<CachedToken>>,
    discarded_at: Option<Instant>,
    age_warned_at: Option<Instant>,
}

type RefreshResult = Result<Arc<CachedToken>>;

/// A refresh in progress.
#[derive(Clone)]
struct Refresh {
    /// Distinguishes this refresh from others.
    number: u64,
    started_at: Instant,
    outcome: watch::Receiver<Option<RefreshResult>>,
    /// The runtime of the refresh task.
    runtime: Option<HomeRuntime>,
}

/// The role of a call: it waits for a refresh, or starts one.
enum Acquisition {
    Ready(Arc<CachedToken>),
    Pending(Refresh),
    Failed(Error),
}

/// The delay before a token that might not have propagated is sent again; it doubles with each further attempt.
const SETTLE_DELAY: Duration = Duration::from_millis(500);
/// The minimum interval between two tokens that are discarded because GitHub rejected them.
const DISCARD_INTERVAL: Duration = Duration::from_secs(60);
/// The minimum interval between warnings about an old credential.
const WARN_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest delay that a server can request after a failure.
const MAX_BACKOFF: Duration = Duration::from_secs(60 * 60);
/// The longest duration of a refresh if a provider, a store or a runtime hangs.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// The interval for tokens that are read from a file or variable, which is cheap to repeat.
const REREAD_INTERVAL: Duration = Duration::from_secs(1);
/// The interval at which a credential's age is checked.
const AGE_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
/// The number of refreshes without an outcome after which a call fails.
const MAX_ABORTED_REFRESHES: usize = 3;

impl TokenManager {
    pub(crate) fn new(
        provider: Arc<dyn TokenProvider>,
        policy: Arc<TokenPolicy>,
        store: Option<Arc<dyn TokenStore>>,
    ) -> Arc<Self> {
        let store = store.filter(|_| provider.persistence() != Persistence::None);
        let first = provider.initial_token();
        let (cached, state) = (RwLock::default(), Mutex::default());
        let token_manager = Self { provider, policy, store, cached, state };
        if let Some(token) = first {
            token_manager.set_initial(token);
        }
        Arc::new(token_manager)
    }

    /// Caches a token that is available before the first refresh.
    fn set_initial(&self, token: AccessToken) {
        let mut state = self.state();
        state.generation = state.generation.wrapping_add(1);
        self.set(Some(Arc::new(self.cache_token(token, state.generation, false))));
    }

    pub(crate) fn provider(&self) -> &dyn TokenProvider {
        &*self.provider
    }

    /// Returns the token for one attempt.
    ///
    /// It waits only if no fresh token is cached: for the refresh in progress, or for one that it starts. All waiting
    /// calls get the same outcome.
    pub(crate) async fn token(
        self: &Arc<Self>,
        transport: &dyn AuthTransport,
    ) -> Result<Arc<CachedToken>> {
        match self.fresh_token() {
            Some(cached) => Ok(cached),
            // In a box, since most calls do not wait.
            None => Box::pin(self.acquire(transport)).await,
        }
    }

    async fn acquire(self: &Arc<Self>, transport: &dyn AuthTransport) -> Result<Arc<CachedToken>> {
        let manager_id = Arc::as_ptr(self) as usize;
        if REFRESHING.try_with(|refreshes| refreshes.contains(&manager_id)).unwrap_or(false) {
            return Err(self.recursive_error());
        }
        for _ in 0..MAX_ABORTED_REFRESHES {
            let mut refresh = match self.next_step(transport) {
                Acquisition::Ready(cached) => return Ok(cached),
                Acquisition::Failed(error) => return Err(error),
                Acquisition::Pending(refresh) => refresh,
            };
            // A refresh is lost if its runtime was shut down, or is not polled.
            let outcome = pin!(refresh.outcome.wait_for(Option::is_some));
            let stalled = pin!(self.wait_for_stall(refresh.runtime.as_ref()));
            match select(outcome, stalled).await {
                Either::Left((Ok(outcome), _)) => {
                    if let Some(outcome) = &*outcome {
                        return outcome.clone();
                    }
                }
                Either::Left((Err(_), _)) => {}
                Either::Right(_) => self.abandon_refresh(refresh.number),
            }
        }
        Err(self.aborted_error())
    }

    /// Waits until the runtime of a refresh stops making progress, if another refresh can start then. A token with a
    /// single-use refresh token must not be refreshed twice at a time.
    async fn wait_for_stall(&self, runtime: Option<&HomeRuntime>) {
        runtime::stalled(runtime.filter(|_| self.provider.persistence() != Persistence::Required))
            .await;
    }

    /// Abandons a refresh that has stalled.
    fn abandon_refresh(&self, number: u64) {
        let mut state = self.state();
        if state.refresh.as_ref().is_some_and(|refresh| refresh.number == number) {
            debug!(
                identity = &*self.provider.identity(),
                "token refresh stalled; starting a new one"
            );
            state.refresh = None;
            state.last_refresh_stalled = true;
        }
    }

    /// Returns the next step of a call after GitHub rejected its token: send again after this delay, or, for `None`,
    /// fail. `times` is the number of earlier rejections.
    pub(crate) fn on_rejected(
        &self,
        cached: &CachedToken,
        times: u32,
        rejection: &Rejection<'_>,
    ) -> Option<Duration> {
        let mut state = self.state();
        let is_same = |current: &Arc<CachedToken>| current.generation == cached.generation;
        let Some(current) = self.current().filter(is_same) else {
            // Replaced meanwhile, after a rejection of another call.
            return Some(Duration::ZERO);
        };
        // An endpoint that requires another kind of token rejects all of these, whatever the delay.
        let is_wrong_kind = rejection.failure_details.requires_jwt;
        let propagation_delay = self.provider.propagation_delay();
        let propagation_delay =
            if is_wrong_kind || !cached.is_new { Duration::ZERO } else { propagation_delay };
        let delay = SETTLE_DELAY.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX));
        if cached.cached_at.elapsed().saturating_add(delay) <= propagation_delay {
            debug!(
                identity = &*self.provider.identity(),
                "new token not accepted yet; retrying after the propagation delay"
            );
            return Some(delay);
        }
        match self.provider.on_rejected(rejection) {
            RejectionAction::Fail => return None,
            RejectionAction::Refresh => {
                let reread = cached.token.rechecked_after().is_some();
                let interval = if reread { REREAD_INTERVAL } else { DISCARD_INTERVAL };
                let early = |at: Instant| at.elapsed() < interval;
                if state.discarded_at.is_some_and(early) {
                    return None;
                }
                state.discarded_at = Some(Instant::now());
            }
            RejectionAction::RefreshNow => {}
        }
        warn!(identity = &*self.provider.identity(), "token rejected by GitHub; refreshing");
        state.last_rejected = Some(current);
        self.set(None);
        Some(Duration::ZERO)
    }

    /// Returns the state of the token.
    pub(crate) fn health(&self) -> TokenHealth {
        let state = self.state();
        let cached = self.current();
        let failed = state.backoff.as_deref();
        let pause = failed.map(|(until, _)| until.saturating_duration_since(Instant::now()));
        TokenHealth {
            identity: self.provider.identity().into_owned(),
            is_valid: cached.as_ref().is_some_and(|cached| cached.is_valid()),
            issued_at: cached.as_ref().map(|cached| clock::to_utc(cached.token.issued_at())),
            expires_at: cached.and_then(|cached| cached.token.expires_at()).map(clock::to_utc),
            failures: state.failures,
            failure: failed.map(|(_, error)| error.to_string()),
            retry_in_secs: pause.map(|pause| pause.as_secs_f64()),
            credential_age_secs: self.credential_age().map(|age| age.as_secs_f64()),
        }
    }

    /// Returns the cached token if it needs no refresh.
    pub(crate) fn fresh_token(&self) -> Option<Arc<CachedToken>> {
        self.current().filter(|cached| cached.needs_no_refresh())
    }

    /// Returns the cached token, fresh or not.
    fn current(&self) -> Option<Arc<CachedToken>> {
        self.cached.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, cached: Option<Arc<CachedToken>>) {
        *self.cached.write().unwrap_or_else(PoisonError::into_inner) = cached;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_step(self: &Arc<Self>, transport: &dyn AuthTransport) -> Acquisition {
        let mut state = self.state();
        let current = self.current().filter(|cached| cached.is_valid());
        if let Some(cached) = current.as_ref().filter(|cached| cached.needs_no_refresh()) {
            return Acquisition::Ready(Arc::clone(cached));
        }
        // A refresh clears its slot when it completes: one whose channel is closed was lost. So was one that exceeds
        // the longest duration: its runtime is not polled.
        let lost = |refresh: &Refresh| {
            refresh.outcome.has_changed().is_err()
                || refresh.started_at.elapsed() > REFRESH_TIMEOUT.saturating_add(SETTLE_DELAY)
        };
        if state.refresh.as_deref().is_some_and(lost) {
            state.refresh = None;
            state.last_refresh_stalled = true;
            if current.is_some() {
                self.record_failure(&mut state, self.aborted_error());
            }
        }
        let refreshes = state.refresh.as_deref().cloned();
        let failed = state.backoff.as_deref().filter(|(until, _)| Instant::now() < *until);
        match (current, refreshes, failed) {
            (Some(cached), None, None) => {
                self.start_refresh(&mut state, transport);
                Acquisition::Ready(cached)
            }
            (Some(cached), ..) => Acquisition::Ready(cached),
            (None, Some(refresh), _) => Acquisition::Pending(refresh),
            (None, None, Some((_, error))) => Acquisition::Failed(error.clone()),
            (None, None, None) => Acquisition::Pending(self.start_refresh(&mut state, transport)),
        }
    }

    /// Starts a refresh.
    fn start_refresh(
        self: &Arc<Self>,
        state: &mut State,
        transport: &dyn AuthTransport,
    ) -> Refresh {
        let (sender, outcome) = watch::channel(None);
        state.refresh_count = state.refresh_count.wrapping_add(1);
        let number = state.refresh_count;
        let refresh = Refresh {
            number,
            started_at: Instant::now(),
            outcome,
            runtime: HomeRuntime::current(),
        };
        state.refresh = Some(Box::new(refresh.clone()));
        let replaces_stalled = std::mem::take(&mut state.last_refresh_stalled);
        let refreshes = refresh_stack(Arc::as_ptr(self) as usize);
        let (token_manager, transport) = (Arc::clone(self), transport.shared());
        let span = info_span!(parent: None, "github_token", identity = &*self.provider.identity());
        let refresh_task = async move {
            // A panic of a provider counts as a failure.
            let attempt = AssertUnwindSafe(timeout(
                REFRESH_TIMEOUT,
                token_manager.refresh(&*transport, replaces_stalled),
            ));
            let outcome = match attempt.catch_unwind().await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => Err(token_manager.timeout_error()),
                Err(_) => Err(token_manager.aborted_error()),
            };
            if replaces_stalled && outcome.is_err() {
                // The stalled refresh might still hold the lock.
                token_manager.state().last_refresh_stalled = true;
            }
            let outcome = token_manager.finish_refresh(number, outcome);
            sender.send_replace(Some(outcome));
        };
        tokio::spawn(REFRESHING.scope(refreshes, refresh_task.instrument(span)));
        refresh
    }

    /// Applies the outcome of a refresh.
    fn finish_refresh(&self, number: u64, outcome: Result<RefreshOutcome>) -> RefreshResult {
        let mut state = self.state();
        if state.refresh.as_ref().is_some_and(|refresh| refresh.number == number) {
            state.refresh = None;
        } else if let Some(cached) = self.current().filter(|cached| cached.is_valid()) {
            // Another refresh replaced it, and has completed.
            return Ok(cached);
        }
        match outcome {
            Ok(RefreshOutcome { token, from_store: stored }) => {
                state.failures = 0;
                state.backoff = None;
                state.generation = state.generation.wrapping_add(1);
                let cached = Arc::new(self.cache_token(token, state.generation, !stored));
                self.warn_of_age(&mut state);
                debug!(expires_at = ?cached.token.expires_at(), stored, "token refreshed");
                meter::token(if stored { "stored" } else { "issued" });
                self.set(Some(Arc::clone(&cached)));
                Ok(cached)
            }
            Err(error) => {
                meter::token("failed");
                self.record_failure(&mut state, error.clone());
                Err(error)
            }
        }
    }

    /// Blocks further attempts for a while.
    fn record_failure(&self, state: &mut State, error: Error) {
        state.failures = state.failures.saturating_add(1);
        let delay = self.policy.backoff_after(state.failures);
        // A budget can be raised, or another process can return quota.
        let retry_after =
            error.retry_after().filter(|_| error.class() != FailureClass::BudgetExhausted);
        let retry_after = retry_after.unwrap_or_default().min(MAX_BACKOFF);
        let delay = with_jitter(delay).max(retry_after);
        let is_still_valid = self.current().is_some_and(|cached| cached.is_valid());
        warn!(%error, token_still_valid = is_still_valid, retry_in = ?delay, "token refresh failed");
        let until = clock::saturating_after(Instant::now(), delay);
        state.backoff = Some(Box::new((until, error)));
    }

    fn timeout_error(&self) -> Error {
        AuthFailure::Other
            .error(
                format!(
                    "token refresh timed out after {REFRESH_TIMEOUT:?}: no response from the token \
                     source {} or its store",
                    self.provider.identity()
                ),
                "set a timeout in the token source",
            )
            .with_retryable(true)
    }

    fn recursive_error(&self) -> Error {
        AuthFailure::Other.error(
            format!("the token source {} waits for its own token", self.provider.identity()),
            "call GitHub with client.unauthenticated() or client.as_app() in the token provider",
        )
    }

    fn aborted_error(&self) -> Error {
        AuthFailure::Other.error(
            format!(
                "the token source {} stopped before it returned a token",
                self.provider.identity()
            ),
            "it panicked, or its runtime was shut down: see the log",
        )
    }

    fn cache_token(&self, token: AccessToken, serial: u64, issued: bool) -> CachedToken {
        let lifetime = token.remaining_lifetime();
        let renew = lifetime.map(|lifetime| {
            let ahead = self
                .policy
                .refresh_before_expiry
                .saturating_add(random_fraction(self.policy.refresh_jitter));
            lifetime.saturating_sub(ahead.min(clock::halved(lifetime)))
        });
        // A token that never expires is still checked for its age.
        let age = self
            .policy
            .credential_max_age
            .and(self.provider.credential_created_at())
            .map(|_| AGE_INTERVAL);
        let renew = renew.into_iter().chain(token.rechecked_after()).chain(age).min();
        CachedToken {
            generation: serial,
            is_new: issued,
            cached_at: Instant::now(),
            refresh_at: renew.map(Expiry::after),
            expiry: lifetime.map(Expiry::after),
            token,
        }
    }

    fn warn_of_age(&self, state: &mut State) {
        let Some((max, age)) = self.policy.credential_max_age.zip(self.credential_age()) else {
            return;
        };
        let lately = |at: Instant| at.elapsed() < WARN_INTERVAL;
        if age > max && !state.age_warned_at.is_some_and(lately) {
            state.age_warned_at = Some(Instant::now());
            let days = age.as_secs() / (24 * 60 * 60);
            warn!(age_days = days, "credential exceeds max_age; rotate it");
        }
    }

    /// Returns the age of the credential with which the tokens are requested.
    pub(crate) fn credential_age(&self) -> Option<Duration> {
        SystemTime::now().duration_since(self.provider.credential_created_at()?).ok()
    }
}

tokio::task_local! {
    /// The token managers in whose refreshes this task runs: waiting for one of them would never end.
    static REFRESHING: Vec<usize>;
}

/// Returns the refreshes that this task is a part of, and this one.
fn refresh_stack(own: usize) -> Vec<usize> {
    let mut refreshes = REFRESHING.try_with(Clone::clone).unwrap_or_default();
    refreshes.push(own);
    refreshes
}

/// Keeps this future in the refreshes of the current task, in whichever task it is polled later.
pub(crate) fn with_refresh_stack<T: 'static>(future: BoxFuture<T>) -> BoxFuture<T> {
    match REFRESHING.try_with(Clone::clone) {
        Ok(refreshes) => Box::pin(REFRESHING.scope(refreshes, future)),
        Err(_) => future,
    }
}

impl fmt::Debug for TokenManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenManager")
            .field("provider", &self.provider)
            .field("token", &self.current().map(|cached| cached.token.clone()))
            .finish_non_exhaustive()
    }
}

mod refresh;
#[cfg(test)]
mod tests;
