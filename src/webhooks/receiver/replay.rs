//! The replay of unhandled deliveries of the journal.
//!
//! An earlier process or receiver left them, or they could not continue.

use std::pin::pin;
use std::sync::{Arc, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tracing::{info, warn};

use super::capacity::CapacityPermit;
use super::{Lifecycle, Shared, WebhookReceiver, handle};
use crate::error::Result;
use crate::webhooks::DeliveryJournal;
use crate::webhooks::deduplicator::ClaimOutcome;

/// The delay before a delivery is replayed again, after a failure of the store or the disk.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);
/// The interval at which the disk is checked, while the limit of unrecorded outcomes is reached.
const DISK_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The number of checks of another receiver's delivery during the TTL of a claim.
const CLAIM_CHECKS: u32 = 10;

impl WebhookReceiver {
    /// Handles a failed delivery once more: one of [`DeliveryJournal::failed`], by its id there. It might have been handled in
    /// part, so it is marked as [replayed](crate::webhooks::Delivery::is_replayed). Returns whether there is such a
    /// delivery that is not handled otherwise; then it will be handled.
    ///
    /// # Errors
    /// If the journal or the store fails; the delivery then stays among the failed ones, or is handled later.
    #[cfg_attr(docsrs, doc(cfg(feature = "webhooks-journal")))]
    pub async fn retry_failed(&self, id: &str) -> Result<bool> {
        let Some(journal) = self.0.journal.journal() else { return Ok(false) };
        let (shared, journal, id) = (Arc::clone(&self.0), journal.clone(), id.to_owned());
        // A task of its own: the future that waits might be dropped, and work that has started has to be completed.
        let retried =
            self.0.runtime.spawn(async move { retry_failed(&shared, &journal, &id).await });
        // This happens if the runtime shuts down.
        retried.await.unwrap_or(Ok(false))
    }
}

async fn retry_failed(shared: &Arc<Shared>, journal: &DeliveryJournal, id: &str) -> Result<bool> {
    let failed = journal.failed().await?;
    let Some(failed) = failed.into_iter().find(|failed| failed.id == id) else { return Ok(false) };
    let size = usize::try_from(failed.size).unwrap_or(usize::MAX);
    let Some(permit) = shared.capacity.acquire(size).await else { return Ok(false) };
    let claim = match shared.deduplicator.try_claim(id).await? {
        ClaimOutcome::Claimed(claim) => claim,
        ClaimOutcome::Done => return journal.discard_failed(id).await.map(|_| false),
        ClaimOutcome::InProgress => return Ok(false),
    };
    let revived = match journal.requeue_failed(id).await {
        Ok(Some(record)) => shared.journal.read(id, &record).transpose(),
        other => other.map(|_| None),
    };
    let result = match revived {
        Ok(Some((delivery, _))) => {
            let delivery = delivery.replayed();
            shared.runtime.spawn(handle::handle(Arc::clone(shared), delivery, claim, permit));
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
    let _ = claim.release().await;
    result
}

/// Replays unhandled deliveries, now and from now on.
pub(super) fn start_replay(shared: &Arc<Shared>) {
    if let Some(journal) = shared.journal.journal() {
        let phase = shared.phase.subscribe();
        let task = replay(Arc::downgrade(shared), journal.clone(), phase);
        *replay_task(shared) = Some(shared.runtime.spawn(task));
    }
}

/// Waits until the replay has ended, after the receiver is closed.
pub(super) async fn until_replay_ended(shared: &Shared) {
    let task = replay_task(shared).take();
    if let Some(task) = task {
        // Whatever the reason for its end.
        let _ = task.await;
    }
}

fn replay_task(shared: &Shared) -> MutexGuard<'_, Option<JoinHandle<()>>> {
    shared.replay_task.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Checks a delivery later that is in the journal and not handled here.
pub(super) fn schedule_replay(shared: &Arc<Shared>, id: String) {
    requeue_after(shared, id, RETRY_INTERVAL);
}

/// Leaves a delivery in the journal to the replay task, after this delay.
fn requeue_after(shared: &Arc<Shared>, id: String, time: Duration) {
    let Some(journal) = shared.journal.journal().cloned() else { return };
    let mut phase = shared.phase.subscribe();
    shared.runtime.spawn(async move {
        select(pin!(sleep(time)), pin!(until_closed(&mut phase))).await;
        journal.return_unclaimed(id);
    });
}

/// Waits until the receiver no longer accepts deliveries, or was dropped.
async fn until_closed(phase: &mut watch::Receiver<Lifecycle>) {
    let _ = phase.wait_for(|phase| *phase != Lifecycle::Open).await;
}

async fn replay(
    shared: Weak<Shared>,
    journal: DeliveryJournal,
    mut phase: watch::Receiver<Lifecycle>,
) {
    loop {
        let left =
            match select(pin!(until_closed(&mut phase)), pin!(journal.take_unclaimed())).await {
                Either::Left(_) => return,
                Either::Right((left, _)) => left,
            };
        info!(deliveries = left.len(), "replaying accepted deliveries");
        let mut left = left.into_iter();
        for id in left.by_ref() {
            let Some(shared) = shared.upgrade() else {
                journal.return_unclaimed(id);
                break;
            };
            // No replay starts before there is capacity.
            let permit = match select(
                pin!(until_closed(&mut phase)),
                pin!(acquire_capacity(&shared, &journal, &id)),
            )
            .await
            {
                Either::Left(_) => None,
                Either::Right((permit, _)) => Some(permit),
            };
            let Some(permit) = permit else {
                journal.return_unclaimed(id);
                break;
            };
            let taken = match permit {
                Ok(Some(permit)) => replay_one(&shared, &journal, &id, permit).await,
                Ok(None) => Ok(true),
                Err(error) => Err(error),
            };
            match taken {
                Ok(true) => {}
                // The process with the claim might end before the delivery is handled, and then its claim expires.
                Ok(false) => requeue_after(
                    &shared,
                    id,
                    shared.deduplicator.effective_claim_ttl() / CLAIM_CHECKS,
                ),
                Err(error) => {
                    warn!(delivery = id, %error, "delivery replay failed; retrying");
                    requeue_after(&shared, id, RETRY_INTERVAL);
                }
            }
        }
        left.for_each(|id| journal.return_unclaimed(id));
    }
}

/// Acquires capacity for a delivery in the journal; `None` if it is not there.
async fn acquire_capacity(
    shared: &Shared,
    journal: &DeliveryJournal,
    id: &str,
) -> Result<Option<CapacityPermit>> {
    while !journal.can_remember() {
        sleep(DISK_POLL_INTERVAL).await;
    }
    match journal.load(id).await? {
        Some(record) => Ok(shared.capacity.acquire(record.len()).await),
        None => Ok(None),
    }
}

/// Returns whether a delivery is no longer to be replayed.
async fn replay_one(
    shared: &Arc<Shared>,
    journal: &DeliveryJournal,
    id: &str,
    permit: CapacityPermit,
) -> Result<bool> {
    let Some(record) = journal.load(id).await? else { return Ok(true) };
    let (delivery, token) = match shared.journal.read(id, &record) {
        Some(Ok(read)) => read,
        Some(Err(error)) => {
            warn!(delivery = id, %error, "journal record rejected and set aside");
            shared.stats.record_rejected_record();
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
    let claim = match shared.deduplicator.reclaim_by_token(&key, token).await? {
        ClaimOutcome::Claimed(claim) => claim,
        ClaimOutcome::Done => return journal.complete(&key).await.map(|()| true),
        ClaimOutcome::InProgress => return Ok(false),
    };
    shared.stats.record_replayed(delivery.event_label());
    let delivery = delivery.replayed();
    shared.runtime.spawn(handle::handle(Arc::clone(shared), delivery, claim, permit));
    Ok(true)
}
