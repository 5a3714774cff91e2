//! Two clients, or a client and a hand-written integration, side by side.

use octowire::migration::{ComparisonRules, Migration, NextStep, RollbackPolicy, Side, Stage};
use octowire::testing::{Fault, MockGitHub};
use octowire::types::Issue;
use octowire::{Client, Response, Result, RetryPolicy};
use serde_json::{Value, json};

const MIRROR: Stage = Stage::Mirror { share: 1.0 };

/// A client that does not try again.
fn client(mock: &MockGitHub) -> Client {
    mock.client_builder().retry(RetryPolicy::disabled()).build().unwrap()
}

async fn issue(github: Client) -> Result<Issue> {
    let call = github.issues().get().owner("acme").repo("rocket").issue_number(7);
    call.send().await.map(Response::into_inner)
}

/// A GitHub whose issues have this title.
async fn github(title: &'static str) -> MockGitHub {
    let mock = MockGitHub::start().await;
    let _ = mock
        .on(|github| github.issues().get())
        .modify_example(|issue| issue["title"] = title.into());
    mock
}

#[tokio::test]
async fn responses_of_both_sides_are_compared_and_the_legacy_one_is_returned() {
    let (old, new) = (github("old").await, github("new").await);
    // They are at two addresses.
    let rules = ComparisonRules::default().ignore("$..*url");
    let shadow =
        Migration::builder(client(&old), client(&new)).stage(MIRROR).rules(rules).build().unwrap();
    let issue = shadow.read_same("issues/get", issue).key("acme/rocket").run().await.unwrap();
    assert_eq!(issue.title, "old");
    shadow.drain().await;
    let report = shadow.report();
    let differences = &report.operations[0].differences;
    let places: Vec<_> = differences.iter().map(|one| one.newest.pattern.as_str()).collect();
    assert_eq!(places, ["$.title"], "{report}");
    assert_eq!((old.count("issues/get"), new.count("issues/get")), (1, 1));
}

#[tokio::test]
async fn a_write_reaches_one_of_two_servers() {
    let (old, new) = (MockGitHub::start().await, MockGitHub::start().await);
    let shadow = Migration::builder(client(&old), client(&new)).stage(MIRROR).build().unwrap();
    let create = async |title: &'static str| {
        let call = shadow.write_same("issues/create", move |github: Client| async move {
            let call = github.issues().create().owner("acme").repo("rocket").title(title);
            call.send().await.map(|issue| issue.number)
        });
        call.run().await.unwrap();
        (old.count("issues/create"), new.count("issues/create"))
    };
    assert_eq!(create("It leaks").await, (1, 0));
    shadow.set_stage(Stage::Shift { percent: 100.0, share: 1.0 });
    assert_eq!(create("It drips").await, (1, 1));
}

#[tokio::test]
async fn a_failing_new_side_is_rolled_back_without_an_error_for_the_caller() {
    let (old, new) = (github("old").await, MockGitHub::start().await);
    let _ = new.on(|github| github.issues().get()).fault(Fault::ServerError(502));
    let shadow = Migration::builder(client(&old), client(&new))
        .stage(Stage::Shift { percent: 100.0, share: 0.0 })
        .rollback(RollbackPolicy::default().min_samples(10))
        .build()
        .unwrap();
    for _ in 0..20 {
        shadow.read_same("issues/get", issue).run().await.unwrap();
    }
    assert_eq!(shadow.stage(), Stage::Mirror { share: 0.0 });
    assert_eq!(new.count("issues/get"), 10);
    let operation = &shadow.report().operations[0];
    assert_eq!((operation.fallbacks, operation.saved, operation.new.failed), (10, 10, 10));
}

#[tokio::test]
async fn an_error_response_to_both_sides_is_no_failure() {
    let (old, new) = (MockGitHub::start().await, MockGitHub::start().await);
    for mock in [&old, &new] {
        let _ = mock.on(|github| github.issues().get()).error(404, "Not Found");
    }
    let shadow = Migration::builder(client(&old), client(&new))
        .stage(Stage::Shift { percent: 50.0, share: 1.0 })
        .rollback(RollbackPolicy::default().min_samples(10))
        .build()
        .unwrap();
    for key in 0..20 {
        let call = shadow.read_same("issues/get", issue).key(key.to_string());
        assert!(call.run().await.unwrap_err().is_not_found());
        shadow.drain().await;
    }
    let report = shadow.report();
    let operation = &report.operations[0];
    assert_eq!((operation.compared, operation.mismatched, operation.fallbacks), (20, 0, 0));
    assert_eq!(report.verdict.decision, NextStep::Shift { percent: 100.0 });
}

#[tokio::test]
async fn a_client_written_by_hand_is_compared_with_this_one() {
    let mock = github("It leaks").await;
    let url = mock.base_url() + "/repos/acme/rocket/issues/7";
    let http = reqwest::Client::builder().user_agent("by hand").build().unwrap();
    let shadow = Migration::builder(http, client(&mock)).stage(MIRROR).build().unwrap();
    let call = shadow
        .read_with(
            "issues/get",
            move |http| async move {
                let response = http.get(url).send().await.map_err(|error| error.to_string())?;
                response.json::<Value>().await.map_err(|error| error.to_string())
            },
            |github| async move {
                let issue = issue(github).await.map_err(|error| error.to_string())?;
                serde_json::to_value(issue).map_err(|error| error.to_string())
            },
        )
        // The types have the properties of the description; the response can have more.
        .project(|_: Side, issue: &Value| {
            json!([issue["number"], issue["title"], issue["user"]["login"]])
        });
    assert_eq!(call.run().await.unwrap()["title"], "It leaks");
    shadow.drain().await;
    let report = shadow.report();
    assert_eq!(
        (report.operations[0].compared, report.operations[0].mismatched),
        (1, 0),
        "{report}"
    );
}
