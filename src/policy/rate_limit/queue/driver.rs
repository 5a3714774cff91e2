//! The timer task of an admission queue.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, Fuse, FusedFuture, FutureExt, select};
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use super::{AdmissionQueue, PostAdmission, State};
use crate::runtime::{self, HomeRuntime};
use crate::store::{QuotaLease, QuotaRequest};

/// Admits calls when their limits end, until the queue is empty.
pub(super) async fn run_timer(mut driver: TimerTask) {
    let queue = &Arc::clone(&driver.queue);
    let mut asking = pin!(Fuse::terminated());
    // The time after which calls no longer wait for the requested lease.
    let mut late = None;
    loop {
        let next = {
            let mut state = queue.state();
            if !driver.is_latest(&state) {
                return;
            }
            let mut due = None;
            if asking.is_terminated() {
                late = None;
                let (at, request) = queue.next_lease_request(&mut state);
                due = at;
                if let (Some(request), Some((guard, _))) = (request, queue.shared.as_deref()) {
                    late = Instant::now().checked_add(guard.lease_timeout());
                    let calls_wait = state.limits.waits_for_store();
                    asking.set(request_lease(Arc::clone(queue), request, calls_wait).fuse());
                }
            }
            if state.queue.is_empty() && due.is_none() && asking.is_terminated() {
                state.timer_running = false;
                driver.done = true;
                return;
            }
            let next = if state.queue.is_empty() { None } else { state.next() };
            [next, due, late].into_iter().flatten().min()
        };
        let alarm = async {
            match next {
                Some(next) => sleep_until(next).await,
                None => pending().await,
            }
        };
        let (alarm, changed) = (pin!(alarm), pin!(queue.wake.notified()));
        let ended = select(asking.as_mut(), select(alarm, changed)).await;
        let now = Instant::now();
        let mut then = PostAdmission::default();
        {
            let mut state = queue.state();
            // The store responds to another request by now.
            if !driver.is_latest(&state) {
                return;
            }
            match ended {
                Either::Left((lease, _)) => {
                    state.limits.apply_response(now, lease);
                    state.admit_ready(now, queue, &mut then);
                    state.on_store_response(now);
                    // Calls of other members can wait for their places.
                    then.detached.extend(state.holders.take_older(now, DETACH_AFTER));
                }
                Either::Right(_) if late.is_some_and(|late| late <= now) => {
                    late = None;
                    state.limits.apply_response(now, None);
                    state.admit_ready(now, queue, &mut then);
                }
                Either::Right(_) if state.is_due(now) => state.admit_ready(now, queue, &mut then),
                Either::Right(_) => {}
            }
        }
        then.run();
    }
}

/// Requests a quota lease from the store.
async fn request_lease(
    queue: Arc<AdmissionQueue>,
    request: QuotaRequest,
    calls_wait: bool,
) -> Option<Option<QuotaLease>> {
    let (guard, key) = queue.shared.as_deref()?;
    guard.lease(key, &request, calls_wait).await
}

/// In a fleet, a call that is in flight for this time is detached with the next lease request: the waits of other
/// members' calls are unknown here.
const DETACH_AFTER: Duration = Duration::from_secs(1);

/// The timer task. If its runtime is shut down, or an application's store panics in it, a call that waits on another
/// runtime, or the next call, starts it again. If its runtime makes no progress, a call that waits on another runtime
/// replaces it.
pub(super) struct TimerTask {
    pub(super) queue: Arc<AdmissionQueue>,
    /// Distinguishes it from the task that replaced it.
    pub(super) number: u64,
    /// Whether it has ended normally, so that another task can have replaced it.
    pub(super) done: bool,
}

impl TimerTask {
    /// Returns whether no other task has replaced it.
    fn is_latest(&self, state: &State) -> bool {
        state.latest_timer.number == self.number
    }
}

impl Drop for TimerTask {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let mut state = self.queue.state();
        if !self.is_latest(&state) {
            return;
        }
        state.timer_running = false;
        for waiter in state.queue.values() {
            waiter.wake.notify_one();
        }
    }
}

/// The latest timer task, and its runtime.
#[derive(Debug, Default)]
pub(super) struct LatestTimer {
    number: u64,
    runtime: Option<HomeRuntime>,
}

impl LatestTimer {
    /// Returns whether it runs on another runtime than the caller, which might not be polled.
    pub(super) fn is_on_other_runtime(&self) -> bool {
        self.runtime.as_ref().is_some_and(|runtime| !runtime.is_current())
    }

    /// Records that a task starts on the caller's runtime. Returns its number.
    pub(super) fn replace(&mut self) -> u64 {
        self.number = self.number.wrapping_add(1);
        self.runtime = HomeRuntime::current();
        self.number
    }
}

/// Waits until the runtime of the timer task makes no progress, and replaces that task.
pub(super) async fn replace_if_stalled(queue: &Arc<AdmissionQueue>) {
    loop {
        let (number, runtime) = {
            let latest = &queue.state().latest_timer;
            (latest.number, latest.runtime.clone())
        };
        runtime::stalled(runtime.as_ref()).await;
        let mut state = queue.state();
        if state.timer_running && state.latest_timer.number == number {
            debug!("the runtime of the rate-limit timer stalled; replacing the timer");
            state.timer_running = false;
            queue.ensure_timer(&mut state);
            // The waiting calls watch the new task.
            for waiter in state.queue.values() {
                waiter.wake.notify_one();
            }
        }
    }
}
