//! The permit of a call, from its admission to its response.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::AdmissionQueue;
use crate::policy::rate_limit::batch_slots::BatchSlot;
use crate::policy::rate_limit::cost::RequestCost;
use crate::policy::rate_limit::limits::{AttemptOutcome, Reservation};
use crate::policy::rate_limit::permit_holders::HolderKey;

/// A place among the calls in flight. It becomes free when this is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    pub(super) queue: Arc<AdmissionQueue>,
    pub(super) cost: RequestCost,
    pub(super) reservation: Reservation,
    pub(super) outcome: Option<AttemptOutcome<'static>>,
    /// Its key among the holders; `None` for a call that cannot be detached.
    pub(super) holder: Option<HolderKey>,
    pub(super) slot: Option<BatchSlot>,
    /// How long the call waited.
    pub(crate) waited: Duration,
    /// The part of that for other calls of its batch: for a place in the queue, or a slot.
    pub(crate) parked: Duration,
}

impl Permit {
    /// Records that GitHub can have received the request from now on.
    pub(crate) fn mark_sent(&mut self) {
        self.outcome = Some(AttemptOutcome::NoResponse);
    }

    /// Ends now with the known outcome of the call.
    #[cfg(any(test, feature = "__bench"))]
    pub(crate) fn end(self, outcome: AttemptOutcome<'_>) {
        self.end_at(Instant::now(), outcome);
    }

    /// Ends with the known outcome of the call, which was known at `now`.
    pub(crate) fn end_at(mut self, now: Instant, outcome: AttemptOutcome<'_>) {
        self.outcome = None;
        self.complete(now, outcome);
    }

    fn complete(&mut self, now: Instant, outcome: AttemptOutcome<'_>) {
        self.queue.complete(now, &self.cost, self.reservation, self.holder, outcome);
        if let Some(slot) = self.slot.take() {
            slot.end_send().offer();
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome.take() {
            self.complete(Instant::now(), outcome);
        }
    }
}
