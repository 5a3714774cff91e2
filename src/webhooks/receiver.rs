//! The webhook receiver: it receives GitHub's deliveries, responds at once, and has each handled once.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::body::BodyReader;
use super::delivery::Delivery;
use super::rejection::RejectionReason;
use super::verify::Verifier;
use super::{Deduplicator, EnvelopeScheme};

mod accept;
mod builder;
mod capacity;
mod handle;
mod handler;
#[cfg_attr(not(feature = "webhooks-journal"), path = "receiver/journal_slot_disabled.rs")]
mod journal_slot;
#[cfg(feature = "webhooks-journal")]
mod record;
#[cfg(feature = "webhooks-journal")]
mod replay;
mod schedule;
#[cfg(feature = "webhooks-axum")]
mod serve;
mod service;
mod stats;

pub use builder::WebhookReceiverBuilder;
use capacity::Capacity;
use handler::Handler;
pub use handler::PermanentFailure;
use journal_slot::OptionalJournal;
#[cfg(all(feature = "webhooks-journal", any(test, feature = "__fuzz")))]
pub(super) use record::{fuzz_content, fuzz_record};
pub use schedule::RetrySchedule;
pub use stats::ReceiverStats;
use stats::StatsCounters;

/// Webhook service: verifies deliveries, responds to GitHub, and has each delivery handled once.
///
/// It is a [`tower_service::Service`] of HTTP requests, to be mounted in any server, and with the feature
/// `webhooks-axum` a [router](Self::router) for axum. Each request is checked in this order:
///
/// | check | otherwise |
/// |---|---|
/// | the method is `POST` | 405 |
/// | the whole body arrives within 9 s, and has at most 25 MiB | 408, 413 |
/// | it is signed with a known secret | 401 |
/// | it is JSON or a form, is not compressed, and has GitHub's headers | 415, 400 |
/// | its payload is valid JSON, whatever the event | 400 |
/// | there is capacity: 1,000 deliveries and 256 MiB | 503 |
/// | it was not handled before, by its [key](Delivery::key) | 200 |
/// | it is not being handled now | 503 |
/// | it is written to the disk, if there is a [journal](WebhookReceiverBuilder::journal) | 503 |
/// | it waits to be handled: 202 | |
///
/// GitHub waits for [10
/// s](https://docs.github.com/en/webhooks/using-webhooks/best-practices-for-using-webhooks#respond-within-10-seconds),
/// and the service responds within 9 s in every case. GitHub does not redeliver failed deliveries by itself: a
/// [`Reconciler`](super::Reconciler) requests it.
///
/// Then the service calls the handler, for up to 16 deliveries at a time, and retries after a failure: five attempts in
/// total, after about 5 s, 30 s, 2 min and 5 min ([`RetrySchedule`]), in addition to the capacity for new deliveries
/// ([`max_retrying`](WebhookReceiverBuilder::max_retrying)). GitHub does not repeat an acknowledged delivery. So only a
/// [journal](WebhookReceiverBuilder::journal) keeps deliveries that fail finally, or are unhandled when the program ends.
/// Without one they are lost, unless a user requests a redelivery, which is accepted.
///
/// There is no CORS: browsers receive no permission to send requests.
///
/// # Delivery guarantees
///
/// One process handles each delivery, and once that has succeeded and is recorded, it is never handled again. It is
/// handled a second time
///
/// - if the process ends after the handler and before the record, such as while the disk is full; with a journal the
///   delivery is then marked as [replayed](Delivery::is_replayed);
/// - if [`Deduplicator`]'s store loses data or fails: when a process stalls for longer than the TTL of a claim during an
///   attempt, when Redis loses its data, when [memory](crate::store::MemoryStore) is full or ends with the process. A
///   journal remembers the deliveries that its own process has handled;
/// - if a recorded delivery is sent with another id: GitHub signs the body alone. Deliveries should use HTTPS.
///
/// ```no_run
/// use octowire::webhooks::{Delivery, WebhookReceiver, Verifier};
///
/// # fn example() -> octowire::Result<()> {
/// let receiver = WebhookReceiver::builder(Verifier::from_env("WEBHOOK_SECRET")?)
///     .start(|delivery: Delivery| async move {
///         let event = delivery.event()?;
///         println!("{} {:?} in {:?}", event.name(), event.action(), event.repository());
///         Ok::<_, octowire::Error>(())
///     })?;
/// # let _ = receiver;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct WebhookReceiver(Arc<Shared>);

/// The outcome of an accepted delivery: [`WebhookReceiver::receive`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReceiveOutcome {
    /// The delivery waits to be handled: 202.
    Accepted,
    /// The delivery was handled: 200.
    Handled,
    /// The delivery had been handled before, or is in the journal and will be handled: 200.
    Duplicate,
}

/// The signature format of deliveries.
#[derive(Clone, Debug)]
enum SignatureScheme {
    GitHub(Verifier),
    Envelope(EnvelopeScheme),
}

#[cfg(feature = "webhooks-journal")]
impl SignatureScheme {
    /// Returns the verifier with the secrets.
    fn verifier(&self) -> &Verifier {
        match self {
            Self::GitHub(verifier) => verifier,
            Self::Envelope(scheme) => scheme.verifier(),
        }
    }
}

/// When the receiver responds to the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ResponseMode {
    /// The service responds once the delivery is accepted.
    Queued,
    /// The service responds once the delivery is handled.
    Inline,
}

struct Shared {
    scheme: SignatureScheme,
    body_reader: BodyReader,
    deduplicator: Deduplicator,
    journal: OptionalJournal,
    handler: Handler,
    mode: ResponseMode,
    /// The longest time for a request.
    response_timeout: Duration,
    /// The runtime that handles deliveries, whatever runtime they arrive on.
    runtime: Handle,
    capacity: Capacity,
    stats: StatsCounters,
    phase: watch::Sender<Lifecycle>,
    /// The task that replays the journal.
    #[cfg(feature = "webhooks-journal")]
    replay_task: std::sync::Mutex<Option<tokio::task::JoinHandle<()>>>,
}

/// Whether deliveries are accepted and handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lifecycle {
    Open,
    /// No delivery is accepted any longer.
    Draining,
    /// No delivery is handled any longer.
    Ended,
}

impl Shared {
    /// Returns whether no delivery is handled any longer.
    fn has_ended(&self) -> bool {
        *self.phase.borrow() == Lifecycle::Ended
    }
}

/// The longest time to record cancelled deliveries in the store and the journal.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

impl WebhookReceiver {
    /// Returns a builder of a receiver for deliveries that GitHub signs with one of these secrets.
    pub fn builder(verifier: Verifier) -> WebhookReceiverBuilder {
        WebhookReceiverBuilder::new(SignatureScheme::GitHub(verifier))
    }

    /// Returns a builder of a receiver for envelopes, which a gateway signs.
    pub fn for_envelopes(scheme: EnvelopeScheme) -> WebhookReceiverBuilder {
        WebhookReceiverBuilder::new(SignatureScheme::Envelope(scheme))
    }

    /// Accepts a delivery that did not arrive by HTTP, such as from a queue.
    ///
    /// # Errors
    /// If there is no capacity, the store or the journal is unavailable, or the delivery is already being handled: it
    /// should be delivered again later.
    pub async fn receive(&self, delivery: Delivery) -> Result<ReceiveOutcome, RejectionReason> {
        let by = Instant::now() + self.0.response_timeout;
        accept::accept(&self.0, delivery, by).await
    }

    /// Returns the counts so far, and the current queue.
    #[must_use]
    pub fn stats(&self) -> ReceiverStats {
        self.0.stats.stats(&self.0.capacity)
    }

    /// Rejects further deliveries (503), and waits for at most this time until the accepted ones are handled. Then it
    /// cancels the remaining work, which can take 2 s more. Returns the number of unhandled deliveries.
    ///
    /// With a journal these are handled after the next start, or by the next receiver of the same journal; without one
    /// they are lost, unless a user requests redeliveries.
    pub async fn shutdown(&self, within: Duration) -> usize {
        self.0.phase.send_if_modified(|phase| {
            let open = *phase == Lifecycle::Open;
            if open {
                *phase = Lifecycle::Draining;
            }
            open
        });
        // A delivery that waits or is handled occupies a slot.
        let _ = timeout(within, self.0.capacity.drained()).await;
        let left = self.0.capacity.unhandled();
        self.0.phase.send_replace(Lifecycle::Ended);
        // Cancelled work releases its claims, and stays in the journal.
        let _ = timeout(SHUTDOWN_GRACE, async {
            self.0.capacity.drained().await;
            // The disk might have space by now. If it has none, the next process handles them once more.
            if let Err(error) = self.0.journal.flush().await {
                warn!(%error, "handled deliveries not recorded; they are handled again after the next start");
            }
            #[cfg(feature = "webhooks-journal")]
            replay::until_replay_ended(&self.0).await;
        })
        .await;
        left
    }
}

impl std::fmt::Debug for WebhookReceiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookReceiver")
            .field("scheme", &self.0.scheme)
            .field("deduplicator", &self.0.deduplicator)
            .field("mode", &self.0.mode)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
