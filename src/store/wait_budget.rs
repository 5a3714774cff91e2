//! The wait budget of one attempt: the time for which it can still wait for its store.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::time::clock::saturating_after;

/// The time that one attempt of a call can still wait for stores, for all its operations: concurrent waits count once.
/// Clones share the allowance.
#[derive(Clone, Debug)]
pub(crate) struct StoreWaitBudget(Arc<Mutex<WaitState>>);

#[derive(Debug)]
struct WaitState {
    /// The allowance of each attempt.
    total: Duration,
    remaining: Duration,
    /// The number of current waits, and the time at which the first one began.
    running: u32,
    since: Instant,
    /// The time up to which waits were charged.
    charged_until: Instant,
}

/// A wait, until it is dropped.
#[derive(Debug)]
#[must_use = "the wait ends when this is dropped"]
pub(crate) struct WaitGuard(StoreWaitBudget);

impl StoreWaitBudget {
    pub(crate) fn new(total: Duration) -> Self {
        let now = Instant::now();
        let waits =
            WaitState { total, remaining: total, running: 0, since: now, charged_until: now };
        Self(Arc::new(Mutex::new(waits)))
    }

    /// Resets the allowance for another attempt of the call.
    pub(crate) fn reset(&self) {
        let mut waits = self.state();
        waits.remaining = waits.total;
        waits.charged_until = Instant::now();
    }

    /// Charges a wait that has ended.
    pub(crate) fn charge(&self, from: Instant, to: Instant) {
        self.state().charge(from, to);
    }

    /// Returns when the allowance is used up if a wait that began then continues.
    pub(crate) fn expires_at(&self, from: Instant) -> Instant {
        let waits = self.state();
        let from = if waits.running > 0 { from.min(waits.since) } else { from };
        saturating_after(from.max(waits.charged_until), waits.remaining)
    }

    /// Begins a wait.
    pub(crate) fn begin(&self) -> WaitGuard {
        let mut waits = self.state();
        if waits.running == 0 {
            waits.since = Instant::now();
        }
        waits.running += 1;
        drop(waits);
        WaitGuard(self.clone())
    }

    /// Returns the remaining time.
    pub(crate) fn remaining(&self) -> Duration {
        let waits = self.state();
        match waits.running {
            0 => waits.remaining,
            _ => waits.remaining.saturating_sub(waits.since.max(waits.charged_until).elapsed()),
        }
    }

    fn state(&self) -> MutexGuard<'_, WaitState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WaitState {
    fn charge(&mut self, from: Instant, to: Instant) {
        let time = to.saturating_duration_since(from.max(self.charged_until));
        self.remaining = self.remaining.saturating_sub(time);
        self.charged_until = self.charged_until.max(to);
    }
}

impl Drop for WaitGuard {
    fn drop(&mut self) {
        let mut waits = self.0.state();
        waits.running = waits.running.saturating_sub(1);
        if waits.running == 0 {
            let since = waits.since;
            waits.charge(since, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn waits_that_overlap_count_once() {
        let allowance = StoreWaitBudget::new(50 * MS);
        let first = allowance.begin();
        tokio::time::advance(10 * MS).await;
        let second = allowance.clone().begin();
        tokio::time::advance(10 * MS).await;
        drop(first);
        tokio::time::advance(10 * MS).await;
        assert_eq!(allowance.remaining(), 20 * MS);
        drop(second);
        // Time in which no caller waits does not count.
        tokio::time::advance(100 * MS).await;
        assert_eq!(allowance.remaining(), 20 * MS);
        let _third = allowance.begin();
        tokio::time::advance(100 * MS).await;
        assert_eq!(allowance.remaining(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_charged_afterwards_counts_no_time_twice() {
        let (allowance, start) = (StoreWaitBudget::new(50 * MS), Instant::now());
        assert_eq!(allowance.expires_at(start), start + 50 * MS);
        let beside = allowance.begin();
        tokio::time::advance(10 * MS).await;
        // The wait has lasted since the other one began.
        assert_eq!(allowance.expires_at(Instant::now()), start + 50 * MS);
        drop(beside);
        tokio::time::advance(10 * MS).await;
        let beside = allowance.begin();
        tokio::time::advance(10 * MS).await;
        assert_eq!(allowance.expires_at(start), start + 50 * MS);
        allowance.charge(start, start + 25 * MS);
        assert_eq!(allowance.remaining(), 20 * MS);
        drop(beside);
        assert_eq!(allowance.remaining(), 20 * MS);
        allowance.reset();
        assert_eq!(allowance.remaining(), 50 * MS);
    }
}
