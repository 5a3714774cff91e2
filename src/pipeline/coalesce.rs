//! Coalescing of identical reads that are in flight at the same time.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures_util::FutureExt;
use futures_util::future::{Either, Shared, WeakShared, select};
use tokio::sync::watch;

use crate::policy::cache::lookup::CoalescingKey;
use crate::policy::cache::result::LookupResult;
use crate::policy::rate_limit::BatchSlot;
use crate::runtime::{self, AbortOnDrop, HomeRuntime};

/// One read. Each call on the runtime where the read began polls it, so that no call delays the others. Calls on other
/// runtimes wait for its outcome: connections and timers belong to the runtime that first polls them, so that a poll on
/// another runtime would tie the read to that one. The read ends when all calls are dropped.
type SharedRequest = Shared<CaughtFuture>;

/// A read whose panic, such as that of an interceptor, ends only the call that started it.
type CaughtFuture = Pin<Box<dyn Future<Output = Result<LookupResult, CaughtPanic>> + Send>>;

/// The panic of a read, until the call that has begun it takes it.
type CaughtPanic = Arc<Mutex<Option<Box<dyn Any + Send>>>>;

pub(crate) type RequestFuture = Pin<Box<dyn Future<Output = LookupResult> + Send>>;

/// The reads in flight; at most one for each call.
#[derive(Default)]
pub(crate) struct InFlightRequests(Mutex<State>);

#[derive(Default)]
struct State {
    requests: HashMap<CoalescingKey, RequestState>,
    /// Distinguishes a read from an earlier one with the same key.
    next_id: u64,
    /// The number of reads above which ended ones are removed.
    sweep_above: usize,
}

/// A read that has begun.
struct RequestState {
    id: u64,
    /// The runtime whose connections and timers the read depends on.
    runtime: Option<HomeRuntime>,
    request: WeakShared<CaughtFuture>,
    outcome: watch::Receiver<Option<LookupResult>>,
    /// The task that polls the read for calls of other runtimes.
    polling_task: Weak<AbortOnDrop>,
    /// The slot of the batch in which the read began.
    slot: Option<BatchSlot>,
}

/// The read that a call has joined.
pub(crate) struct JoinedRequest {
    id: u64,
    role: Role,
    /// The slot of the batch in which the read began.
    pub(crate) slot: Option<BatchSlot>,
}

/// How a call takes part in a read.
enum Role {
    /// The call polls the read.
    Poll { request: SharedRequest, has_begun_it: bool },
    /// The call runs on another runtime than the read, and waits for the outcome.
    Wait {
        outcome: watch::Receiver<Option<LookupResult>>,
        runtime: HomeRuntime,
        /// Polls the read on its runtime, whether or not the calls there are polled.
        _polling_task: Arc<AbortOnDrop>,
    },
}

impl RequestState {
    /// Returns whether the read has not ended.
    fn is_in_flight(&self) -> bool {
        self.request.upgrade().is_some()
    }

    /// Joins the read. Returns `None` if it has ended.
    fn join(&mut self) -> Option<JoinedRequest> {
        let request = self.request.upgrade()?;
        let role = match &self.runtime {
            Some(runtime) if !runtime.is_current() => {
                let polling_task = self.polling_task.upgrade().unwrap_or_else(|| {
                    let task = Arc::new(runtime.spawn(request.map(drop)));
                    self.polling_task = Arc::downgrade(&task);
                    task
                });
                Role::Wait {
                    outcome: self.outcome.clone(),
                    runtime: runtime.clone(),
                    _polling_task: polling_task,
                }
            }
            _ => Role::Poll { request, has_begun_it: false },
        };
        Some(JoinedRequest { id: self.id, role, slot: self.slot.clone() })
    }
}

impl InFlightRequests {
    /// Returns the read in flight, or else a new one with this slot, which `begin` creates from its id.
    pub(crate) fn join(
        &self,
        key: CoalescingKey,
        slot: Option<BatchSlot>,
        begin: impl FnOnce(u64) -> RequestFuture,
    ) -> JoinedRequest {
        let mut state = self.state();
        if let Some(joined) = state.requests.get_mut(&key).and_then(RequestState::join) {
            return joined;
        }
        state.next_id = state.next_id.wrapping_add(1);
        let id = state.next_id;
        let (sender, outcome) = watch::channel(None);
        let publish = move |result: &LookupResult| {
            // The read has its response, so that no further call joins it.
            if !sender.is_closed() {
                sender.send_replace(Some(result.clone()));
            }
        };
        let read = AssertUnwindSafe(begin(id).inspect(publish)).catch_unwind();
        let caught = |panic| CaughtPanic::new(Mutex::new(Some(panic)));
        let future: CaughtFuture = Box::pin(read.map(move |ended| ended.map_err(caught)));
        let request = future.shared();
        // The read has not ended, so that a weak pointer to it exists.
        if let Some(pointer) = request.downgrade() {
            let new = RequestState {
                id,
                runtime: HomeRuntime::current(),
                request: pointer,
                outcome,
                polling_task: Weak::new(),
                slot: slot.clone(),
            };
            state.requests.insert(key, new);
        }
        // Removes the reads that no call waits for any longer.
        if state.requests.len() > state.sweep_above.max(64) {
            state.requests.retain(|_, known| known.is_in_flight());
            state.sweep_above = state.requests.len().saturating_mul(2);
        }
        JoinedRequest { id, role: Role::Poll { request, has_begun_it: true }, slot }
    }

    /// Waits for the read. Returns `None` if it panicked, or if its runtime makes no progress: then the read is no longer
    /// in flight for calls that join. The call that has begun it panics as the read did.
    pub(crate) async fn result(
        &self,
        key: CoalescingKey,
        joined: JoinedRequest,
    ) -> Option<LookupResult> {
        let JoinedRequest { id, role, .. } = joined;
        let (mut outcome, runtime, _polling_task) = match role {
            Role::Poll { request, has_begun_it } => {
                let caught = match request.await {
                    Ok(result) => return Some(result),
                    Err(caught) => caught,
                };
                self.finish(key, id);
                let mut panic = caught.lock().unwrap_or_else(PoisonError::into_inner);
                match panic.take_if(|_| has_begun_it) {
                    Some(payload) => {
                        drop(panic);
                        resume_unwind(payload)
                    }
                    None => return None,
                }
            }
            Role::Wait { outcome, runtime, _polling_task } => (outcome, runtime, _polling_task),
        };
        let stalled = pin!(runtime::stalled(Some(&runtime)));
        let result = match select(pin!(outcome.wait_for(Option::is_some)), stalled).await {
            Either::Left((Ok(result), _)) => result.clone(),
            // The read panicked, or its runtime makes no progress or was shut down.
            Either::Left((Err(_), _)) | Either::Right(_) => None,
        };
        if result.is_none() {
            self.finish(key, id);
        }
        result
    }

    /// Returns whether such a read is in flight, on a runtime that is not known to have stopped.
    pub(crate) fn is_in_flight(&self, key: CoalescingKey) -> bool {
        let state = self.state();
        let Some(known) = state.requests.get(&key) else { return false };
        known.is_in_flight() && !known.runtime.as_ref().is_some_and(HomeRuntime::is_stalled)
    }

    /// Removes a read that has its response: later calls send a new read.
    pub(crate) fn finish(&self, key: CoalescingKey, id: u64) {
        let mut state = self.state();
        if state.requests.get(&key).is_some_and(|known| known.id == id) {
            state.requests.remove(&key);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for InFlightRequests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlightRequests").finish_non_exhaustive()
    }
}
