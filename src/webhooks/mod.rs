//! Webhooks: verified, typed and deduplicated deliveries from GitHub.
//!
//! | | feature |
//! |---|---|
//! | [`Verifier`], [`VerifyLayer`]: check the signature of a delivery | `webhooks` |
//! | [`Event`]: the typed payload | `webhook-issues`, `webhook-push`, …; `webhooks` is all |
//! | [`WebhookReceiver`]: a service that responds at once, and has each delivery handled once | `webhooks`; a server, and a router and an extractor for axum: `webhooks-axum` |
//! | `DeliveryJournal`: no accepted delivery is lost | `webhooks-journal` |
//! | `Reconciler`: requests redelivery of failed deliveries | one of `apps`, `repos`, `orgs` |
//! | [`OutgoingDelivery`]: sends deliveries, for tests and gateways | `webhooks` |
//!
//! GitHub [signs](https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries) each delivery with
//! the secret of the webhook. A [`Verifier`] contains the secret, or several during a rotation, and checks whether a
//! delivery is GitHub's.
//!
//! ```
//! use octowire::webhooks::{Verifier, sign};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let verifier = Verifier::new("It's a Secret to Everybody")?;
//! let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
//! assert_eq!(sign("It's a Secret to Everybody", b"Hello, World!")?, signature);
//! verifier.verify_signature(signature, b"Hello, World!")?;
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "webhooks-axum")]
mod axum;
mod body;
mod deduplicator;
mod delivery;
mod envelope;
pub(crate) mod event;
#[cfg(any(test, feature = "__fuzz"))]
pub(crate) mod fuzzing;
#[cfg(feature = "webhooks-journal")]
mod journal;
mod layer;
mod outgoing;
mod payload;
mod receiver;
#[cfg(any(feature = "apps", feature = "repos", feature = "orgs"))]
mod reconciler;
mod rejection;
mod verify;

pub use deduplicator::{Claim, ClaimOutcome, Deduplicator};
pub use delivery::Delivery;
pub use envelope::{Envelope, EnvelopeError, EnvelopeScheme};
pub use event::*;
#[cfg(feature = "webhooks-journal")]
#[cfg_attr(docsrs, doc(cfg(feature = "webhooks-journal")))]
pub use journal::{DeliveryJournal, DeliveryJournalBuilder, FailedDelivery};
pub use layer::{Verify, VerifyLayer};
pub use outgoing::OutgoingDelivery;
pub use receiver::{
    PermanentFailure, ReceiveOutcome, ReceiverStats, RetrySchedule, WebhookReceiver,
    WebhookReceiverBuilder,
};
#[cfg(any(feature = "apps", feature = "repos", feature = "orgs"))]
#[cfg_attr(docsrs, doc(cfg(any(feature = "apps", feature = "repos", feature = "orgs"))))]
pub use reconciler::{Reconciler, ReconciliationReport};
pub use rejection::RejectionReason;
pub use verify::{SignatureError, Verified, Verifier, sign};
