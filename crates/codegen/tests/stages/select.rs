//! Stage 4: the chosen tags, and no more.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::documents::raw;
use crate::support::{
    assert_contains, content, document, fails, lowered, lowered_tags, normalized_tags, ok, openapi,
    reference,
};
use octowire_codegen::select::{
    Features, Selection, Selections, drop_unreachable, feature_variable, select, tags,
};

fn only(tags: &[&str]) -> Selection {
    Selection::Only(crate::support::names(tags))
}

fn selected(mut document: Value, tags: &Selection) -> Value {
    ok(select(&mut document, tags, &Selection::All));
    document
}

fn operation(id: &str, tag: &str, schema: Value) -> Value {
    json!({ "operationId": id, "tags": [tag], "responses": { "200": content(schema) } })
}

/// Issues have users, and pulls have both.
fn three_tags() -> Value {
    let user = json!({ "type": "object", "properties": { "login": { "type": "string" } } });
    let issue = json!({ "type": "object", "properties": {
        "user": reference("user"), "state": { "type": "string", "enum": ["open", "closed"] },
    } });
    let pull = json!({ "type": "object", "properties": {
        "issue": reference("issue"), "next": reference("pull"),
    } });
    document(
        json!({
            "/issue": {
                "get": operation("issues/get", "issues", reference("issue")),
                "patch": operation("pulls/patch-issue", "pulls", reference("pull")),
                "parameters": [],
            },
            "/user": { "get": operation("users/get", "users", reference("user")) },
        }),
        json!({ "user": user, "issue": issue, "pull": pull, "unused": { "type": "string" } }),
    )
}

fn keys(value: &Value) -> Vec<&String> {
    value.as_object().expect("an object").keys().collect()
}

#[test]
fn operations_of_other_tags_go_and_empty_paths_with_them() {
    let selected = selected(three_tags(), &only(&["issues"]));
    assert_eq!(keys(&selected["paths"]), ["/issue"]);
    assert_eq!(keys(&selected["paths"]["/issue"]), ["get", "parameters"]);
}

#[test]
fn unreachable_components_are_removed() {
    let of = |tags: &Selection| {
        let selected = selected(three_tags(), tags);
        keys(&selected["components"]["schemas"]).into_iter().cloned().collect::<Vec<_>>()
    };
    assert_eq!(of(&only(&["users"])), ["user"]);
    assert_eq!(of(&only(&["issues"])), ["user", "issue"]);
    assert_eq!(of(&only(&["pulls"])), ["user", "issue", "pull"]);
    assert_eq!(of(&Selection::All), ["user", "issue", "pull"]);
}

#[test]
fn every_kind_of_component_is_kept_where_it_is_reached() {
    let mut document = three_tags();
    document["paths"]["/user"]["get"]["responses"]["200"] =
        json!({ "$ref": "#/components/responses/user" });
    document["components"]["responses"] = json!({ "user": content(reference("user")), "no": {} });
    document["components"]["parameters"] = json!({ "page": {} });
    let selected = selected(document, &only(&["users"]));
    assert_eq!(keys(&selected["components"]["responses"]), ["user"]);
    assert_eq!(keys(&selected["components"]["schemas"]), ["user"]);
    assert_eq!(selected["components"]["parameters"], json!({}));
}

#[test]
fn no_tags_leave_no_operations_and_no_components() {
    let selected = selected(three_tags(), &only(&[]));
    assert_eq!((&selected["paths"], &selected["components"]["schemas"]), (&json!({}), &json!({})));
    let lowered = ok(lowered_tags(&three_tags(), &only(&[])));
    assert!(lowered.calls.is_empty() && lowered.types.is_empty());
}

#[test]
fn a_tag_that_no_operation_has_selects_nothing() {
    assert_eq!(selected(three_tags(), &only(&["absent"]))["paths"], json!({}));
}

#[test]
fn tags_are_counted() {
    let document = three_tags();
    let counted: Vec<_> = tags(&document).into_iter().collect();
    assert_eq!(counted, [("issues", 1), ("pulls", 1), ("users", 1)]);
}

#[test]
fn the_feature_variable_of_a_tag_matches_cargo() {
    assert_eq!(feature_variable("issues"), "CARGO_FEATURE_ISSUES");
    assert_eq!(feature_variable("codes-of-conduct"), "CARGO_FEATURE_CODES_OF_CONDUCT");
}

#[test]
fn an_operation_without_a_tag_is_an_error_even_if_others_are_chosen() {
    for tags in [json!(null), json!([]), json!("issues"), json!([1])] {
        let mut document = three_tags();
        document["paths"]["/user"]["get"]["tags"] = tags;
        let message = fails(
            select(&mut document, &only(&["issues"]), &Selection::All),
            "select",
            "/paths/~1user/get",
        );
        assert_contains(message, "`users/get` has no tag");
    }
}

#[test]
fn a_reference_to_nothing_is_an_error() {
    let mut document = three_tags();
    document["components"]["schemas"]["issue"]["properties"]["user"] = reference("absent");
    let mut users = document.clone();
    ok(select(&mut users, &only(&["users"]), &Selection::All));
    let message = fails(
        select(&mut document, &only(&["issues"]), &Selection::All),
        "select",
        "/components/schemas/absent",
    );
    assert_contains(message, "unresolved `$ref` to `#/components/schemas/absent`");
}

#[test]
fn a_reference_out_of_the_description_is_an_error() {
    for reference in ["other.json#/user", "https://example.com", "", "user"] {
        let mut document = three_tags();
        document["components"]["schemas"]["issue"]["properties"]["user"] =
            json!({ "$ref": reference });
        let error =
            select(&mut document, &Selection::All, &Selection::All).expect_err("no such component");
        assert_eq!(error.stage, "select");
        assert_contains(&error, &format!("unresolved `$ref` to `{reference}`"));
    }
}

#[test]
fn an_errors_place_is_a_json_pointer() {
    let mut document = three_tags();
    document["components"]["schemas"]["issue"]["properties"]["user"] =
        json!({ "$ref": "other.json#/user" });
    let error =
        select(&mut document, &Selection::All, &Selection::All).expect_err("no such component");
    assert!(error.pointer.is_empty() || error.pointer.starts_with('/'), "{error}");
}

#[test]
fn components_that_refer_to_each_other_end() {
    let mut document = three_tags();
    document["components"]["schemas"]["user"]["properties"]["pull"] = reference("pull");
    ok(drop_unreachable(&mut document));
    assert_eq!(keys(&document["components"]["schemas"]), ["user", "issue", "pull"]);
}

#[test]
fn the_items_of_a_tag_do_not_depend_on_other_tags() {
    let document = three_tags();
    let all = ok(normalized_tags(&document, &Selection::All));
    for tag in ["issues", "pulls", "users"] {
        let one = ok(normalized_tags(&document, &only(&[tag])));
        for (path, item) in one["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("methods") {
                assert_eq!(operation, &all["paths"][path][method], "{method} {path}");
            }
        }
        for (name, schema) in one["components"]["schemas"].as_object().expect("schemas") {
            assert_eq!(schema, &all["components"]["schemas"][name], "{name}");
        }
    }
}

/// A component's property `user-name`, and another component's `name`.
#[test]
fn inline_schemas_of_one_name_are_an_error_rather_than_numbered() {
    let states = |values: [&str; 2]| json!({ "type": "string", "enum": values });
    let document = document(
        json!({
            "/a": { "get": operation("a/get", "a", reference("issue")) },
            "/b": { "get": operation("b/get", "b", reference("issue-user")) },
        }),
        json!({
            "issue": { "type": "object", "properties": { "user-name": states(["a", "b"]) } },
            "issue-user": { "type": "object", "properties": { "name": states(["c", "d"]) } },
        }),
    );
    // A number for one of them would be another one's with other tags.
    for tag in ["a", "b"] {
        ok(normalized_tags(&document, &only(&[tag])));
    }
    let error = normalized_tags(&document, &Selection::All).expect_err("one name for two");
    crate::support::assert_contains(error, "`issue-user-name`");
}

/// One tag sends the schema that another reads.
#[test]
fn request_types_keep_their_name_for_any_selection_of_tags() {
    let label = json!({ "type": "object", "properties": { "name": { "type": "string" } } });
    let send = json!({
        "operationId": "a/send", "tags": ["a"], "requestBody": content(reference("label")),
        "responses": { "204": { "description": "" } },
    });
    let document = document(
        json!({
            "/a": { "post": send },
            "/b": { "get": operation("b/get", "b", reference("label")) },
        }),
        json!({ "label": label }),
    );
    let body = |lowered: &octowire_codegen::lower::ApiModel| match &crate::support::call(
        lowered, "a/send",
    )
    .body
    {
        octowire_codegen::lower::Body::Json { ty: of, .. } => of.clone(),
        _ => panic!("a JSON body"),
    };
    let one = ok(lowered_tags(&document, &only(&["a"])));
    let all = ok(lowered(&document));
    assert_eq!(body(&one), body(&all));
}

/// One tag answers `nullable-user` only, the other `user` only.
#[test]
fn nullable_x_has_the_same_name_whether_x_is_selected_or_not() {
    let user = json!({ "type": "object", "properties": { "login": { "type": "string" } } });
    let mut nullable_user = user.clone();
    nullable_user["nullable"] = json!(true);
    let document = document(
        json!({
            "/a": { "get": operation("a/get", "a", reference("nullable-user")) },
            "/b": { "get": operation("b/get", "b", reference("user")) },
        }),
        json!({ "user": user, "nullable-user": nullable_user }),
    );
    let one = ok(normalized_tags(&document, &only(&["a"])));
    let all = ok(normalized_tags(&document, &Selection::All));
    assert_eq!(one["paths"]["/a"], all["paths"]["/a"]);
}

#[derive(Deserialize)]
struct Manifest {
    features: BTreeMap<String, Vec<String>>,
}

impl Manifest {
    fn read() -> Self {
        let text = std::fs::read_to_string(openapi().join("../Cargo.toml")).expect("Cargo.toml");
        basic_toml::from_str(&text).expect("TOML")
    }

    /// These features of the library, and all that they enable.
    fn enabled<'a>(&'a self, features: &[&'a str]) -> BTreeSet<&'a str> {
        let mut enabled = BTreeSet::new();
        let mut open: Vec<&str> = features.to_vec();
        while let Some(feature) = open.pop() {
            if enabled.insert(feature) {
                let enables = self.features.get(feature).into_iter().flatten();
                open.extend(enables.map(String::as_str));
            }
        }
        enabled
    }
}

/// What a build with these features of the library selects, with the features that they enable.
fn selected_by(document: &Value, features: &[&str]) -> Selections {
    let manifest = Manifest::read();
    let enabled = manifest.enabled(features);
    Features::Enabled(&|feature| enabled.contains(feature)).selections(document)
}

#[test]
fn a_feature_of_the_library_selects_its_tag_or_event_and_no_other() {
    let document = raw();
    for (feature, tags, events) in [
        ("issues", only(&["issues"]), only(&[])),
        ("full", Selection::All, only(&[])),
        ("webhooks", only(&[]), only(&[])),
        ("webhooks-axum", only(&[]), only(&[])),
        ("webhook-pull-request", only(&[]), only(&["pull_request"])),
        ("webhooks-full", only(&[]), Selection::All),
    ] {
        assert_eq!(selected_by(&document, &[feature]), Selections { tags, events }, "{feature}");
    }
    let both = selected_by(&document, &["issues", "webhook-push"]);
    assert_eq!(both, Selections { tags: only(&["issues"]), events: only(&["push"]) });
}

#[test]
fn no_other_feature_compiles_the_evaluation_of_the_overlay() {
    const CUSTOM: &str = "custom-openapi";
    const EVALUATION: &str = "octowire-codegen/overlay";
    let manifest = Manifest::read();
    assert!(manifest.enabled(&[CUSTOM]).contains(EVALUATION));
    for feature in manifest.features.keys().filter(|feature| *feature != CUSTOM) {
        let enabled = manifest.enabled(&[feature]);
        assert!(!enabled.contains(EVALUATION), "`{feature}` enables `{EVALUATION}`");
    }
}
