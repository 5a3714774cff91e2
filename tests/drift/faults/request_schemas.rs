//! Changes to schemas of requests.

use octowire_refresh::drift::ChangeKind;
use octowire_refresh::drift::Direction::Request;
use octowire_refresh::drift::SemverBump::{Major, Minor, Patch};
use octowire_refresh::drift::Severity::{Breaking, Compatible, Documentation, Notice};
use serde_json::json;

use super::small_description::*;
use super::{NONE, Row};

/// Changes to schemas of requests.
pub(super) const SENT: &[Row] = &[
    (
        "property added",
        |d| at!(d, BODY, "/properties")["x"] = json!({ "type": "string" }),
        &[(ChangeKind::PropertyAdded, Compatible, Minor, Request)],
    ),
    (
        "required property added",
        |d| {
            at!(d, BODY, "/properties")["x"] = json!({ "type": "string" });
            push(d, &[BODY, "/required"].concat(), json!("x"));
        },
        &[(ChangeKind::RequiredPropertyAdded, Breaking, Major, Request)],
    ),
    (
        "property removed",
        |d| remove(d, &[BODY, "/properties/color"].concat()),
        &[(ChangeKind::PropertyRemoved, Breaking, Major, Request)],
    ),
    (
        "property made required",
        |d| push(d, &[BODY, "/required"].concat(), json!("color")),
        &[(ChangeKind::PropertyBecameRequired, Breaking, Major, Request)],
    ),
    (
        "property with a setter made optional",
        |d| value(d, BODY)["required"] = json!([]),
        &[(ChangeKind::PropertyBecameOptional, Compatible, Minor, Request)],
    ),
    (
        "property of `new` made optional",
        |d| value(d, "/components/schemas/options")["required"] = json!([]),
        &[(ChangeKind::PropertyBecameOptional, Compatible, Major, Request)],
    ),
    (
        "`null` allowed",
        |d| at!(d, BODY, "/properties/color")["nullable"] = json!(true),
        &[(ChangeKind::BecameNullable, Compatible, Minor, Request)],
    ),
    (
        "`null` refused",
        |d| remove(d, &[BODY, "/properties/due/nullable"].concat()),
        &[(ChangeKind::BecameNotNullable, Breaking, Major, Request)],
    ),
    (
        "type changed",
        |d| at!(d, BODY, "/properties/size")["type"] = json!("boolean"),
        &[(ChangeKind::TypeChanged, Breaking, Major, Request)],
    ),
    (
        "type widened",
        |d| at!(d, BODY, "/properties/size")["type"] = json!("number"),
        &[(ChangeKind::TypeWidened, Compatible, Major, Request)],
    ),
    (
        "a name or a number",
        |d| {
            *at!(d, BODY, "/properties/size") =
                json!({ "oneOf": [{ "type": "string" }, { "type": "integer" }] });
        },
        &[(ChangeKind::TypeWidened, Compatible, Major, Request)],
    ),
    (
        "value added",
        |d| push(d, &[BODY, "/properties/mode/enum"].concat(), json!("x")),
        &[(ChangeKind::EnumValueAdded, Compatible, Minor, Request)],
    ),
    (
        "value removed",
        |d| pop(d, &[BODY, "/properties/mode/enum"].concat(), &json!("slow")),
        &[(ChangeKind::EnumValueRemoved, Breaking, Major, Request)],
    ),
    (
        "values introduced",
        |d| at!(d, BODY, "/properties/color")["enum"] = json!(["red"]),
        &[(ChangeKind::EnumIntroduced, Breaking, Major, Request)],
    ),
    (
        "default",
        |d| at!(d, BODY, "/properties/mode")["default"] = json!("slow"),
        &[(ChangeKind::DefaultChanged, Notice, Patch, Request)],
    ),
    (
        "limit raised",
        |d| at!(d, BODY, "/properties/name")["maxLength"] = json!(20),
        &[(ChangeKind::BoundLoosened, Compatible, NONE, Request)],
    ),
    (
        "pattern added",
        |d| at!(d, BODY, "/properties/name")["pattern"] = json!("^a"),
        &[(ChangeKind::BoundTightened, Breaking, NONE, Request)],
    ),
    (
        "time for text",
        |d| at!(d, BODY, "/properties/color")["format"] = json!("date"),
        &[(ChangeKind::FormatChanged, Breaking, Major, Request)],
    ),
    (
        "any text for an address",
        |d| remove(d, &[BODY, "/properties/page/format"].concat()),
        &[(ChangeKind::FormatChanged, Compatible, NONE, Request)],
    ),
    (
        "address for any text",
        |d| at!(d, BODY, "/properties/color")["format"] = json!("uri"),
        &[(ChangeKind::FormatChanged, Notice, NONE, Request)],
    ),
    (
        "required name that no property has",
        |d| push(d, &[BODY, "/required"].concat(), json!("nothing")),
        &[(ChangeKind::PropertyBecameRequired, Breaking, NONE, Request)],
    ),
    (
        "variant added",
        |d| push(d, &[BODY, "/properties/target/oneOf"].concat(), json!({ "type": "boolean" })),
        &[(ChangeKind::VariantAdded, Compatible, Minor, Request)],
    ),
    (
        "only named properties",
        |d| value(d, BODY)["additionalProperties"] = json!(false),
        &[(ChangeKind::AdditionalPropertiesForbidden, Breaking, NONE, Request)],
    ),
    (
        "alternatives asked for",
        |d| value(d, BODY)["anyOf"] = json!([{ "required": ["color"] }, { "required": ["size"] }]),
        &[(ChangeKind::TypeNarrowed, Breaking, NONE, Request)],
    ),
    (
        "property deprecated",
        |d| at!(d, BODY, "/properties/color")["deprecated"] = json!(true),
        &[(ChangeKind::Deprecated, Notice, Patch, Request)],
    ),
    (
        "description",
        |d| at!(d, BODY, "/properties/color")["description"] = json!("Red"),
        &[(ChangeKind::DocumentationChanged, Documentation, Patch, Request)],
    ),
];
