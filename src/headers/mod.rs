//! Parsers of response headers, and of the other values in the head of a message: pure functions on values.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::time::SystemTime;

use http::HeaderMap;
use http::header::DATE;

pub(crate) mod link;
pub(crate) mod method;
pub(crate) mod rate_limit;
pub(crate) mod request_id;
pub(crate) mod retry_after;
pub(crate) mod status_text;

/// Returns the server's time from `Date`, so that times in other headers do not depend on this machine's clock. Without
/// a valid `Date`, it is this machine's time.
fn server_time(headers: &HeaderMap) -> SystemTime {
    let date = headers.get(DATE).and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
    date.unwrap_or_else(SystemTime::now)
}
