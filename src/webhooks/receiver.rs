//! A service that takes GitHub's deliveries, answers at once, and has each handled once.

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

/// Receives deliveries: verifies them, answers GitHub, and has each handled once.
///
/// It is a [`tower_service::Service`] of requests, to be mounted in whatever server a program has, and
/// with the feature `webhooks-axum` a [router](Self::router) for axum. A request goes this way:
///
/// | | if not |
/// |---|---|
/// | it is a `POST` | 405 |
/// | its body comes whole within 9 s, and has at most 25 MiB | 408, 413 |
/// | it is signed with a known secret | 401 |
/// | it is JSON or a form, is not compressed, and has GitHub's headers | 415, 400 |
/// | its payload is valid JSON, whatever the event | 400 |
/// | there is room for it: 1,000 deliveries and 256 MiB | 503 |
/// | it was not handled before, by its [key](Delivery::key) | 200 |
/// | it is not being handled | 503 |
/// | it is on the disk, if there is a [journal](ReceiverBuilder::journal) | 503 |
/// | it waits for its turn: 202 | |
///
/// GitHub waits for
/// [10 s](https://docs.github.com/en/webhooks/using-webhooks/best-practices-for-using-webhooks#respond-within-10-seconds),
/// and is answered within 9, whatever hangs. It does not deliver again by itself what failed: a
/// [`Reconciler`](super::Reconciler) asks it to.
///
/// Then the handler is called, for 16 deliveries at a time, and tried again if it fails: five times in
/// all, after about 5 s, 30 s, 2 min and 5 min ([`RetrySchedule`]), beside the room for new deliveries
/// ([`retry_queue`](ReceiverBuilder::retry_queue)). For GitHub, what was acknowledged is done. So what
/// fails to the end, or is left when the program ends, is kept by a
/// [journal](ReceiverBuilder::journal) only; without one it is lost unless GitHub is asked by hand to
/// deliver it again, as which it is accepted.
///
/// There is no CORS: a browser is not told that it may send anything.
///
/// # What "once" means
///
/// Each delivery is handled by one process, and as soon as that has succeeded and is noted, never
/// again. It is handled a second time
///
/// - if the process ends after the handler and before that is noted, such as while the disk is full;
///   with a journal the delivery then says that it is [resumed](Delivery::is_resumed);
/// - if [`Once`]'s store forgets or fails: when a process stands still for longer than a claim lasts
///   in the middle of an attempt, when Redis loses its data, when
///   [memory](crate::store::Memory) is full or ends with the process. A journal remembers what its own
///   process has handled;
/// - if a recorded delivery is sent under another name: GitHub signs the body alone.
///   Deliveries should come by HTTPS.
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

/// What became of a delivery that was taken: [`Receiver::receive`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Receipt {
    /// It waits to be handled: 202.
    Accepted,
    /// It was handled: 200.
    Handled,
    /// It had been handled before, or is in the journal and will be: 200.
    Duplicate,
}

/// How deliveries are signed.
#[derive(Clone, Debug)]
enum Signed {
    ByGitHub(Verifier),
    ByGateway(EnvelopeScheme),
}

#[cfg(feature = "webhooks-journal")]
impl Signed {
    /// The one that has the secrets.
    fn verifier(&self) -> &Verifier {
        match self {
            Self::ByGitHub(verifier) => verifier,
            Self::ByGateway(scheme) => scheme.verifier(),
        }
    }
}

/// When the sender is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Once the delivery is accepted.
    Queued,
    /// Once it is handled.
    Inline,
}

struct Shared {
    signed: Signed,
    bodies: Bodies,
    once: Once,
    inbox: Inbox,
    handler: Handler,
    mode: Mode,
    /// How long a request may take.
    answered_within: Duration,
    /// Where deliveries are handled, whatever runtime they arrive on.
    runtime: Handle,
    rooms: Rooms,
    counts: Counts,
    phase: watch::Sender<Phase>,
    /// The task that takes up what is left in the journal.
    #[cfg(feature = "webhooks-journal")]
    taking_up: std::sync::Mutex<Option<tokio::task::JoinHandle<()>>>,
}

/// Whether deliveries are taken and handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// None is taken any more.
    Draining,
    /// None is handled any more.
    Ended,
}

/// How long it may take until what was ended is noted in the store and the journal.
const LETTING_GO: Duration = Duration::from_secs(2);

impl Receiver {
    /// Begins a receiver of what GitHub signs with one of these secrets.
    pub fn builder(verifier: Verifier) -> ReceiverBuilder {
        ReceiverBuilder::new(Signed::ByGitHub(verifier))
    }

    /// Begins a receiver of envelopes, which a gateway signs.
    pub fn envelopes(scheme: EnvelopeScheme) -> ReceiverBuilder {
        ReceiverBuilder::new(Signed::ByGateway(scheme))
    }

    /// Takes a delivery that came another way than by HTTP, such as through a queue.
    ///
    /// # Errors
    /// If there is no room, the store or the journal does not answer, or it is being handled already:
    /// it should be delivered again later.
    pub async fn receive(&self, delivery: Delivery) -> Result<Receipt, Refusal> {
        let by = Instant::now() + self.0.answered_within;
        intake::take(&self.0, delivery, by).await
    }

    /// What it has done so far, and has to do.
    #[must_use]
    pub fn stats(&self) -> ReceiverStats {
        self.0.counts.stats(&self.0.rooms)
    }

    /// Takes no more deliveries (503), and waits for so long until those that it has are handled. Then
    /// whatever goes on is ended, which may take 2 s more. Returns how many were left.
    ///
    /// With a journal these are handled after the next start, or by the next receiver of the same
    /// journal; without one they are lost, unless GitHub is asked by hand to deliver them again.
    pub async fn shutdown(&self, within: Duration) -> usize {
        self.0.phase.send_if_modified(|phase| {
            let open = *phase == Phase::Open;
            if open {
                *phase = Phase::Draining;
            }
            open
        });
        // A delivery that waits or is handled has a place.
        let _ = timeout(within, self.0.rooms.all_free()).await;
        let left = self.0.rooms.unhandled();
        self.0.phase.send_replace(Phase::Ended);
        // What is ended lets go of its claims, and is left in the journal.
        let _ = timeout(LETTING_GO, async {
            self.0.rooms.all_free().await;
            // The disk may have room by now. If it has none, the next process handles them once more.
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
