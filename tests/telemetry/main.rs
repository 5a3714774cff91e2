//! Logs, spans and metrics of a client. The binary sets its subscriber and recorder once: those of
//! single tests would be asked, or not, by what tests beside them have.

#[path = "../support/gone.rs"]
mod gone;
mod metrics;
mod prometheus;
mod scenes;
mod spans;
