//! Values as applications have them: text for enums, `[]`, `json!`, ids of any type, and values of responses that are
//! compared, searched and passed on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use octowire::types::{
    ChecksCreateBodyOutputAnnotationsItem as Annotation, ContentFile, Deployment, IssueLabelsItem,
    IssueState, IssueStateInput, IssuesCreateMilestoneBody, PullRequest, PullRequestState,
    PullsCreateReviewBodyCommentsItem as Comment, ReposCreateDeploymentBody,
    ReposCreateDeploymentResponse, ReposGetContentResponse,
};
use octowire::{Client, ErrorKind};
use serde_json::{Value, json};

use crate::support::{Server, json_response};

/// A server that accepts every request, and its client.
async fn accepting() -> (Server, Client) {
    let server = Server::fixed_response(json_response("200 OK", "", "{}")).await;
    let client = server.client();
    (server, client)
}

/// The JSON that was sent last.
fn sent(server: &Server) -> Value {
    serde_json::from_slice(&server.requests().last().unwrap().body).unwrap()
}

#[track_caller]
fn rejected<T>(result: octowire::Result<T>, said: &str) {
    let error = result.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!(error.to_string().contains(said), "{error}");
}

#[test]
fn an_enum_of_a_response_is_compared_with_text_in_both_directions() {
    let mut pull = PullRequest::default();
    pull.state = serde_json::from_value(json!("open")).unwrap();
    let (owned, same) = (String::from("open"), PullRequestState::Open);
    assert!(pull.state == "open");
    assert!("open" == pull.state);
    assert!(pull.state == owned);
    assert!(owned == pull.state);
    assert!(pull.state == same);
    assert!(pull.state != "closed");
    let pulls = [pull.clone()];
    assert_eq!(pulls.iter().filter(|pull| pull.state == "open").count(), 1);
    // A value that GitHub's description does not name yet.
    pull.state = serde_json::from_value(json!("paused")).unwrap();
    assert_eq!(pull.state, "paused");
    assert_ne!(pull.state, PullRequestState::Closed);
}

#[test]
fn a_type_that_operations_share_has_a_name_of_its_own() {
    let state: IssueState = PullRequest::default().state;
    assert!(std::any::type_name_of_val(&state).ends_with("::IssueState"));
}

#[test]
fn records_are_compared_by_their_properties() {
    let read = |value: Value| serde_json::from_value::<IssueLabelsItem>(value).unwrap();
    let bug = || json!({ "name": "bug", "color": "red", "new_property": [1] });
    assert_eq!(read(bug()), read(bug()));
    assert_ne!(read(bug()), read(json!({ "name": "bug", "color": "red" })));
    assert_eq!(Some(ContentFile::default()), Some(ContentFile::default()));
    // An application's own types can derive it.
    #[derive(Debug, PartialEq)]
    struct Cached(PullRequest);
    assert_eq!(Cached(PullRequest::default()), Cached(PullRequest::default()));
    let mut other = PullRequest::default();
    other.number = 7;
    assert_ne!(Cached(PullRequest::default()), Cached(other));
}

#[test]
fn a_label_has_a_name_in_each_of_its_forms() {
    let labels = json!(["bug", { "name": "ui" }, { "name": null }, { "color": "red" }]);
    let labels: Vec<IssueLabelsItem> = serde_json::from_value(labels).unwrap();
    let names: Vec<Option<&str>> = labels.iter().map(IssueLabelsItem::name).collect();
    assert_eq!(names, [Some("bug"), Some("ui"), None, None]);
    // Raw JSON, since it fits no form.
    let other = IssueLabelsItem::Other(json!({ "name": "new" }));
    assert_eq!(other.name(), Some("new"));
    assert_eq!(IssueLabelsItem::Other(json!(7)).name(), None);
}

#[test]
fn the_variants_of_a_union_are_named_after_their_meaning() {
    let directory: ReposGetContentResponse = serde_json::from_value(json!([])).unwrap();
    assert!(directory.as_directory().is_some_and(<[_]>::is_empty) && directory.as_file().is_none());
    assert!(matches!(directory, ReposGetContentResponse::Directory(_)));
    let error = directory.file().unwrap_err().to_string();
    assert!(error.contains("the variant `Directory`"), "{error}");
    let mut file = ContentFile::default();
    file.name = "README.md".to_owned();
    let content = ReposGetContentResponse::from(file);
    assert!(content.as_symlink().is_none() && content.as_submodule().is_none());
    // Another variant is returned as the error, and not lost.
    let content = content.into_directory().unwrap_err();
    assert_eq!(content.into_file().ok().map(|file| file.name).as_deref(), Some("README.md"));
    let created = ReposCreateDeploymentResponse::from(Deployment::default());
    assert!(created.as_message().is_none());
    assert_eq!(created.into_deployment(), Ok(Deployment::default()));
}

#[tokio::test]
async fn an_empty_list_is_an_empty_array() {
    let (server, client) = accepting().await;
    let issue = || client.issues().update().owner("o").repo("r").issue_number(1);
    issue().labels([]).assignees([]).into_request().send_empty().await.unwrap();
    assert_eq!(sent(&server), json!({ "labels": [], "assignees": [] }));
    let token = client.apps().create_installation_access_token().installation_id(1);
    token.repository_ids([]).into_request().send_empty().await.unwrap();
    assert_eq!(sent(&server), json!({ "repository_ids": [] }));
    let list = client.issues().list_for_repo().owner("o").repo("r").labels([]);
    list.into_request().send_empty().await.unwrap();
    assert!(server.requests().last().unwrap().target.ends_with("?labels="));
}

#[tokio::test]
async fn a_list_is_any_collection_or_an_iterator() {
    let (server, client) = accepting().await;
    let names = vec!["bug".to_owned(), "ui".to_owned()];
    let (array, set) = (["bug", "ui"], BTreeSet::from(["ui", "bug"]));
    let call = || client.issues().update().owner("o").repo("r").issue_number(1);
    for call in [
        call().labels(array),
        call().labels(&array),
        call().labels(&names),
        call().labels(names.as_slice()),
        call().labels(names.iter().map(String::as_str)),
        call().labels(&set),
        call().labels(set),
        call().labels(VecDeque::from(names.clone())),
        call().labels("bug ui".split(' ')),
        call().labels(names),
    ] {
        call.into_request().send_empty().await.unwrap();
        assert_eq!(sent(&server), json!({ "labels": ["bug", "ui"] }));
    }
}

#[tokio::test]
async fn a_free_form_object_is_json_or_a_map() {
    let (server, client) = accepting().await;
    let call = || client.repos().create_dispatch_event().owner("o").repo("r").event_type("deploy");
    for call in [
        call().client_payload(json!({ "to": "staging" })),
        call().client_payload(BTreeMap::from([("to", "staging")])),
    ] {
        call.into_request().send_empty().await.unwrap();
        let expected = json!({ "event_type": "deploy", "client_payload": { "to": "staging" } });
        assert_eq!(sent(&server), expected);
    }
    let said = r#"invalid body property "client_payload": expected a JSON object, found an array"#;
    rejected(call().client_payload(json!(["staging"])).send().await, said);

    let deployment = || client.repos().create_deployment().owner("o").repo("r").ref_("main");
    for (call, expected) in [
        (deployment().payload(json!({ "to": "staging" })), json!({ "to": "staging" })),
        (deployment().payload(json!("staging")), json!("staging")),
        (deployment().payload("staging"), json!("staging")),
    ] {
        call.into_request().send_empty().await.unwrap();
        assert_eq!(sent(&server)["payload"], expected);
    }
    let said = r#"invalid body property "payload": expected a JSON object or text"#;
    rejected(deployment().payload(json!(7)).send().await, said);
}

#[tokio::test]
async fn the_records_of_a_body_accept_what_its_setters_accept() {
    let (server, client) = accepting().await;
    let review = || client.pulls().create_review().owner("o").repo("r").pull_number(8_usize);
    let comment = || Comment::new("src/lib.rs", "Why?");
    let comments = [comment().line(12_u64), comment().line("13"), comment().position(14)];
    review().event("COMMENT").comments(comments).into_request().send_empty().await.unwrap();
    let sent_comments = sent(&server)["comments"].clone();
    assert_eq!(sent_comments[0]["line"], 12);
    assert_eq!(sent_comments[1]["line"], 13);
    assert_eq!(sent_comments[2]["position"], 14);

    let annotation = Annotation::new("src/lib.rs", 1_u64, "2", "warning", "Unused");
    let written = serde_json::to_value(&annotation).unwrap();
    assert_eq!(written["annotation_level"], "warning");
    assert_eq!((&written["start_line"], &written["end_line"]), (&json!(1), &json!(2)));

    let milestone = || client.issues().create_milestone().owner("o").repo("r");
    let body = IssuesCreateMilestoneBody::new("t").state("closed").due_on("2024-05-01T08:00:00Z");
    milestone().json(body).into_request().send_empty().await.unwrap();
    let expected = json!({ "title": "t", "state": "closed", "due_on": "2024-05-01T08:00:00Z" });
    assert_eq!(sent(&server), expected);

    let deployment = client.repos().create_deployment().owner("o").repo("r");
    let body = ReposCreateDeploymentBody::new("main").payload(json!({ "to": "staging" }));
    deployment.json(body).into_request().send_empty().await.unwrap();
    assert_eq!(sent(&server), json!({ "ref": "main", "payload": { "to": "staging" } }));
}

#[tokio::test]
async fn an_invalid_value_of_a_record_fails_the_call_before_it_is_sent() {
    let (server, client) = accepting().await;
    let review = client.pulls().create_review().owner("o").repo("r").pull_number(8);
    let comment = Comment::new("src/lib.rs", "Why?").line("twelve");
    let said = r#"invalid body property "comments": line: `twelve` is not an integer"#;
    rejected(review.comments([comment]).send().await, said);

    let milestone = client.issues().create_milestone().owner("o").repo("r");
    let body = IssuesCreateMilestoneBody::new("t").state("shut").due_on("soon");
    let said = "body: state: `shut` is not one of `open`, `closed`";
    rejected(milestone.json(body).send().await, said);

    let deployment = client.repos().create_deployment().owner("o").repo("r");
    let body = ReposCreateDeploymentBody::new("main").payload(json!(7));
    let said = "body: payload: expected a JSON object or text";
    rejected(deployment.json(body).send().await, said);

    let shown = format!("{:?}", IssuesCreateMilestoneBody::new("t").state("shut"));
    assert!(shown.contains(r#"invalid_values: [("state", "`shut` is not one of "#), "{shown}");

    let annotation = Annotation::new("src/lib.rs", 1, 2, "fatal", "Unused");
    let error = serde_json::to_value(&annotation).unwrap_err().to_string();
    assert!(error.starts_with("annotation_level: `fatal` is not one of "), "{error}");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_valid_value_of_a_record_corrects_an_invalid_one() {
    let (server, client) = accepting().await;
    let body = IssuesCreateMilestoneBody::new("t").state("shut").state("open");
    assert_eq!(body, IssuesCreateMilestoneBody::new("t").state("open"));
    assert!(!format!("{body:?}").contains("invalid"), "{body:?}");
    let milestone = client.issues().create_milestone().owner("o").repo("r");
    milestone.json(body).into_request().send_empty().await.unwrap();
    assert_eq!(sent(&server), json!({ "title": "t", "state": "open" }));
}

#[test]
fn the_setter_of_a_required_property_corrects_an_invalid_value_and_an_assignment_does_not() {
    let reason =
        |annotation: &Annotation| serde_json::to_value(annotation).unwrap_err().to_string();
    let invalid = Annotation::new("src/lib.rs", "one", 2, "fatal", "Unused");
    assert!(reason(&invalid).starts_with("start_line: "), "{}", reason(&invalid));

    let mut assigned = invalid.clone();
    assigned.start_line = 1;
    assert!(reason(&assigned).starts_with("start_line: "), "{}", reason(&assigned));

    let invalid = invalid.start_line(1);
    assert!(reason(&invalid).starts_with("annotation_level: "), "{}", reason(&invalid));
    let corrected = invalid.annotation_level("warning");
    assert_eq!(corrected, Annotation::new("src/lib.rs", 1, 2, "warning", "Unused"));
    assert_eq!((corrected.start_line, corrected.annotation_level.as_str()), (1, "warning"));
    // The setter records an invalid value as well.
    assert!(reason(&corrected.end_line("two")).starts_with("end_line: "));
}

#[tokio::test]
async fn a_setter_accepts_the_enum_of_a_response() {
    let (server, client) = accepting().await;
    let mut pull = PullRequest::default();
    pull.state = PullRequestState::Closed;
    let update = || client.issues().update().owner("o").repo("r").issue_number(1);
    for call in [update().state(&pull.state), update().state(pull.state.clone())] {
        call.into_request().send_empty().await.unwrap();
        assert_eq!(sent(&server), json!({ "state": "closed" }));
    }
    let list = || client.issues().list_for_repo().owner("o").repo("r");
    // The enum of another request.
    for call in [list().state(&pull.state), list().state(IssueStateInput::Closed)] {
        call.into_request().send_empty().await.unwrap();
        assert!(server.requests().last().unwrap().target.ends_with("?state=closed"));
    }
    let body = IssuesCreateMilestoneBody::new("t").state(&pull.state);
    assert_eq!(serde_json::to_value(body).unwrap(), json!({ "title": "t", "state": "closed" }));

    // A value that GitHub's description does not name, as in a response, and as the caller names it.
    pull.state = serde_json::from_value(json!("paused")).unwrap();
    let said = r#"invalid body property "state": `paused` is not one of `open`, `closed`"#;
    rejected(update().state(pull.state).send().await, said);
    let paused = IssueStateInput::Other("paused".to_owned());
    update().state(paused).into_request().send_empty().await.unwrap();
    assert_eq!(sent(&server), json!({ "state": "paused" }));
}
