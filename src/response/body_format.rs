//! The format of a body that is not JSON, for the error of a call that decodes JSON.

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::de::IgnoredAny;

use crate::error::Markup;

/// Maximum length of a media type in an error, in bytes: two names of the maximum length of [RFC 6838, section
/// 4.2](https://www.rfc-editor.org/rfc/rfc6838#section-4.2).
const MAX_MEDIA_TYPE: usize = 127 + 1 + 127;

/// Format of a body that is not JSON.
#[derive(Debug, PartialEq)]
pub(super) enum BodyFormat {
    Markup(Markup),
    /// The media type of `Content-Type`, in lower case.
    MediaType(String),
    Text,
    Binary,
}

impl BodyFormat {
    /// Returns the format. Returns `None` if the body is JSON, or declared as JSON and begins as JSON does: then its fault
    /// has a place.
    pub(super) fn unless_json(headers: &HeaderMap, body: &[u8]) -> Option<Self> {
        if serde_json::from_slice::<IgnoredAny>(body).is_ok() {
            return None;
        }
        if let Some(markup) = Markup::of(headers, body) {
            return Some(Self::Markup(markup));
        }
        match media_type(headers) {
            // Also types such as `application/vnd.github.raw+json`, which GitHub sends with text.
            Some(media_type) if !media_type.contains("json") => Some(Self::MediaType(media_type)),
            _ if begins_as_json(body) => None,
            _ if std::str::from_utf8(body).is_ok() && !body.contains(&0) => Some(Self::Text),
            _ => Some(Self::Binary),
        }
    }

    /// Returns the name of the format for an error.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Markup(markup) => markup.name(),
            Self::MediaType(media_type) => media_type,
            Self::Text => "text",
            Self::Binary => "binary data",
        }
    }

    /// Returns the next step after a response in this format.
    pub(super) fn advice(&self) -> &'static str {
        match self {
            Self::Markup(_) => {
                "the response is probably from a proxy or a login page: check the client's \
                 base_url; if it is the requested format, read it with send_text(), send_bytes() or \
                 send_stream() instead of send(), for an operation after into_request()"
            }
            Self::MediaType(_) | Self::Text | Self::Binary => {
                "read it with send_text(), send_bytes() or send_stream() instead of send(), for an \
                 operation after into_request()"
            }
        }
    }
}

/// Returns the media type that the headers name, in lower case, if it is one.
fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let (named, _) = value.split_once(';').unwrap_or((value, ""));
    let named = named.trim();
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/!#$&-^_.+".contains(&byte);
    let is_media_type = named.contains('/') && named.bytes().all(is_allowed);
    (is_media_type && named.len() <= MAX_MEDIA_TYPE).then(|| named.to_ascii_lowercase())
}

/// Returns whether the first characters of a body can be those of a JSON value, or there are none.
fn begins_as_json(body: &[u8]) -> bool {
    let body = body.trim_ascii_start();
    match body {
        [] | [b'{' | b'[' | b'"' | b'0'..=b'9', ..] => true,
        [b'-', next, ..] => next.is_ascii_digit(),
        _ => [&b"true"[..], b"false", b"null"].iter().any(|word| body.starts_with(word)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(content_type: &str, body: &[u8]) -> Option<BodyFormat> {
        let mut headers = HeaderMap::new();
        if !content_type.is_empty() {
            headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        }
        BodyFormat::unless_json(&headers, body)
    }

    const MEDIA_TYPE: &str = "application/vnd.github.diff";
    const DIFF: &[u8] = b"diff --git a/x b/x\n--- a/x\n";
    const GZIP: &[u8] = b"\x1f\x8b\x08\0\0";

    #[test]
    fn the_header_names_the_format_unless_it_names_json() {
        let named = |name: &str| Some(BodyFormat::MediaType(name.to_owned()));
        for (content_type, body, expected) in [
            ("application/vnd.github.diff; charset=utf-8", DIFF, named(MEDIA_TYPE)),
            ("Text/Plain", b"{\"a\":", named("text/plain")),
            ("application/gzip", GZIP, named("application/gzip")),
            ("application/json", DIFF, Some(BodyFormat::Text)),
            ("application/vnd.github.raw+json", b"# Title", Some(BodyFormat::Text)),
            ("application/json", GZIP, Some(BodyFormat::Binary)),
            ("application/json", b"a\xffb", Some(BodyFormat::Binary)),
            ("", DIFF, Some(BodyFormat::Text)),
            ("", GZIP, Some(BodyFormat::Binary)),
            ("text", DIFF, Some(BodyFormat::Text)),
            ("text/pl(ain", DIFF, Some(BodyFormat::Text)),
            ("text/html", b"Sorry", Some(BodyFormat::Markup(Markup::Html))),
            ("", b"<?xml version=\"1.0\"?>", Some(BodyFormat::Markup(Markup::Xml))),
        ] {
            assert_eq!(format(content_type, body), expected, "{content_type} {body:?}");
        }
        let long = format!("text/{}", "x".repeat(MAX_MEDIA_TYPE));
        assert_eq!(format(&long, DIFF), Some(BodyFormat::Text));
        assert!(format(&long[..MAX_MEDIA_TYPE], DIFF) == named(&long[..MAX_MEDIA_TYPE]));
    }

    #[test]
    fn json_and_json_with_a_fault_have_no_other_format() {
        for body in ["{}", "[1]", " null", "-7", "\"x\"", "{\"a\":\"\\u0000\"}"] {
            for content_type in ["", "application/json", "text/plain", "text/html", "image/png"] {
                assert_eq!(format(content_type, body.as_bytes()), None, "{content_type} {body}");
            }
        }
        for body in ["", " \n", "{\"a\":", "[1]]", "\"x", "1 2", "-1-", "true false", "nullx"] {
            for content_type in ["", "application/json; charset=utf-8", "application/x+json"] {
                assert_eq!(format(content_type, body.as_bytes()), None, "{content_type} {body}");
            }
        }
        // It ignores the text of a string.
        assert_eq!(format("text/plain", b"\"\xff\""), None);
        assert_eq!(format("application/json", b"{\"a\":\"\xff"), None);
    }

    proptest::proptest! {
        /// Whatever the header and the body are, the name is visible and bounded.
        #[test]
        fn any_format_has_a_short_name(
            content_type in proptest::collection::vec(0x20_u8..=0xff, 0..300),
            body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40),
        ) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = http::HeaderValue::from_bytes(&content_type) {
                headers.insert(CONTENT_TYPE, value);
            }
            if let Some(format) = BodyFormat::unless_json(&headers, &body) {
                let name = format.name();
                proptest::prop_assert!(!name.is_empty() && name.len() <= MAX_MEDIA_TYPE);
                proptest::prop_assert!(name.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
            }
        }
    }
}
