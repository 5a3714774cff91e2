//! The generated documentation beyond the description's own: calls, allowed values, defaults, and what a type
//! or a field is.

use serde_json::{Value, json};

use crate::support::{
    assert_contains, content, document, ok, reference, with_body, with_body_and_response,
    with_parameters, with_response, written,
};

fn string() -> Value {
    json!({ "type": "string" })
}

#[test]
fn an_operation_shows_its_shortest_call() {
    let parameters = json!([
        { "name": "owner", "in": "path", "required": true, "schema": string() },
        { "name": "type", "in": "query", "required": true, "schema": string() },
        { "name": "page", "in": "query", "schema": { "type": "integer" } },
    ]);
    let source = ok(written(&with_parameters("/{owner}", parameters)));
    assert_contains(
        source,
        "/// Example: `github.tests().get().owner(owner).type_(type).send().await?`\n",
    );
    let body = json!({ "type": "object", "required": ["title"], "properties": {
        "title": string(), "text": string(),
    } });
    let source = ok(written(&with_body(body, json!({}))));
    assert_contains(source, "/// Example: `github.tests().send().title(title).send().await?`\n");
}

#[test]
fn an_operation_without_required_properties_shows_its_body_if_it_needs_one() {
    let body = json!({ "type": "object", "properties": { "text": string() } });
    let mut given = with_body(body, json!({}));
    let source = ok(written(&given));
    assert_contains(source, "/// Example: `github.tests().send().send().await?`\n");
    let operation = given["paths"]["/answer"].as_object_mut().expect("a path item");
    let mut operation = operation.shift_remove("post").expect("an operation");
    operation["requestBody"]["required"] = json!(true);
    given["paths"]["/answer"]["patch"] = operation;
    let source = ok(written(&given));
    assert_contains(source, "/// Example: `github.tests().send().json(json).send().await?`\n");
}

#[test]
fn a_list_shows_its_stream() {
    let mut get = with_parameters(
        "/a",
        json!([{ "name": "page", "in": "query", "schema": { "type": "integer" } }]),
    );
    get["paths"]["/a"]["get"]["responses"] =
        json!({ "200": content(json!({ "type": "array", "items": string() })) });
    assert_contains(ok(written(&get)), "/// Example: `github.tests().get().stream()`\n");
}

#[test]
fn a_setter_names_the_allowed_values_and_the_default() {
    let state = json!({ "type": "string", "enum": ["open", "closed"], "default": "open" });
    let of = |description: &str| {
        let parameter =
            json!({ "name": "state", "in": "query", "schema": state, "description": description });
        ok(written(&with_parameters("/a", json!([parameter]))))
    };
    assert_contains(
        of("The state of an issue"),
        "    /// The state of an issue. One of `open`, `closed`. Default: `open`.\n",
    );
    // What the description says is not repeated.
    assert_contains(
        of("Either `open` or `closed`, by default the former."),
        "    /// Either `open` or `closed`, by default the former.\n",
    );
    // The end of a text with several lines can be a list or an example.
    assert_contains(
        of("A state:\n\n- a list"),
        "    /// One of `open`, `closed`. Default: `open`. A state:\n",
    );
}

#[test]
fn a_default_is_shown_for_requests_alone() {
    let thing = json!({ "type": "object", "properties": {
        "size": { "type": "integer", "default": 30, "description": "Its size." },
        "odd": { "type": "string", "default": "a`b\n" },
    } });
    let source =
        ok(written(&with_body_and_response(reference("thing"), json!({ "thing": thing }))));
    assert_contains(&source, "    /// Its size. Default: `30`.\n    #[inline] pub fn size(");
    assert_eq!(source.matches("Default: ").count(), 1, "{source}");
}

#[test]
fn a_field_without_a_description_is_described_by_an_example_and_its_absence() {
    let thing = json!({ "type": "object", "required": ["login", "email", "id"], "properties": {
        "login": { "type": "string", "example": "octocat" },
        "email": { "type": "string", "nullable": true },
        "name": { "type": "string" },
        "id": { "type": "integer" },
    } });
    let source = ok(written(&with_response(reference("thing"), json!({ "thing": thing }))));
    for line in [
        "/// The property `login`, such as `octocat`.\n    pub login:",
        "/// The property `email`, or `None` if it is `null`.\n    pub email:",
        "/// The property `name`, or `None` if it is absent.\n    pub name:",
        "/// The property `id`.\n    pub id:",
    ] {
        assert_contains(&source, line);
    }
}

#[test]
fn a_type_without_a_description_is_described_by_its_place_and_its_content() {
    let label = json!({ "type": "object", "properties": { "id": {}, "name": {} } });
    let thing = json!({ "type": "object", "properties": {
        "labels": { "type": "array", "items": label },
        "state": { "type": "string", "enum": ["open", "closed"] },
    } });
    let source = ok(written(&with_response(reference("thing"), json!({ "thing": thing }))));
    for text in [
        "/// The items of the property `labels` of `Thing`: an object with `id`, `name`.\n",
        "/// The property `state` of `Thing`: one of `open`, `closed`.\n",
        "/// An object with `labels`, `state`.\n",
    ] {
        assert_contains(&source, text);
    }
}

#[test]
fn a_type_lists_a_bounded_number_of_values() {
    let values: Vec<String> = (0..20).map(|number| format!("v{number}")).collect();
    let thing = json!({ "type": "string", "enum": values });
    let source = ok(written(&with_response(reference("thing"), json!({ "thing": thing }))));
    assert_contains(source, "`v10`, `v11` and 8 more.\n");
}

#[test]
fn a_handle_links_to_the_page_of_its_operations() {
    let operation = |id: &str, page: &str| {
        json!({ "operationId": id, "tags": ["tests"], "responses": {},
            "externalDocs": { "url": format!("https://docs.github.com/rest/{page}") } })
    };
    let given = document(
        json!({
            "/a": { "get": operation("tests/a", "issues/labels#a") },
            "/b": { "get": operation("tests/b", "issues/labels-of-all#b") },
            "/c": { "get": operation("other/c", "issues/labels#c") },
        }),
        json!({}),
    );
    let source = ok(written(&given));
    let handle = |scope: &str, page: &str| {
        format!(
            "/// The operations `{scope}/…`, called by `github.{scope}()`. \
             [GitHub's documentation](https://docs.github.com/rest/{page})\n"
        )
    };
    assert_contains(&source, &handle("tests", "issues"));
    assert_contains(&source, &handle("other", "issues/labels"));
}
