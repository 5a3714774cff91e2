//! The permit of a call, from its admission to its response.

use std::sync::Arc;
use std::time::Duration;

use super::Lane;
use crate::limits::batch_slots::BatchSlot;
use crate::limits::cost::Cost;
use crate::limits::rules::{Grant, Outcome};

/// A place among the calls in flight. It becomes free when this is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    pub(super) lane: Arc<Lane>,
    pub(super) cost: Cost,
    pub(super) grant: Grant,
    pub(super) outcome: Option<Outcome<'static>>,
    /// Its key among the holders.
    pub(super) holder: u64,
    pub(super) slot: Option<BatchSlot>,
    /// How long the call waited.
    pub(crate) waited: Duration,
    /// The part of that for other calls of its batch: for a place in the queue, or a slot.
    pub(crate) parked: Duration,
}

impl Permit {
    /// Records that GitHub can have received the request from now on.
    pub(crate) fn sent(&mut self) {
        self.outcome = Some(Outcome::Unanswered);
    }

    /// Ends with the known outcome of the call.
    pub(crate) fn end(mut self, outcome: Outcome<'_>) {
        self.outcome = None;
        self.settle(outcome);
    }

    fn settle(&mut self, outcome: Outcome<'_>) {
        self.lane.settle(&self.cost, self.grant, self.holder, outcome);
        if let Some(slot) = self.slot.take() {
            slot.end_send().offer();
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome.take() {
            self.settle(outcome);
        }
    }
}
