//! Where usage is stored: in the client's store, or in the client's memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

pub(super) use crate::store::Ran;
use crate::store::{BACKGROUND_TIMEOUT, Guard, Memory, Store, StoreFuture, Tasks, WaitAllowance};

/// The client's store, and the memory that replaces it.
pub(super) struct Place {
    shared: Option<Arc<Guard>>,
    /// Sums, which other values cannot evict, and numbers by name.
    sums: Memory,
    tallies: Memory,
    /// Whether the store keeps no tallies.
    apart: AtomicBool,
    /// The tasks that use the store for budgets.
    pub(super) tasks: Arc<Tasks>,
}

/// How long the client waits for the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// For a bounded time, and not at all while the store is known to be unavailable.
    Guarded,
    /// Until the store responds: the caller bounds the time.
    Last,
}

/// The outcome of an operation on a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SumOutcome<T> {
    pub(super) ran: Ran<T>,
    /// When the store can have lost the sum, if it is unreadable for that reason.
    pub(super) lost_at: Option<SystemTime>,
}

/// The memory in bytes for budgets without a store: some ten thousand of them; and for usage: the latest of some
/// hundred identities.
const SUMS_BYTES: usize = 4 * 1024 * 1024;
const TALLIES_BYTES: usize = 16 * 1024 * 1024;
/// The timeout of reads for reports, for which no call waits.
const READING: Duration = Duration::from_secs(2);

impl Place {
    pub(super) fn new(shared: Option<Arc<Guard>>) -> Self {
        Self {
            shared,
            sums: Memory::with_max_bytes(SUMS_BYTES),
            tallies: Memory::with_max_bytes(TALLIES_BYTES),
            apart: AtomicBool::new(false),
            tasks: Arc::default(),
        }
    }

    /// Returns whether other processes can read tallies, so that a write has a cost.
    pub(super) fn is_shared(&self) -> bool {
        self.shared.is_some() && !self.apart.load(Ordering::Relaxed)
    }

    /// Returns whether other processes can read tallies, and the store is not known to be unavailable.
    pub(super) fn answers(&self) -> bool {
        let answers = self.shared.as_ref().is_some_and(|guard| guard.retry_at().is_none());
        answers && self.is_shared()
    }

    /// Adds the owed amount to a sum, and one more if the limit permits it. Returns the sum, and whether it was
    /// permitted. A call waits for this.
    pub(super) async fn spend(
        &self,
        key: &str,
        owed: i64,
        most: i64,
        ttl: Duration,
    ) -> SumOutcome<(i64, bool)> {
        self.run_on_sum(true, |store| store.spend(key, owed, most, ttl)).await
    }

    /// Returns a sum. A call waits for this.
    pub(super) async fn ask(&self, key: &str, ttl: Duration) -> SumOutcome<i64> {
        self.run_on_sum(true, |store| store.add(key, 0, ttl)).await
    }

    /// Adds to a sum.
    pub(super) async fn add(&self, key: &str, amount: i64, ttl: Duration) -> SumOutcome<i64> {
        self.run_on_sum(false, |store| store.add(key, amount, ttl)).await
    }

    /// Raises a sum to at least this value, even if it cannot be read. Returns the sum.
    pub(super) async fn repair(&self, key: &str, at_least: i64, ttl: Duration) -> Ran<i64> {
        self.run(false, |store| store.repair_sum(key, at_least, ttl)).await
    }

    /// Returns whether no earlier call claimed this key.
    pub(super) async fn claim(&self, key: &str, ttl: Duration) -> bool {
        let claimed =
            self.run(false, |store| store.claim(key, Bytes::from_static(b"1"), ttl)).await;
        // A duplicate is better than none.
        !matches!(claimed, Ran::Done(false))
    }

    /// Records the time of the first event.
    pub(super) async fn remember_first(&self, key: &str, time: SystemTime, ttl: Duration) {
        let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().to_string();
        self.run(false, |store| store.claim(key, Bytes::from(seconds), ttl)).await;
    }

    /// Returns the time of the first event.
    pub(super) async fn first(&self, key: &str) -> Option<SystemTime> {
        let seconds = self.number(key).await.filter(|seconds| *seconds > 0)?;
        UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).ok()?))
    }

    /// Returns the value of a sum.
    pub(super) async fn number(&self, key: &str) -> Option<i64> {
        let sum = match &self.shared {
            Some(guard) => guard.read(READING, |store| store.sum(key)).await?,
            None => self.sums.sum(key).await.ok()?,
        };
        Some(sum.unwrap_or_default())
    }

    /// Adds to numbers by name. Returns whether the store accepted them, or can have accepted them.
    pub(super) async fn tally(
        &self,
        key: &str,
        amounts: &[(String, u64)],
        ttl: Duration,
        patience: Patience,
    ) -> Ran<()> {
        if let Some(guard) = self.shared.as_ref().filter(|_| self.is_shared()) {
            let ran = match patience {
                Patience::Guarded => {
                    let tally = guard
                        .run_behind(BACKGROUND_TIMEOUT, |store| store.tally(key, amounts, ttl));
                    tally.await
                }
                Patience::Last => guard.run_last(|store| store.tally(key, amounts, ttl)).await,
            };
            match ran {
                Ran::Done(true) => return Ran::Done(()),
                Ran::Done(false) => self.apart.store(true, Ordering::Relaxed),
                Ran::NotTried => return Ran::NotTried,
                Ran::Unknown | Ran::Unreadable => return Ran::Unknown,
            }
        }
        // It takes no time. Values above the bound are evicted.
        let _ = self.tallies.tally(key, amounts, ttl).await;
        Ran::Done(())
    }

    /// Returns the numbers by name.
    pub(super) async fn tallied(&self, key: &str) -> Option<BTreeMap<String, u64>> {
        match self.shared.as_ref().filter(|_| self.is_shared()) {
            Some(guard) => guard.read_or_default(READING, |store| store.tallied(key)).await,
            None => self.tallies.tallied(key).await.ok(),
        }
    }

    async fn run_on_sum<'a, T: Send + 'a>(
        &'a self,
        call_waits: bool,
        operation: impl FnOnce(&'a dyn Store) -> StoreFuture<'a, T>,
    ) -> SumOutcome<T> {
        let lost_at = Arc::new(OnceLock::new());
        let told = Arc::clone(&lost_at);
        let ran = self.run(call_waits, |store| {
            let operation = operation(store);
            Box::pin(async move {
                operation.await.inspect_err(|error| {
                    if let Some(at) = error.lost_at() {
                        told.get_or_init(|| at);
                    }
                })
            })
        });
        let ran = ran.await;
        SumOutcome { ran, lost_at: lost_at.get().copied() }
    }

    async fn run<'a, T>(
        &'a self,
        call_waits: bool,
        operation: impl FnOnce(&'a dyn Store) -> StoreFuture<'a, T>,
    ) -> Ran<T> {
        match &self.shared {
            // The call bounds its own wait for this.
            Some(guard) if call_waits => {
                guard.try_run(&WaitAllowance::new(guard.timeout()), operation).await
            }
            Some(guard) => guard.run_behind(BACKGROUND_TIMEOUT, operation).await,
            None => match operation(&self.sums).await {
                Ok(value) => Ran::Done(value),
                // Memory does not fail.
                Err(_) => Ran::Unknown,
            },
        }
    }
}
