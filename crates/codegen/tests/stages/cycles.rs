//! Schemas that contain themselves: at each kind of place there is source or an error, and no end of the
//! process.

use serde_json::{Map, Value, json};

use crate::support::{
    alone, assert_contains, fails, openapi, reference, with_body_and_response, written,
};
use octowire_codegen::{cycles, overlay};

/// A schema that contains others at some place, and whether it can contain itself there.
type Nesting = (&'static str, bool, fn(&Value) -> Value);

const NESTINGS: [Nesting; 14] = [
    ("a reference", false, |of| of.clone()),
    ("allOf", false, |of| json!({ "allOf": [of] })),
    ("allOf with more", false, |of| json!({ "allOf": [of, { "properties": { "b": {} } }] })),
    ("allOf twice", false, |of| json!({ "allOf": [of, of] })),
    ("oneOf", false, |of| json!({ "oneOf": [of] })),
    ("oneOf with more", false, |of| json!({ "oneOf": [of, { "type": "string" }] })),
    ("oneOf twice", false, |of| json!({ "oneOf": [of, of, { "type": "string" }] })),
    ("anyOf", false, |of| json!({ "anyOf": [of, { "type": "integer" }] })),
    ("not", false, |of| json!({ "type": "object", "not": of })),
    ("items", false, |of| json!({ "type": "array", "items": of })),
    ("nullable", false, |of| json!({ "allOf": [of], "nullable": true })),
    ("a property", true, |of| json!({ "type": "object", "properties": { "a": of } })),
    (
        "a property that is a union",
        true,
        |of| json!({ "type": "object", "properties": { "a": { "oneOf": [of, { "type": "string" }] } } }),
    ),
    ("additionalProperties", true, |of| json!({ "type": "object", "additionalProperties": of })),
];

#[test]
fn schemas_that_consist_of_themselves_are_an_error() {
    alone("cycles::schemas_that_consist_of_themselves_are_an_error", || {
        for (name, is_fine, make) in NESTINGS {
            let (a, b) = (reference("a"), reference("b"));
            for schemas in [
                json!({ "a": make(&a) }),
                json!({ "a": make(&b), "b": make(&a) }),
                json!({ "a": make(&b), "b": a }),
                json!({ "a": b, "b": { "allOf": [make(&a), { "properties": { "c": {} } }] } }),
            ] {
                let document = with_body_and_response(reference("a"), schemas);
                let checked = cycles::check(&document);
                assert_eq!(checked.is_ok(), is_fine, "{name}: {checked:?} of {document}");
                match written(&document) {
                    Ok(_) => assert!(is_fine, "{name}"),
                    Err(error) if is_fine => assert_ne!(error.stage, "load", "{name}: {error}"),
                    Err(error) => assert_contains(error, "contains itself"),
                }
            }
        }
    });
}

#[test]
fn a_recursive_schema_is_named() {
    let circle = json!({ "allOf": [reference("b")] });
    let document = with_body_and_response(json!({}), json!({ "a": reference("b"), "b": circle }));
    let message = fails(cycles::check(&document), "load", "/components/schemas/b");
    assert_eq!(message, "the schema contains itself");
}

/// Two to the 60th parts, without a circle.
#[test]
fn schemas_that_double_at_each_step_are_an_error() {
    alone("cycles::schemas_that_double_at_each_step_are_an_error", || {
        let within: [fn(Value) -> Value; 4] = [
            |of| json!({ "allOf": [of, { "allOf": [of] }] }),
            |of| json!({ "oneOf": [of, { "oneOf": [of, { "type": "string" }] }] }),
            |of| {
                let part = json!({ "allOf": [of, {}] });
                json!({ "type": "object", "properties": { "a": part, "b": part } })
            },
            |of| {
                let part = json!({ "allOf": [of, { "properties": { "c": {} } }] });
                json!({ "type": "array", "items": { "properties": { "a": part, "b": part } } })
            },
        ];
        for (place, make) in within.iter().enumerate() {
            for steps in [25, 60] {
                let step = |at: usize| (format!("c{at}"), make(reference(&format!("c{}", at + 1))));
                let mut schemas: Map<String, Value> = (0..steps).map(step).collect();
                schemas.insert(format!("c{steps}"), json!({ "type": "object" }));
                let error = written(&with_body_and_response(reference("c0"), schemas.into()));
                let error = error.expect_err("too many");
                assert!(["load", "normalize"].contains(&error.stage), "{place}: {error}");
            }
        }
    });
}

#[test]
fn a_chain_of_references_is_followed_without_recursion() {
    alone("cycles::a_chain_of_references_is_followed_without_recursion", || {
        let link = |at: usize, to: usize| (format!("c{at}"), reference(&format!("c{to}")));
        let mut schemas: Map<String, Value> = (0..50_000).map(|at| link(at, at + 1)).collect();
        schemas.insert("c50000".to_owned(), json!({ "type": "string" }));
        let document = with_body_and_response(reference("c0"), schemas.clone().into());
        assert!(cycles::check(&document).is_ok());
        drop(written(&document));
        let (last, first) = link(50_000, 0);
        schemas.insert(last, first);
        let document = with_body_and_response(reference("c0"), schemas.into());
        assert_contains(cycles::check(&document).expect_err("a circle"), "contains itself");
    });
}

/// An overlay of a few lines that expands beyond the memory, or nests more deeply than
/// there is stack.
#[test]
fn an_overlay_cannot_grow_or_nest_without_bound() {
    alone("cycles::an_overlay_cannot_grow_or_nest_without_bound", || {
        let mut laughs =
            "overlay: 1.0.0\nactions:\n- target: $\n  description: x\n  update:\n".to_owned();
        laughs.push_str("    a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for at in 1..20 {
            let again = vec![format!("*a{}", at - 1); 10].join(", ");
            laughs.push_str(&format!("    a{at}: &a{at} [{again}]\n"));
        }
        let error = fails(overlay::parse(&laughs), "overlay", "");
        assert_contains(error, "repetition limit exceeded");
        let deep = format!(
            "overlay: 1.0.0\nactions:\n- target: $\n  description: x\n  update: {}1{}\n",
            "[".repeat(2_000),
            "]".repeat(2_000)
        );
        let error = fails(overlay::parse(&deep), "overlay", "");
        assert_contains(error, "recursion limit exceeded");
    });
}

#[test]
fn the_vendored_document_has_no_circle() {
    let text = std::fs::read(openapi().join("api.github.com.json")).expect("the document");
    let document: Value = serde_json::from_slice(&text).expect("JSON");
    assert_eq!(cycles::check(&document), Ok(()));
}

/// The size of a record depends on those of its fields, and so on.
#[test]
fn a_chain_of_records_does_not_exhaust_the_stack() {
    alone("cycles::a_chain_of_records_does_not_exhaust_the_stack", || {
        let record = |at: usize| {
            let next = reference(&format!("c{}", at + 1));
            let object =
                json!({ "type": "object", "required": ["next"], "properties": { "next": next } });
            (format!("c{at}"), object)
        };
        let mut schemas: Map<String, Value> = (0..4_000).map(record).collect();
        schemas.insert("c4000".to_owned(), json!({ "type": "string" }));
        let source = written(&with_body_and_response(reference("c0"), schemas.into()));
        assert_contains(crate::support::ok(source), "pub struct C3999 {");
    });
}
