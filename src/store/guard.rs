//! Bounds the cost of a slow or unavailable store for calls.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::allowance::WaitAllowance;
use super::{Lease, LeaseRequest, Store, StoreFuture};
use crate::clock::after;
use crate::telemetry::meter;

/// A store, and whether it is available. All users of a store in the process share the availability, so that an outage
/// that one of them detects is known to the others. Each user has its own handle, which can encrypt, or have another
/// prefix.
#[derive(Debug)]
pub(crate) struct Guard {
    store: Arc<dyn Store>,
    /// An operation that takes longer is an outage.
    timeout: Duration,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether the store responded to the last operation.
    answers: bool,
    /// The start of the current outage.
    down: Option<Instant>,
    /// The time of the next probe, and the pause that follows if it fails.
    retry_at: Option<Instant>,
    pause: Duration,
    /// The end of the last outage: one that follows at once continues the pauses of the last one.
    recovered: Option<Instant>,
    outages: u64,
    warned: Option<Instant>,
}

/// The outcome of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ran<T> {
    Done(T),
    /// The operation was not sent.
    NotTried,
    /// The operation was sent, and failed or had no valid response: the store can have performed it.
    Unknown,
    /// The store responded that it did not perform the operation, since the value cannot be read.
    Unreadable,
}

/// The health of the store in which a client shares its state: [`Client::store_health`](crate::Client::store_health).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreHealth {
    /// How long the store has been unavailable; `None` if it is available, or was not used yet.
    pub down: Option<Duration>,
    /// The number of outages since the process began to use the store.
    pub outages: u64,
}

pub(crate) const PATIENCE: Duration = Duration::from_millis(50);
/// The timeout of an operation that no call waits for, unless calls have more.
pub(crate) const BACKGROUND_TIMEOUT: Duration = Duration::from_secs(1);
/// A lease is valid for half a second from its request.
const LEASE_TIMEOUT: Duration = Duration::from_millis(400);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// The shortest time between two warnings about a store.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(10);
/// The key that a probe reads.
const PROBE_KEY: &str = "probe";

impl Guard {
    pub(crate) fn new(store: Arc<dyn Store>, timeout: Duration) -> Self {
        Self { store, timeout, state: Arc::default() }
    }

    /// Returns a guard of this handle, which shares the availability of the store in the process for this timeout.
    pub(crate) fn shared(store: Arc<dyn Store>, timeout: Duration) -> Arc<Self> {
        /// By the identity of the store, and by the timeout: a store that is too slow for one timeout can be fast
        /// enough for another.
        type States = HashMap<(usize, Duration), Weak<Mutex<State>>>;
        static STATES: LazyLock<Mutex<States>> = LazyLock::new(Mutex::default);
        let identity = store.identity().unwrap_or_else(|| Arc::as_ptr(&store).addr());
        let mut states = STATES.lock().unwrap_or_else(PoisonError::into_inner);
        // An identity is an address, which another store can have once its guards are dropped.
        states.retain(|_, state| state.strong_count() > 0);
        let state = match states.get(&(identity, timeout)).and_then(Weak::upgrade) {
            Some(state) => state,
            None => {
                let state = Arc::default();
                states.insert((identity, timeout), Arc::downgrade(&state));
                state
            }
        };
        Arc::new(Self { state, ..Self::new(store, timeout) })
    }

    /// Returns the longest time that a call waits for all its operations on the store.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Returns the timeout of an operation that no call waits for: at least that of calls.
    pub(crate) fn background_timeout(&self) -> Duration {
        BACKGROUND_TIMEOUT.max(self.timeout)
    }

    /// Returns the longest time that calls wait for a quota lease: a later one has expired, or nearly so.
    pub(crate) fn lease_timeout(&self) -> Duration {
        self.timeout.min(LEASE_TIMEOUT)
    }

    /// Requests a quota lease. The inner `None` means that the store does not share limits, the outer one that no lease
    /// is available. Calls wait for it, unless they continue without one already.
    ///
    /// A lease that arrives after [`lease_timeout`](Self::lease_timeout) is still used: no call has waited for it, and
    /// its client learns its share of the limits from it. The guard's timeout still decides whether the store is
    /// available.
    pub(crate) async fn lease(
        &self,
        key: &str,
        request: &LeaseRequest,
        calls_wait: bool,
    ) -> Option<Option<Lease>> {
        // A client that has never received a lease from its ledger does not know its share: it sends the request,
        // whatever outage others have detected.
        if request.epoch.is_some() && !self.may_try(calls_wait) {
            return None;
        }
        let start = Instant::now();
        let mut operation = self.store.lease(key, request);
        let lease = match timeout(self.timeout, &mut operation).await {
            Err(late) => {
                self.judged::<()>(start, Err(late));
                let rest = self.background_timeout().saturating_sub(self.timeout);
                timeout(rest, operation).await.ok().and_then(Result::ok)
            }
            in_time => done(self.judged(start, in_time)),
        };
        Some(lease?.map(|lease| lease.bounded(request)))
    }

    /// Reads values for a call, within its allowance.
    pub(crate) async fn get_many(
        &self,
        keys: &[(&str, usize)],
        allowance: &WaitAllowance,
    ) -> Option<Vec<crate::error::Result<Option<Bytes>>>> {
        let values = self.run(allowance, |store| store.get_many(keys)).await?;
        // A response with another number of values is invalid.
        (values.len() == keys.len()).then_some(values)
    }

    /// Reads a value for a call, within its allowance. A value that cannot be read counts as missing.
    pub(crate) async fn get(
        &self,
        key: &str,
        max_bytes: usize,
        allowance: &WaitAllowance,
    ) -> Option<Option<Bytes>> {
        match self.try_run(allowance, |store| store.get_within(key, max_bytes)).await {
            Ran::Unreadable => Some(None),
            ran => done(ran),
        }
    }

    /// Runs an operation for a call, within its allowance.
    pub(crate) async fn run<'a, T>(
        &'a self,
        allowance: &WaitAllowance,
        operation: impl FnOnce(&'a dyn Store) -> StoreFuture<'a, T>,
    ) -> Option<T> {
        done(self.try_run(allowance, operation).await)
    }

    /// Runs an operation, and returns whether the store can have performed it nevertheless. If the allowance is used
    /// up, the call has no response, but this does not count as an outage.
    pub(crate) async fn try_run<'a, T>(
        &'a self,
        allowance: &WaitAllowance,
        operation: impl FnOnce(&'a dyn Store) -> StoreFuture<'a, T>,
    ) -> Ran<T> {
        let left = allowance.left().min(self.timeout);
        if left.is_zero() || !self.may_try(true) {
            return Ran::NotTried;
        }
        let _wait = allowance.begin();
        self.judge(left, operation(&*self.store)).await
    }

    /// Runs an operation that no call waits for, and returns whether the store can have performed it nevertheless. The
    /// timeout is this time, or the guard's timeout if that is longer.
    pub(crate) async fn run_behind<'a, T>(
        &'a self,
        patience: Duration,
        operation: impl FnOnce(&'a dyn Store) -> StoreFuture<'a, T>,
    ) -> Ran<T> {
        if !self.may_try(false) {
            return Ran::NotTried;
        }
        self.judge(patience.max(self.timeout), operation(&*self.store)).await
    }

    /// Runs an operation without a timeout, and whatever the availability: for the last writes, by a caller that bounds
    /// the time itself. It needs no timer, so that it works while a runtime shuts down.
    pub(crate) async fn run_last<'a, T>(
        &'a self,
        operation: impl FnOnce(&'a dyn Store) -> StoreFuture<'a, T>,
    ) -> Ran<T> {
        match operation(&*self.store).await {
            Ok(value) => Ran::Done(value),
            Err(error) if error.is_unreadable_value() => Ran::Unreadable,
            Err(_) => Ran::Unknown,
        }
    }

    /// Reads a value that no call waits for, within this time, or the guard's timeout if that is longer. A store that
    /// is slow with a large value is not unavailable.
    pub(crate) async fn read<'a, T>(
        &'a self,
        patience: Duration,
        operation: impl FnOnce(&'a dyn Store) -> StoreFuture<'a, T>,
    ) -> Option<T> {
        if self.is_down() {
            return None;
        }
        timeout(patience.max(self.timeout), operation(&*self.store)).await.ok()?.ok()
    }

    /// Reads a value; one that cannot be read counts as missing.
    pub(crate) async fn read_or_default<'a, T: Default + 'a>(
        &'a self,
        patience: Duration,
        operation: impl FnOnce(&'a dyn Store) -> StoreFuture<'a, T> + Send,
    ) -> Option<T> {
        self.read(patience, |store| {
            let reading = operation(store);
            Box::pin(async move {
                match reading.await {
                    Err(error) if error.is_unreadable_value() => Ok(T::default()),
                    read => read,
                }
            })
        })
        .await
    }

    /// Returns whether the store is known to be unavailable and the next probe is not due yet.
    pub(crate) fn is_down(&self) -> bool {
        self.retry_at().is_some_and(|at| at > Instant::now())
    }

    /// Returns the time of the next probe; `None` if the store is available.
    pub(crate) fn retry_at(&self) -> Option<Instant> {
        self.state().retry_at
    }

    pub(crate) fn health(&self) -> StoreHealth {
        let state = self.state();
        StoreHealth { down: state.down.map(|since| since.elapsed()), outages: state.outages }
    }

    /// Waits for an operation, and records the availability: the store is unavailable if an operation fails, or takes
    /// longer than the guard's timeout.
    async fn judge<T>(&self, patience: Duration, operation: StoreFuture<'_, T>) -> Ran<T> {
        let start = Instant::now();
        self.judged(start, timeout(patience, operation).await)
    }

    fn judged<T>(&self, start: Instant, ended: Result<crate::error::Result<T>, Elapsed>) -> Ran<T> {
        let failure = match ended {
            Ok(Ok(value)) => {
                // A background operation can take longer: no call could have had its response.
                if start.elapsed() <= self.timeout {
                    answered(&mut self.state());
                }
                return Ran::Done(value);
            }
            Ok(Err(error)) if error.is_unreadable_value() => {
                if start.elapsed() <= self.timeout {
                    answered(&mut self.state());
                }
                return Ran::Unreadable;
            }
            Ok(Err(error)) => error.to_string(),
            // The wait ended earlier: this does not show whether the store is available.
            Err(_) if start.elapsed() < self.timeout => return Ran::Unknown,
            Err(_) => format!("no response within {:?}", start.elapsed()),
        };
        failed(&mut self.state(), &failure);
        Ran::Unknown
    }

    /// Returns whether the store is available, or a probe is due, which one of many callers starts. No call waits for a
    /// probe: a task performs it.
    fn may_try(&self, call_waits: bool) -> bool {
        let mut state = self.state();
        let Some(retry_at) = state.retry_at else { return true };
        let now = Instant::now();
        if retry_at > now {
            return false;
        }
        state.retry_at = Some(after(now, self.timeout.saturating_add(state.pause)));
        drop(state);
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) if call_waits => {
                runtime.spawn(probe(
                    Arc::clone(&self.store),
                    self.timeout,
                    Arc::clone(&self.state),
                ));
                false
            }
            _ => true,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Probes whether a store is available again.
async fn probe(store: Arc<dyn Store>, patience: Duration, state: Arc<Mutex<State>>) {
    match timeout(patience, store.get(PROBE_KEY)).await {
        Ok(Ok(_)) => answered(&mut lock(&state)),
        Ok(Err(error)) if error.is_unreadable_value() => answered(&mut lock(&state)),
        Ok(Err(error)) => failed(&mut lock(&state), &error.to_string()),
        Err(_) => failed(&mut lock(&state), &format!("no response within {patience:?}")),
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn done<T>(ran: Ran<T>) -> Option<T> {
    match ran {
        Ran::Done(value) => Some(value),
        Ran::NotTried | Ran::Unknown | Ran::Unreadable => None,
    }
}

fn answered(state: &mut State) {
    state.retry_at = None;
    if !std::mem::replace(&mut state.answers, true) {
        meter::store(true);
    }
    if let Some(since) = state.down.take() {
        state.recovered = Some(Instant::now());
        info!(outage = ?since.elapsed(), "store available again");
    }
}

fn failed(state: &mut State, failure: &str) {
    let now = Instant::now();
    state.answers = false;
    meter::store(false);
    let recurs = state.recovered.is_some_and(|at| now < at + LONGEST_PAUSE);
    state.pause = match state.down.is_some() || recurs {
        true => (state.pause * 2).min(LONGEST_PAUSE),
        false => FIRST_PAUSE,
    };
    if state.down.is_none() {
        state.down = Some(now);
        state.outages += 1;
        if state.warned.is_none_or(|last| last + BETWEEN_WARNINGS <= now) {
            state.warned = Some(now);
            warn!(error = failure, "store unavailable; continuing without it");
        }
    }
    state.retry_at = Some(now + state.pause);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use bytes::Bytes;

    use super::*;
    use crate::store::Memory;

    /// A store that never responds, and counts the operations.
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

    /// Reads a value with a new allowance.
    async fn get(guard: &Guard) -> Option<Option<Bytes>> {
        guard.run(&WaitAllowance::new(PATIENCE), |store| store.get("k")).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_hangs_costs_fifty_milliseconds_once_and_comes_back() {
        let moody = Arc::new(Moody::default());
        let guard = Guard::new(Arc::new(Arc::clone(&moody)), PATIENCE);
        let start = Instant::now();
        assert_eq!(get(&guard).await, None);
        assert_eq!(start.elapsed(), PATIENCE);
        for _ in 0..1000 {
            assert_eq!(get(&guard).await, None);
        }
        assert_eq!((start.elapsed(), moody.asked.load(Ordering::Relaxed)), (PATIENCE, 1));
        assert!(guard.health().down.is_some());
        moody.well.store(true, Ordering::Relaxed);
        tokio::time::sleep(FIRST_PAUSE).await;
        // A task performs the probe, and no call waits for it.
        let start = Instant::now();
        assert_eq!(get(&guard).await, None);
        tokio::task::yield_now().await;
        assert_eq!(get(&guard).await, Some(None));
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(guard.health(), StoreHealth { down: None, outages: 1 });
    }

    #[tokio::test]
    async fn a_value_that_cannot_be_read_is_no_outage() {
        let memory = Memory::new();
        let garbage = Bytes::from_static(b"garbage");
        memory.put("k", garbage, Duration::from_secs(9)).await.unwrap();
        let guard = Guard::new(Arc::new(memory), PATIENCE);
        let allowance = WaitAllowance::new(PATIENCE);
        let added = guard.try_run(&allowance, |store| store.add("k", 1, PATIENCE)).await;
        assert_eq!(added, Ran::Unreadable);
        let added = guard.run_behind(PATIENCE, |store| store.add("k", 1, PATIENCE)).await;
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
            get(&guard).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!((50..70).contains(&moody.asked.load(Ordering::Relaxed)));
        assert_eq!(guard.health().outages, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_allowance_that_is_used_up_is_no_outage() {
        let moody = Arc::new(Moody::default());
        let guard = Guard::new(Arc::new(Arc::clone(&moody)), PATIENCE);
        let allowance = WaitAllowance::new(PATIENCE);
        let wait = allowance.begin();
        tokio::time::sleep(Duration::from_millis(40)).await;
        drop(wait);
        let start = Instant::now();
        for _ in 0..10 {
            assert_eq!(guard.run(&allowance, |store| store.get("k")).await, None);
        }
        assert_eq!(start.elapsed(), Duration::from_millis(10));
        // An operation without remaining time was not sent either.
        assert_eq!(moody.asked.load(Ordering::Relaxed), 1);
        assert_eq!(guard.health(), StoreHealth { down: None, outages: 0 });
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_known_to_all_users_of_a_store() {
        let moody: Arc<dyn Store> = Arc::new(Arc::new(Moody::default()));
        let one = Guard::shared(Arc::clone(&moody), PATIENCE);
        let other = Guard::shared(Arc::clone(&moody), PATIENCE);
        assert_eq!(get(&one).await, None);
        let start = Instant::now();
        assert_eq!(get(&other).await, None);
        assert_eq!(start.elapsed(), Duration::ZERO);
        // A longer timeout has its own availability, and so has another store.
        let patient = Guard::shared(moody, 10 * PATIENCE);
        assert_eq!(patient.health().down, None);
        let another: Arc<dyn Store> = Arc::new(Arc::new(Moody::default()));
        assert_eq!(Guard::shared(another, PATIENCE).health().down, None);
        // Clones of a store have the same identity.
        let memory = Memory::new();
        let guard = |store: &Memory| Guard::shared(Arc::new(store.clone()), PATIENCE);
        let first = guard(&memory);
        assert!(Arc::ptr_eq(&first.state, &guard(&memory).state));
    }

    /// A handle of a store that keeps its values under other keys, and cannot read one of them.
    #[derive(Debug)]
    struct Prefixed(Memory);

    impl Store for Prefixed {
        fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
            Box::pin(async move {
                match key {
                    "unreadable" => Err(crate::Error::unreadable_value("a list")),
                    key => self.0.get(&format!("mine:{key}")).await,
                }
            })
        }
        fn put<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, ()> {
            Box::pin(async move { self.0.put(&format!("mine:{key}"), value, ttl).await })
        }
        fn claim<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, bool> {
            self.0.claim(key, value, ttl)
        }
        fn renew<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, bool> {
            self.0.renew(key, value, ttl)
        }
        fn remove<'a>(&'a self, key: &'a str) -> StoreFuture<'a, ()> {
            self.0.remove(key)
        }
        fn release<'a>(&'a self, key: &'a str, value: Bytes) -> StoreFuture<'a, bool> {
            self.0.release(key, value)
        }
        fn add<'a>(&'a self, key: &'a str, amount: i64, ttl: Duration) -> StoreFuture<'a, i64> {
            self.0.add(key, amount, ttl)
        }
        fn tallied<'a>(
            &'a self,
            _: &'a str,
        ) -> StoreFuture<'a, std::collections::BTreeMap<String, u64>> {
            Box::pin(async { Err(crate::Error::unreadable_value("a list")) })
        }
        fn identity(&self) -> Option<usize> {
            self.0.identity()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn handles_of_one_store_share_what_is_known_of_it_and_keep_their_own_keys() {
        let memory = Memory::new();
        let plain = Guard::shared(Arc::new(memory.clone()), PATIENCE);
        let prefixed = Guard::shared(Arc::new(Prefixed(memory.clone())), PATIENCE);
        assert!(Arc::ptr_eq(&plain.state, &prefixed.state));
        let value = || Bytes::from_static(b"v");
        prefixed.run_behind(PATIENCE, |store| store.put("k", value(), PATIENCE)).await;
        assert_eq!(memory.get("k").await.unwrap(), None);
        assert_eq!(memory.get("mine:k").await.unwrap(), Some(value()));
        assert_eq!(get(&plain).await, Some(None));
    }

    /// A store that takes this number of milliseconds for a lease.
    #[derive(Debug)]
    struct Leases(Memory, u64);

    impl Store for Leases {
        fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
            self.0.get(key)
        }
        crate::store::forward_all_but_get!();
        fn lease<'a>(
            &'a self,
            key: &'a str,
            request: &'a LeaseRequest,
        ) -> StoreFuture<'a, Option<Lease>> {
            Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(self.1)).await;
                self.0.lease(key, request).await
            })
        }
    }

    /// No call waits for it, and it shows that the store is available, and how many clients share the limits.
    #[tokio::test(start_paused = true)]
    async fn a_lease_that_calls_did_not_wait_for_is_used_and_judged() {
        for (takes, timeout, is_up) in
            [(450, 3_000, true), (1_200, 3_000, true), (200, 50, false), (450, 400, false)]
        {
            let store = Arc::new(Leases(Memory::new(), takes));
            let guard = Guard::new(store, Duration::from_millis(timeout));
            failed(&mut guard.state(), "an outage");
            tokio::time::sleep(FIRST_PAUSE).await;
            let request = LeaseRequest {
                member: "m".to_owned(),
                serial: 1,
                epoch: Some("e".to_owned()),
                join: Some(super::super::Join::default()),
                ..LeaseRequest::default()
            };
            let lease = guard.lease("limits:x", &request, false).await;
            assert!(lease.flatten().is_some(), "{takes} of {timeout} ms");
            assert_eq!(guard.retry_at().is_none(), is_up, "{takes} of {timeout} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_read_is_missing_in_any_store() {
        let memory = Memory::new();
        let guard = Guard::new(Arc::new(Prefixed(memory.clone())), PATIENCE);
        memory.put("mine:k", Bytes::from_static(b"v"), PATIENCE).await.unwrap();
        let allowance = WaitAllowance::new(PATIENCE);
        assert_eq!(guard.get("unreadable", 9, &allowance).await, Some(None));
        let tallied = guard.read_or_default(PATIENCE, |store| store.tallied("t")).await;
        assert_eq!(tallied, Some(std::collections::BTreeMap::new()));
        // The other values are read nevertheless.
        let values = guard.get_many(&[("unreadable", 9), ("k", 9)], &allowance).await.unwrap();
        assert!(values[0].as_ref().is_err_and(crate::Error::is_unreadable_value));
        assert_eq!(values[1].as_ref().unwrap().as_deref(), Some(&b"v"[..]));
        assert_eq!(guard.health(), StoreHealth { down: None, outages: 0 });
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_waits_for_has_no_less_time_than_calls() {
        for time in [PATIENCE, 3 * BACKGROUND_TIMEOUT] {
            let guard = Guard::new(Arc::new(Memory::new()), time);
            let takes = |millis| -> StoreFuture<'static, ()> {
                Box::pin(async move {
                    tokio::time::sleep(Duration::from_millis(millis)).await;
                    Ok(())
                })
            };
            let longest = u64::try_from(guard.background_timeout().as_millis()).unwrap();
            assert_eq!(
                guard.run_behind(BACKGROUND_TIMEOUT, |_| takes(longest - 1)).await,
                Ran::Done(())
            );
            assert_eq!(guard.read(BACKGROUND_TIMEOUT, |_| takes(longest - 1)).await, Some(()));
            assert_eq!(
                guard.run_behind(BACKGROUND_TIMEOUT, |_| takes(longest + 1)).await,
                Ran::Unknown
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_answers_only_what_nobody_waits_for_stays_down() {
        let moody = Arc::new(Moody::default());
        let guard = Guard::new(Arc::new(Arc::clone(&moody)), PATIENCE);
        assert_eq!(get(&guard).await, None);
        tokio::time::sleep(FIRST_PAUSE).await;
        let slow = |store: &'static Memory| -> StoreFuture<'static, ()> {
            Box::pin(async move {
                tokio::time::sleep(2 * PATIENCE).await;
                store.put("k", Bytes::new(), PATIENCE).await
            })
        };
        static MEMORY: LazyLock<Memory> = LazyLock::new(Memory::new);
        assert_eq!(guard.run_behind(BACKGROUND_TIMEOUT, |_| slow(&MEMORY)).await, Ran::Done(()));
        assert!(guard.health().down.is_some());
    }
}
