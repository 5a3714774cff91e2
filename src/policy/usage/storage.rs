//! The storage of usage: the client's store, or the client's memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::store::{
    BACKGROUND_TIMEOUT, BackgroundTasks, CounterStore, MemoryStore, ResilientStore, Store,
    StoreFuture, StoreResult, StoreTimeout, StoreWaitBudget,
};

/// The client's store, and the memory that replaces it.
pub(super) struct UsageStorage {
    shared: Option<Arc<ResilientStore>>,
    /// Sums, which other values cannot evict, and numbers by name.
    budgets: MemoryStore,
    counters: MemoryStore,
    /// Whether the store keeps no counters.
    unsupported: AtomicBool,
    /// The tasks that use the store for budgets.
    pub(super) tasks: Arc<BackgroundTasks>,
}

/// The outcome of an operation on a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SumOutcome<T> {
    pub(super) result: StoreResult<T>,
    /// When the store can have lost the sum, if it is unreadable for that reason.
    pub(super) lost_at: Option<SystemTime>,
}

/// The memory in bytes for budgets without a store: some ten thousand of them; and for usage: the latest of some
/// hundred identities.
const BUDGETS_BYTES: usize = 4 * 1024 * 1024;
const COUNTERS_BYTES: usize = 16 * 1024 * 1024;
/// The timeout of reads for reports, for which no call waits.
const REPORT_TIMEOUT: Duration = Duration::from_secs(2);

impl UsageStorage {
    pub(super) fn new(shared: Option<Arc<ResilientStore>>) -> Self {
        Self {
            shared,
            budgets: MemoryStore::with_max_bytes(BUDGETS_BYTES),
            counters: MemoryStore::with_max_bytes(COUNTERS_BYTES),
            unsupported: AtomicBool::new(false),
            tasks: Arc::default(),
        }
    }

    /// Returns whether other processes can read counters, so that a write has a cost.
    pub(super) fn is_shared(&self) -> bool {
        self.shared.is_some() && !self.unsupported.load(Ordering::Relaxed)
    }

    /// Returns whether other processes can read counters, and the store is not known to be unavailable.
    pub(super) fn is_available(&self) -> bool {
        let responses = self.shared.as_ref().is_some_and(|guard| guard.retry_at().is_none());
        responses && self.is_shared()
    }

    /// Adds the owed amount to a sum, and one more if the limit permits it. Returns the sum, and whether it was
    /// permitted. A call waits for this.
    pub(super) async fn try_consume(
        &self,
        key: &str,
        owed: i64,
        most: i64,
        ttl: Duration,
    ) -> SumOutcome<(i64, bool)> {
        self.run_on_budget(true, |store| store.try_consume(key, owed, most, ttl)).await
    }

    /// Returns a sum. A call waits for this.
    pub(super) async fn budget_total(&self, key: &str, ttl: Duration) -> SumOutcome<i64> {
        self.run_on_budget(true, |store| store.increment(key, 0, ttl)).await
    }

    /// Adds to a sum.
    pub(super) async fn increment(&self, key: &str, amount: i64, ttl: Duration) -> SumOutcome<i64> {
        self.run_on_budget(false, |store| store.increment(key, amount, ttl)).await
    }

    /// Raises a sum to at least this value, even if it cannot be read. Returns the sum.
    pub(super) async fn repair_total(
        &self,
        key: &str,
        at_least: i64,
        ttl: Duration,
    ) -> StoreResult<i64> {
        self.run(false, |store| store.repair_sum(key, at_least, ttl)).await
    }

    /// Returns whether no earlier call claimed this key.
    pub(super) async fn put_if_absent(&self, key: &str, ttl: Duration) -> bool {
        let claimed =
            self.run(false, |store| store.put_if_absent(key, Bytes::from_static(b"1"), ttl)).await;
        // A duplicate is better than none.
        !matches!(claimed, StoreResult::Done(false))
    }

    /// Records the time of the first event.
    pub(super) async fn record_first_use(&self, key: &str, time: SystemTime, ttl: Duration) {
        let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().to_string();
        self.run(false, |store| store.put_if_absent(key, Bytes::from(seconds), ttl)).await;
    }

    /// Returns the time of the first event.
    pub(super) async fn first_use(&self, key: &str) -> Option<SystemTime> {
        let seconds = self.total(key).await.filter(|seconds| *seconds > 0)?;
        UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).ok()?))
    }

    /// Returns the value of a sum.
    pub(super) async fn total(&self, key: &str) -> Option<i64> {
        let sum = match &self.shared {
            Some(guard) => guard.read(REPORT_TIMEOUT, |store| store.sum(key)).await?,
            None => self.budgets.sum(key).await.ok()?,
        };
        Some(sum.unwrap_or_default())
    }

    /// Adds to numbers by name. Returns whether the store accepted them, or can have accepted them.
    pub(super) async fn increment_counters(
        &self,
        key: &str,
        amounts: &[(String, u64)],
        ttl: Duration,
        patience: StoreTimeout,
    ) -> StoreResult<()> {
        if let Some(guard) = self.shared.as_ref().filter(|_| self.is_shared()) {
            let ran = guard
                .run_with_timeout(patience, |store| store.increment_counters(key, amounts, ttl));
            match ran.await {
                StoreResult::Done(true) => return StoreResult::Done(()),
                StoreResult::Done(false) => self.unsupported.store(true, Ordering::Relaxed),
                StoreResult::NotAttempted => return StoreResult::NotAttempted,
                StoreResult::Indeterminate | StoreResult::Unreadable => {
                    return StoreResult::Indeterminate;
                }
            }
        }
        // It takes no time. Values above the bound are evicted.
        let _ = self.counters.increment_counters(key, amounts, ttl).await;
        StoreResult::Done(())
    }

    /// Returns the numbers by name.
    pub(super) async fn counters(&self, key: &str) -> Option<BTreeMap<String, u64>> {
        match self.shared.as_ref().filter(|_| self.is_shared()) {
            Some(guard) => guard.read_or_default(REPORT_TIMEOUT, |store| store.counters(key)).await,
            None => self.counters.counters(key).await.ok(),
        }
    }

    async fn run_on_budget<'a, T: Send + 'a>(
        &'a self,
        call_waits: bool,
        operation: impl FnOnce(&'a dyn Store) -> StoreFuture<'a, T>,
    ) -> SumOutcome<T> {
        let lost_at = Arc::new(OnceLock::new());
        let update = Arc::clone(&lost_at);
        let ran = self.run(call_waits, |store| {
            let operation = operation(store);
            Box::pin(async move {
                operation.await.inspect_err(|error| {
                    if let Some(at) = error.lost_at() {
                        update.get_or_init(|| at);
                    }
                })
            })
        });
        let ran = ran.await;
        SumOutcome { result: ran, lost_at: lost_at.get().copied() }
    }

    async fn run<'a, T>(
        &'a self,
        call_waits: bool,
        operation: impl FnOnce(&'a dyn Store) -> StoreFuture<'a, T>,
    ) -> StoreResult<T> {
        match &self.shared {
            // The call bounds its own wait for this.
            Some(guard) if call_waits => {
                guard.run_reporting(&StoreWaitBudget::new(guard.timeout()), operation).await
            }
            Some(guard) => guard.run_in_background(BACKGROUND_TIMEOUT, operation).await,
            None => match operation(&self.budgets).await {
                Ok(value) => StoreResult::Done(value),
                // Memory does not fail.
                Err(_) => StoreResult::Indeterminate,
            },
        }
    }
}
