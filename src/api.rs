//! What `build.rs` generated from GitHub's document.

include!(concat!(env!("OUT_DIR"), "/api.rs"));

/// The events of webhooks.
#[cfg(feature = "webhooks-core")]
pub(crate) mod events {
    include!(concat!(env!("OUT_DIR"), "/events.rs"));
}
