//! The slots of a batch: the calls of a batch that count as concurrent, and those that wait for a limit.
//!
//! A call that waits for a limit releases its slot, so that the batch starts further calls: these can belong to an
//! identity whose limits are not exceeded. Before the call is sent, it takes a slot again. The admission queue skips
//! the call until a slot is free, so that no permit waits for a slot.
//!
//! A read can be shared with a caller outside of the batch, which does not wait for the batch: then the read leaves the
//! batch.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;

use futures_util::future::{Either, select};
use tokio::sync::{Notify, oneshot};

use super::queue::AdmissionQueue;

/// The maximum number of calls of a batch that wait without a slot. Further calls keep their slots while they wait.
pub(crate) const MAX_WAITING_CALLS: usize = 1_000;

thread_local! {
    /// The slot of the batch's call that this thread polls.
    static CURRENT: Cell<Option<BatchSlot>> = const { Cell::new(None) };
}

/// The slots of one batch.
pub(crate) struct BatchSlots {
    concurrency: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    calls: HashMap<u64, BatchCallState>,
    next: u64,
    /// The number of calls that have a slot.
    slots_in_use: usize,
    /// The number of calls that an admission queue skipped for lack of a slot, and those queues.
    skipped: usize,
    skipping_queues: Vec<Weak<AdmissionQueue>>,
    /// By the address of the admission queue.
    by_queue: HashMap<usize, BatchQueueState>,
    batch: Option<Waker>,
}

/// A call of the batch that has not ended. It can send several requests concurrently.
#[derive(Default)]
struct BatchCallState {
    has_slot: bool,
    waiting: usize,
    sending: usize,
    skipped: bool,
}

/// The calls of a batch that wait for one admission queue, which holds at most one for each slot of the batch. The
/// others wait behind these, where neither the length of the queue nor the longest wait applies to them.
#[derive(Default)]
struct BatchQueueState {
    positions: usize,
    parked: VecDeque<oneshot::Sender<QueueSlot>>,
    /// The number of calls above which ended ones are removed.
    sweep_above: usize,
}

impl BatchSlots {
    pub(crate) fn new(concurrency: usize) -> Arc<Self> {
        Arc::new(Self { concurrency, state: Mutex::default() })
    }

    /// Returns whether another call can be started. One slot is reserved for calls that were skipped.
    pub(crate) fn has_free_slot(&self) -> bool {
        let state = self.state();
        let kept = usize::from(state.skipped > 0 && self.concurrency > 1);
        state.slots_in_use + kept < self.concurrency
    }

    /// Wakes the batch when a slot is next released.
    pub(crate) fn wake_later(&self, batch: &Waker) {
        let mut state = self.state();
        match &mut state.batch {
            Some(known) => known.clone_from(batch),
            None => state.batch = Some(batch.clone()),
        }
    }

    /// Takes a slot for another call.
    pub(crate) fn start(self: &Arc<Self>) -> BatchCall {
        let mut state = self.state();
        let call = state.next;
        state.next += 1;
        state.slots_in_use += 1;
        state.calls.insert(call, BatchCallState { has_slot: true, ..BatchCallState::default() });
        drop(state);
        BatchCall(BatchSlot { slots: Arc::clone(self), call, detached: Arc::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Handles a free slot: calls that were skipped get it first.
    fn offer_slot(&mut self) -> FreeSlot {
        self.slots_in_use = self.slots_in_use.saturating_sub(1);
        FreeSlot { queues: std::mem::take(&mut self.skipping_queues), batch: None }
    }

    /// Releases the slot of a call that only waits.
    fn release_slot(&mut self, call: u64) -> FreeSlot {
        let without = self.calls.len() - self.slots_in_use;
        let Some(started) = self.calls.get_mut(&call) else { return FreeSlot::default() };
        if !started.has_slot
            || started.sending > 0
            || started.waiting == 0
            || without >= MAX_WAITING_CALLS
        {
            return FreeSlot::default();
        }
        started.has_slot = false;
        let batch = self.batch.take();
        FreeSlot { batch, ..self.offer_slot() }
    }
}

/// A call of a batch from its start to its end.
pub(crate) struct BatchCall(BatchSlot);

impl BatchCall {
    /// Runs the call. Its requests and waits count for its batch.
    pub(crate) async fn run<F: Future>(self, call: F) -> F::Output {
        let mut call = pin!(call);
        poll_fn(|context| {
            let _current = CurrentSlotGuard::enter(self.0.clone());
            call.as_mut().poll(context)
        })
        .await
    }
}

impl Drop for BatchCall {
    fn drop(&mut self) {
        let free = {
            let mut state = self.0.slots.state();
            let Some(ended) = state.calls.remove(&self.0.call) else { return };
            if ended.skipped {
                state.skipped = state.skipped.saturating_sub(1);
            }
            if ended.has_slot { state.offer_slot() } else { FreeSlot::default() }
        };
        free.offer();
    }
}

/// Restores the slot of an outer batch.
struct CurrentSlotGuard(Option<BatchSlot>);

impl CurrentSlotGuard {
    fn enter(slot: BatchSlot) -> Self {
        Self(CURRENT.try_with(|current| current.replace(Some(slot))).ok().flatten())
    }
}

impl Drop for CurrentSlotGuard {
    fn drop(&mut self) {
        let outer = self.0.take();
        let _ = CURRENT.try_with(|current| current.set(outer));
    }
}

/// The slot of one call of a batch, for one request at a time.
#[derive(Clone)]
pub(crate) struct BatchSlot {
    slots: Arc<BatchSlots>,
    call: u64,
    detached: Arc<DetachedFlag>,
}

/// Whether a request also belongs to another caller, and no longer to the batch.
#[derive(Default)]
struct DetachedFlag {
    flag: AtomicBool,
    changed_tx: Notify,
}

/// Whether the batch permits a call to be sent.
pub(super) enum SlotGrant {
    /// The call takes a slot, which [`BatchSlot::end_send`] releases.
    Granted(BatchSlot),
    /// The call does not belong to a batch.
    Unbatched,
    /// All slots are taken.
    Skipped,
}

impl SlotGrant {
    /// Returns the slot to release, if there is one; the outer `None` means that the call is skipped.
    #[allow(clippy::option_option)]
    pub(super) fn into_slot(self) -> Option<Option<BatchSlot>> {
        match self {
            Self::Granted(slot) => Some(Some(slot)),
            Self::Unbatched => Some(None),
            Self::Skipped => None,
        }
    }
}

impl BatchSlot {
    /// Returns the slot of the call that is currently polled, for a new request; `None` outside of a batch.
    pub(crate) fn current() -> Option<Self> {
        let current = CURRENT.try_with(|current| {
            let slot = current.take();
            current.set(slot.clone());
            slot
        });
        current.ok().flatten().map(|slot| Self { detached: Arc::default(), ..slot })
    }

    /// Returns whether both belong to the same batch.
    pub(crate) fn is_same_batch(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.slots, &other.slots)
    }

    /// Marks the request as shared with another caller: it no longer waits for its batch.
    pub(crate) fn detach(&self) {
        if self.detached.flag.swap(true, Ordering::AcqRel) {
            return;
        }
        let queues = std::mem::take(&mut self.slots.state().skipping_queues);
        self.detached.changed_tx.notify_one();
        FreeSlot { queues, batch: None }.offer();
    }

    pub(super) fn is_detached(&self) -> bool {
        self.detached.flag.load(Ordering::Acquire)
    }

    /// Begins to wait. The caller calls [`FreeSlot::offer`] when it holds no lock.
    pub(crate) fn wait(&self) -> (BatchWait, FreeSlot) {
        let mut state = self.slots.state();
        if let Some(started) = state.calls.get_mut(&self.call) {
            started.waiting += 1;
        }
        let free = state.release_slot(self.call);
        (BatchWait(self.clone()), free)
    }

    /// Takes a slot, unless the call has one. If no slot is free, the admission queue tries again later.
    pub(super) fn try_send(&self, queue: &Arc<AdmissionQueue>) -> SlotGrant {
        let mut state = self.slots.state();
        let state = &mut *state;
        // If the batch dropped the call, other callers wait for its response.
        let Some(started) = state.calls.get_mut(&self.call) else { return SlotGrant::Unbatched };
        if self.is_detached() {
            if std::mem::take(&mut started.skipped) {
                state.skipped = state.skipped.saturating_sub(1);
            }
            return SlotGrant::Unbatched;
        }
        if !started.has_slot {
            if state.slots_in_use >= self.slots.concurrency {
                if !std::mem::replace(&mut started.skipped, true) {
                    state.skipped += 1;
                }
                if !state.skipping_queues.iter().any(|known| known.as_ptr() == Arc::as_ptr(queue)) {
                    state.skipping_queues.push(Arc::downgrade(queue));
                }
                return SlotGrant::Skipped;
            }
            started.has_slot = true;
            state.slots_in_use += 1;
        }
        if std::mem::take(&mut started.skipped) {
            state.skipped = state.skipped.saturating_sub(1);
        }
        started.sending += 1;
        SlotGrant::Granted(self.clone())
    }

    /// Records the end of a request. If the call waits with another request, it releases its slot.
    pub(super) fn end_send(&self) -> FreeSlot {
        let mut state = self.slots.state();
        if let Some(started) = state.calls.get_mut(&self.call) {
            started.sending = started.sending.saturating_sub(1);
        }
        state.release_slot(self.call)
    }

    /// Takes a place in an admission queue, or else returns a channel that delivers one.
    pub(super) fn enter_queue(&self, queue: &Arc<AdmissionQueue>) -> Result<QueueSlot, ParkedCall> {
        let queue = Arc::as_ptr(queue) as usize;
        let mut state = self.slots.state();
        let queued = state.by_queue.entry(queue).or_default();
        if queued.positions < self.slots.concurrency {
            queued.positions += 1;
            return Ok(QueueSlot { slots: Arc::clone(&self.slots), queue });
        }
        if queued.parked.len() >= queued.sweep_above.max(2 * MAX_WAITING_CALLS) {
            queued.parked.retain(|parked| !parked.is_closed());
            queued.sweep_above = 2 * queued.parked.len();
        }
        let (sender, receiver) = oneshot::channel();
        queued.parked.push_back(sender);
        Err(ParkedCall { slot: self.clone(), queue_slot: receiver })
    }
}

impl fmt::Debug for BatchSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchSlot").field("call", &self.call).finish_non_exhaustive()
    }
}

/// A waiting call, until this is dropped.
pub(crate) struct BatchWait(BatchSlot);

impl Drop for BatchWait {
    fn drop(&mut self) {
        let mut state = self.0.slots.state();
        if let Some(started) = state.calls.get_mut(&self.0.call) {
            started.waiting = started.waiting.saturating_sub(1);
        }
    }
}

/// A call that waits for a place of its batch in an admission queue.
pub(super) struct ParkedCall {
    slot: BatchSlot,
    queue_slot: oneshot::Receiver<QueueSlot>,
}

impl ParkedCall {
    /// Waits for the place. Returns `None` if the call leaves its batch.
    pub(super) async fn wait(self) -> Option<QueueSlot> {
        match select(self.queue_slot, pin!(self.slot.detached.changed_tx.notified())).await {
            Either::Left((place, _)) => place.ok(),
            Either::Right(_) => None,
        }
    }
}

/// A place of a batch in an admission queue. When it is dropped, the next call gets it.
pub(super) struct QueueSlot {
    slots: Arc<BatchSlots>,
    queue: usize,
}

impl Drop for QueueSlot {
    fn drop(&mut self) {
        loop {
            let next = {
                let mut state = self.slots.state();
                let Some(queued) = state.by_queue.get_mut(&self.queue) else { return };
                let Some(next) = queued.parked.pop_front() else {
                    queued.positions = queued.positions.saturating_sub(1);
                    if queued.positions == 0 {
                        state.by_queue.remove(&self.queue);
                    }
                    return;
                };
                next
            };
            if !next.is_closed() {
                // If the receiver is closed, the place is dropped, and the call behind it gets the place.
                let _ = next.send(Self { slots: Arc::clone(&self.slots), queue: self.queue });
                return;
            }
        }
    }
}

impl fmt::Debug for QueueSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueSlot").finish_non_exhaustive()
    }
}

/// A slot that was released: for a skipped call, or for the next one of the batch.
#[derive(Default)]
#[must_use = "call `offer` when no lock is held"]
pub(crate) struct FreeSlot {
    queues: Vec<Weak<AdmissionQueue>>,
    batch: Option<Waker>,
}

impl FreeSlot {
    pub(crate) fn offer(self) {
        for queue in self.queues.iter().filter_map(Weak::upgrade) {
            queue.readmit_skipped();
        }
        if let Some(batch) = self.batch {
            batch.wake();
        }
    }
}
