//! `../release_reporter.rs`, written with octocrab, and tested with httpmock.

use std::env;
use std::error::Error;

use octocrab::Octocrab;

/// The label by which the issue is found.
const LABEL: &str = "downloads";

pub struct ReleaseReporter {
    github: Octocrab,
    owner: String,
    repo: String,
}

#[derive(Debug, PartialEq)]
pub struct Report {
    pub issue_number: u64,
    pub downloads: i64,
}

impl ReleaseReporter {
    pub fn new(github: &Octocrab, full_name: &str) -> Result<Self, Box<dyn Error>> {
        let (owner, repo) = full_name.split_once('/').ok_or("the name is not OWNER/REPO")?;
        Ok(Self { github: github.clone(), owner: owner.to_owned(), repo: repo.to_owned() })
    }

    /// Returns what was reported; nothing if there is no release.
    pub async fn report(&self) -> octocrab::Result<Option<Report>> {
        let repos = self.github.repos(&self.owner, &self.repo);
        let release = match repos.releases().get_latest().await {
            Ok(release) => release,
            Err(octocrab::Error::GitHub { source, .. }) if source.status_code == 404 => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let downloads: i64 = release.assets.iter().map(|asset| asset.download_count).sum();
        let body = format!("{} has {downloads} downloads.", release.tag_name);
        let issues = self.github.issues(&self.owner, &self.repo);
        let labels = vec![LABEL.to_owned()];
        let open = issues.list().labels(&labels).send().await?;
        let issue = match open.items.first() {
            Some(issue) => issues.update(issue.number).body(&body).send().await?,
            None => issues.create("Downloads").body(body).labels(labels).send().await?,
        };
        Ok(Some(Report { issue_number: issue.number, downloads }))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let full_name = env::args().nth(1).ok_or("usage: release_reporter OWNER/REPO")?;
    let token = env::var("GITHUB_TOKEN").map_err(|_| "GITHUB_TOKEN is not set")?;
    let github = Octocrab::builder().personal_token(token).build()?;
    match ReleaseReporter::new(&github, &full_name)?.report().await? {
        Some(report) => println!("{} downloads, in #{}", report.downloads, report.issue_number),
        None => println!("{full_name} has no release"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use httpmock::{Mock, MockServer};
    use serde_json::{Value, json};

    use super::*;

    /// A repository whose release has 7 downloads, with these issues.
    async fn repository(issues: Value) -> (MockServer, ReleaseReporter) {
        let server = MockServer::start_async().await;
        let url = "https://api.github.com/x";
        let time = "2026-11-30T12:00:00Z";
        let release = json!({
            "url": url, "html_url": url, "assets_url": url, "upload_url": url, "id": 1, "node_id": "x",
            "tag_name": "v1.0.0", "target_commitish": "main", "draft": false, "prerelease": false,
            "assets": [{
                "url": url, "browser_download_url": url, "id": 1, "node_id": "x", "name": "app.zip",
                "state": "uploaded", "content_type": "application/zip", "size": 1024,
                "download_count": 7, "created_at": time, "updated_at": time,
            }],
        });
        respond(&server, "GET", "/repos/acme/rocket/releases/latest", 200, release).await;
        respond(&server, "GET", "/repos/acme/rocket/issues", 200, issues).await;
        let github = Octocrab::builder().base_uri(server.base_url()).unwrap().build().unwrap();
        (server, ReleaseReporter::new(&github, "acme/rocket").unwrap())
    }

    async fn respond<'a>(
        server: &'a MockServer,
        method: &str,
        path: &str,
        status: u16,
        body: Value,
    ) -> Mock<'a> {
        server
            .mock_async(|when, then| {
                when.method(method).path(path);
                then.status(status).json_body(body);
            })
            .await
    }

    fn issue(number: u64) -> Value {
        let (url, time) = ("https://api.github.com/x", "2026-11-30T12:00:00Z");
        let user = json!({
            "login": "octocat", "id": 1, "node_id": "x", "avatar_url": url, "gravatar_id": "", "url": url,
            "html_url": url, "followers_url": url, "following_url": url, "gists_url": url,
            "starred_url": url, "subscriptions_url": url, "organizations_url": url, "repos_url": url,
            "events_url": url, "received_events_url": url, "type": "User", "site_admin": false,
        });
        json!({
            "id": 1, "node_id": "x", "url": url, "repository_url": url, "labels_url": url,
            "comments_url": url, "events_url": url, "html_url": url, "number": number, "state": "open",
            "title": "Downloads", "user": user, "labels": [], "assignees": [], "locked": false,
            "comments": 0, "created_at": time, "updated_at": time,
        })
    }

    #[tokio::test]
    async fn the_issue_is_created() {
        let (server, reporter) = repository(json!([])).await;
        let body = json!({
            "title": "Downloads", "body": "v1.0.0 has 7 downloads.", "labels": [LABEL],
        });
        let created = server
            .mock_async(|when, then| {
                when.method("POST").path("/repos/acme/rocket/issues").json_body(body);
                then.status(201).json_body(issue(1));
            })
            .await;
        let report = Some(Report { issue_number: 1, downloads: 7 });
        assert_eq!(reporter.report().await.unwrap(), report);
        created.assert_async().await;
    }

    #[tokio::test]
    async fn an_issue_that_exists_is_updated() {
        let (server, reporter) = repository(json!([issue(1)])).await;
        let body = json!({ "body": "v1.0.0 has 7 downloads." });
        let updated = server
            .mock_async(|when, then| {
                when.method("PATCH").path("/repos/acme/rocket/issues/1").json_body(body);
                then.status(200).json_body(issue(1));
            })
            .await;
        let report = Some(Report { issue_number: 1, downloads: 7 });
        assert_eq!(reporter.report().await.unwrap(), report);
        updated.assert_async().await;
    }

    #[tokio::test]
    async fn a_repository_without_a_release_has_no_report() {
        let server = MockServer::start_async().await;
        let body =
            json!({ "message": "Not Found", "documentation_url": "https://docs.github.com" });
        respond(&server, "GET", "/repos/acme/rocket/releases/latest", 404, body).await;
        let github = Octocrab::builder().base_uri(server.base_url()).unwrap().build().unwrap();
        let reporter = ReleaseReporter::new(&github, "acme/rocket").unwrap();
        assert_eq!(reporter.report().await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_write_is_repeated_after_a_server_error() {
        let (server, reporter) = repository(json!([])).await;
        let body = json!({ "message": "Bad Gateway" });
        let failing = respond(&server, "POST", "/repos/acme/rocket/issues", 502, body).await;
        assert!(reporter.report().await.is_err());
        // By default, octocrab sends any request up to four times.
        failing.assert_calls_async(4).await;
    }

    #[tokio::test]
    async fn a_rate_limit_is_an_error() {
        let (server, reporter) = repository(json!([])).await;
        let body = json!({ "message": "You have exceeded a secondary rate limit." });
        respond(&server, "POST", "/repos/acme/rocket/issues", 403, body).await;
        assert!(reporter.report().await.is_err());
    }
}
