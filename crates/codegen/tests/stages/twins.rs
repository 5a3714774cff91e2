//! Stage 2: a property nullable in one schema is nullable in all schemas of the same object.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::documents::vendored;
use crate::support::{document, ok, openapi};
use octowire_codegen::overlay;
use octowire_codegen::twins::{objects, spread_nullable, twins_of};

/// An object of these properties, which are texts but for `last`.
fn object(names: &[&str], last: Option<(&str, Value)>) -> Value {
    let mut properties: serde_json::Map<String, Value> =
        names.iter().map(|name| ((*name).to_owned(), json!({ "type": "string" }))).collect();
    properties.extend(last.map(|(name, schema)| (name.to_owned(), schema)));
    json!({ "type": "object", "properties": properties })
}

const TEN: [&str; 10] = ["id", "url", "title", "body", "state", "user", "labels", "head", "a", "b"];

fn twins(schemas: Value, property: &str) -> Vec<String> {
    let document = document(json!({}), schemas);
    let objects = objects(&document);
    twins_of(&document, &objects, property)
}

#[test]
fn large_objects_with_the_same_properties_are_twins_under_any_name() {
    let schemas = json!({
        "pull-request": object(&TEN, None),
        "webhooks-pull": object(&TEN[..9], Some(("draft", json!({ "type": "boolean" })))),
        "issue": object(&["id", "url", "title", "body", "c", "d", "e", "f", "g", "h"], None),
    });
    let found = twins(schemas, "/components/schemas/pull-request/properties/title");
    assert_eq!(found, ["/components/schemas/webhooks-pull/properties/title"]);
}

#[test]
fn small_objects_are_twins_only_by_the_same_name() {
    let branch = object(&["label", "ref", "sha"], None);
    let pull = |head: &str, base: &str| {
        object(
            &[],
            Some((
                "parts",
                json!({
                    "type": "object", "properties": { head: branch, base: branch },
                }),
            )),
        )
    };
    let schemas = json!({ "one": pull("head", "base"), "two": pull("head", "other") });
    let property = "/properties/parts/properties/head/properties/label";
    let found = twins(schemas, &format!("/components/schemas/one{property}"));
    assert_eq!(found, [format!("/components/schemas/two{property}")]);
}

#[test]
fn a_property_of_another_type_is_no_twin() {
    let schemas = json!({
        "one": object(&TEN, Some(("owner", json!({ "type": "string" })))),
        "two": object(&TEN, Some(("owner", json!({ "type": "integer" })))),
    });
    assert_eq!(twins(schemas, "/components/schemas/one/properties/owner"), [""; 0]);
}

#[test]
fn request_schemas_stay_exact() {
    let schemas = json!({ "read": object(&TEN, None), "sent": object(&TEN, None) });
    let content =
        json!({ "application/json": { "schema": { "$ref": "#/components/schemas/sent" } } });
    let operation = json!({ "operationId": "tests/send", "requestBody": { "content": content } });
    let mut document = document(json!({ "/x": { "post": operation } }), schemas);
    let title = "/components/schemas/read/properties/title".to_owned();
    spread_nullable(&mut document, &BTreeSet::from([title]));
    let nullable = |name: &str| {
        document["components"]["schemas"][name]["properties"]["title"]["nullable"] == true
    };
    assert!(!nullable("sent"));
}

/// The properties that the overlay allows `null` in, and in their twins, by their JSON pointers.
fn nullable_by_overlay(document: &Value) -> Vec<String> {
    let overlay = ok(overlay::read(&openapi().join("overlay.yaml")));
    let mut pointers = Vec::new();
    for action in &overlay.actions {
        let is_nullable = action.update.as_ref().is_some_and(|update| update["nullable"] == true);
        if is_nullable && action.twins {
            let path = serde_json_path::JsonPath::parse(&action.target).expect("a JSONPath");
            let found = path.query_located(document);
            pointers.extend(found.locations().map(|location| location.to_json_pointer()));
        }
    }
    pointers
}

#[test]
fn twins_of_nullable_properties_are_nullable() {
    let document = vendored();
    let objects = objects(&document);
    let mut disagreeing = Vec::new();
    let mut twins = 0;
    for property in nullable_by_overlay(&document) {
        for twin in twins_of(&document, &objects, &property) {
            twins += 1;
            if document.pointer(&twin).is_none_or(|schema| schema["nullable"] != true) {
                disagreeing.push(format!("{twin} is not nullable, unlike {property}"));
            }
        }
    }
    println!("objects: {}, twins of nullable properties: {twins}", objects.len());
    assert!(twins > 300, "only {twins} twins were found");
    assert!(disagreeing.is_empty(), "{disagreeing:#?}");
}

#[test]
fn a_pull_request_of_a_deleted_fork_fits_wherever_it_is_described() {
    let document = vendored();
    let mut heads = 0;
    for object in objects(&document) {
        let is_head = object.pointer.ends_with("/properties/head");
        let repo = document.pointer(&format!("{}/properties/repo", object.pointer));
        let label = document.pointer(&format!("{}/properties/label", object.pointer));
        for property in [repo, label].into_iter().flatten().filter(|_| is_head) {
            heads += 1;
            assert_eq!(property["nullable"], true, "{}", object.pointer);
        }
    }
    assert!(heads > 50, "only {heads}");
}
