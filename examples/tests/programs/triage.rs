//! Triage: issues without a label receive labels and one comment.

#[path = "../../triage.rs"]
#[allow(dead_code, reason = "`main` is for the example")]
mod program;

use octowire::testing::{Fault, MockGitHub};
use program::{Triaged, triage};

const NAME: &str = "acme/rocket";

const NO_LABELS: &[&str] = &[];

/// Issues in the order of the list: one with a label, one that matches no rule, and one that matches two.
async fn repository() -> MockGitHub {
    let mock = MockGitHub::start().await;
    mock.seed_list("issues/list-for-repo", 0);
    let issues = mock.client().repo("acme", "rocket").issues();
    issues.create().title("It crashes").body("How do I stop it?").send().await.unwrap();
    issues.create().title("Thank you").send().await.unwrap();
    issues.create().title("A typo").labels(["ui"]).send().await.unwrap();
    mock
}

fn summary(triaged: &[Triaged]) -> Vec<(i64, &str, &[&str])> {
    triaged.iter().map(|issue| (issue.number, &*issue.title, &*issue.labels)).collect()
}

#[tokio::test]
async fn issues_without_a_label_are_labelled_and_commented_on_once() {
    let mock = repository().await;
    let github = mock.client();
    let triaged = triage(&github, NAME, false).await.unwrap();
    let crash: &[&str] = &["bug", "question"];
    assert_eq!(summary(&triaged), [(2, "Thank you", NO_LABELS), (1, "It crashes", crash)]);
    let labels = github.repo("acme", "rocket").issues().list_labels_on_issue().issue_number(1);
    let labels = labels.send().await.unwrap();
    assert_eq!(labels.iter().map(|label| &*label.name).collect::<Vec<_>>(), crash);

    let triaged = triage(&github, NAME, false).await.unwrap();
    assert_eq!(summary(&triaged), [(2, "Thank you", NO_LABELS)]);
    assert_eq!((mock.count("issues/add-labels"), mock.count("issues/create-comment")), (1, 1));
}

#[tokio::test]
async fn a_dry_run_writes_nothing() {
    let mock = repository().await;
    let before = mock.requests().len();
    let triaged = triage(&mock.client(), NAME, true).await.unwrap();
    assert_eq!(triaged.len(), 2);
    assert!(mock.requests()[before..].iter().all(|request| request.method() == "GET"));
}

#[tokio::test]
async fn a_run_after_an_interrupted_one_does_not_comment_again() {
    let mock = repository().await;
    mock.on(|github| github.issues().add_labels()).fault(Fault::ServerError(502)).passthrough();
    let error = triage(&mock.client(), NAME, false).await.map(drop).unwrap_err();
    assert_eq!(error.status().unwrap(), 502);
    triage(&mock.client(), NAME, false).await.unwrap();
    assert_eq!((mock.count("issues/add-labels"), mock.count("issues/create-comment")), (2, 1));
}

#[tokio::test]
async fn pull_requests_are_left_out() {
    let mock = MockGitHub::start().await;
    // The example of GitHub's description is a pull request.
    mock.on(|github| github.issues().list_for_repo())
        .modify_example(|issues| issues[0]["labels"] = serde_json::json!([]));
    assert!(triage(&mock.client(), NAME, false).await.unwrap().is_empty());
}
