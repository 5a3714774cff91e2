//! The rules of RFC 9111 for stored responses, for a private cache.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::{
    AGE, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG,
    EXPIRES, HeaderName, LAST_MODIFIED, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VARY,
};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::entry::MAX_VALIDATOR;
use crate::sanitize;
use crate::util::http_date;

/// The directives of a `Cache-Control` header that a private cache follows
/// ([RFC 9111, 5.2](https://www.rfc-editor.org/rfc/rfc9111#section-5.2),
/// [RFC 5861](https://www.rfc-editor.org/rfc/rfc5861)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Directives {
    pub(crate) no_store: bool,
    pub(crate) no_cache: bool,
    pub(crate) must_revalidate: bool,
    pub(crate) must_understand: bool,
    pub(crate) max_age: Option<Duration>,
    pub(crate) stale_while_revalidate: Option<Duration>,
    pub(crate) stale_if_error: Option<Duration>,
}

impl Directives {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        let mut max_age_seen = false;
        for text in headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok()) {
            for (name, value) in split(text) {
                let seconds = || value.as_deref().and_then(delta_seconds);
                match name.to_ascii_lowercase().as_str() {
                    "no-store" => directives.no_store = true,
                    // With field names, the directive concerns only those fields. That is rare enough to treat it as
                    // the directive without them.
                    "no-cache" => directives.no_cache = true,
                    "must-revalidate" => directives.must_revalidate = true,
                    "must-understand" => directives.must_understand = true,
                    "max-age" => {
                        // A duplicate or invalid directive makes the response stale (RFC 9111, 4.2.1).
                        let age = if max_age_seen { None } else { seconds() };
                        directives.max_age = Some(age.unwrap_or_default());
                        max_age_seen = true;
                    }
                    "stale-while-revalidate" => directives.stale_while_revalidate = seconds(),
                    "stale-if-error" => directives.stale_if_error = seconds(),
                    _ => {}
                }
            }
        }
        directives
    }
}

/// Splits one field value into its directives, and respects quotes.
fn split(text: &str) -> Vec<(&str, Option<String>)> {
    let mut directives = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut quoted = false;
        let mut escaped = false;
        let end = rest.bytes().position(|byte| {
            let ends = byte == b',' && !quoted;
            quoted ^= byte == b'"' && !escaped;
            escaped = byte == b'\\' && quoted && !escaped;
            ends
        });
        let (one, after) = match end {
            Some(end) => (&rest[..end], rest.get(end.saturating_add(1)..).unwrap_or_default()),
            None => (rest, ""),
        };
        rest = after;
        let (name, value) = match one.split_once('=') {
            Some((name, value)) => (name, Some(value.trim().trim_matches('"').to_owned())),
            None => (one, None),
        };
        if !name.trim().is_empty() {
            directives.push((name.trim(), value));
        }
    }
    directives
}

/// Parses seconds by RFC 9111, 1.2.2: a value that is too large becomes the largest one.
fn delta_seconds(text: &str) -> Option<Duration> {
    const MAX_DELTA_SECONDS: u64 = 1 << 31;
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(Duration::from_secs(text.parse().unwrap_or(MAX_DELTA_SECONDS).min(MAX_DELTA_SECONDS)))
}

/// Returns whether a response to a GET can be stored ([RFC 9111, 3](https://www.rfc-editor.org/rfc/rfc9111#section-3)):
/// here, only a complete 200. A 304 makes one of the stored body and the updated headers.
pub(crate) fn is_storable(status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::OK
        && !headers.contains_key(CONTENT_RANGE)
        && !Directives::of(headers).no_store
        && !varies_by_all(headers)
        && !has_redacted_rules(headers)
}

/// Returns whether a header by which the cache decides contained a secret, or could contain one: a directive might be
/// missing.
fn has_redacted_rules(headers: &HeaderMap) -> bool {
    let hidden = sanitize::HIDDEN.as_bytes();
    let is_redacted =
        |value: &HeaderValue| value.as_bytes().windows(hidden.len()).any(|part| part == hidden);
    [CACHE_CONTROL, VARY].iter().any(|name| headers.get_all(name).iter().any(is_redacted))
}

fn varies_by_all(headers: &HeaderMap) -> bool {
    vary_names(headers).any(|name| name == "*")
}

/// Returns the names of the headers that a response varies by, in lower case.
pub(crate) fn vary_names(headers: &HeaderMap) -> impl Iterator<Item = String> {
    listed_names(headers, VARY)
}

/// Returns the names in a header that is a list of header names, in lower case.
fn listed_names(headers: &HeaderMap, list: HeaderName) -> impl Iterator<Item = String> {
    let values = headers.get_all(list).iter().filter_map(|value| value.to_str().ok());
    let names = values.flat_map(|value| value.split(','));
    names.map(|name| name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty())
}

/// The times at which a request was sent and its response received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResponseTimes {
    pub(crate) requested: SystemTime,
    pub(crate) received: SystemTime,
}

/// Returns the age of a response ([RFC 9111, 4.2.3](https://www.rfc-editor.org/rfc/rfc9111#section-4.2.3)).
pub(crate) fn age(headers: &HeaderMap, times: ResponseTimes, now: SystemTime) -> Duration {
    let since = |later: SystemTime, earlier| later.duration_since(earlier).unwrap_or_default();
    let date = date(headers, &DATE).unwrap_or(times.received);
    let apparent = since(times.received, date);
    let stated = headers.get(AGE).and_then(|age| delta_seconds(age.to_str().ok()?.trim()));
    let delay = since(times.received, times.requested);
    let corrected = stated.unwrap_or_default().saturating_add(delay);
    apparent.max(corrected).saturating_add(since(now, times.received))
}

/// Returns the freshness lifetime of a response as its server states it
/// ([RFC 9111, 4.2.1](https://www.rfc-editor.org/rfc/rfc9111#section-4.2.1)): zero if the server states none, since the
/// client uses no heuristic.
pub(crate) fn freshness(headers: &HeaderMap, times: ResponseTimes) -> Duration {
    let directives = Directives::of(headers);
    if directives.no_cache {
        return Duration::ZERO;
    }
    if let Some(max_age) = directives.max_age {
        return max_age;
    }
    let Some(expires) = date(headers, &EXPIRES) else { return Duration::ZERO };
    let date = date(headers, &DATE).unwrap_or(times.received);
    expires.duration_since(date).unwrap_or_default()
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    // A duplicate header is ignored.
    if values.next().is_some() {
        return None;
    }
    http_date::parse(value.as_bytes().trim_ascii())
}

/// Returns the headers to store. It leaves out the headers of the connection
/// ([RFC 9111, 3.1](https://www.rfc-editor.org/rfc/rfc9111#section-3.1)), and headers that concern only the one
/// exchange.
pub(crate) fn storable_headers(headers: &HeaderMap) -> HeaderMap {
    let named: Vec<String> = listed_names(headers, CONNECTION).collect();
    let kept = headers.iter().filter(|(name, value)| {
        is_stored_header(name)
            && !is_oversized_validator(name, value)
            && value.len() <= sanitize::MAX_HEADER_BYTES
            && !named.iter().any(|known| known == name.as_str())
    });
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn is_stored_header(name: &HeaderName) -> bool {
    !EXCHANGE_HEADERS.contains(name)
        && !name.as_str().starts_with("x-ratelimit-")
        && !UNSTORED_HEADERS.contains(&name.as_str())
}

/// Returns whether a header is a validator that is too long to send.
fn is_oversized_validator(name: &HeaderName, value: &HeaderValue) -> bool {
    (name == ETAG || name == LAST_MODIFIED) && value.len() > MAX_VALIDATOR
}

/// Returns the stored headers, updated by the response that confirmed them
/// ([RFC 9111, 3.2](https://www.rfc-editor.org/rfc/rfc9111#section-3.2)).
pub(crate) fn update_headers(mut stored: Arc<HeaderMap>, sent: &HeaderMap) -> Arc<HeaderMap> {
    let of_the_body = [CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_RANGE];
    for name in sent.keys().filter(|name| is_stored_header(name) && !of_the_body.contains(name)) {
        if sent.get_all(name).iter().any(|value| value.len() > sanitize::MAX_HEADER_BYTES) {
            continue;
        }
        // Most headers are unchanged.
        if sent.get_all(name).iter().eq(stored.get_all(name)) {
            continue;
        }
        let stored = Arc::make_mut(&mut stored);
        stored.remove(name);
        for value in sent.get_all(name).iter().filter(|value| !is_oversized_validator(name, value))
        {
            stored.append(name.clone(), value.clone());
        }
    }
    stored
}

const EXCHANGE_HEADERS: [HeaderName; 6] =
    [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, SET_COOKIE];
const UNSTORED_HEADERS: [&str; 6] = [
    "x-github-request-id",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
];

/// Returns the text of a header, if it exists and is text.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).map(HeaderValue::to_str)?.ok()
}
