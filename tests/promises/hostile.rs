//! Servers that attack their clients: a call ends, promptly, with what is so.

mod endless_lists;
mod error_bodies;
mod numbers;
mod redirect_circles;
mod stalled_runtimes;
mod truncation;
mod validators;
