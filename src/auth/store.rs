//! Where tokens outlive a client: nowhere by default, in memory for several clients, in an
//! encrypted file for several processes, encrypted in a [`Store`](crate::store::Store) for a fleet,
//! or wherever a [`TokenStore`] of the application's own puts them.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::sync::{Notify, oneshot};

use super::failure::AuthFailure;
use super::token::AccessToken;
use crate::error::{Error, Result};
use crate::runtimes::{self, HomeRuntime};

#[cfg(feature = "token-store")]
mod entries;
#[cfg(feature = "token-store")]
mod file;
#[cfg(all(feature = "token-store", any(test, feature = "__fuzz")))]
pub(super) mod fuzzing;
#[cfg(feature = "token-store")]
mod lock;
#[cfg(feature = "token-store")]
mod seal;
#[cfg(feature = "token-store")]
mod sealed;

#[cfg(feature = "token-store")]
pub use file::{EncryptedFile, EncryptedFileBuilder};
#[cfg(feature = "token-store")]
pub use seal::SealingKey;
#[cfg(feature = "token-store")]
pub use sealed::EncryptedStore;

/// A place for tokens, shared by the clients that are given it.
///
/// What it holds are live credentials: a store that writes them anywhere encrypts them.
/// [`AccessToken`] gives all its parts, and takes them back.
pub trait TokenStore: fmt::Debug + Send + Sync + 'static {
    /// The token of this key, if there is one. `key` names the
    /// [identity](super::TokenSource::identity) behind it and the GitHub that it is known to; it
    /// is no secret.
    fn load<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<AccessToken>>;

    /// Keeps the token, in place of the one before. When it returns, the token has to be where a
    /// crash does not lose it.
    fn save<'a>(&'a self, key: &'a str, token: &'a AccessToken) -> StoreFuture<'a, ()>;

    /// Forgets the token of this key. To forget one that is not there is no error.
    fn remove<'a>(&'a self, key: &'a str) -> StoreFuture<'a, ()>;

    /// Waits until nobody else holds the lock of this key, here or in another process, and takes
    /// it: so a token is minted once. How long it waits at most is the store's to say.
    fn lock<'a>(&'a self, key: &'a str) -> StoreFuture<'a, StoreLock>;

    /// Takes the lock of this key and loads its token, for a token that can be minted without the store:
    /// a store over a network waits for its server so long in all, and not at all while the server
    /// is known not to answer. How long it waits for another holder of the lock is its own to say.
    ///
    /// A lock that cannot be taken does not keep the token back. By default it is [`lock`](Self::lock)
    /// and then [`load`](Self::load), however long these take.
    fn lock_and_load<'a>(
        &'a self,
        key: &'a str,
        patience: Duration,
    ) -> StoreFuture<'a, (Result<StoreLock>, Option<AccessToken>)> {
        let _ = patience;
        Box::pin(async move {
            let lock = self.lock(key).await;
            Ok((lock, self.load(key).await?))
        })
    }

    /// Whether a token that can be minted again is handed out before it is saved, so that no call waits
    /// for that. By default it is not.
    fn saves_behind(&self) -> bool {
        false
    }
}

/// What the methods of a [`TokenStore`] return.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// A lock of a [`TokenStore`], which is given back when this is dropped.
pub struct StoreLock {
    guard: Box<dyn Any + Send>,
    /// Ends when the lock is free again.
    released: Option<oneshot::Receiver<()>>,
}

impl StoreLock {
    /// A lock that is held for as long as this value lives.
    pub fn new(guard: impl Any + Send) -> Self {
        Self { guard: Box::new(guard), released: None }
    }

    /// The same, of a lock that a task gives back once the value is dropped. `released` ends after that.
    #[cfg(feature = "token-store")]
    fn released_by(guard: impl Any + Send, released: oneshot::Receiver<()>) -> Self {
        Self { guard: Box::new(guard), released: Some(released) }
    }

    /// Gives the lock back at once. The future ends when it is free.
    pub(crate) fn release(self) -> impl Future<Output = ()> + Send + 'static {
        let Self { guard, released } = self;
        drop(guard);
        async move {
            if let Some(released) = released {
                // The sender sends nothing: it is dropped.
                let _ = released.await;
            }
        }
    }
}

impl fmt::Debug for StoreLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreLock")
    }
}

/// Tokens in memory, for several clients of one process; a single client needs no store.
///
/// It holds one token for each identity that is used, and forgets none by itself.
#[derive(Clone, Debug, Default)]
pub struct MemoryTokenStore(Arc<Mutex<HashMap<String, Slot>>>);

#[derive(Debug, Default)]
struct Slot {
    token: Option<AccessToken>,
    /// Who holds the lock.
    holder: Option<Holder>,
    /// Tells a holder from earlier ones.
    number: u64,
    /// Tells waiting tasks that the lock is free. None is next in line: its runtime might not be polled.
    released: Arc<Notify>,
}

/// The holder of a lock in memory.
#[derive(Clone, Debug)]
struct Holder {
    number: u64,
    runtime: Option<HomeRuntime>,
}

/// A lock in memory, until it is dropped.
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
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn with<T>(&self, key: &str, act: impl FnOnce(&mut Slot) -> T) -> T {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        act(slots.entry(key.to_owned()).or_default())
    }

    /// Takes the lock if it is free. Returns its holder if it is not.
    fn try_lock(&self, key: &str) -> std::result::Result<StoreLock, Holder> {
        let number = self.with(key, |slot| {
            if let Some(holder) = &slot.holder {
                return Err(holder.clone());
            }
            slot.number = slot.number.wrapping_add(1);
            let number = slot.number;
            slot.holder = Some(Holder { number, runtime: HomeRuntime::current() });
            Ok(number)
        })?;
        Ok(StoreLock::new(MemoryLock { store: self.clone(), key: key.to_owned(), number }))
    }

    /// Waits for the lock. Returns `None` if the runtime of its holder stands still, where `gives_up` says so.
    async fn take_lock(&self, key: &str, gives_up: bool) -> Option<StoreLock> {
        let released = self.with(key, |slot| Arc::clone(&slot.released));
        loop {
            // Created before the attempt, so that no release is missed.
            let notified = pin!(released.notified());
            let holder = match self.try_lock(key) {
                Ok(lock) => return Some(lock),
                Err(holder) => holder,
            };
            let runtime = holder.runtime.as_ref().filter(|_| gives_up);
            let stalled = pin!(runtimes::stalled(runtime));
            if let Either::Right(_) = select(notified, stalled).await {
                let is_it = |now: &Holder| now.number == holder.number;
                if self.with(key, |slot| slot.holder.as_ref().is_some_and(is_it)) {
                    return None;
                }
            }
        }
    }
}

impl TokenStore for MemoryTokenStore {
    fn load<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<AccessToken>> {
        Box::pin(async move { Ok(self.with(key, |slot| slot.token.clone())) })
    }

    fn save<'a>(&'a self, key: &'a str, token: &'a AccessToken) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.with(key, |slot| slot.token = Some(token.clone()));
            Ok(())
        })
    }

    fn remove<'a>(&'a self, key: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.with(key, |slot| slot.token = None);
            Ok(())
        })
    }

    fn lock<'a>(&'a self, key: &'a str) -> StoreFuture<'a, StoreLock> {
        Box::pin(async move {
            let lock = self.take_lock(key, false).await;
            lock.ok_or_else(stalled_holder)
        })
    }

    fn lock_and_load<'a>(
        &'a self,
        key: &'a str,
        _patience: Duration,
    ) -> StoreFuture<'a, (Result<StoreLock>, Option<AccessToken>)> {
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
