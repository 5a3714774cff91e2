//! Paths of decode errors in generated and hand-written JSON.

use proptest::prelude::*;
use serde::Deserialize;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::Value;

use super::*;

fn path<T: DeserializeOwned + std::fmt::Debug>(body: &str) -> String {
    let error = serde_json::from_str::<T>(body).unwrap_err();
    locate(body.as_bytes(), error.line(), error.column())
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct User {
    id: u64,
    name: String,
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Page {
    users: Vec<User>,
}

#[test]
fn the_value_of_the_wrong_type_is_named() {
    for (body, expected) in [
        (r#"{"users":[{"id":1,"name":"a"},{"id":2,"name":null}]}"#, "$.users[1].name"),
        (r#"{"users":[{"id":1,"name":"a"},{"id":-2,"name":""}]}"#, "$.users[1].id"),
        (r#"{"users":[{"id":1,"name":["a"]}]}"#, "$.users[0].name"),
        (r#"{"users" : {"id":1}}"#, "$.users"),
        ("{\n \"users\":\n [\n {\"id\":1,\n  \"name\": 7}]}", "$.users[0].name"),
        (r#"{"users":null}"#, "$.users"),
        ("7", "$"),
    ] {
        assert_eq!(path::<Page>(body), expected, "{body}");
    }
}

#[test]
fn a_missing_field_names_the_object_that_lacks_it() {
    assert_eq!(path::<Page>(r#"{"users":[{"id":1,"name":"a"},{"id":2}]}"#), "$.users[1]");
    assert_eq!(path::<Page>("{}"), "$");
}

#[test]
fn a_body_that_breaks_off_names_where() {
    assert_eq!(path::<Page>(r#"{"users":[{"id":1,"na"#), "$.users[0]");
    assert_eq!(path::<Page>(r#"{"users":[{"id":1,"name":"a"},"#), "$.users[1]");
    assert_eq!(path::<Page>(""), "$");
}

#[test]
fn odd_keys_are_quoted() {
    type Map = std::collections::BTreeMap<String, u8>;
    assert_eq!(path::<Map>(r#"{"a b\"c": null}"#), r#"$["a b\"c"]"#);
    assert_eq!(path::<Map>(r#"{"+1": "x"}"#), r#"$["+1"]"#);
}

#[derive(Clone, Debug)]
enum PathSegment {
    Index(usize),
    Key(String),
}

/// Goes to a place in a document, and requests a wrong type there.
struct Probe<'a> {
    segments: &'a [PathSegment],
    ask_for_bool: bool,
}

impl<'de> DeserializeSeed<'de> for Probe<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.segments.first() {
            None if self.ask_for_bool => deserializer.deserialize_bool(self),
            None => deserializer.deserialize_str(self),
            Some(PathSegment::Index(_)) => deserializer.deserialize_seq(self),
            Some(PathSegment::Key(_)) => deserializer.deserialize_map(self),
        }
    }
}

impl Probe<'_> {
    fn rest(&self) -> Self {
        Probe { segments: &self.segments[1..], ask_for_bool: self.ask_for_bool }
    }
}

impl<'de> Visitor<'de> for Probe<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("something else")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if let PathSegment::Index(index) = self.segments[0] {
            for _ in 0..index {
                seq.next_element::<IgnoredAny>()?;
            }
            seq.next_element_seed(self.rest())?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match &self.segments[0] {
                PathSegment::Key(wanted) if *wanted == key => {
                    return map.next_value_seed(self.rest());
                }
                _ => map.next_value::<IgnoredAny>()?,
            };
        }
        Ok(())
    }
}

/// Walks down a document, by the numbers it is given, to one of its values.
fn walk<'a>(mut value: &'a Value, turns: &[usize]) -> (Vec<PathSegment>, &'a Value) {
    let mut places = Vec::new();
    for turn in turns {
        match value {
            Value::Array(items) if !items.is_empty() => {
                let index = turn % items.len();
                places.push(PathSegment::Index(index));
                value = &items[index];
            }
            Value::Object(fields) if !fields.is_empty() => {
                let Some((key, field)) = fields.iter().nth(turn % fields.len()) else {
                    break;
                };
                places.push(PathSegment::Key(key.clone()));
                value = field;
            }
            _ => break,
        }
    }
    (places, value)
}

fn shown(places: &[PathSegment]) -> String {
    let mut path = String::from("$");
    for place in places {
        match place {
            PathSegment::Index(index) => path.push_str(&format!("[{index}]")),
            PathSegment::Key(key) => {
                push_key(&mut path, serde_json::to_string(key).unwrap().as_bytes())
            }
        }
    }
    path
}

fn document() -> impl Strategy<Value = Value> {
    let text = r#"[a-z"\\\[\]{},:é\n ]{0,6}"#;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9_f64).prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(text, inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn the_path_is_that_of_the_value_which_serde_json_rejected(
        document in document(),
        turns in prop::collection::vec(any::<usize>(), 0..6),
        pretty in any::<bool>(),
    ) {
        let (places, target) = walk(&document, &turns);
        let body = if pretty {
            serde_json::to_string_pretty(&document).unwrap()
        } else {
            document.to_string()
        };
        let probe = Probe { segments: &places, ask_for_bool: !target.is_boolean() };
        let mut deserializer = serde_json::Deserializer::from_str(&body);
        let error = probe.deserialize(&mut deserializer).unwrap_err();
        prop_assert_eq!(
            locate(body.as_bytes(), error.line(), error.column()),
            shown(&places),
            "{} in {}", error, body
        );
    }

    #[test]
    fn any_bytes_and_any_position_give_some_path(
        body in prop::collection::vec(prop_oneof![
            prop::sample::select(b"{}[]\",:\\\n a1".to_vec()), any::<u8>()
        ], 0..80),
        line in 0..6_usize,
        column in 0..90_usize,
    ) {
        prop_assert!(locate(&body, line, column).starts_with('$'));
    }
}

#[test]
fn keys_are_escaped_and_cut() {
    let mut path = String::new();
    push_key(&mut path, "\"a\nb\u{202e}\"".as_bytes());
    push_key(&mut path, format!("\"{}\"", "k".repeat(1 << 20)).as_bytes());
    let long = "k".repeat(MAX_KEY_CHARS - 1);
    assert_eq!(path, format!(r#"["a\nb\u{{202e}}"].{long}…"#));
}
