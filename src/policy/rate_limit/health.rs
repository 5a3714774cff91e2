//! The state of rate limits, for monitoring.

use serde::Serialize;

/// The state of the rate limits of one identity.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RateLimitHealth {
    /// The identity that GitHub limits.
    pub identity: String,
    /// Calls in flight.
    pub in_flight: u32,
    /// Queued calls.
    pub queued: usize,
    /// How long all calls still pause after a secondary limit was reached, in seconds.
    pub paused_for_secs: Option<f64>,
    /// The primary limits that responses reported.
    pub primary: Vec<PrimaryLimitHealth>,
}

/// The state of a primary limit.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PrimaryLimitHealth {
    /// Its name, such as `core`.
    pub resource: String,
    /// The requests in its window.
    pub limit: u64,
    /// The requests that remain in the window.
    pub remaining: u64,
    /// When the window ends, in seconds from now; `None` if a new window has begun whose end is unknown.
    pub reset: Option<f64>,
}
