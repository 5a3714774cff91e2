//! For any description, the pipeline returns source or an error.

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use crate::support::{content, document, ok, reference, written};
use octowire_codegen::document::pointer;

/// A valid document with something of everything.
fn valid() -> Value {
    let label = json!({ "type": "object", "required": ["name"], "properties": {
        "name": { "type": "string", "description": "A `name`." },
        "color": { "type": "string", "nullable": true }, "extra": {},
        "state": { "type": "string", "enum": ["+1", "-1", null] },
        "owner": { "oneOf": [{ "type": "integer" }, { "type": "string" }, { "type": "null" }] },
        "parts": { "type": "array", "items": { "anyOf": [
            { "type": "object", "properties": { "id": { "type": "integer" } } },
            { "type": "array", "items": { "type": "number" } },
        ] } },
    } });
    let big = json!({ "allOf": [
        reference("label"), { "type": "object", "properties": { "at": {
            "type": "string", "format": "date-time",
        } }, "additionalProperties": { "type": "boolean" } },
    ] });
    let owner = json!({ "name": "owner", "in": "path", "required": true, "schema": {
        "type": "string",
    } });
    let page = json!({ "name": "page", "in": "query", "schema": { "type": "integer" } });
    let get = json!({
        "operationId": "issues/list", "tags": ["issues"], "summary": "List",
        "description": "Text.\n\n```json\n{}\n```", "deprecated": true,
        "externalDocs": { "url": "https://docs.github.com/rest/issues" },
        "parameters": [owner, page],
        "responses": {
            "200": content(json!({ "type": "array", "items": reference("big") })), "304": {},
        },
    });
    let post = json!({
        "operationId": "issues/create", "tags": ["issues"], "parameters": [owner],
        "servers": [{ "url": "https://uploads.github.com" }], "requestBody": content(reference("label")),
        "responses": { "200": content(reference("label")), "201": content(reference("big")), "204": {} },
    });
    let labeled = json!({ "type": "object", "required": ["action", "sender"], "properties": {
        "action": { "type": "string", "enum": ["labeled"] }, "label": reference("label"),
        "sender": { "type": "object", "required": ["id", "login"], "properties": {
            "id": { "type": "integer" }, "login": { "type": "string" },
        } },
    } });
    let mut document = document(
        json!({ "/{owner}/issues": { "get": get, "post": post } }),
        json!({ "label": label, "big": big, "webhook-issues-labeled": labeled }),
    );
    document["x-webhooks"] = json!({ "issues-labeled": { "post": {
        "summary": "Something happened.", "description": "To a label.",
        "externalDocs": { "url": "https://docs.github.com/webhooks" },
        "requestBody": content(reference("webhook-issues-labeled")),
        "x-github": { "subcategory": "issues" },
    } } });
    document
}

/// The JSON Pointers of all nodes of a description.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    let mut inner = |key: &str, value: &Value| {
        pointers(value, &format!("{at}{}", pointer(&[key])), found);
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| inner(key, value)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| inner(&index.to_string(), value));
        }
        _ => {}
    }
}

#[derive(Debug, Clone)]
enum Mutation {
    Remove,
    Replace(Value),
    /// By another node of the document.
    Move(Index),
    /// A member that was not there.
    Add(&'static str, Value),
}

fn values() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!(null),
        json!(true),
        json!(0),
        json!(-1.5),
        json!(""),
        json!("x"),
        json!("é\r\n\"\\"),
        json!([]),
        json!({}),
        json!([null]),
        json!({ "": 1 }),
        json!({ "type": "null" }),
        json!({ "type": ["string", "null"] }),
        json!({ "type": "object", "properties": { "": {} } }),
        json!({ "enum": [] }),
        json!({ "enum": [1, "a"] }),
        json!({ "type": "string", "enum": [""] }),
        json!({ "oneOf": [] }),
        json!({ "allOf": [] }),
        json!({ "allOf": [1] }),
        json!({ "type": "array" }),
        reference("label"),
        reference("absent"),
        json!({ "allOf": [{ "type": "string" }], "nullable": true }),
        json!({ "$ref": 7 }),
    ])
}

fn mutations() -> impl Strategy<Value = Mutation> {
    let keys = vec![
        "$ref",
        "type",
        "enum",
        "oneOf",
        "anyOf",
        "nullable",
        "properties",
        "items",
        "required",
        "additionalProperties",
        "format",
        "name",
        "in",
        "schema",
        "content",
        "tags",
    ];
    prop_oneof![
        2 => Just(Mutation::Remove),
        3 => values().prop_map(Mutation::Replace),
        2 => any::<Index>().prop_map(Mutation::Move),
        2 => (prop::sample::select(keys), values()).prop_map(|(key, value)| Mutation::Add(key, value)),
    ]
}

fn mutate(document: &mut Value, at: &Index, mutation: Mutation) {
    let mut nodes = Vec::new();
    pointers(document, "", &mut nodes);
    let at = at.get(&nodes).clone();
    let value = match mutation {
        Mutation::Remove => {
            let Some((parent, last)) = at.rsplit_once('/') else { return };
            match document.pointer_mut(parent) {
                Some(Value::Object(map)) => {
                    map.shift_remove(&last.replace("~1", "/").replace("~0", "~"));
                }
                Some(Value::Array(items)) => {
                    items.remove(last.parse().expect("an index"));
                }
                _ => {}
            }
            return;
        }
        Mutation::Add(key, value) => {
            if let Some(map) = document.pointer_mut(&at).and_then(Value::as_object_mut) {
                map.insert(key.to_owned(), value);
            }
            return;
        }
        Mutation::Replace(value) => value,
        Mutation::Move(from) => {
            document.pointer(from.get(&nodes).as_str()).cloned().unwrap_or_default()
        }
    };
    if let Some(node) = document.pointer_mut(&at) {
        *node = value;
    }
}

#[test]
fn the_description_that_is_mutated_is_valid() {
    crate::write::parsed(&ok(written(&valid())));
}

fn mutated() -> impl Strategy<Value = Value> {
    let mutations = prop::collection::vec((any::<Index>(), mutations()), 1..4);
    mutations.prop_map(|mutations| {
        let mut document = valid();
        for (at, mutation) in mutations {
            mutate(&mut document, &at, mutation);
        }
        document
    })
}

/// Enough for a few seconds; a longer search sets `PROPTEST_CASES`.
fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: cases.unwrap_or(200), failure_persistence: None, ..Default::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_mutation_makes_the_pipeline_panic(document in mutated()) {
        drop(written(&document));
    }

    #[test]
    fn any_mutated_description_generates_valid_rust_or_an_error(document in mutated()) {
        prop_assert_eq!(crate::write::flaw(&written(&document)), None);
    }

    #[test]
    fn every_error_of_a_mutation_names_a_json_pointer(document in mutated()) {
        if let Err(error) = written(&document) {
            prop_assert!(error.pointer.is_empty() || error.pointer.starts_with('/'), "{}", error);
        }
    }
}
