//! Hostile servers: a call ends promptly with the right result.

mod endless_lists;
mod error_bodies;
mod numbers;
mod redirect_loops;
mod stalled_runtimes;
mod truncation;
mod validators;
