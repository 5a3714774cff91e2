//! The code that `build.rs` generated from GitHub's OpenAPI description.
//!
//! `crates/codegen/src/write/` writes it. `crates/codegen/tests/golden/api.rs` shows its form for a few operations.

pub(crate) mod default_resource;
pub(crate) mod id_or_name;
pub(crate) mod integers;
pub(crate) mod into_enum;
pub(crate) mod into_text;
pub(crate) mod into_values;
pub(crate) mod operation;
pub(crate) mod timestamps;

include!(concat!(env!("OUT_DIR"), "/api.rs"));

/// The webhook events.
#[cfg(feature = "webhooks")]
pub(crate) mod events {
    include!(concat!(env!("OUT_DIR"), "/events.rs"));
}
