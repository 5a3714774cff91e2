//! The wait of a call in the queue.

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

use super::driver::replace_if_stalled;
use super::{Lane, NO_SLOT, Patience, Permit, Place, full, too_long};
use crate::error::{Error, Result};

/// A queued call. Its place becomes free when this is dropped.
pub(super) struct Waiting {
    pub(super) lane: Arc<Lane>,
    pub(super) place: Place,
    pub(super) granted: oneshot::Receiver<Permit>,
    pub(super) wake: Arc<Notify>,
}

impl Waiting {
    pub(super) async fn wait(mut self, start: Instant, patience: Patience) -> Result<Permit> {
        let mut end = start.checked_add(self.lane.at_most(patience));
        let lane = Arc::clone(&self.lane);
        let mut watch = pin!(replace_if_stalled(&lane));
        let wake = Arc::clone(&self.wake);
        loop {
            let late_at = self.late_elsewhere();
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
                        self.lane.look_again();
                    }
                    end = self.end(start, now, patience);
                    if end.is_some_and(|end| end <= now) {
                        return self.too_late();
                    }
                }
                Either::Right((Either::Right(_), _)) => {
                    // Another task can be the timer task now.
                    watch.set(replace_if_stalled(&lane));
                    end = self.end(start, Instant::now(), patience);
                    let mut state = self.lane.state();
                    if !state.driven && state.queue.contains_key(&self.place) {
                        self.lane.drive(&mut state);
                    }
                }
                // The admission queue, which this future holds, owns the sender until the call is removed.
                Either::Left((Err(_), _)) => return Err(self.displaced()),
            }
        }
    }

    /// Returns when the call has no time left for the store, if the task that would then admit it runs on a runtime
    /// that might not be polled; `None` if that time has passed.
    fn late_elsewhere(&self) -> Option<Instant> {
        let state = self.lane.state();
        if !state.latest_driver.is_elsewhere() {
            return None;
        }
        let late_at = state.queue.get(&self.place)?.known_late_at(state.silence_from)?;
        (late_at > Instant::now()).then_some(late_at)
    }

    /// Returns the latest end of the wait, as far as it is known now: without the policy's bound while the call is
    /// skipped, and later by the time for which it was skipped.
    fn end(&self, start: Instant, now: Instant, patience: Patience) -> Option<Instant> {
        let own = start.checked_add(patience.at_most);
        let state = self.lane.state();
        let skipped = state.queue.get(&self.place).map(|waiter| &waiter.skipped);
        if skipped.is_some_and(|skipped| skipped.since.is_some()) {
            return own;
        }
        let skipped = skipped.map(|skipped| skipped.total(now)).unwrap_or_default();
        let allowed = self.lane.allowed(patience).saturating_add(skipped);
        [start.checked_add(allowed), own].into_iter().flatten().min()
    }

    /// Returns the error of a call whose place a more urgent call has taken.
    fn displaced(&self) -> Error {
        let state = self.lane.state();
        let blocked = state.blocked.first().cloned();
        let blocked = blocked.unwrap_or(NO_SLOT);
        full(&blocked, self.lane.policy.queue, Instant::now())
    }

    fn too_late(&mut self) -> Result<Permit> {
        let state = self.lane.state();
        // The call can have been admitted at this moment.
        if let Ok(permit) = self.granted.try_recv() {
            return Ok(permit);
        }
        let cost = state.queue.get(&self.place).map(|waiter| &waiter.cost);
        let blocked = cost.and_then(|cost| state.blocker(cost));
        let blocked = blocked.unwrap_or(NO_SLOT);
        Err(too_long(&blocked, Instant::now()))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let waiter = {
            let mut state = self.lane.state();
            let waiter = state.queue.remove(&self.place);
            state.skipped.remove(&self.place);
            state.forget_idle_blocks();
            waiter
        };
        if waiter.is_some() {
            self.lane.changed.notify_one();
        }
        // Its place is passed to another call of its batch, after the lock is released.
        drop(waiter);
    }
}
