//! The settings of a receiver.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::capacity::{Capacity, CapacityLimits};
use super::handler::{Handler, HandlerConfig};
use super::journal_slot::OptionalJournal;
use super::stats::StatsCounters;
use super::{Lifecycle, ResponseMode, RetrySchedule, Shared, SignatureScheme, WebhookReceiver};
use crate::error::{Error, ErrorKind, Result};
#[cfg(feature = "webhooks-journal")]
use crate::webhooks::DeliveryJournal;
use crate::webhooks::body::{BodyLimits, READ_TIMEOUT};
use crate::webhooks::{Deduplicator, Delivery};

/// The settings of a [`WebhookReceiver`]: [`WebhookReceiver::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder receives nothing before it is started"]
pub struct WebhookReceiverBuilder {
    scheme: SignatureScheme,
    body: BodyLimits,
    deduplicator: Option<Deduplicator>,
    journal: OptionalJournal,
    mode: ResponseMode,
    response_timeout: Duration,
    max_queued: u32,
    max_queued_bytes: u32,
    max_retrying: (u32, u32),
    concurrency: u32,
    handler_timeout: Duration,
    retry: RetrySchedule,
}

/// Longer durations are practically infinite, and could not be added to the current time.
const MAX_DURATION: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl WebhookReceiverBuilder {
    pub(super) fn new(signed: SignatureScheme) -> Self {
        Self {
            scheme: signed,
            body: BodyLimits::default(),
            deduplicator: None,
            journal: OptionalJournal::none(),
            mode: ResponseMode::Queued,
            response_timeout: READ_TIMEOUT,
            max_queued: 1_000,
            max_queued_bytes: 256 * 1024 * 1024,
            max_retrying: (1_000, 256 * 1024 * 1024),
            concurrency: 16,
            handler_timeout: Duration::from_secs(60),
            retry: RetrySchedule::default(),
        }
    }

    /// Sets the deduplicator, which records handled deliveries: by default in memory, 64 MiB, which are about 280,000
    /// deliveries and end with the process. With a [store](crate::store) that a fleet shares, one process of the fleet
    /// handles a delivery.
    pub fn deduplicator(mut self, once: Deduplicator) -> Self {
        self.deduplicator = Some(once);
        self
    }

    /// Keeps deliveries on the disk from before they are acknowledged until they are handled, and replays the unhandled
    /// deliveries of an earlier process at the start. None by default.
    #[cfg(feature = "webhooks-journal")]
    #[cfg_attr(docsrs, doc(cfg(feature = "webhooks-journal")))]
    pub fn journal(mut self, journal: DeliveryJournal) -> Self {
        self.journal = OptionalJournal::new(journal, &self.scheme);
        self
    }

    /// Responds once the delivery is handled (200) or has failed (500), rather than once it is accepted (202). The
    /// handler has one attempt then, and the rest of [`response_timeout`](Self::response_timeout); a delivery that cannot
    /// start in that time is rejected (503).
    pub fn respond_after_handling(mut self) -> Self {
        self.mode = ResponseMode::Inline;
        self
    }

    /// Sets the longest time until the response to a request, its body included: 9 s by default, since GitHub waits for
    /// 10 (GitHub Enterprise Server for 30). If the outcome is not known by then, the request is rejected (503), but
    /// the delivery might have been accepted: a redelivery is then recognized.
    pub fn response_timeout(mut self, time: Duration) -> Self {
        self.response_timeout = time.min(MAX_DURATION);
        self
    }

    /// Sets how many deliveries can wait or be handled, 1,000 by default, and the bytes of their payloads, 256 MiB by
    /// default: further deliveries are rejected (503).
    pub fn max_queued(mut self, deliveries: u32, bytes: u32) -> Self {
        (self.max_queued, self.max_queued_bytes) = (deliveries.max(1), bytes.max(1));
        self
    }

    /// Sets how many deliveries are handled at a time: 16 by default, at least 1.
    pub fn concurrency(mut self, deliveries: u32) -> Self {
        self.concurrency = deliveries.max(1);
        self
    }

    /// Sets the timeout of one handler attempt: a minute by default. An attempt that exceeds it is cancelled, and has
    /// failed. It has no effect with [`respond_after_handling`](Self::respond_after_handling).
    pub fn handler_timeout(mut self, time: Duration) -> Self {
        self.handler_timeout = time;
        self
    }

    /// Sets when the handler is called again after it failed: by default after about 5 s, 30 s, 2 min and 5 min, which
    /// makes five attempts over more than seven minutes.
    ///
    /// A delivery that waits for a retry occupies no slot of [`concurrency`](Self::concurrency), but one of
    /// [`max_retrying`](Self::max_retrying). If the receiver is [shut down](super::WebhookReceiver::shutdown) meanwhile, the
    /// delivery stays in the journal; without a journal, its attempts follow each other within a second.
    pub fn retry(mut self, schedule: RetrySchedule) -> Self {
        self.retry = schedule;
        self
    }

    /// Sets how many failed deliveries can wait for a retry, and the bytes of their payloads, in addition to those of
    /// [`max_queued`](Self::max_queued): 1,000 and 256 MiB by default. Further ones keep their slot in the queue, so that new
    /// deliveries are rejected (503) once both are full.
    pub fn max_retrying(mut self, deliveries: u32, bytes: u32) -> Self {
        self.max_retrying = (deliveries, bytes);
        self
    }

    /// Sets the maximum size of a body, in bytes: 25 MiB by default, since GitHub
    /// [caps](https://docs.github.com/en/webhooks/webhook-events-and-payloads) payloads at 25 MB.
    pub fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.body.max_body_bytes = bytes;
        self
    }

    /// Sets the total bytes of bodies that are being received, or are not verified yet: 64 MiB by default, and at least
    /// the maximum size of one body. Further requests are rejected (503).
    pub fn max_unverified_bytes(mut self, bytes: usize) -> Self {
        self.body.max_unverified_bytes = bytes;
        self
    }

    /// Starts the receiver. It calls the handler with each delivery; an error of any kind, or a panic, is a failed
    /// attempt, and [`PermanentFailure`](super::PermanentFailure) prevents further ones.
    ///
    /// # Errors
    /// Of the kind [`Configuration`](ErrorKind::Configuration): outside of a Tokio runtime, which handles all
    /// deliveries, whatever runtime they arrive on; with both [`respond_after_handling`](Self::respond_after_handling) and a journal, which would have
    /// no purpose then; and if a body of the maximum size would not fit the total.
    pub fn start<F, R, E>(self, handler: F) -> Result<WebhookReceiver>
    where
        F: Fn(Delivery) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        crate::meter::describe_metrics();
        let wrong = |message: &'static str| Err(Error::new(ErrorKind::Configuration, message));
        let Ok(runtime) = Handle::try_current() else {
            return wrong("a webhook receiver must be started in a Tokio runtime");
        };
        if self.mode == ResponseMode::Inline && self.journal.is_enabled() {
            return wrong("a webhook receiver that handles inline does not support a journal");
        }
        if self.body.max_body_bytes > self.body.max_unverified_bytes {
            return wrong(
                "max_unverified_bytes is less than max_body_bytes: set it to max_body_bytes or more",
            );
        }
        let secrets = match &self.scheme {
            SignatureScheme::GitHub(verifier) => verifier.secrets(),
            SignatureScheme::Envelope(scheme) => scheme.secrets(),
        };
        let once = self
            .deduplicator
            .unwrap_or_else(|| Deduplicator::new(crate::store::MemoryStore::new()));
        let how = HandlerConfig { timeout: self.handler_timeout, retry: self.retry };
        let receiver = WebhookReceiver(Arc::new(Shared {
            scheme: self.scheme,
            body_reader: self.body.into_reader(),
            journal: self.journal,
            handler: Handler::new(handler, how),
            mode: self.mode,
            response_timeout: self.response_timeout,
            runtime,
            capacity: Capacity::new(CapacityLimits {
                queue: (self.max_queued, self.max_queued_bytes),
                retries: self.max_retrying,
                running: self.concurrency,
            }),
            stats: StatsCounters::new(secrets),
            phase: watch::Sender::new(Lifecycle::Open),
            #[cfg(feature = "webhooks-journal")]
            replay_task: std::sync::Mutex::default(),
            deduplicator: once,
        }));
        #[cfg(feature = "webhooks-journal")]
        super::replay::start_replay(&receiver.0);
        Ok(receiver)
    }
}
