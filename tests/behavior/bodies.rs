//! Request bodies that are set property by property.

use octowire::chrono::{DateTime, FixedOffset};
use octowire::types::{
    IssuesCreateMilestoneBody, IssuesListForRepoState,
    IssuesSetLabelsBodyVariant1LabelsItem as Label,
};
use serde_json::{Value, json};

use crate::support::{Server, json_response};

/// The JSON that was sent last.
fn sent(server: &Server) -> Value {
    let requests = server.requests();
    serde_json::from_slice(&requests.last().unwrap().body).unwrap()
}

#[tokio::test]
async fn labels_are_set_by_name_and_as_objects_with_the_same_setter() {
    let server = Server::fixed_response(json_response("200 OK", "", "[]")).await;
    let client = server.client();
    let issues = client.issues();
    let call = || issues.set_labels().owner("o").repo("r").issue_number(1);
    call().labels(["bug", "p1"]).send().await.unwrap();
    assert_eq!(sent(&server), json!({ "labels": ["bug", "p1"] }));
    call().labels([Label::new("bug")]).send().await.unwrap();
    assert_eq!(sent(&server), json!({ "labels": [{ "name": "bug" }] }));
}

#[tokio::test]
async fn a_missing_field_is_named_with_its_setter() {
    let client = octowire::Client::builder().build().unwrap();
    let error = client.git().get_ref().owner("o").repo("r").send().await.unwrap_err();
    let shown = error.to_string();
    assert!(shown.contains(r#"missing path parameter "ref"; call .ref_(…)"#), "{shown}");
    let tag = client.git().create_tag().owner("o").repo("r").tag("v1").message("m").object("0");
    let shown = tag.send().await.unwrap_err().to_string();
    assert!(shown.contains(r#"missing body property "type"; call .type_(…)"#), "{shown}");
}

#[tokio::test]
async fn an_empty_update_is_rejected_unless_it_is_explicit() {
    let server = Server::fixed_response(json_response("200 OK", "", "{}")).await;
    let client = server.client();
    let call = || client.apps().update_webhook_config_for_app();
    let error = call().send().await.unwrap_err();
    assert_eq!(error.kind(), octowire::ErrorKind::InvalidRequest);
    let shown = error.to_string();
    assert!(
        shown.contains(
            "apps/update-webhook-config-for-app: missing request body, which GitHub requires; set \
             one of its properties with .url(…), or the whole body with .json(…)"
        ),
        "{shown}"
    );
    assert!(server.requests().is_empty());
    call().into_request().json(&json!({})).send_empty().await.unwrap();
    assert_eq!(sent(&server), json!({}));
    call().json(octowire::types::AppsUpdateWebhookConfigForAppBody::new()).send().await.unwrap();
    assert_eq!(sent(&server), json!({}));
}

#[tokio::test]
async fn a_creation_without_properties_is_sent_as_an_empty_object() {
    let server = Server::fixed_response(json_response("201 Created", "", "{}")).await;
    let client = server.client();
    let call = client.repos().create_deployment_protection_rule();
    call.owner("o").repo("r").environment_name("e").into_request().send_empty().await.unwrap();
    assert_eq!(sent(&server), json!({}));
    assert_eq!(server.requests()[0].headers["content-type"], "application/json");
}

#[tokio::test]
async fn a_body_that_is_not_required_is_left_out() {
    let server = Server::fixed_response(json_response("200 OK", "", "{}")).await;
    let call = server.client().pulls().merge().owner("o").repo("r").pull_number(1);
    call.into_request().send_empty().await.unwrap();
    assert!(server.requests()[0].body.is_empty());
}

#[tokio::test]
async fn times_of_any_kind_are_sent_as_github_writes_them() {
    let server = Server::fixed_response(json_response("200 OK", "", "[]")).await;
    let client = server.client();
    let zoned: DateTime<FixedOffset> = "2024-05-01T10:00:00.25+02:00".parse().unwrap();
    let borrowed = &zoned.to_utc();
    let expected = "since=2024-05-01T08%3A00%3A00Z";
    let list = || client.issues().list_for_repo().owner("o").repo("r");
    for call in [
        list().since(zoned),
        list().since(borrowed),
        list().since(std::time::SystemTime::from(zoned)),
        list().since("2024-05-01T10:00:00.25+02:00"),
        list().since("2024-05-01T08:00:00Z".to_owned()),
    ] {
        call.send().await.unwrap();
        let target = server.requests().last().unwrap().target.clone();
        assert!(target.ends_with(expected), "{target}");
    }
    let create = || client.issues().create_milestone().owner("o").repo("r").title("t");
    for call in [
        create().due_on(zoned),
        create().due_on("2024-05-01T08:00:00Z"),
        create().json(IssuesCreateMilestoneBody::new("t").due_on(zoned)),
    ] {
        call.into_request().send_empty().await.unwrap();
        assert_eq!(sent(&server)["due_on"], "2024-05-01T08:00:00Z");
    }
}

#[tokio::test]
async fn text_that_is_no_time_is_rejected_before_it_is_sent() {
    let client = octowire::Client::builder().build().unwrap();
    let far = std::time::UNIX_EPOCH + std::time::Duration::from_secs(u64::from(u32::MAX) << 12);
    let list = || client.issues().list_for_repo().owner("o").repo("r");
    let shown = list().since("yesterday").send().await.unwrap_err().to_string();
    assert!(
        shown.contains(r#"invalid query parameter "since": `yesterday` is not an RFC 3339 time"#),
        "{shown}"
    );
    let shown = list().since(far).send().await.unwrap_err().to_string();
    assert!(shown.contains("too far in the future"), "{shown}");
    let create = client.issues().create_milestone().owner("o").repo("r").title("t");
    let shown = create.due_on("soon").send().await.unwrap_err().to_string();
    assert!(
        shown.contains(r#"invalid body property "due_on": `soon` is not an RFC 3339 time"#),
        "{shown}"
    );
}

#[tokio::test]
async fn user_input_parses_to_an_enum_value_or_an_error_that_lists_the_values() {
    let typed = "closed".to_owned();
    let state: IssuesListForRepoState = typed.parse().unwrap();
    assert_eq!(state, IssuesListForRepoState::Closed);
    let error = "shut".parse::<IssuesListForRepoState>().unwrap_err();
    assert_eq!(error.to_string(), "`shut` is not one of `open`, `closed`, `all`");
    let server = Server::fixed_response(json_response("200 OK", "", "[]")).await;
    let list = server.client().issues().list_for_repo().owner("o").repo("r");
    list.state(&typed).send().await.unwrap();
    assert!(server.requests()[0].target.ends_with("?state=closed"));
}
