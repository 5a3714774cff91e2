//! A service that receives GitHub's deliveries, responds at once, and has each handled once.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::body::Bodies;
use super::delivery::Delivery;
use super::refusal::Refusal;
use super::verify::Verifier;
use super::{EnvelopeScheme, Once};

mod builder;
mod counts;
mod handler;
#[cfg(feature = "webhooks-journal")]
mod inbox;
#[cfg(not(feature = "webhooks-journal"))]
#[path = "receiver/no_inbox.rs"]
mod inbox;
mod intake;
#[cfg(feature = "webhooks-journal")]
mod record;
#[cfg(feature = "webhooks-journal")]
mod resume;
mod rooms;
mod schedule;
#[cfg(feature = "webhooks-axum")]
mod serve;
mod service;
mod work;

pub use builder::ReceiverBuilder;
use counts::Counts;
pub use counts::ReceiverStats;
pub use handler::GiveUp;
use handler::Handler;
use inbox::Inbox;
#[cfg(all(feature = "webhooks-journal", any(test, feature = "__fuzz")))]
pub(super) use record::{fuzz_content, fuzz_record};
use rooms::Rooms;
pub use schedule::RetrySchedule;

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
/// | it is written to the disk, if there is a [journal](ReceiverBuilder::journal) | 503 |
/// | it waits to be handled: 202 | |
///
/// GitHub waits for [10
/// s](https://docs.github.com/en/webhooks/using-webhooks/best-practices-for-using-webhooks#respond-within-10-seconds),
/// and the service responds within 9 s in every case. GitHub does not redeliver failed deliveries by itself: a
/// [`Reconciler`](super::Reconciler) requests it.
///
/// Then the service calls the handler, for up to 16 deliveries at a time, and retries after a failure: five attempts in
/// total, after about 5 s, 30 s, 2 min and 5 min ([`RetrySchedule`]), in addition to the capacity for new deliveries
/// ([`retry_queue`](ReceiverBuilder::retry_queue)). GitHub does not repeat an acknowledged delivery. So only a
/// [journal](ReceiverBuilder::journal) keeps deliveries that fail finally, or are unhandled when the program ends.
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
///   delivery is then marked as [resumed](Delivery::is_resumed);
/// - if [`Once`]'s store loses data or fails: when a process stalls for longer than the TTL of a claim during an
///   attempt, when Redis loses its data, when [memory](crate::store::Memory) is full or ends with the process. A
///   journal remembers the deliveries that its own process has handled;
/// - if a recorded delivery is sent with another id: GitHub signs the body alone. Deliveries should use HTTPS.
///
/// ```no_run
/// use octowire::webhooks::{Delivery, Receiver, Verifier};
///
/// # fn example() -> octowire::Result<()> {
/// let receiver = Receiver::builder(Verifier::from_env("WEBHOOK_SECRET")?)
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
pub struct Receiver(Arc<Shared>);

/// The outcome of an accepted delivery: [`Receiver::receive`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Receipt {
    /// The delivery waits to be handled: 202.
    Accepted,
    /// The delivery was handled: 200.
    Handled,
    /// The delivery had been handled before, or is in the journal and will be handled: 200.
    Duplicate,
}

/// The signature format of deliveries.
#[derive(Clone, Debug)]
enum Signed {
    ByGitHub(Verifier),
    ByGateway(EnvelopeScheme),
}

#[cfg(feature = "webhooks-journal")]
impl Signed {
    /// Returns the verifier with the secrets.
    fn verifier(&self) -> &Verifier {
        match self {
            Self::ByGitHub(verifier) => verifier,
            Self::ByGateway(scheme) => scheme.verifier(),
        }
    }
}

/// When the service responds to the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// The service responds once the delivery is accepted.
    Queued,
    /// The service responds once the delivery is handled.
    Inline,
}

struct Shared {
    signed: Signed,
    bodies: Bodies,
    once: Once,
    inbox: Inbox,
    handler: Handler,
    mode: Mode,
    /// The longest time for a request.
    answered_within: Duration,
    /// The runtime that handles deliveries, whatever runtime they arrive on.
    runtime: Handle,
    rooms: Rooms,
    counts: Counts,
    phase: watch::Sender<Phase>,
    /// The task that replays the journal.
    #[cfg(feature = "webhooks-journal")]
    taking_up: std::sync::Mutex<Option<tokio::task::JoinHandle<()>>>,
}

/// Whether deliveries are accepted and handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// No delivery is accepted any longer.
    Draining,
    /// No delivery is handled any longer.
    Ended,
}

/// The longest time to record cancelled deliveries in the store and the journal.
const LETTING_GO: Duration = Duration::from_secs(2);

impl Receiver {
    /// Returns a builder of a receiver for deliveries that GitHub signs with one of these secrets.
    pub fn builder(verifier: Verifier) -> ReceiverBuilder {
        ReceiverBuilder::new(Signed::ByGitHub(verifier))
    }

    /// Returns a builder of a receiver for envelopes, which a gateway signs.
    pub fn envelopes(scheme: EnvelopeScheme) -> ReceiverBuilder {
        ReceiverBuilder::new(Signed::ByGateway(scheme))
    }

    /// Accepts a delivery that did not arrive by HTTP, such as from a queue.
    ///
    /// # Errors
    /// If there is no capacity, the store or the journal is unavailable, or the delivery is already being handled: it
    /// should be delivered again later.
    pub async fn receive(&self, delivery: Delivery) -> Result<Receipt, Refusal> {
        let by = Instant::now() + self.0.answered_within;
        intake::take(&self.0, delivery, by).await
    }

    /// Returns the counts so far, and the current queue.
    #[must_use]
    pub fn stats(&self) -> ReceiverStats {
        self.0.counts.stats(&self.0.rooms)
    }

    /// Rejects further deliveries (503), and waits for at most this time until the accepted ones are handled. Then it
    /// cancels the remaining work, which can take 2 s more. Returns the number of unhandled deliveries.
    ///
    /// With a journal these are handled after the next start, or by the next receiver of the same journal; without one
    /// they are lost, unless a user requests redeliveries.
    pub async fn shutdown(&self, within: Duration) -> usize {
        self.0.phase.send_if_modified(|phase| {
            let open = *phase == Phase::Open;
            if open {
                *phase = Phase::Draining;
            }
            open
        });
        // A delivery that waits or is handled occupies a slot.
        let _ = timeout(within, self.0.rooms.all_free()).await;
        let left = self.0.rooms.unhandled();
        self.0.phase.send_replace(Phase::Ended);
        // Cancelled work releases its claims, and stays in the journal.
        let _ = timeout(LETTING_GO, async {
            self.0.rooms.all_free().await;
            // The disk might have space by now. If it has none, the next process handles them once more.
            if let Err(error) = self.0.inbox.flush().await {
                warn!(%error, "handled deliveries not recorded; they are handled again after the next start");
            }
            #[cfg(feature = "webhooks-journal")]
            resume::ended(&self.0).await;
        })
        .await;
        left
    }
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver")
            .field("signed", &self.0.signed)
            .field("once", &self.0.once)
            .field("mode", &self.0.mode)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
