//! Random and malformed descriptions.

use octowire_refresh::drift::{DriftReport, compare, slice};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::small_description::*;

#[test]
fn circles_end() {
    let mut old = small();
    value(&mut old, "/components/schemas")["a"] = json!({ "$ref": "#/components/schemas/b" });
    value(&mut old, "/components/schemas")["b"] = json!({ "allOf": [
        { "$ref": "#/components/schemas/a" }, { "oneOf": [{ "$ref": "#/components/schemas/b" }] }
    ] });
    value(&mut old, "/components/parameters")["p"] = json!({ "$ref": "#/components/parameters/p" });
    push(&mut old, &[GET, "/parameters"].concat(), json!({ "$ref": "#/components/parameters/p" }));
    at!(&mut old, THING, "/properties")["a"] = json!({ "$ref": "#/components/schemas/a" });
    at!(&mut old, THING, "/properties")["lost"] = json!({ "$ref": "#/components/schemas/lost" });
    let mut new = old.clone();
    // The same circle under other names, so that no two components are known to be the same.
    let circle = |next: &str| {
        json!({ "type": "object", "properties": { "next": { "allOf": [
        { "$ref": format!("#/components/schemas/{next}") }, { "type": "object" }
    ] } } })
    };
    value(&mut old, "/components/schemas")["c"] = circle("c");
    value(&mut new, "/components/schemas")["d"] = circle("d");
    at!(&mut old, THING, "/properties")["c"] = json!({ "$ref": "#/components/schemas/c" });
    at!(&mut new, THING, "/properties")["c"] = json!({ "$ref": "#/components/schemas/d" });
    assert!(compare(&old, &new).unwrap().is_empty(), "{}", compare(&old, &new).unwrap());
    value(&mut new, "/components/schemas")["a"] = json!({ "type": "string" });
    assert!(!compare(&old, &new).unwrap().is_empty());
    slice(&old, &["things/get"]).unwrap();
}

#[test]
fn endlessly_nested_descriptions_are_rejected() {
    // More than serde_json reads.
    let nested = |of: &str| {
        let mut schema = json!({ "type": of });
        for level in 0..150 {
            schema = match level % 3 {
                0 => json!({ "type": "object", "properties": { "x": schema } }),
                1 => json!({ "type": "array", "items": schema }),
                _ => json!({ "oneOf": [schema, { "type": "string" }] }),
            };
        }
        let mut document = small();
        at!(&mut document, THING, "/properties")["deep"] = schema;
        document
    };
    // Making such a value takes a deeper stack than comparing it does.
    std::thread::scope(|threads| {
        let deep = std::thread::Builder::new().stack_size(64 << 20);
        let made = deep.spawn_scoped(threads, || {
            let (old, new) = (nested("string"), nested("integer"));
            std::thread::scope(|threads| {
                let shallow = std::thread::Builder::new().stack_size(1 << 20);
                let compared = shallow.spawn_scoped(threads, || compare(&old, &new).unwrap_err());
                let error = compared.unwrap().join().unwrap().to_string();
                assert!(error.contains("more than 127 levels deep"), "{error}");
            });
        });
        made.unwrap().join().unwrap();
    });
}

/// Any JSON, with what schemas are made of among the keys and the values.
fn anything() -> impl Strategy<Value = Value> {
    let keys = [
        "$ref",
        "type",
        "properties",
        "items",
        "allOf",
        "oneOf",
        "anyOf",
        "enum",
        "required",
        "nullable",
        "additionalProperties",
        "format",
        "not",
        "parameters",
        "requestBody",
        "responses",
        "content",
        "schema",
        "200",
        "application/json",
        "operationId",
        "x-github",
        "x-github-breaking-changes",
        "in",
        "name",
        "tags",
        "headers",
        "a",
        "nullable-a",
    ];
    let key = prop::sample::select(keys.to_vec());
    let words = [
        "#/components/schemas/a",
        "#/components/schemas/nullable-a",
        "#",
        "#/",
        "#/paths",
        "string",
        "object",
        "array",
        "null",
        "query",
        "path",
        "",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::sample::select(words.to_vec()).prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6).prop_map(|entries| {
                entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
            }),
        ]
    })
}

fn document() -> impl Strategy<Value = Value> {
    (anything(), anything(), anything(), anything()).prop_map(|(get, post, hook, a)| {
        json!({
            "openapi": "3.0.3",
            "paths": { "/a/{b}": { "get": get, "post": post } },
            "x-webhooks": { "a": { "post": hook } },
            "components": { "schemas": { "a": a, "nullable-a": get } }
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_content_of_a_description_ends_a_comparison(old in document(), new in document()) {
        let report = compare(&old, &new).unwrap();
        prop_assert!(report.to_markdown().chars().count() <= DriftReport::MARKDOWN_LIMIT);
        prop_assert!(compare(&old, &old).unwrap().is_empty());
        let ids: Vec<&str> = ["a"].to_vec();
        let slices = (slice(&old, &ids).unwrap(), slice(&new, &ids).unwrap());
        compare(&slices.0, &slices.1).unwrap();
    }

    #[test]
    fn nothing_at_all_ends_a_comparison(old in anything(), new in anything()) {
        let _ = compare(&old, &new);
        let _ = slice(&old, &["a"]);
    }
}
