//! Accepts verified deliveries: checks the capacity, and whether the delivery is to be handled.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use super::rooms::Room;
use super::{Mode, Phase, Receipt, Shared, work};
use crate::webhooks::delivery::Delivery;
use crate::webhooks::once::{Claim, Taken};
use crate::webhooks::refusal::Refusal;

/// The outcome of storing a delivery on the disk.
#[cfg_attr(not(feature = "webhooks-journal"), allow(dead_code, reason = "a journal has it"))]
pub(super) enum Kept {
    /// It is stored, or does not have to be, and has to be handled.
    New,
    /// It was stored before, and will be handled.
    Already,
    /// It was handled before.
    Done,
    /// The journal is full.
    Full,
}

/// Accepts a delivery, if it is to be handled and there is capacity, and responds until this deadline.
pub(super) async fn take(
    shared: &Arc<Shared>,
    delivery: Delivery,
    by: Instant,
) -> Result<Receipt, Refusal> {
    if *shared.phase.borrow() != Phase::Open {
        return shared.counts.answered(Some(delivery.event_name()), Err(Refusal::Busy));
    }
    let Some(room) = shared.rooms.now(delivery.payload().len()) else {
        return shared.counts.answered(Some(delivery.event_name()), Err(Refusal::Busy));
    };
    let (tell, told) = oneshot::channel();
    // A task of its own: the sender might disconnect, and work that has started for a delivery has to be completed.
    let work = take_and_handle(Arc::clone(shared), delivery, room, by, tell);
    shared.runtime.spawn(work);
    // The task ends without a response only if the runtime ends, or the store or the disk hangs.
    match timeout_at(by, told).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(Refusal::Busy),
        Err(_) => Err(Refusal::Store),
    }
}

async fn take_and_handle(
    shared: Arc<Shared>,
    delivery: Delivery,
    room: Room,
    by: Instant,
    tell: oneshot::Sender<Result<Receipt, Refusal>>,
) {
    let event = delivery.event_name().to_owned();
    let tell = |answer| {
        // Also if the request was dropped meanwhile.
        let _ = tell.send(shared.counts.answered(Some(&event), answer));
    };
    let claim = match claim(&shared, &delivery).await {
        Ok(Some(claim)) => claim,
        refused => return tell(refused.map(|_| Receipt::Duplicate)),
    };
    match shared.mode {
        Mode::Queued if *shared.phase.borrow() == Phase::Ended => {
            // The sender received no acceptance, and will receive none.
            tell(Err(Refusal::Busy));
            work::leave(&shared, &delivery, claim).await;
        }
        Mode::Queued => {
            tell(Ok(Receipt::Accepted));
            work::handle(&shared, delivery, claim, room).await;
        }
        Mode::Inline => tell(work::handle_once(&shared, delivery, claim, room, by).await),
    }
}

/// Claims a stored delivery; `None` if it was handled, or is sure to be.
async fn claim(shared: &Shared, delivery: &Delivery) -> Result<Option<Claim>, Refusal> {
    let unknown = |error: crate::Error| {
        warn!(delivery = delivery.id(), %error, "delivery rejected: its state is unknown");
        Refusal::Store
    };
    let claim = match shared.once.take(&delivery.key()).await.map_err(unknown)? {
        Taken::Claimed(claim) => claim,
        Taken::Done => return Ok(None),
        Taken::InProgress => return Err(Refusal::InProgress),
    };
    let answer = match shared.inbox.keep(delivery, &claim).await {
        Ok(Kept::New) => return Ok(Some(claim)),
        Ok(Kept::Done) => {
            let _ = claim.done().await;
            return Ok(None);
        }
        // This process has it, or will replay it, with a claim of its own.
        Ok(Kept::Already) => Ok(None),
        Ok(Kept::Full) => Err(Refusal::Busy),
        Err(error) => Err(unknown(error)),
    };
    // If this fails, the claim expires.
    let _ = claim.failed().await;
    answer
}
