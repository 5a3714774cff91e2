//! Parses the `x-ratelimit-*` headers: the only parser of them, for the rate limit policy, responses, errors, metrics and
//! spans.

use std::time::{Duration, SystemTime};

use http::HeaderName;
use http::header::DATE;

use super::{HeaderValues, text};
use crate::sanitize;
use crate::util::http_date;

/// The status of a primary [rate
/// limit](https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#checking-the-status-of-your-rate-limit),
/// from the `x-ratelimit-*` headers of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct RateLimitStatus {
    /// The requests allowed in a window, which is usually an hour.
    pub limit: u64,
    /// The requests remaining in this window.
    pub remaining: u64,
    /// The requests used in this window.
    #[cfg_attr(test, schemars(default))]
    pub used: u64,
    /// The time at which the window ends.
    #[cfg_attr(test, schemars(with = "u64"))]
    pub reset: SystemTime,
    /// The resource of the limit, such as `core`, `search` or `graphql`.
    #[cfg_attr(test, schemars(skip))]
    pub resource: Option<String>,
}

impl RateLimitStatus {
    pub(crate) fn from_headers(headers: &impl HeaderValues) -> Option<Self> {
        let Window { limit, remaining, ends, resource, .. } = Window::parse(headers)?;
        let used = headers.value(&USED).and_then(number);
        Some(Self {
            limit,
            remaining,
            used: used.unwrap_or(limit.saturating_sub(remaining)),
            reset: ends,
            resource: resource.map(str::to_owned),
        })
    }
}

/// GitHub's windows are a minute or an hour long; a longer one is an error.
const MAX_WINDOW: Duration = Duration::from_secs(2 * 60 * 60);

/// The values of a primary limit in a response, as the rate limit policy tracks them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RateLimitHeaders<'a> {
    /// The name of the limit as it is tracked: [`OTHER_RESOURCE`] if the response's own is invalid.
    pub(crate) resource: &'a str,
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    /// The end of the window, in seconds since 1970 by GitHub's clock.
    pub(crate) reset: u64,
    /// The remaining time of the window.
    pub(crate) ends_in: Duration,
}

impl<'a> RateLimitHeaders<'a> {
    /// Parses the headers. The end is relative to the response's own `Date`, so that this machine's clock does not
    /// matter.
    pub(crate) fn read(headers: &'a impl HeaderValues) -> Option<Self> {
        let Window { limit, remaining, reset, ends, resource, date } = Window::parse(headers)?;
        let now = date.and_then(http_date::parse).unwrap_or_else(SystemTime::now);
        let ends_in = ends.duration_since(now).unwrap_or_default();
        Some(Self {
            resource: resource.map_or("core", tracked_name),
            limit,
            remaining,
            reset,
            ends_in: ends_in.min(MAX_WINDOW),
        })
    }
}

/// Returns whether the headers of a rejection report that no request remains in the window. It needs no other header.
pub(crate) fn is_exhausted(headers: &impl HeaderValues) -> bool {
    headers.value(&REMAINING).and_then(number) == Some(0)
}

// As names, since a lookup by a text parses it first.
static LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
static REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
static RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
static USED: HeaderName = HeaderName::from_static("x-ratelimit-used");
static RESOURCE: HeaderName = HeaderName::from_static("x-ratelimit-resource");

/// The window of a limit, which all headers of one response describe.
struct Window<'a> {
    limit: u64,
    remaining: u64,
    /// The end, in seconds since 1970.
    reset: u64,
    ends: SystemTime,
    /// The name of the limit as it is.
    resource: Option<&'a str>,
    /// The time of the response.
    date: Option<&'a [u8]>,
}

impl<'a> Window<'a> {
    fn parse(headers: &'a impl HeaderValues) -> Option<Self> {
        let [limit, remaining, reset, resource, date] =
            headers.first_values([&LIMIT, &REMAINING, &RESET, &RESOURCE, &DATE]);
        let reset = number(reset?)?;
        Some(Self {
            limit: number(limit?)?,
            remaining: number(remaining?)?,
            reset,
            ends: SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(reset))?,
            resource: resource.and_then(text),
            date,
        })
    }
}

fn number(value: &[u8]) -> Option<u64> {
    // GitHub sends digits only.
    digits(value).or_else(|| text(value)?.trim().parse().ok())
}

/// Returns the number that consists of these digits; `None` for anything else, and for numbers that can exceed `u64`.
fn digits(bytes: &[u8]) -> Option<u64> {
    // The longest number that always fits.
    const MAX_DIGITS: usize = 19;
    if bytes.is_empty() || bytes.len() > MAX_DIGITS {
        return None;
    }
    bytes.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte & 0x0f))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// The name of all limits whose own name is invalid, or that exceed the number of tracked limits.
pub(crate) const OTHER_RESOURCE: &str = "other";
/// Maximum length of the name of a primary limit. GitHub's have up to 30 characters.
const MAX_RESOURCE_CHARS: usize = 64;

/// Returns a name as it is tracked: lower-case letters, digits, `_` and `-`, or else [`OTHER_RESOURCE`].
fn tracked_name(name: &str) -> &str {
    let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    let is_name =
        !name.is_empty() && name.len() <= MAX_RESOURCE_CHARS && name.bytes().all(is_plain);
    // A secret can consist of the same letters, but GitHub's own names are not secrets.
    let is_no_secret = || {
        name == "core"
            || sanitize::is_of_protocol(name.as_bytes())
            || sanitize::text(name, MAX_RESOURCE_CHARS) == name
    };
    if is_name && is_no_secret() { name } else { OTHER_RESOURCE }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The path for plain digits reads each value as the general parser does, or leaves it to that.
        #[test]
        fn digits_are_read_as_the_general_parser_reads_them(
            value in prop_oneof!["[0-9]{1,21}", "[ \t]?[+-]?[0-9]{0,3}[ \t]?", "[0-9a-fA-F._ +-]{0,21}"],
        ) {
            let general = value.trim().parse::<u64>().ok();
            if let Some(number) = digits(value.as_bytes()) {
                prop_assert_eq!(Some(number), general);
            }
            prop_assert_eq!(number(value.as_bytes()), general);
        }
    }

    #[test]
    fn a_name_that_is_none_is_another_limit() {
        let longest = "a".repeat(MAX_RESOURCE_CHARS);
        for name in ["core", "code_search", "audit-log", "v2", &longest] {
            assert_eq!(tracked_name(name), name);
        }
        let long = format!("{longest}a");
        for name in [
            "",
            "Core",
            "a b",
            "a\tb",
            "a/b",
            "caf\u{e9}",
            "[hidden]",
            "ghs_hunter2hunter2hunter2",
            &long,
        ] {
            assert_eq!(tracked_name(name), OTHER_RESOURCE, "{name}");
        }
    }

    #[test]
    fn a_rate_limit_is_read_as_it_is_documented() {
        crate::testing::type_coverage::assert_reads_component::<RateLimitStatus>("rate-limit");
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), http::HeaderValue::from_str(value).unwrap())
        });
        pairs.collect()
    }

    /// The policy, responses and errors agree on the window of each response.
    #[test]
    fn both_views_of_a_response_read_the_same_window() {
        const NAMES: [&str; 3] =
            ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];
        let largest = u64::MAX.to_string();
        for (values, expected) in [
            (["5000", "4999", "784111837"], Some((5000, 4999))),
            ([" 60 ", "0", "0"], Some((60, 0))),
            ([&largest, &largest, "784111837"], Some((u64::MAX, u64::MAX))),
            (["5000", "-1", "784111837"], None),
            (["5000", "4999", ""], None),
            (["5000", "4999", &largest], None),
            (["18446744073709551616", "4999", "784111837"], None),
            (["many", "4999", "784111837"], None),
        ] {
            let pairs: Vec<_> = NAMES.into_iter().zip(values).collect();
            let complete = headers(&pairs);
            let status = RateLimitStatus::from_headers(&complete);
            let limits = RateLimitHeaders::read(&complete);
            assert_eq!(status.map(|read| (read.limit, read.remaining)), expected, "{values:?}");
            assert_eq!(limits.map(|read| (read.limit, read.remaining)), expected, "{values:?}");
            // All three numbers are required.
            for missing in 0..NAMES.len() {
                let mut pairs = pairs.clone();
                pairs.remove(missing);
                let incomplete = headers(&pairs);
                assert_eq!(RateLimitStatus::from_headers(&incomplete), None);
                assert_eq!(RateLimitHeaders::read(&incomplete), None);
            }
        }
    }

    #[test]
    fn the_window_ends_by_the_servers_clock_and_within_two_hours() {
        for (reset, expected) in [
            ("784111837", 60),
            ("784111777", 0),
            ("0", 0),
            ("784118977", 7_200),
            ("784118978", 7_200),
            ("9999999999", 7_200),
        ] {
            let headers = headers(&[
                ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
                ("x-ratelimit-limit", "5000"),
                ("x-ratelimit-remaining", "1"),
                ("x-ratelimit-reset", reset),
            ]);
            let limits = RateLimitHeaders::read(&headers).unwrap();
            assert_eq!(limits.ends_in, Duration::from_secs(expected), "{reset}");
            assert_eq!((limits.resource, limits.reset.to_string().as_str()), ("core", reset));
        }
    }

    #[test]
    fn used_and_resource_have_defaults_of_their_own() {
        let numbers = [
            ("x-ratelimit-limit", "60"),
            ("x-ratelimit-remaining", "18"),
            ("x-ratelimit-reset", "784111837"),
        ];
        let status = RateLimitStatus::from_headers(&headers(&numbers)).unwrap();
        assert_eq!((status.used, status.resource), (42, None));
        let mut more = numbers.to_vec();
        more.extend([("x-ratelimit-used", "43"), ("x-ratelimit-resource", "Not a Name")]);
        let more = headers(&more);
        let status = RateLimitStatus::from_headers(&more).unwrap();
        // The public status has the name as it is; the policy tracks it with all other invalid ones.
        assert_eq!((status.used, status.resource.as_deref()), (43, Some("Not a Name")));
        assert_eq!(RateLimitHeaders::read(&more).unwrap().resource, OTHER_RESOURCE);
    }

    #[test]
    fn a_rejection_without_remaining_requests_is_exhausted() {
        for (value, expected) in [
            (Some("0"), true),
            (Some(" 0 "), true),
            (Some("1"), false),
            (Some("x"), false),
            (None, false),
        ] {
            let pairs: Vec<_> =
                value.map(|value| ("x-ratelimit-remaining", value)).into_iter().collect();
            assert_eq!(is_exhausted(&headers(&pairs)), expected, "{value:?}");
        }
    }
}
