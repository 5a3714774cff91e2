//! What keeps a store that is slow or gone from holding up calls.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::unreadable::is_unreadable;
use super::{Lease, LeaseRequest, Store, StoreFuture};
use crate::telemetry::meter;

/// A store, and how it is.
#[derive(Debug)]
pub(crate) struct Guard {
    store: Arc<dyn Store>,
    patience: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether it answered when it was asked last.
    answers: bool,
    /// Since when it fails.
    down: Option<Instant>,
    /// When somebody may try again, and the pause that follows if that fails.
    retry_at: Option<Instant>,
    pause: Duration,
    outages: u64,
    warned: Option<Instant>,
}

/// What came of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ran<T> {
    Done(T),
    /// The store was not asked.
    NotTried,
    /// It was, and did not answer, or not well: it may have done it.
    Unknown,
    /// It answered that it did nothing, since the value cannot be read.
    Unreadable,
}

/// How the store is that a client shares its state in:
/// [`Client::store_health`](crate::Client::store_health).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreHealth {
    /// How long it has not answered for; `None` if it does, or was not asked yet.
    pub down: Option<Duration>,
    /// How often it stopped answering since the client was built.
    pub outages: u64,
}

pub(crate) const PATIENCE: Duration = Duration::from_millis(50);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// A store that comes and goes is told of once in this time.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(10);

impl Guard {
    pub(crate) fn new(store: Arc<dyn Store>, patience: Duration) -> Self {
        Self { store, patience, state: Mutex::default() }
    }

    /// Asks for quota. The inner `None` says that the store does not share any, the outer one
    /// that it is not to be had in time.
    pub(crate) async fn lease(&self, key: &str, request: &LeaseRequest) -> Option<Option<Lease>> {
        let lease = self.run(|store| store.lease(key, request)).await?;
        Some(lease.map(|lease| lease.bounded(request)))
    }

    /// Does something with the store, within the time that a call may lose by it.
    pub(crate) async fn run<'a, T>(
        &'a self,
        operation: impl FnOnce(&'a dyn Store) -> StoreFuture<'a, T>,
    ) -> Option<T> {
        match self.try_run(operation).await {
            Ran::Done(value) => Some(value),
            Ran::NotTried | Ran::Unknown | Ran::Unreadable => None,
        }
    }

    /// The same, and says whether the store may have done it nevertheless.
    pub(crate) async fn try_run<'a, T>(
        &'a self,
        operation: impl FnOnce(&'a dyn Store) -> StoreFuture<'a, T>,
    ) -> Ran<T> {
        if !self.may_try() {
            return Ran::NotTried;
        }
        let failure = match timeout(self.patience, operation(&*self.store)).await {
            Ok(Ok(value)) => {
                self.answered();
                return Ran::Done(value);
            }
            Ok(Err(error)) if is_unreadable(&error) => {
                self.answered();
                return Ran::Unreadable;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {:?}", self.patience),
        };
        self.failed(&failure);
        Ran::Unknown
    }

    /// Does something with the store however long that takes, and whatever it did before: for what
    /// is written last, by a caller that bounds the time itself. No timer is needed, so that it works
    /// while a runtime ends.
    pub(crate) async fn run_last<'a, T>(
        &'a self,
        operation: impl FnOnce(&'a dyn Store) -> StoreFuture<'a, T>,
    ) -> Ran<T> {
        match operation(&*self.store).await {
            Ok(value) => Ran::Done(value),
            Err(error) if is_unreadable(&error) => Ran::Unreadable,
            Err(_) => Ran::Unknown,
        }
    }

    /// Reads what no call waits for, within so long. A store that is slow with much is not down.
    pub(crate) async fn read<'a, T>(
        &'a self,
        patience: Duration,
        operation: impl FnOnce(&'a dyn Store) -> StoreFuture<'a, T>,
    ) -> Option<T> {
        if self.retry_at().is_some_and(|at| at > Instant::now()) {
            return None;
        }
        timeout(patience, operation(&*self.store)).await.ok()?.ok()
    }

    /// When it is worth to ask again; `None` if it answers.
    pub(crate) fn retry_at(&self) -> Option<Instant> {
        self.state().retry_at
    }

    pub(crate) fn health(&self) -> StoreHealth {
        let state = self.state();
        StoreHealth { down: state.down.map(|since| since.elapsed()), outages: state.outages }
    }

    /// Whether the store answers, or it is time to find out; one of many does.
    fn may_try(&self) -> bool {
        let mut state = self.state();
        let Some(retry_at) = state.retry_at else { return true };
        let now = Instant::now();
        if retry_at > now {
            return false;
        }
        state.retry_at = Some(now + self.patience + state.pause);
        true
    }

    fn answered(&self) {
        let mut state = self.state();
        state.retry_at = None;
        if !std::mem::replace(&mut state.answers, true) {
            meter::store(true);
        }
        if let Some(since) = state.down.take() {
            info!(outage = ?since.elapsed(), "the store answers again");
        }
    }

    fn failed(&self, failure: &str) {
        let mut state = self.state();
        let now = Instant::now();
        state.answers = false;
        meter::store(false);
        if state.down.is_some() {
            state.pause = (state.pause * 2).min(LONGEST_PAUSE);
        } else {
            state.down = Some(now);
            state.outages += 1;
            state.pause = FIRST_PAUSE;
            if state.warned.is_none_or(|last| last + BETWEEN_WARNINGS <= now) {
                state.warned = Some(now);
                warn!(failure, "the store does not answer: calls go on without it");
            }
        }
        state.retry_at = Some(now + state.pause);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use bytes::Bytes;

    use super::*;
    use crate::store::Memory;

    /// A store that hangs, and counts how often it is asked.
    #[derive(Debug, Default)]
    struct Moody {
        well: AtomicBool,
        asked: AtomicU32,
        memory: Memory,
    }

    impl Store for Arc<Moody> {
        fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
            Box::pin(async move {
                self.asked.fetch_add(1, Ordering::Relaxed);
                if !self.well.load(Ordering::Relaxed) {
                    std::future::pending::<()>().await;
                }
                self.memory.get(key).await
            })
        }
        fn put<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, ()> {
            self.memory.put(key, value, ttl)
        }
        fn claim<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, bool> {
            self.memory.claim(key, value, ttl)
        }
        fn renew<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, bool> {
            self.memory.renew(key, value, ttl)
        }
        fn remove<'a>(&'a self, key: &'a str) -> StoreFuture<'a, ()> {
            self.memory.remove(key)
        }
        fn release<'a>(&'a self, key: &'a str, value: Bytes) -> StoreFuture<'a, bool> {
            self.memory.release(key, value)
        }
        fn add<'a>(&'a self, key: &'a str, amount: i64, ttl: Duration) -> StoreFuture<'a, i64> {
            self.memory.add(key, amount, ttl)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_hangs_costs_fifty_milliseconds_once_and_comes_back() {
        let moody = Arc::new(Moody::default());
        let guard = Guard::new(Arc::new(Arc::clone(&moody)), PATIENCE);
        let start = Instant::now();
        assert_eq!(guard.run(|store| store.get("k")).await, None);
        assert_eq!(start.elapsed(), PATIENCE);
        for _ in 0..1000 {
            assert_eq!(guard.run(|store| store.get("k")).await, None);
        }
        assert_eq!((start.elapsed(), moody.asked.load(Ordering::Relaxed)), (PATIENCE, 1));
        assert!(guard.health().down.is_some());
        moody.well.store(true, Ordering::Relaxed);
        tokio::time::sleep(FIRST_PAUSE).await;
        assert_eq!(guard.run(|store| store.get("k")).await, Some(None));
        assert_eq!(guard.health(), StoreHealth { down: None, outages: 1 });
    }

    #[tokio::test]
    async fn a_value_that_cannot_be_read_is_no_outage() {
        let memory = Memory::new();
        let garbage = Bytes::from_static(b"garbage");
        memory.put("k", garbage, Duration::from_secs(9)).await.unwrap();
        let guard = Guard::new(Arc::new(memory), PATIENCE);
        let added = guard.try_run(|store| store.add("k", 1, PATIENCE)).await;
        assert_eq!(added, Ran::Unreadable);
        assert_eq!(guard.retry_at(), None);
        assert_eq!(guard.health(), StoreHealth { down: None, outages: 0 });
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_stays_away_is_asked_once_a_second() {
        let moody = Arc::new(Moody::default());
        let guard = Guard::new(Arc::new(Arc::clone(&moody)), PATIENCE);
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(60) {
            guard.run(|store| store.get("k")).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!((50..70).contains(&moody.asked.load(Ordering::Relaxed)));
        assert_eq!(guard.health().outages, 1);
    }
}
