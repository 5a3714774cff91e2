//! The guard of a slow or unavailable store, which bounds its cost for calls.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::wait_budget::StoreWaitBudget;
use super::{QuotaLease, QuotaRequest, Store, StoreFuture};
use crate::meter;
use crate::time::clock::saturating_after;

/// A store, and whether it is available. All users of a store in the process share the availability, so that an outage
/// that one of them detects is known to the others. Each user has its own handle, which can encrypt, or have another
/// prefix.
#[derive(Debug)]
pub(crate) struct ResilientStore {
    store: Arc<dyn Store>,
    /// An operation that takes longer is an outage.
    timeout: Duration,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether the store responded to the last operation.
    is_available: bool,
    /// The start of the current outage.
    down_since: Option<Instant>,
    /// The time of the next probe, and the pause that follows if it fails.
    retry_at: Option<Instant>,
    backoff: Duration,
    /// The end of the last outage: one that follows at once continues the pauses of the last one.
    recovered_at: Option<Instant>,
    outages: u64,
    last_warning: Option<Instant>,
}

/// The outcome of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreResult<T> {
    Done(T),
    /// The operation was not sent.
    NotAttempted,
    /// The operation was sent, and failed or had no valid response: the store can have performed it.
    Indeterminate,
    /// The store responded that it did not perform the operation, since the value cannot be read.
    Unreadable,
}

/// How long an operation that no call waits for can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreTimeout {
    /// A bounded time, and no time at all while the store is known to be unavailable.
    Bounded,
    /// Until the store responds: the caller bounds the time.
    Unbounded,
}

impl<T> StoreResult<T> {
    /// Returns the response of an operation that the store performed.
    pub(crate) fn value(self) -> Option<T> {
        match self {
            Self::Done(value) => Some(value),
            Self::NotAttempted | Self::Indeterminate | Self::Unreadable => None,
        }
    }
}

/// The health of the store in which a client shares its state: [`Client::store_health`](crate::Client::store_health).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreHealth {
    /// How long the store has been unavailable; `None` if it is available, or was not used yet.
    pub unavailable_for: Option<Duration>,
    /// The number of outages since the process began to use the store.
    pub outages: u64,
}

pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_millis(50);
/// The timeout of an operation that no call waits for, unless calls have more.
pub(crate) const BACKGROUND_TIMEOUT: Duration = Duration::from_secs(1);
/// A lease is valid for half a second from its request.
const LEASE_TIMEOUT: Duration = Duration::from_millis(400);
const INITIAL_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(1);
/// The shortest time between two warnings about a store.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);
/// The key that a probe reads.
const PROBE_KEY: &str = "probe";

impl ResilientStore {
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
        request: &QuotaRequest,
        calls_wait: bool,
    ) -> Option<Option<QuotaLease>> {
        // A client that has never received a lease from its ledger does not know its share: it sends the request,
        // whatever outage others have detected.
        if request.epoch.is_some() && !self.should_attempt(calls_wait) {
            return None;
        }
        let start = Instant::now();
        let mut operation = self.store.lease(key, request);
        let lease = match timeout(self.timeout, &mut operation).await {
            Err(late) => {
                self.record_outcome::<()>(start, Err(late));
                let rest = self.background_timeout().saturating_sub(self.timeout);
                timeout(rest, operation).await.ok().and_then(Result::ok)
            }
            in_time => self.record_outcome(start, in_time).value(),
        };
        Some(lease?.map(|lease| lease.bounded(request)))
    }

    /// Reads values for a call, within its allowance.
    pub(crate) async fn get_many(
        &self,
        keys: &[(&str, usize)],
        allowance: &StoreWaitBudget,
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
        allowance: &StoreWaitBudget,
    ) -> Option<Option<Bytes>> {
        match self.run_reporting(allowance, |store| store.get_within(key, max_bytes)).await {
            StoreResult::Unreadable => Some(None),
            ran => ran.value(),
        }
    }

    /// Runs an operation for a call, within its allowance.
    pub(crate) async fn run<'a, T>(
        &'a self,
        allowance: &StoreWaitBudget,
        operation: impl FnOnce(&'a dyn Store) -> StoreFuture<'a, T>,
    ) -> Option<T> {
        self.run_reporting(allowance, operation).await.value()
    }

    /// Runs an operation, and returns whether the store can have performed it nevertheless. If the allowance is used
    /// up, the call has no response, but this does not count as an outage.
    pub(crate) async fn run_reporting<'a, T>(
        &'a self,
        allowance: &StoreWaitBudget,
        operation: impl FnOnce(&'a dyn Store) -> StoreFuture<'a, T>,
    ) -> StoreResult<T> {
        let left = allowance.remaining().min(self.timeout);
        if left.is_zero() || !self.should_attempt(true) {
            return StoreResult::NotAttempted;
        }
        let _wait = allowance.begin();
        self.observe(left, operation(&*self.store)).await
    }

    /// Runs an operation that no call waits for, and returns whether the store can have performed it nevertheless. The
    /// timeout is this time, or the guard's timeout if that is longer.
    pub(crate) async fn run_in_background<'a, T>(
        &'a self,
        patience: Duration,
        operation: impl FnOnce(&'a dyn Store) -> StoreFuture<'a, T>,
    ) -> StoreResult<T> {
        if !self.should_attempt(false) {
            return StoreResult::NotAttempted;
        }
        self.observe(patience.max(self.timeout), operation(&*self.store)).await
    }

    /// Runs an operation that no call waits for, with this timeout, and returns whether the store can have performed it
    /// nevertheless.
    pub(crate) async fn run_with_timeout<'a, T>(
        &'a self,
        patience: StoreTimeout,
        operation: impl FnOnce(&'a dyn Store) -> StoreFuture<'a, T>,
    ) -> StoreResult<T> {
        match patience {
            StoreTimeout::Bounded => self.run_in_background(BACKGROUND_TIMEOUT, operation).await,
            StoreTimeout::Unbounded => self.run_unbounded(operation).await,
        }
    }

    /// Runs an operation without a timeout, and whatever the availability: for the last writes, by a caller that bounds
    /// the time itself. It needs no timer, so that it works while a runtime shuts down.
    async fn run_unbounded<'a, T>(
        &'a self,
        operation: impl FnOnce(&'a dyn Store) -> StoreFuture<'a, T>,
    ) -> StoreResult<T> {
        match operation(&*self.store).await {
            Ok(value) => StoreResult::Done(value),
            Err(error) if error.is_unreadable_value() => StoreResult::Unreadable,
            Err(_) => StoreResult::Indeterminate,
        }
    }

    /// Reads a value that no call waits for, within this time, or the guard's timeout if that is longer. A store that
    /// is slow with a large value is not unavailable.
    #[cfg_attr(not(feature = "usage"), allow(dead_code, reason = "usage alone needs it"))]
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
    #[cfg_attr(not(feature = "usage"), allow(dead_code, reason = "usage alone needs it"))]
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
        StoreHealth {
            unavailable_for: state.down_since.map(|since| since.elapsed()),
            outages: state.outages,
        }
    }

    /// Waits for an operation, and records the availability: the store is unavailable if an operation fails, or takes
    /// longer than the guard's timeout.
    async fn observe<T>(
        &self,
        patience: Duration,
        operation: StoreFuture<'_, T>,
    ) -> StoreResult<T> {
        let start = Instant::now();
        self.record_outcome(start, timeout(patience, operation).await)
    }

    fn record_outcome<T>(
        &self,
        start: Instant,
        ended: Result<crate::error::Result<T>, Elapsed>,
    ) -> StoreResult<T> {
        let failure = match ended {
            Ok(Ok(value)) => {
                // A background operation can take longer: no call could have had its response.
                if start.elapsed() <= self.timeout {
                    record_success(&mut self.state());
                }
                return StoreResult::Done(value);
            }
            Ok(Err(error)) if error.is_unreadable_value() => {
                if start.elapsed() <= self.timeout {
                    record_success(&mut self.state());
                }
                return StoreResult::Unreadable;
            }
            Ok(Err(error)) => error.to_string(),
            // The wait ended earlier: this does not show whether the store is available.
            Err(_) if start.elapsed() < self.timeout => return StoreResult::Indeterminate,
            Err(_) => format!("no response within {:?}", start.elapsed()),
        };
        record_failure(&mut self.state(), &failure);
        StoreResult::Indeterminate
    }

    /// Returns whether the store is available, or a probe is due, which one of many callers starts. No call waits for a
    /// probe: a task performs it.
    fn should_attempt(&self, call_waits: bool) -> bool {
        let mut state = self.state();
        let Some(retry_at) = state.retry_at else { return true };
        let now = Instant::now();
        if retry_at > now {
            return false;
        }
        state.retry_at = Some(saturating_after(now, self.timeout.saturating_add(state.backoff)));
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
        Ok(Ok(_)) => record_success(&mut lock(&state)),
        Ok(Err(error)) if error.is_unreadable_value() => record_success(&mut lock(&state)),
        Ok(Err(error)) => record_failure(&mut lock(&state), &error.to_string()),
        Err(_) => record_failure(&mut lock(&state), &format!("no response within {patience:?}")),
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn record_success(state: &mut State) {
    state.retry_at = None;
    if !std::mem::replace(&mut state.is_available, true) {
        meter::store(true);
    }
    if let Some(since) = state.down_since.take() {
        state.recovered_at = Some(Instant::now());
        info!(outage = ?since.elapsed(), "store available again");
    }
}

fn record_failure(state: &mut State, failure: &str) {
    let now = Instant::now();
    state.is_available = false;
    meter::store(false);
    let recurs = state.recovered_at.is_some_and(|at| now < at + MAX_BACKOFF);
    state.backoff = match state.down_since.is_some() || recurs {
        true => (state.backoff * 2).min(MAX_BACKOFF),
        false => INITIAL_BACKOFF,
    };
    if state.down_since.is_none() {
        state.down_since = Some(now);
        state.outages += 1;
        if state.last_warning.is_none_or(|last| last + WARNING_INTERVAL <= now) {
            state.last_warning = Some(now);
            warn!(error = failure, "store unavailable; continuing without it");
        }
    }
    state.retry_at = Some(now + state.backoff);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use bytes::Bytes;

    use super::*;
    use crate::store::{CounterStore, KeyValueStore, MemoryStore, QuotaStore, forward};

    /// A store that never responds, and counts the operations.
    #[derive(Debug, Default)]
    struct UnresponsiveStore {
        is_responding: AtomicBool,
        calls: AtomicU32,
        memory: MemoryStore,
    }

    impl KeyValueStore for Arc<UnresponsiveStore> {
        fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
            Box::pin(async move {
                self.calls.fetch_add(1, Ordering::Relaxed);
                if !self.is_responding.load(Ordering::Relaxed) {
                    std::future::pending::<()>().await;
                }
                self.memory.get(key).await
            })
        }
        forward!(memory => put, put_if_absent, extend_if_equal, remove, remove_if_equal);
    }

    impl CounterStore for Arc<UnresponsiveStore> {
        forward!(memory => increment);
    }

    impl QuotaStore for Arc<UnresponsiveStore> {}

    /// Reads a value with a new allowance.
    async fn get(guard: &ResilientStore) -> Option<Option<Bytes>> {
        guard.run(&StoreWaitBudget::new(DEFAULT_TIMEOUT), |store| store.get("k")).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_hangs_costs_fifty_milliseconds_once_and_comes_back() {
        let moody = Arc::new(UnresponsiveStore::default());
        let store = ResilientStore::new(Arc::new(Arc::clone(&moody)), DEFAULT_TIMEOUT);
        let start = Instant::now();
        assert_eq!(get(&store).await, None);
        assert_eq!(start.elapsed(), DEFAULT_TIMEOUT);
        for _ in 0..1000 {
            assert_eq!(get(&store).await, None);
        }
        assert_eq!((start.elapsed(), moody.calls.load(Ordering::Relaxed)), (DEFAULT_TIMEOUT, 1));
        assert!(store.health().unavailable_for.is_some());
        moody.is_responding.store(true, Ordering::Relaxed);
        tokio::time::sleep(INITIAL_BACKOFF).await;
        // A task performs the probe, and no call waits for it.
        let start = Instant::now();
        assert_eq!(get(&store).await, None);
        tokio::task::yield_now().await;
        assert_eq!(get(&store).await, Some(None));
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(store.health(), StoreHealth { unavailable_for: None, outages: 1 });
    }

    #[tokio::test]
    async fn a_value_that_cannot_be_read_is_no_outage() {
        let memory = MemoryStore::new();
        let garbage = Bytes::from_static(b"garbage");
        memory.put("k", garbage, Duration::from_secs(9)).await.unwrap();
        let guard = ResilientStore::new(Arc::new(memory), DEFAULT_TIMEOUT);
        let allowance = StoreWaitBudget::new(DEFAULT_TIMEOUT);
        let added =
            guard.run_reporting(&allowance, |store| store.increment("k", 1, DEFAULT_TIMEOUT)).await;
        assert_eq!(added, StoreResult::Unreadable);
        let added = guard
            .run_in_background(DEFAULT_TIMEOUT, |store| store.increment("k", 1, DEFAULT_TIMEOUT))
            .await;
        assert_eq!(added, StoreResult::Unreadable);
        assert_eq!(guard.retry_at(), None);
        assert_eq!(guard.health(), StoreHealth { unavailable_for: None, outages: 0 });
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_stays_away_is_asked_once_a_second() {
        let moody = Arc::new(UnresponsiveStore::default());
        let store = ResilientStore::new(Arc::new(Arc::clone(&moody)), DEFAULT_TIMEOUT);
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(60) {
            get(&store).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!((50..70).contains(&moody.calls.load(Ordering::Relaxed)));
        assert_eq!(store.health().outages, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_allowance_that_is_used_up_is_no_outage() {
        let moody = Arc::new(UnresponsiveStore::default());
        let guard = ResilientStore::new(Arc::new(Arc::clone(&moody)), DEFAULT_TIMEOUT);
        let allowance = StoreWaitBudget::new(DEFAULT_TIMEOUT);
        let wait = allowance.begin();
        tokio::time::sleep(Duration::from_millis(40)).await;
        drop(wait);
        let start = Instant::now();
        for _ in 0..10 {
            assert_eq!(guard.run(&allowance, |store| store.get("k")).await, None);
        }
        assert_eq!(start.elapsed(), Duration::from_millis(10));
        // An operation without remaining time was not sent either.
        assert_eq!(moody.calls.load(Ordering::Relaxed), 1);
        assert_eq!(guard.health(), StoreHealth { unavailable_for: None, outages: 0 });
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_known_to_all_users_of_a_store() {
        let moody: Arc<dyn Store> = Arc::new(Arc::new(UnresponsiveStore::default()));
        let one = ResilientStore::shared(Arc::clone(&moody), DEFAULT_TIMEOUT);
        let other = ResilientStore::shared(Arc::clone(&moody), DEFAULT_TIMEOUT);
        assert_eq!(get(&one).await, None);
        let start = Instant::now();
        assert_eq!(get(&other).await, None);
        assert_eq!(start.elapsed(), Duration::ZERO);
        // A longer timeout has its own availability, and so has another store.
        let patient = ResilientStore::shared(moody, 10 * DEFAULT_TIMEOUT);
        assert_eq!(patient.health().unavailable_for, None);
        let another: Arc<dyn Store> = Arc::new(Arc::new(UnresponsiveStore::default()));
        assert_eq!(ResilientStore::shared(another, DEFAULT_TIMEOUT).health().unavailable_for, None);
        // Clones of a store have the same identity.
        let memory = MemoryStore::new();
        let guard =
            |store: &MemoryStore| ResilientStore::shared(Arc::new(store.clone()), DEFAULT_TIMEOUT);
        let first = guard(&memory);
        assert!(Arc::ptr_eq(&first.state, &guard(&memory).state));
    }

    /// A handle of a store that keeps its values under other keys, and cannot read one of them.
    #[derive(Debug)]
    struct Prefixed(MemoryStore);

    impl KeyValueStore for Prefixed {
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
        fn identity(&self) -> Option<usize> {
            self.0.identity()
        }
        forward!(0 => put_if_absent, extend_if_equal, remove, remove_if_equal);
    }

    impl CounterStore for Prefixed {
        fn counters<'a>(
            &'a self,
            _: &'a str,
        ) -> StoreFuture<'a, std::collections::BTreeMap<String, u64>> {
            Box::pin(async { Err(crate::Error::unreadable_value("a list")) })
        }
        forward!(0 => increment);
    }

    impl QuotaStore for Prefixed {}

    #[tokio::test(start_paused = true)]
    async fn handles_of_one_store_share_its_health_and_not_its_keys() {
        let memory = MemoryStore::new();
        let plain = ResilientStore::shared(Arc::new(memory.clone()), DEFAULT_TIMEOUT);
        let prefixed = ResilientStore::shared(Arc::new(Prefixed(memory.clone())), DEFAULT_TIMEOUT);
        assert!(Arc::ptr_eq(&plain.state, &prefixed.state));
        let value = || Bytes::from_static(b"v");
        prefixed
            .run_in_background(DEFAULT_TIMEOUT, |store| store.put("k", value(), DEFAULT_TIMEOUT))
            .await;
        assert_eq!(memory.get("k").await.unwrap(), None);
        assert_eq!(memory.get("mine:k").await.unwrap(), Some(value()));
        assert_eq!(get(&plain).await, Some(None));
    }

    /// A store that takes this number of milliseconds for a lease.
    #[derive(Debug)]
    struct Leases(MemoryStore, u64);

    impl KeyValueStore for Leases {
        forward!(0 => get, put, put_if_absent, extend_if_equal, remove, remove_if_equal);
    }

    impl CounterStore for Leases {
        forward!(0 => increment);
    }

    impl QuotaStore for Leases {
        fn lease<'a>(
            &'a self,
            key: &'a str,
            request: &'a QuotaRequest,
        ) -> StoreFuture<'a, Option<QuotaLease>> {
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
            let store = Arc::new(Leases(MemoryStore::new(), takes));
            let guard = ResilientStore::new(store, Duration::from_millis(timeout));
            record_failure(&mut guard.state(), "an outage");
            tokio::time::sleep(INITIAL_BACKOFF).await;
            let request = QuotaRequest {
                member: "m".to_owned(),
                serial: 1,
                epoch: Some("e".to_owned()),
                join: Some(super::super::MemberJoin::default()),
                ..QuotaRequest::default()
            };
            let lease = guard.lease("limits:x", &request, false).await;
            assert!(lease.flatten().is_some(), "{takes} of {timeout} ms");
            assert_eq!(guard.retry_at().is_none(), is_up, "{takes} of {timeout} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_unreadable_value_is_missing_in_any_store() {
        let memory = MemoryStore::new();
        let guard = ResilientStore::new(Arc::new(Prefixed(memory.clone())), DEFAULT_TIMEOUT);
        memory.put("mine:k", Bytes::from_static(b"v"), DEFAULT_TIMEOUT).await.unwrap();
        let allowance = StoreWaitBudget::new(DEFAULT_TIMEOUT);
        assert_eq!(guard.get("unreadable", 9, &allowance).await, Some(None));
        let counters = guard.read_or_default(DEFAULT_TIMEOUT, |store| store.counters("t")).await;
        assert_eq!(counters, Some(std::collections::BTreeMap::new()));
        // The other values are read nevertheless.
        let values = guard.get_many(&[("unreadable", 9), ("k", 9)], &allowance).await.unwrap();
        assert!(values[0].as_ref().is_err_and(crate::Error::is_unreadable_value));
        assert_eq!(values[1].as_ref().unwrap().as_deref(), Some(&b"v"[..]));
        assert_eq!(guard.health(), StoreHealth { unavailable_for: None, outages: 0 });
    }

    #[tokio::test(start_paused = true)]
    async fn background_operations_have_at_least_the_timeout_of_calls() {
        for time in [DEFAULT_TIMEOUT, 3 * BACKGROUND_TIMEOUT] {
            let store = ResilientStore::new(Arc::new(MemoryStore::new()), time);
            let takes = |millis| -> StoreFuture<'static, ()> {
                Box::pin(async move {
                    tokio::time::sleep(Duration::from_millis(millis)).await;
                    Ok(())
                })
            };
            let longest = u64::try_from(store.background_timeout().as_millis()).unwrap();
            assert_eq!(
                store.run_in_background(BACKGROUND_TIMEOUT, |_| takes(longest - 1)).await,
                StoreResult::Done(())
            );
            assert_eq!(store.read(BACKGROUND_TIMEOUT, |_| takes(longest - 1)).await, Some(()));
            assert_eq!(
                store.run_in_background(BACKGROUND_TIMEOUT, |_| takes(longest + 1)).await,
                StoreResult::Indeterminate
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_serves_only_background_operations_stays_unavailable() {
        let moody = Arc::new(UnresponsiveStore::default());
        let guard = ResilientStore::new(Arc::new(Arc::clone(&moody)), DEFAULT_TIMEOUT);
        assert_eq!(get(&guard).await, None);
        tokio::time::sleep(INITIAL_BACKOFF).await;
        let slow = |store: &'static MemoryStore| -> StoreFuture<'static, ()> {
            Box::pin(async move {
                tokio::time::sleep(2 * DEFAULT_TIMEOUT).await;
                store.put("k", Bytes::new(), DEFAULT_TIMEOUT).await
            })
        };
        static MEMORY: LazyLock<MemoryStore> = LazyLock::new(MemoryStore::new);
        assert_eq!(
            guard.run_in_background(BACKGROUND_TIMEOUT, |_| slow(&MEMORY)).await,
            StoreResult::Done(())
        );
        assert!(guard.health().unavailable_for.is_some());
    }
}
