//! The code that `build.rs` generated from GitHub's OpenAPI description.

include!(concat!(env!("OUT_DIR"), "/api.rs"));

/// The webhook events.
#[cfg(feature = "webhooks-core")]
pub(crate) mod events {
    include!(concat!(env!("OUT_DIR"), "/events.rs"));
}
