//! A missing or `null` property affects only that property of the response.

use serde_json::{Value, json};

use crate::document::Document;
use crate::{Decoded, compare, decode};

/// An example of the operation's response.
fn example(document: &Document, operation: &str) -> Value {
    let examples = document.examples();
    let example = examples.into_iter().find(|example| example.operation == operation);
    example.unwrap_or_else(|| panic!("no example of {operation}")).body
}

/// Decodes the body, which must not lose anything.
fn kept(operation: &str, body: &Value) -> Value {
    let bytes = serde_json::to_vec(body).unwrap();
    let Decoded { again, .. } = decode(operation, &bytes).unwrap().unwrap_or_else(|error| {
        panic!("{operation}: {error}: {body}");
    });
    compare::missing(body, &again, "$", &mut |path| panic!("{operation} loses {path}"));
    again
}

#[test]
fn a_null_that_was_seen_costs_that_property_alone() {
    let document = Document::read();
    for (operation, pointer) in [
        ("pulls/list", "/0/head/repo"),
        ("pulls/list", "/0/head/label"),
        ("pulls/list", "/0/head/user"),
        ("pulls/list", "/0/head/repo/owner"),
        ("pulls/list", "/0/labels/0/description"),
        ("pulls/list", "/0/user"),
        ("pulls/get", "/head/repo"),
        ("pulls/get", "/head/user"),
        ("pulls/get", "/head/label"),
        ("pulls/get", "/head/repo/owner"),
        ("pulls/get", "/user"),
        ("pulls/list-files", "/0/blob_url"),
        ("pulls/list-files", "/0/raw_url"),
        ("pulls/list-files", "/0/sha"),
        ("repos/get-commit", "/files/0/blob_url"),
        ("repos/compare-commits", "/files/0/blob_url"),
        ("actions/get-workflow-run", "/head_repository"),
        ("actions/list-workflow-runs-for-repo", "/workflow_runs/0/head_repository"),
        ("activity/list-notifications-for-authenticated-user", "/0/subject/latest_comment_url"),
        ("activity/list-notifications-for-authenticated-user", "/0/subject/url"),
        ("issues/list-events", "/0/actor"),
        ("issues/list-events-for-timeline", "/0/actor"),
        ("orgs/get", "/name"),
        ("orgs/get", "/company"),
        ("orgs/get", "/email"),
        ("repos/get-release", "/author"),
        ("checks/create-suite", "/app"),
    ] {
        let mut body = example(&document, operation);
        *body.pointer_mut(pointer).unwrap_or_else(|| panic!("{operation} has no {pointer}")) =
            Value::Null;
        kept(operation, &body);
    }
}

#[test]
fn a_property_missing_on_older_servers_does_not_fail_decoding() {
    let document = Document::read();
    for (operation, pointer, property) in [
        ("search/issues-and-pull-requests", "", "search_type"),
        ("repos/list-commits", "/0/commit/verification", "verified_at"),
        ("repos/list-releases", "/0/assets/0", "digest"),
        ("teams/list", "/0", "type"),
        ("rate-limit/get", "/resources/core", "used"),
        ("actions/get-workflow-run", "", "display_title"),
    ] {
        let mut body = example(&document, operation);
        let object = body.pointer_mut(pointer).and_then(Value::as_object_mut);
        object.unwrap_or_else(|| panic!("{operation} has no {pointer}")).remove(property);
        kept(operation, &body);
    }
}

#[test]
fn an_item_that_is_null_costs_that_item() {
    let document = Document::read();
    let mut body = example(&document, "repos/get");
    body["topics"] = json!(["a", null, "b"]);
    assert_eq!(kept("repos/get", &body)["topics"], json!(["a", "b"]));
}

#[test]
fn every_property_may_be_new() {
    let document = Document::read();
    for operation in ["issues/get", "pulls/list", "repos/get-commit", "users/get-by-username"] {
        let mut body = example(&document, operation);
        add_everywhere(&mut body);
        let again = kept(operation, &body);
        assert_eq!(
            again.to_string().matches("x_new").count(),
            body.to_string().matches("x_new").count()
        );
    }
}

/// Adds a property to every object.
fn add_everywhere(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.values_mut().for_each(add_everywhere);
            object.insert("x_new".to_owned(), json!({ "deep": [1, null] }));
        }
        Value::Array(items) => items.iter_mut().for_each(add_everywhere),
        _ => {}
    }
}

#[test]
fn a_value_of_no_variant_is_kept_unchanged() {
    let document = Document::read();
    let mut deployment = example(&document, "repos/create-deployment");
    deployment.as_object_mut().unwrap().remove("node_id");
    kept("repos/create-deployment", &deployment);
    let exploded = json!([{ "event": "exploded", "id": 7, "fuse": { "length": 3 } }]);
    assert_eq!(kept("issues/list-events-for-timeline", &exploded), exploded);
    let mut commit = example(&document, "repos/get-commit");
    commit["author"]["hovercard"] = json!(true);
    assert_eq!(kept("repos/get-commit", &commit)["author"], commit["author"]);
}
