//! The journal, if there is one: what was accepted is in it until it is handled.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::intake::Kept;
use crate::error::{Error, ErrorKind, Result};
use crate::webhooks::Journal;
use crate::webhooks::delivery::{About, Delivery};
use crate::webhooks::journal::Accepted;
use crate::webhooks::once::Claim;

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

    /// Leaves a delivery to the owner of the journal; says whether there is one.
    pub(super) fn leave(&self, delivery: &Delivery) -> bool {
        if let Some(journal) = &self.0 {
            journal.leave(delivery.key());
        }
        self.is_there()
    }

    pub(super) fn journal(&self) -> Option<&Journal> {
        self.0.as_ref()
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

    /// Tries once to record what was handled and could not be recorded.
    pub(super) async fn flush(&self) -> Result<()> {
        match &self.0 {
            Some(journal) => journal.flush().await,
            None => Ok(()),
        }
    }
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

pub(in crate::webhooks) fn decode(record: &Bytes) -> Result<(Delivery, Bytes)> {
    let end = record.iter().position(|byte| *byte == b'\n').unwrap_or(record.len());
    let head: Head = serde_json::from_slice(&record[..end]).map_err(|error| unreadable(&error))?;
    let payload = record.slice((end + 1).min(record.len())..);
    Ok((Delivery::new(head.about, payload), Bytes::from(head.claim)))
}

fn unreadable(error: &serde_json::Error) -> Error {
    Error::new(ErrorKind::Store, format!("a record of the journal can not be read: {error}"))
}
