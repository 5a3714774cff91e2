//! Handles of one repository, organization or user: the path parameters that their calls have.

use octowire::testing::MockGitHub;
use octowire::{ErrorKind, RepositoryHandle, api};

use crate::support::{Server, json_response};

/// The method and the target of each request that a server received, in order.
fn sent(server: &Server) -> Vec<String> {
    let requests = server.requests().into_iter();
    requests.map(|request| format!("{} {}", request.method, request.target)).collect()
}

async fn server() -> Server {
    Server::fixed_response(json_response("200 OK", "", "{}")).await
}

#[tokio::test]
async fn the_calls_of_a_handle_have_its_path_parameters() {
    let server = server().await;
    let github = server.client();
    let (repo, org, user) = (github.repo("o", "r"), github.org("acme"), github.user("mona"));
    for call in [
        repo.issues().list_for_repo().state("open").into_request(),
        repo.issues().get().issue_number(7).into_request(),
        repo.repos().get().into_request(),
        org.repos().list_for_org().into_request(),
        org.issues().list_for_org().into_request(),
        user.repos().list_for_user().into_request(),
        user.users().get_by_username().into_request(),
        user.users().follow().into_request(),
    ] {
        call.send_empty().await.unwrap();
    }
    assert_eq!(
        sent(&server),
        [
            "GET /repos/o/r/issues?state=open",
            "GET /repos/o/r/issues/7",
            "GET /repos/o/r",
            "GET /orgs/acme/repos",
            "GET /orgs/acme/issues",
            "GET /users/mona/repos",
            "GET /users/mona",
            "PUT /user/following/mona",
        ]
    );
}

#[tokio::test]
async fn an_operation_of_two_entities_has_a_call_in_the_handle_of_each() {
    let server = server().await;
    let github = server.client();
    let by_repo = github.repo("o", "r").repos().check_collaborator().username("mona");
    let by_user = github.user("mona").repos().check_collaborator().owner("o").repo("r");
    for call in [by_repo, by_user] {
        call.into_request().send_empty().await.unwrap();
    }
    assert_eq!(sent(&server), ["GET /repos/o/r/collaborators/mona"; 2]);
}

#[tokio::test]
async fn a_setter_replaces_a_parameter_of_the_handle() {
    let server = server().await;
    let repo = server.client().repo("o", "r");
    repo.issues().get().repo("fork").issue_number(1).into_request().send_empty().await.unwrap();
    repo.issues().get().issue_number(1).into_request().send_empty().await.unwrap();
    assert_eq!(sent(&server), ["GET /repos/o/fork/issues/1", "GET /repos/o/r/issues/1"]);
}

#[tokio::test]
async fn a_handle_accepts_any_text_and_encodes_it() {
    let server = server().await;
    let github = server.client();
    let (owner, name) = (String::from("o"), "ü/r".to_owned().into_boxed_str());
    github.repo(&owner, name).repos().get().into_request().send_empty().await.unwrap();
    assert_eq!(sent(&server), ["GET /repos/o/%C3%BC%2Fr"]);
}

#[tokio::test]
async fn a_value_that_no_path_can_contain_is_rejected_before_it_is_sent() {
    let server = server().await;
    let github = server.client();
    for (owner, name, parameter) in [("", "r", "owner"), ("o", "..", "repo"), (".", "r", "owner")] {
        let error = github.repo(owner, name).repos().get().send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert_eq!(error.operation(), Some("repos/get"));
        let expected = format!("invalid path parameter {parameter:?}: it is empty, `.` or `..`");
        assert!(error.to_string().contains(&expected), "{error}");
    }
    assert!(server.requests().is_empty());
}

/// A part of an application that works on one repository.
struct Triage {
    repo: RepositoryHandle,
    issues: api::repo::Issues,
}

#[tokio::test]
async fn a_handle_outlives_the_client_and_is_shared_by_tasks() {
    let server = server().await;
    let repo = server.client().repo("o", "r");
    let triage = Triage { issues: repo.issues(), repo };
    let mut tasks = tokio::task::JoinSet::new();
    for number in 1..=3 {
        let issues = triage.issues.clone();
        tasks.spawn(async move {
            issues.get().issue_number(number).into_request().send_empty().await.map(drop)
        });
    }
    for result in tasks.join_all().await {
        result.unwrap();
    }
    triage.repo.repos().get().into_request().send_empty().await.unwrap();
    assert_eq!(server.request_count(), 4);
}

#[tokio::test]
async fn a_handle_calls_as_the_identity_of_its_client() {
    let server = server().await;
    let github = server.client();
    for client in [github.clone(), github.unauthenticated()] {
        client.repo("o", "r").repos().get().into_request().send_empty().await.unwrap();
    }
    let credentials: Vec<_> = server
        .requests()
        .iter()
        .map(|request| request.headers.get("authorization").cloned())
        .collect();
    assert_eq!(credentials, [Some("Bearer t0ken".to_owned()), None]);
}

#[tokio::test]
async fn handles_work_against_the_mock_and_select_its_stubs() {
    let mock = MockGitHub::start().await;
    let repo = mock.client().repo_by_full_name("acme/rocket").unwrap();
    mock.on(|github| github.repo("acme", "rocket").issues().get().issue_number(7))
        .error(404, "Not Found");

    let created = repo.issues().create().title("It leaks").send().await.unwrap();
    let mut open = repo.issues().list_for_repo().state("open").stream();
    assert_eq!(open.try_next().await.unwrap().unwrap().number, created.number);
    let missing = repo.issues().get().issue_number(7).send().await.unwrap_err();
    assert!(missing.is_not_found());

    let repos = mock.client().org("acme").repos().list_for_org().send().await.unwrap();
    assert!(!repos.is_empty());
    let user = mock.client().user("hubot").users().get_by_username().send().await;
    user.unwrap();

    mock.assert_called(1, |github| github.repo("acme", "rocket").issues().create());
    mock.assert_called(1, |github| github.issues().list_for_repo().owner("acme").repo("rocket"));
    mock.assert_called(1, |github| github.user("hubot").users().get_by_username());
    assert!(mock.deviations().is_empty());
}
