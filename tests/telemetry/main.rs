//! Logs, spans and metrics of a client. The binary sets its subscriber and recorder once: those of
//! single tests would be asked, or not, by what tests beside them have.

mod metrics;
mod prometheus;
mod scenarios;
mod spans;
#[path = "../support/unresponsive_store.rs"]
mod unresponsive_store;
