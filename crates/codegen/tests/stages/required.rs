//! Stage 3: response properties are required only if every supported version requires them.

use serde_json::{Value, json};

use crate::documents::uncorrected;
use crate::support::{
    assert_contains, fails, lowered, ok, openapi, with_body_and_response, with_response,
};
use octowire_codegen::required::{NOT_REQUIRED, parse, read, relax, relax_marked};

fn label() -> Value {
    json!({ "label": {
        "type": "object",
        "properties": { "id": { "type": "integer" }, "name": { "type": "string" } },
        "required": ["id", "name"],
    } })
}

const NAME: &str = "# A comment.\n/components/schemas/label\tname\t16.0.0, 20.0.0, ghes-3.17\n";

fn reference() -> Value {
    json!({ "$ref": "#/components/schemas/label" })
}

#[test]
fn a_property_optional_in_another_version_is_an_option_in_responses() {
    let mut document = with_response(reference(), label());
    relax(&mut document, &ok(parse(NAME)));
    assert_eq!(document["components"]["schemas"]["label"]["required"], json!(["id"]));
}

#[test]
fn a_relaxed_property_is_still_required_in_requests() {
    let mut document = with_body_and_response(reference(), label());
    relax(&mut document, &ok(parse(NAME)));
    let schema = &document["components"]["schemas"]["label"];
    assert_eq!(schema["required"], json!(["id", "name"]));
    assert_eq!(schema[NOT_REQUIRED], json!(["name"]));
    let lowered = ok(lowered(&document));
    let required = |of: &str| -> Vec<String> {
        let fields = crate::support::fields(&lowered, of);
        fields.iter().filter(|field| field.required).map(|field| field.name.clone()).collect()
    };
    assert_eq!(required("Label"), ["id"]);
    assert_eq!(required("LabelInput"), ["id", "name"]);
}

#[test]
fn a_not_required_mark_is_removed_and_relaxes_only_responses() {
    for (is_sent, expected) in [(true, json!(["id", "name"])), (false, json!(["id"]))] {
        let mut schema = json!({ "required": ["id", "name"], NOT_REQUIRED: ["name"] });
        relax_marked(&mut schema, is_sent);
        assert_eq!(schema, json!({ "required": expected }));
    }
}

#[test]
fn a_schema_of_another_document_is_passed_over() {
    let mut document = with_response(reference(), label());
    let before = document.clone();
    relax(&mut document, &ok(parse("/components/schemas/absent\tname\t16.0.0\n")));
    assert_eq!(document, before);
}

#[test]
fn a_line_that_cannot_be_read_is_named() {
    for text in ["/a\tb\n", "a\tb\tc\n", "# x\n/a\t\tc\n", "/a\tb\tc\td\n"] {
        let message = fails(parse(text), "required", "");
        assert_contains(
            message,
            "of not-required.tsv: expected `schema`, `property` and `versions`",
        );
    }
}

#[test]
fn every_line_of_the_file_is_about_the_vendored_description() {
    let document = uncorrected();
    let lines = ok(read(&openapi().join("not-required.tsv")));
    for line in &lines {
        let schema = document.pointer(&line.schema);
        let required = schema.and_then(|schema| schema["required"].as_array());
        let is_required =
            required.is_some_and(|names| names.iter().any(|name| *name == line.property.as_str()));
        assert!(is_required, "{} of {}: write the file again", line.property, line.schema);
        assert!(!line.versions.is_empty());
    }
    println!("properties that not every version requires: {}", lines.len());
    assert!(lines.len() > 20);
}
