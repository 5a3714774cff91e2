//! Setters accept every value that GitHub accepts, and reject other values before the request
//! is sent.

use http::{HeaderMap, Method};
use octowire::contract::{ApiDescription, DeviationKind, RequestToValidate};
use octowire::testing::MockGitHub;
use octowire::types::{
    IssuesListForRepoState, PullsMergeBodyMergeMethod, ReposCreateInOrgBody,
    ReposCreateInOrgBodyVisibility, RepositoryRulePullRequestParametersInput,
};
use octowire::{ErrorKind, IntoInteger, InvalidInteger, RetryPolicy};
use serde_json::{Value, json};

use crate::support::{Server, json_response};

/// The query that was sent last, decoded.
fn query(server: &Server) -> String {
    let requests = server.requests();
    let target = &requests.last().unwrap().target;
    let query = target.split_once('?').map_or("", |(_, query)| query);
    percent_encoding::percent_decode_str(query).decode_utf8().unwrap().into_owned()
}

/// The path that was sent last.
fn path(server: &Server) -> String {
    let requests = server.requests();
    requests.last().unwrap().target.split('?').next().unwrap().to_owned()
}

/// The JSON that was sent last.
fn sent(server: &Server) -> Value {
    serde_json::from_slice(&server.requests().last().unwrap().body).unwrap()
}

#[tokio::test]
async fn a_value_that_the_description_lacks_is_sent_when_it_is_said() {
    let server = Server::fixed_response(json_response("200 OK", "", "{}")).await;
    let client = server.client();
    let shut = IssuesListForRepoState::Other("shut".into());
    let list = client.issues().list_for_repo().owner("o").repo("r").state(shut);
    list.into_request().send_empty().await.unwrap();
    assert_eq!(query(&server), "state=shut");

    let internal = ReposCreateInOrgBodyVisibility::Other("internal".into());
    let create = client.repos().create_in_org().org("o");
    let property = create.clone().name("r").visibility(internal.clone());
    property.into_request().send_empty().await.unwrap();
    assert_eq!(sent(&server), json!({ "name": "r", "visibility": "internal" }));
    let whole = create.json(ReposCreateInOrgBody::new("r").visibility(internal));
    whole.into_request().send_empty().await.unwrap();
    assert_eq!(sent(&server), json!({ "name": "r", "visibility": "internal" }));
}

#[test]
fn a_value_that_the_description_lacks_is_written_within_a_list() {
    let methods =
        [PullsMergeBodyMergeMethod::Squash, PullsMergeBodyMergeMethod::Other("ff".into())];
    let parameters = RepositoryRulePullRequestParametersInput::new(true, false, false, 1, false)
        .allowed_merge_methods(methods);
    let written = serde_json::to_value(parameters).unwrap();
    assert_eq!(written["allowed_merge_methods"], json!(["squash", "ff"]));
}

#[tokio::test]
async fn text_that_is_no_value_is_rejected_with_the_values_that_there_are() {
    let server = Server::fixed_response(json_response("200 OK", "", "{}")).await;
    let create = server.client().repos().create_in_org().org("o").name("r");
    let error = create.visibility("intrenal").send().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    let shown = error.to_string();
    let said =
        r#"invalid body property "visibility": `intrenal` is not one of `public`, `private`"#;
    assert!(shown.contains(said), "{shown}");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn the_mock_and_the_contract_report_it_as_any_value_that_the_description_lacks() {
    let mock = MockGitHub::start().await;
    let client = mock.client_builder().retry(RetryPolicy::disabled()).build().unwrap();
    let list = client.issues().list_for_repo().owner("octocat").repo("hello-world");
    let shut = IssuesListForRepoState::Other("shut".into());
    let error = list.clone().state(shut).send().await.unwrap_err();
    assert_eq!(error.status().unwrap(), 422, "{error}");
    let kinds: Vec<_> = mock.deviations().iter().map(|deviation| deviation.kind).collect();
    assert_eq!(kinds, [DeviationKind::UnknownValue]);
    // Documented responses are no deviation, in every form.
    list.state(IssuesListForRepoState::Other("closed".into())).send().await.unwrap();
    assert_eq!(mock.deviations().len(), 1);

    let internal = ReposCreateInOrgBodyVisibility::Other("internal".into());
    let body = serde_json::to_vec(&ReposCreateInOrgBody::new("r").visibility(internal)).unwrap();
    let headers = [("content-type", "application/json")];
    let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    let (method, headers) = (Method::POST, HeaderMap::from_iter(headers));
    let request = RequestToValidate::new(&method, "/orgs/o/repos", &headers).body(&body);
    let reported = ApiDescription::built_in().check_request(request).unwrap().deviations;
    let reported: Vec<_> =
        reported.iter().map(|reported| (reported.kind, reported.path.as_str())).collect();
    assert_eq!(reported, [(DeviationKind::UnknownValue, "$.visibility")]);
}

/// An application's own type of id.
struct IssueNumber(u64);

impl IntoInteger for IssueNumber {
    fn into_integer(self) -> Result<i64, InvalidInteger> {
        self.0.into_integer()
    }
}

#[tokio::test]
async fn an_integer_may_be_of_any_type_or_text() {
    let server = Server::fixed_response(json_response("200 OK", "", "{}")).await;
    let client = server.client();
    let get = || client.issues().get().owner("o").repo("r");
    let text = String::from("1347");
    for call in [
        get().issue_number(1347),
        get().issue_number(1347_u64),
        get().issue_number(1347_usize),
        get().issue_number("1347"),
        get().issue_number(&text),
        get().issue_number(text.clone()),
        get().issue_number(IssueNumber(1347)),
    ] {
        call.into_request().send_empty().await.unwrap();
        assert_eq!(path(&server), "/repos/o/r/issues/1347");
    }
    let list = client.issues().list_for_repo().owner("o").repo("r").per_page(10_usize).page("2");
    list.into_request().send_empty().await.unwrap();
    assert_eq!(query(&server), "per_page=10&page=2");
    let create = client.repos().create_in_org().org("o").name("r").team_id("7");
    create.into_request().send_empty().await.unwrap();
    assert_eq!(sent(&server)["team_id"], json!(7));
    let token = client.apps().create_installation_access_token().installation_id(1_u64);
    let token = token.repository_ids([1_u64, 2]).into_request();
    token.send_empty().await.unwrap();
    assert_eq!(sent(&server), json!({ "repository_ids": [1, 2] }));
}

#[tokio::test]
async fn a_non_integer_parameter_is_rejected_by_name() {
    let client = octowire::Client::builder().build().unwrap();
    let get = client.issues().get().owner("o").repo("r").issue_number("first").send().await;
    let list = client.issues().list_for_repo().owner("o").repo("r").page(u64::MAX).send().await;
    let create = client.repos().create_in_org().org("o").name("r").team_id("1.5").send().await;
    let token = client.apps().create_installation_access_token().installation_id(1);
    let token = token.repository_ids(["1", "two"]).send().await;
    for (error, said) in [
        (get.unwrap_err(), r#"invalid path parameter "issue_number": `first` is not an integer"#),
        (
            list.unwrap_err(),
            r#"invalid query parameter "page": 18446744073709551615 does not fit in a 64-bit integer"#,
        ),
        (create.unwrap_err(), r#"invalid body property "team_id": `1.5` is not an integer"#),
        (
            token.unwrap_err(),
            r#"invalid body property "repository_ids": value 1: `two` is not an integer"#,
        ),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[tokio::test]
async fn a_list_is_sent_as_one_text_and_a_flag_or_a_number_as_text() {
    let server = Server::fixed_response(json_response("200 OK", "", "[]")).await;
    let client = server.client();
    let list = || client.issues().list_for_repo().owner("o").repo("r");
    for call in [list().labels("bug,ui"), list().labels(["bug", "ui"])] {
        call.into_request().send_empty().await.unwrap();
        assert_eq!(query(&server), "labels=bug,ui");
    }
    for (call, expected) in [
        (list().milestone(7_i64), "milestone=7"),
        (list().milestone("none"), "milestone=none"),
        (list().since("2024-05-01"), "since=2024-05-01T00:00:00Z"),
    ] {
        call.into_request().send_empty().await.unwrap();
        assert_eq!(query(&server), expected);
    }
    let tree = client.git().get_tree().owner("o").repo("r").tree_sha("main");
    for call in [tree.clone().recursive(true), tree.recursive("true")] {
        call.into_request().send_empty().await.unwrap();
        assert_eq!(query(&server), "recursive=true");
    }
    let error = list().labels(["a,b"]).send().await.unwrap_err().to_string();
    assert!(
        error.contains(r#"invalid query parameter "labels": value 0: `a,b` contains a comma"#),
        "{error}"
    );
}
