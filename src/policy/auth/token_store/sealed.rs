//! Tokens in a store that clients share, each encrypted separately.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::future::join;
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

use super::entries::{Entries, from_json, to_json};
use super::file::LOCK_WAIT;
use super::seal::{EncryptionKey, SealError};
use super::{TokenStore, TokenStoreFuture, TokenStoreLock};
use crate::error::auth::AuthFailure;
use crate::error::{Error, Result};
use crate::policy::auth::policy::at_least_half;
use crate::policy::auth::token::AccessToken;
use crate::store::{ResilientStore, Store, StoreResult, StoreWaitBudget, ValueFormat};
use crate::util::ids::hex;

/// Tokens in a [`Store`], for a fleet of processes that requests each token once.
///
/// Each token is encrypted with AES-256-GCM and bound to its identity: without the [`EncryptionKey`] it cannot be read,
/// and a token that was changed, or moved to the place of another, is an error. The store sees a digest as key, from
/// which the name of an identity can be guessed but no token.
///
/// A token is kept until it expires, and a refreshable one until its refresh token expires; a token without an expiry
/// for ten years. A store that evicts values, such as a Redis with `maxmemory-policy allkeys-lru`, costs a new token
/// request, and for a user's refresh token another sign-in: use `noeviction` and persistence, or store those in an
/// [`EncryptedFileTokenStore`](super::EncryptedFileTokenStore).
///
/// If another program has put a value of another type, or one of more than 1 MiB, in the place of a token,
/// [`load`](TokenStore::load) fails with [`AuthFailure::StoreTampered`]. The client counts such a token as missing, and
/// replaces it; the credentials of a [`RegisteredApp`](crate::auth::RegisteredApp) do not count as missing.
///
/// The client does not wait for a token that can be requested again: if the store does not respond within the client's
/// [`store_timeout`](crate::ClientBuilder::store_timeout), the client requests one without it, and it returns a new
/// token to callers before it is stored. A token with a refresh token, which must not be lost, waits for the store.
///
/// A lock is held in the store for 30 seconds at a time, and extended while its holder runs and reaches the store, so
/// that a process that dies blocks the others for 30 seconds at most.
///
/// ```
/// use octowire::auth::{App, EncryptedTokenStore, EncryptionKey};
/// use octowire::store::MemoryStore;
/// use octowire::Client;
///
/// # fn example(app: App) -> octowire::Result<()> {
/// let store = MemoryStore::new(); // or `RedisStore::connect(url).await?`
/// let key = EncryptionKey::from_env("OCTOWIRE_STORE_KEY")?;
/// let client = Client::builder()
///     .auth(app.installation(42))
///     .token_store(EncryptedTokenStore::new(store.clone(), key))
///     .store(store)
///     .build()?;
/// # let _ = client;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct EncryptedTokenStore {
    store: Arc<dyn Store>,
    key: EncryptionKey,
    lock_wait: Duration,
    /// The store with the timeout of each client, so that the next call knows of an outage.
    resilient_stores: Arc<Mutex<HashMap<Duration, Arc<ResilientStore>>>>,
}

/// The largest number of timeouts with a guard.
const MAX_CACHED_STORES: usize = 16;
/// The holder of a lock. Other clients compare it, and do not read it.
const LOCK_FORMAT: ValueFormat = ValueFormat::new("lock", 1);
/// The TTL of a lock that is not renewed.
const LOCK_TTL: Duration = Duration::from_secs(30);
/// The interval at which the holder of a lock renews it.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(10);
/// The delays between two attempts to lock: they double from the first to the longest.
const INITIAL_BACKOFF: Duration = Duration::from_millis(20);
const MAX_BACKOFF: Duration = Duration::from_millis(320);
/// The largest value that is read, in bytes. A larger one is not a token.
const MAX_VALUE: usize = 1024 * 1024;
/// The TTL of a token without an expiry: ten years.
const NO_EXPIRY_TTL: Duration = Duration::from_secs(10 * 365 * 86_400);

impl EncryptedTokenStore {
    /// Creates a token store in this store, encrypted with this key.
    #[must_use]
    pub fn new(store: impl Store, key: EncryptionKey) -> Self {
        Self { store: Arc::new(store), key, lock_wait: LOCK_WAIT, resilient_stores: Arc::default() }
    }

    /// Sets how long the store waits for a lock that another client holds. By default 100 seconds. After that, a token
    /// that can be requested without the store is; for any other the call fails.
    #[must_use]
    pub fn lock_wait(mut self, time: Duration) -> Self {
        self.lock_wait = time;
        self
    }

    async fn take_lock(&self, key: &str) -> Result<TokenStoreLock> {
        let (place, holder) = (lock_key(key), self.new_holder_id()?);
        let start = Instant::now();
        let mut pause = INITIAL_BACKOFF;
        while !self.store.put_if_absent(&place, holder.clone(), LOCK_TTL).await.map_err(failed)? {
            let left = self.lock_wait.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Err(AuthFailure::Store.error(
                    format!("token lock in the store timed out after {:?}", self.lock_wait),
                    "another process is refreshing the token or hangs; increase lock_wait if a \
                     refresh takes that long",
                ));
            }
            sleep(at_least_half(pause).min(left)).await;
            pause = pause.saturating_mul(2).min(MAX_BACKOFF);
        }
        Ok(self.lock_guard(place, holder))
    }

    /// Returns the store for a client with this timeout.
    fn resilient_store(&self, patience: Duration) -> Arc<ResilientStore> {
        let mut guards = self.resilient_stores.lock().unwrap_or_else(PoisonError::into_inner);
        if guards.len() >= MAX_CACHED_STORES && !guards.contains_key(&patience) {
            guards.clear();
        }
        let guard = guards.entry(patience);
        Arc::clone(
            guard.or_insert_with(|| ResilientStore::shared(Arc::clone(&self.store), patience)),
        )
    }

    /// Returns the lock that was acquired.
    fn lock_guard(&self, place: String, holder: Bytes) -> TokenStoreLock {
        let (lock, dropped) = oneshot::channel::<()>();
        let (ends, released) = oneshot::channel::<()>();
        let store = Arc::clone(&self.store);
        tokio::spawn(async move {
            renew_until_released(store, place, holder, dropped).await;
            drop(ends);
        });
        TokenStoreLock::released_by(lock, released)
    }

    /// Acquires the lock and loads the token in one round trip, unless another client holds the lock.
    async fn take_lock_and_load(
        &self,
        key: &str,
        patience: Duration,
    ) -> Result<(Result<TokenStoreLock>, Option<AccessToken>)> {
        let guard = self.resilient_store(patience);
        let allowance = StoreWaitBudget::new(patience);
        let (place, token_place, holder) = (lock_key(key), token_key(key), self.new_holder_id()?);
        let (claimed, sealed) = join(
            guard.run_reporting(&allowance, |store| {
                store.put_if_absent(&place, holder.clone(), LOCK_TTL)
            }),
            guard.get(&token_place, MAX_VALUE, &allowance),
        )
        .await;
        match claimed {
            StoreResult::Done(true) => {
                let lock = self.lock_guard(place, holder);
                let sealed = sealed.ok_or_else(|| lock_timeout(patience))?;
                Ok((Ok(lock), self.unseal(key, sealed)?))
            }
            StoreResult::Done(false) => {
                // Another client requests the token, which is stored after that.
                let lock = self.take_lock(key).await;
                let allowance = StoreWaitBudget::new(patience);
                let sealed = guard.get(&token_place, MAX_VALUE, &allowance).await;
                Ok((lock, self.unseal(key, sealed.ok_or_else(|| lock_timeout(patience))?)?))
            }
            StoreResult::Indeterminate => {
                // The lock might have been acquired, and nothing would release it for a while.
                drop(self.lock_guard(place, holder));
                Err(lock_timeout(patience))
            }
            StoreResult::NotAttempted | StoreResult::Unreadable => Err(lock_timeout(patience)),
        }
    }

    fn unseal(&self, key: &str, sealed: Option<Bytes>) -> Result<Option<AccessToken>> {
        let Some(sealed) = sealed else { return Ok(None) };
        let json = self
            .key
            .open(&associated_name(key), &sealed)
            .map_err(|why| self.corrupt_error(key, why))?;
        let mut entries =
            from_json(&json).ok_or_else(|| self.corrupt_error(key, SealError::Tampered))?;
        Ok(entries.remove(key))
    }

    /// Returns a unique name, for this holder of a lock.
    fn new_holder_id(&self) -> Result<Bytes> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| {
            AuthFailure::Store
                .error(
                    "lock name generation failed: no system randomness available",
                    "try again later",
                )
                .with_source(error)
        })?;
        Ok(LOCK_FORMAT.encode(BASE64_STANDARD.encode(bytes)))
    }

    fn corrupt_error(&self, key: &str, broken: SealError) -> Error {
        broken.error(&format!("the token of {key} in the store"), &self.key)
    }
}

impl TokenStore for EncryptedTokenStore {
    fn load<'a>(&'a self, key: &'a str) -> TokenStoreFuture<'a, Option<AccessToken>> {
        Box::pin(async move {
            match self.store.get_within(&token_key(key), MAX_VALUE).await {
                Err(error) if error.is_unreadable_value() => Err(unreadable(key)),
                sealed => self.unseal(key, sealed.map_err(failed)?),
            }
        })
    }

    fn save<'a>(&'a self, key: &'a str, token: &'a AccessToken) -> TokenStoreFuture<'a, ()> {
        Box::pin(async move {
            let left = time_left(token, SystemTime::now());
            if left.is_zero() {
                return self.remove(key).await;
            }
            let entries = Entries::from([(key.to_owned(), token.clone())]);
            let json = to_json(&entries).map_err(|error| {
                AuthFailure::Store
                    .error("token serialization failed", "report this as a bug")
                    .with_source(error)
            })?;
            let sealed = self
                .key
                .seal(&associated_name(key), &json)
                .map_err(|why| self.corrupt_error(key, why))?;
            self.store.put(&token_key(key), sealed.into(), left).await.map_err(failed)
        })
    }

    fn remove<'a>(&'a self, key: &'a str) -> TokenStoreFuture<'a, ()> {
        Box::pin(async move { self.store.remove(&token_key(key)).await.map_err(failed) })
    }

    fn lock<'a>(&'a self, key: &'a str) -> TokenStoreFuture<'a, TokenStoreLock> {
        Box::pin(self.take_lock(key))
    }

    fn lock_and_load<'a>(
        &'a self,
        key: &'a str,
        patience: Duration,
    ) -> TokenStoreFuture<'a, (Result<TokenStoreLock>, Option<AccessToken>)> {
        Box::pin(self.take_lock_and_load(key, patience))
    }

    fn saves_in_background(&self) -> bool {
        true
    }
}

impl fmt::Debug for EncryptedTokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptedTokenStore")
            .field("store", &self.store)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// Renews a lock until its other end is dropped, and then releases it.
async fn renew_until_released(
    store: Arc<dyn Store>,
    place: String,
    holder: Bytes,
    mut dropped: oneshot::Receiver<()>,
) {
    while timeout(RENEWAL_INTERVAL, &mut dropped).await.is_err() {
        match timeout(RENEWAL_INTERVAL, store.extend_if_equal(&place, holder.clone(), LOCK_TTL))
            .await
        {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => {
                warn!("token lock lost to another process; the token might be refreshed twice");
                return;
            }
            // Retried: the lock lasts for some of the attempts.
            Ok(Err(error)) => warn!(%error, "token lock not renewed"),
            Err(_) => warn!("token lock not renewed: the store did not respond"),
        }
    }
    // If this fails, the lock expires.
    let _ = timeout(LOCK_TTL, store.remove_if_equal(&place, holder)).await;
}

/// Returns how long a token is useful: until it expires, or while it can be refreshed.
fn time_left(token: &AccessToken, now: SystemTime) -> Duration {
    let left = |end: Option<SystemTime>| {
        end.map_or(NO_EXPIRY_TTL, |end| end.duration_since(now).unwrap_or_default())
    };
    let own = left(token.expires_at());
    match token.refresh_token() {
        Some(_) => own.max(left(token.refresh_token_expires_at())),
        None => own,
    }
}

fn lock_key(key: &str) -> String {
    format!("token-lock/{}", key_digest(key))
}

fn lock_timeout(patience: Duration) -> Error {
    AuthFailure::Store.error(
        format!("token store timed out after {patience:?}"),
        "check the store; tokens that do not require it are still refreshed",
    )
}

fn token_key(key: &str) -> String {
    format!("token/{}", key_digest(key))
}

/// Returns the name of the encryption, which binds a token to its identity.
fn associated_name(key: &str) -> String {
    format!("token of {key}")
}

/// Returns a digest, since a key can be longer than a store accepts.
fn key_digest(key: &str) -> String {
    hex(&Sha256::digest(key)[..16])
}

/// Returns the error for a value that cannot be a token. The token manager replaces it; an App that was registered is lost.
fn unreadable(key: &str) -> Error {
    AuthFailure::StoreTampered
        .error(
            format!("another program has replaced the token of {key} in the store"),
            "find the program that writes to it; then restore it, or remove it to start without it",
        )
        .with_unreadable_value()
}

/// Converts an error of the store to an authentication error.
fn failed(error: Error) -> Error {
    AuthFailure::Store
        .error(
            format!("token store failed: {error}"),
            "check the store; tokens that do not require it are still refreshed",
        )
        .with_source(error)
}
