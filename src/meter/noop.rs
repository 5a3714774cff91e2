//! The empty replacement of [`meter`](super) without the feature `metrics`, at no cost.

use std::time::Duration;

use crate::headers::rate_limit::RateLimitHeaders;

pub(crate) struct InFlight;

impl InFlight {
    pub(crate) fn call() -> Self {
        Self
    }

    pub(crate) fn waiting() -> Self {
        Self
    }

    #[cfg(feature = "webhooks")]
    pub(crate) fn delivery() -> Self {
        Self
    }
}

#[cfg(feature = "webhooks")]
pub(crate) fn describe_metrics() {}
pub(crate) fn client_built<'a>(_: impl Iterator<Item = (&'a str, f64)>) {}
pub(crate) fn call(_: &'static str, _: Duration, _: Option<&'static str>) {}
pub(crate) fn undecodable_items(_: &'static str, _: usize) {}
pub(crate) fn cache_looked_up(_: &'static str, _: bool) {}
pub(crate) fn attempt(_: &http::Method, _: Duration, _: &'static str) {}
pub(crate) fn retry(_: &'static str) {}
pub(crate) fn wait_recorded(_: &'static str, _: Duration) {}
pub(crate) fn rate_limit_observed(_: &'static str, _: &RateLimitHeaders<'_>) {}
pub(crate) fn rate_limited(_: bool, _: Option<&str>) {}
pub(crate) fn identity(_: &str) -> &'static str {
    ""
}
pub(crate) fn token(_: &'static str) {}
pub(crate) fn circuit(_: &str, _: f64) {}
#[cfg(feature = "usage")]
pub(crate) fn budget_name(_: &str) -> &'static str {
    ""
}
#[cfg(feature = "usage")]
pub(crate) fn budget(_: [&'static str; 2], _: f64, _: Option<u64>) {}
#[cfg(feature = "usage")]
pub(crate) fn budget_rejected(_: &'static str) {}
pub(crate) fn store(_: bool) {}
pub(crate) fn unreadable(_: &'static str) {}
pub(crate) fn store_writes_dropped(_: &'static str, _: u64) {}
#[cfg(feature = "webhooks")]
pub(crate) fn delivery(_: Option<&'static str>, _: &'static str) {}
#[cfg(feature = "webhooks")]
pub(crate) fn delivery_handled(_: &'static str, _: Duration) {}
#[cfg(feature = "webhooks")]
pub(crate) fn event_label(_: &str) -> &'static str {
    ""
}
#[cfg(feature = "webhooks")]
pub(crate) fn undecoded(_: &'static str, _: Option<&'static str>) {}
