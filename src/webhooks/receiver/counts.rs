//! The counts of a receiver.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::Receipt;
use super::rooms::Rooms;
use crate::telemetry::meter;
use crate::webhooks::refusal::Refusal;

/// The counts of a [`Receiver`](super::Receiver) since its start, and its current queue:
/// [`Receiver::stats`](super::Receiver::stats).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ReceiverStats {
    /// Accepted deliveries.
    pub accepted: u64,
    /// Deliveries that had been handled before.
    pub duplicates: u64,
    /// Deliveries that were handled.
    pub handled: u64,
    /// Failed handling attempts.
    pub failed_attempts: u64,
    /// Deliveries that were given up.
    pub failed: u64,
    /// Deliveries that an earlier process or receiver left in the journal, and that were replayed.
    pub resumed: u64,
    /// Journal records that failed verification: they were changed, or were signed with a secret that is no longer
    /// known. They are not handled, and kept among the journal's failed ones.
    pub rejected_records: u64,
    /// Requests that were not signed with a known secret (401).
    pub unauthorized: u64,
    /// Requests that were not deliveries (400, 405, 408, 413, 415).
    pub malformed: u64,
    /// Deliveries that were rejected for lack of capacity (503).
    pub busy: u64,
    /// Deliveries that were rejected since the store or the journal failed (503).
    pub store_failures: u64,
    /// Deliveries that were rejected since they were being handled (503).
    pub in_progress: u64,
    /// Deliveries whose payload does not match the type of their event. Each is counted once, when the handler calls
    /// [`Delivery::event`](crate::webhooks::Delivery::event).
    pub undecoded: u64,
    /// For each secret, in the order in which they were added, the deliveries that were signed with it: a secret that
    /// is no longer used can be removed.
    pub by_secret: Vec<u64>,
    /// Deliveries that wait or are handled now.
    pub queued: usize,
    /// The bytes of their payloads.
    pub queued_bytes: usize,
    /// The ones that are being handled now.
    pub running: usize,
    /// The ones that failed before and occupy [`ReceiverBuilder::retry_queue`](super::ReceiverBuilder::retry_queue).
    pub retrying: usize,
}

pub(super) struct Counts {
    counts: [AtomicU64; 12],
    undecoded: Arc<AtomicU64>,
    by_secret: Vec<AtomicU64>,
}

/// The index of a count in [`Counts`].
#[derive(Clone, Copy)]
enum Count {
    Accepted,
    Duplicates,
    Handled,
    FailedAttempts,
    Failed,
    Resumed,
    #[cfg_attr(
        not(feature = "webhooks-journal"),
        allow(dead_code, reason = "a journal has records")
    )]
    RejectedRecords,
    Unauthorized,
    Malformed,
    Busy,
    StoreFailures,
    InProgress,
}

impl Count {
    /// Returns the label in metrics.
    fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicates => "duplicate",
            Self::Handled => "handled",
            Self::FailedAttempts => "failed_attempt",
            Self::Failed => "failed",
            Self::Resumed => "resumed",
            Self::RejectedRecords => "rejected_record",
            Self::Unauthorized => "unauthorized",
            Self::Malformed => "malformed",
            Self::Busy => "busy",
            Self::StoreFailures => "store_failure",
            Self::InProgress => "in_progress",
        }
    }
}

impl Counts {
    pub(super) fn new(secrets: usize) -> Self {
        let by_secret = (0..secrets).map(|_| AtomicU64::new(0)).collect();
        Self { counts: Default::default(), undecoded: Arc::default(), by_secret }
    }

    /// Counts the response to a delivery or a request; the event is known for verified deliveries.
    pub(super) fn answered(
        &self,
        event: Option<&str>,
        answer: Result<Receipt, Refusal>,
    ) -> Result<Receipt, Refusal> {
        self.add(
            event,
            match &answer {
                // The handling is counted when it completes.
                Ok(Receipt::Accepted | Receipt::Handled) => Count::Accepted,
                Ok(Receipt::Duplicate) => Count::Duplicates,
                Err(Refusal::Signature(_) | Refusal::Envelope(_)) => Count::Unauthorized,
                Err(Refusal::Busy) => Count::Busy,
                Err(Refusal::Store) => Count::StoreFailures,
                Err(Refusal::InProgress) => Count::InProgress,
                // A delivery that was accepted, and failed.
                Err(Refusal::Failed) => Count::Accepted,
                Err(_) => Count::Malformed,
            },
        );
        answer
    }

    pub(super) fn signed_with(&self, secret: usize) {
        if let Some(count) = self.by_secret.get(secret) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns the count of payloads that do not match their type, for deliveries to increment.
    pub(super) fn undecoded(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.undecoded)
    }

    pub(super) fn handled(&self, event: &str) {
        self.add(Some(event), Count::Handled);
    }

    pub(super) fn failed_attempt(&self, event: &str) {
        self.add(Some(event), Count::FailedAttempts);
    }

    pub(super) fn failed(&self, event: &str) {
        self.add(Some(event), Count::Failed);
    }

    #[cfg(feature = "webhooks-journal")]
    pub(super) fn resumed(&self, event: &str) {
        self.add(Some(event), Count::Resumed);
    }

    #[cfg(feature = "webhooks-journal")]
    pub(super) fn rejected_record(&self) {
        self.add(None, Count::RejectedRecords);
    }

    fn add(&self, event: Option<&str>, count: Count) {
        meter::delivery(event, count.name());
        self.counts[count as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn stats(&self, rooms: &Rooms) -> ReceiverStats {
        let of = |count: Count| self.counts[count as usize].load(Ordering::Relaxed);
        ReceiverStats {
            accepted: of(Count::Accepted),
            duplicates: of(Count::Duplicates),
            handled: of(Count::Handled),
            failed_attempts: of(Count::FailedAttempts),
            failed: of(Count::Failed),
            resumed: of(Count::Resumed),
            rejected_records: of(Count::RejectedRecords),
            unauthorized: of(Count::Unauthorized),
            malformed: of(Count::Malformed),
            busy: of(Count::Busy),
            store_failures: of(Count::StoreFailures),
            in_progress: of(Count::InProgress),
            undecoded: self.undecoded.load(Ordering::Relaxed),
            by_secret: self.by_secret.iter().map(|n| n.load(Ordering::Relaxed)).collect(),
            queued: rooms.taken(),
            queued_bytes: rooms.taken_bytes(),
            running: rooms.running(),
            retrying: rooms.retries(),
        }
    }
}
