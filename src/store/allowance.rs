//! How long one attempt of a call can still wait for its store.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::after;

/// The time that one attempt of a call can still wait for stores, for all its operations: concurrent waits count once.
/// Clones share the allowance.
#[derive(Clone, Debug)]
pub(crate) struct WaitAllowance(Arc<Mutex<Waits>>);

#[derive(Debug)]
struct Waits {
    /// The allowance of each attempt.
    total: Duration,
    left: Duration,
    /// The number of current waits, and the time at which the first one began.
    running: u32,
    since: Instant,
    /// The time up to which waits were charged.
    charged: Instant,
}

/// A wait, until it is dropped.
#[derive(Debug)]
#[must_use = "the wait ends when this is dropped"]
pub(crate) struct Wait(WaitAllowance);

impl WaitAllowance {
    pub(crate) fn new(total: Duration) -> Self {
        let now = Instant::now();
        let waits = Waits { total, left: total, running: 0, since: now, charged: now };
        Self(Arc::new(Mutex::new(waits)))
    }

    /// Resets the allowance for another attempt of the call.
    pub(crate) fn renew(&self) {
        let mut waits = self.waits();
        waits.left = waits.total;
        waits.charged = Instant::now();
    }

    /// Charges a wait that has ended.
    pub(crate) fn charge(&self, from: Instant, to: Instant) {
        self.waits().charge(from, to);
    }

    /// Returns when the allowance is used up if a wait that began then continues.
    pub(crate) fn end_of(&self, from: Instant) -> Instant {
        let waits = self.waits();
        let from = if waits.running > 0 { from.min(waits.since) } else { from };
        after(from.max(waits.charged), waits.left)
    }

    /// Begins a wait.
    pub(crate) fn begin(&self) -> Wait {
        let mut waits = self.waits();
        if waits.running == 0 {
            waits.since = Instant::now();
        }
        waits.running += 1;
        drop(waits);
        Wait(self.clone())
    }

    /// Returns the remaining time.
    pub(crate) fn left(&self) -> Duration {
        let waits = self.waits();
        match waits.running {
            0 => waits.left,
            _ => waits.left.saturating_sub(waits.since.max(waits.charged).elapsed()),
        }
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waits {
    fn charge(&mut self, from: Instant, to: Instant) {
        let time = to.saturating_duration_since(from.max(self.charged));
        self.left = self.left.saturating_sub(time);
        self.charged = self.charged.max(to);
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let mut waits = self.0.waits();
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
        let allowance = WaitAllowance::new(50 * MS);
        let first = allowance.begin();
        tokio::time::advance(10 * MS).await;
        let second = allowance.clone().begin();
        tokio::time::advance(10 * MS).await;
        drop(first);
        tokio::time::advance(10 * MS).await;
        assert_eq!(allowance.left(), 20 * MS);
        drop(second);
        // Time in which no caller waits does not count.
        tokio::time::advance(100 * MS).await;
        assert_eq!(allowance.left(), 20 * MS);
        let _third = allowance.begin();
        tokio::time::advance(100 * MS).await;
        assert_eq!(allowance.left(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_charged_afterwards_counts_no_time_twice() {
        let (allowance, start) = (WaitAllowance::new(50 * MS), Instant::now());
        assert_eq!(allowance.end_of(start), start + 50 * MS);
        let beside = allowance.begin();
        tokio::time::advance(10 * MS).await;
        // The wait has lasted since the other one began.
        assert_eq!(allowance.end_of(Instant::now()), start + 50 * MS);
        drop(beside);
        tokio::time::advance(10 * MS).await;
        let beside = allowance.begin();
        tokio::time::advance(10 * MS).await;
        assert_eq!(allowance.end_of(start), start + 50 * MS);
        allowance.charge(start, start + 25 * MS);
        assert_eq!(allowance.left(), 20 * MS);
        drop(beside);
        assert_eq!(allowance.left(), 20 * MS);
        allowance.renew();
        assert_eq!(allowance.left(), 50 * MS);
    }
}
