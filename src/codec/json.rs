//! Decoding of the JSON of a response, and JSON objects in requests.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::BTreeMap;
use std::fmt::Display;

use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Decodes a body of JSON.
///
/// The body is checked once to be UTF-8, as [RFC 8259, section
/// 8.1](https://www.rfc-editor.org/rfc/rfc8259#section-8.1) requires of JSON. Otherwise serde_json checks each string,
/// which takes a fifth of the decoding, and it does not check the strings that `T` ignores.
///
/// # Errors
/// If the body is not UTF-8, with the position of the first invalid byte, or if serde_json does not decode it.
pub(crate) fn from_json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> serde_json::Result<T> {
    match std::str::from_utf8(body) {
        Ok(text) => serde_json::from_str(text),
        // The valid part is within the body.
        Err(error) => Err(invalid_utf8(&body[..error.valid_up_to()])),
    }
}

/// Returns the error of a body that continues with an invalid byte after this part.
fn invalid_utf8(valid: &[u8]) -> serde_json::Error {
    let (mut line, mut column) = (1_usize, 1_usize);
    for byte in valid {
        match byte {
            b'\n' => (line, column) = (line.saturating_add(1), 1),
            _ => column = column.saturating_add(1),
        }
    }
    // serde_json reads the position of a custom error from the end of its message.
    serde_json::Error::custom(format_args!("invalid UTF-8 at line {line} column {column}"))
}

/// Returns the properties of a value that is an object in JSON, such as a map, `json!({ … })` or a record of an
/// application.
///
/// # Errors
/// If it is another kind of value, or cannot be serialized.
pub(crate) fn to_object(value: impl Serialize) -> Result<BTreeMap<String, Value>, String> {
    let kind = match serde_json::to_value(value) {
        Ok(Value::Object(properties)) => return Ok(properties.into_iter().collect()),
        Ok(Value::Null) => "null",
        Ok(Value::Bool(_)) => "a boolean",
        Ok(Value::Number(_)) => "a number",
        Ok(Value::String(_)) => "text",
        Ok(Value::Array(_)) => "an array",
        Err(error) => return Err(error.to_string()),
    };
    Err(format!("expected a JSON object, found {kind}"))
}

/// Returns named values as a map. Of several values with the same name, the last one counts.
///
/// # Errors
/// If a value cannot be converted, with its name.
pub(crate) fn to_map<T>(
    values: impl IntoIterator<Item = (impl Into<String>, impl TryInto<T, Error: Display>)>,
) -> Result<BTreeMap<String, T>, String> {
    let mut map = BTreeMap::new();
    for (name, value) in values {
        let name: String = name.into();
        let value = TryInto::<T>::try_into(value);
        let value = value.map_err(|reason| format!("{name:?}: {reason}"))?;
        map.insert(name, value);
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;
    use serde_json::json;

    use super::super::json_path;
    use super::*;

    /// A record that ignores the properties without a field.
    #[derive(Debug, PartialEq, Deserialize)]
    struct Issue {
        title: String,
        #[serde(default)]
        labels: Vec<String>,
    }

    /// Returns where decoding fails: the line, the column and the path. It fails whatever the type.
    fn failure(body: &[u8]) -> (usize, usize, String) {
        let error = from_json::<Issue>(body).unwrap_err();
        from_json::<Value>(body).unwrap_err();
        from_json::<IgnoredAny>(body).unwrap_err();
        (error.line(), error.column(), json_path::locate(body, error.line(), error.column()))
    }

    #[test]
    fn any_text_in_utf8_decodes() {
        for title in ["", "issue", "caf\u{e9}", "\u{20ac}", "\u{1f600}", "\u{fffd}", "\u{feff}"] {
            let body = format!(r#"{{"{title}":"{title}","title":"{title}","labels":["{title}"]}}"#);
            let expected = Issue { title: title.to_owned(), labels: vec![title.to_owned()] };
            assert_eq!(from_json::<Issue>(body.as_bytes()).unwrap(), expected);
        }
        let escaped = from_json::<Issue>(br#"{"title":"\u20ac\ud83d\ude00"}"#).unwrap();
        assert_eq!(escaped.title, "\u{20ac}\u{1f600}");
    }

    #[test]
    fn an_invalid_byte_fails_with_its_place() {
        for (body, line, column, path) in [
            (&b"{\"title\":\"a\xffb\"}"[..], 1, 12, "$.title"),
            (b"{\"title\":\"a\",\"labels\":[\"b\",\"\xe9\"]}", 1, 29, "$.labels[1]"),
            // Properties that the type ignores.
            (b"{\"title\":\"a\",\"x\":\"\xff\"}", 1, 19, "$.x"),
            (b"{\"x\":{\"y\":[1,\"\xe9\"]},\"title\":\"a\"}", 1, 15, "$.x.y[1]"),
            // A key.
            (b"{\"title\":\"a\",\"b\xff\":1}", 1, 16, "$[\"b\u{fffd}\"]"),
            // Later lines.
            (b"{\n  \"title\":\n    \"\xc3(\"}", 3, 6, "$.title"),
            (b"{\"title\":\"\xc3\xa9\",\r\n\"x\":\"\x80\"}", 2, 6, "$.x"),
            // Sequences that are cut off: within the text, and at its end.
            (b"{\"title\":\"\xe2\x82\"}", 1, 11, "$.title"),
            (b"{\"title\":\"\xe2\x82", 1, 11, "$.title"),
            (b"{\"title\":\"\xf0\x9f\x98", 1, 11, "$.title"),
            // An overlong form, a surrogate, and a number beyond Unicode.
            (b"{\"title\":\"\xc0\xaf\"}", 1, 11, "$.title"),
            (b"{\"title\":\"\xed\xa0\x80\"}", 1, 11, "$.title"),
            (b"{\"title\":\"\xf5\x80\x80\x80\"}", 1, 11, "$.title"),
            // Outside of strings.
            (b"\xff", 1, 1, "$"),
            (b"{\"title\":\"a\"}\xff", 1, 14, "$"),
            (b"{\"title\":\xff}", 1, 10, "$.title"),
            // UTF-16 with a byte order mark.
            (b"\xff\xfe{\0}\0", 1, 1, "$"),
        ] {
            let shown = String::from_utf8_lossy(body);
            assert_eq!(failure(body), (line, column, path.to_owned()), "{shown}");
            let error = from_json::<Issue>(body).unwrap_err().to_string();
            assert_eq!(error, format!("invalid UTF-8 at line {line} column {column}"), "{shown}");
        }
    }

    /// RFC 8259 permits to reject a byte order mark, and serde_json does.
    #[test]
    fn a_byte_order_mark_is_rejected_at_the_beginning_of_the_body() {
        assert_eq!(failure(b"\xef\xbb\xbf{\"title\":\"a\"}"), (1, 1, "$".to_owned()));
    }

    /// Any JSON, with text of any characters in keys and values.
    fn json() -> impl Strategy<Value = Value> {
        let text = || any::<String>().prop_map(Value::from);
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            text(),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            let key = prop_oneof![any::<String>(), Just("title".into()), Just("labels".into())];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((key, inner), 0..6)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    /// A body is decoded as serde_json decodes its bytes.
    fn same_as_from_slice<T>(body: &[u8]) -> Result<(), TestCaseError>
    where
        T: serde::de::DeserializeOwned + std::fmt::Debug + PartialEq,
    {
        match (from_json::<T>(body), serde_json::from_slice::<T>(body)) {
            (Ok(ours), Ok(expected)) => prop_assert_eq!(ours, expected),
            (Err(ours), Err(expected)) => prop_assert_eq!(ours.to_string(), expected.to_string()),
            (ours, expected) => prop_assert!(false, "{ours:?}, not {expected:?}"),
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn utf8_is_decoded_as_by_serde_json(value in json(), cut in any::<prop::sample::Index>()) {
            let body = value.to_string();
            let cut = (0..=cut.index(body.len() + 1)).rev().find(|at| body.is_char_boundary(*at));
            for body in [&*body, &body[..cut.unwrap_or(0)]] {
                same_as_from_slice::<Value>(body.as_bytes())?;
                same_as_from_slice::<Issue>(body.as_bytes())?;
                same_as_from_slice::<Vec<Issue>>(body.as_bytes())?;
            }
        }

        /// Nothing panics, and invalid UTF-8 fails at its first invalid byte, wherever it is.
        #[test]
        fn a_changed_byte_fails_or_is_decoded_as_by_serde_json(
            value in json(),
            at in any::<prop::sample::Index>(),
            byte: u8,
        ) {
            let mut body = value.to_string().into_bytes();
            let at = at.index(body.len());
            body[at] = byte;
            match std::str::from_utf8(&body) {
                Ok(_) => same_as_from_slice::<Value>(&body)?,
                Err(invalid) => {
                    let before = &body[..invalid.valid_up_to()];
                    let line = before.split(|byte| *byte == b'\n');
                    let expected = (line.clone().count(), line.clone().next_back().unwrap().len() + 1);
                    let error = from_json::<IgnoredAny>(&body).unwrap_err();
                    prop_assert_eq!((error.line(), error.column()), expected);
                    // serde_json rejects what it reads as well.
                    serde_json::from_slice::<Value>(&body).unwrap_err();
                    json_path::locate(&body, error.line(), error.column());
                }
            }
        }
    }

    #[test]
    fn only_an_object_has_properties() {
        let expected = BTreeMap::from([("a".to_owned(), json!(1))]);
        assert_eq!(to_object(json!({ "a": 1 })), Ok(expected.clone()));
        assert_eq!(to_object(BTreeMap::from([("a", 1)])), Ok(expected));
        for (value, kind) in [
            (json!(null), "null"),
            (json!(true), "a boolean"),
            (json!(1), "a number"),
            (json!("{}"), "text"),
            (json!([{}]), "an array"),
        ] {
            assert_eq!(to_object(value), Err(format!("expected a JSON object, found {kind}")));
        }
        // A key of an object is text.
        assert!(to_object(BTreeMap::from([([1], 1)])).is_err());
    }

    #[test]
    fn named_values_are_pairs_and_an_invalid_one_is_named() {
        let expected = BTreeMap::from([("a".to_owned(), 1_u8), ("b".to_owned(), 2)]);
        assert_eq!(to_map::<u8>([("b", 2_i64), ("a", 1)]), Ok(expected.clone()));
        assert_eq!(to_map::<u8>(expected.clone()), Ok(expected));
        let error = to_map::<u8>([("a", 1_i64), ("b", 256)]).unwrap_err();
        assert!(error.starts_with("\"b\": "), "{error}");
    }
}
