//! A GitHub App for pull requests: it receives webhooks, and for each opened pull request creates a check run, adds
//! labels by the changed paths, and comments, as the installation that the delivery is for.
//!
//! ```text
//! cargo run -p octowire-examples --example pull_request_bot --features pull_request_bot -- 127.0.0.1:3000
//! ```
//!
//! serves until Ctrl-C. `GITHUB_APP_ID` and `GITHUB_APP_PRIVATE_KEY_PATH` are those of the App, and `WEBHOOK_SECRET` is
//! the secret of its webhook. `tests/programs/pull_request_bot.rs` runs it against a mock of GitHub.

use std::collections::BTreeSet;
use std::env;
use std::error::Error;
use std::time::Duration;

use octowire::Client;
use octowire::auth::Installation;
use octowire::types::{ChecksCreateBodyOutput, WebhookPullRequestOpened};
use octowire::webhooks::{Delivery, Event, PullRequestEvent, Verifier, WebhookReceiver};
use tokio::net::TcpListener;

type BoxError = Box<dyn Error + Send + Sync>;

/// The beginning of a path, and the label of pull requests that change a file there.
const LABELS: [(&str, &str); 3] =
    [(".github/", "ci"), ("docs/", "documentation"), ("src/", "code")];

const CHECK: &str = "Changed paths";

/// A part of the comment, by which a later attempt recognizes it.
const MARKER: &str = "<!-- changed paths -->";

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let address = env::args().nth(1).ok_or("usage: pull_request_bot ADDRESS:PORT")?;
    let github = Client::from_env()?;
    let receiver = WebhookReceiver::builder(Verifier::from_env("WEBHOOK_SECRET")?)
        .start(move |delivery| handle(github.clone(), delivery))?;
    let server = tokio::spawn(receiver.serve(TcpListener::bind(address).await?));
    tokio::signal::ctrl_c().await?;
    receiver.shutdown(Duration::from_secs(30)).await;
    server.await?;
    Ok(())
}

/// Handles a delivery. The receiver verifies it, ignores those that were handled, and retries after an error.
pub async fn handle(github: Client, delivery: Delivery) -> Result<(), BoxError> {
    let event = delivery.event()?;
    let installation = event.installation();
    match (event, installation) {
        (Event::PullRequest(PullRequestEvent::Opened(opened)), Some(id)) => {
            let permissions = [("checks", "write"), ("pull_requests", "write")];
            let installation = Installation::id(id).permissions(permissions);
            review(&github.installation(installation)?, &opened).await
        }
        _ => Ok(()),
    }
}

async fn review(github: &Client, opened: &WebhookPullRequestOpened) -> Result<(), BoxError> {
    let repo = github.repo_by_full_name(&opened.repository.full_name)?;
    let (issues, number) = (repo.issues(), opened.number);
    let mut labels = BTreeSet::new();
    let mut files = repo.pulls().list_files().pull_number(number).per_page(100).stream();
    while let Some(file) = files.try_next().await? {
        let matching = LABELS.iter().filter(|(path, _)| file.filename.starts_with(path));
        labels.extend(matching.map(|(_, label)| *label));
    }
    let found = match labels.len() {
        0 => "no known paths".to_owned(),
        _ => Vec::from_iter(labels.iter().copied()).join(", "),
    };
    let check = repo.checks().create().name(CHECK).head_sha(&opened.pull_request.head.sha);
    let output = ChecksCreateBodyOutput::new(CHECK, format!("This changes {found}."));
    check.status("completed").conclusion("success").output(output).send().await?;
    if !labels.is_empty() {
        issues.add_labels().issue_number(number).labels(&labels).send().await?;
    }
    let mut comments = issues.list_comments().issue_number(number).stream();
    while let Some(comment) = comments.try_next().await? {
        if comment.body.is_some_and(|body| body.contains(MARKER)) {
            return Ok(());
        }
    }
    let body = format!("Thank you! This changes {found}.\n\n{MARKER}");
    issues.create_comment().issue_number(number).body(body).send().await?;
    Ok(())
}
