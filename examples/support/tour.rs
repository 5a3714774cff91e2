//! A fake of GitHub for the tour: one repository with issues and a README, and GitHub's errors.
//!
//! It is not a model for tests: `octowire::testing::MockGitHub` responds to every operation, and validates requests.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use super::server::{Request, receive, respond};

/// The number of issues in the repository.
pub const ISSUES: u64 = 75;

/// The number of issues on a page, as at GitHub.
const PAGE_ITEMS: usize = 30;

const ISSUES_PATH: &str = "/repos/octocat/hello-world/issues";
const README_PATH: &str = "/repos/octocat/hello-world/contents/README.md";

/// "# Hello, World", two sentences below it, and 88 bytes in total.
const README: &str = "IyBIZWxsbywgV29ybGQKClRoZSBmaXJzdCByZXBvc2l0b3J5IG9mIHRoZSBvY3RvY2F0LgoK\n\
                      SXQgc2F5cyBoZWxsbywgYW5kIHRoZW4gaXQgc3RvcHMuCg==\n";

/// The fake, while the program runs.
pub struct GitHub {
    pub base_url: String,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    requests: AtomicU64,
    pages: AtomicU64,
}

impl GitHub {
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base_url = format!("http://{}", listener.local_addr()?);
        let counts = Arc::new(Counts::default());
        let (base, shared) = (base_url.clone(), Arc::clone(&counts));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, base.clone(), Arc::clone(&shared)));
            }
        });
        Ok(Self { base_url, counts })
    }

    /// The number of pages of issues that were sent.
    pub fn pages(&self) -> u64 {
        self.counts.pages.load(Ordering::Relaxed)
    }
}

async fn serve(mut socket: TcpStream, base: String, counts: Arc<Counts>) -> io::Result<()> {
    let Some(request) = receive(&mut socket).await? else { return Ok(()) };
    let used = counts.requests.fetch_add(1, Ordering::Relaxed) + 1;
    let (status, link, body) = match (request.method.as_str(), request.path()) {
        ("GET", ISSUES_PATH) => {
            counts.pages.fetch_add(1, Ordering::Relaxed);
            page(&request, &base)
        }
        ("POST", ISSUES_PATH) => create(&request, &base),
        ("GET", README_PATH) => ("200 OK", String::new(), readme(&base)),
        _ => ("404 Not Found", String::new(), json!({ "message": "Not Found", "status": "404" })),
    };
    let reset = SystemTime::now() + Duration::from_secs(3600);
    let reset = reset.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let headers = format!(
        "content-type: application/json\r\nx-github-request-id: TOUR:{used}\r\n\
         x-ratelimit-limit: 5000\r\nx-ratelimit-remaining: {}\r\nx-ratelimit-used: {used}\r\n\
         x-ratelimit-reset: {reset}\r\nx-ratelimit-resource: core\r\n{link}",
        5_000_u64.saturating_sub(used),
    );
    respond(&mut socket, status, &headers, &body.to_string()).await
}

/// A page of the issues, the newest first, with the links to the next and the last one.
fn page(request: &Request, base: &str) -> (&'static str, String, Value) {
    let number = request.query("page").and_then(|number| number.parse::<usize>().ok());
    let number = number.unwrap_or(1).max(1);
    let numbers: Vec<u64> = (1..=ISSUES).rev().collect();
    let last = numbers.len().div_ceil(PAGE_ITEMS);
    let url = |page: usize| format!("<{base}{ISSUES_PATH}?state=open&page={page}>");
    let link = match number < last {
        true => format!("link: {}; rel=\"next\", {}; rel=\"last\"\r\n", url(number + 1), url(last)),
        false => String::new(),
    };
    let numbers = numbers.chunks(PAGE_ITEMS).nth(number - 1).unwrap_or_default();
    let issues = numbers.iter().map(|number| {
        issue(base, *number, &format!("Issue {number} of the repository"), json!([]))
    });
    ("200 OK", link, issues.collect())
}

fn create(request: &Request, base: &str) -> (&'static str, String, Value) {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    match body["title"].as_str() {
        Some(title) if !title.is_empty() => {
            let issue = issue(base, ISSUES + 1, title, body["labels"].clone());
            ("201 Created", String::new(), issue)
        }
        _ => {
            let error = json!({ "resource": "Issue", "field": "title", "code": "missing_field" });
            let body =
                json!({ "message": "Validation Failed", "errors": [error], "status": "422" });
            ("422 Unprocessable Entity", String::new(), body)
        }
    }
}

fn issue(base: &str, number: u64, title: &str, labels: Value) -> Value {
    let url = format!("{base}{ISSUES_PATH}/{number}");
    json!({
        "id": number, "node_id": "I_of_the_tour", "number": number, "title": title, "state": "open",
        "locked": false, "labels": labels, "user": null, "assignee": null, "assignees": [], "milestone": null,
        "comments": 0, "closed_at": null, "created_at": "2026-01-01T12:00:00Z",
        "updated_at": "2026-01-01T12:00:00Z", "url": url, "comments_url": format!("{url}/comments"),
        "events_url": format!("{url}/events"), "labels_url": format!("{url}/labels{{/name}}"),
        "repository_url": format!("{base}/repos/octocat/hello-world"),
        "html_url": format!("https://github.com/octocat/hello-world/issues/{number}"),
    })
}

fn readme(base: &str) -> Value {
    let url = format!("{base}{README_PATH}");
    json!({
        "type": "file", "name": "README.md", "path": "README.md", "size": 88, "encoding": "base64",
        "content": README, "sha": "980a0d5f19a64b4b30a87d4206aade58726b60e3", "url": url,
        "git_url": null, "html_url": null, "download_url": null,
        "_links": { "self": url, "git": null, "html": null },
    })
}
