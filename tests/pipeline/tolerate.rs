//! Stage 6: response schemas and request schemas.

use serde_json::{Value, json};

use crate::build::tolerate::{Discriminator, FieldHints, split_read_write};
use crate::support::{
    answer, answering, body, exchanging, fails, ok, reference, schema, taking, tolerated,
};

fn label() -> Value {
    json!({ "type": "object", "required": ["name"], "properties": {
        "name": { "type": "string", "description": "Its name." },
        "color": { "type": "string", "nullable": true },
        "aliases": { "type": "array", "items": { "type": "string" } },
    } })
}

fn mark(property: &Value) -> (FieldHints, &str) {
    FieldHints::read(property["description"].as_str().expect("a description"))
}

#[test]
fn a_schema_of_requests_and_responses_is_copied() {
    let done = ok(tolerated(&exchanging(reference("label"), json!({ "label": label() }))));
    assert_eq!(answer(&done), &reference("label"));
    assert_eq!(body(&done), &reference("label-input"));
    assert_eq!(schema(&done, "label")["required"], schema(&done, "label-input")["required"]);
}

#[test]
fn a_request_only_schema_has_the_input_suffix() {
    let schemas = json!({ "label": label() });
    let read = ok(tolerated(&answering(reference("label"), schemas.clone())));
    assert!(schema(&read, "label").is_object() && schema(&read, "label-input").is_null());
    let sent = ok(tolerated(&taking(reference("label"), schemas)));
    assert!(schema(&sent, "label").is_null() && schema(&sent, "label-input").is_object());
}

#[test]
fn a_copy_refers_to_copies() {
    let issue = json!({ "type": "object", "properties": { "labels": {
        "type": "array", "items": reference("label"),
    } } });
    let schemas = json!({ "issue": issue, "label": label() });
    let done = ok(tolerated(&exchanging(reference("issue"), schemas)));
    let items = |name: &str| schema(&done, name)["properties"]["labels"]["items"].clone();
    assert_eq!(items("issue"), reference("label"));
    assert_eq!(items("issue-input"), reference("label-input"));
}

#[test]
fn request_schemas_refer_to_request_schemas() {
    let new = json!({ "type": "object", "properties": { "label": reference("label") } });
    let mut document = exchanging(reference("label"), json!({ "label": label(), "new": new }));
    document["paths"]["/answer"]["post"]["requestBody"] = crate::support::content(reference("new"));
    let done = ok(tolerated(&document));
    let sent = &schema(&done, "new-input")["properties"]["label"]["allOf"][0];
    assert_eq!(sent, &reference("label-input"));
    assert_eq!(body(&done), &reference("new-input"));
}

#[test]
fn a_copy_never_takes_the_place_of_another_component() {
    let other = json!({ "type": "object", "properties": { "other": { "type": "integer" } } });
    let label = json!({ "type": "object", "properties": {
        "name": { "type": "string" }, "other": reference("label-input"),
    } });
    let schemas = json!({ "label": label, "label-input": other });
    let done = ok(tolerated(&exchanging(reference("label"), schemas)));
    let read = &schema(&done, "label")["properties"]["other"]["allOf"][0]["$ref"];
    let read = read.as_str().expect("a reference").trim_start_matches("#/components/schemas/");
    assert!(schema(&done, read)["properties"]["other"]["type"] == "integer", "{done:#}");
}

#[test]
fn a_property_called_input_is_no_copy() {
    let label = json!({ "type": "object", "properties": {
        "input": { "type": "string", "enum": ["a", "b"] },
    } });
    let done = ok(tolerated(&exchanging(reference("label"), json!({ "label": label }))));
    let read = &schema(&done, "label")["properties"]["input"]["allOf"][0]["$ref"];
    let read = read.as_str().expect("a reference").trim_start_matches("#/components/schemas/");
    assert_eq!(schema(&done, read)["enum"], json!(["a", "b"]), "{done:#}");
}

#[test]
fn properties_are_marked_with_their_order() {
    let done = ok(tolerated(&answering(reference("label"), json!({ "label": label() }))));
    let properties = &schema(&done, "label")["properties"];
    for (order, name) in ["name", "color", "aliases"].into_iter().enumerate() {
        assert_eq!(mark(&properties[name]).0.order, order, "{name}");
    }
    assert_eq!(mark(&properties["name"]).1, "Its name.");
}

#[test]
fn properties_are_marked_as_nullable() {
    let done = ok(tolerated(&taking(reference("label"), json!({ "label": label() }))));
    let properties = &schema(&done, "label-input")["properties"];
    assert!(mark(&properties["color"]).0.nullable);
    assert!(!mark(&properties["name"]).0.nullable);
    // An optional list may be left out, but `null` is not sent for it.
    assert!(!mark(&properties["aliases"]).0.nullable);
}

#[test]
fn an_optional_list_that_is_sent_may_be_left_out() {
    let map = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    let mut label = label();
    label["properties"]["map"] = map;
    label["required"] = json!(["name"]);
    let sent = ok(tolerated(&taking(reference("label"), json!({ "label": label }))));
    let read = ok(tolerated(&answering(reference("label"), json!({ "label": label }))));
    for list in ["aliases", "map"] {
        assert_eq!(schema(&sent, "label-input")["properties"][list]["nullable"], true, "{list}");
        assert!(schema(&read, "label")["properties"][list].get("nullable").is_none());
    }
    label["required"] = json!(["aliases"]);
    let sent = ok(tolerated(&taking(reference("label"), json!({ "label": label }))));
    assert!(schema(&sent, "label-input")["properties"]["aliases"].get("nullable").is_none());
}

#[test]
fn a_mark_is_distinguished_from_a_description() {
    for text in ["", "A description.", "12n", "\u{E010}", "\u{E010}x"] {
        assert_eq!(FieldHints::read(text), (FieldHints::default(), text));
    }
    let (mark, text) = FieldHints::read(" \u{E010}12n\u{E011}Rest\u{E011}.");
    let expected = FieldHints { order: 12, nullable: true, decided_by: None };
    assert_eq!((mark, text), (expected, "Rest\u{E011}."));
    let (mark, text) = FieldHints::read(
        "\u{E010}3{\"property\":\"type\",\"mapping\":{\"PushEvent\":\"push-event\"}}\u{E011}Rest.",
    );
    let decided_by = Some(Discriminator {
        property: "type".to_owned(),
        variants: vec![("PushEvent".to_owned(), "push-event".to_owned())],
    });
    assert_eq!((mark, text), (FieldHints { order: 3, nullable: false, decided_by }, "Rest."));
}

#[test]
fn a_reference_to_nothing_is_an_error() {
    let mut document = answering(reference("absent"), json!({}));
    let message = fails(split_read_write(&mut document), "tolerate", "/components/schemas/absent");
    crate::support::assert_contains(message, "unresolved `$ref`");
}

#[test]
fn a_description_without_components_stays_as_it_is() {
    let mut document = json!({ "openapi": "3.0.3", "paths": {} });
    ok(split_read_write(&mut document));
    assert_eq!(document["paths"], json!({}));
}
