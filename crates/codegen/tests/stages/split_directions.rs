//! Stage 6: response schemas and request schemas.

use serde_json::{Value, json};

use crate::support::{
    body, fails, field, lowered, ok, reference, response_schema, schema, split, split_document,
    with_body, with_body_and_response, with_response,
};
use octowire_codegen::hints::{Discriminator, FieldHints, HintTable, ValueTable};
use octowire_codegen::split_directions::split_directions;

fn label() -> Value {
    json!({ "type": "object", "required": ["name"], "properties": {
        "name": { "type": "string", "description": "Its name." },
        "color": { "type": "string", "nullable": true },
        "aliases": { "type": "array", "items": { "type": "string" } },
    } })
}

#[track_caller]
fn hints<'a>(table: &'a HintTable, component: &str, property: &str) -> &'a FieldHints {
    table.get(component, property).expect("hints of the property")
}

#[test]
fn a_schema_of_requests_and_responses_is_copied() {
    let done = ok(split_document(&with_body_and_response(
        reference("label"),
        json!({ "label": label() }),
    )));
    assert_eq!(response_schema(&done), &reference("label"));
    assert_eq!(body(&done), &reference("label-input"));
    assert_eq!(schema(&done, "label")["required"], schema(&done, "label-input")["required"]);
}

#[test]
fn a_request_only_schema_has_the_input_suffix() {
    let schemas = json!({ "label": label() });
    let read = ok(split_document(&with_response(reference("label"), schemas.clone())));
    assert!(schema(&read, "label").is_object() && schema(&read, "label-input").is_null());
    let sent = ok(split_document(&with_body(reference("label"), schemas)));
    assert!(schema(&sent, "label").is_null() && schema(&sent, "label-input").is_object());
}

#[test]
fn a_copy_refers_to_copies() {
    let issue = json!({ "type": "object", "properties": { "labels": {
        "type": "array", "items": reference("label"),
    } } });
    let schemas = json!({ "issue": issue, "label": label() });
    let done = ok(split_document(&with_body_and_response(reference("issue"), schemas)));
    let items = |name: &str| schema(&done, name)["properties"]["labels"]["items"].clone();
    assert_eq!(items("issue"), reference("label"));
    assert_eq!(items("issue-input"), reference("label-input"));
}

#[test]
fn request_schemas_refer_to_request_schemas() {
    let new = json!({ "type": "object", "properties": { "label": reference("label") } });
    let mut document =
        with_body_and_response(reference("label"), json!({ "label": label(), "new": new }));
    document["paths"]["/answer"]["post"]["requestBody"] = crate::support::content(reference("new"));
    let done = ok(split_document(&document));
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
    let done = ok(split_document(&with_body_and_response(reference("label"), schemas)));
    let read = &schema(&done, "label")["properties"]["other"]["allOf"][0]["$ref"];
    let read = read.as_str().expect("a reference").trim_start_matches("#/components/schemas/");
    assert!(schema(&done, read)["properties"]["other"]["type"] == "integer", "{done:#}");
}

#[test]
fn a_property_called_input_is_no_copy() {
    let label = json!({ "type": "object", "properties": {
        "input": { "type": "string", "enum": ["a", "b"] },
    } });
    let done =
        ok(split_document(&with_body_and_response(reference("label"), json!({ "label": label }))));
    let read = &schema(&done, "label")["properties"]["input"]["allOf"][0]["$ref"];
    let read = read.as_str().expect("a reference").trim_start_matches("#/components/schemas/");
    assert_eq!(schema(&done, read)["enum"], json!(["a", "b"]), "{done:#}");
}

#[test]
fn the_hints_of_properties_have_their_order() {
    let split = ok(split(&with_response(reference("label"), json!({ "label": label() }))));
    for (order, name) in ["name", "color", "aliases"].into_iter().enumerate() {
        assert_eq!(hints(&split.hints, "label", name).order, order, "{name}");
    }
    let properties = &schema(&split.document, "label")["properties"];
    assert_eq!(properties["name"]["description"], "Its name.");
    assert!(properties["color"].get("description").is_none());
}

#[test]
fn the_hints_of_properties_say_whether_they_are_nullable() {
    let split = ok(split(&with_body(reference("label"), json!({ "label": label() }))));
    let is_nullable = |name: &str| hints(&split.hints, "label-input", name).nullable;
    assert!(is_nullable("color"));
    assert!(!is_nullable("name"));
    // An optional list may be left out, but `null` is not sent for it.
    assert!(!is_nullable("aliases"));
}

#[test]
fn hints_are_found_by_the_name_of_the_type() {
    let mut table = HintTable::default();
    let first = FieldHints { order: 3, nullable: true, ..FieldHints::default() };
    table.insert("webhook-issue_comment.2fa", "created at", first.clone());
    table.insert("other", "created at", FieldHints::default());
    for name in ["webhook-issue_comment.2fa", "WebhookIssueComment2fa"] {
        assert_eq!(table.get(name, "created at"), Some(&first), "{name}");
        assert_eq!(table.get(name, "created_at"), None);
    }
    assert_eq!(table.get("Absent", "created at"), None);
}

/// Characters that no name has are nothing special in a description.
#[test]
fn a_description_is_not_taken_for_hints() {
    let text = "\u{E010}7n\u{E011}Its name.";
    let mut label = label();
    label["properties"]["name"]["description"] = json!(text);
    let api = ok(lowered(&with_response(reference("label"), json!({ "label": label }))));
    let name = field(&api, "Label", "name");
    assert_eq!((name.doc.as_str(), name.order, name.nullable), (text, 0, false));
}

#[test]
fn a_discriminator_becomes_a_hint() {
    let mut label = label();
    label["properties"]["name"]["x-octowire-discriminator"] =
        json!({ "property": "color", "mapping": { "PushEvent": "push-event", "ignored": 7 } });
    let split = ok(split(&with_response(reference("label"), json!({ "label": label }))));
    let expected = Discriminator {
        property: "color".to_owned(),
        variants: vec![("PushEvent".to_owned(), "push-event".to_owned())],
    };
    assert_eq!(hints(&split.hints, "label", "name").discriminator, Some(expected));
    let name = &schema(&split.document, "label")["properties"]["name"];
    assert!(name.get("x-octowire-discriminator").is_none());
}

#[test]
fn an_optional_list_that_is_sent_may_be_left_out() {
    let map = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    let mut label = label();
    label["properties"]["map"] = map;
    label["required"] = json!(["name"]);
    let sent = ok(split_document(&with_body(reference("label"), json!({ "label": label }))));
    let read = ok(split_document(&with_response(reference("label"), json!({ "label": label }))));
    for list in ["aliases", "map"] {
        assert_eq!(schema(&sent, "label-input")["properties"][list]["nullable"], true, "{list}");
        assert!(schema(&read, "label")["properties"][list].get("nullable").is_none());
    }
    label["required"] = json!(["aliases"]);
    let sent = ok(split_document(&with_body(reference("label"), json!({ "label": label }))));
    assert!(schema(&sent, "label-input")["properties"]["aliases"].get("nullable").is_none());
}

#[test]
fn a_reference_to_nothing_is_an_error() {
    let mut document = with_response(reference("absent"), json!({}));
    let message = fails(
        split_directions(&mut document, &ValueTable::new()),
        "split_directions",
        "/components/schemas/absent",
    );
    crate::support::assert_contains(message, "unresolved `$ref`");
}

#[test]
fn a_description_without_components_stays_as_it_is() {
    let mut document = json!({ "openapi": "3.0.3", "paths": {} });
    ok(split_directions(&mut document, &ValueTable::new()));
    assert_eq!(document["paths"], json!({}));
}
