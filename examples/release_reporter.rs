//! A service module as applications have it, and its tests with the mock: state, faults, and the requests that were
//! sent. It reports the downloads of the latest release in an issue, which is created once and then updated.
//!
//! ```text
//! cargo test -p octowire-examples --features programs release_reporter
//! cargo run -p octowire-examples --example release_reporter --features release_reporter -- OWNER/REPO
//! ```
//!
//! The first command runs the tests. The second writes to the repository, with the credentials of the environment.

use std::env;
use std::error::Error;

use octowire::{Client, OptionalExt as _, RepositoryHandle};

/// The label by which the issue is found.
const LABEL: &str = "downloads";

pub struct ReleaseReporter {
    repo: RepositoryHandle,
}

#[derive(Debug, PartialEq)]
pub struct Report {
    pub issue_number: i64,
    pub downloads: i64,
}

impl ReleaseReporter {
    pub fn new(github: &Client, full_name: &str) -> octowire::Result<Self> {
        Ok(Self { repo: github.repo_by_full_name(full_name)? })
    }

    /// Returns what was reported; nothing if there is no release.
    pub async fn report(&self) -> octowire::Result<Option<Report>> {
        let latest = self.repo.repos().get_latest_release().send().await;
        let Some(release) = latest.optional()? else { return Ok(None) };
        let downloads: i64 = release.assets.iter().map(|asset| asset.download_count).sum();
        let body = format!("{} has {downloads} downloads.", release.tag_name);
        let issues = self.repo.issues();
        let open = issues.list_for_repo().labels([LABEL]).send().await?;
        let issue_number = match open.first() {
            Some(issue) => {
                issues.update().issue_number(issue.number).body(body).send().await?;
                issue.number
            }
            None => {
                let issue = issues.create().title("Downloads").body(body).labels([LABEL]);
                issue.send().await?.number
            }
        };
        Ok(Some(Report { issue_number, downloads }))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let full_name = env::args().nth(1).ok_or("usage: release_reporter OWNER/REPO")?;
    match ReleaseReporter::new(&Client::from_env()?, &full_name)?.report().await? {
        Some(report) => println!("{} downloads, in #{}", report.downloads, report.issue_number),
        None => println!("{full_name} has no release"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use octowire::testing::{Fault, MockGitHub};
    use tokio::time::Instant;

    use super::*;

    /// A repository without issues, whose release has 7 downloads.
    async fn repository() -> (MockGitHub, ReleaseReporter) {
        let mock = MockGitHub::start().await;
        mock.seed_list("issues/list-for-repo", 0);
        mock.on(|github| github.repos().get_latest_release())
            .modify_example(|release| release["assets"][0]["download_count"] = 7.into());
        let reporter = ReleaseReporter::new(&mock.client(), "acme/rocket").unwrap();
        (mock, reporter)
    }

    #[tokio::test]
    async fn the_issue_is_created_once_and_then_updated() {
        let (mock, reporter) = repository().await;
        let report = Some(Report { issue_number: 1, downloads: 7 });
        assert_eq!(reporter.report().await.unwrap(), report);
        mock.assert_called(1, |github| {
            github.repo("acme", "rocket").issues().create().title("Downloads").labels([LABEL])
        });
        assert_eq!(reporter.report().await.unwrap(), report);
        assert_eq!((mock.count("issues/create"), mock.count("issues/update")), (1, 1));
        let sent = mock.requests().pop().unwrap();
        assert_eq!(sent.path(), "/repos/acme/rocket/issues/1");
        assert_eq!(sent.json()["body"], "v1.0.0 has 7 downloads.");
    }

    #[tokio::test]
    async fn a_repository_without_a_release_has_no_report() {
        let (mock, reporter) = repository().await;
        mock.on(|github| github.repos().get_latest_release()).error(404, "Not Found");
        assert_eq!(reporter.report().await.unwrap(), None);
        assert_eq!(mock.count("issues/create"), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_is_retried_after_a_server_error_and_a_write_is_not() {
        let (mock, reporter) = repository().await;
        let fault = Fault::ServerError(502);
        mock.on(|github| github.issues().list_for_repo()).fault(fault.clone()).passthrough();
        mock.on(|github| github.issues().create()).fault(fault).passthrough();
        let error = reporter.report().await.unwrap_err();
        assert_eq!(error.status().unwrap(), 502);
        assert_eq!((mock.count("issues/list-for-repo"), mock.count("issues/create")), (2, 1));
        assert!(reporter.report().await.unwrap().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_limit_is_waited_for() {
        let (mock, reporter) = repository().await;
        let limit = Fault::SecondaryRateLimit { retry_after: Some(Duration::from_secs(30)) };
        mock.on(|github| github.issues().create()).fault(limit).passthrough();
        let started = Instant::now();
        assert!(reporter.report().await.unwrap().is_some());
        assert!(started.elapsed() >= Duration::from_secs(30));
        assert_eq!(mock.count("issues/create"), 2);
    }
}
