//! The replacement for the journal in builds without it.

use super::intake::Kept;
use crate::error::Result;
use crate::webhooks::delivery::Delivery;
use crate::webhooks::once::Claim;

#[derive(Clone, Debug)]
pub(super) struct Inbox;

impl Inbox {
    pub(super) fn none() -> Self {
        Self
    }

    pub(super) fn is_there(&self) -> bool {
        false
    }

    pub(super) fn leave(&self, _: &Delivery) -> bool {
        false
    }

    pub(super) async fn keep(&self, _: &Delivery, _: &Claim) -> Result<Kept> {
        Ok(Kept::New)
    }

    pub(super) async fn done(&self, _: &str) -> Result<()> {
        Ok(())
    }

    pub(super) async fn failed(&self, _: &str, _: &str) -> Result<()> {
        Ok(())
    }

    pub(super) async fn flush(&self) -> Result<()> {
        Ok(())
    }
}
