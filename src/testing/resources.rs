//! The mock's stored resources: the issues, comments and labels of repositories.
//!
//! A repository initially has the resources of the description's examples, and then stores the ones that it
//! receives. Any repository exists.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::clock::Clock;
use super::examples::{Content, ExampleResponses};
use super::locks::lock;
use super::pagination::{ListItems, item};
use super::received::RecordedRequest;
use super::wire_response::{WireResponse, rewrite_urls};
use crate::contract::{MatchedRequest, OperationSpec};

mod comments;
mod issues;
mod labels;

/// Maximum number of stored repositories; beyond it, the mock discards all of them.
const MAX_REPOSITORIES: usize = 1_000;

/// Ids start after those of the examples.
const FIRST_ID: u64 = 1_000_000_000;

/// Maximum number of resources per repository; further ones are rejected.
const MAX_CREATED: u64 = 100_000;

/// Maximum length of the full name of a repository whose resources are stored, in bytes. GitHub's have 140.
const MAX_NAME: usize = 256;

/// Maximum number of bytes of requests that create or change resources; further ones are rejected.
const MAX_BYTES: usize = 256 * 1024 * 1024;

/// Maximum size of one such body, in bytes, and maximum number of items of a list in it. At GitHub, the body
/// of an issue has 65,536 characters, and an issue 100 labels.
const MAX_BODY: usize = 1024 * 1024;
const MAX_LIST: usize = 100;

#[derive(Default)]
pub(super) struct Resources {
    repositories: Mutex<HashMap<String, Repository>>,
    seeds: Mutex<SeedCounts>,
    /// The bytes of the requests that created or changed resources.
    bytes: AtomicUsize,
}

/// The number of initial resources of a repository, if not those of the examples.
#[derive(Clone, Copy, Default)]
struct SeedCounts {
    issues: Option<usize>,
    /// Comments of each issue.
    comments: Option<usize>,
    labels: Option<usize>,
}

/// The resources of one repository.
struct Repository {
    full_name: String,
    issues: BTreeMap<u64, Value>,
    /// By id, with the number of their issue.
    comments: BTreeMap<u64, (u64, Value)>,
    /// By name, in lower case.
    labels: BTreeMap<String, Value>,
    examples: Examples,
    last_number: u64,
    last_id: u64,
    /// The number of created resources.
    created_count: u64,
}

/// The templates of new resources.
#[derive(Clone)]
struct Examples {
    issue: Value,
    comment: Value,
    label: Value,
}

/// A request for one of these resources.
struct ResourceRequest<'a> {
    request: &'a RecordedRequest,
    operation: &'a OperationSpec,
    examples: &'a ExampleResponses,
    clock: &'a Clock,
    body: &'a Value,
}

impl Resources {
    /// Sets the initial number of issues, comments of each issue, or labels in each repository. Discards
    /// stored resources. Returns whether the list is one of these.
    pub(super) fn seed(&self, operation_id: &str, total: usize) -> Result<bool, String> {
        let mut seeds = *lock(&self.seeds);
        match operation_id {
            "issues/list-for-repo" => seeds.issues = Some(total),
            "issues/list-comments" | "issues/list-comments-for-repo" => {
                seeds.comments = Some(total);
            }
            "issues/list-labels-for-repo" => seeds.labels = Some(total),
            "issues/list-labels-on-issue" => {
                return Err(
                    "an issue has only the labels that it was given: add labels to it".into()
                );
            }
            _ => return Ok(false),
        }
        let comments = seeds.issues.unwrap_or(1).saturating_mul(seeds.comments.unwrap_or(0));
        let things = [seeds.issues.unwrap_or(0), seeds.labels.unwrap_or(0), comments];
        if things.iter().any(|things| *things as u64 > MAX_CREATED) {
            return Err(format!(
                "a repository of the mock has at most {MAX_CREATED} resources of a kind"
            ));
        }
        *lock(&self.seeds) = seeds;
        lock(&self.repositories).clear();
        Ok(true)
    }

    /// The response to a request about an issue, a comment or a label.
    pub(super) fn respond(
        &self,
        request: &RecordedRequest,
        matched: &MatchedRequest<'_>,
        responses: &ExampleResponses,
        clock: &Clock,
    ) -> Option<WireResponse> {
        let operation = matched.operation;
        let name = operation.id().strip_prefix("issues/")?;
        let (owner, repo) = (matched.path_parameter("owner")?, matched.path_parameter("repo")?);
        let full_name = format!("{owner}/{repo}");
        if full_name.len() > MAX_NAME {
            return Some(WireResponse::error(404, "Not Found", operation.documentation_url()));
        }
        let key = full_name.to_lowercase();
        let seeds = *lock(&self.seeds);
        let mut all = lock(&self.repositories);
        if all.len() >= MAX_REPOSITORIES && !all.contains_key(&key) {
            all.clear();
        }
        let repository = match all.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Repository::new(full_name, responses, seeds)?),
        };
        let nothing = Value::Null;
        let body = matched.body.as_ref().unwrap_or(&nothing);
        let ask = ResourceRequest { request, operation, examples: responses, clock, body };
        if request.body.len() > MAX_BODY || has_long_list(body) {
            return Some(ask.invalid("Repository", "body", "too_large"));
        }
        let bytes = self.bytes.fetch_add(request.body.len(), Ordering::Relaxed);
        let is_full =
            repository.created_count >= MAX_CREATED && request.method == http::Method::POST;
        if is_full || bytes > MAX_BYTES {
            return Some(WireResponse::error(
                403,
                "the mock's storage is full",
                operation.documentation_url(),
            ));
        }
        repository
            .issue_call(name, &ask)
            .or_else(|| repository.comment_call(name, &ask))
            .or_else(|| repository.label_call(name, &ask))
    }
}

impl Repository {
    fn new(full_name: String, responses: &ExampleResponses, seeds: SeedCounts) -> Option<Self> {
        let document = responses.description();
        let example = |id: &str| -> Option<Value> {
            match &responses.response(document.operation(id)?)?.content {
                Content::Json(example) => Some(for_repository(example, &full_name)),
                _ => None,
            }
        };
        let seeded = |id: &str, total: Option<usize>| -> Option<Vec<Value>> {
            let shown = example(id)?;
            let shown = shown.as_array().map_or(&[][..], Vec::as_slice);
            Some(match total {
                None => shown.to_vec(),
                Some(total) => (0..total).filter_map(|position| item(shown, position)).collect(),
            })
        };
        let issues = seeded("issues/list-for-repo", seeds.issues)?;
        let comments = seeded("issues/list-comments", seeds.comments)?;
        let mut labels = seeded("issues/list-labels-for-repo", seeds.labels)?;
        if seeds.labels.is_some() {
            for (label, number) in labels.iter_mut().zip(1..) {
                let name = label["name"].as_str().unwrap_or_default();
                label["name"] = json!(format!("{name}-{number}"));
            }
        }
        let examples = Examples {
            issue: example("issues/get")?,
            comment: example("issues/create-comment")?,
            label: example("issues/create-label")?,
        };
        let mut repository = Self {
            full_name,
            issues: BTreeMap::new(),
            comments: BTreeMap::new(),
            labels: BTreeMap::new(),
            examples,
            last_number: 0,
            last_id: FIRST_ID,
            created_count: 0,
        };
        for issue in issues {
            repository.last_number = issue["number"].as_u64()?.max(repository.last_number);
            repository.issues.insert(issue["number"].as_u64()?, issue);
        }
        for label in labels {
            repository.labels.insert(label["name"].as_str()?.to_lowercase(), label);
        }
        let numbers: Vec<u64> = repository.issues.keys().copied().collect();
        for number in numbers {
            for comment in &comments {
                // For one issue, the comments of the examples keep their ids.
                let id = match seeds.comments {
                    None => comment["id"].as_u64()?,
                    Some(_) => repository.next_id(),
                };
                let mut comment = comment.clone();
                issues::set(&mut comment, "id", json!(id));
                repository.comments.insert(id, (number, comment));
            }
            if let Some(issue) = repository.issues.get_mut(&number) {
                issues::set(issue, "comments", json!(comments.len()));
            }
        }
        Some(repository)
    }

    /// The number of a new issue.
    fn next_number(&mut self) -> u64 {
        self.last_number = self.last_number.saturating_add(1);
        self.last_number
    }

    /// An unused id.
    fn next_id(&mut self) -> u64 {
        self.created_count = self.created_count.saturating_add(1);
        self.last_id = self.last_id.saturating_add(1);
        self.last_id
    }

    /// The URL of a resource in this repository.
    fn url(&self, below: &str) -> String {
        format!("https://api.github.com/repos/{}/{below}", self.full_name)
    }

    fn html_url(&self, below: &str) -> String {
        format!("https://github.com/{}/{below}", self.full_name)
    }
}

impl ResourceRequest<'_> {
    fn parameter(&self, name: &str) -> Option<&str> {
        self.request.path_parameter(name)
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.parameter(name)?.parse().ok()
    }

    fn query(&self, name: &str) -> Option<&str> {
        self.request.query_parameter(name)
    }

    /// A success of the documented status.
    fn reply(&self, body: &Value) -> WireResponse {
        let mut body = body.clone();
        rewrite_urls(&mut body, &self.request.origin());
        WireResponse::json(self.status(), &body)
    }

    fn created(&self, body: &Value) -> WireResponse {
        let mut url = body["url"].clone();
        rewrite_urls(&mut url, &self.request.origin());
        self.reply(body).header("location", url.as_str().unwrap_or_default())
    }

    /// The time, in GitHub's format.
    fn now(&self) -> Value {
        json!(self.clock.text(Duration::ZERO))
    }

    /// Returns whether a resource is not older than the query's `since`.
    fn is_recent(&self, thing: &Value) -> bool {
        let time = |text: &str| DateTime::parse_from_rfc3339(text).ok().map(DateTime::<Utc>::from);
        let since = self.query("since").and_then(time);
        let updated = thing["updated_at"].as_str().and_then(time);
        since.is_none_or(|since| updated.is_some_and(|updated| updated >= since))
    }

    fn no_content(&self) -> WireResponse {
        WireResponse::empty(self.status())
    }

    fn status(&self) -> u16 {
        self.examples.response(self.operation).map_or(200, |response| response.status)
    }

    /// The requested page of a list.
    fn list(&self, items: Vec<Value>) -> WireResponse {
        let response = self.examples.response(self.operation);
        match response.and_then(|response| response.listing.as_ref()) {
            Some(listing) => listing
                .page(self.request, &Value::Null, &ListItems::Given(items))
                .rebased(self.request),
            None => self.reply(&items.into()),
        }
    }

    fn not_found(&self) -> WireResponse {
        WireResponse::error(404, "Not Found", self.operation.documentation_url())
    }

    /// GitHub's rejection of a value.
    fn invalid(&self, resource: &str, field: &str, code: &str) -> WireResponse {
        let body = json!({
            "message": "Validation Failed",
            "errors": [{ "resource": resource, "code": code, "field": field }],
            "documentation_url": self.operation.documentation_url(),
        });
        WireResponse::json(422, &body)
    }
}

/// Returns whether a body is, or has, a list of more items than GitHub accepts.
fn has_long_list(body: &Value) -> bool {
    let is_long = |value: &Value| value.as_array().is_some_and(|list| list.len() > MAX_LIST);
    is_long(body) || body.as_object().is_some_and(|body| body.values().any(is_long))
}

/// The value of a path parameter that leads to an existing resource.
pub(super) fn url_parameter(operation_id: &str, parameter: &str) -> Option<&'static str> {
    match (operation_id.strip_prefix("issues/")?, parameter) {
        (_, "issue_number") => Some("1347"),
        ("get-comment" | "update-comment" | "delete-comment", "comment_id") => Some("1"),
        ("get-label" | "update-label" | "delete-label" | "remove-label", "name") => Some("bug"),
        _ => None,
    }
}

/// The example, adapted to another repository.
fn for_repository(example: &Value, full_name: &str) -> Value {
    let text = example.to_string().replace("octocat/Hello-World", full_name);
    serde_json::from_str(&text).unwrap_or_else(|_| example.clone())
}
