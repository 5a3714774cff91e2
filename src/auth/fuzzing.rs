//! Entry points for fuzzers.

pub(crate) use super::oauth::fuzzing::oauth_response;
#[cfg(feature = "token-store")]
pub(crate) use super::store::fuzzing::token_file;
