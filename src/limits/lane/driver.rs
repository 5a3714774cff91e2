//! The task that keeps the time of a lane.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select;
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use super::{FollowUp, Lane, State};
use crate::runtimes::{self, HomeRuntime};

/// Admits calls when their limits end, until no call waits.
pub(super) async fn keep_time(mut driver: Driver) {
    let lane = &Arc::clone(&driver.lane);
    loop {
        let (next, request) = {
            let mut state = lane.state();
            if !driver.is_latest(&state) {
                return;
            }
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
                // The store answers another request by now.
                if !driver.is_latest(&state) {
                    return;
                }
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
                None => pending().await,
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
/// it, a call that waits on another runtime, or the next call, starts it again. If its runtime stands
/// still, a call that waits on another runtime replaces it.
pub(super) struct Driver {
    pub(super) lane: Arc<Lane>,
    /// Tells it from the task that replaced it.
    pub(super) number: u64,
    /// It has ended by itself, and there may be another one by now.
    pub(super) done: bool,
}

impl Driver {
    /// Whether no other task has replaced it.
    fn is_latest(&self, state: &State) -> bool {
        state.latest_driver.number == self.number
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let mut state = self.lane.state();
        if !self.is_latest(&state) {
            return;
        }
        state.driven = false;
        for waiter in state.queue.values() {
            waiter.wake.notify_one();
        }
    }
}

/// The task that was started last, and where.
#[derive(Debug, Default)]
pub(super) struct LatestDriver {
    number: u64,
    runtime: Option<HomeRuntime>,
}

impl LatestDriver {
    /// A task starts on the caller's runtime. Returns its number.
    pub(super) fn replace(&mut self) -> u64 {
        self.number = self.number.wrapping_add(1);
        self.runtime = HomeRuntime::current();
        self.number
    }
}

/// Waits until the runtime of the task that keeps the time stands still, and replaces that task.
pub(super) async fn replace_if_stalled(lane: &Arc<Lane>) {
    loop {
        let (number, runtime) = {
            let latest = &lane.state().latest_driver;
            (latest.number, latest.runtime.clone())
        };
        runtimes::stalled(runtime.as_ref()).await;
        let mut state = lane.state();
        if state.driven && state.latest_driver.number == number {
            debug!("the runtime that kept the time of rate limits stands still: replacing it");
            state.driven = false;
            lane.drive(&mut state);
            // They watch the new one.
            for waiter in state.queue.values() {
                waiter.wake.notify_one();
            }
        }
    }
}
