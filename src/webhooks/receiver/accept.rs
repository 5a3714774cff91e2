//! The acceptance of verified deliveries: the capacity, and whether the delivery is to be handled.

use std::future::{poll_fn, ready};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Poll;

use futures_util::FutureExt;
use tokio::sync::oneshot;
use tokio::task::coop::unconstrained;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use super::capacity::CapacityPermit;
use super::{Lifecycle, ReceiveOutcome, ResponseMode, Shared, handle};
use crate::webhooks::deduplicator::{Claim, ClaimOutcome};
use crate::webhooks::delivery::Delivery;
use crate::webhooks::rejection::RejectionReason;

/// The outcome of storing a delivery on the disk.
#[cfg_attr(not(feature = "webhooks-journal"), allow(dead_code, reason = "a journal has it"))]
pub(super) enum PersistOutcome {
    /// It is stored, or does not have to be, and has to be handled.
    New,
    /// It was stored before, and will be handled.
    Pending,
    /// It was handled before.
    Done,
    /// The journal is full.
    Full,
}

/// A claim of a stored delivery; `None` if the delivery was handled, or is sure to be.
type ClaimResult = Result<Option<Claim>, RejectionReason>;

/// Accepts a delivery, if it is to be handled and there is capacity, and responds until this deadline.
///
/// The sender might disconnect, which drops this future. From the claim on, it passes the remaining work to a task before
/// it waits.
pub(super) async fn accept(
    shared: &Arc<Shared>,
    delivery: Delivery,
    by: Instant,
) -> Result<ReceiveOutcome, RejectionReason> {
    let Some(permit) = acquire_capacity(shared, &delivery).await else {
        return shared
            .stats
            .record_response(Some(delivery.event_label()), Err(RejectionReason::Busy));
    };
    // A store in memory responds at once. Then the handler's task is the only one.
    let mut claiming = Box::pin(claim(Arc::clone(shared), delivery.clone()));
    let claimed = poll_fn(|context| {
        // The timers and connections of a store belong to the receiver's runtime, whatever runtime polls this.
        let _runtime = shared.runtime.enter();
        Poll::Ready(claiming.as_mut().poll(context))
    })
    .await;
    let is_queued = shared.mode == ResponseMode::Queued;
    match claimed {
        Poll::Pending => accept_in_task(shared, delivery, permit, by, claiming).await,
        Poll::Ready(Ok(Some(claim))) if is_queued && !shared.has_ended() => {
            handle_in_task(shared, delivery, claim, permit)
        }
        Poll::Ready(claimed @ Ok(Some(_))) => {
            accept_in_task(shared, delivery, permit, by, ready(claimed)).await
        }
        Poll::Ready(rejected) => {
            let response = rejected.map(|_| ReceiveOutcome::Duplicate);
            shared.stats.record_response(Some(delivery.event_label()), response)
        }
    }
}

/// Acquires capacity for a delivery. Returns `None` if there is none, or if the receiver is closed.
///
/// Deliveries that were accepted without a wait might have had no turn yet, such as in a loop over
/// [`receive`](super::WebhookReceiver::receive): they have one before a delivery is rejected.
async fn acquire_capacity(shared: &Shared, delivery: &Delivery) -> Option<CapacityPermit> {
    let try_acquire = || {
        let is_open = *shared.phase.borrow() == Lifecycle::Open;
        is_open.then(|| shared.capacity.try_acquire(delivery.payload().len())).flatten()
    };
    if let Some(permit) = try_acquire() {
        return Some(permit);
    }
    yield_now().await;
    try_acquire()
}

/// Responds to a claimed delivery, which a task handles.
fn handle_in_task(
    shared: &Arc<Shared>,
    delivery: Delivery,
    claim: Claim,
    permit: CapacityPermit,
) -> Result<ReceiveOutcome, RejectionReason> {
    let event = Some(delivery.event_label());
    let handling = handle::handle(Arc::clone(shared), delivery, claim, permit);
    // After the end of the runtime, the task is cancelled, and the claim expires.
    let response = match is_cancelled(shared.runtime.spawn(handling)) {
        true => Err(RejectionReason::Busy),
        false => Ok(ReceiveOutcome::Accepted),
    };
    shared.stats.record_response(event, response)
}

/// Returns whether a new task was cancelled, since its runtime has ended.
fn is_cancelled(task: JoinHandle<()>) -> bool {
    // The task of the request might have used up its budget.
    task.is_finished()
        && unconstrained(task)
            .now_or_never()
            .is_some_and(|end| end.is_err_and(|error| error.is_cancelled()))
}

/// Completes the acceptance of a delivery in a task.
async fn accept_in_task(
    shared: &Arc<Shared>,
    delivery: Delivery,
    permit: CapacityPermit,
    by: Instant,
    claiming: impl Future<Output = ClaimResult> + Send + 'static,
) -> Result<ReceiveOutcome, RejectionReason> {
    let (sender, receiver) = oneshot::channel();
    let work = accept_and_handle(Arc::clone(shared), delivery, permit, by, claiming, sender);
    shared.runtime.spawn(work);
    // The task ends without a response only if the runtime ends, or the store or the disk hangs.
    match timeout_at(by, receiver).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => Err(RejectionReason::Busy),
        Err(_) => Err(RejectionReason::Store),
    }
}

async fn accept_and_handle(
    shared: Arc<Shared>,
    delivery: Delivery,
    permit: CapacityPermit,
    by: Instant,
    claiming: impl Future<Output = ClaimResult>,
    sender: oneshot::Sender<Result<ReceiveOutcome, RejectionReason>>,
) {
    let event = Some(delivery.event_label());
    let respond = |response| {
        // Also if the request was dropped meanwhile.
        let _ = sender.send(shared.stats.record_response(event, response));
    };
    let claim = match claiming.await {
        Ok(Some(claim)) => claim,
        rejected => return respond(rejected.map(|_| ReceiveOutcome::Duplicate)),
    };
    match shared.mode {
        ResponseMode::Queued if shared.has_ended() => {
            // The sender received no acceptance, and will receive none.
            respond(Err(RejectionReason::Busy));
            handle::hand_back(&shared, &delivery, claim).await;
        }
        ResponseMode::Queued => {
            respond(Ok(ReceiveOutcome::Accepted));
            handle::handle(Arc::clone(&shared), delivery, claim, permit).await;
        }
        ResponseMode::Inline => {
            respond(handle::handle_once(&shared, delivery, claim, permit, by).await)
        }
    }
}

/// Claims and stores a delivery. A store of the application can panic, which is a failure of the store.
async fn claim(shared: Arc<Shared>, delivery: Delivery) -> ClaimResult {
    let claimed = AssertUnwindSafe(claim_and_persist(&shared, &delivery)).catch_unwind();
    claimed.await.unwrap_or_else(|_| {
        warn!(delivery = delivery.id(), "delivery rejected: the store or the journal panicked");
        Err(RejectionReason::Store)
    })
}

async fn claim_and_persist(shared: &Shared, delivery: &Delivery) -> ClaimResult {
    let unknown = |error: crate::error::Error| {
        warn!(delivery = delivery.id(), %error, "delivery rejected: its state is unknown");
        RejectionReason::Store
    };
    let claim = match shared.deduplicator.try_claim(&delivery.key()).await.map_err(unknown)? {
        ClaimOutcome::Claimed(claim) => claim,
        ClaimOutcome::Done => return Ok(None),
        ClaimOutcome::InProgress => return Err(RejectionReason::InProgress),
    };
    let response = match shared.journal.persist(delivery, &claim).await {
        Ok(PersistOutcome::New) => return Ok(Some(claim)),
        Ok(PersistOutcome::Done) => {
            let _ = claim.complete().await;
            return Ok(None);
        }
        // This process has it, or will replay it, with a claim of its own.
        Ok(PersistOutcome::Pending) => Ok(None),
        Ok(PersistOutcome::Full) => Err(RejectionReason::Busy),
        Err(error) => Err(unknown(error)),
    };
    // If this fails, the claim expires.
    let _ = claim.release().await;
    response
}
