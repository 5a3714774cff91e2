//! From a verified delivery to a receipt: whether there is room, and whether it is to be handled.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, oneshot};
use tracing::warn;

use super::{Mode, Phase, Receipt, Shared, work};
use crate::webhooks::delivery::Delivery;
use crate::webhooks::once::{Claim, Taken};
use crate::webhooks::refusal::Refusal;

/// The bounds of what is held and done.
pub(super) struct Rooms {
    places: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    running: Semaphore,
    most: (u32, u32, u32),
}

/// The place of a delivery and its bytes, until it is dropped.
pub(super) struct Room {
    _place: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

/// What became of a delivery that is to be kept on the disk.
#[cfg_attr(not(feature = "webhooks-journal"), allow(dead_code, reason = "a journal has it"))]
pub(super) enum Kept {
    /// It is there, or need not be, and is to be handled.
    New,
    /// It is there already, and will be handled.
    Already,
    /// It was handled.
    Done,
    /// There is no room for it.
    Full,
}

impl Rooms {
    pub(super) fn new(places: u32, bytes: u32, running: u32) -> Self {
        // As many as a semaphore takes, of whatever machine.
        let semaphore = |most: u32| Semaphore::new((most as usize).min(Semaphore::MAX_PERMITS));
        Self {
            places: Arc::new(semaphore(places)),
            bytes: Arc::new(semaphore(bytes)),
            running: semaphore(running),
            most: (places, bytes, running),
        }
    }

    /// Room for a delivery, if there is.
    fn now(&self, delivery: &Delivery) -> Option<Room> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(self.size(delivery)).ok()?;
        Some(Room { _place: place, _bytes: bytes })
    }

    /// Room for a delivery, once there is.
    #[cfg(feature = "webhooks-journal")]
    pub(super) async fn later(&self, size: u32) -> Option<Room> {
        let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
        let size = size.min(self.most.1);
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(size).await.ok()?;
        Some(Room { _place: place, _bytes: bytes })
    }

    /// The right to be one of those that are handled.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.running.acquire().await.ok()
    }

    /// What it takes of the bytes: all of them, if it has more.
    fn size(&self, delivery: &Delivery) -> u32 {
        u32::try_from(delivery.payload().len()).unwrap_or(u32::MAX).min(self.most.1)
    }

    /// Waits until nobody has a place.
    pub(super) async fn all_free(&self) {
        let _ = self.places.acquire_many(self.most.0).await;
    }

    /// How many have a place.
    pub(super) fn taken(&self) -> usize {
        (self.most.0 as usize).saturating_sub(self.places.available_permits())
    }

    pub(super) fn taken_bytes(&self) -> usize {
        (self.most.1 as usize).saturating_sub(self.bytes.available_permits())
    }

    pub(super) fn running(&self) -> usize {
        (self.most.2 as usize).saturating_sub(self.running.available_permits())
    }
}

/// Takes a delivery, if it is to be handled and can be.
pub(super) async fn take(shared: &Arc<Shared>, delivery: Delivery) -> Result<Receipt, Refusal> {
    if *shared.phase.borrow() != Phase::Open {
        return Err(Refusal::Busy);
    }
    let room = shared.rooms.now(&delivery).ok_or(Refusal::Busy)?;
    let (tell, told) = oneshot::channel();
    // A task of its own: whoever sends may hang up, and what is begun for a delivery has to be ended.
    tokio::spawn(take_and_handle(Arc::clone(shared), delivery, room, tell));
    // It only goes without a word if the runtime ends.
    told.await.unwrap_or(Err(Refusal::Busy))
}

async fn take_and_handle(
    shared: Arc<Shared>,
    delivery: Delivery,
    room: Room,
    tell: oneshot::Sender<Result<Receipt, Refusal>>,
) {
    let claim = match claim(&shared, &delivery).await {
        Ok(Some(claim)) => claim,
        refused => {
            let _ = tell.send(refused.map(|_| Receipt::Duplicate));
            return;
        }
    };
    match shared.mode {
        Mode::Queued => {
            // Whether or not anybody listens still, it is accepted.
            let _ = tell.send(Ok(Receipt::Accepted));
            work::handle(&shared, delivery, claim, room).await;
        }
        Mode::Inline(_) => {
            let handled = work::handle_once(&shared, delivery, claim, room).await;
            let _ = tell.send(if handled { Ok(Receipt::Handled) } else { Err(Refusal::Failed) });
        }
    }
}

/// The right to handle a delivery that is kept; `None` if it was handled, or is sure to be.
async fn claim(shared: &Shared, delivery: &Delivery) -> Result<Option<Claim>, Refusal> {
    let unknown = |error: crate::Error| {
        warn!(delivery = delivery.id(), %error, "a delivery is refused, since its state can not be known");
        Refusal::Store
    };
    let claim = match shared.once.take(delivery.id()).await.map_err(unknown)? {
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
        // This process has it, or will take it up, with a claim of its own.
        Ok(Kept::Already) => Ok(None),
        Ok(Kept::Full) => Err(Refusal::Busy),
        Err(error) => Err(unknown(error)),
    };
    // If this fails, the claim goes with its time.
    let _ = claim.failed().await;
    answer
}
