//! Types that change to types which seem to include the old one.

use octowire_refresh::drift::ChangeKind;
use octowire_refresh::drift::Direction::{Request, Response};
use octowire_refresh::drift::SemverBump::{Major, Minor};
use octowire_refresh::drift::Severity::{Breaking, Compatible};
use serde_json::json;

use super::Row;
use super::small_description::*;

/// Unions beside what their variants were, and maps beside objects.
pub(super) const TYPES: &[Row] = &[
    (
        "list of something else, or a text",
        |d| {
            *at!(d, BODY, "/properties/names") = json!({ "oneOf": [
                { "type": "array", "items": { "type": "integer" } }, { "type": "string" }
            ] });
        },
        &[
            (ChangeKind::TypeChanged, Breaking, Major, Request),
            (ChangeKind::TypeWidened, Compatible, Major, Request),
        ],
    ),
    (
        "the same list after another one, or a text",
        |d| {
            *at!(d, BODY, "/properties/names") = json!({ "oneOf": [
                { "type": "array", "items": { "type": "integer" } },
                { "type": "array", "items": { "type": "string" } }, { "type": "string" }
            ] });
        },
        &[(ChangeKind::TypeWidened, Compatible, Major, Request)],
    ),
    (
        "fewer values, or a number",
        |d| {
            let mode = at!(d, BODY, "/properties/mode");
            *mode = json!({ "default": "fast", "oneOf": [
                { "type": "string", "enum": ["fast"], "default": "fast" }, { "type": "integer" }
            ] });
        },
        &[
            (ChangeKind::EnumValueRemoved, Breaking, Major, Request),
            (ChangeKind::TypeWidened, Compatible, Major, Request),
        ],
    ),
    (
        "object with one more that is required, or a text",
        |d| {
            *at!(d, BODY, "/properties/point") = json!({ "oneOf": [
                { "type": "object", "required": ["z"], "properties": {
                    "x": { "type": "string" }, "y": { "type": "string" },
                    "z": { "type": "string" } } },
                { "type": "string" }
            ] });
        },
        &[
            (ChangeKind::RequiredPropertyAdded, Breaking, Major, Request),
            (ChangeKind::TypeWidened, Compatible, Major, Request),
        ],
    ),
    (
        "only the text, which must be short, of a union",
        |d| {
            *at!(d, BODY, "/properties/target") = json!({ "type": "string", "enum": ["a"] });
        },
        &[
            (ChangeKind::EnumIntroduced, Breaking, Major, Request),
            (ChangeKind::TypeNarrowed, Breaking, Major, Request),
        ],
    ),
    (
        "only one of two objects, which lacks something",
        |d| {
            *at!(d, THING, "/properties/owner") = json!({ "type": "object",
                "required": ["login"], "properties": { "login": { "type": "string" } } });
        },
        &[
            (ChangeKind::RequiredPropertyRemoved, Breaking, Major, Response),
            (ChangeKind::TypeNarrowed, Compatible, Major, Response),
        ],
    ),
    (
        "text beside nothing but lists",
        |d| push(d, &[THING, "/properties/lists/oneOf"].concat(), json!({ "type": "string" })),
        &[(ChangeKind::TypeWidened, Breaking, Major, Response)],
    ),
    (
        "list beside nothing but lists",
        |d| {
            let more = json!({ "type": "array", "items": { "type": "boolean" } });
            push(d, &[THING, "/properties/lists/oneOf"].concat(), more);
        },
        &[(ChangeKind::VariantAdded, Compatible, Minor, Response)],
    ),
    (
        "name that is a text, for a map of numbers",
        |d| {
            *at!(d, THING, "/properties/counts") =
                json!({ "type": "object", "properties": { "name": { "type": "string" } } });
        },
        &[(ChangeKind::TypeChanged, Breaking, Major, Response)],
    ),
    (
        "name that is a number, for a map of numbers",
        |d| {
            *at!(d, THING, "/properties/counts") =
                json!({ "type": "object", "properties": { "name": { "type": "integer" } } });
        },
        &[(ChangeKind::TypeNarrowed, Compatible, Major, Response)],
    ),
    (
        "name that may be `null`, for a map of numbers",
        |d| {
            *at!(d, THING, "/properties/counts") = json!({ "type": "object", "properties": {
                "name": { "type": "integer", "nullable": true } } });
        },
        &[
            (ChangeKind::BecameNullable, Breaking, Major, Response),
            (ChangeKind::TypeNarrowed, Compatible, Major, Response),
        ],
    ),
    (
        "map of numbers for names that are texts",
        |d| {
            *at!(d, BODY, "/properties/point") =
                json!({ "type": "object", "additionalProperties": { "type": "integer" } });
        },
        &[(ChangeKind::TypeChanged, Breaking, Major, Request)],
    ),
    (
        "map of texts for names that are texts",
        |d| {
            *at!(d, BODY, "/properties/point") =
                json!({ "type": "object", "additionalProperties": { "type": "string" } });
        },
        &[(ChangeKind::TypeWidened, Compatible, Major, Request)],
    ),
    (
        "nothing for names",
        |d| {
            *at!(d, BODY, "/properties/point") =
                json!({ "type": "object", "additionalProperties": false });
        },
        &[(ChangeKind::TypeChanged, Breaking, Major, Request)],
    ),
    (
        "anything for names",
        |d| *at!(d, BODY, "/properties/point") = json!({ "type": "object" }),
        &[(ChangeKind::TypeWidened, Compatible, Major, Request)],
    ),
];
