//! The counts of a receiver.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::ReceiveOutcome;
use super::capacity::Capacity;
use crate::meter;
use crate::webhooks::rejection::RejectionReason;

/// The counts of a [`WebhookReceiver`](super::WebhookReceiver) since its start, and its current queue:
/// [`WebhookReceiver::stats`](super::WebhookReceiver::stats).
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
    pub replayed: u64,
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
    /// The ones that failed before and occupy [`WebhookReceiverBuilder::max_retrying`](super::WebhookReceiverBuilder::max_retrying).
    pub retrying: usize,
}

pub(super) struct StatsCounters {
    counts: [AtomicU64; 12],
    undecoded: Arc<AtomicU64>,
    by_secret: Vec<AtomicU64>,
}

/// The index of a count in [`StatsCounters`].
#[derive(Clone, Copy)]
enum StatsCounter {
    Accepted,
    Duplicates,
    Handled,
    FailedAttempts,
    Failed,
    Replayed,
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

impl StatsCounter {
    /// Returns the label in metrics.
    fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicates => "duplicate",
            Self::Handled => "handled",
            Self::FailedAttempts => "failed_attempt",
            Self::Failed => "failed",
            Self::Replayed => "replayed",
            Self::RejectedRecords => "rejected_record",
            Self::Unauthorized => "unauthorized",
            Self::Malformed => "malformed",
            Self::Busy => "busy",
            Self::StoreFailures => "store_failure",
            Self::InProgress => "in_progress",
        }
    }
}

impl StatsCounters {
    pub(super) fn new(secrets: usize) -> Self {
        let by_secret = (0..secrets).map(|_| AtomicU64::new(0)).collect();
        Self { counts: Default::default(), undecoded: Arc::default(), by_secret }
    }

    /// Counts the response to a delivery or a request; the event is known for verified deliveries.
    pub(super) fn record_response(
        &self,
        event: Option<&'static str>,
        response: Result<ReceiveOutcome, RejectionReason>,
    ) -> Result<ReceiveOutcome, RejectionReason> {
        self.add(
            event,
            match &response {
                // The handling is counted when it completes.
                Ok(ReceiveOutcome::Accepted | ReceiveOutcome::Handled) => StatsCounter::Accepted,
                Ok(ReceiveOutcome::Duplicate) => StatsCounter::Duplicates,
                Err(RejectionReason::Signature(_) | RejectionReason::Envelope(_)) => {
                    StatsCounter::Unauthorized
                }
                Err(RejectionReason::Busy) => StatsCounter::Busy,
                Err(RejectionReason::Store) => StatsCounter::StoreFailures,
                Err(RejectionReason::InProgress) => StatsCounter::InProgress,
                // A delivery that was accepted, and failed.
                Err(RejectionReason::Failed) => StatsCounter::Accepted,
                Err(_) => StatsCounter::Malformed,
            },
        );
        response
    }

    pub(super) fn record_secret(&self, secret: usize) {
        if let Some(count) = self.by_secret.get(secret) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns the count of payloads that do not match their type, for deliveries to increment.
    pub(super) fn undecoded_counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.undecoded)
    }

    pub(super) fn record_handled(&self, event: &'static str) {
        self.add(Some(event), StatsCounter::Handled);
    }

    pub(super) fn record_failed_attempt(&self, event: &'static str) {
        self.add(Some(event), StatsCounter::FailedAttempts);
    }

    pub(super) fn record_failed(&self, event: &'static str) {
        self.add(Some(event), StatsCounter::Failed);
    }

    #[cfg(feature = "webhooks-journal")]
    pub(super) fn record_replayed(&self, event: &'static str) {
        self.add(Some(event), StatsCounter::Replayed);
    }

    #[cfg(feature = "webhooks-journal")]
    pub(super) fn record_rejected_record(&self) {
        self.add(None, StatsCounter::RejectedRecords);
    }

    fn add(&self, event: Option<&'static str>, count: StatsCounter) {
        meter::delivery(event, count.name());
        self.counts[count as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn stats(&self, capacity: &Capacity) -> ReceiverStats {
        let of = |count: StatsCounter| self.counts[count as usize].load(Ordering::Relaxed);
        ReceiverStats {
            accepted: of(StatsCounter::Accepted),
            duplicates: of(StatsCounter::Duplicates),
            handled: of(StatsCounter::Handled),
            failed_attempts: of(StatsCounter::FailedAttempts),
            failed: of(StatsCounter::Failed),
            replayed: of(StatsCounter::Replayed),
            rejected_records: of(StatsCounter::RejectedRecords),
            unauthorized: of(StatsCounter::Unauthorized),
            malformed: of(StatsCounter::Malformed),
            busy: of(StatsCounter::Busy),
            store_failures: of(StatsCounter::StoreFailures),
            in_progress: of(StatsCounter::InProgress),
            undecoded: self.undecoded.load(Ordering::Relaxed),
            by_secret: self.by_secret.iter().map(|n| n.load(Ordering::Relaxed)).collect(),
            queued: capacity.in_use_count(),
            queued_bytes: capacity.in_use_bytes(),
            running: capacity.running(),
            retrying: capacity.retries(),
        }
    }
}
