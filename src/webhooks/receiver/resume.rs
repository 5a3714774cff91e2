//! Replays unhandled deliveries of the journal: those that an earlier process or receiver left, or that could not
//! continue.

use std::pin::pin;
use std::sync::{Arc, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tracing::{info, warn};

use super::rooms::Room;
use super::{Phase, Receiver, Shared, work};
use crate::error::Result;
use crate::webhooks::Journal;
use crate::webhooks::once::Taken;

/// The delay before a delivery is replayed again, after a failure of the store or the disk.
const AFTER_FAILURE: Duration = Duration::from_secs(10);
/// The interval at which the disk is checked, while the limit of unrecorded outcomes is reached.
const DISK_POLL: Duration = Duration::from_secs(1);
/// The number of checks of another receiver's delivery during the TTL of a claim.
const LOOKS: u32 = 10;

impl Receiver {
    /// Handles a failed delivery once more: one of [`Journal::failed`], by its id there. It might have been handled in
    /// part, so it is marked as [resumed](crate::webhooks::Delivery::is_resumed). Returns whether there is such a
    /// delivery that is not handled otherwise; then it will be handled.
    ///
    /// # Errors
    /// If the journal or the store fails; the delivery then stays among the failed ones, or is handled later.
    #[cfg_attr(docsrs, doc(cfg(feature = "webhooks-journal")))]
    pub async fn retry_failed(&self, id: &str) -> Result<bool> {
        let Some(journal) = self.0.inbox.journal() else { return Ok(false) };
        let (shared, journal, id) = (Arc::clone(&self.0), journal.clone(), id.to_owned());
        // A task of its own: the future that waits might be dropped, and work that has started has to be completed.
        let retried = self.0.runtime.spawn(async move { retry(&shared, &journal, &id).await });
        // This happens if the runtime shuts down.
        retried.await.unwrap_or(Ok(false))
    }
}

async fn retry(shared: &Arc<Shared>, journal: &Journal, id: &str) -> Result<bool> {
    let failed = journal.failed().await?;
    let Some(failed) = failed.into_iter().find(|failed| failed.id == id) else { return Ok(false) };
    let size = usize::try_from(failed.size).unwrap_or(usize::MAX);
    let Some(room) = shared.rooms.later(size).await else { return Ok(false) };
    let claim = match shared.once.take(id).await? {
        Taken::Claimed(claim) => claim,
        Taken::Done => return journal.forget_failed(id).await.map(|_| false),
        Taken::InProgress => return Ok(false),
    };
    let revived = match journal.revive(id).await {
        Ok(Some(record)) => shared.inbox.read(id, &record).transpose(),
        other => other.map(|_| None),
    };
    let result = match revived {
        Ok(Some((delivery, _))) => {
            let (shared, delivery) = (Arc::clone(shared), delivery.resumed());
            shared.runtime.clone().spawn(async move {
                work::handle(&shared, delivery, claim, room).await;
            });
            return Ok(true);
        }
        Ok(None) => Ok(false),
        // It might be among the deliveries that are to be handled now. If that cannot be recorded now, it is recorded
        // later.
        Err(error) => {
            let _ = journal.fail(id, &error.to_string()).await;
            Err(error)
        }
    };
    let _ = claim.failed().await;
    result
}

/// Replays unhandled deliveries, now and from now on.
pub(super) fn resume(shared: &Arc<Shared>) {
    if let Some(journal) = shared.inbox.journal() {
        let phase = shared.phase.subscribe();
        let task = take_up(Arc::downgrade(shared), journal.clone(), phase);
        *task_of(shared) = Some(shared.runtime.spawn(task));
    }
}

/// Waits until the replay has ended, after the receiver is closed.
pub(super) async fn ended(shared: &Shared) {
    let task = task_of(shared).take();
    if let Some(task) = task {
        // Whatever the reason for its end.
        let _ = task.await;
    }
}

fn task_of(shared: &Shared) -> MutexGuard<'_, Option<JoinHandle<()>>> {
    shared.taking_up.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Checks a delivery later that is in the journal and not handled here.
pub(super) fn take_up_later(shared: &Arc<Shared>, id: String) {
    leave_after(shared, id, AFTER_FAILURE);
}

/// Leaves a delivery in the journal to the replay task, after this delay.
fn leave_after(shared: &Arc<Shared>, id: String, time: Duration) {
    let Some(journal) = shared.inbox.journal().cloned() else { return };
    let mut phase = shared.phase.subscribe();
    shared.runtime.spawn(async move {
        select(pin!(sleep(time)), pin!(closed(&mut phase))).await;
        journal.leave(id);
    });
}

/// Waits until the receiver no longer accepts deliveries, or was dropped.
async fn closed(phase: &mut watch::Receiver<Phase>) {
    let _ = phase.wait_for(|phase| *phase != Phase::Open).await;
}

async fn take_up(shared: Weak<Shared>, journal: Journal, mut phase: watch::Receiver<Phase>) {
    loop {
        let left = match select(pin!(closed(&mut phase)), pin!(journal.left())).await {
            Either::Left(_) => return,
            Either::Right((left, _)) => left,
        };
        info!(deliveries = left.len(), "replaying accepted deliveries");
        let mut left = left.into_iter();
        for id in left.by_ref() {
            let Some(shared) = shared.upgrade() else {
                journal.leave(id);
                break;
            };
            // No replay starts before there is capacity.
            let room =
                match select(pin!(closed(&mut phase)), pin!(room(&shared, &journal, &id))).await {
                    Either::Left(_) => None,
                    Either::Right((room, _)) => Some(room),
                };
            let Some(room) = room else {
                journal.leave(id);
                break;
            };
            let taken = match room {
                Ok(Some(room)) => take_up_one(&shared, &journal, &id, room).await,
                Ok(None) => Ok(true),
                Err(error) => Err(error),
            };
            match taken {
                Ok(true) => {}
                // The process with the claim might end before the delivery is handled, and then its claim expires.
                Ok(false) => leave_after(&shared, id, shared.once.lasts() / LOOKS),
                Err(error) => {
                    warn!(delivery = id, %error, "delivery replay failed; retrying");
                    leave_after(&shared, id, AFTER_FAILURE);
                }
            }
        }
        left.for_each(|id| journal.leave(id));
    }
}

/// Acquires capacity for a delivery in the journal; `None` if it is not there.
async fn room(shared: &Shared, journal: &Journal, id: &str) -> Result<Option<Room>> {
    while !journal.can_remember() {
        sleep(DISK_POLL).await;
    }
    match journal.load(id).await? {
        Some(record) => Ok(shared.rooms.later(record.len()).await),
        None => Ok(None),
    }
}

/// Returns whether a delivery is no longer to be replayed.
async fn take_up_one(
    shared: &Arc<Shared>,
    journal: &Journal,
    id: &str,
    room: Room,
) -> Result<bool> {
    let Some(record) = journal.load(id).await? else { return Ok(true) };
    let (delivery, token) = match shared.inbox.read(id, &record) {
        Some(Ok(read)) => read,
        Some(Err(error)) => {
            warn!(delivery = id, %error, "journal record rejected and set aside");
            shared.counts.rejected_record();
            if let Err(error) = journal.fail(id, &error.to_string()).await {
                warn!(delivery = id, %error, "rejected record not recorded yet; recording is retried");
            }
            return Ok(true);
        }
        // Without a journal there is no record.
        None => return Ok(true),
    };
    let key = delivery.key();
    // The claim of the last process is also this one's: no other process has the journal.
    let claim = match shared.once.resume(&key, token).await? {
        Taken::Claimed(claim) => claim,
        Taken::Done => return journal.done(&key).await.map(|()| true),
        Taken::InProgress => return Ok(false),
    };
    shared.counts.resumed(delivery.event_name());
    let (shared, delivery) = (Arc::clone(shared), delivery.resumed());
    shared.runtime.clone().spawn(async move { work::handle(&shared, delivery, claim, room).await });
    Ok(true)
}
