//! How tokens are, for who looks after a client.

use chrono::{DateTime, Utc};
use serde::Serialize;

/// How a token is; it is never the token itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TokenHealth {
    /// Whose it is.
    pub identity: String,
    /// Whether there is one that can be used now, as far as is known: GitHub may have revoked it. There is none before
    /// the first call.
    pub is_good: bool,
    /// When it was minted or found.
    pub minted_at: Option<DateTime<Utc>>,
    /// When it ends, if it does.
    pub expires_at: Option<DateTime<Utc>>,
    /// How often minting the next one failed since there was one.
    pub failures: u32,
    /// Why it failed last.
    pub failure: Option<String>,
    /// In how many seconds a call may have another one minted after that; 0 if the next call does.
    pub next_attempt: Option<f64>,
    /// The age of the credential behind it, if it is known, in seconds.
    pub credential_age: Option<f64>,
}
