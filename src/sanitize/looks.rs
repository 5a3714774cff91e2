//! What a header or a parameter of a request is taken for, by its name and by the looks of its value.

use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use http::{HeaderName, HeaderValue};

use super::formats;

/// Headers whose values are no secrets, and may well be ordinary words. `x-github-…` and `…-id`
/// are none either, unless they are called like a secret.
const ORDINARY: [&str; 34] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "baggage",
    "cache-control",
    "connection",
    "content-encoding",
    "content-language",
    "content-length",
    "content-type",
    "date",
    "expect",
    "graphql-features",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "origin",
    "pragma",
    "prefer",
    "range",
    "referer",
    "te",
    "time-zone",
    "traceparent",
    "tracestate",
    "user-agent",
    "x-github-api-version",
    "x-hub-signature",
    "x-hub-signature-256",
    "x-request-id",
];

/// Parts of names that speak of a secret.
const SECRET_NAMES: [&str; 14] = [
    "apikey",
    "api-key",
    "api_key",
    "assertion",
    "cookie",
    "credential",
    "jwt",
    "passphrase",
    "passwd",
    "password",
    "private",
    "secret",
    "session",
    "token",
];
/// Names that do so alone.
const SECRET_WORDS: [&str; 8] =
    ["code", "code_verifier", "device_code", "key", "pat", "sig", "signature", "x-key"];
/// Words of a name that do so, of which other words are made that do not: `author`.
const AUTH_WORDS: [&str; 6] =
    ["auth", "authentication", "authorization", "oauth", "oauth2", "xauth"];

/// Words of a name that say what of a secret the value is, and that it is not the secret: `token_id`.
const ABOUT_WORDS: [&str; 11] =
    ["count", "id", "ids", "kind", "name", "names", "state", "status", "type", "types", "version"];
/// First words of a name that say that the value is a choice: `hide_secret`.
const CHOICE_WORDS: [&str; 7] = ["exclude", "has", "hide", "include", "is", "show", "with"];

/// Shorter values of headers with other names are ordinary words.
const MIN_RANDOM_BYTES: usize = 12;
/// A random value changes so often between letters and digits, or from lower to upper case.
const MIN_CHANGES: usize = 4;
/// One of so many of its letters and digits follows a change.
const MAX_BYTES_PER_CHANGE: usize = 4;

/// Whether the value of a request's header is a secret: by its name, by its looks, or because the
/// caller says so.
pub(crate) fn is_secret_header(name: &HeaderName, value: &HeaderValue) -> bool {
    if *name == AUTHORIZATION || *name == PROXY_AUTHORIZATION || *name == COOKIE {
        return true;
    }
    let name = name.as_str();
    if ORDINARY.contains(&name) {
        return false;
    }
    let is_ordinary = name.starts_with("x-github-") || name.ends_with("-id");
    value.is_sensitive()
        || is_secret_name(name)
        || (!is_ordinary && value.as_bytes().split(|byte| *byte == b' ').any(looks_random))
}

/// Whether a part of the name says that it is a secret's.
fn is_named_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name != "private" && SECRET_NAMES.iter().any(|part| name.contains(part))
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_WORDS.contains(&name.as_str())
        || SECRET_NAMES.iter().any(|part| name.contains(part))
        || name.ends_with("-key")
        || name.ends_with("_key")
        || name.ends_with("-signature")
        || name.split(['-', '_', '.']).any(|word| AUTH_WORDS.contains(&word))
}

/// Whether a parameter of a query is a secret. GitHub has parameters such as `key`, `secret_type`,
/// `hide_secret` and `token_id`, whose values are ordinary words.
pub(super) fn is_secret_parameter(name: &str, value: &[u8]) -> bool {
    is_secret_name(name) && (looks_random(value) || (is_named_secret(name) && !is_about_one(name)))
}

/// Whether a name speaks of something about a secret, not of the secret.
fn is_about_one(name: &str) -> bool {
    let name = name.trim_end_matches("[]").to_ascii_lowercase();
    let mut words = name.split(['-', '_', '.', '[', ']']);
    let first = words.next().unwrap_or_default();
    CHOICE_WORDS.contains(&first)
        || words.next_back().is_some_and(|word| ABOUT_WORDS.contains(&word))
}

/// Whether a value looks random: it is a token of a known format, or digits stand among its letters.
/// Dates, versions, names with a number, and identifiers of several words do not look like that.
fn looks_random(value: &[u8]) -> bool {
    let mut known_formats = Vec::new();
    formats::find(value, &mut known_formats);
    if !known_formats.is_empty() || is_uuid(value) {
        return true;
    }
    let is = |test: fn(&u8) -> bool| value.iter().any(test);
    if value.len() < MIN_RANDOM_BYTES
        || !value.iter().all(u8::is_ascii_graphic)
        || !is(u8::is_ascii_digit)
        || !is(u8::is_ascii_alphabetic)
    {
        return false;
    }
    let is_change = |pair: &&[u8]| match **pair {
        [a, b] if a.is_ascii_digit() => b.is_ascii_alphabetic(),
        [a, b] if a.is_ascii_lowercase() => b.is_ascii_digit() || b.is_ascii_uppercase(),
        [a, b] => a.is_ascii_uppercase() && b.is_ascii_digit(),
        _ => false,
    };
    let changes = value.windows(2).filter(is_change).count();
    let length = value.iter().filter(|byte| byte.is_ascii_alphanumeric()).count();
    changes >= MIN_CHANGES && changes * MAX_BYTES_PER_CHANGE >= length
}

/// Whether a value is a UUID, as many services make their keys.
fn is_uuid(value: &[u8]) -> bool {
    let groups = value.split(|byte| *byte == b'-').map(<[u8]>::len);
    groups.eq([8, 4, 4, 4, 12])
        && value.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-')
}
