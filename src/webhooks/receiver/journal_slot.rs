//! The journal of a receiver, if there is one: accepted deliveries are in it until they are handled.

use bytes::Bytes;

use super::SignatureScheme;
use super::accept::PersistOutcome;
use super::record::RecordKeys;
use crate::error::Result;
use crate::webhooks::DeliveryJournal;
use crate::webhooks::deduplicator::Claim;
use crate::webhooks::delivery::Delivery;
use crate::webhooks::journal::{AcceptOutcome, key};

#[derive(Clone, Debug)]
pub(super) struct OptionalJournal(Option<JournalWithKeys>);

/// A journal, and the keys of its records.
#[derive(Clone, Debug)]
struct JournalWithKeys {
    journal: DeliveryJournal,
    keys: RecordKeys,
}

impl OptionalJournal {
    pub(super) fn none() -> Self {
        Self(None)
    }

    pub(super) fn new(journal: DeliveryJournal, signed: &SignatureScheme) -> Self {
        Self(Some(JournalWithKeys { journal, keys: RecordKeys::new(signed.verifier()) }))
    }

    pub(super) fn is_enabled(&self) -> bool {
        self.0.is_some()
    }

    /// Leaves a delivery to the journal; returns whether there is one.
    pub(super) fn hand_back(&self, delivery: &Delivery) -> bool {
        if let Some(journal) = self.journal() {
            journal.return_unclaimed(delivery.key());
        }
        self.is_enabled()
    }

    pub(super) fn journal(&self) -> Option<&DeliveryJournal> {
        self.0.as_ref().map(|sealed| &sealed.journal)
    }

    /// Verifies and parses a journal record with this key.
    pub(super) fn read(&self, id: &str, record: &Bytes) -> Option<Result<(Delivery, Bytes)>> {
        self.0.as_ref().map(|sealed| sealed.keys.decode(id, record))
    }

    pub(super) async fn persist(
        &self,
        delivery: &Delivery,
        claim: &Claim,
    ) -> Result<PersistOutcome> {
        let Some(JournalWithKeys { journal, keys }) = &self.0 else {
            return Ok(PersistOutcome::New);
        };
        let id = key(&delivery.key());
        let record = keys.encode(&id, delivery, claim)?;
        Ok(match journal.accept(&id, record).await? {
            AcceptOutcome::New => PersistOutcome::New,
            AcceptOutcome::Pending => PersistOutcome::Pending,
            AcceptOutcome::Done => PersistOutcome::Done,
            AcceptOutcome::Full => PersistOutcome::Full,
        })
    }

    pub(super) async fn complete(&self, id: &str) -> Result<()> {
        match self.journal() {
            Some(journal) => journal.complete(id).await,
            None => Ok(()),
        }
    }

    pub(super) async fn fail(&self, id: &str, error: &str) -> Result<()> {
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
