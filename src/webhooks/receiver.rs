//! A service that takes GitHub's deliveries, answers at once, and has each handled once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

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
mod service;
mod work;

pub use builder::ReceiverBuilder;
pub use counts::ReceiverStats;
pub use handler::GiveUp;
pub(super) use service::{BodyLimits, BoxError, read_body};

use counts::Counts;
use handler::Handler;
use inbox::Inbox;
use intake::Rooms;

/// Receives deliveries: verifies them, answers GitHub, and has each handled once.
///
/// It is a [`tower_service::Service`] of requests, to be mounted in whatever server a program has, and
/// with the feature `webhooks-axum` a [router](Self::router) for axum. A request goes this way:
///
/// | | if not |
/// |---|---|
/// | it is a `POST` | 405 |
/// | its body comes whole within 10 s, and has at most 25 MiB | 408, 413 |
/// | it is signed with a known secret | 401 |
/// | it is JSON or a form, and has GitHub's headers | 415, 400 |
/// | there is room for it: 1,000 deliveries and 256 MiB | 503 |
/// | nobody has handled it, by its name (`X-GitHub-Delivery`) | 200 |
/// | nobody is handling it | 503 |
/// | it is on the disk, if there is a [journal](ReceiverBuilder::journal) | 503 |
/// | it waits for its turn: 202 | |
///
/// Then the handler is called, for 16 deliveries at a time, and tried again if it fails: up to five
/// times within ten minutes, with growing random pauses. What fails to the end may be delivered
/// again. GitHub waits for
/// [10 s](https://docs.github.com/en/webhooks/using-webhooks/best-practices-for-using-webhooks#respond-within-10-seconds)
/// and does not deliver again by itself: a [`Reconciler`](super::Reconciler) asks it to.
///
/// There is no CORS: a browser is not told that it may send anything.
///
/// What "once" means: who has a store or a journal that outlives the process handles a delivery
/// twice only if the process ends between handling it and noting that, and then the delivery
/// says that it is [resumed](Delivery::is_resumed).
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
    /// It had been handled before: 200.
    Duplicate,
}

/// How deliveries are signed.
#[derive(Clone, Debug)]
enum Signed {
    ByGitHub(Verifier),
    ByGateway(EnvelopeScheme),
}

/// When the sender is answered.
#[derive(Clone, Copy, Debug)]
enum Mode {
    /// Once the delivery is accepted.
    Queued,
    /// Once it is handled, which may take so long.
    Inline(Duration),
}

struct Shared {
    signed: Signed,
    body: BodyLimits,
    once: Once,
    inbox: Inbox,
    handler: Handler,
    mode: Mode,
    rooms: Rooms,
    counts: Counts,
    phase: watch::Sender<Phase>,
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
        let result = intake::take(&self.0, delivery).await;
        self.0.counts.answered(&result);
        result
    }

    /// What it has done so far, and has to do.
    #[must_use]
    pub fn stats(&self) -> ReceiverStats {
        self.0.counts.stats(&self.0.rooms)
    }

    /// Takes no more deliveries (503), and waits for so long until those that it has are handled. Then
    /// whatever goes on is ended. Returns how many were left.
    ///
    /// With a journal these are handled after the next start; without one they are lost, unless they
    /// are [delivered again](super::Reconciler).
    pub async fn shutdown(&self, within: Duration) -> usize {
        self.0.phase.send_if_modified(|phase| {
            let open = *phase == Phase::Open;
            if open {
                *phase = Phase::Draining;
            }
            open
        });
        // Whoever is handled or waits has a place.
        let _ = timeout(within, self.0.rooms.all_free()).await;
        self.0.phase.send_replace(Phase::Ended);
        self.0.rooms.taken()
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
