//! Parsers of response headers, and of the other values in the head of a message: pure functions on values.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::time::SystemTime;

use http::header::DATE;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::util::http_date;

pub(crate) mod link;
pub(crate) mod method;
pub(crate) mod rate_limit;
pub(crate) mod request_id;
pub(crate) mod retry_after;
pub(crate) mod status_text;

/// The headers of a response, as its parsers read them.
pub(crate) trait HeaderValues {
    /// Returns the first value of each of these different headers.
    fn first_values<const N: usize>(&self, names: [&HeaderName; N]) -> [Option<&[u8]>; N];

    /// Returns the first value of a header.
    fn value(&self, name: &HeaderName) -> Option<&[u8]> {
        let [value] = self.first_values([name]);
        value
    }

    /// Returns the first value of a header, if it is visible ASCII.
    fn text(&self, name: &HeaderName) -> Option<&str> {
        self.value(name).and_then(text)
    }
}

impl HeaderValues for HeaderMap {
    fn first_values<const N: usize>(&self, names: [&HeaderName; N]) -> [Option<&[u8]>; N] {
        names.map(|name| self.get(name).map(HeaderValue::as_bytes))
    }
}

/// Returns a value as [`HeaderValue::to_str`] does.
fn text(value: &[u8]) -> Option<&str> {
    let is_visible = value.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
    std::str::from_utf8(value).ok().filter(|_| is_visible)
}

/// Returns the server's time from `Date`, so that times in other headers do not depend on this machine's clock. Without
/// a valid `Date`, it is this machine's time.
pub(crate) fn server_time(headers: &impl HeaderValues) -> SystemTime {
    headers.value(&DATE).and_then(http_date::parse).unwrap_or_else(SystemTime::now)
}
