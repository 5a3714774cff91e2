//! What a client tells of itself. A process of its own, whose subscriber and recorder are set once: those of
//! single tests would be asked, or not, by what tests beside them have.

#[path = "../support/gone.rs"]
mod gone;
mod metrics;
mod prometheus;
mod scenes;
mod spans;
