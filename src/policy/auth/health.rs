//! The state of a client's tokens, for monitoring.

use chrono::{DateTime, Utc};
use serde::Serialize;

/// The state of a token; it never contains the token itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TokenHealth {
    /// The identity of the token.
    pub identity: String,
    /// Whether the client has a usable token, as far as it knows: GitHub might have revoked it. `false` before the
    /// first call.
    pub is_valid: bool,
    /// When the token was issued or read.
    pub issued_at: Option<DateTime<Utc>>,
    /// When the token expires; `None` if it does not.
    pub expires_at: Option<DateTime<Utc>>,
    /// The number of failed refreshes since the last token.
    pub failures: u32,
    /// The last failure's reason.
    pub failure: Option<String>,
    /// The seconds until the next call can start another refresh after a failure; 0 if it can start at once.
    pub retry_in_secs: Option<f64>,
    /// The age in seconds of the credential with which tokens are requested, if known.
    pub credential_age_secs: Option<f64>,
}
