//! Created resources can be read: issues, comments and labels.

use octowire::testing::MockGitHub;
use octowire::{Client, ErrorKind};

const REPO: (&str, &str) = ("acme", "rocket");

async fn create(github: &Client, title: &str, labels: &[&str]) -> i64 {
    let call = github.issues().create().owner(REPO.0).repo(REPO.1).title(title).body("…");
    let labels: Vec<serde_json::Value> = labels.iter().map(|label| (*label).into()).collect();
    let call = call.into_request().json(&serde_json::json!({ "title": title, "labels": labels }));
    call.send::<serde_json::Value>().await.unwrap()["number"].as_i64().unwrap()
}

async fn titles(github: &Client, adjust: &[(&'static str, &str)]) -> Vec<String> {
    let mut call = github.issues().list_for_repo().owner(REPO.0).repo(REPO.1).into_request();
    for (name, value) in adjust {
        call = call.query(*name, value);
    }
    let issues = call.send::<Vec<octowire::types::Issue>>().await.unwrap().into_inner();
    issues.into_iter().map(|issue| issue.title).collect()
}

#[tokio::test]
async fn an_issue_that_is_created_is_listed_got_closed_and_filtered() {
    let mock = MockGitHub::start().await;
    let github = mock.client();
    let first = create(&github, "First", &["bug", "new label"]).await;
    let second = create(&github, "Second", &["bug"]).await;
    assert_eq!((first, second), (1348, 1349));
    assert_eq!(titles(&github, &[]).await, ["Second", "First", "Found a bug"]);
    assert_eq!(titles(&github, &[("labels", "New Label,bug")]).await, ["First"]);
    assert_eq!(
        titles(&github, &[("direction", "asc"), ("per_page", "1"), ("page", "2")]).await,
        ["First"]
    );

    let issues = github.issues();
    let issue = || issues.get().owner(REPO.0).repo(REPO.1).issue_number(first);
    let got = issue().send().await.unwrap();
    assert_eq!((got.title.as_str(), got.number, got.comments), ("First", first, 0));
    assert!(got.url.ends_with("/repos/acme/rocket/issues/1348"), "{}", got.url);
    assert!(got.url.starts_with(&mock.base_url()));
    let etag = got.meta().headers()["etag"].clone();

    let update = issues.update().owner(REPO.0).repo(REPO.1).issue_number(first);
    let closed = update.state("closed").title("First, done").send().await.unwrap();
    assert!(closed.closed_at.is_some());
    assert_eq!(titles(&github, &[]).await, ["Second", "Found a bug"]);
    assert_eq!(titles(&github, &[("state", "closed")]).await, ["First, done"]);
    assert_eq!(titles(&github, &[("state", "all")]).await.len(), 3);
    assert_ne!(issue().send().await.unwrap().meta().headers()["etag"], etag);

    let missing = issues.get().owner(REPO.0).repo(REPO.1).issue_number(9).send().await;
    assert!(missing.unwrap_err().is_not_found());
    let external = issues.get().owner(REPO.0).repo("other").issue_number(first).send().await;
    assert!(external.unwrap_err().is_not_found());
}

#[tokio::test]
async fn assignees_and_milestones_match_the_request() {
    let mock = MockGitHub::start().await;
    let github = mock.client();
    let number = create(&github, "First", &[]).await;
    let issues = github.issues();
    let update = || issues.update().owner(REPO.0).repo(REPO.1).issue_number(number);
    let issue = update().assignees(["hubot"]).milestone(3).send().await.unwrap();
    assert_eq!(issue.assignees[0].login, "hubot");
    assert_eq!(issue.milestone.as_ref().unwrap().number, 3);
    for (name, value, count) in [
        ("assignee", "hubot", 1),
        ("assignee", "none", 0),
        ("assignee", "absent", 0),
        ("milestone", "3", 1),
        ("milestone", "none", 0),
        ("milestone", "*", 2),
        ("creator", "octocat", 2),
        ("since", "2999-01-01T00:00:00Z", 0),
        ("since", "2000-01-01T00:00:00Z", 2),
    ] {
        assert_eq!(titles(&github, &[(name, value)]).await.len(), count, "{name}={value}");
    }
}

#[tokio::test]
async fn comments_are_counted_listed_changed_and_deleted() {
    let mock = MockGitHub::start().await;
    let github = mock.client();
    let number = create(&github, "First", &[]).await;
    let issues = github.issues();
    let comment = |text: &str| {
        issues.create_comment().owner(REPO.0).repo(REPO.1).issue_number(number).body(text).send()
    };
    let (one, two) = (comment("one").await.unwrap(), comment("two").await.unwrap());
    assert_ne!(one.id, two.id);
    let list = || async {
        let call = issues.list_comments().owner(REPO.0).repo(REPO.1).issue_number(number);
        let comments = call.send().await.unwrap().into_inner();
        comments.into_iter().map(|comment| comment.body.unwrap_or_default()).collect::<Vec<_>>()
    };
    assert_eq!(list().await, ["one", "two"]);
    let get = || issues.get().owner(REPO.0).repo(REPO.1).issue_number(number).send();
    assert_eq!(get().await.unwrap().comments, 2);
    let update = issues.update_comment().owner(REPO.0).repo(REPO.1).comment_id(one.id);
    update.body("changed").send().await.unwrap();
    issues.delete_comment().owner(REPO.0).repo(REPO.1).comment_id(two.id).send().await.unwrap();
    assert_eq!(list().await, ["changed"]);
    assert_eq!(get().await.unwrap().comments, 1);
    let gone = issues.get_comment().owner(REPO.0).repo(REPO.1).comment_id(two.id).send().await;
    assert!(gone.unwrap_err().is_not_found());
    let nowhere = issues.create_comment().owner(REPO.0).repo(REPO.1).issue_number(9).body("x");
    assert!(nowhere.send().await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn labels_are_those_of_the_repository() {
    let mock = MockGitHub::start().await;
    let github = mock.client();
    let number = create(&github, "First", &["bug", "fresh"]).await;
    let issues = github.issues();
    let names = || async {
        let labels = issues.list_labels_for_repo().owner(REPO.0).repo(REPO.1).send().await.unwrap();
        labels.iter().map(|label| label.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["bug", "enhancement", "fresh"]);
    let create = || issues.create_label().owner(REPO.0).repo(REPO.1).name("ready").color("00ff00");
    assert_eq!(create().send().await.unwrap().color, "00ff00");
    let twice = create().send().await.unwrap_err();
    assert!(twice.kind() == ErrorKind::Api && twice.already_exists());
    assert_eq!(twice.api().unwrap().errors[0].code.as_deref(), Some("already_exists"));

    let update = issues.update_label().owner(REPO.0).repo(REPO.1).name("bug");
    update.new_name("defect").send().await.unwrap();
    issues.delete_label().owner(REPO.0).repo(REPO.1).name("fresh").send().await.unwrap();
    assert_eq!(names().await, ["defect", "enhancement", "ready"]);
    let on_issue = || async {
        let call = issues.list_labels_on_issue().owner(REPO.0).repo(REPO.1).issue_number(number);
        call.send().await.unwrap().iter().map(|label| label.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(on_issue().await, ["defect"]);
    let add = issues.add_labels().owner(REPO.0).repo(REPO.1).issue_number(number).into_request();
    let add = add.json(&serde_json::json!({ "labels": ["ready", "defect"] }));
    add.send::<serde_json::Value>().await.unwrap();
    assert_eq!(on_issue().await, ["defect", "ready"]);
    let remove = issues.remove_label().owner(REPO.0).repo(REPO.1).issue_number(number);
    remove.name("defect").send().await.unwrap();
    assert_eq!(on_issue().await, ["ready"]);
    let all = issues.remove_all_labels().owner(REPO.0).repo(REPO.1).issue_number(number);
    all.send().await.unwrap();
    assert!(on_issue().await.is_empty());
}

#[tokio::test]
async fn created_resources_conform_to_the_description() {
    let mock = MockGitHub::start().await;
    let checker = octowire::contract::ResponseValidator::new();
    let github = mock.client_builder().response_validator(checker.clone()).build().unwrap();
    let number = create(&github, "First", &["bug", "fresh"]).await;
    let issues = github.issues();
    issues.get().owner(REPO.0).repo(REPO.1).issue_number(number).send().await.unwrap();
    titles(&github, &[("state", "all")]).await;
    let comment = issues.create_comment().owner(REPO.0).repo(REPO.1).issue_number(number);
    comment.body("one").send().await.unwrap();
    let _ = issues.get().owner(REPO.0).repo(REPO.1).issue_number(9).send().await;
    let create = issues.create_label().owner(REPO.0).repo(REPO.1).name("bug");
    let _ = create.send().await.unwrap_err();
    assert_eq!(checker.validated(), 6);
    assert!(checker.deviations().is_empty(), "{:#?}", checker.deviations());
}
