//! The replacement for the journal in builds without it.

use super::accept::PersistOutcome;
use crate::error::Result;
use crate::webhooks::deduplicator::Claim;
use crate::webhooks::delivery::Delivery;

#[derive(Clone, Debug)]
pub(super) struct OptionalJournal;

impl OptionalJournal {
    pub(super) fn none() -> Self {
        Self
    }

    pub(super) fn is_enabled(&self) -> bool {
        false
    }

    pub(super) fn hand_back(&self, _: &Delivery) -> bool {
        false
    }

    pub(super) async fn persist(&self, _: &Delivery, _: &Claim) -> Result<PersistOutcome> {
        Ok(PersistOutcome::New)
    }

    pub(super) async fn complete(&self, _: &str) -> Result<()> {
        Ok(())
    }

    pub(super) async fn fail(&self, _: &str, _: &str) -> Result<()> {
        Ok(())
    }

    pub(super) async fn flush(&self) -> Result<()> {
        Ok(())
    }
}
