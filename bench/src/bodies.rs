//! The response bodies: examples of GitHub's own description, so that they resemble GitHub's responses and
//! change only with the description.

use std::path::Path;

use bytes::Bytes;
use serde_json::Value;

use crate::Result;

/// The requested body; each is a call that all clients have typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// 1 KB: `issues/get-comment`.
    Comment,
    /// 10 KB: `repos/get`.
    Repository,
    /// 260 KB: `issues/list-for-repo`.
    Issues,
}

pub const OWNER: &str = "octocat";
pub const REPO: &str = "Hello-World";
pub const COMMENT: u64 = 1;
/// The number of issues of 6.3 KB that make 260 KB; a full page of GitHub's has up to 100.
pub const ISSUES: u64 = 41;

impl Body {
    pub const ALL: [Self; 3] = [Self::Comment, Self::Repository, Self::Issues];

    pub fn name(self) -> &'static str {
        match self {
            Self::Comment => "1 KB",
            Self::Repository => "10 KB",
            Self::Issues => "260 KB",
        }
    }

    /// Its name on the command line.
    pub fn key(self) -> &'static str {
        match self {
            Self::Comment => "comment",
            Self::Repository => "repository",
            Self::Issues => "issues",
        }
    }

    /// The body with this name on the command line.
    pub fn named(key: &str) -> Result<Self> {
        let known = Self::ALL.into_iter().find(|body| body.key() == key);
        known.ok_or_else(|| format!("there is no body {key}").into())
    }

    /// The operation, as GitHub's description names it.
    pub fn operation(self) -> &'static str {
        match self {
            Self::Comment => "issues/get-comment",
            Self::Repository => "repos/get",
            Self::Issues => "issues/list-for-repo",
        }
    }

    pub fn path(self) -> String {
        match self {
            Self::Comment => format!("/repos/{OWNER}/{REPO}/issues/comments/{COMMENT}"),
            Self::Repository => format!("/repos/{OWNER}/{REPO}"),
            Self::Issues => format!("/repos/{OWNER}/{REPO}/issues"),
        }
    }

    /// The value that a client must have read: the id, or the sum of the issues' numbers.
    pub fn answer(self) -> u64 {
        match self {
            Self::Comment => COMMENT,
            Self::Repository => 1_296_269,
            Self::Issues => (1..=ISSUES).sum(),
        }
    }
}

/// The bodies in the order of [`Body::ALL`].
pub fn read() -> Result<[Bytes; 3]> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../openapi/api.github.com.json");
    let document = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let document: Value = serde_json::from_slice(&document)?;
    let example = |name: &str| {
        let value = document.pointer(&format!("/components/examples/{name}/value"));
        value.cloned().ok_or_else(|| format!("{} has no example {name}", path.display()))
    };

    let comment = example("issue-comment")?;

    // The whole example has 23 KB: a fork of a fork, made from a template, in an organization. The remaining
    // part is a fork.
    let mut repository = example("full-repository-default-response")?;
    for name in ["organization", "source", "template_repository"] {
        repository.as_object_mut().ok_or("the repository is no object")?.remove(name);
    }
    // GitHub's schema requires it, and this example lacks it.
    repository["language"] = Value::Null;

    let issue = &example("issue-items")?[0];
    let issues: Vec<Value> = (1..=ISSUES).map(|number| numbered(issue, number)).collect();

    Ok([comment.to_string(), repository.to_string(), Value::from(issues).to_string()]
        .map(Bytes::from))
}

/// The issue with another number and id, and URLs for these.
fn numbered(issue: &Value, number: u64) -> Value {
    let old = format!("/{}", issue["number"]);
    let new = format!("/{number}");
    let mut issue = issue.clone();
    for name in ["url", "labels_url", "comments_url", "events_url", "html_url"] {
        if let Some(url) = issue[name].as_str() {
            issue[name] = url.replace(&old, &new).into();
        }
    }
    issue["number"] = number.into();
    issue["id"] = (1_000_000 + number).into();
    issue
}
