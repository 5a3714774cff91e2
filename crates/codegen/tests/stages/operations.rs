//! Metadata of each operation besides its types.

use serde_json::{Value, json};

use crate::support::{assert_contains, content, document, fails, ok, with_parameters};
use octowire_codegen::Result;
use octowire_codegen::operations::{Input, MissingBody, Operation, Output, describe, is_json};

const AT: &str = "/paths/~1answer/get";

fn described(operation: Value) -> Result<Operation> {
    let document = document(json!({ "/answer": { "get": operation } }), json!({}));
    describe(&document).map(|mut operations| operations.remove(0))
}

fn with(key: &str, value: Value) -> Result<Operation> {
    let mut operation = json!({
        "operationId": "tests/get", "tags": ["tests"],
        "responses": { "204": { "description": "" } },
    });
    operation[key] = value;
    described(operation)
}

fn parameters(path: &str, parameters: Value) -> Result<Vec<(String, &'static str, bool)>> {
    let operations = describe(&with_parameters(path, parameters))?;
    let parameters = operations.into_iter().flat_map(|operation| operation.parameters);
    Ok(parameters.map(|p| (p.name, p.location, p.required)).collect())
}

fn parameter(name: &str, location: &str) -> Value {
    json!({ "name": name, "in": location, "schema": { "type": "string" } })
}

#[test]
fn an_operation_is_described_as_the_description_has_it() {
    let operation = ok(described(json!({
        "operationId": "issues/list-for-repo", "tags": ["issues", "other"],
        "summary": "List", "description": "Lists them.", "deprecated": true,
        "externalDocs": { "url": "https://docs.github.com/rest/issues" },
        "x-octowire-items": "issues", "x-octowire-rate-limit-resource": "search",
        "x-octowire-stream-media-type": "application/zip",
        "responses": { "200": content(json!({})), "304": {}, "404": {}, "default": {} },
    })));
    assert_eq!((operation.scope(), operation.name()), ("issues", "list-for-repo"));
    assert_eq!((operation.tag.as_str(), operation.method.as_str()), ("issues", "get"));
    assert_eq!((operation.summary.as_str(), operation.path.as_str()), ("List", "/answer"));
    assert_eq!(operation.description, "Lists them.");
    assert_eq!(operation.documentation_url, "https://docs.github.com/rest/issues");
    assert_eq!(operation.statuses, [200, 304, 404]);
    assert_eq!(operation.items.as_deref(), Some("issues"));
    assert_eq!(operation.rate_limit, "search");
    assert_eq!(operation.stream_media_type.as_deref(), Some("application/zip"));
    assert!(!operation.creates_content);
    assert!(operation.deprecated && operation.server.is_none());
}

#[test]
fn operations_that_notify_or_create_are_content_creating() {
    let operation = |method: &str, content: Value| {
        let mut operation = json!({ "operationId": "a/b", "tags": ["t"], "responses": {} });
        operation.as_object_mut().unwrap().extend(content.as_object().unwrap().clone());
        let described = describe(&document(json!({ "/a": { method: operation } }), json!({})));
        let operation = ok(described).remove(0);
        assert_eq!(operation.rate_limit, "core");
        operation.creates_content
    };
    let notifies = json!({ "x-github": { "triggersNotification": true } });
    let creates = json!({ "responses": { "201": {} } });
    assert!(operation("put", notifies) && operation("post", creates.clone()));
    assert!(
        !operation("put", creates) && !operation("post", json!({ "responses": { "200": {} } }))
    );
}

#[test]
fn an_operation_without_a_slash_in_its_id_belongs_to_its_tag() {
    let operation = ok(with("operationId", json!("root")));
    assert_eq!((operation.scope(), operation.name()), ("tests", "root"));
}

#[test]
fn operations_keep_the_documents_order() {
    let operation = |id: &str| json!({ "operationId": id, "tags": ["t"], "responses": {} });
    let paths = json!({
        "/b": { "post": operation("b/post"), "get": operation("b/get") },
        "/a": { "delete": operation("a/delete"), "parameters": [] },
    });
    let described = ok(describe(&document(paths, json!({}))));
    let ids: Vec<&str> = described.iter().map(|operation| operation.id.as_str()).collect();
    assert_eq!(ids, ["b/get", "b/post", "a/delete"]);
}

#[test]
fn only_a_server_of_the_operations_own_is_kept() {
    let uploads = json!([{ "url": "https://uploads.github.com" }]);
    let operation = ok(with("servers", uploads));
    assert_eq!(operation.server.as_deref(), Some("https://uploads.github.com"));
    let operation = ok(with("servers", json!([{ "url": "https://api.github.com" }])));
    assert_eq!(operation.server, None);
}

#[test]
fn path_parameters_come_first_in_the_order_of_the_path() {
    let given = json!([
        parameter("page", "query"),
        parameter("repo", "path"),
        parameter("accept", "header"),
        parameter("owner", "path"),
    ]);
    let names = ok(parameters("/repos/{owner}/{repo}", given));
    let expected = [
        ("owner", "path", true),
        ("repo", "path", true),
        ("page", "query", false),
        ("accept", "header", false),
    ];
    assert_eq!(names, expected.map(|(name, location, need)| (name.to_owned(), location, need)));
}

#[test]
fn an_operation_overrides_the_parameters_of_its_path() {
    let mut document = with_parameters(
        "/{a}",
        json!([
            { "name": "a", "in": "path", "description": "Mine.", "schema": {} },
        ]),
    );
    document["paths"]["/{a}"]["parameters"] = json!([
        { "name": "a", "in": "path", "description": "Theirs.", "schema": {} },
        { "name": "b", "in": "query", "required": true, "schema": {} },
    ]);
    let operation = ok(describe(&document)).remove(0);
    let shown = operation.parameters.iter().map(|p| (p.name.as_str(), p.description.as_str()));
    assert_eq!(shown.collect::<Vec<_>>(), [("a", "Mine."), ("b", "")]);
    assert!(operation.parameters[1].required);
}

#[test]
fn a_parameter_may_be_a_reference_and_span_segments() {
    let mut document =
        with_parameters("/{path}", json!([{ "$ref": "#/components/parameters/path" }]));
    let mut path = parameter("path", "path");
    path["x-multi-segment"] = json!(true);
    document["components"]["parameters"] = json!({ "path": path });
    assert!(ok(describe(&document))[0].parameters[0].allows_slash);
}

#[test]
fn the_output_of_an_operation_follows_from_its_success_responses() {
    let json = content(json!({}));
    let bytes = json!({ "content": { "application/zip": {} } });
    let empty = json!({ "description": "" });
    for (responses, expected) in [
        (json!({ "200": json, "404": empty }), Output::Json { nullable: false }),
        (json!({ "200": json, "204": empty }), Output::Json { nullable: true }),
        (json!({ "200": json, "202": json }), Output::Json { nullable: false }),
        (json!({ "200": json, "304": empty }), Output::Json { nullable: false }),
        (json!({ "204": empty }), Output::Empty),
        (json!({ "200": { "content": {} } }), Output::Empty),
        (json!({ "200": bytes }), Output::Bytes),
        (json!({ "302": empty }), Output::Bytes),
    ] {
        let operation = ok(with("responses", responses.clone()));
        assert_eq!(operation.output, expected, "{responses}");
    }
}

#[test]
fn the_input_of_an_operation_follows_from_its_media_types() {
    for (media, expected) in [
        (vec!["application/json"], Input::Json),
        (vec!["text/plain", "application/json; charset=utf-8"], Input::Json),
        (vec!["text/x-markdown", "application/octet-stream"], Input::Text),
        (vec!["application/octet-stream"], Input::OctetStream),
        (vec!["*/*"], Input::OctetStream),
        (vec![], Input::None),
    ] {
        let content: serde_json::Map<_, _> =
            media.iter().map(|media| ((*media).to_owned(), json!({}))).collect();
        let operation = ok(with("requestBody", json!({ "content": content })));
        assert_eq!(operation.input, expected, "{media:?}");
    }
    assert_eq!(ok(with("summary", json!(""))).input, Input::None);
}

#[test]
fn only_plain_json_follows_a_schema() {
    assert!(is_json("application/json") && is_json("application/json; charset=utf-8"));
    for media in ["application/vnd.github.raw+json", "application/jsonp", "text/json", ""] {
        assert!(!is_json(media), "{media}");
    }
}

#[test]
fn an_operation_without_an_id_is_an_error() {
    for id in [json!(null), json!(""), json!(7), json!(["a"])] {
        assert_contains(fails(with("operationId", id), "operations", AT), "`operationId`");
    }
}

#[test]
fn two_operations_of_one_id_are_an_error() {
    let operation = json!({ "operationId": "a/b", "tags": ["a"], "responses": {} });
    let paths = json!({ "/a": { "get": operation }, "/b": { "get": operation } });
    let error = crate::support::written(&document(paths, json!({}))).expect_err("not unique");
    assert_contains(&error, "a/b");
    assert_eq!(error.pointer, "/paths/~1b/get", "{error}");
}

#[test]
fn a_body_of_another_media_type_is_left_to_the_caller() {
    for media in ["multipart/form-data", "application/xml", "image/png"] {
        let operation = ok(with("requestBody", json!({ "content": { media: {} } })));
        assert_eq!(operation.input, Input::Other, "{media}");
    }
}

#[test]
fn a_reference_to_nothing_is_an_error() {
    let nothing = json!({ "$ref": "#/components/responses/absent" });
    for (operation, within) in [
        (with("parameters", json!([nothing])), ""),
        (with("responses", json!({ "200": nothing })), "/responses/200"),
        (with("requestBody", nothing.clone()), ""),
    ] {
        let at = format!("{AT}{within}");
        assert_contains(fails(operation, "operations", &at), "unresolved `$ref`");
    }
}

#[test]
fn references_in_a_circle_are_an_error() {
    let mut document = with_parameters("/a", json!([{ "$ref": "#/components/parameters/a" }]));
    let reference = |name: &str| json!({ "$ref": format!("#/components/parameters/{name}") });
    document["components"]["parameters"] = json!({ "a": reference("b"), "b": reference("a") });
    let message = fails(describe(&document), "operations", "/paths/~1a/get");
    assert_contains(message, "refers to itself");
}

#[test]
fn a_parameter_elsewhere_is_an_error() {
    for location in [json!("cookie"), json!("body"), json!(null), json!(1)] {
        let given = json!([{ "name": "session", "in": location, "schema": {} }]);
        let message = fails(parameters("/a", given), "operations", "/paths/~1a/get");
        assert_contains(message, "unsupported parameter location");
    }
}

#[test]
fn a_parameter_without_a_name_is_an_error() {
    for name in [json!(null), json!(""), json!(3)] {
        for location in ["path", "query", "header"] {
            let given = json!([{ "name": name, "in": location, "schema": {} }]);
            let error =
                describe(&with_parameters("/a", given)).expect_err("a parameter without a name");
            assert_eq!((error.stage, error.pointer.as_str()), ("operations", "/paths/~1a/get"));
        }
    }
}

#[test]
fn a_path_and_its_parameters_agree() {
    let given = json!([parameter("owner", "path")]);
    for (path, expected) in [
        ("/repos", "`owner` is not in the path"),
        ("/repos/{repo}", "`owner` is not in the path"),
        ("/repos/{owner}/{repo}", "without a definition"),
        ("/repos/{owner", "`owner` is not in the path"),
    ] {
        let pointer = format!("/paths/{}/get", path.replace('/', "~1"));
        let message = fails(parameters(path, given.clone()), "operations", &pointer);
        assert_contains(message, expected);
    }
}

/// The missing body of an operation that requires a body.
fn without_body(method: &str, schema: Value) -> MissingBody {
    let operation = json!({
        "operationId": "tests/do", "tags": ["tests"], "responses": {},
        "requestBody": { "required": true, "content": { "application/json": { "schema": schema } } },
    });
    let document = document(json!({ "/answer": { method: operation } }), json!({}));
    ok(describe(&document))[0].missing_body
}

#[test]
fn a_required_body_is_mandatory_unless_an_empty_object_is_valid_for_a_post() {
    let object = || json!({ "type": "object", "properties": { "a": {} } });
    let requiring = || json!({ "type": "object", "required": ["a"], "properties": { "a": {} } });
    let least = json!({ "type": "object", "minProperties": 1 });
    assert_eq!(without_body("post", object()), MissingBody::SendEmptyObject);
    for method in ["put", "patch", "delete"] {
        assert_eq!(without_body(method, object()), MissingBody::Reject, "{method}");
    }
    for (schema, expected) in [
        (requiring(), MissingBody::Reject),
        (least, MissingBody::Reject),
        (json!({ "type": "array", "items": {} }), MissingBody::Reject),
        (json!({ "oneOf": [requiring(), requiring()] }), MissingBody::Reject),
        (json!({ "oneOf": [requiring(), object()] }), MissingBody::SendEmptyObject),
        (json!({ "type": "object", "anyOf": [{ "required": ["a"] }] }), MissingBody::Reject),
        (json!({ "allOf": [object(), requiring()] }), MissingBody::Reject),
    ] {
        assert_eq!(without_body("post", schema.clone()), expected, "{schema}");
    }
}

#[test]
fn a_body_that_is_not_required_may_be_left_out() {
    let content = json!({ "application/json": { "schema": { "type": "object" } } });
    for body in [json!({ "content": content }), json!({ "content": content, "required": false })] {
        assert_eq!(ok(with("requestBody", body)).missing_body, MissingBody::Send);
    }
    assert_eq!(ok(with("summary", json!("x"))).missing_body, MissingBody::Send);
    let text = json!({ "content": { "text/plain": {} }, "required": true });
    assert_eq!(ok(with("requestBody", text)).missing_body, MissingBody::Reject);
}
