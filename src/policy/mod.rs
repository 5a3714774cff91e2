//! Policies of the request path: each one decides one thing, and none knows another, the client or the request.

pub mod auth;
pub mod cache;
pub(crate) mod circuit_breaker;
pub(crate) mod context;
pub(crate) mod poll;
pub mod rate_limit;
pub(crate) mod retry;
#[cfg(feature = "usage")]
pub mod usage;
#[cfg(not(feature = "usage"))]
#[path = "usage/noop.rs"]
pub(crate) mod usage;
