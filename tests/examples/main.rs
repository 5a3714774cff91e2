//! Every response example of GitHub's document decodes into the type that its
//! operation answers, and encodes again without losing a property that the
//! document names.

mod broken;
mod document;

use std::collections::BTreeSet;

use document::{Document, Example};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// Decodes a body into the operation's type, and encodes it again.
fn decode(operation: &str, body: &[u8]) -> Option<serde_json::Result<Value>> {
    Some(include!(concat!(env!("OUT_DIR"), "/decoders.rs")))
}

fn round_trip<T: DeserializeOwned + Serialize>(body: &[u8]) -> serde_json::Result<Value> {
    serde_json::to_value(serde_json::from_slice::<T>(body)?)
}

#[test]
fn every_response_example_decodes_but_those_that_are_broken_themselves() {
    let document = Document::read();
    let examples = document.examples();
    let mut failures = BTreeSet::new();
    let mut decoded = 0;
    let mut report = String::new();
    for example in &examples {
        let body = serde_json::to_vec(&example.body).unwrap();
        match decode(&example.operation, &body) {
            None => panic!("{} answers JSON, but has no type for it", example.operation),
            Some(Ok(_)) => decoded += 1,
            Some(Err(error)) => {
                report += &format!("{}: {error}\n", example.name());
                failures.insert(example.name());
            }
        }
    }
    println!("examples decoded: {decoded} of {}", examples.len());
    let broken: BTreeSet<String> =
        broken::EXAMPLES.iter().map(|(name, _)| (*name).to_owned()).collect();
    let unexpected: Vec<&String> = failures.difference(&broken).collect();
    assert!(unexpected.is_empty(), "these do not decode: {unexpected:#?}\n{report}");
    let mended: Vec<&String> = broken.difference(&failures).collect();
    assert!(mended.is_empty(), "these decode now, so they are not broken: {mended:#?}");
    assert!(broken.len() < 25, "{} examples are called broken", broken.len());
}

#[test]
fn no_property_that_the_document_names_is_lost_on_the_way() {
    let document = Document::read();
    let mut lost = Vec::new();
    let mut compared = 0;
    for example in &document.examples() {
        let body = serde_json::to_vec(&example.body).unwrap();
        let Some(Ok(again)) = decode(&example.operation, &body) else { continue };
        compared += 1;
        missing(&example.body, &again, "$", &mut |path| {
            if document.names(example, path) {
                lost.push(format!("{} {path}", example.name()));
            }
        });
    }
    println!("examples compared: {compared}");
    assert!(lost.is_empty(), "{} properties are lost: {lost:#?}", lost.len());
}

/// Calls `report` with the JSON path of all that is in `original` but not, or
/// not as it was, in `again`.
fn missing(original: &Value, again: &Value, path: &str, report: &mut impl FnMut(&str)) {
    match (original, again) {
        (Value::Object(original), Value::Object(again)) => {
            for (name, value) in original {
                let path = format!("{path}.{name}");
                match again.get(name) {
                    Some(again) => missing(value, again, &path, report),
                    // `null` and nothing are the same to a reader, and so is an empty list.
                    None if is_nothing(value) => {}
                    None => report(&path),
                }
            }
        }
        (Value::Array(original), Value::Array(again)) if original.len() == again.len() => {
            for (index, (original, again)) in original.iter().zip(again).enumerate() {
                missing(original, again, &format!("{path}[{index}]"), report);
            }
        }
        _ if is_nothing(original) && is_nothing(again) => {}
        _ if same(original, again) => {}
        _ => report(path),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(properties) => properties.is_empty(),
        _ => false,
    }
}

/// Equal, or the same number or the same time written in another way.
fn same(original: &Value, again: &Value) -> bool {
    if original == again {
        return true;
    }
    match (original, again) {
        (Value::Number(original), Value::Number(again)) => original.as_f64() == again.as_f64(),
        (Value::String(original), Value::String(again)) => {
            let time = |text: &str| chrono::DateTime::parse_from_rfc3339(text).ok();
            time(original).is_some() && time(original) == time(again)
        }
        _ => false,
    }
}

#[test]
fn a_lost_property_is_reported_by_its_path() {
    let original = serde_json::json!({ "a": [{ "b": 1, "c": null }], "d": "2011-01-26T19:01:12Z" });
    let again = serde_json::json!({ "a": [{}], "d": "2011-01-26T20:01:12+01:00" });
    let mut paths = Vec::new();
    missing(&original, &again, "$", &mut |path| paths.push(path.to_owned()));
    assert_eq!(paths, ["$.a[0].b"]);
}

#[test]
fn the_examples_are_those_of_the_document() {
    let count = Document::read().examples().len();
    assert!(count >= 1_000, "only {count} examples were found");
    let Example { operation, .. } = &Document::read().examples()[0];
    assert!(operation.contains('/'));
}
