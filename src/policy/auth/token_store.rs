//! Token stores, which keep tokens beyond the lifetime of a client.
//!
//! There is none by default. Tokens can be in memory for several clients, in an encrypted file for several processes,
//! encrypted in a [`Store`](crate::store::Store) for a fleet, or in the application's own [`TokenStore`].

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::sync::{Notify, oneshot};

use super::token::AccessToken;
use crate::error::auth::AuthFailure;
use crate::error::{Error, Result};
use crate::runtime::{self, HomeRuntime};

#[cfg(any(test, feature = "testing"))]
pub(crate) mod conformance;
#[cfg(feature = "encrypted-token-store")]
mod entries;
#[cfg(feature = "encrypted-token-store")]
mod file;
#[cfg(all(feature = "encrypted-token-store", any(test, feature = "__fuzz")))]
pub(super) mod fuzzing;
#[cfg(feature = "encrypted-token-store")]
mod lock;
#[cfg(feature = "encrypted-token-store")]
mod seal;
#[cfg(feature = "encrypted-token-store")]
mod sealed;

#[cfg(feature = "encrypted-token-store")]
pub use file::{EncryptedFileTokenStore, EncryptedFileTokenStoreBuilder};
#[cfg(feature = "encrypted-token-store")]
pub use seal::EncryptionKey;
#[cfg(feature = "encrypted-token-store")]
pub use sealed::EncryptedTokenStore;

/// Storage for tokens, which clients and processes can share.
///
/// It contains valid credentials: a store that writes them to a disk or network has to encrypt them. [`AccessToken`]
/// has accessors and constructors for all its parts. The credentials of a registered App (`RegisteredApp`, feature
/// `encrypted-token-store`) are stored as a token without an expiry, of some kilobytes.
///
/// # Contract
/// `testing::token_store_conformance`, with the feature `testing`, checks a store of your own.
///
/// - **Keys** are any text of any length, and case matters. A key contains the
///   [identity](super::TokenProvider::identity) and the GitHub server that issued the token, or the environment of a
///   registered App; it is not a secret. Each key has its own token and its own lock.
/// - **Tokens** are loaded with all their parts; times can be rounded to a second. A store can drop a token that has
///   expired, if it has no refresh token or that has expired as well.
/// - **Calls** come from several tasks and runtimes at once. For one key, a client runs one refresh at a time: it
///   acquires the lock, loads the token, saves a new one, and releases the lock. [`load`](Self::load),
///   [`save`](Self::save) and [`remove`](Self::remove) are called while the lock is held and without it, so they must
///   not acquire it.
/// - **Dropped futures**: the client drops an operation that takes too long. It then takes effect as a whole, maybe
///   later, or not at all, and does not block later ones. A dropped request for a lock does not keep it; a store with
///   leases releases it when the lease ends.
/// - **Secrets**: neither `Debug`, nor an error, nor a log event contains a token, a refresh token or an encryption
///   key. The client logs errors, and the `Debug` of a builder can contain that of its store.
///
/// # Errors
/// Create them with [`Error::token_store`]. The client retries no operation but `save`, where noted.
///
/// The consequences depend on the [`Persistence`](super::Persistence) of the provider:
///
/// | operation | `BestEffort` | `Required` |
/// |---|---|---|
/// | `lock` | the client requests a token without the lock, and saves it | the calls that wait for the token fail |
/// | `load` | the client requests a token, and does not save it | the calls that wait for the token fail |
/// | `save` | the token stays in memory | tried three times; then the token stays in memory, and is lost on restart |
/// | `remove` | [`Client::invalidate_token`](crate::Client::invalidate_token) fails | the same |
///
/// A missing token is not an error, nor is an expired one. A token that cannot be read, such as after a change of the
/// encryption key, is one.
pub trait TokenStore: fmt::Debug + Send + Sync + 'static {
    /// Returns the token of this key, if there is one: the last one that was saved.
    fn load<'a>(&'a self, key: &'a str) -> TokenStoreFuture<'a, Option<AccessToken>>;

    /// Stores the token, and replaces the previous one. When it returns, the token has to be durable, and a save of
    /// another key at the same time must not undo it.
    fn save<'a>(&'a self, key: &'a str, token: &'a AccessToken) -> TokenStoreFuture<'a, ()>;

    /// Removes the token of this key; its lock, if it is held, remains held. A missing token is not an error.
    fn remove<'a>(&'a self, key: &'a str) -> TokenStoreFuture<'a, ()>;

    /// Acquires the lock of this key, waiting until no other task or process holds it: so a token is requested once.
    /// The lock is not reentrant.
    ///
    /// The store sets the longest wait, after which it fails. It should be longer than a token request, which takes up
    /// to 90 s with the default policy. If the process of a holder ends, the lock has to become free.
    fn lock<'a>(&'a self, key: &'a str) -> TokenStoreFuture<'a, TokenStoreLock>;

    /// Acquires the lock of this key and loads its token, for a token that can be requested without the store. A store
    /// over a network waits for its server for at most this time in total, and not at all while the server is known to
    /// be unavailable. The store itself sets how long it waits for another holder of the lock.
    ///
    /// If another holder releases the lock, the token is the one that it saved. If the lock cannot be acquired, the
    /// token is returned nevertheless. By default it calls [`lock`](Self::lock) and then [`load`](Self::load), however
    /// long these take.
    fn lock_and_load<'a>(
        &'a self,
        key: &'a str,
        patience: Duration,
    ) -> TokenStoreFuture<'a, (Result<TokenStoreLock>, Option<AccessToken>)> {
        let _ = patience;
        Box::pin(async move {
            let lock = self.lock(key).await;
            Ok((lock, self.load(key).await?))
        })
    }

    /// Returns whether a token that can be requested again is returned to callers before it is saved, so that no call
    /// waits for the save. By default it is not. It does not change.
    fn saves_in_background(&self) -> bool {
        false
    }
}

/// The result of a [`TokenStore`] method.
pub type TokenStoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// A lock of a [`TokenStore`], which is released when this is dropped, on any thread.
pub struct TokenStoreLock {
    guard: Box<dyn Any + Send>,
    /// Completes when the lock is released.
    released: Option<oneshot::Receiver<()>>,
}

impl TokenStoreLock {
    /// Creates a lock that is held for the lifetime of `guard`. Its `Drop` must not block, and not depend on a runtime.
    pub fn new(guard: impl Any + Send) -> Self {
        Self { guard: Box::new(guard), released: None }
    }

    /// Creates a lock that a task releases once the value is dropped. `released` completes after that.
    #[cfg(feature = "encrypted-token-store")]
    fn released_by(guard: impl Any + Send, released: oneshot::Receiver<()>) -> Self {
        Self { guard: Box::new(guard), released: Some(released) }
    }

    /// Releases the lock at once. The future completes when it is free.
    pub(crate) fn release(self) -> impl Future<Output = ()> + Send + 'static {
        let Self { guard, released } = self;
        drop(guard);
        async move {
            if let Some(released) = released {
                // The sender sends nothing: it is only dropped.
                let _ = released.await;
            }
        }
    }
}

impl fmt::Debug for TokenStoreLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenStoreLock")
    }
}

/// Tokens in memory, for several clients of one process; a single client does not need a store.
///
/// It contains one token per identity, and never evicts one.
#[derive(Clone, Debug, Default)]
pub struct MemoryTokenStore(Arc<Mutex<HashMap<String, MemorySlot>>>);

#[derive(Debug, Default)]
struct MemorySlot {
    token: Option<AccessToken>,
    /// The holder of the lock.
    holder: Option<LockHolder>,
    /// Distinguishes a holder from earlier ones.
    number: u64,
    /// Wakes waiting tasks when the lock is free. No task is next in line: its runtime might not be polled.
    released: Arc<Notify>,
}

/// The holder of a lock in memory.
#[derive(Clone, Debug)]
struct LockHolder {
    number: u64,
    runtime: Option<HomeRuntime>,
}

/// A lock in memory, held until it is dropped.
struct MemoryLock {
    store: MemoryTokenStore,
    key: String,
    number: u64,
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        let number = self.number;
        self.store.with(&self.key, |slot| {
            slot.holder.take_if(|holder| holder.number == number);
            slot.released.notify_waiters();
        });
    }
}

impl MemoryTokenStore {
    /// Creates an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn with<T>(&self, key: &str, act: impl FnOnce(&mut MemorySlot) -> T) -> T {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        act(slots.entry(key.to_owned()).or_default())
    }

    /// Acquires the lock if it is free. Returns its holder if it is not.
    fn try_lock(&self, key: &str) -> std::result::Result<TokenStoreLock, LockHolder> {
        let number = self.with(key, |slot| {
            if let Some(holder) = &slot.holder {
                return Err(holder.clone());
            }
            slot.number = slot.number.wrapping_add(1);
            let number = slot.number;
            slot.holder = Some(LockHolder { number, runtime: HomeRuntime::current() });
            Ok(number)
        })?;
        Ok(TokenStoreLock::new(MemoryLock { store: self.clone(), key: key.to_owned(), number }))
    }

    /// Waits for the lock. Returns `None` if the runtime of its holder has stalled, and `gives_up` allows it.
    async fn take_lock(&self, key: &str, gives_up: bool) -> Option<TokenStoreLock> {
        let released = self.with(key, |slot| Arc::clone(&slot.released));
        loop {
            // Created before the attempt, so that no release is missed.
            let notified = pin!(released.notified());
            let holder = match self.try_lock(key) {
                Ok(lock) => return Some(lock),
                Err(holder) => holder,
            };
            let runtime = holder.runtime.as_ref().filter(|_| gives_up);
            let stalled = pin!(runtime::stalled(runtime));
            if let Either::Right(_) = select(notified, stalled).await {
                let is_it = |now: &LockHolder| now.number == holder.number;
                if self.with(key, |slot| slot.holder.as_ref().is_some_and(is_it)) {
                    return None;
                }
            }
        }
    }
}

impl TokenStore for MemoryTokenStore {
    fn load<'a>(&'a self, key: &'a str) -> TokenStoreFuture<'a, Option<AccessToken>> {
        Box::pin(async move { Ok(self.with(key, |slot| slot.token.clone())) })
    }

    fn save<'a>(&'a self, key: &'a str, token: &'a AccessToken) -> TokenStoreFuture<'a, ()> {
        Box::pin(async move {
            self.with(key, |slot| slot.token = Some(token.clone()));
            Ok(())
        })
    }

    fn remove<'a>(&'a self, key: &'a str) -> TokenStoreFuture<'a, ()> {
        Box::pin(async move {
            self.with(key, |slot| slot.token = None);
            Ok(())
        })
    }

    fn lock<'a>(&'a self, key: &'a str) -> TokenStoreFuture<'a, TokenStoreLock> {
        Box::pin(async move {
            let lock = self.take_lock(key, false).await;
            lock.ok_or_else(stalled_holder)
        })
    }

    fn lock_and_load<'a>(
        &'a self,
        key: &'a str,
        _patience: Duration,
    ) -> TokenStoreFuture<'a, (Result<TokenStoreLock>, Option<AccessToken>)> {
        Box::pin(async move {
            let gives_up = HomeRuntime::current().is_some();
            let lock = self.take_lock(key, gives_up).await;
            Ok((lock.ok_or_else(stalled_holder), self.load(key).await?))
        })
    }
}

fn stalled_holder() -> Error {
    AuthFailure::Store.error(
        "the token is locked by a runtime that is not polled",
        "poll each runtime that requests tokens until its requests have finished",
    )
}
