//! Stage 5: bodies, parameters and media types. The tests of schemas are in
//! `schemas.rs`.

use serde_json::{Value, json};

use crate::support::{
    assert_contains, body, content, document, fails, normalized, nullable_reference, ok, reference,
    response_schema, schema, with_body, with_parameters, with_response,
};
use octowire_codegen::normalize::ID_OR_NAME;

/// The normalized output of an operation with these responses.
fn responding(responses: Value) -> Value {
    ok(normalized(&with_responses(responses)))
}

fn with_responses(responses: Value) -> Value {
    let operation =
        json!({ "operationId": "tests/get", "tags": ["tests"], "responses": responses });
    let user = json!({ "type": "object", "properties": { "login": { "type": "string" } } });
    let team = json!({ "type": "object", "properties": { "slug": { "type": "string" } } });
    document(json!({ "/answer": { "get": operation } }), json!({ "user": user, "team": team }))
}

fn parameter_schema(path: &str, location: &str, schema: Value) -> Value {
    let given = json!([{ "name": "x", "in": location, "schema": schema }]);
    let normalized = ok(normalized(&with_parameters(path, given)));
    normalized["paths"][path]["get"]["parameters"][0]["schema"].clone()
}

#[test]
fn a_single_response_body_is_kept_unchanged() {
    let done = responding(json!({ "200": content(reference("user")) }));
    assert_eq!(response_schema(&done), &reference("user"));
}

#[test]
fn several_success_bodies_become_a_union_of_the_operations_name() {
    let done = responding(json!({
        "200": content(reference("user")), "201": content(reference("team")),
    }));
    assert_eq!(response_schema(&done), &reference("tests-get-response"));
    let union = json!({ "oneOf": [reference("user"), reference("team")] });
    assert_eq!(schema(&done, "tests-get-response"), &union);
}

#[test]
fn an_empty_object_beside_a_body_that_reads_it_makes_no_union() {
    let nothing = || content(json!({ "type": "object", "properties": {} }));
    let loose = json!({ "type": "object", "properties": { "list": { "type": "array" } } });
    let strict = json!({
        "type": "object", "required": ["id"], "properties": { "id": { "type": "integer" } },
    });
    let done = responding(json!({ "200": content(loose), "201": nothing() }));
    assert_eq!(response_schema(&done), &nullable_reference("tests-get-response"));
    assert!(schema(&done, "tests-get-response").get("oneOf").is_none());
    let done = responding(json!({ "200": content(strict), "201": nothing() }));
    assert!(schema(&done, "tests-get-response").get("oneOf").is_some());
}

#[test]
fn a_body_that_several_statuses_share_stays_one() {
    let user = content(reference("user"));
    let done = responding(json!({ "200": user, "201": user, "202": user }));
    assert_eq!(response_schema(&done), &reference("user"));
}

#[test]
fn a_body_beside_an_empty_success_may_be_null() {
    for empty in ["202", "204", "205"] {
        let done = responding(json!({
            "200": content(reference("user")), empty: { "description": "" },
        }));
        assert_eq!(
            response_schema(&done),
            &json!({ "allOf": [reference("user")], "nullable": true })
        );
    }
}

#[test]
fn errors_and_redirects_are_left_to_the_call_path() {
    let done = responding(json!({
        "200": content(reference("user")), "302": {}, "304": {},
        "404": content(reference("team")), "default": content(reference("team")),
    }));
    assert_eq!(response_schema(&done), &reference("user"));
    let responses = &done["paths"]["/answer"]["get"]["responses"];
    assert_eq!(responses.as_object().map(serde_json::Map::len), Some(1));
}

#[test]
fn of_several_response_media_types_plain_json_is_kept() {
    let mut response = content(reference("user"));
    response["content"]["application/vnd.github.raw"] = json!({ "schema": reference("team") });
    assert_eq!(response_schema(&responding(json!({ "200": response }))), &reference("user"));
}

#[test]
fn bytes_are_answered_where_no_json_is() {
    let zip = json!({ "description": "", "content": { "application/zip": {} } });
    for responses in [json!({ "200": zip }), json!({ "302": {} })] {
        let done = responding(responses);
        let octets = "/paths/~1answer/get/responses/200/content/application~1octet-stream/schema";
        let binary = json!({ "type": "string", "format": "binary" });
        assert_eq!(done.pointer(octets), Some(&binary));
    }
}

#[test]
fn an_empty_answer_stays_empty() {
    let done = responding(json!({ "204": {} }));
    assert_eq!(
        done["paths"]["/answer"]["get"]["responses"],
        json!({ "204": { "description": "" } })
    );
}

#[test]
fn a_response_without_a_schema_is_anything() {
    for content in [json!({}), json!({ "schema": {} })] {
        let response = json!({ "content": { "application/json": content } });
        assert_eq!(response_schema(&responding(json!({ "200": response }))), &json!({}));
    }
}

#[test]
fn responses_by_reference_are_found() {
    let mut document = with_responses(json!({ "200": { "$ref": "#/components/responses/user" } }));
    document["components"]["responses"] = json!({ "user": content(reference("user")) });
    assert_eq!(response_schema(&ok(normalized(&document))), &reference("user"));
}

#[test]
fn of_several_request_media_types_json_is_kept() {
    let mut document = with_body(json!({ "type": "object", "properties": {} }), json!({}));
    let content = &mut document["paths"]["/answer"]["post"]["requestBody"]["content"];
    content["text/plain"] = json!({ "schema": { "type": "string" } });
    content["application/x-www-form-urlencoded"] = json!({});
    let done = ok(normalized(&document));
    let content = &done["paths"]["/answer"]["post"]["requestBody"]["content"];
    let media: Vec<&String> = content.as_object().expect("an object").keys().collect();
    assert_eq!(media, ["application/json"]);
}

#[test]
fn text_and_octets_are_taken_where_json_is_not() {
    let text = json!({ "type": "string" });
    let octets = json!({ "type": "string", "format": "binary" });
    for (given, taken, expected) in [
        ("text/x-markdown", "text/plain", text),
        ("*/*", "application/octet-stream", octets.clone()),
        ("application/octet-stream", "application/octet-stream", octets),
    ] {
        let mut document = with_body(json!({}), json!({}));
        document["paths"]["/answer"]["post"]["requestBody"]["content"] = json!({ given: {} });
        let done = ok(normalized(&document));
        let content = &done["paths"]["/answer"]["post"]["requestBody"]["content"];
        assert_eq!(content, &json!({ taken: { "schema": expected } }), "{given}");
    }
}

#[test]
fn a_body_is_never_null() {
    let user = json!({ "type": "object", "nullable": true, "properties": {} });
    let done = ok(normalized(&with_body(reference("user"), json!({ "user": user }))));
    assert_eq!(body(&done), &reference("user"));
}

#[test]
fn an_inline_body_is_named_after_its_operation() {
    let object = json!({ "type": "object", "properties": { "a": { "type": "integer" } } });
    let done = ok(normalized(&with_body(object, json!({}))));
    assert_eq!(body(&done), &reference("tests-send-body"));
}

#[test]
fn an_inline_enum_of_a_parameter_is_named_after_both() {
    let values = json!({ "type": "string", "enum": ["asc", "desc"], "default": "asc" });
    assert_eq!(parameter_schema("/a", "query", values), reference("tests-get-x"));
}

#[test]
fn an_id_or_a_name_in_a_path_has_a_type_of_its_own() {
    let either = json!({ "oneOf": [{ "type": "integer" }, { "type": "string" }] });
    assert_eq!(parameter_schema("/{x}", "path", either), reference(ID_OR_NAME));
    let either = json!({ "anyOf": [{ "type": "string" }, { "type": "integer" }] });
    assert_eq!(parameter_schema("/{x}", "path", either), reference(ID_OR_NAME));
}

#[test]
fn a_union_in_a_query_is_its_text() {
    let either = json!({ "oneOf": [
        { "type": "string" }, { "type": "array", "items": { "type": "string" } },
    ] });
    assert_eq!(parameter_schema("/a", "query", either), json!({ "type": "string" }));
}

#[test]
fn a_parameter_by_reference_to_a_schema_is_found() {
    let mut document = with_parameters(
        "/a",
        json!([
            { "name": "x", "in": "query", "schema": reference("number") },
        ]),
    );
    document["components"]["schemas"] = json!({ "number": { "type": "integer" } });
    let done = ok(normalized(&document));
    let number = &done["paths"]["/a"]["get"]["parameters"][0]["schema"];
    assert_eq!(number, &json!({ "type": "integer", "format": "int64" }));
}

#[test]
fn a_parameter_without_a_schema_is_an_error() {
    for given in [json!({ "name": "x", "in": "query" }), json!({ "name": "x", "in": "header" })] {
        let error = normalized(&with_parameters("/a", json!([given]))).expect_err("no schema");
        assert_contains(&error.pointer, "/paths/~1a/get");
        assert_contains(&error, "schema");
    }
}

#[test]
fn an_error_in_a_parameter_has_its_json_pointer() {
    let given = json!([
        { "name": "a", "in": "query", "schema": { "type": "string" } },
        { "name": "x/y", "in": "query", "schema": { "type": "text" } },
    ]);
    let message = fails(
        normalized(&with_parameters("/a", given)),
        "normalize",
        "/paths/~1a/get/parameters/1/schema",
    );
    assert_contains(message, "`type: text`");
}

#[test]
fn an_error_in_a_response_has_its_json_pointer() {
    let at = "/paths/~1answer/get/responses/200/content/application~1json/schema";
    let bad = with_response(json!({ "type": "text" }), json!({}));
    assert_contains(fails(normalized(&bad), "normalize", at), "`type: text`");
}

#[test]
fn info_and_version_are_kept_and_the_rest_is_removed() {
    let mut document = with_responses(json!({ "204": {} }));
    document["x-github"] = json!(1);
    document["tags"] = json!([]);
    let done = ok(normalized(&document));
    let keys: Vec<&String> = done.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["openapi", "info", "paths", "components"]);
    assert_eq!(done["info"], json!({ "title": "Small", "version": "1.2.3" }));
}
