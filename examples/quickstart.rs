//! A tour of Octowire: reading lists and files, writing an issue, and handling errors.
//!
//! ```text
//! cargo run -p octowire-examples --example quickstart
//! ```
//!
//! runs without a token and without a network, against a fake of GitHub.
//!
//! ```text
//! cargo run -p octowire-examples --example quickstart --features rustls -- --live rust-lang/rust
//! ```
//!
//! reads from github.com, and only reads. The token is that of `GITHUB_TOKEN`, or of `gh auth login`.

#[path = "support/server.rs"]
mod server;
#[path = "support/tour.rs"]
mod tour;

use std::env;
use std::error::Error;
use std::time::SystemTime;

use octowire::rate_limit::{RateLimitPolicy, SecondaryLimits};
use octowire::{Client, RateLimitStatus, RepositoryHandle};

/// Maximum number of lines of a list or a file that the tour shows.
const SHOWN: usize = 5;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => on_the_fake().await,
        ["--live", full_name] => live(full_name).await,
        _ => Err("usage: quickstart [--live owner/repo]".into()),
    }
}

/// The whole tour, on a server of its own.
async fn on_the_fake() -> Result<(), Box<dyn Error>> {
    let fake = tour::GitHub::start().await?;
    // By default, a second passes between two writes, as GitHub advises.
    let limits = RateLimitPolicy::default().secondary_limits(SecondaryLimits::disabled());
    let github = Client::builder()
        .base_url(&fake.base_url)
        .token("a-token-for-the-tour")
        .rate_limits(limits)
        .build()?;
    // The calls of a handle are those of one repository.
    let repo = github.repo("octocat", "hello-world");
    println!("Talking to a fake of GitHub at {}.", fake.base_url);

    let count = show_issues(&repo).await?;
    println!("  … {count} issues in {} requests", fake.pages());
    show_readme(&repo).await?;
    create_issue(&repo).await?;
    show_errors(&github, &repo).await;

    println!("\nThe other examples, such as a mock of all of GitHub for tests, are in the guide.");
    println!("On GitHub itself, the tour only reads: --features rustls -- --live owner/repo");
    Ok(())
}

/// Shows the first open issues, and returns the number of all.
async fn show_issues(repo: &RepositoryHandle) -> octowire::Result<u64> {
    heading("Every open issue, across pages");
    // `stream()` follows GitHub's pages and reads ahead, so the loop seldom waits.
    let mut issues = repo.issues().list_for_repo().state("open").stream();
    let mut count = 0;
    while let Some(issue) = issues.try_next().await? {
        count += 1;
        if count <= SHOWN as u64 {
            println!("  #{:<5} {}", issue.number, issue.title);
        }
    }
    Ok(count)
}

/// The part of the tour that only reads, on github.com.
async fn live(full_name: &str) -> Result<(), Box<dyn Error>> {
    // The token of GITHUB_TOKEN, or of a login with `gh auth login`.
    let github = Client::from_env()?;
    if let Some(source) = github.credential_source() {
        println!("Talking to {} with the credentials of {source}.", github.base_url());
    }
    let repo = github.repo_by_full_name(full_name)?;

    heading(&format!("Open issues of {repo}"));
    // One page is sufficient here: `send()` instead of `stream()`.
    let issues = repo.issues().list_for_repo().state("open").per_page(SHOWN as i64).send().await?;
    // A response behaves like its body.
    for issue in &issues {
        println!("  #{:<7} {}", issue.number, issue.title);
    }
    if issues.is_empty() {
        println!("  none");
    }

    show_readme(&repo).await
}

async fn show_readme(repo: &RepositoryHandle) -> Result<(), Box<dyn Error>> {
    heading("README.md");
    let content = match repo.repos().get_content().path("README.md").send().await {
        Ok(content) => content,
        Err(error) if error.is_not_found() => {
            println!("  {repo} has none");
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    // A path can also be a directory, a link or a submodule, for which `file` is an error.
    let readme = content.file()?;
    for line in readme.text()?.lines().take(SHOWN) {
        println!("  | {line}");
    }
    println!("  … {} bytes", readme.size);

    heading("What is left of the rate limit");
    match content.meta().rate_limit() {
        Some(limit) => println!("  {}", in_words(&limit)),
        None => println!("  this server does not limit requests"),
    }
    Ok(())
}

async fn create_issue(repo: &RepositoryHandle) -> Result<(), Box<dyn Error>> {
    heading("A new issue");
    let issue = repo
        .issues()
        .create()
        .title("The README could say more")
        .body("It says hello, and then it stops.")
        .labels(["documentation", "good first issue"])
        .send()
        .await?;
    println!("  #{} {}", issue.number, issue.title);
    println!("  {}", issue.html_url);
    println!(
        "  answered {} to request {}",
        issue.meta().status(),
        issue.meta().request_id().unwrap_or("without an id")
    );
    Ok(())
}

/// Errors state the failure, the operation and the next step. Programs can also query them.
async fn show_errors(github: &Client, repo: &RepositoryHandle) {
    heading("A repository that is not there");
    let response = github.repo("octocat", "missing").repos().get().send().await;
    if let Err(error) = response {
        println!("  {error}");
        println!("  is_not_found() = {}", error.is_not_found());
    }

    heading("An issue without a title");
    let response = repo.issues().create().title("").send().await;
    if let Err(error) = response {
        println!("  {error}");
        for detail in error.api().into_iter().flat_map(|api| &api.errors) {
            let code = detail.code.as_deref().unwrap_or("invalid");
            let field = detail.field.as_deref().unwrap_or("the request");
            println!("  GitHub says of {field}: {code}");
        }
    }

    heading("A call that lacks something");
    // Detected before anything is sent. The client's own methods have a setter for each path parameter.
    let response = github.issues().get().owner("octocat").issue_number(1).send().await;
    if let Err(error) = response {
        println!("  {error}");
    }
}

fn in_words(limit: &RateLimitStatus) -> String {
    let minutes =
        limit.reset.duration_since(SystemTime::now()).map_or(0, |left| left.as_secs().div_ceil(60));
    let resource = limit.resource.as_deref().unwrap_or("core");
    format!(
        "{} of {} requests ({resource}), all of them again in {minutes} min",
        limit.remaining, limit.limit
    )
}

fn heading(text: &str) {
    println!("\n{text}\n{}", "─".repeat(text.chars().count()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_tour_ends_without_an_error() {
        on_the_fake().await.unwrap();
    }

    #[tokio::test]
    async fn every_issue_of_every_page_is_read() {
        let fake = tour::GitHub::start().await.unwrap();
        let github = Client::builder().base_url(&fake.base_url).build().unwrap();
        let count = show_issues(&github.repo("octocat", "hello-world")).await.unwrap();
        assert_eq!((count, fake.pages()), (tour::ISSUES, 3));
    }
}
