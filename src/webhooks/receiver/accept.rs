//! The acceptance of verified deliveries: the capacity, and whether the delivery is to be handled.

use std::sync::Arc;

use tokio::sync::oneshot;
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

/// Accepts a delivery, if it is to be handled and there is capacity, and responds until this deadline.
pub(super) async fn accept(
    shared: &Arc<Shared>,
    delivery: Delivery,
    by: Instant,
) -> Result<ReceiveOutcome, RejectionReason> {
    let is_open = *shared.phase.borrow() == Lifecycle::Open;
    let permit = is_open.then(|| shared.capacity.try_acquire(delivery.payload().len()));
    let Some(permit) = permit.flatten() else {
        return shared
            .stats
            .record_response(Some(delivery.event_name()), Err(RejectionReason::Busy));
    };
    let (sender, receiver) = oneshot::channel();
    // A task of its own: the sender might disconnect, and work that has started for a delivery has to be completed.
    let work = accept_and_handle(Arc::clone(shared), delivery, permit, by, sender);
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
    sender: oneshot::Sender<Result<ReceiveOutcome, RejectionReason>>,
) {
    let event = delivery.event_name().to_owned();
    let respond = |response| {
        // Also if the request was dropped meanwhile.
        let _ = sender.send(shared.stats.record_response(Some(&event), response));
    };
    let claim = match claim(&shared, &delivery).await {
        Ok(Some(claim)) => claim,
        rejected => return respond(rejected.map(|_| ReceiveOutcome::Duplicate)),
    };
    match shared.mode {
        ResponseMode::Queued if *shared.phase.borrow() == Lifecycle::Ended => {
            // The sender received no acceptance, and will receive none.
            respond(Err(RejectionReason::Busy));
            handle::hand_back(&shared, &delivery, claim).await;
        }
        ResponseMode::Queued => {
            respond(Ok(ReceiveOutcome::Accepted));
            handle::handle(&shared, delivery, claim, permit).await;
        }
        ResponseMode::Inline => {
            respond(handle::handle_once(&shared, delivery, claim, permit, by).await)
        }
    }
}

/// Claims a stored delivery; `None` if it was handled, or is sure to be.
async fn claim(shared: &Shared, delivery: &Delivery) -> Result<Option<Claim>, RejectionReason> {
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
