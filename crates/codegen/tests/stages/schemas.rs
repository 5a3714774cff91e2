//! Stage 5: normalized schemas.

use serde_json::{Value, json};

use crate::support::{
    alone, assert_contains, definition, fails, lowered, normalized, normalized_response,
    nullable_reference, ok, reference, with_response,
};
use octowire_codegen::lower::ApiModel;
use octowire_codegen::normalize::unescape_enum_value;

fn object(properties: Value) -> Value {
    json!({ "type": "object", "properties": properties })
}

/// As [`object`], as it is written when it is normalized.
fn plain_object(properties: Value) -> Value {
    json!({ "type": "object", "required": [], "properties": properties })
}

fn string() -> Value {
    json!({ "type": "string" })
}

fn integer() -> Value {
    json!({ "type": "integer", "format": "int64" })
}

/// A schema beside the property `x` that it is given as.
fn property(schema: Value, schemas: Value) -> Value {
    let (_, schemas) = normalized_response(object(json!({ "x": schema })), schemas);
    schemas["tests-get-response"]["properties"]["x"].clone()
}

/// The wire names of an enum's values.
fn values(lowered: &ApiModel, name: &str) -> Vec<String> {
    match &definition(lowered, name).kind {
        octowire_codegen::model::Kind::Enum(values) => {
            values.iter().map(|v| v.name.clone()).collect()
        }
        other => panic!("{name} is no enum but {other:?}"),
    }
}

#[test]
fn limits_defaults_examples_and_titles_go() {
    let noisy = json!({
        "type": "string", "minLength": 1, "maxLength": 9, "pattern": "^a", "default": "a",
        "example": "a", "title": "A", "format": "uri", "x-extra": 1, "readOnly": true,
    });
    assert_eq!(property(noisy, json!({})), string());
    let noisy = json!({ "type": "integer", "minimum": 1, "maximum": 9, "multipleOf": 2 });
    assert_eq!(property(noisy, json!({})), integer());
    let noisy = json!({ "type": "array", "items": string(), "minItems": 1, "uniqueItems": true });
    assert_eq!(property(noisy, json!({})), json!({ "type": "array", "items": string() }));
}

#[test]
fn descriptions_and_formats_of_time_stay() {
    for format in ["date", "date-time"] {
        let time = json!({ "type": "string", "format": format, "description": "When." });
        assert_eq!(property(time.clone(), json!({})), time);
    }
    let described = json!({ "allOf": [reference("user")], "description": "Who." });
    let user = json!({ "user": object(json!({})) });
    let expected = json!({ "$ref": "#/components/schemas/user", "description": "Who." });
    assert_eq!(property(described, user), expected);
}

#[test]
fn a_nullable_component_moves_its_null_to_each_reference() {
    let user = json!({ "type": "object", "nullable": true, "properties": { "a": string() } });
    let holder = object(json!({ "one": reference("user"), "more": {
        "type": "array", "items": reference("user"),
    } }));
    let (_, schemas) = normalized_response(holder, json!({ "user": user }));
    assert_eq!(schemas["user"], plain_object(json!({ "a": string() })));
    let properties = &schemas["tests-get-response"]["properties"];
    assert_eq!(properties["one"], nullable_reference("user"));
    assert_eq!(properties["more"]["items"], nullable_reference("user"));
}

#[test]
fn nullable_x_is_x_that_may_be_null() {
    let user = object(json!({ "login": string() }));
    let mut nullable_user = user.clone();
    nullable_user["nullable"] = json!(true);
    let holder = object(json!({ "a": reference("nullable-user"), "b": reference("user") }));
    let given = json!({ "user": user, "nullable-user": nullable_user });
    let (_, schemas) = normalized_response(holder, given);
    let properties = &schemas["tests-get-response"]["properties"];
    assert_eq!(properties["a"], nullable_reference("user"));
    assert_eq!(properties["b"], reference("user"));
    assert!(schemas.get("nullable-user").is_none());
}

#[test]
fn nullable_x_that_differs_from_x_keeps_its_name() {
    let mut other = object(json!({ "login": string(), "more": string() }));
    other["nullable"] = json!(true);
    let given = json!({ "user": object(json!({ "login": string() })), "nullable-user": other });
    let holder = object(json!({ "a": reference("nullable-user"), "b": reference("user") }));
    let (_, schemas) = normalized_response(holder, given);
    let a = &schemas["tests-get-response"]["properties"]["a"];
    assert_eq!(a, &nullable_reference("nullable-user"));
}

#[test]
fn null_among_an_enums_values_or_variants_is_nullable() {
    let nullable = nullable_reference("tests-get-response-x");
    let mut values = json!({ "type": "string", "enum": ["a", null] });
    assert_eq!(property(values.clone(), json!({})), nullable);
    values.as_object_mut().expect("an object").shift_remove("type");
    assert_eq!(property(values.clone(), json!({})), nullable);
    assert_eq!(property(reference("e"), json!({ "e": values })), nullable_reference("e"));
    let union = json!({ "oneOf": [integer(), { "type": "null" }] });
    let expected = json!({ "type": "integer", "format": "int64", "nullable": true });
    assert_eq!(property(union.clone(), json!({})), expected);
    assert_eq!(property(reference("u"), json!({ "u": union })), nullable_reference("u"));
    let union = json!({ "anyOf": [reference("u"), { "type": "string", "nullable": true }] });
    assert_eq!(property(union, json!({ "u": integer() })), nullable);
}

#[test]
fn enum_values_that_differ_in_a_sign_stay_distinct_and_round_trip() {
    let reactions = json!(["+1", "-1", "laugh", "reactions-+1", "reactions--1", "a-1", "a+b"]);
    let given = with_response(json!({ "type": "string", "enum": reactions }), json!({}));
    let done = ok(normalized(&given));
    let escaped = &done["components"]["schemas"]["tests-get-response"]["enum"];
    assert_eq!(escaped.as_array().map(Vec::len), Some(7));
    for (escaped, value) in
        escaped.as_array().into_iter().flatten().zip(reactions.as_array().unwrap())
    {
        assert_eq!(unescape_enum_value(escaped.as_str().unwrap()), value.as_str().unwrap());
    }
    let values = values(&ok(lowered(&given)), "TestsGetResponse");
    assert_eq!(json!(values), reactions);
}

#[test]
fn all_of_is_merged() {
    let base = json!({
        "type": "object", "required": ["a"], "properties": { "a": string(), "b": {} },
    });
    let more = json!({ "allOf": [
        reference("base"),
        { "properties": { "b": integer(), "c": string() }, "required": ["c", "a"] },
    ] });
    let (response, schemas) =
        normalized_response(reference("more"), json!({ "base": base, "more": more }));
    assert_eq!(response, reference("more"));
    assert_eq!(
        schemas["more"],
        json!({
            "type": "object", "required": ["a", "c"],
            "properties": { "a": string(), "b": integer(), "c": string() },
        })
    );
}

#[test]
fn all_of_within_all_of_is_merged_too() {
    let schemas = json!({
        "a": object(json!({ "a": string() })),
        "b": { "allOf": [reference("a"), object(json!({ "b": string() }))] },
    });
    let both = json!({ "allOf": [reference("b"), object(json!({ "c": string() }))] });
    let (_, schemas) = normalized_response(both, schemas);
    let expected = json!({ "b": string(), "c": string(), "a": string() });
    assert_eq!(schemas["tests-get-response"]["properties"], expected);
}

#[test]
fn any_of_is_read_as_one_of() {
    let given = json!({ "a": object(json!({})), "b": object(json!({ "x": string() })) });
    for key in ["oneOf", "anyOf"] {
        let union = json!({ key: [reference("a"), reference("b"), reference("a")] });
        let (response, schemas) = normalized_response(union, given.clone());
        assert_eq!(response, reference("tests-get-response"));
        let expected = json!({ "oneOf": [reference("a"), reference("b")] });
        assert_eq!(schemas["tests-get-response"], expected);
    }
}

#[test]
fn a_union_of_one_is_that_one() {
    let given = json!({ "a": object(json!({})) });
    let union = json!({ "oneOf": [reference("a")] });
    assert_eq!(normalized_response(union, given).0, reference("a"));
}

#[test]
fn a_union_of_strings_is_a_string() {
    let text = json!({ "anyOf": [string(), { "type": "string", "format": "date-time" }] });
    assert_eq!(property(text, json!({})), string());
    let open = json!({ "anyOf": [{ "type": "string", "enum": ["a"] }, string()] });
    assert_eq!(property(open, json!({})), string());
    let enums = json!({ "oneOf": [
        { "type": "string", "enum": ["a", "b"] }, { "type": "string", "enum": ["b", "c"] },
    ] });
    let (_, schemas) = normalized_response(enums, json!({}));
    assert_eq!(schemas["tests-get-response"]["enum"], json!(["a", "b", "c"]));
}

#[test]
fn a_union_of_lists_is_a_list_of_a_union() {
    let list = |items: Value| json!({ "type": "array", "items": items });
    let union = json!({ "oneOf": [list(integer()), list(string())] });
    let (response, schemas) = normalized_response(union, json!({}));
    assert_eq!(response, list(reference("tests-get-response-item")));
    let either = json!({ "oneOf": [integer(), string()] });
    assert_eq!(schemas["tests-get-response-item"], either);
}

#[test]
fn a_union_with_anything_is_anything() {
    for union in [json!({ "oneOf": [integer(), {}] }), json!({ "oneOf": [] })] {
        assert_eq!(property(union, json!({})), json!({}));
    }
}

#[test]
fn properties_added_by_a_union_are_optional() {
    let both = json!({
        "type": "object", "required": ["a"], "properties": { "a": string() },
        "anyOf": [
            { "required": ["b"], "properties": { "b": integer() } }, { "required": ["a"] },
        ],
    });
    let (_, schemas) = normalized_response(both, json!({}));
    assert_eq!(
        schemas["tests-get-response"],
        json!({
            "type": "object", "required": ["a"], "properties": { "a": string(), "b": integer() },
        })
    );
}

#[test]
fn inline_schemas_become_components_named_after_where_they_stand() {
    let inline = object(json!({
        "state": { "type": "string", "enum": ["open"] },
        "labels": { "type": "array", "items": object(json!({ "name": string() })) },
        "owner": object(json!({ "id": integer() })),
        "either": { "oneOf": [integer(), object(json!({ "n": integer() }))] },
    }));
    let (response, schemas) = normalized_response(reference("issue"), json!({ "issue": inline }));
    assert_eq!(response, reference("issue"));
    let names = ["issue-state", "issue-labels-item", "issue-owner", "issue-either"];
    for name in names.into_iter().chain(["issue-either-object"]) {
        assert!(schemas.get(name).is_some(), "no {name} in {schemas}");
    }
    assert_eq!(schemas["issue"]["properties"]["state"], reference("issue-state"));
}

#[test]
fn a_hoisted_schema_takes_no_name_that_the_description_has() {
    let schemas = json!({
        "issue": object(json!({ "state": { "type": "string", "enum": ["open"] } })),
        "issue_state": object(json!({ "other": string() })),
    });
    // Whether the other is selected or not.
    for response in
        [reference("issue"), json!({ "oneOf": [reference("issue"), reference("issue_state")] })]
    {
        let (_, done) = normalized_response(response, schemas.clone());
        assert_eq!(done["issue"]["properties"]["state"], reference("issue-state-inline"));
    }
}

#[test]
fn maps_keep_their_value_type() {
    let map = |values: Value| json!({ "type": "object", "additionalProperties": values });
    assert_eq!(property(map(integer()), json!({}))["additionalProperties"], integer());
    assert_eq!(property(map(json!(true)), json!({}))["additionalProperties"], json!(true));
    assert!(property(map(json!(false)), json!({})).get("additionalProperties").is_none());
    let inline = map(object(json!({ "a": string() })));
    let values = property(inline, json!({}));
    assert_eq!(values["additionalProperties"], reference("tests-get-response-x-value"));
}

#[test]
fn a_required_property_that_is_undefined_is_dropped() {
    let odd = json!({ "type": "object", "required": ["a", "b", 7], "properties": { "a": {} } });
    let (_, schemas) = normalized_response(odd, json!({}));
    assert_eq!(schemas["tests-get-response"]["required"], json!(["a"]));
}

#[test]
fn a_type_that_openapi_3_0_does_not_have_is_an_error() {
    for of in [json!("text"), json!("file"), json!(["string", "null"]), json!(["object"]), json!(7)]
    {
        let user = json!({ "user": object(json!({ "a": { "type": of } })) });
        let at = "/components/schemas/user/properties/a";
        let given = with_response(reference("user"), user);
        assert_contains(fails(normalized(&given), "normalize", at), "OpenAPI 3.0");
    }
}

#[test]
fn an_error_names_the_place_as_a_json_pointer() {
    let bad = || json!({ "type": "text" });
    for (schema, at) in [
        (object(json!({ "a/b~c": bad() })), "/properties/a~1b~0c"),
        (json!({ "type": "array", "items": bad() }), "/items"),
        (json!({ "oneOf": [string(), bad()] }), "/oneOf/1"),
        (json!({ "anyOf": [string(), bad()] }), "/anyOf/1"),
        (json!({ "type": "object", "additionalProperties": bad() }), "/additionalProperties"),
    ] {
        let given = with_response(reference("user"), json!({ "user": schema }));
        fails(normalized(&given), "normalize", &format!("/components/schemas/user{at}"));
    }
}

/// The stack of a thread is enough for every schema that is not rejected as too deep.
#[test]
fn nesting_within_the_limit_does_not_exhaust_the_stack() {
    alone("schemas::nesting_within_the_limit_does_not_exhaust_the_stack", || {
        for depth in [10, 30, 60, 90] {
            let deep = (0..depth).fold(string(), |of, _| json!({ "type": "array", "items": of }));
            let result = crate::support::written(&with_response(deep, json!({})));
            assert!(result.is_ok() || depth > 10, "{:?}", result.err());
        }
    });
}

#[test]
fn schemas_that_nest_too_deeply_are_an_error() {
    let mut deep = string();
    // JSON that nests deeper is refused by the first stage.
    for _ in 0..60 {
        deep = object(json!({ "a": deep }));
    }
    let error = normalized(&with_response(reference("deep"), json!({ "deep": deep })));
    let error = error.expect_err("too deep");
    assert_eq!(error.stage, "normalize");
    assert_contains(&error, "nest too deeply");
}

#[test]
fn all_of_in_a_circle_is_an_error() {
    alone("schemas::all_of_in_a_circle_is_an_error", || {
        let circle = json!({ "allOf": [reference("a"), object(json!({ "x": string() }))] });
        let error = normalized(&with_response(reference("a"), json!({ "a": circle })));
        assert_eq!(error.expect_err("a circle").stage, "normalize");
    });
}

#[test]
fn schemas_that_refer_to_one_another_in_a_circle_are_an_error() {
    alone("schemas::schemas_that_refer_to_one_another_in_a_circle_are_an_error", || {
        for other in [reference("a"), json!({ "allOf": [reference("a")] })] {
            let given = with_response(reference("a"), json!({ "a": reference("b"), "b": other }));
            crate::support::written(&given).expect_err("a circle without an end");
        }
    });
}

#[test]
fn lists_of_themselves_are_an_error() {
    alone("schemas::lists_of_themselves_are_an_error", || {
        let list = json!({ "type": "array", "items": reference("a") });
        let union = json!({ "oneOf": [reference("a"), integer()] });
        crate::support::written(&with_response(union, json!({ "a": list })))
            .expect_err("a list of lists of lists");
    });
}

#[test]
fn objects_may_hold_themselves() {
    let node = object(json!({
        "parent": reference("node"), "children": { "type": "array", "items": reference("node") },
        "either": { "oneOf": [integer(), reference("node")] },
    }));
    ok(crate::support::written(&with_response(reference("node"), json!({ "node": node }))));
}

/// The components that a response's union makes of its variants, in their order.
fn variants_of(union: Value, schemas: Value) -> Vec<String> {
    let (_, schemas) = normalized_response(union, schemas);
    let prefix = "#/components/schemas/tests-get-response-";
    let variants = schemas["tests-get-response"]["oneOf"].as_array().expect("a union");
    let names =
        variants.iter().filter_map(|variant| variant["$ref"].as_str()?.strip_prefix(prefix));
    names.map(str::to_owned).collect()
}

#[test]
fn a_union_of_one_inline_schema_is_that_schema() {
    let one = json!({ "a": integer() });
    for union in [json!([object(one.clone())]), json!([{ "type": "null" }, object(one.clone())])] {
        let (response, schemas) = normalized_response(json!({ "oneOf": union }), json!({}));
        let expected = reference("tests-get-response");
        assert!(response == expected || response == nullable_reference("tests-get-response"));
        assert_eq!(schemas["tests-get-response"]["properties"], json!({ "a": integer() }));
    }
}

#[test]
fn variants_are_named_by_their_distinguishing_properties() {
    let tagged = |value: &str| object(json!({ "kind": { "type": "string", "enum": [value] } }));
    let titled =
        |title: &str| json!({ "title": title, "type": "object", "properties": { "a": {} } });
    let extends = |name: &str| json!({ "allOf": [reference(name), object(json!({ "x": {} }))] });
    let required = json!({
        "type": "object", "required": ["b"], "properties": { "a": {}, "b": {}, "c": {} },
    });
    let base = json!({ "tests-a": object(json!({})), "other": object(json!({ "o": {} })) });
    for (union, expected) in [
        (json!([tagged("one"), tagged("two_2")]), vec!["one", "two-2"]),
        (json!([titled("First/Thing"), titled("Second")]), vec!["first-thing", "second"]),
        (json!([extends("tests-a"), extends("other")]), vec!["a", "other"]),
        (json!([integer(), object(json!({ "a": {} }))]), vec!["object"]),
        (json!([object(json!({ "a": {} })), required]), vec!["variant-0", "with-b"]),
        (json!([titled("Same"), titled("same")]), vec!["variant-0", "variant-1"]),
        (
            json!([tagged("one"), object(json!({ "kind": string() }))]),
            vec!["variant-0", "variant-1"],
        ),
    ] {
        assert_eq!(variants_of(json!({ "oneOf": union }), base.clone()), expected, "{union}");
    }
}
