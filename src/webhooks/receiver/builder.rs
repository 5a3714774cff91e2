//! The settings of a receiver.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::counts::Counts;
use super::handler::{Handler, Handling};
use super::inbox::Inbox;
use super::rooms::{Bounds, Rooms};
use super::{Mode, Phase, Receiver, RetrySchedule, Shared, Signed};
use crate::error::{Error, ErrorKind, Result};
#[cfg(feature = "webhooks-journal")]
use crate::webhooks::Journal;
use crate::webhooks::body::{BodyLimits, WITHIN};
use crate::webhooks::{Delivery, Once};

/// The settings of a [`Receiver`]: [`Receiver::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder receives nothing before it is started"]
pub struct ReceiverBuilder {
    signed: Signed,
    body: BodyLimits,
    once: Option<Once>,
    inbox: Inbox,
    mode: Mode,
    answered_within: Duration,
    queue: u32,
    queue_bytes: u32,
    retry_queue: (u32, u32),
    concurrency: u32,
    handled_within: Duration,
    retry: RetrySchedule,
}

/// Longer durations are practically infinite, and could not be added to the current time.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl ReceiverBuilder {
    pub(super) fn new(signed: Signed) -> Self {
        Self {
            signed,
            body: BodyLimits::default(),
            once: None,
            inbox: Inbox::none(),
            mode: Mode::Queued,
            answered_within: WITHIN,
            queue: 1_000,
            queue_bytes: 256 * 1024 * 1024,
            retry_queue: (1_000, 256 * 1024 * 1024),
            concurrency: 16,
            handled_within: Duration::from_secs(60),
            retry: RetrySchedule::default(),
        }
    }

    /// Sets the deduplicator, which records handled deliveries: by default in memory, 64 MiB, which are about 280,000
    /// deliveries and end with the process. With a [store](crate::store) that a fleet shares, one process of the fleet
    /// handles a delivery.
    pub fn once(mut self, once: Once) -> Self {
        self.once = Some(once);
        self
    }

    /// Keeps deliveries on the disk from before they are acknowledged until they are handled, and replays the unhandled
    /// deliveries of an earlier process at the start. None by default.
    #[cfg(feature = "webhooks-journal")]
    #[cfg_attr(docsrs, doc(cfg(feature = "webhooks-journal")))]
    pub fn journal(mut self, journal: Journal) -> Self {
        self.inbox = Inbox::new(journal, &self.signed);
        self
    }

    /// Responds once the delivery is handled (200) or has failed (500), rather than once it is accepted (202). The
    /// handler has one attempt then, and the rest of [`answered_within`](Self::answered_within); a delivery that cannot
    /// start in that time is rejected (503).
    pub fn inline(mut self) -> Self {
        self.mode = Mode::Inline;
        self
    }

    /// Sets the longest time until the response to a request, its body included: 9 s by default, since GitHub waits for
    /// 10 (GitHub Enterprise Server for 30). If the outcome is not known by then, the request is rejected (503), but
    /// the delivery might have been accepted: a redelivery is then recognized.
    pub fn answered_within(mut self, time: Duration) -> Self {
        self.answered_within = time.min(LONGEST);
        self
    }

    /// Sets how many deliveries can wait or be handled, 1,000 by default, and the bytes of their payloads, 256 MiB by
    /// default: further deliveries are rejected (503).
    pub fn queue(mut self, deliveries: u32, bytes: u32) -> Self {
        (self.queue, self.queue_bytes) = (deliveries.max(1), bytes.max(1));
        self
    }

    /// Sets how many deliveries are handled at a time: 16 by default, at least 1.
    pub fn concurrency(mut self, deliveries: u32) -> Self {
        self.concurrency = deliveries.max(1);
        self
    }

    /// Sets the timeout of one handler attempt: a minute by default. An attempt that exceeds it is cancelled, and has
    /// failed. It has no effect with [`inline`](Self::inline).
    pub fn handled_within(mut self, time: Duration) -> Self {
        self.handled_within = time;
        self
    }

    /// Sets when the handler is called again after it failed: by default after about 5 s, 30 s, 2 min and 5 min, which
    /// makes five attempts over more than seven minutes.
    ///
    /// A delivery that waits for a retry occupies no slot of [`concurrency`](Self::concurrency), but one of
    /// [`retry_queue`](Self::retry_queue). If the receiver is [shut down](super::Receiver::shutdown) meanwhile, the
    /// delivery stays in the journal; without a journal, its attempts follow each other within a second.
    pub fn retry(mut self, schedule: RetrySchedule) -> Self {
        self.retry = schedule;
        self
    }

    /// Sets how many failed deliveries can wait for a retry, and the bytes of their payloads, in addition to those of
    /// [`queue`](Self::queue): 1,000 and 256 MiB by default. Further ones keep their slot in the queue, so that new
    /// deliveries are rejected (503) once both are full.
    pub fn retry_queue(mut self, deliveries: u32, bytes: u32) -> Self {
        self.retry_queue = (deliveries, bytes);
        self
    }

    /// Sets the maximum size of a body, in bytes: 25 MiB by default, since GitHub
    /// [caps](https://docs.github.com/en/webhooks/webhook-events-and-payloads) payloads at 25 MB.
    pub fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.body.most = bytes;
        self
    }

    /// Sets the total bytes of bodies that are being received, or are not verified yet: 64 MiB by default, and at least
    /// the maximum size of one body. Further requests are rejected (503).
    pub fn unverified_bytes(mut self, bytes: usize) -> Self {
        self.body.held = bytes;
        self
    }

    /// Starts the receiver. It calls the handler with each delivery; an error of any kind, or a panic, is a failed
    /// attempt, and [`GiveUp`](super::GiveUp) prevents further ones.
    ///
    /// # Errors
    /// Of the kind [`Configuration`](ErrorKind::Configuration): outside of a Tokio runtime, which handles all
    /// deliveries, whatever runtime they arrive on; with both [`inline`](Self::inline) and a journal, which would have
    /// no purpose then; and if a body of the maximum size would not fit the total.
    pub fn start<F, R, E>(self, handler: F) -> Result<Receiver>
    where
        F: Fn(Delivery) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        crate::telemetry::meter::describe_metrics();
        let wrong = |message: &'static str| Err(Error::new(ErrorKind::Configuration, message));
        let Ok(runtime) = Handle::try_current() else {
            return wrong("a webhook receiver must be started in a Tokio runtime");
        };
        if self.mode == Mode::Inline && self.inbox.is_there() {
            return wrong("a webhook receiver that handles inline does not support a journal");
        }
        if self.body.most > self.body.held {
            return wrong(
                "unverified_bytes is less than max_body_bytes: set it to max_body_bytes or more",
            );
        }
        let secrets = match &self.signed {
            Signed::ByGitHub(verifier) => verifier.secrets(),
            Signed::ByGateway(scheme) => scheme.secrets(),
        };
        let once = self.once.unwrap_or_else(|| Once::new(crate::store::Memory::new()));
        let how = Handling { within: self.handled_within, retry: self.retry };
        let receiver = Receiver(Arc::new(Shared {
            signed: self.signed,
            bodies: self.body.bodies(),
            inbox: self.inbox,
            handler: Handler::new(handler, how),
            mode: self.mode,
            answered_within: self.answered_within,
            runtime,
            rooms: Rooms::new(Bounds {
                queue: (self.queue, self.queue_bytes),
                retries: self.retry_queue,
                running: self.concurrency,
            }),
            counts: Counts::new(secrets),
            phase: watch::Sender::new(Phase::Open),
            #[cfg(feature = "webhooks-journal")]
            taking_up: std::sync::Mutex::default(),
            once,
        }));
        #[cfg(feature = "webhooks-journal")]
        super::resume::resume(&receiver.0);
        Ok(receiver)
    }
}
