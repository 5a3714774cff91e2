//! Parses `Retry-After`.

use std::time::Duration;

use http::header::RETRY_AFTER;

use super::{HeaderValues, server_time};
use crate::util::http_date;

/// The longest `Retry-After` that is used; a longer one is an error of the server, and is not waited for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns the delay of `Retry-After`: seconds, or a date ([RFC 9110, section
/// 10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)), which is compared with the response's own `Date`; a
/// day at most.
pub(crate) fn retry_after(headers: &impl HeaderValues) -> Option<Duration> {
    let text = headers.text(&RETRY_AFTER)?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that does not fit is more than a day.
        let seconds = text.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER));
    }
    let until = http_date::parse(text.as_bytes())?;
    Some(until.duration_since(server_time(headers)).unwrap_or_default().min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    #[test]
    fn retry_after_is_read_in_both_forms() {
        const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
        for (value, expected) in [
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("0", Some(0)),
            ("99999999999999999999999", Some(86_400)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", Some(60)),
            ("Sun Nov  6 08:50:37 1994", Some(60)),
            // A time in the past means now.
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("Sat, 06 Nov 2094 08:00:00 GMT", Some(86_400)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            let headers = [("retry-after", value), ("date", DATE)]
                .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()));
            let read = retry_after(&HeaderMap::from_iter(headers));
            assert_eq!(read, expected.map(Duration::from_secs), "{value:?}");
        }
    }
}
