//! Parsers of response headers, and of the other values in the head of a message: pure functions on values.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::cell::Cell;
use std::time::SystemTime;

use http::header::DATE;
use http::{HeaderMap, HeaderName, HeaderValue};

pub(crate) mod link;
pub(crate) mod method;
pub(crate) mod rate_limit;
pub(crate) mod request_id;
pub(crate) mod retry_after;
pub(crate) mod status_text;

/// The headers of a response, as its parsers read them.
pub(crate) trait HeaderValues {
    /// Returns the first value of each of these headers.
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
fn server_time(headers: &impl HeaderValues) -> SystemTime {
    headers.value(&DATE).and_then(date).unwrap_or_else(SystemTime::now)
}

/// The length of `Sun, 06 Nov 1994 08:49:37 GMT`.
const DATE_BYTES: usize = 29;

/// Parses a date. The responses of one second have the same one, which each thread parses once.
fn date(value: &[u8]) -> Option<SystemTime> {
    thread_local! {
        static LAST: Cell<Option<([u8; DATE_BYTES], SystemTime)>> = const { Cell::new(None) };
    }
    if let Some((bytes, time)) = LAST.get()
        && *value == bytes
    {
        return Some(time);
    }
    let time = httpdate::parse_http_date(text(value)?).ok()?;
    if let Ok(bytes) = value.try_into() {
        LAST.set(Some((bytes, time)));
    }
    Some(time)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_date_is_read_as_itself_after_any_other() {
        let dates = [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Sun, 06 Nov 1994 08:49:38 GMT", Some(784_111_778)),
            // The obsolete forms have other lengths.
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
            ("Sun Nov  6 08:49:38 1994", Some(784_111_778)),
            ("Sun, 06 Nov 1994 08:49:61 GMT", None),
            ("yesterday", None),
            ("", None),
        ];
        for before in dates {
            for (text, seconds) in [before, dates[0], dates[1], dates[2], dates[3], dates[4]] {
                let expected =
                    seconds.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
                assert_eq!(date(text.as_bytes()), expected, "{text}");
            }
        }
    }
}
