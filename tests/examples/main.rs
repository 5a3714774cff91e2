//! Every response example of GitHub's document decodes into the type that its
//! operation answers, and encodes again without losing a property that the
//! document names.

mod broken;
mod compare;
mod document;
mod nulls;
mod recordings;
mod requests;
mod unions;

use std::collections::BTreeSet;
use std::fmt::Debug;

use compare::missing;
use document::{Document, Example};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// The outcome of a body.
struct Decoded {
    /// It, encoded again.
    again: Value,
    /// The unions in it that are raw JSON, since no variant fits.
    raw: Vec<String>,
}

/// Decodes a body into the operation's type, and encodes it again.
fn decode(operation: &str, body: &[u8]) -> Option<serde_json::Result<Decoded>> {
    Some(include!(concat!(env!("OUT_DIR"), "/decoders.rs")))
}

fn round_trip<T: DeserializeOwned + Serialize + Debug>(body: &[u8]) -> serde_json::Result<Decoded> {
    let value: T = serde_json::from_slice(body)?;
    let shown = format!("{value:?}");
    let kinds = ["Object", "Array", "String", "Number", "Bool", "Null"];
    let raw = shown.match_indices("Other(").filter(|(at, found)| {
        let rest = &shown[at + found.len()..];
        kinds.iter().any(|kind| rest.starts_with(kind))
    });
    let raw = raw.map(|(at, _)| shown[at..].chars().take(300).collect()).collect();
    Ok(Decoded { again: serde_json::to_value(&value)?, raw })
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
fn no_property_that_the_description_names_is_lost_on_the_way() {
    let document = Document::read();
    let mut lost = Vec::new();
    let mut compared = 0;
    for example in &document.examples() {
        let body = serde_json::to_vec(&example.body).unwrap();
        let Some(Ok(again)) = decode(&example.operation, &body) else { continue };
        compared += 1;
        missing(&example.body, &again.again, "$", &mut |path| {
            if document.names(example, path) {
                lost.push(format!("{} {path}", example.name()));
            }
        });
    }
    println!("examples compared: {compared}");
    assert!(lost.is_empty(), "{} properties are lost: {lost:#?}", lost.len());
}

#[test]
fn the_examples_are_those_of_the_description() {
    let count = Document::read().examples().len();
    assert!(count >= 1_000, "only {count} examples were found");
    let Example { operation, .. } = &Document::read().examples()[0];
    assert!(operation.contains('/'));
}
