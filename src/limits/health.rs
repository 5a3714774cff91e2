//! How rate limits are, for who looks after a client.

use serde::Serialize;

/// How the rate limits of an identity are.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LimitsHealth {
    /// Whom GitHub limits.
    pub identity: String,
    /// Calls that are under way.
    pub running: u32,
    /// Calls that wait.
    pub waiting: usize,
    /// For how long all calls pause, in seconds, since a secondary limit was reached.
    pub paused: Option<f64>,
    /// The primary limits that answers told of.
    pub primary: Vec<PrimaryHealth>,
}

/// What is left of a primary limit.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PrimaryHealth {
    /// Its name, such as `core`.
    pub resource: String,
    /// The requests in its window.
    pub limit: u64,
    /// Those that are left.
    pub remaining: u64,
    /// When the window ends, in seconds from now; `None` if a new one has begun that nothing is known of.
    pub reset: Option<f64>,
}
