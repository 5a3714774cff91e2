//! Entry points for fuzzers.
#![allow(clippy::expect_used, clippy::panic, reason = "a fuzz target fails by a panic")]

pub(crate) use super::oauth::fuzzing::oauth_response;
#[cfg(feature = "encrypted-token-store")]
pub(crate) use super::token_store::fuzzing::token_file;
