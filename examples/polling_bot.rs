//! A bot without webhooks that polls for new issues every ten seconds, and the cost of the polls.
//!
//! ```text
//! cargo run -p octowire-examples --example polling_bot
//! ```
//!
//! simulates an hour without a token and without a network, against a fake of GitHub: 20 repositories, a new
//! issue occasionally, and a new token every quarter of an hour.
//!
//! ```text
//! cargo run -p octowire-examples --example polling_bot --features rustls -- --live rust-lang/rust
//! ```
//!
//! polls github.com for a minute, and only reads. The token is that of `GITHUB_TOKEN`, or of `gh auth login`.

#[path = "support/changing.rs"]
mod changing;

use std::borrow::Cow;
use std::env;
use std::error::Error;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use octowire::auth::{AccessToken, TokenFuture, TokenProvider, TokenRequest};
use octowire::cache::CacheStatus;
use octowire::http::Method;
use octowire::rate_limit::RateLimitPolicy;
use octowire::{Client, Response};
use serde_json::Value;

const REPOSITORIES: u32 = 20;
const POLLS: u32 = 360;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => an_hour().await,
        ["--live", repository] => a_minute(repository).await,
        _ => Err("usage: polling_bot [--live owner/repo]".into()),
    }
}

/// Simulates the hour.
async fn an_hour() -> Result<(), Box<dyn Error>> {
    let github = changing::GitHub::start().await?;
    // An hour takes seconds here, so GitHub's points per minute are disabled.
    let client = Client::builder()
        .base_url(&github.base_url)
        .auth(Renewed::default())
        .rate_limits(RateLimitPolicy::disabled())
        .build()?;
    let mut tally = Tally::default();
    for poll in 0..POLLS {
        // A quarter of an hour has passed.
        if poll > 0 && poll % (POLLS / 4) == 0 {
            client.invalidate_token().await?;
        }
        for number in 0..REPOSITORIES {
            let path = format!("/repos/octo-org/repo-{number}/issues");
            if poll % 30 == 7 && number == poll / 30 {
                github.open_issue(&path);
            }
            tally.count(&ask(&client, &path).await?);
        }
    }
    tally.print();
    println!("GitHub counted {} of them.", github.counted());
    Ok(())
}

/// Polls the real GitHub.
async fn a_minute(repository: &str) -> Result<(), Box<dyn Error>> {
    let client = Client::from_env()?;
    let mut tally = Tally::default();
    for _ in 0..6 {
        let issues = ask(&client, &format!("/repos/{repository}/issues")).await?;
        println!(
            "#{} {}: {:?}",
            issues[0]["number"],
            issues[0]["title"],
            issues.meta().cache_status()
        );
        tally.count(&issues);
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    tally.print();
    Ok(())
}

async fn ask(client: &Client, path: &str) -> octowire::Result<Response<Value>> {
    client.request(Method::GET, path).query("sort", "created").send().await
}

/// The cost of the polls.
#[derive(Default)]
struct Tally {
    polls: u32,
    uncounted: u32,
    left: Option<u64>,
}

impl Tally {
    fn count(&mut self, response: &Response<Value>) {
        self.polls += 1;
        self.uncounted += u32::from(response.meta().cache_status() == CacheStatus::Revalidated);
        self.left = response.meta().rate_limit().map(|limit| limit.remaining).or(self.left);
    }

    fn print(&self) {
        let share = 100.0 * f64::from(self.uncounted) / f64::from(self.polls);
        println!("{} polls, of which {} ({share:.2} %) did not count.", self.polls, self.uncounted);
        if let Some(left) = self.left {
            println!("{left} calls are left in this hour.");
        }
    }
}

/// One identity, whose tokens are refreshed.
#[derive(Debug, Default)]
struct Renewed(AtomicU32);

impl TokenProvider for Renewed {
    fn fetch_token<'a>(&'a self, _: TokenRequest<'a>) -> TokenFuture<'a> {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move { AccessToken::new(format!("ghs_token_{number}")) })
    }

    fn identity(&self) -> Cow<'_, str> {
        Cow::Borrowed("the-bot")
    }
}
