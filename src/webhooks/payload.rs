//! The payload of a verified body, extracted and checked to be JSON.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use percent_encoding::percent_decode;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::delivery::text;
use super::rejection::RejectionReason;

/// Returns the payload of a body: all of it if it is JSON, or the field `payload` of a form, by `Content-Type`.
///
/// # Errors
/// If the body is neither, is compressed, or contains no readable payload.
pub(super) fn payload(headers: &HeaderMap, body: Bytes) -> Result<Bytes, RejectionReason> {
    if !is_identity(headers) {
        return Err(RejectionReason::ContentEncoding);
    }
    let media_type = media_type(headers).ok_or(RejectionReason::MediaType)?;
    let payload = if media_type.eq_ignore_ascii_case("application/json") {
        body
    } else if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        form_payload(&body)?
    } else {
        return Err(RejectionReason::MediaType);
    };
    check_json(&payload)?;
    Ok(payload)
}

/// Checks that a payload is JSON that can be read as a [`Value`](serde_json::Value), without building one.
///
/// Repeated names are valid; `NaN`, more than 127 levels, numbers beyond an `f64` and text that is not Unicode are
/// invalid.
///
/// # Errors
/// If the payload is not such JSON.
pub(super) fn check_json(payload: &[u8]) -> Result<(), RejectionReason> {
    let text = std::str::from_utf8(payload).map_err(|_| RejectionReason::Json)?;
    let Checked = serde_json::from_str(text).map_err(|_| RejectionReason::Json)?;
    Ok(())
}

/// Returns whether the body is not encoded. GitHub's deliveries have no `Content-Encoding`.
fn is_identity(headers: &HeaderMap) -> bool {
    let codings = |value: &http::HeaderValue| {
        let mut codings = value.as_bytes().split(|byte| *byte == b',');
        codings.all(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"identity"))
    };
    headers.get_all(CONTENT_ENCODING).iter().all(codings)
}

/// Returns the media type, without parameters.
fn media_type(headers: &HeaderMap) -> Option<&str> {
    Some(text(headers, &CONTENT_TYPE)?.split(';').next()?.trim())
}

/// Returns the JSON in a form's `payload`, which has to occur once. Bytes that are not Unicode are kept, to be
/// rejected.
fn form_payload(body: &[u8]) -> Result<Bytes, RejectionReason> {
    let mut payloads = body.split(|byte| *byte == b'&').filter_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let (name, value) = pair.split_at(at);
        (&*form_decoded(name) == b"payload").then(|| value.get(1..).unwrap_or_default())
    });
    match (payloads.next(), payloads.next()) {
        (Some(payload), None) => Ok(Bytes::copy_from_slice(&form_decoded(payload))),
        _ => Err(RejectionReason::Form),
    }
}

fn form_decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'+') {
        return percent_decode(text).into();
    }
    let spaced: Vec<u8> =
        text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    Cow::Owned(percent_decode(&spaced).collect())
}

/// Any JSON, which is read and discarded. [`IgnoredAny`](serde::de::IgnoredAny) is not sufficient: for it, `serde_json`
/// skips text, numbers and levels unread.
struct Checked;

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CheckedVisitor)
    }
}

struct CheckedVisitor;

impl<'de> Visitor<'de> for CheckedVisitor {
    type Value = Checked;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_str<E>(self, _: &str) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_unit<E>(self) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Checked, A::Error> {
        while seq.next_element::<Checked>()?.is_some() {}
        Ok(Checked)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Checked, A::Error> {
        while map.next_entry::<Checked, Checked>()?.is_some() {}
        Ok(Checked)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;
    use serde_json::Value;
    use url::form_urlencoded;

    use super::*;

    const FORM: &str = "application/x-www-form-urlencoded";

    fn read(media_type: &str, coding: Option<&str>, body: &[u8]) -> Result<Bytes, RejectionReason> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_str(media_type).unwrap());
        for coding in coding.into_iter().flat_map(|it| it.split('|')) {
            headers.append(CONTENT_ENCODING, HeaderValue::from_str(coding).unwrap());
        }
        payload(&headers, Bytes::copy_from_slice(body))
    }

    #[test]
    fn a_body_that_is_encoded_is_rejected_whatever_the_coding() {
        let json = "application/json";
        for coding in [None, Some("identity"), Some("Identity"), Some("identity, identity")] {
            assert_eq!(read(json, coding, b"{}").unwrap(), "{}", "{coding:?}");
        }
        for coding in [
            "gzip",
            "GZIP",
            "x-gzip",
            "deflate",
            "br",
            "zstd",
            "compress",
            "aws-chunked",
            "identity, gzip",
            "gzip|identity",
            "identity|br",
            "",
            "none",
        ] {
            assert_eq!(
                read(json, Some(coding), b"{}"),
                Err(RejectionReason::ContentEncoding),
                "{coding}"
            );
        }
    }

    #[test]
    fn a_form_has_its_payload_decoded_and_unchanged() {
        let json = r#"{"a":"ä & = + % 😀"}"#;
        let encoded: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("other", "{")
            .append_pair("payload", json)
            .finish();
        assert_eq!(read(FORM, None, encoded.as_bytes()).unwrap(), json);
        assert_eq!(read(FORM, None, b"%70ayload=%7B%7D").unwrap(), "{}");
        for (body, rejection) in [
            (&b""[..], RejectionReason::Form),
            (b"payload", RejectionReason::Json),
            (b"payload=", RejectionReason::Json),
            (b"payloads=%7B%7D", RejectionReason::Form),
            (b"payload=%7B%7D&payload=%7B%7D", RejectionReason::Form),
            (b"payload=%7B", RejectionReason::Json),
            (b"payload=%7B%7D%7D", RejectionReason::Json),
            (b"payload=%22%FF%22", RejectionReason::Json),
            (b"payload=\"\xff\"", RejectionReason::Json),
            (b"payload=%7B%2", RejectionReason::Json),
            (b"{}", RejectionReason::Form),
        ] {
            let shown = String::from_utf8_lossy(body);
            assert_eq!(read(FORM, None, body), Err(rejection), "{shown}");
        }
    }

    #[test]
    fn any_json_that_can_be_read_is_accepted_and_nothing_else() {
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let (most, too_deep) = (deep(127), deep(128));
        let good = [
            "{}",
            " {} \n",
            "[]",
            "null",
            "1",
            "\"x\"",
            r#"{"a":1,"a":2}"#,
            "\"\\ud83d\\ude00\"",
            "1e308",
            "123456789012345678901234567890",
            &most,
        ];
        for text in good {
            assert_eq!(check_json(text.as_bytes()), Ok(()), "{text}");
            serde_json::from_str::<Value>(text).unwrap();
        }
        let bad = [
            "",
            " ",
            "{",
            "}",
            "{}{}",
            "{} x",
            "{\"a\":1,}",
            "[1,]",
            "NaN",
            "{\"a\":NaN}",
            "Infinity",
            "-Infinity",
            "{'a':1}",
            "{a:1}",
            "01",
            "1.",
            ".5",
            "+1",
            "1e999",
            "\"\\ud800\"",
            "\"\\x\"",
            "\"\n\"",
            "\"",
            "tru",
            "undefined",
            "\u{feff}{}",
            "// x\n{}",
            "{}\0",
            &too_deep,
        ];
        for text in bad {
            assert_eq!(check_json(text.as_bytes()), Err(RejectionReason::Json), "{text:?}");
            assert!(serde_json::from_str::<Value>(text).is_err(), "{text:?}");
        }
        for bytes in
            [&b"\"\xff\""[..], b"\xff", b"{\"\xc3\x28\":1}", b"\x1f\x8b\x08\x00", b"\xef\xbb\xbf{}"]
        {
            assert_eq!(check_json(bytes), Err(RejectionReason::Json), "{bytes:?}");
        }
        // The stack is not exhausted, however many levels there are.
        assert_eq!(check_json(deep(1_000_000).as_bytes()), Err(RejectionReason::Json));
    }

    proptest! {
        #[test]
        fn accepted_payloads_can_be_read(
            text in r#"[\[\]{}",:0-9.eE+\-truefalsn\\ ud8]{0,12}"#,
            bytes in prop::collection::vec(any::<u8>(), 0..12),
        ) {
            for body in [text.as_bytes(), &bytes] {
                prop_assert_eq!(check_json(body).is_ok(), serde_json::from_slice::<Value>(body).is_ok());
            }
        }

        #[test]
        fn a_form_is_read_as_the_standard_says(body in "(payload|p%61yload|x|)(=|&|%|\\+|[0-9a-f]|\\{\\}){0,20}") {
            let mut fields = form_urlencoded::parse(body.as_bytes()).filter(|(name, _)| name == "payload");
            let expected = match (fields.next(), fields.next()) {
                (Some((_, value)), None) => Ok(value.into_owned()),
                _ => Err(RejectionReason::Form),
            };
            let found = form_payload(body.as_bytes()).map(|found| String::from_utf8_lossy(&found).into_owned());
            prop_assert_eq!(found, expected);
        }
    }
}
