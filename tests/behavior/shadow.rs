//! A migration does not affect the serving side, compares results, and rolls back after mismatches.

#[path = "shadow/clients.rs"]
mod clients;
#[path = "shadow/comparing.rs"]
mod comparing;
#[path = "shadow/reporting.rs"]
mod reporting;
#[path = "shadow/shifting.rs"]
mod shifting;
#[path = "shadow/stepping_back.rs"]
mod stepping_back;
#[path = "shadow/untouched.rs"]
mod untouched;
#[path = "shadow/writes.rs"]
mod writes;
