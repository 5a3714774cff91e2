//! The counts of an operation, and those of a few operations, which calls increase without a lock.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// Numbers of calls and requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UsageCount {
    /// Calls that ended, including those that the cache served.
    pub calls: u64,
    /// Calls that failed, for any reason.
    pub failed: u64,
    /// Requests that were sent or attempted; a call can have none or several.
    pub requests: u64,
}

impl UsageCount {
    pub(super) fn add(&mut self, more: Self) {
        self.calls = self.calls.saturating_add(more.calls);
        self.failed = self.failed.saturating_add(more.failed);
        self.requests = self.requests.saturating_add(more.requests);
    }

    /// Returns the numbers with their names in a store.
    pub(super) fn numbers(self) -> [(&'static str, u64); 3] {
        [("calls", self.calls), ("failed", self.failed), ("requests", self.requests)]
    }
}

/// The counts of the operations that an identity uses first.
#[derive(Default)]
pub(super) struct OperationCounts {
    first: [OperationSlot; FIRST_OPERATIONS],
    /// The other slots, once an operation needs one.
    others: OnceLock<Box<[OperationSlot; MAX_OPERATIONS - FIRST_OPERATIONS]>>,
}

/// The number of operations that need no lock. A search passes all of them.
const MAX_OPERATIONS: usize = 8;
/// The number of operations whose slots are part of the memory of each identity.
const FIRST_OPERATIONS: usize = 2;

#[derive(Default)]
struct OperationSlot {
    /// The operation that took the slot first, and keeps it.
    operation: OnceLock<&'static str>,
    calls: AtomicU64,
    failed: AtomicU64,
    requests: AtomicU64,
}

impl OperationCounts {
    /// Adds to the counts of an operation. Returns `false` if it has no slot; then nothing is counted.
    pub(super) fn add(&self, operation: &'static str, count: UsageCount) -> bool {
        // By address, as in the map of the other operations.
        let has_operation = |slot: &&OperationSlot| {
            std::ptr::eq(*slot.operation.get_or_init(|| operation), operation)
        };
        let slot = self.first.iter().find(has_operation).or_else(|| {
            let others = self.others.get_or_init(Box::default);
            others.iter().find(has_operation)
        });
        slot.inspect(|slot| slot.add(count)).is_some()
    }

    fn slots(&self) -> impl Iterator<Item = &OperationSlot> {
        let others = self.others.get().into_iter().flat_map(|others| others.iter());
        self.first.iter().chain(others)
    }

    /// Takes the counts of all operations.
    pub(super) fn take(&self) -> impl Iterator<Item = (&'static str, UsageCount)> {
        self.slots().filter_map(|slot| {
            let operation = slot.operation.get()?;
            let count = slot.take();
            (count != UsageCount::default()).then_some((*operation, count))
        })
    }

    /// Returns whether there are no counts.
    pub(super) fn is_empty(&self) -> bool {
        let mut numbers = self.slots().flat_map(|slot| [&slot.calls, &slot.failed, &slot.requests]);
        numbers.all(|number| number.load(Ordering::Relaxed) == 0)
    }
}

impl OperationSlot {
    fn add(&self, count: UsageCount) {
        // A failure is counted after its call and taken before it, so that no report has more failures than calls.
        for (number, amount) in [
            (&self.requests, count.requests),
            (&self.calls, count.calls),
            (&self.failed, count.failed),
        ] {
            if amount > 0 {
                number.fetch_add(amount, Ordering::AcqRel);
            }
        }
    }

    fn take(&self) -> UsageCount {
        let failed = self.failed.swap(0, Ordering::AcqRel);
        let calls = self.calls.swap(0, Ordering::AcqRel);
        UsageCount { calls, failed, requests: self.requests.swap(0, Ordering::AcqRel) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const REQUEST: UsageCount = UsageCount { calls: 0, failed: 0, requests: 1 };
    const FAILED: UsageCount = UsageCount { calls: 1, failed: 1, requests: 0 };

    #[test]
    fn each_operation_has_its_own_counts_until_there_is_no_slot() {
        let names: Vec<&'static str> =
            (0..=MAX_OPERATIONS).map(|number| &*String::leak(format!("o/{number}"))).collect();
        let counts = OperationCounts::default();
        assert!(counts.is_empty());
        for (index, name) in names.iter().enumerate() {
            assert_eq!(counts.add(name, REQUEST), index < MAX_OPERATIONS);
            assert_eq!(counts.add(name, FAILED), index < MAX_OPERATIONS);
            assert_eq!(counts.others.get().is_some(), index >= FIRST_OPERATIONS);
        }
        assert!(counts.add(names[0], REQUEST));
        let taken: Vec<_> = counts.take().collect();
        assert_eq!(taken.len(), MAX_OPERATIONS);
        assert_eq!(taken[0], ("o/0", UsageCount { calls: 1, failed: 1, requests: 2 }));
        assert_eq!(taken[1], ("o/1", UsageCount { calls: 1, failed: 1, requests: 1 }));
        assert!(counts.is_empty() && counts.take().next().is_none());
    }

    #[test]
    fn no_count_of_concurrent_threads_is_lost_or_taken_twice() {
        const THREADS: u64 = 4;
        const TIMES: u64 = 20_000;
        let counts = OperationCounts::default();
        let mut sums = BTreeMap::<&str, UsageCount>::new();
        std::thread::scope(|scope| {
            let threads = [(); THREADS as usize].map(|()| {
                scope.spawn(|| {
                    for number in 0..TIMES {
                        let operation = ["issues/get", "issues/list"][(number % 2) as usize];
                        assert!(counts.add(operation, REQUEST) && counts.add(operation, FAILED));
                    }
                })
            });
            while !threads.iter().all(std::thread::ScopedJoinHandle::is_finished) {
                for (operation, count) in counts.take() {
                    sums.entry(operation).or_default().add(count);
                    let sum = sums[operation];
                    assert!(sum.failed <= sum.calls, "{sum:?}");
                }
            }
        });
        counts.take().for_each(|(operation, count)| sums.entry(operation).or_default().add(count));
        let half = THREADS * TIMES / 2;
        let expected = UsageCount { calls: half, failed: half, requests: half };
        assert_eq!(sums, BTreeMap::from([("issues/get", expected), ("issues/list", expected)]));
    }
}
