//! The wait of a call in the queue.

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

use super::driver::replace_if_stalled;
use super::{
    AdmissionQueue, NO_SLOT, Permit, QueuePosition, WaitBudget, queue_full_error,
    wait_exceeded_error,
};
use crate::error::{Error, Result};

/// A queued call. Its place becomes free when this is dropped.
pub(super) struct QueuedCall {
    pub(super) queue: Arc<AdmissionQueue>,
    pub(super) position: QueuePosition,
    pub(super) granted: oneshot::Receiver<Permit>,
    pub(super) wake: Arc<Notify>,
    pub(super) wait_budget: WaitBudget,
}

impl QueuedCall {
    pub(super) async fn wait(mut self, start: Instant) -> Result<Permit> {
        let mut end = start.checked_add(self.queue.max_wait(self.wait_budget));
        let queue = Arc::clone(&self.queue);
        let mut watch = pin!(replace_if_stalled(&queue));
        let wake = Arc::clone(&self.wake);
        loop {
            let late_at = self.own_timer_deadline();
            let next = [end, late_at].into_iter().flatten().min();
            let late = async move {
                match next {
                    Some(next) => sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            let notified = pin!(wake.notified());
            let woken = select(notified, watch.as_mut());
            match select(&mut self.granted, select(pin!(late), woken)).await {
                Either::Left((Ok(permit), _)) => return Ok(permit),
                Either::Right((Either::Left(_), _)) => {
                    let now = Instant::now();
                    if late_at.is_some_and(|late_at| late_at <= now) {
                        self.queue.readmit_skipped();
                    }
                    end = self.latest_end(start, now);
                    if end.is_some_and(|end| end <= now) {
                        return self.timeout();
                    }
                }
                Either::Right((Either::Right(_), _)) => {
                    // Another task can be the timer task now.
                    watch.set(replace_if_stalled(&queue));
                    end = self.latest_end(start, Instant::now());
                    let mut state = self.queue.state();
                    if !state.timer_running && state.queue.contains_key(&self.position) {
                        self.queue.ensure_timer(&mut state);
                    }
                }
                // The admission queue, which this future holds, owns the sender until the call is removed.
                Either::Left((Err(_), _)) => return Err(self.evicted_error()),
            }
        }
    }

    /// Returns when the call has no time left for the store, if the task that would then admit it runs on a runtime
    /// that might not be polled; `None` if that time has passed.
    fn own_timer_deadline(&self) -> Option<Instant> {
        let state = self.queue.state();
        if !state.latest_timer.is_on_other_runtime() {
            return None;
        }
        let late_at =
            state.queue.get(&self.position)?.own_store_deadline(state.last_store_response)?;
        (late_at > Instant::now()).then_some(late_at)
    }

    /// Returns the latest end of the wait, as far as it is known now: without the policy's bound while the call is
    /// skipped, and later by the time for which it was skipped.
    fn latest_end(&self, start: Instant, now: Instant) -> Option<Instant> {
        let own = start.checked_add(self.wait_budget.max);
        let state = self.queue.state();
        let skipped = state.queue.get(&self.position).map(|waiter| &waiter.skipped);
        if skipped.is_some_and(|skipped| skipped.since.is_some()) {
            return own;
        }
        let skipped = skipped.map(|skipped| skipped.total(now)).unwrap_or_default();
        let allowed = self.queue.policy_max_wait(self.wait_budget).saturating_add(skipped);
        [start.checked_add(allowed), own].into_iter().flatten().min()
    }

    /// Returns the error of a call whose place a more urgent call has taken.
    fn evicted_error(&self) -> Error {
        let state = self.queue.state();
        let blocked = state.blocks.first().cloned();
        let blocked = blocked.unwrap_or(NO_SLOT);
        queue_full_error(&blocked, self.queue.policy.max_queued, Instant::now())
    }

    fn timeout(&mut self) -> Result<Permit> {
        let state = self.queue.state();
        // The call can have been admitted at this moment.
        if let Ok(permit) = self.granted.try_recv() {
            return Ok(permit);
        }
        let cost = state.queue.get(&self.position).map(|waiter| &waiter.cost);
        let blocked = cost.and_then(|cost| state.blocking_limit(cost));
        let blocked = blocked.unwrap_or(NO_SLOT);
        Err(wait_exceeded_error(&blocked, Instant::now()))
    }
}

impl Drop for QueuedCall {
    fn drop(&mut self) {
        let waiter = {
            let mut state = self.queue.state();
            let waiter = state.queue.remove(&self.position);
            state.skipped.remove(&self.position);
            state.clear_blocks();
            waiter
        };
        if waiter.is_some() {
            self.queue.wake.notify_one();
        }
        // Its place is passed to another call of its batch, after the lock is released.
        drop(waiter);
    }
}
