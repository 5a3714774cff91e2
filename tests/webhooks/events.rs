//! Events of any payload: typed as far as a type fits, and never less than the JSON.

use octowire::ErrorKind;
use octowire::auth::Installation;
use octowire::types::WebhookIssuesOpened;
use octowire::webhooks::{Event, IssuesEvent, PullRequestEvent, RepositoryRef};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use crate::payloads::payloads;

fn read(event: &str, payload: &Value) -> Event {
    Event::read(event, &serde_json::to_vec(payload).unwrap()).unwrap()
}

/// The first published payload of an event and an action.
fn published(event: &str, action: Option<&str>) -> Value {
    let found = payloads()
        .iter()
        .find(|payload| payload.event == event && payload.body["action"].as_str() == action);
    found.unwrap().body.clone()
}

#[test]
fn an_event_is_matched_by_name_and_action() {
    let event = read("issues", &published("issues", Some("opened")));
    let Event::Issues(IssuesEvent::Opened(payload)) = &event else { panic!("{event:?}") };
    let payload: &WebhookIssuesOpened = payload;
    assert_eq!(payload.issue.title, "Spelling error in the README file");
    assert_eq!((event.name(), event.action()), ("issues", Some("opened")));
    assert!(!event.is_unknown());
    let Event::Push(push) = read("push", &published("push", None)) else { panic!("no push") };
    assert_eq!(push.ref_, "refs/tags/simple-tag");
}

#[test]
fn every_event_returns_the_accounts_of_its_payload() {
    let mut compared = 0;
    for payload in payloads() {
        let event = Event::read(&payload.event, &payload.bytes).unwrap();
        let said = |role: &str, label: &str| {
            let object = &payload.body[role];
            Some((object["id"].as_i64()?, object[label].as_str()?.to_owned()))
        };
        let sender = event.sender().map(|sender| (sender.id, sender.login.to_owned()));
        assert_eq!(sender, said("sender", "login"), "{}", payload.name);
        let repository = event.repository().map(|of| (of.id, of.full_name.to_owned()));
        assert_eq!(repository, said("repository", "full_name"), "{}", payload.name);
        let organization = event.organization().map(|of| (of.id, of.login.to_owned()));
        assert_eq!(organization, said("organization", "login"), "{}", payload.name);
        let enterprise = event.enterprise().map(|of| (of.id, of.slug.to_owned()));
        assert_eq!(enterprise, said("enterprise", "slug"), "{}", payload.name);
        let installation = payload.body["installation"]["id"].as_i64();
        assert_eq!(event.installation(), installation, "{}", payload.name);
        compared += 1;
    }
    assert_eq!(compared, 329);
}

#[test]
fn a_payload_of_two_shapes_returns_its_accounts() {
    let event = read("pull_request", &published("pull_request", Some("review_requested")));
    assert!(matches!(&event, Event::PullRequest(PullRequestEvent::ReviewRequested(_))));
    assert_eq!(event.repository().unwrap().full_name, "Codertocat/Hello-World");
}

#[test]
fn a_repository_has_an_owner_and_a_name() {
    let event = read("star", &published("star", Some("created")));
    let repository: RepositoryRef<'_> = event.repository().unwrap();
    assert_eq!((repository.owner(), repository.name()), ("Codertocat", "Hello-World"));
    assert_eq!(repository.to_string(), "Codertocat/Hello-World");
}

#[test]
fn an_event_or_an_action_that_is_not_known_is_the_json_as_it_came() {
    let mut payload = published("issues", Some("opened"));
    let event = read("issue_types", &payload);
    assert!(matches!(&event, Event::Unknown(unknown) if *unknown.payload() == payload));
    assert_eq!((event.name(), event.action()), ("issue_types", Some("opened")));
    assert_eq!(event.sender().unwrap().login, "Codertocat");
    payload["action"] = json!("sublimated");
    let event = read("issues", &payload);
    let Event::Issues(IssuesEvent::Unknown(unknown)) = &event else { panic!("{event:?}") };
    assert_eq!((unknown.payload(), unknown.error().is_none()), (&payload, true));
    assert_eq!((event.name(), event.action()), ("issues", Some("sublimated")));
    assert_eq!(event.repository().unwrap().full_name, "Codertocat/Hello-World");
    payload.as_object_mut().unwrap().remove("action");
    assert_eq!(read("issues", &payload).action(), None);
}

#[test]
fn a_payload_that_github_changes_is_the_json_with_the_place_that_does_not_fit() {
    let mut payload = published("issues", Some("opened"));
    payload["issue"]["title"] = json!({ "text": "Spelling", "html": "<b>Spelling</b>" });
    let event = read("issues", &payload);
    let unknown = event.unknown().unwrap();
    assert_eq!(unknown.payload(), &payload);
    let error = unknown.error().unwrap();
    assert_eq!((error.kind(), error.json_path()), (ErrorKind::Decode, Some("$.issue.title")));
    assert!(error.to_string().contains("does not match the OpenAPI description"), "{error}");
    assert_eq!(serde_json::to_value(&event).unwrap(), payload);
}

#[test]
fn a_payload_that_does_not_fit_says_which_type_it_misses_and_where() {
    let mut payload = published("issues", Some("opened"));
    payload["issue"]["title"] = json!(7);
    let event = read("issues", &payload);
    let mismatch = event.unknown().unwrap().mismatch().unwrap();
    assert_eq!(mismatch.expected(), "WebhookIssuesOpened");
    assert_eq!((mismatch.action(), mismatch.json_path()), (Some("opened"), "$.issue.title"));
    assert!(mismatch.reason().contains("expected a string"), "{}", mismatch.reason());
    let shown = mismatch.to_string();
    assert!(
        shown.starts_with("payload does not fit WebhookIssuesOpened at $.issue.title"),
        "{shown}"
    );

    payload["issue"].as_object_mut().unwrap().remove("title");
    let event = read("issues", &payload);
    let mismatch = event.unknown().unwrap().mismatch().unwrap();
    assert_eq!(mismatch.json_path(), "$.issue");
    assert!(mismatch.reason().contains("missing field `title`"), "{}", mismatch.reason());

    let mut payload = published("push", None);
    payload["ref"] = json!(null);
    let event = read("push", &payload);
    let mismatch = event.unknown().unwrap().mismatch().unwrap();
    assert_eq!((mismatch.expected(), mismatch.action()), ("WebhookPush", None));
}

#[test]
fn an_event_or_an_action_without_a_type_misses_none() {
    let mut payload = published("issues", Some("opened"));
    assert!(read("issue_types", &payload).unknown().unwrap().mismatch().is_none());
    payload["action"] = json!("sublimated");
    assert!(read("issues", &payload).unknown().unwrap().mismatch().is_none());
}

#[test]
fn a_known_event_that_does_not_say_its_action_misses_its_type() {
    for action in [None, Some(json!(7)), Some(json!(null))] {
        let mut payload = published("issues", Some("opened"));
        match action {
            Some(action) => payload["action"] = action,
            None => drop(payload.as_object_mut().unwrap().remove("action")),
        }
        let event = read("issues", &payload);
        let mismatch = event.unknown().unwrap().mismatch().unwrap();
        assert_eq!((mismatch.expected(), mismatch.action()), ("IssuesEvent", None), "{mismatch}");
    }
}

/// An id of a payload is given to the setter that it is for, without a cast: that it compiles is the
/// test.
fn ids_of_payloads_fit(
    client: &octowire::Client,
    event: &Event,
    blocked: &octowire::types::WebhookIssueDependenciesBlockedByAdded,
    queued: &octowire::types::WebhookWorkflowJobQueued,
) -> octowire::Result<()> {
    if let Some(installation) = event.installation() {
        let _ = client.installation(installation)?;
        let _ = client.installation(Installation::id(installation).repository_ids([1_i64]))?;
        let _ = client.apps().get_installation().installation_id(installation);
    }
    let issues = client.issues();
    let _ = blocked.blocking_issue_id.map(|id| issues.remove_dependency_blocked_by().issue_id(id));
    let _: i64 = queued.workflow_job.run_id;
    Ok(())
}

#[test]
fn ids_of_payloads_are_returned_unchanged() {
    let client = octowire::Client::builder().build().unwrap();
    let event = read("issues", &published("issues", Some("opened")));
    let blocked = octowire::types::WebhookIssueDependenciesBlockedByAdded::default();
    let queued = octowire::types::WebhookWorkflowJobQueued::default();
    assert!(ids_of_payloads_fit(&client, &event, &blocked, &queued).is_ok());
}

#[test]
fn a_number_without_a_fraction_is_an_integer() {
    let published = published("workflow_job", Some("queued"));
    let mut payload = published.clone();
    payload["workflow_job"]["run_id"] =
        json!(published["workflow_job"]["run_id"].as_f64().unwrap());
    let event = read("workflow_job", &payload);
    let again = serde_json::to_value(&event).unwrap();
    assert!(!event.is_unknown(), "{event:?}");
    assert_eq!(again["workflow_job"]["run_id"], published["workflow_job"]["run_id"]);
}

#[test]
fn the_action_is_found_at_any_position() {
    let payload = published("issues", Some("opened"));
    let rest = serde_json::to_string(&payload).unwrap().replacen("\"action\":\"opened\",", "", 1);
    let last = format!("{},\"action\":\"o\\u0070ened\"}}", rest.strip_suffix('}').unwrap());
    let event = Event::read("issues", last.as_bytes()).unwrap();
    assert!(matches!(event, Event::Issues(IssuesEvent::Opened(_))));
}

#[test]
fn invalid_json_is_an_error_with_its_position() {
    for (body, part) in [
        (&b"{\"action\":\"opened\","[..], "not valid JSON"),
        (b"\xff", "UTF-8"),
        (b"", "not valid JSON"),
    ] {
        for event in ["issues", "push", "absent"] {
            let error = Event::read(event, body).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Decode);
            assert!(
                error.to_string().contains(part) && error.to_string().contains(event),
                "{error}"
            );
        }
    }
}

/// The place of every value in a payload.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| places(value, &format!("{at}/{key}"), found));
        }
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, value)| places(value, &format!("{at}/{index}"), found));
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Any change of a payload decodes without an error, and keeps the values that do not fit.
    #[test]
    fn any_change_of_a_payload_is_read(which in any::<Index>(), at in any::<Index>(), value in prop::sample::select(vec![
        json!(null), json!(true), json!(-1), json!(1.5), json!("text"), json!([]), json!({}), json!([{}]),
    ])) {
        let payloads = payloads();
        let payload = &payloads[which.index(payloads.len())];
        let mut found = Vec::new();
        places(&payload.body, "", &mut found);
        let mut body = payload.body.clone();
        let place = &found[at.index(found.len())];
        *body.pointer_mut(place).unwrap() = value;
        let event = Event::read(&payload.event, &serde_json::to_vec(&body).unwrap()).unwrap();
        prop_assert_eq!(event.name(), &payload.event);
        if let Some(unknown) = event.unknown() {
            prop_assert_eq!(unknown.payload(), &body);
            // Either the type is missed, with a place within the payload, or there is none.
            let known = payload.body["action"] == body["action"];
            match unknown.mismatch() {
                Some(mismatch) => {
                    prop_assert!(mismatch.json_path().starts_with('$'));
                    // Of an event that does not say its action, nothing but the enum is known.
                    let of_event = mismatch.action().is_none() && mismatch.expected().ends_with("Event");
                    prop_assert!(mismatch.expected().starts_with("Webhook") || of_event);
                    prop_assert!(!mismatch.reason().is_empty() && unknown.error().is_some());
                }
                None => prop_assert!(!known || Event::read(&payload.event, &payload.bytes).unwrap().is_unknown()),
            }
        }
    }

    #[test]
    fn anything_may_come(event in "issues|push|star|absent", body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Event::read(&event, &body);
    }
}
