//! How a bot migrates from a hand-written client to this library while it runs.
//!
//! ```text
//! cargo run -p octowire-examples --example migration --features migration
//! ```
//!
//! runs without a token and without a network, against a mock of GitHub: the new client is mirrored, a defect
//! of the old one is found and corrected, the traffic is shifted step by step, a permission is lost during
//! the rollout, and in the end the old client can be removed. The results of reads never change for the
//! caller.

#[path = "support/by_hand.rs"]
mod by_hand;

use std::error::Error;
use std::sync::Arc;

use by_hand::ByHand;
use octowire::Client;
use octowire::migration::{ComparisonRules, Failure, Migration, NextStep, RollbackPolicy, Stage};
use octowire::testing::MockGitHub;
use serde::Serialize;

/// The bot's data about an issue, from either client.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Issue {
    number: i64,
    title: String,
    comments: i64,
}

/// The bot's classification of a failure.
#[derive(Debug)]
enum BotError {
    ByHand(reqwest::Error),
    Octowire(octowire::Error),
}

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;
type Sides = Migration<Arc<ByHand>, Client>;

/// The number of issues in the repository: two pages.
const ISSUES: usize = 45;
/// The number of comparisons for a decision in this example; 100 by default.
const ENOUGH: u64 = 15;

#[tokio::main]
async fn main() -> Result<()> {
    let mock = MockGitHub::start().await;
    mock.seed_list("issues/list-for-repo", ISSUES);
    let old = Arc::new(ByHand::new(mock.base_url())?);
    let shadow = Migration::builder(Arc::clone(&old), mock.client())
        .stage(Stage::Mirror { share: 1.0 })
        .rules(ComparisonRules::default().unordered_by_key("$", "number"))
        // Each client has its own errors: this defines which of them are equal.
        .errors(|error: &BotError| match error {
            BotError::ByHand(error) => match error.status() {
                Some(status) if status.as_u16() == 404 => Failure::expected("404"),
                Some(status) => Failure::new(status.as_str().to_owned()),
                None => Failure::new("Transport"),
            },
            BotError::Octowire(error) => Failure::from(error),
        })
        // A mock on the same machine says nothing about latency.
        .rollback(RollbackPolicy::default().min_samples(ENOUGH).latency_ratio(None))
        .on_change(|change| println!("  the stage changes: {change}"))
        .build()?;

    heading("The old client serves, the new one is mirrored");
    traffic(&shadow).await?;
    println!("{}", shadow.report());

    heading("The old one reads the first page only, which is mended");
    old.follow_pages();
    shadow.restart_stage();
    traffic(&shadow).await?;
    println!("  {}", shadow.report().verdict);

    heading("The traffic is shifted, and at 50 % the new client lacks a permission");
    while let NextStep::Shift { percent } = shadow.report().verdict.decision {
        shadow.set_stage(Stage::Shift { percent, share: 0.8 });
        if percent >= 50.0 {
            break;
        }
        traffic(&shadow).await?;
    }
    // Only the new client requests a hundred at a time.
    let refused = mock
        .on(|github| github.issues().list_for_repo().per_page(100))
        .error(403, "Resource not accessible by integration");
    traffic(&shadow).await?;
    println!("  {}", shadow.report().verdict);

    heading("With the permission, it goes on to the end");
    refused.remove();
    shadow.restart_stage();
    traffic(&shadow).await?;
    while let NextStep::Shift { percent } = shadow.report().verdict.decision {
        shadow.set_stage(Stage::Shift { percent, share: 0.8 });
        traffic(&shadow).await?;
    }
    println!("  {}", shadow.report().verdict);
    shadow.set_stage(Stage::Cutover);
    traffic(&shadow).await?;

    heading("The report");
    println!("{}", shadow.report());
    Ok(())
}

/// The normal work of the bot: it reads the issues of many repositories.
async fn traffic(shadow: &Sides) -> Result<()> {
    for number in 0..2 * ENOUGH {
        let repo = format!("rocket-{number}");
        let issues = issues(shadow, "acme", &repo).await;
        issues.map_err(|error| format!("{repo}: {error:?}"))?;
        // A bot with more time does not need to wait for its mirrors.
        shadow.drain().await;
    }
    Ok(())
}

/// The bot's own function, which called the old client before.
async fn issues(shadow: &Sides, owner: &str, repo: &str) -> Result<Vec<Issue>, BotError> {
    let key = format!("{owner}/{repo}");
    let [for_old, for_new] = [(); 2].map(|()| (owner.to_owned(), repo.to_owned()));
    shadow
        .read_with(
            "issues/list-for-repo",
            |old| async move { old.issues(&for_old.0, &for_old.1).await.map_err(BotError::ByHand) },
            |github| async move {
                all_issues(&github, &for_new.0, &for_new.1).await.map_err(BotError::Octowire)
            },
        )
        // One client serves a repository.
        .key(key)
        .run()
        .await
}

/// The same with this library: the function that remains.
async fn all_issues(github: &Client, owner: &str, repo: &str) -> octowire::Result<Vec<Issue>> {
    let mut pages = github.repo(owner, repo).issues().list_for_repo().per_page(100).stream();
    let mut issues = Vec::new();
    while let Some(issue) = pages.try_next().await? {
        issues.push(Issue { number: issue.number, title: issue.title, comments: issue.comments });
    }
    Ok(issues)
}

fn heading(text: &str) {
    println!("\n{text}\n{}", "─".repeat(text.chars().count()));
}
