//! The journal, if there is one: what was accepted is in it until it is handled, and what an earlier
//! process left in it is taken up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::future::{Either, select};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::intake::Kept;
use super::{Phase, Receiver, Shared, work};
use crate::error::{Error, ErrorKind, Result};
use crate::webhooks::Journal;
use crate::webhooks::delivery::{About, Delivery};
use crate::webhooks::journal::Accepted;
use crate::webhooks::once::{Claim, Taken};

/// What can not be taken up since the store fails is tried again after so long.
const AFTER_FAILURE: Duration = Duration::from_secs(10);

/// What somebody else has is looked at so often while a claim lasts.
const LOOKS: u32 = 10;

#[derive(Clone, Debug)]
pub(super) struct Inbox(Option<Journal>);

/// What stands before the payload in a record, in a line.
#[derive(Serialize, Deserialize)]
struct Head {
    about: About,
    /// What shows that a claim is this one.
    claim: String,
}

impl Inbox {
    pub(super) fn none() -> Self {
        Self(None)
    }

    pub(super) fn new(journal: Journal) -> Self {
        Self(Some(journal))
    }

    pub(super) fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// Leaves a delivery to who has the journal next; says whether there is one.
    pub(super) fn leave(&self, delivery: &Delivery) -> bool {
        if let Some(journal) = &self.0 {
            journal.leave(delivery.key());
        }
        self.is_there()
    }

    /// Looks later at what is in the journal and handled by nobody here.
    pub(super) fn take_up_later(&self, shared: &Arc<Shared>, key: String) {
        if let Some(journal) = &self.0 {
            let waiting = VecDeque::from([(Instant::now() + AFTER_FAILURE, key)]);
            shared.runtime.spawn(take_up(Arc::clone(shared), journal.clone(), waiting));
        }
    }

    pub(super) async fn keep(&self, delivery: &Delivery, claim: &Claim) -> Result<Kept> {
        let Some(journal) = &self.0 else { return Ok(Kept::New) };
        let record = encode(delivery, claim)?;
        Ok(match journal.accept(&delivery.key(), record).await? {
            Accepted::New => Kept::New,
            Accepted::Pending => Kept::Already,
            Accepted::Done => Kept::Done,
            Accepted::Full => Kept::Full,
        })
    }

    pub(super) async fn done(&self, id: &str) -> Result<()> {
        match &self.0 {
            Some(journal) => journal.done(id).await,
            None => Ok(()),
        }
    }

    pub(super) async fn failed(&self, id: &str, error: &str) -> Result<()> {
        match &self.0 {
            Some(journal) => journal.fail(id, error).await,
            None => Ok(()),
        }
    }
}

impl Receiver {
    /// Handles a delivery once more that was given up: one of [`Journal::failed`], by its id there. Says
    /// whether there is one, and it is not handled otherwise; with it, that it will be handled.
    ///
    /// # Errors
    /// If the journal or the store fails; it stays among the failed ones then.
    #[cfg_attr(docsrs, doc(cfg(feature = "webhooks-journal")))]
    pub async fn retry_failed(&self, id: &str) -> Result<bool> {
        let Some(journal) = &self.0.inbox.0 else { return Ok(false) };
        let (shared, journal, id) = (Arc::clone(&self.0), journal.clone(), id.to_owned());
        // A task of its own: whoever waits may be dropped, and what is begun has to be ended.
        let retried = self.0.runtime.spawn(async move { retry(&shared, &journal, &id).await });
        // The runtime ends.
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
        Ok(Some(record)) => decode(&record).map(Some),
        other => other.map(|_| None),
    };
    match revived {
        Ok(Some((delivery, _))) => {
            let shared = Arc::clone(shared);
            shared.runtime.clone().spawn(async move {
                work::handle(&shared, delivery, claim, room).await;
            });
            Ok(true)
        }
        Ok(None) => claim.failed().await.map(|()| false),
        Err(error) => {
            let _ = claim.failed().await;
            // What can not be read is put back, if it was taken.
            let _ = journal.fail(id, &error.to_string()).await;
            Err(error)
        }
    }
}

/// Takes up what an earlier process, or an earlier receiver of the journal, left.
pub(super) fn resume(shared: &Arc<Shared>) {
    if let Some(journal) = &shared.inbox.0 {
        let left = journal.take_left();
        if !left.is_empty() {
            info!(deliveries = left.len(), "deliveries that were accepted earlier are handled now");
            let now = Instant::now();
            let waiting = left.into_iter().map(|id| (now, id)).collect();
            shared.runtime.spawn(take_up(Arc::clone(shared), journal.clone(), waiting));
        }
    }
}

async fn take_up(shared: Arc<Shared>, journal: Journal, mut waiting: VecDeque<(Instant, String)>) {
    let mut phase = shared.phase.subscribe();
    while let Some((due, id)) = waiting.pop_front() {
        let closed = std::pin::pin!(phase.wait_for(|phase| *phase != Phase::Open));
        if let Either::Left(_) = select(closed, std::pin::pin!(sleep_until(due))).await {
            journal.leave(id);
            waiting.into_iter().for_each(|(_, id)| journal.leave(id));
            return;
        }
        let later = match take_up_one(&shared, &journal, &id).await {
            Ok(true) => continue,
            // Whoever has it may end before it is handled, and then its claim does.
            Ok(false) => shared.once.lasts() / LOOKS,
            Err(error) => {
                warn!(delivery = id, %error, "a delivery that was accepted earlier can not be taken up yet");
                AFTER_FAILURE
            }
        };
        waiting.push_back((Instant::now() + later, id));
    }
}

/// Says whether a delivery is no longer to be taken up.
async fn take_up_one(shared: &Arc<Shared>, journal: &Journal, id: &str) -> Result<bool> {
    let Some(record) = journal.load(id).await? else { return Ok(true) };
    let (delivery, token) = match decode(&record) {
        Ok(read) => read,
        Err(error) => {
            warn!(delivery = id, %error, "a delivery that was accepted earlier can not be read");
            journal.fail(id, &error.to_string()).await?;
            return Ok(true);
        }
    };
    let Some(room) = shared.rooms.later(delivery.payload().len()).await else { return Ok(false) };
    let key = delivery.key();
    // The claim of the process that ended is this one's as well: nobody else has the journal.
    let claim = match shared.once.resume(&key, token).await? {
        Some(claim) => claim,
        None => match shared.once.take(&key).await? {
            Taken::Claimed(claim) => claim,
            Taken::Done => return journal.done(&key).await.map(|()| true),
            Taken::InProgress => return Ok(false),
        },
    };
    shared.counts.resumed();
    let (shared, delivery) = (Arc::clone(shared), delivery.resumed());
    shared.runtime.clone().spawn(async move { work::handle(&shared, delivery, claim, room).await });
    Ok(true)
}

fn encode(delivery: &Delivery, claim: &Claim) -> Result<Bytes> {
    let claim = String::from_utf8_lossy(claim.token()).into_owned();
    let head = Head { about: delivery.about().clone(), claim };
    let head = serde_json::to_vec(&head).map_err(|error| unreadable(&error))?;
    let mut record = BytesMut::with_capacity(head.len() + 1 + delivery.payload().len());
    record.put_slice(&head);
    record.put_u8(b'\n');
    record.put_slice(delivery.payload());
    Ok(record.freeze())
}

fn decode(record: &Bytes) -> Result<(Delivery, Bytes)> {
    let end = record.iter().position(|byte| *byte == b'\n').unwrap_or(record.len());
    let head: Head = serde_json::from_slice(&record[..end]).map_err(|error| unreadable(&error))?;
    let payload = record.slice((end + 1).min(record.len())..);
    Ok((Delivery::new(head.about, payload), Bytes::from(head.claim)))
}

fn unreadable(error: &serde_json::Error) -> Error {
    Error::new(ErrorKind::Store, format!("a record of the journal can not be read: {error}"))
}
