//! Changes to schemas of responses and deliveries.

use octowire_refresh::drift::ChangeKind;
use octowire_refresh::drift::Direction::{Response, Webhook};
use octowire_refresh::drift::SemverBump::{Major, Minor, Patch};
use octowire_refresh::drift::Severity::{Breaking, Compatible, Documentation, Notice};
use serde_json::json;

use super::small_description::*;
use super::{NONE, Row};

/// Changes to schemas of responses and deliveries.
pub(super) const READ: &[Row] = &[
    (
        "property added",
        |d| at!(d, THING, "/properties")["x"] = json!({ "type": "string" }),
        &[(ChangeKind::PropertyAdded, Compatible, Minor, Response)],
    ),
    (
        "required property added",
        |d| {
            at!(d, THING, "/properties")["x"] = json!({ "type": "string" });
            push(d, &[THING, "/required"].concat(), json!("x"));
        },
        &[(ChangeKind::RequiredPropertyAdded, Compatible, Minor, Response)],
    ),
    (
        "optional property removed",
        |d| remove(d, &[THING, "/properties/hint"].concat()),
        &[(ChangeKind::PropertyRemoved, Compatible, Major, Response)],
    ),
    (
        "required property removed",
        |d| remove(d, &[THING, "/properties/text"].concat()),
        &[(ChangeKind::RequiredPropertyRemoved, Breaking, Major, Response)],
    ),
    (
        "required property that could be `null` removed",
        |d| remove(d, &[THING, "/properties/note"].concat()),
        &[(ChangeKind::RequiredPropertyRemoved, Compatible, Major, Response)],
    ),
    (
        "required list removed",
        |d| remove(d, &[THING, "/properties/labels"].concat()),
        &[(ChangeKind::RequiredPropertyRemoved, Compatible, Major, Response)],
    ),
    (
        "property made optional",
        |d| pop(d, &[THING, "/required"].concat(), &json!("text")),
        &[(ChangeKind::PropertyBecameOptional, Breaking, Major, Response)],
    ),
    (
        "list made optional",
        |d| pop(d, &[THING, "/required"].concat(), &json!("labels")),
        &[(ChangeKind::PropertyBecameOptional, Compatible, NONE, Response)],
    ),
    (
        "what could be `null` made optional",
        |d| pop(d, &[THING, "/required"].concat(), &json!("note")),
        &[(ChangeKind::PropertyBecameOptional, Compatible, NONE, Response)],
    ),
    (
        "property made required",
        |d| push(d, &[THING, "/required"].concat(), json!("hint")),
        &[(ChangeKind::PropertyBecameRequired, Compatible, Major, Response)],
    ),
    (
        "`null` added",
        |d| at!(d, THING, "/properties/text")["nullable"] = json!(true),
        &[(ChangeKind::BecameNullable, Breaking, Major, Response)],
    ),
    (
        "`null` added to what could be absent",
        |d| at!(d, THING, "/properties/hint")["nullable"] = json!(true),
        &[(ChangeKind::BecameNullable, Compatible, NONE, Response)],
    ),
    (
        "`null` added to a list",
        |d| at!(d, THING, "/properties/labels")["nullable"] = json!(true),
        &[(ChangeKind::BecameNullable, Compatible, NONE, Response)],
    ),
    (
        "`null` among the elements",
        |d| {
            *at!(d, THING, "/properties/labels/items") =
                json!({ "nullable": true, "allOf": [{ "$ref": "#/components/schemas/label" }] });
        },
        &[(ChangeKind::BecameNullable, Breaking, Major, Response)],
    ),
    (
        "`null` gone",
        |d| remove(d, &[THING, "/properties/note/nullable"].concat()),
        &[(ChangeKind::BecameNotNullable, Compatible, Major, Response)],
    ),
    (
        "`null` gone by another component",
        |d| {
            *at!(d, THING, "/properties/reviewer") = json!({ "$ref": "#/components/schemas/user" });
        },
        &[(ChangeKind::BecameNotNullable, Compatible, NONE, Response)],
    ),
    (
        "`null` by a variant",
        |d| {
            *at!(d, THING, "/properties/text") =
                json!({ "oneOf": [{ "type": "null" }, { "type": "string" }] });
        },
        &[(ChangeKind::BecameNullable, Breaking, Major, Response)],
    ),
    (
        "type changed",
        |d| at!(d, THING, "/properties/id")["type"] = json!("string"),
        &[(ChangeKind::TypeChanged, Breaking, Major, Response)],
    ),
    (
        "type widened",
        |d| {
            *at!(d, THING, "/properties/reviewer") = json!({ "nullable": true, "oneOf": [
            { "$ref": "#/components/schemas/user" }, { "$ref": "#/components/schemas/team" }
        ] });
        },
        &[(ChangeKind::TypeWidened, Breaking, Major, Response)],
    ),
    (
        "type narrowed",
        |d| {
            *at!(d, THING, "/properties/owner") = json!({ "$ref": "#/components/schemas/team" });
        },
        &[(ChangeKind::TypeNarrowed, Compatible, Major, Response)],
    ),
    (
        "value added",
        |d| push(d, &[THING, "/properties/state/enum"].concat(), json!("x")),
        &[(ChangeKind::EnumValueAdded, Compatible, Minor, Response)],
    ),
    (
        "value removed",
        |d| pop(d, &[THING, "/properties/state/enum"].concat(), &json!("open")),
        &[(ChangeKind::EnumValueRemoved, Compatible, Major, Response)],
    ),
    (
        "values introduced",
        |d| at!(d, THING, "/properties/text")["enum"] = json!(["a"]),
        &[(ChangeKind::EnumIntroduced, Compatible, Major, Response)],
    ),
    (
        "values of a number",
        |d| at!(d, THING, "/properties/id")["enum"] = json!([1, 2]),
        &[(ChangeKind::EnumIntroduced, Compatible, NONE, Response)],
    ),
    (
        "text for a time",
        |d| remove(d, &[THING, "/properties/at/format"].concat()),
        &[(ChangeKind::FormatChanged, Breaking, Major, Response)],
    ),
    (
        "time for a text",
        |d| at!(d, THING, "/properties/text")["format"] = json!("date-time"),
        &[(ChangeKind::FormatChanged, Compatible, Major, Response)],
    ),
    (
        "format without a type",
        |d| at!(d, THING, "/properties/text")["format"] = json!("uri"),
        &[(ChangeKind::FormatChanged, Compatible, NONE, Response)],
    ),
    (
        "variant added",
        |d| {
            push(
                d,
                &[THING, "/properties/owner/oneOf"].concat(),
                json!({ "$ref": "#/components/schemas/options" }),
            );
        },
        &[(ChangeKind::VariantAdded, Compatible, Minor, Response)],
    ),
    (
        "variant removed",
        |d| {
            push(d, &[THING, "/properties/owner/oneOf"].concat(), json!({ "type": "string" }));
            at!(d, THING, "/properties/owner/oneOf").as_array_mut().unwrap().remove(0);
        },
        &[
            (ChangeKind::VariantAdded, Compatible, Minor, Response),
            (ChangeKind::VariantRemoved, Compatible, Major, Response),
        ],
    ),
    (
        "elements of another type",
        |d| {
            *at!(d, THING, "/properties/labels/items") = json!({ "type": "string" });
        },
        &[(ChangeKind::TypeChanged, Breaking, Major, Response)],
    ),
    (
        "map of another type",
        |d| {
            at!(d, THING, "/properties/extra/additionalProperties")["type"] = json!("integer");
        },
        &[(ChangeKind::TypeChanged, Breaking, Major, Response)],
    ),
    (
        "map of anything",
        |d| {
            at!(d, THING, "/properties/extra")["additionalProperties"] = json!(true);
        },
        &[(ChangeKind::TypeWidened, Breaking, Major, Response)],
    ),
    (
        "only named properties",
        |d| value(d, THING)["additionalProperties"] = json!(false),
        &[(ChangeKind::AdditionalPropertiesForbidden, Compatible, NONE, Response)],
    ),
    (
        "limit and default",
        |d| {
            at!(d, THING, "/properties/text")["maxLength"] = json!(5);
            at!(d, THING, "/properties/text")["default"] = json!("x");
        },
        &[
            (ChangeKind::BoundTightened, Compatible, NONE, Response),
            (ChangeKind::DefaultChanged, Compatible, NONE, Response),
        ],
    ),
    (
        "read only",
        |d| at!(d, THING, "/properties/id")["readOnly"] = json!(true),
        &[(ChangeKind::AccessChanged, Compatible, NONE, Response)],
    ),
    (
        "only sent",
        |d| at!(d, THING, "/properties/id")["writeOnly"] = json!(true),
        &[(ChangeKind::AccessChanged, Breaking, NONE, Response)],
    ),
    (
        "required name that no property has",
        |d| push(d, &[THING, "/required"].concat(), json!("nothing")),
        &[(ChangeKind::PropertyBecameRequired, Compatible, NONE, Response)],
    ),
    (
        "what is anything removed",
        |d| remove(d, &[THING, "/properties/data"].concat()),
        &[(ChangeKind::RequiredPropertyRemoved, Breaking, Major, Response)],
    ),
    (
        "what is anything made optional",
        |d| pop(d, &[THING, "/required"].concat(), &json!("data")),
        &[(ChangeKind::PropertyBecameOptional, Breaking, Major, Response)],
    ),
    (
        "discriminator",
        |d| at!(d, THING, "/properties/owner")["discriminator"] = json!({ "propertyName": "kind" }),
        &[(ChangeKind::DiscriminatorChanged, Compatible, NONE, Response)],
    ),
    (
        "what a circle goes through",
        |d| {
            at!(d, THING, "/properties")["children"] =
                json!({ "type": "array", "items": { "$ref": "#/components/schemas/thing" } });
        },
        &[(ChangeKind::PropertyAdded, Compatible, Minor, Response)],
    ),
    (
        "more by an `allOf`",
        |d| {
            *value(d, "/paths/~1things/post/responses/201/content/application~1json/schema") = json!({
                "allOf": [{ "$ref": "#/components/schemas/thing" },
                          { "type": "object", "properties": { "x": { "type": "string" } } }]
            });
        },
        &[
            (ChangeKind::PropertyAdded, Compatible, Minor, Response),
            // The component has a description, and the schema that contains it has none.
            (ChangeKind::DocumentationChanged, Documentation, Patch, Response),
        ],
    ),
    (
        "announcement in a component",
        |d| {
            value(d, THING)["x-github-breaking-changes"] =
                json!([{ "changeset": "away", "version": "2026-03-10", "patch": {} }]);
        },
        &[(ChangeKind::BreakingChangeAnnounced, Notice, NONE, Response)],
    ),
    (
        "webhook added",
        |d| {
            let mut more = value(d, "/x-webhooks/thing-made").clone();
            more["post"]["operationId"] = json!("things/broken");
            value(d, "/x-webhooks")["thing-broken"] = more;
        },
        &[(ChangeKind::WebhookAdded, Compatible, Minor, Webhook)],
    ),
    (
        "webhook removed",
        |d| remove(d, "/x-webhooks/thing-made"),
        &[(ChangeKind::WebhookRemoved, Breaking, Major, Webhook)],
    ),
    (
        "webhook renamed",
        |d| {
            let item = value(d, "/x-webhooks/thing-made").clone();
            value(d, "/x-webhooks")["thing-created"] = item;
            remove(d, "/x-webhooks/thing-made");
        },
        &[(ChangeKind::WebhookRenamed, Compatible, Major, Webhook)],
    ),
    (
        "webhook of another event",
        |d| at!(d, HOOK, "/x-github")["subcategory"] = json!("other_thing"),
        &[(ChangeKind::WebhookEventChanged, Breaking, Major, Webhook)],
    ),
    (
        "category of a webhook",
        |d| at!(d, HOOK, "/x-github")["category"] = json!("hooks"),
        &[(ChangeKind::AnnotationChanged, Documentation, NONE, Webhook)],
    ),
    (
        "webhook of other hooks",
        |d| at!(d, HOOK, "/x-github")["supported-webhook-types"] = json!(["app", "organization"]),
        &[
            (ChangeKind::WebhookTypeAdded, Compatible, NONE, Webhook),
            (ChangeKind::WebhookTypeRemoved, Breaking, NONE, Webhook),
        ],
    ),
    (
        "property of a delivery removed",
        |d| remove(d, &[MADE, "/properties/count"].concat()),
        &[(ChangeKind::RequiredPropertyRemoved, Breaking, Major, Webhook)],
    ),
    (
        "type in a delivery",
        |d| at!(d, MADE, "/properties/count")["type"] = json!("string"),
        &[(ChangeKind::TypeChanged, Breaking, Major, Webhook)],
    ),
    (
        "value in a delivery",
        |d| push(d, &[MADE, "/properties/action/enum"].concat(), json!("x")),
        &[(ChangeKind::EnumValueAdded, Compatible, Minor, Webhook)],
    ),
    (
        "header of a delivery",
        |d| {
            let headers = [HOOK, "/parameters"].concat();
            remove(d, &headers);
        },
        &[(ChangeKind::ParameterRemoved, Compatible, NONE, Webhook)],
    ),
    (
        "no payload",
        |d| remove(d, &[HOOK, "/requestBody"].concat()),
        &[(ChangeKind::RequestBodyRemoved, Breaking, Major, Webhook)],
    ),
    (
        "what both directions use",
        |d| {
            at!(d, MADE, "/properties")["label"] = json!({ "$ref": "#/components/schemas/label" });
        },
        &[(ChangeKind::PropertyAdded, Compatible, Minor, Webhook)],
    ),
];
