//! Webhooks: from the document's `x-webhooks` to events.

use serde_json::{Value, json};

use crate::support::{
    assert_contains, content, definition, document, fails, lowered_parts, names, ok, openapi,
    reference, written_with_events,
};
use octowire_codegen::select::{Selection, event_feature, events, feature_variable, select};
use octowire_codegen::webhooks::describe;

/// A document with these webhooks: name, subcategory, schema.
fn webhooks(webhooks: &[(&str, &str, Value)], schemas: Value) -> Value {
    let meta = json!({ "get": { "operationId": "meta/root", "tags": ["meta"], "responses": {} } });
    let mut document = document(json!({ "/": meta }), schemas);
    for (key, subcategory, schema) in webhooks {
        document["x-webhooks"][key] = json!({ "post": {
            "operationId": key, "summary": format!("About {subcategory}."),
            "description": format!("This is {key}."),
            "externalDocs": { "url": "https://docs.github.com/webhooks" },
            "requestBody": content(schema.clone()),
            "x-github": { "subcategory": subcategory },
        } });
    }
    document
}

fn payload(action: Option<&str>) -> Value {
    let user = json!({ "type": "object", "required": ["id", "login"], "properties": {
        "id": { "type": "integer" }, "login": { "type": "string" },
    } });
    let mut payload = json!({ "type": "object", "required": ["sender"], "properties": {
        "sender": user,
    } });
    if let Some(action) = action {
        payload["properties"]["action"] = json!({ "type": "string", "enum": [action] });
    }
    payload
}

fn of_two_events() -> Value {
    webhooks(
        &[
            ("issues-opened", "issues", reference("webhook-issues-opened")),
            ("issues-closed", "issues", reference("webhook-issues-closed")),
            ("push", "push", reference("webhook-push")),
        ],
        json!({
            "webhook-issues-opened": payload(Some("opened")),
            "webhook-issues-closed": payload(Some("closed")),
            "webhook-push": payload(None),
            "unused": { "type": "object", "properties": { "a": { "type": "string" } } },
        }),
    )
}

#[test]
fn a_chosen_event_brings_its_payloads_and_no_others() {
    let choose = |events: Selection| ok(lowered_parts(&of_two_events(), &Selection::All, &events));
    let push = choose(Selection::Only(names(&["push"])));
    assert!(push.types.contains_key("WebhookPush"));
    assert!(!push.types.keys().any(|name| name.contains("Issues") || name == "Unused"));
    let keys = |lowered: &octowire_codegen::lower::ApiModel| -> Vec<String> {
        lowered.payloads.iter().map(|payload| payload.webhook.key.clone()).collect()
    };
    assert_eq!(keys(&push), ["push"]);
    assert_eq!(keys(&choose(Selection::All)), ["issues-opened", "issues-closed", "push"]);
    let none = choose(Selection::Only(names(&[])));
    assert!(none.types.is_empty() && none.payloads.is_empty());
}

#[test]
fn a_payload_type_decodes_and_names_its_event() {
    let lowered = ok(lowered_parts(&of_two_events(), &Selection::All, &Selection::All));
    assert!(lowered.read.contains("WebhookIssuesOpened"));
    let doc = &definition(&lowered, "WebhookIssuesOpened").doc;
    assert_contains(doc, "event `issues` with the action `opened`");
    assert_contains(doc, "This is issues-opened.");
    assert!(!definition(&lowered, "WebhookPush").doc.contains("action"));
}

#[test]
fn an_event_with_actions_is_an_enum_of_them_and_another_is_its_payload() {
    let (_, source) = ok(written_with_events(&of_two_events()));
    for line in [
        "IssuesEvent = \"issues\" {",
        "    Opened = \"opened\": WebhookIssuesOpened,",
        "    Closed = \"closed\": WebhookIssuesClosed,",
        "    actions Issues = \"issues\": IssuesEvent;",
        "    payload Push = \"push\": WebhookPush;",
        "crate::webhooks::event::generated::payload! { WebhookPush { sender: sender } }",
    ] {
        assert_contains(&source, &format!("{line}\n"));
    }
    syn::parse_file(&source).expect("Rust");
}

#[test]
fn an_events_name_is_its_subcategory_in_words_of_github() {
    let document = webhooks(&[("sub-issues-added", "sub-issues", payload(None))], json!({}));
    assert_eq!(events(&document), names(&["sub_issues"]));
    assert_eq!(feature_variable(&event_feature("sub_issues")), "CARGO_FEATURE_WEBHOOK_SUB_ISSUES");
}

#[test]
fn the_actions_of_a_union_are_those_of_its_variants() {
    let one = payload(Some("review_requested"));
    let mut other = one.clone();
    other["properties"]["team"] = json!({ "type": "string" });
    let union = json!({ "oneOf": [one, other] });
    let document = webhooks(
        &[("pull-request-review-requested", "pull_request", reference("both"))],
        json!({ "both": union }),
    );
    assert_eq!(ok(describe(&document))[0].actions, ["review_requested"]);
    let (_, source) = ok(written_with_events(&document));
    assert_contains(&source, "payload_union! { Both { Variant0, WithTeam } }");
    assert_contains(&source, "    ReviewRequested = \"review_requested\": Both,");
}

#[test]
fn indistinguishable_payloads_are_an_error() {
    let twice = |a: Option<&str>, b: Option<&str>| {
        let webhooks = webhooks(
            &[("issues-a", "issues", payload(a)), ("issues-b", "issues", payload(b))],
            json!({}),
        );
        fails(describe(&webhooks), "webhooks", "/x-webhooks/issues-b")
    };
    for (a, b) in [(None, None), (Some("a"), None), (None, Some("a")), (Some("a"), Some("a"))] {
        assert_contains(twice(a, b), "cannot be distinguished from `issues-a`");
    }
}

#[test]
fn a_webhook_of_no_event_or_without_a_payload_is_an_error() {
    let mut document = of_two_events();
    document["x-webhooks"]["push"]["post"]["x-github"] = json!({});
    let result =
        select(&mut document.clone(), &Selection::All, &Selection::Only(names(&["issues"])));
    assert_contains(fails(result, "webhooks", "/x-webhooks/push"), "subcategory");
    // A build without events is not affected.
    ok(select(&mut document.clone(), &Selection::All, &Selection::Only(names(&[]))));
    let mut document = of_two_events();
    document["x-webhooks"]["push"]["post"]["requestBody"] = json!({ "content": {} });
    let at = "/x-webhooks/push/post/requestBody";
    assert_contains(fails(describe(&document), "webhooks", at), "without a JSON payload");
    let text = webhooks(&[("push", "push", json!({ "type": "string" }))], json!({}));
    let result = lowered_parts(&text, &Selection::All, &Selection::All).map(drop);
    assert_contains(fails(result, "lower", "/x-webhooks/push"), "not an object");
}

/// The features of events that Cargo.toml has.
pub fn features() -> std::collections::BTreeSet<String> {
    let manifest = std::fs::read_to_string(openapi().join("../Cargo.toml")).expect("Cargo.toml");
    let feature = |line: &str| {
        let name = line.strip_suffix(" = [\"webhooks\"]")?.strip_prefix("webhook-")?;
        Some(name.replace('-', "_"))
    };
    manifest.lines().filter_map(feature).collect()
}
