//! The journal, if there is one: accepted deliveries are in it until they are handled.

use bytes::Bytes;

use super::Signed;
use super::intake::Kept;
use super::record::RecordKeys;
use crate::error::Result;
use crate::webhooks::Journal;
use crate::webhooks::delivery::Delivery;
use crate::webhooks::journal::{Accepted, key};
use crate::webhooks::once::Claim;

#[derive(Clone, Debug)]
pub(super) struct Inbox(Option<Sealed>);

/// A journal, and the keys of its records.
#[derive(Clone, Debug)]
struct Sealed {
    journal: Journal,
    keys: RecordKeys,
}

impl Inbox {
    pub(super) fn none() -> Self {
        Self(None)
    }

    pub(super) fn new(journal: Journal, signed: &Signed) -> Self {
        Self(Some(Sealed { journal, keys: RecordKeys::new(signed.verifier()) }))
    }

    pub(super) fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// Leaves a delivery to the journal; returns whether there is one.
    pub(super) fn leave(&self, delivery: &Delivery) -> bool {
        if let Some(journal) = self.journal() {
            journal.leave(delivery.key());
        }
        self.is_there()
    }

    pub(super) fn journal(&self) -> Option<&Journal> {
        self.0.as_ref().map(|sealed| &sealed.journal)
    }

    /// Verifies and parses a journal record with this key.
    pub(super) fn read(&self, id: &str, record: &Bytes) -> Option<Result<(Delivery, Bytes)>> {
        self.0.as_ref().map(|sealed| sealed.keys.decode(id, record))
    }

    pub(super) async fn keep(&self, delivery: &Delivery, claim: &Claim) -> Result<Kept> {
        let Some(Sealed { journal, keys }) = &self.0 else { return Ok(Kept::New) };
        let id = key(&delivery.key());
        let record = keys.encode(&id, delivery, claim)?;
        Ok(match journal.accept(&id, record).await? {
            Accepted::New => Kept::New,
            Accepted::Pending => Kept::Already,
            Accepted::Done => Kept::Done,
            Accepted::Full => Kept::Full,
        })
    }

    pub(super) async fn done(&self, id: &str) -> Result<()> {
        match self.journal() {
            Some(journal) => journal.done(id).await,
            None => Ok(()),
        }
    }

    pub(super) async fn failed(&self, id: &str, error: &str) -> Result<()> {
        match self.journal() {
            Some(journal) => journal.fail(id, error).await,
            None => Ok(()),
        }
    }

    /// Tries once to record outcomes that could not be recorded.
    pub(super) async fn flush(&self) -> Result<()> {
        match self.journal() {
            Some(journal) => journal.flush().await,
            None => Ok(()),
        }
    }
}
