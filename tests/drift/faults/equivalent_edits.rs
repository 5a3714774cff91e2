//! Edits that do not change the meaning of a description.

use octowire_refresh::drift::ChangeKind;
use octowire_refresh::drift::Direction::Response;
use octowire_refresh::drift::SemverBump::Patch;
use octowire_refresh::drift::Severity::Documentation;
use serde_json::json;

use super::Row;
use super::small_description::*;

/// Edits that do not change the meaning of a description.
pub(super) const SAME: &[Row] = &[
    (
        "component instead of an inline schema",
        |d| {
            let body = value(d, BODY).clone();
            value(d, "/components/schemas")["body"] = body;
            *value(d, BODY) = json!({ "$ref": "#/components/schemas/body" });
        },
        &[],
    ),
    (
        "`nullable-x` instead of a nullable `x`",
        |d| {
            *at!(d, THING, "/properties/reviewer") =
                json!({ "nullable": true, "allOf": [{ "$ref": "#/components/schemas/user" }] });
        },
        &[],
    ),
    (
        "`null` as a variant",
        |d| {
            *at!(d, THING, "/properties/reviewer") =
                json!({ "anyOf": [{ "$ref": "#/components/schemas/user" }, { "type": "null" }] });
        },
        &[],
    ),
    (
        "variants in another order",
        |d| {
            at!(d, THING, "/properties/owner/oneOf").as_array_mut().unwrap().reverse();
        },
        &[],
    ),
    (
        "strings as a union of strings",
        |d| {
            *at!(d, THING, "/properties/state") = json!({ "oneOf": [
            { "type": "string", "enum": ["closed"] }, { "type": "string", "enum": ["open"] }
        ] });
        },
        &[],
    ),
    (
        "an object in two parts",
        |d| {
            let mut rest = value(d, THING).clone();
            rest["properties"].as_object_mut().unwrap().remove("text");
            rest["properties"].as_object_mut().unwrap().remove("description");
            *value(d, THING) = json!({ "allOf": [
            rest, { "type": "object", "properties": { "text": { "type": "string" } } }
        ] });
        },
        &[(ChangeKind::DocumentationChanged, Documentation, Patch, Response)],
    ),
    (
        "event with a hyphen",
        |d| at!(d, HOOK, "/x-github")["subcategory"] = json!("some-thing"),
        &[],
    ),
    (
        "parameter as a component",
        |d| {
            let parameter = at!(d, GET, "/parameters/1").clone();
            value(d, "/components/parameters")["sort"] = parameter;
            *at!(d, GET, "/parameters/1") = json!({ "$ref": "#/components/parameters/sort" });
        },
        &[],
    ),
    ("unused component", |d| value(d, "/components/schemas")["x"] = json!({}), &[]),
    ("any additional properties", |d| value(d, BODY)["additionalProperties"] = json!(true), &[]),
    ("unknown extension", |d| value(d, CREATE)["x-unheard-of"] = json!(1), &[]),
];
