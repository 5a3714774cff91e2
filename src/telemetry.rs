//! What a client tells of itself.

pub(crate) mod error_type;
#[cfg(feature = "metrics")]
mod keys;
#[cfg_attr(not(feature = "metrics"), path = "telemetry/no_meter.rs")]
pub(crate) mod meter;
pub(crate) mod spans;
#[cfg(feature = "metrics")]
mod table;

#[cfg(feature = "metrics")]
pub use {
    meter::describe_metrics,
    table::{BUCKETS, METRICS, Metric, MetricKind},
};
