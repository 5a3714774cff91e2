//! Webhooks: what GitHub delivers, verified.
//!
//! GitHub [signs](https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries) each
//! delivery with the secret that was set for the webhook. A [`Verifier`] holds the secret, or several
//! while one replaces another, and says whether a delivery is GitHub's.
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

mod envelope;
pub(crate) mod event;
mod once;
mod verify;

pub use envelope::{Envelope, EnvelopeError, EnvelopeScheme};
pub use event::*;
pub use once::{Claim, Once};
pub use verify::{SignatureError, Verified, Verifier, sign};
