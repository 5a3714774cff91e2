//! Tokens in a store that clients share, each sealed for itself.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::entries::{Entries, from_json, to_json};
use super::file::LOCK_WAIT;
use super::seal::{Broken, SealingKey};
use super::{StoreFuture, StoreLock, TokenStore};
use crate::auth::failure::AuthFailure;
use crate::auth::policy::some_of;
use crate::auth::token::AccessToken;
use crate::clock;
use crate::error::{Error, Result};
use crate::names::hex;
use crate::store::Store;

/// Tokens in a [`Store`], for a fleet of processes that mints each token once.
///
/// Each token is sealed by AES-256-GCM and bound to whose it is: without the [`SealingKey`] it can
/// not be read, and one that was changed, or put in the place of another, is an error. The store
/// sees a digest for a key, from which the name of an identity can be guessed but no token.
///
/// A token is kept until it has ended, and one that can be renewed until that has; one without an
/// end for ten years. A store that throws away what it was given, such as a Redis with
/// `maxmemory-policy allkeys-lru`, costs a new mint, and for a user's refresh token another
/// sign-in: give it `noeviction` and persistence, or keep those in an
/// [`EncryptedFile`](super::EncryptedFile).
///
/// A lock is held in the store for 30 seconds at a time, and for longer while its holder lives and
/// reaches the store, so that a process that dies holds up the others for 30 seconds at most.
///
/// ```
/// use octowire::auth::{App, EncryptedStore, SealingKey};
/// use octowire::store::Memory;
/// use octowire::Client;
///
/// # fn example(app: App) -> octowire::Result<()> {
/// let store = Memory::new(); // or `Redis::connect(url).await?`
/// let key = SealingKey::from_env("OCTOWIRE_STORE_KEY")?;
/// let client = Client::builder()
///     .auth(app.installation(42))
///     .token_store(EncryptedStore::new(store.clone(), key))
///     .store(store)
///     .build()?;
/// # let _ = client;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct EncryptedStore {
    store: Arc<dyn Store>,
    key: SealingKey,
    lock_wait: Duration,
}

/// How long a lock lasts that nobody renews.
const LOCK_TTL: Duration = Duration::from_secs(30);
/// How often the holder of a lock renews it.
const RENEWED_EVERY: Duration = Duration::from_secs(10);
/// The pauses between two attempts at a lock: they double from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(320);
/// How long a token lasts that has no end: ten years.
const FOR_GOOD: Duration = Duration::from_secs(10 * 365 * 86_400);

impl EncryptedStore {
    /// Tokens in this store, sealed with this key.
    #[must_use]
    pub fn new(store: impl Store, key: SealingKey) -> Self {
        Self { store: Arc::new(store), key, lock_wait: LOCK_WAIT }
    }

    /// How long a lock is waited for that another client holds. By default 100 seconds. When they
    /// are over, a token that can be minted without the store is; for any other the call fails.
    #[must_use]
    pub fn lock_wait(mut self, time: Duration) -> Self {
        self.lock_wait = time;
        self
    }

    async fn take_lock(&self, key: &str) -> Result<StoreLock> {
        let place = format!("token-lock/{}", digest(key));
        let holder = self.holder()?;
        let start = Instant::now();
        let mut pause = FIRST_PAUSE;
        while !self.store.claim(&place, holder.clone(), LOCK_TTL).await.map_err(failed)? {
            let left = self.lock_wait.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Err(AuthFailure::Store.error(
                    format!("a token in the store was locked for {:?}", self.lock_wait),
                    "another process mints it or hangs; wait longer by lock_wait if minting \
                     takes that long",
                ));
            }
            // Some of it by chance, so that many who wait do not try at once.
            let half = clock::half(pause);
            sleep(half.saturating_add(some_of(half)).min(left)).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
        let (lock, dropped) = oneshot::channel::<()>();
        tokio::spawn(hold(Arc::clone(&self.store), place, holder, dropped));
        Ok(StoreLock::new(lock))
    }

    /// A name that nobody else has, for this holder of a lock.
    fn holder(&self) -> Result<Bytes> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| {
            AuthFailure::Store
                .error("no lock could be named: the system gives no randomness", "try again later")
                .with_source(error)
        })?;
        Ok(BASE64_STANDARD.encode(bytes).into())
    }

    fn broken(&self, key: &str, broken: Broken) -> Error {
        broken.error(&format!("the token of {key} in the store"), &self.key)
    }
}

impl TokenStore for EncryptedStore {
    fn load<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<AccessToken>> {
        Box::pin(async move {
            let sealed = self.store.get(&place_of(key)).await.map_err(failed)?;
            let Some(sealed) = sealed else { return Ok(None) };
            let json =
                self.key.open(&sealed_as(key), &sealed).map_err(|why| self.broken(key, why))?;
            let mut entries = from_json(&json).ok_or_else(|| self.broken(key, Broken::Tampered))?;
            Ok(entries.remove(key))
        })
    }

    fn save<'a>(&'a self, key: &'a str, token: &'a AccessToken) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let left = time_left(token, SystemTime::now());
            if left.is_zero() {
                return self.remove(key).await;
            }
            let entries = Entries::from([(key.to_owned(), token.clone())]);
            let json = to_json(&entries).map_err(|error| {
                AuthFailure::Store
                    .error("a token could not be written as JSON", "report this as a defect")
                    .with_source(error)
            })?;
            let sealed =
                self.key.seal(&sealed_as(key), &json).map_err(|why| self.broken(key, why))?;
            self.store.put(&place_of(key), sealed.into(), left).await.map_err(failed)
        })
    }

    fn remove<'a>(&'a self, key: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(async move { self.store.remove(&place_of(key)).await.map_err(failed) })
    }

    fn lock<'a>(&'a self, key: &'a str) -> StoreFuture<'a, StoreLock> {
        Box::pin(self.take_lock(key))
    }
}

impl fmt::Debug for EncryptedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptedStore")
            .field("store", &self.store)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// Renews a lock until its other end is dropped, and gives it back then.
async fn hold(
    store: Arc<dyn Store>,
    place: String,
    holder: Bytes,
    mut dropped: oneshot::Receiver<()>,
) {
    while tokio::time::timeout(RENEWED_EVERY, &mut dropped).await.is_err() {
        match store.renew(&place, holder.clone(), LOCK_TTL).await {
            Ok(true) => {}
            Ok(false) => {
                warn!("the lock of a token went to another process: it may be minted twice");
                return;
            }
            // Tried again: the lock lasts for some of that.
            Err(error) => warn!(%error, "the lock of a token could not be renewed"),
        }
    }
    // If this fails, it ends by itself.
    let _ = store.release(&place, holder).await;
}

/// How long there is any use for a token: while it lasts, or can be renewed.
fn time_left(token: &AccessToken, now: SystemTime) -> Duration {
    let left = |end: Option<SystemTime>| {
        end.map_or(FOR_GOOD, |end| end.duration_since(now).unwrap_or_default())
    };
    let own = left(token.expires_at());
    match token.refresh_token() {
        Some(_) => own.max(left(token.refresh_token_expires_at())),
        None => own,
    }
}

fn place_of(key: &str) -> String {
    format!("token/{}", digest(key))
}

/// Bound to whose token it is, so that one does not pass for another's.
fn sealed_as(key: &str) -> String {
    format!("token of {key}")
}

/// Since a key may be longer than a store takes.
fn digest(key: &str) -> String {
    hex(&Sha256::digest(key)[..16])
}

/// A failure of the store is one of signing in, here.
fn failed(error: Error) -> Error {
    AuthFailure::Store
        .error(
            format!("the store of the tokens does not answer: {error}"),
            "check the store; a token that can be minted without it is",
        )
        .with_source(error)
}
