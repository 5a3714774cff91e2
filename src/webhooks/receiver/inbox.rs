//! The journal, if there is one: what was accepted is in it until it is handled, and what an earlier
//! process left in it is taken up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
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

    pub(super) async fn keep(&self, delivery: &Delivery, claim: &Claim) -> Result<Kept> {
        let Some(journal) = &self.0 else { return Ok(Kept::New) };
        let record = encode(delivery, claim)?;
        Ok(match journal.accept(delivery.id(), record).await? {
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
    /// Handles a delivery once more that was given up: one of [`Journal::failed`]. Says whether
    /// there is one of that name, and it is not handled otherwise.
    ///
    /// # Errors
    /// If the journal or the store fails, or what is kept of the delivery can not be read; it stays
    /// among the failed ones then, or is handled after the next start.
    #[cfg_attr(docsrs, doc(cfg(feature = "webhooks-journal")))]
    pub async fn retry_failed(&self, id: &str) -> Result<bool> {
        let Some(journal) = &self.0.inbox.0 else { return Ok(false) };
        let Some(record) = journal.revive(id).await? else { return Ok(false) };
        let (delivery, _) = decode(&record)?;
        let Some(room) = self.0.rooms.later(size(&delivery)).await else { return Ok(false) };
        match self.0.once.take(delivery.id()).await? {
            Taken::Claimed(claim) => {
                let shared = Arc::clone(&self.0);
                tokio::spawn(async move { work::handle(&shared, delivery, claim, room).await });
                Ok(true)
            }
            Taken::Done => journal.done(id).await.map(|()| false),
            Taken::InProgress => {
                journal.fail(id, "it is being handled elsewhere").await.map(|()| false)
            }
        }
    }
}

/// Takes up what an earlier process left.
pub(super) fn resume(shared: &Arc<Shared>) {
    if let Some(journal) = &shared.inbox.0 {
        let left = journal.take_left();
        if !left.is_empty() {
            info!(deliveries = left.len(), "deliveries that were accepted earlier are handled now");
            tokio::spawn(take_up(Arc::clone(shared), journal.clone(), left));
        }
    }
}

async fn take_up(shared: Arc<Shared>, journal: Journal, left: Vec<String>) {
    let now = Instant::now();
    let mut waiting: VecDeque<(Instant, String)> = left.into_iter().map(|id| (now, id)).collect();
    while let Some((due, id)) = waiting.pop_front() {
        sleep_until(due).await;
        if *shared.phase.borrow() != Phase::Open {
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
    let Some(room) = shared.rooms.later(size(&delivery)).await else { return Ok(true) };
    // The claim of the process that ended is this one's as well: nobody else has the journal.
    let claim = match shared.once.resume(delivery.id(), token).await? {
        Some(claim) => claim,
        None => match shared.once.take(delivery.id()).await? {
            Taken::Claimed(claim) => claim,
            Taken::Done => return journal.done(id).await.map(|()| true),
            Taken::InProgress => return Ok(false),
        },
    };
    shared.counts.resumed();
    let (shared, delivery) = (Arc::clone(shared), delivery.resumed());
    tokio::spawn(async move { work::handle(&shared, delivery, claim, room).await });
    Ok(true)
}

fn size(delivery: &Delivery) -> u32 {
    u32::try_from(delivery.payload().len()).unwrap_or(u32::MAX)
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
