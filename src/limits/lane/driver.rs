//! The task that keeps the time of a lane.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select;
use tokio::time::{Instant, sleep_until};

use super::{FollowUp, Lane};

/// Admits calls when their limits end, until no call waits.
pub(super) async fn keep_time(mut driver: Driver) {
    let lane = &Arc::clone(&driver.lane);
    loop {
        let (next, request) = {
            let mut state = lane.state();
            let (due, request) = lane.ask(&mut state);
            if state.queue.is_empty() && due.is_none() && request.is_none() {
                state.driven = false;
                driver.done = true;
                return;
            }
            let next = if state.queue.is_empty() { None } else { state.next() };
            ([next, due].into_iter().flatten().min(), request)
        };
        if let (Some(request), Some((guard, key))) = (request, &lane.shared) {
            let lease = guard.lease(key, &request).await;
            let now = Instant::now();
            let mut then = FollowUp::default();
            {
                let mut state = lane.state();
                state.rules.answered(now, lease);
                state.pump(now, lane, &mut then);
                // Calls of other members may wait for their places.
                then.detached.extend(state.holders.take_older(now, DETACHED_AFTER));
            }
            then.run();
            continue;
        }
        let alarm = async {
            match next {
                Some(next) => sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        select(pin!(alarm), pin!(lane.changed.notified())).await;
        let now = Instant::now();
        let mut then = FollowUp::default();
        {
            let mut state = lane.state();
            if state.is_due(now) {
                state.pump(now, lane, &mut then);
            }
        }
        then.run();
    }
}

/// In a fleet, a call that is in flight for so long is detached with the next request for leases:
/// what calls of other members wait for is not known here.
const DETACHED_AFTER: Duration = Duration::from_secs(1);

/// The task that keeps the time. If its runtime is shut down, or a store of the application panics in
/// it, a call that waits on another runtime, or the next call, starts it again.
pub(super) struct Driver {
    pub(super) lane: Arc<Lane>,
    /// It has ended by itself, and there may be another one by now.
    pub(super) done: bool,
}

impl Drop for Driver {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let mut state = self.lane.state();
        state.driven = false;
        for waiter in state.queue.values() {
            waiter.wake.notify_one();
        }
    }
}
