//! Each change made to a description is reported as its kind, and nothing else is reported.

#[path = "faults/equivalent_edits.rs"]
mod equivalent_edits;
#[path = "faults/operations.rs"]
mod operations;
#[path = "faults/random.rs"]
mod random;
#[path = "faults/request_schemas.rs"]
mod request_schemas;
#[path = "faults/response_schemas.rs"]
mod response_schemas;
#[path = "faults/small_description.rs"]
mod small_description;
#[path = "faults/types.rs"]
mod types;

use std::sync::LazyLock;

use octowire_refresh::drift::Direction::{self, Error, Operation, Request, Response, Webhook};
use octowire_refresh::drift::SemverBump::{self, Major, Minor, Patch};
use octowire_refresh::drift::Severity::{self, Breaking, Compatible, Documentation, Notice};
use octowire_refresh::drift::{ChangeKind, DriftReport, compare, slice};
use serde_json::{Value, json};
use small_description::*;

/// The expected report of one change.
type Expected = (ChangeKind, Severity, SemverBump, Direction);
/// A name, the edit of the description, and the expected changes.
type Row = (&'static str, fn(&mut Value), &'static [Expected]);

const NONE: SemverBump = SemverBump::None;

/// GitHub's document, as it is vendored.
static GITHUB: LazyLock<Value> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi/api.github.com.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
});

fn found(report: &DriftReport) -> Vec<Expected> {
    let mut found: Vec<Expected> = report
        .changes
        .iter()
        .map(|change| (change.kind, change.severity, change.bump, change.direction))
        .collect();
    found.sort();
    found
}

fn rows() -> impl Iterator<Item = &'static Row> {
    [
        operations::OPERATIONS,
        request_schemas::SENT,
        response_schemas::READ,
        types::TYPES,
        equivalent_edits::SAME,
    ]
    .into_iter()
    .flatten()
}

#[test]
fn exactly_the_expected_changes_are_found() {
    let old = small();
    let mut wrong = Vec::new();
    for (name, edit, expected) in rows() {
        let mut new = old.clone();
        edit(&mut new);
        let report = compare(&old, &new).unwrap();
        let mut expected = expected.to_vec();
        expected.sort();
        if found(&report) != expected {
            wrong.push(format!("{name}: expected {expected:?}, but found\n{:#?}", report.changes));
        }
    }
    assert!(rows().count() > 100, "{}", rows().count());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The kind of the reverse change.
fn reversed(kind: ChangeKind) -> ChangeKind {
    const PAIRS: &[(ChangeKind, ChangeKind)] = &[
        (ChangeKind::OperationAdded, ChangeKind::OperationRemoved),
        (ChangeKind::AppsAllowed, ChangeKind::AppsRejected),
        (ChangeKind::Deprecated, ChangeKind::Undeprecated),
        (ChangeKind::BreakingChangeAnnounced, ChangeKind::BreakingChangeWithdrawn),
        (ChangeKind::WebhookAdded, ChangeKind::WebhookRemoved),
        (ChangeKind::WebhookTypeAdded, ChangeKind::WebhookTypeRemoved),
        (ChangeKind::ParameterBecameRequired, ChangeKind::ParameterBecameOptional),
        (ChangeKind::RequestBodyBecameRequired, ChangeKind::RequestBodyBecameOptional),
        (ChangeKind::MediaTypeAdded, ChangeKind::MediaTypeRemoved),
        (ChangeKind::SuccessStatusAdded, ChangeKind::SuccessStatusRemoved),
        (ChangeKind::StatusAdded, ChangeKind::StatusRemoved),
        (ChangeKind::HeaderAdded, ChangeKind::HeaderRemoved),
        (ChangeKind::PropertyAdded, ChangeKind::PropertyRemoved),
        (ChangeKind::RequiredPropertyAdded, ChangeKind::RequiredPropertyRemoved),
        (ChangeKind::PropertyBecameRequired, ChangeKind::PropertyBecameOptional),
        (ChangeKind::BecameNullable, ChangeKind::BecameNotNullable),
        (ChangeKind::TypeWidened, ChangeKind::TypeNarrowed),
        (ChangeKind::EnumValueAdded, ChangeKind::EnumValueRemoved),
        (ChangeKind::EnumIntroduced, ChangeKind::EnumDropped),
        (ChangeKind::BoundTightened, ChangeKind::BoundLoosened),
        (ChangeKind::AdditionalPropertiesForbidden, ChangeKind::AdditionalPropertiesAllowed),
        (ChangeKind::VariantAdded, ChangeKind::VariantRemoved),
        // Whether it was required does not matter to what becomes of it.
        (ChangeKind::RequiredParameterAdded, ChangeKind::ParameterRemoved),
        (ChangeKind::ParameterAdded, ChangeKind::ParameterRemoved),
        (ChangeKind::RequiredRequestBodyAdded, ChangeKind::RequestBodyRemoved),
        (ChangeKind::RequestBodyAdded, ChangeKind::RequestBodyRemoved),
    ];
    let pair = PAIRS.iter().find(|(a, b)| *a == kind || *b == kind);
    pair.map_or(kind, |(a, b)| if *a == kind { *b } else { *a })
}

/// Added parameters and bodies, required or not, as one kind.
fn regardless(kind: ChangeKind) -> ChangeKind {
    match kind {
        ChangeKind::RequiredParameterAdded => ChangeKind::ParameterAdded,
        ChangeKind::RequiredRequestBodyAdded => ChangeKind::RequestBodyAdded,
        other => other,
    }
}

#[test]
fn in_reverse_every_addition_is_a_removal() {
    let old = small();
    for (name, edit, _) in rows() {
        let mut new = old.clone();
        edit(&mut new);
        let kinds = |old: &Value, new: &Value, turn: fn(ChangeKind) -> ChangeKind| {
            let report = compare(old, new).unwrap();
            let mut kinds: Vec<_> = report
                .changes
                .iter()
                .map(|change| (regardless(turn(change.kind)), change.direction))
                .collect();
            kinds.sort();
            kinds
        };
        assert_eq!(kinds(&old, &new, reversed), kinds(&new, &old, |kind| kind), "{name}");
    }
}

#[test]
fn a_description_does_not_differ_from_itself() {
    assert!(compare(&small(), &small()).unwrap().is_empty());
    assert!(compare(&GITHUB, &GITHUB).unwrap().is_empty());
}

#[test]
fn a_new_required_request_property_breaks_callers() {
    let mut new = GITHUB.clone();
    let body =
        "/paths/~1repos~1{owner}~1{repo}~1issues/post/requestBody/content/application~1json/schema";
    at!(&mut new, body, "/properties")["mood"] = json!({ "type": "string" });
    push(&mut new, &[body, "/required"].concat(), json!("mood"));
    let report = compare(&GITHUB, &new).unwrap();
    assert_eq!(found(&report), [(ChangeKind::RequiredPropertyAdded, Breaking, Major, Request)]);
    let change = &report.changes[0];
    assert_eq!(change.operations, ["issues/create"]);
    assert_eq!(change.path, "body application/json › mood");
    assert_eq!(change.pointer, [body, "/properties/mood"].concat());
    assert_eq!(change.message, "`mood` was added, and is required");
}

#[test]
fn a_change_of_a_component_is_one_change_for_each_direction() {
    let mut new = GITHUB.clone();
    remove(&mut new, "/components/schemas/simple-user/properties/login");
    // It is the same but for being nullable, and stays so.
    remove(&mut new, "/components/schemas/nullable-simple-user/properties/login");
    let report = compare(&GITHUB, &new).unwrap();
    assert_eq!(
        found(&report),
        [
            (ChangeKind::RequiredPropertyRemoved, Breaking, Major, Response),
            (ChangeKind::RequiredPropertyRemoved, Breaking, Major, Webhook),
        ]
    );
    let [response, webhook] = &report.changes[..] else { panic!("{report}") };
    assert!(response.operations.len() > 200, "{}", response.operations.len());
    assert!(response.webhooks.is_empty());
    assert!(webhook.webhooks.len() > 200, "{}", webhook.webhooks.len());
    assert!(response.operations.contains(&"issues/get".to_owned()));
    let only = report.only(&["issues/get", "star-created"]);
    assert_eq!(only.changes[0].operations, ["issues/get"]);
    assert_eq!(only.changes[1].webhooks, ["star-created"]);
    assert!(report.only(&["meta/get-zen"]).is_empty());
}

#[test]
fn a_nullable_component_affects_only_uses_that_did_not_allow_null() {
    // `team` is one of two variants, which are read as before; `label` is an element.
    for (component, expected) in [("team", false), ("label", true)] {
        let mut new = small();
        at!(&mut new, "/components/schemas/", component)["nullable"] = json!(true);
        let report = compare(&small(), &new).unwrap();
        let breaking = report.changes.iter().find(|change| change.severity == Breaking);
        assert_eq!(breaking.is_some_and(|of| of.path.is_empty()), expected, "{report}");
    }
    let mut old = small();
    let options = json!({ "$ref": "#/components/schemas/options" });
    at!(&mut old, THING, "/properties")["options"] = options.clone();
    at!(&mut old, MADE, "/properties")["options"] = options;
    push(&mut old, &[MADE, "/required"].concat(), json!("options"));
    let mut new = old.clone();
    value(&mut new, "/components/schemas/options")["nullable"] = json!(true);
    let report = compare(&old, &new).unwrap();
    assert_eq!(
        found(&report),
        [
            (ChangeKind::BecameNullable, Compatible, NONE, Response),
            (ChangeKind::BecameNullable, Compatible, Minor, Request),
            (ChangeKind::BecameNullable, Breaking, Major, Webhook),
        ]
    );
    assert!(report.changes.iter().all(|of| of.owner.name() == "options"));
    assert_eq!(report.changes[0].webhooks, ["thing-made"]);
}

#[test]
fn a_change_to_a_component_of_errors_only_is_not_breaking() {
    let mut new = GITHUB.clone();
    remove(&mut new, "/components/schemas/validation-error/properties/message");
    let report = compare(&GITHUB, &new).unwrap();
    assert_eq!(found(&report), [(ChangeKind::RequiredPropertyRemoved, Notice, NONE, Error)]);
}

#[test]
fn removal_dates_are_reported() {
    let mut new = small();
    at!(&mut new, CREATE)["deprecated"] = json!(true);
    at!(&mut new, CREATE, "/x-github")["deprecationDate"] = json!("2026-05-22");
    at!(&mut new, CREATE, "/x-github")["removalDate"] = json!("2026-08-28");
    let report = compare(&small(), &new).unwrap();
    let change = &report.changes[0];
    assert_eq!(change.message, "it is deprecated since 2026-05-22, until 2026-08-28");
    assert_eq!(change.removal_date.as_deref(), Some("2026-08-28"));
    let mut later = new.clone();
    at!(&mut later, CREATE, "/x-github")["removalDate"] = json!("2027-01-01");
    let report = compare(&new, &later).unwrap();
    assert_eq!(found(&report), [(ChangeKind::RemovalDateChanged, Notice, Patch, Operation)]);
    assert_eq!(report.changes[0].message, "to be removed on 2027-01-01, before: 2026-08-28");
    assert!(report.to_markdown().contains("to be removed on 2027-01-01, before: 2026-08-28"));
}

#[test]
fn changes_are_sorted_by_severity_and_the_bump_is_the_largest() {
    let mut new = small();
    at!(&mut new, THING, "/properties")["x"] = json!({ "type": "string" });
    at!(&mut new, BODY, "/properties/name")["maxLength"] = json!(5);
    at!(&mut new, CREATE)["deprecated"] = json!(true);
    let report = compare(&small(), &new).unwrap();
    let severities: Vec<Severity> = report.changes.iter().map(|change| change.severity).collect();
    assert_eq!(severities, [Breaking, Notice, Compatible]);
    assert_eq!((report.severity(), report.bump()), (Some(Breaking), Minor));
    assert_eq!((report.counts.breaking, report.counts.total()), (1, 3));
    let json = report.to_json();
    assert_eq!((&json["severity"], &json["bump"]), (&json!("breaking"), &json!("minor")));
    assert_eq!(json["changes"][0]["kind"], "bound-tightened");
    assert_eq!(json["changes"][0]["owner"], json!({ "operation": "things/create" }));
    let same = compare(&small(), &small()).unwrap();
    assert_eq!((same.severity(), same.bump()), (None, SemverBump::None));
}

#[test]
fn an_invalid_description_is_named() {
    let wrong = |old: Value, new: Value| compare(&old, &new).unwrap_err().to_string();
    assert_eq!(
        wrong(json!([]), small()),
        "the old document is not an OpenAPI 3.0 document: it is not an object"
    );
    assert_eq!(
        wrong(small(), json!({ "openapi": "3.1.0", "paths": {} })),
        "the new document is not an OpenAPI 3.0 document: `openapi` is `3.1.0`"
    );
    assert!(wrong(small(), json!({ "paths": {} })).ends_with("it has no `openapi`"));
    assert!(wrong(small(), json!({ "openapi": "3.0.3" })).ends_with("it has no `paths`"));
    assert!(wrong(small(), json!({ "openapi": "3.0.3", "paths": 1 })).contains("`paths`"));
    let unknown = slice(&small(), &["things/get", "things/lost"]).unwrap_err();
    assert_eq!(unknown.id, "things/lost");
}

#[test]
fn a_description_wide_change_is_reported_once() {
    let mut new = small();
    new["servers"] = json!([{ "url": "https://ghe.example.com/api/v3" }]);
    let report = compare(&small(), &new).unwrap();
    assert_eq!(found(&report), [(ChangeKind::ServerChanged, Breaking, Patch, Operation)]);
    assert_eq!(
        report.changes[0].operations,
        ["things/create", "things/delete", "things/get", "things/get-pair"]
    );
    assert_eq!(report.changes[0].pointer, "/servers");
    assert_eq!(serde_json::to_value(&report.changes[0].owner).unwrap(), "description");
}

#[test]
fn a_report_fits_into_a_pull_request() {
    let mut new = GITHUB.clone();
    for item in new["paths"].as_object_mut().unwrap().values_mut() {
        for operation in item.as_object_mut().unwrap().values_mut() {
            operation["tags"] = json!([format!("@everyone <b> ` {}", operation["operationId"])]);
            operation["responses"] = json!({ "299": { "description": "" } });
        }
    }
    let report = compare(&GITHUB, &new).unwrap();
    let markdown = report.to_markdown();
    assert!(report.counts.breaking > 500 && report.counts.compatible > 1000);
    assert!(markdown.chars().count() <= DriftReport::MARKDOWN_LIMIT);
    assert!(markdown.contains("which are omitted"));
    assert!(!markdown.contains("```"));
    // Text of a description is escaped: it mentions no user and contains no HTML.
    let mut hostile = small();
    value(&mut hostile, CREATE)["tags"] = json!(["`@everyone` <b>\n# x"]);
    let markdown = compare(&small(), &hostile).unwrap().to_markdown();
    assert!(!markdown.contains("<b>\n") && !markdown.contains("\n# x"), "{markdown}");
}

#[test]
fn every_kind_is_in_the_table() {
    let text = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../src/contract/drift/mod.rs"
    ));
    let text = text.unwrap();
    for kind in ChangeKind::ALL {
        assert!(text.contains(&format!("`{kind}`")), "{kind} is not in the table");
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
    }
}

#[test]
fn a_slice_contains_the_components_of_its_operations_and_no_texts() {
    let slice = slice(&small(), &["things/create", "thing-made"]).unwrap();
    assert_eq!(slice["paths"].as_object().unwrap().len(), 1);
    let components = slice["components"]["schemas"].as_object().unwrap();
    let names: Vec<&String> = components.keys().collect();
    assert_eq!(names, ["label", "nullable-user", "options", "team", "thing", "thing-made", "user"]);
    assert!(!slice.to_string().contains("A thing."));
    assert_eq!(
        slice,
        octowire_refresh::drift::slice(&slice, &["thing-made", "things/create"]).unwrap()
    );
}

#[test]
fn slices_differ_as_their_documents_do() {
    let old = small();
    for (name, edit, _) in rows() {
        let mut new = old.clone();
        edit(&mut new);
        let ids = ["things/get", "things/get-pair", "things/create", "things/delete", "thing-made"];
        let (Ok(a), Ok(b)) = (slice(&old, &ids), slice(&new, &ids)) else { continue };
        let whole = compare(&old, &new).unwrap().only(&ids);
        let whole: Vec<_> =
            whole.changes.into_iter().filter(|of| of.severity != Documentation).collect();
        assert_eq!(compare(&a, &b).unwrap().changes, whole, "{name}");
    }
}
