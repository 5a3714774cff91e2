//! The wait budget of one attempt: the time for which it can still wait for its store.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::time::clock::saturating_after;

/// The time that one attempt of a call can still wait for stores, for all its operations: concurrent waits count once.
/// Clones share the allowance. The budget of a call that waits for no store is unbounded.
#[derive(Clone, Debug)]
pub(crate) struct StoreWaitBudget(Option<Arc<Mutex<WaitState>>>);

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
        Self(Some(Arc::new(Mutex::new(waits))))
    }

    /// Returns the budget of a call that waits for no store. It has no state.
    pub(crate) const fn unbounded() -> Self {
        Self(None)
    }

    /// Returns whether the waits of the call are bounded.
    pub(crate) fn is_bounded(&self) -> bool {
        self.0.is_some()
    }

    /// Resets the allowance for another attempt of the call.
    pub(crate) fn reset(&self) {
        let Some(mut waits) = self.state() else { return };
        waits.remaining = waits.total;
        waits.charged_until = Instant::now();
    }

    /// Charges a wait that has ended.
    pub(crate) fn charge(&self, from: Instant, to: Instant) {
        if let Some(mut waits) = self.state() {
            waits.charge(from, to);
        }
    }

    /// Returns when the allowance is used up if a wait that began then continues.
    pub(crate) fn expires_at(&self, from: Instant) -> Instant {
        let Some(waits) = self.state() else { return saturating_after(from, Duration::MAX) };
        let from = if waits.running > 0 { from.min(waits.since) } else { from };
        saturating_after(from.max(waits.charged_until), waits.remaining)
    }

    /// Begins a wait.
    pub(crate) fn begin(&self) -> WaitGuard {
        if let Some(mut waits) = self.state() {
            if waits.running == 0 {
                waits.since = Instant::now();
            }
            waits.running += 1;
        }
        WaitGuard(self.clone())
    }

    /// Returns the remaining time, which is the longest duration if it is unbounded.
    pub(crate) fn remaining(&self) -> Duration {
        let Some(waits) = self.state() else { return Duration::MAX };
        match waits.running {
            0 => waits.remaining,
            _ => waits.remaining.saturating_sub(waits.since.max(waits.charged_until).elapsed()),
        }
    }

    fn state(&self) -> Option<MutexGuard<'_, WaitState>> {
        self.0.as_ref().map(|state| state.lock().unwrap_or_else(PoisonError::into_inner))
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
        let Some(mut waits) = self.0.state() else { return };
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

    #[tokio::test(start_paused = true)]
    async fn nothing_is_charged_to_an_unbounded_budget() {
        let (allowance, start) = (StoreWaitBudget::unbounded(), Instant::now());
        assert!(!allowance.is_bounded() && StoreWaitBudget::new(MS).is_bounded());
        let wait = allowance.clone().begin();
        tokio::time::advance(1_000 * MS).await;
        drop(wait);
        allowance.charge(start, start + 1_000 * MS);
        allowance.reset();
        assert_eq!(allowance.remaining(), Duration::MAX);
        assert!(allowance.expires_at(start) > start + Duration::from_secs(60 * 60 * 24));
    }
}
