//! One refresh of a token: the stored token if it is valid, otherwise a fetched one, which is then stored.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, error, warn};

use super::{CachedToken, REFRESH_TIMEOUT, TokenManager, TokenRequest};
use crate::error::Result;
use crate::error::auth::AuthFailure;
use crate::policy::auth::policy::with_jitter;
use crate::policy::auth::provider::Persistence;
use crate::policy::auth::token::AccessToken;
use crate::policy::auth::token_store::{TokenStore, TokenStoreLock};
use crate::policy::auth::transport::AuthTransport;
use crate::time::clock;

/// Maximum number of attempts to save a token that must not be lost; after that, it is kept only in memory.
const SAVE_ATTEMPTS: u32 = 3;

/// The longest time for which a new token is stored in the background, while its lock is held. Other processes wait
/// longer for the lock.
const MAX_SAVE_TIME: Duration = Duration::from_secs(30);
/// The longest wait for a lock that a stalled token request might hold.
const MAX_STALLED_LOCK_WAIT: Duration = Duration::from_secs(1);

/// A token, and whether it came from the store.
pub(super) struct RefreshOutcome {
    pub(super) token: AccessToken,
    pub(super) from_store: bool,
}

impl TokenManager {
    /// Obtains a token, from the store or from the provider. If the previous token request stalled, it might still hold
    /// the lock of the store, and the wait for the lock is short.
    pub(super) async fn refresh(
        &self,
        transport: &dyn AuthTransport,
        replaces_stalled: bool,
    ) -> Result<RefreshOutcome> {
        let new = |token| RefreshOutcome { token, from_store: false };
        let Some(store) = &self.store else {
            if self.provider.persistence() == Persistence::Required && self.previous().is_some() {
                warn!("single-use refresh token is kept in memory only; configure a token store");
            }
            return self.fetch_with_retries(transport, self.previous().as_ref()).await.map(new);
        };
        let key = self.key(transport);
        // Held until the new token is stored: other processes wait here, and then load it.
        let (lock, stored) = if self.provider.persistence() == Persistence::Required {
            // Without the store the token could be lost, so the wait is unbounded.
            let lock = store.lock(&key).await?;
            (Some(lock), load(&**store, &key).await?)
        } else {
            let patience = transport.store_timeout();
            match lock_and_load(&**store, &key, patience, replaces_stalled).await {
                Ok((Ok(lock), stored)) => (Some(lock), stored),
                Ok((Err(error), stored)) => {
                    warn!(%error, "token store lock failed; refreshing without the store");
                    (None, stored)
                }
                Err(error) => {
                    warn!(%error, "token store read failed; refreshing without the store");
                    // The store is not written either: its content might be worth saving.
                    return self
                        .fetch_with_retries(transport, self.previous().as_ref())
                        .await
                        .map(new);
                }
            }
        };
        let mut stored = stored;
        let is_usable = |stored: &AccessToken| self.is_acceptable(stored);
        if self.provider.persistence() != Persistence::Required
            && lock.is_some()
            && !stored.as_ref().is_some_and(is_usable)
        {
            // Lock and token are requested at the same time: another process might have stored a token after this one
            // read, and before this one had the lock.
            let reloaded = timeout(transport.store_timeout(), store.load(&key)).await;
            stored = reloaded.ok().and_then(Result::ok).flatten().or(stored);
        }
        if let Some(stored) = stored.clone().filter(is_usable) {
            debug!("token loaded from the store");
            release_in_background(transport, lock);
            return Ok(RefreshOutcome { token: stored, from_store: true });
        }
        let token =
            self.fetch_with_retries(transport, stored.or_else(|| self.previous()).as_ref()).await?;
        if self.provider.persistence() != Persistence::Required && store.saves_in_background() {
            let (store, token) = (Arc::clone(store), token.clone());
            transport.spawn(Box::pin(async move {
                match timeout(MAX_SAVE_TIME, store.save(&key, &token)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => warn!(%error, "token not stored"),
                    Err(_) => {
                        let waited = MAX_SAVE_TIME;
                        warn!(?waited, "token not stored: the store did not respond");
                    }
                }
                if let Some(lock) = lock {
                    lock.release().await;
                }
            }));
        } else {
            self.save(&**store, &key, &token).await;
            release_in_background(transport, lock);
        }
        Ok(new(token))
    }

    /// Returns the key in the store. Installation ids are unique on one GitHub server only, and a gateway can serve
    /// several by path.
    fn key(&self, transport: &dyn AuthTransport) -> String {
        let base = transport.base_url().as_str().trim_end_matches('/');
        format!("{} at {base}", self.provider.identity())
    }

    /// Removes the token, in the store as well.
    pub(crate) async fn invalidate(&self, transport: &dyn AuthTransport) -> Result<()> {
        self.set(None);
        match &self.store {
            Some(store) => store.remove(&self.key(transport)).await,
            None => Ok(()),
        }
    }

    /// Calls the provider, and retries if the failure is retryable.
    async fn fetch_with_retries(
        &self,
        transport: &dyn AuthTransport,
        previous: Option<&AccessToken>,
    ) -> Result<AccessToken> {
        let (mut failures, started_at) = (0_u32, Instant::now());
        loop {
            match self.provider.fetch_token(TokenRequest { client: transport, previous }).await {
                Err(error)
                    if error.is_retryable()
                        && failures.saturating_add(1) < self.policy.max_attempts =>
                {
                    failures = failures.saturating_add(1);
                    let delay = self.policy.backoff_after(failures);
                    let retry_after = error.retry_after().unwrap_or_default();
                    if retry_after > self.policy.max_backoff {
                        return Err(error);
                    }
                    let delay = delay.max(retry_after);
                    let delay = with_jitter(delay);
                    // Later calls make further attempts, without this wait.
                    if started_at.elapsed().saturating_add(delay) >= REFRESH_TIMEOUT {
                        return Err(error);
                    }
                    debug!(%error, ?delay, "token refresh failed; retrying");
                    sleep(delay).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// Returns whether a stored token is usable: it is not the current one that needs a refresh, nor one that GitHub
    /// rejected, and it is valid for a while.
    fn is_acceptable(&self, stored: &AccessToken) -> bool {
        let same = |other: &AccessToken| other.expose_secret() == stored.expose_secret();
        let is_stored = |cached: &Arc<CachedToken>| same(cached.token());
        let rejected = self.state().last_rejected.as_ref().is_some_and(is_stored);
        let is_current = self.current().as_ref().is_some_and(is_stored);
        !rejected
            && !is_current
            && stored
                .remaining_lifetime()
                .is_none_or(|left| left > self.stored_refresh_margin(stored, left))
    }

    /// Returns how long before its expiry a stored token is refreshed: like one that was requested here.
    fn stored_refresh_margin(&self, stored: &AccessToken, left: Duration) -> Duration {
        let margin = self.policy.refresh_before_expiry.max(Duration::from_secs(1));
        let age = SystemTime::now().duration_since(stored.issued_at()).unwrap_or_default();
        margin.min(clock::halved(age.saturating_add(left)))
    }

    /// Returns the last token of this manager: the cached one, or the one that GitHub rejected.
    fn previous(&self) -> Option<AccessToken> {
        let cached = self.current().or_else(|| self.state().last_rejected.clone());
        cached.map(|cached| cached.token().clone())
    }

    async fn save(&self, store: &dyn TokenStore, key: &str, token: &AccessToken) {
        let attempts =
            if self.provider.persistence() == Persistence::Required { SAVE_ATTEMPTS } else { 1 };
        for attempt in 1..=attempts {
            let Err(error) = store.save(key, token).await else { return };
            if attempt < attempts {
                sleep(self.policy.backoff_after(attempt)).await;
            } else if attempts > 1 {
                error!(%error, "refreshed token not stored; it is lost on restart");
            } else {
                warn!(%error, "token not stored");
            }
        }
    }
}

/// Acquires the lock and loads the token, as [`TokenStore::lock_and_load`] does. If a stalled token request might hold
/// the lock, the wait is short, and then the token is loaded without it.
async fn lock_and_load(
    store: &dyn TokenStore,
    key: &str,
    patience: Duration,
    replaces_stalled: bool,
) -> Result<(Result<TokenStoreLock>, Option<AccessToken>)> {
    let locked = store.lock_and_load(key, patience);
    if !replaces_stalled {
        return locked.await;
    }
    if let Ok(locked) = timeout(MAX_STALLED_LOCK_WAIT, locked).await {
        return locked;
    }
    let lock_error = AuthFailure::Store.error(
        format!(
            "token lock timed out after {MAX_STALLED_LOCK_WAIT:?}: an earlier token refresh stalled"
        ),
        "poll each runtime that requests tokens until its requests have finished",
    );
    match timeout(MAX_STALLED_LOCK_WAIT, load(store, key)).await {
        Ok(stored) => Ok((Err(lock_error), stored?)),
        Err(_) => Ok((Err(lock_error), None)),
    }
}

/// Loads a token. An unreadable value in its place counts as missing, since the new token replaces it.
async fn load(store: &dyn TokenStore, key: &str) -> Result<Option<AccessToken>> {
    match store.load(key).await {
        Err(error) if error.is_unreadable_value() => Ok(None),
        loaded => loaded,
    }
}

/// Releases a lock, and lets the end of the process wait until it is free.
fn release_in_background(transport: &dyn AuthTransport, lock: Option<TokenStoreLock>) {
    if let Some(lock) = lock {
        transport.spawn(Box::pin(lock.release()));
    }
}
