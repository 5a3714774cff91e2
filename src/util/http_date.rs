//! The dates of HTTP headers.

use std::cell::Cell;
use std::time::SystemTime;

/// The length of `Sun, 06 Nov 1994 08:49:37 GMT`.
const DATE_BYTES: usize = 29;

/// Parses a date. The responses of one second have the same one, which each thread parses once.
pub(crate) fn parse(value: &[u8]) -> Option<SystemTime> {
    thread_local! {
        static LAST: Cell<Option<([u8; DATE_BYTES], SystemTime)>> = const { Cell::new(None) };
    }
    if let Some((bytes, time)) = LAST.get()
        && *value == bytes
    {
        return Some(time);
    }
    let time = httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()?;
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
                assert_eq!(parse(text.as_bytes()), expected, "{text}");
            }
        }
    }
}
