//! What is secret in a request, and where a response repeats it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    AUTHORIZATION, COOKIE, ETAG, LAST_MODIFIED, LINK, LOCATION, PROXY_AUTHORIZATION,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;
use zeroize::Zeroizing;

use super::{HIDDEN, MIN_SECRET_BYTES, secrets};

/// Headers whose values are no secrets, and may well be ordinary words. All others of a client are
/// taken for secrets, and all others of a call that are called or look like one.
const ORDINARY: [&str; 30] = [
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
    "traceparent",
    "tracestate",
    "user-agent",
    "x-github-api-version",
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

/// Shorter values of headers with other names are ordinary words.
const MIN_RANDOM_BYTES: usize = 12;

/// Remembers the secrets of a request: its credentials, and what is called or looks like one. The
/// query of an operation of GitHub's holds none.
pub(crate) fn sent(headers: &HeaderMap, url: &Url, is_operation: bool) {
    for (name, value) in headers {
        header(name, value);
    }
    if let Some(password) = url.password() {
        secrets::remember(password.as_bytes());
    }
    if !is_operation && url.query().is_some() {
        for (name, value) in url.query_pairs() {
            if is_secret_parameter(&name, value.as_bytes()) {
                secrets::remember(value.as_bytes());
            }
        }
    }
}

fn header(name: &HeaderName, value: &HeaderValue) {
    let bytes = value.as_bytes();
    if *name == AUTHORIZATION || *name == PROXY_AUTHORIZATION {
        credentials(bytes);
    } else if *name == COOKIE {
        for pair in bytes.split(|byte| *byte == b';') {
            let value = pair.splitn(2, |byte| *byte == b'=').last();
            secrets::remember(value.unwrap_or(pair).trim_ascii());
        }
    } else if !ORDINARY.contains(&name.as_str())
        && (value.is_sensitive() || is_secret_name(name.as_str()) || looks_random(bytes))
    {
        credentials(bytes);
    }
}

/// Remembers credentials, with and without the scheme before them.
fn credentials(value: &[u8]) {
    let value = value.trim_ascii();
    let Some(space) = value.iter().position(|byte| *byte == b' ') else {
        return secrets::remember(value);
    };
    let (scheme, rest) = (&value[..space], value[space..].trim_ascii());
    // With more words it is no scheme.
    if rest.contains(&b' ') {
        secrets::remember(value);
    }
    secrets::remember(rest);
    if scheme.eq_ignore_ascii_case(b"basic")
        && let Ok(pair) = STANDARD.decode(rest).map(Zeroizing::new)
        && let Some(colon) = pair.iter().position(|byte| *byte == b':')
    {
        secrets::remember(&pair[colon + 1..]);
    }
}

/// Maximum length of a header's value that is kept, in an error or in a cache. GitHub's longest, `Link`
/// and `Content-Security-Policy`, have up to 2 KB.
pub(crate) const MAX_HEADER_BYTES: usize = 8 * 1_024;

/// Returns the headers without those that have a value too long to be kept.
pub(crate) fn bounded(mut headers: HeaderMap) -> HeaderMap {
    let long = headers.iter().filter(|(_, value)| value.len() > MAX_HEADER_BYTES);
    let long: Vec<_> = long.map(|(name, _)| name.clone()).collect();
    for name in long {
        headers.remove(name);
    }
    headers
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

/// Whether a parameter of a query is a secret. GitHub has parameters such as `key`, `secret_type` and
/// `token_id`, whose values are ordinary words.
fn is_secret_parameter(name: &str, value: &[u8]) -> bool {
    let is_about_one = ["_type", "_types", "_id", "_id[]", "_ids", "_name", "_state"].iter();
    is_secret_name(name)
        && (looks_random(value)
            || (is_named_secret(name) && !is_about_one.copied().any(|end| name.ends_with(end))))
}

fn looks_random(value: &[u8]) -> bool {
    value.len() >= MIN_RANDOM_BYTES
        && value.iter().all(u8::is_ascii_graphic)
        && value.iter().any(u8::is_ascii_digit)
        && value.iter().any(u8::is_ascii_alphabetic)
}

/// Takes known secrets out of the headers of a response, before anything keeps or shows them.
///
/// A validator that has one is dropped. `Link` and `Location` stay as they are, since they are
/// followed, and are marked as sensitive: `Debug` does not show them, and no store is given them.
pub(crate) fn received(headers: &mut HeaderMap) {
    let has_secret = |value: &&HeaderValue| {
        value.len() >= MIN_SECRET_BYTES && !secrets::find(value.as_bytes()).is_empty()
    };
    if !headers.values().any(|value| has_secret(&value)) {
        return;
    }
    let mut validators = Vec::new();
    for (name, value) in headers.iter_mut() {
        if !has_secret(&&*value) {
            continue;
        }
        if *name == LINK || *name == LOCATION {
            value.set_sensitive(true);
        } else if *name == ETAG || *name == LAST_MODIFIED {
            validators.push(name.clone());
        } else {
            let clean = super::body(Bytes::copy_from_slice(value.as_bytes()));
            // What is left of a value is one.
            *value = HeaderValue::from_maybe_shared(clean)
                .unwrap_or_else(|_| HeaderValue::from_static(HIDDEN));
        }
    }
    for name in validators {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::super::has_secret;
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        });
        pairs.collect()
    }

    fn knows(text: &str) -> bool {
        has_secret(text.as_bytes())
    }

    #[test]
    fn ordinary_parameters_and_headers_of_githubs_api_are_no_secrets() {
        let url = "https://api.github.com/x?author=exchtorvalds&key=exch-linux-build&code=exchcode\
                   &secret_type=exch_personal_access_token&exclude_secret_types=exch_app_tokens\
                   &token_id=12345678&private=exchtrue99";
        let headers = headers(&[("x-author", "exchoctocat"), ("x-authored-by", "exchhubot")]);
        sent(&headers, &url.parse().unwrap(), false);
        for word in [
            "exchtorvalds",
            "exch-linux-build",
            "exchcode",
            "exch_personal_access_token",
            "exch_app_tokens",
            "12345678",
            "exchtrue99",
            "exchoctocat",
            "exchhubot",
        ] {
            assert!(!knows(word), "{word}");
        }
    }

    #[test]
    fn secrets_of_a_request_are_known_afterwards() {
        let basic = format!("Basic {}", STANDARD.encode("me:exch-pa55 word"));
        let mut headers = headers(&[
            ("authorization", "Bearer exch-b3arer"),
            ("proxy-authorization", &basic),
            ("cookie", "theme=exch-dark; sid=exch-s1d=="),
            ("x-gateway", "Token exch-gateway"),
            ("x-api-key", "exch-ap1-key"),
            ("x-whatever", "exch-r4nd0m-1"),
            ("x-plain", "exch-ordinary"),
            ("accept", "application/vnd.exch1+json"),
        ]);
        headers.get_mut("x-gateway").unwrap().set_sensitive(true);
        let url = "https://u:exch-url-pass@a.example/x?q=exch-quest10n&client_secret=exch%20query";
        sent(&headers, &url.parse().unwrap(), false);
        for secret in [
            "exch-b3arer",
            "exch-pa55 word",
            basic.split_once(' ').unwrap().1,
            "exch-dark",
            "exch-s1d==",
            "exch-gateway",
            "exch-ap1-key",
            "exch-r4nd0m-1",
            "exch-url-pass",
            "exch query",
        ] {
            assert!(knows(secret), "{secret}");
        }
        for ordinary in ["exch-ordinary", "application/vnd.exch1+json", "exch-quest10n", "Bearer "]
        {
            assert!(!knows(ordinary), "{ordinary}");
        }
        sent(&HeaderMap::new(), &"https://a.example/?token=exch-typed".parse().unwrap(), true);
        assert!(!knows("exch-typed"));
    }

    #[test]
    fn headers_with_long_values_are_not_kept() {
        let mut map = headers(&[("etag", &"e".repeat(MAX_HEADER_BYTES)), ("x-a", "a")]);
        map.append("x-a", HeaderValue::from_str(&"a".repeat(MAX_HEADER_BYTES + 1)).unwrap());
        assert_eq!(bounded(map).keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["etag"]);
    }

    #[test]
    fn a_response_that_repeats_a_secret_keeps_what_is_followed_only() {
        secrets::remember(b"exch-echoed");
        let link = r#"<https://a.example/?page=2&key=exch-echoed>; rel="next""#;
        let mut echo = headers(&[
            ("etag", r#"W/"exch-echoed""#),
            ("link", link),
            ("x-github-request-id", "Bearer exch%2Dechoed"),
            ("content-type", "application/json"),
        ]);
        received(&mut echo);
        assert_eq!(echo["link"], link);
        assert_eq!(echo["x-github-request-id"], "Bearer [hidden]");
        assert_eq!(echo["content-type"], "application/json");
        assert!(!echo.contains_key("etag"));
        assert!(!format!("{echo:?}").contains("echoed"), "{echo:?}");
    }
}
