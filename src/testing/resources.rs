//! What the mock remembers: the issues, comments and labels of repositories.
//!
//! A repository begins with what the document's examples show, and then has what it was sent. Any
//! repository exists.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::answers::Answers;
use super::listing::Items;
use super::received::Received;
use super::reply::Reply;
use crate::contract::{DocumentedOperation, Matched};

mod comments;
mod issues;
mod labels;

/// As many repositories are remembered; the mock forgets all of them when there are more.
const MAX_REPOSITORIES: usize = 1_000;

/// Ids begin after those of the examples.
const FIRST_ID: u64 = 1_000_000_000;

#[derive(Default)]
pub(super) struct Resources {
    repositories: Mutex<HashMap<String, Repository>>,
}

/// What one repository holds.
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
}

/// What new things are made of.
#[derive(Clone)]
struct Examples {
    issue: Value,
    comment: Value,
    label: Value,
}

/// A request for one of them.
struct Ask<'a> {
    request: &'a Received,
    operation: &'a DocumentedOperation,
    answers: &'a Answers,
    body: &'a Value,
}

impl Resources {
    /// The answer to a request about an issue, a comment or a label.
    pub(super) fn answer(
        &self,
        request: &Received,
        matched: &Matched<'_>,
        answers: &Answers,
    ) -> Option<Reply> {
        let operation = matched.operation;
        let name = operation.id().strip_prefix("issues/")?;
        let (owner, repo) = (matched.path_parameter("owner")?, matched.path_parameter("repo")?);
        let full_name = format!("{owner}/{repo}");
        let key = full_name.to_lowercase();
        // Whoever panicked left repositories that are still whole.
        let mut all = self.repositories.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_REPOSITORIES && !all.contains_key(&key) {
            all.clear();
        }
        let repository = match all.entry(key) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(new) => {
                new.insert(Repository::new(full_name, answers)?)
            }
        };
        let nothing = Value::Null;
        let body = matched.body.as_ref().unwrap_or(&nothing);
        let ask = Ask { request, operation, answers, body };
        repository
            .issue_call(name, &ask)
            .or_else(|| repository.comment_call(name, &ask))
            .or_else(|| repository.label_call(name, &ask))
    }
}

impl Repository {
    fn new(full_name: String, answers: &Answers) -> Option<Self> {
        let document = answers.document();
        let example = |id: &str| -> Option<Value> {
            match &answers.answer(document.operation(id)?)?.content {
                super::answers::Content::Json(example) => Some(of(example, &full_name)),
                _ => None,
            }
        };
        let (issues, comments) =
            (example("issues/list-for-repo")?, example("issues/list-comments")?);
        let labels = example("issues/list-labels-for-repo")?;
        let examples = Examples {
            issue: example("issues/get")?,
            comment: example("issues/create-comment")?,
            label: example("issues/create-label")?,
        };
        let issues = issues.as_array().into_iter().flatten();
        let mut issues: BTreeMap<u64, Value> =
            issues.filter_map(|issue| Some((issue["number"].as_u64()?, issue.clone()))).collect();
        let last_number = issues.last_key_value().map_or(0, |(number, _)| *number);
        let comments = comments.as_array().into_iter().flatten();
        let comments: BTreeMap<u64, (u64, Value)> = comments
            .filter_map(|comment| Some((comment["id"].as_u64()?, (last_number, comment.clone()))))
            .collect();
        if let Some(issue) = issues.get_mut(&last_number) {
            issues::set(issue, "comments", json!(comments.len()));
        }
        let labels = labels.as_array().into_iter().flatten();
        let labels = labels
            .filter_map(|label| Some((label["name"].as_str()?.to_lowercase(), label.clone())))
            .collect();
        Some(Self { full_name, issues, comments, labels, examples, last_number, last_id: FIRST_ID })
    }

    /// The number of a new issue.
    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// An id that nothing has.
    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// The URL of something in this repository.
    fn url(&self, below: &str) -> String {
        format!("https://api.github.com/repos/{}/{below}", self.full_name)
    }

    fn html_url(&self, below: &str) -> String {
        format!("https://github.com/{}/{below}", self.full_name)
    }
}

impl Ask<'_> {
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
    fn reply(&self, body: &Value) -> Reply {
        Reply::json(self.status(), body)
    }

    fn created(&self, body: &Value) -> Reply {
        self.reply(body).header("location", body["url"].as_str().unwrap_or_default())
    }

    fn nothing(&self) -> Reply {
        Reply::empty(self.status())
    }

    fn status(&self) -> u16 {
        self.answers.answer(self.operation).map_or(200, |answer| answer.status)
    }

    /// The page of a list that was asked for.
    fn list(&self, items: Vec<Value>) -> Reply {
        let answer = self.answers.answer(self.operation);
        match answer.and_then(|answer| answer.listing.as_ref()) {
            Some(listing) => listing.page(self.request, &Value::Null, &Items::These(items)),
            None => self.reply(&items.into()),
        }
    }

    fn not_found(&self) -> Reply {
        Reply::error(404, "Not Found", self.operation.documentation_url())
    }

    /// GitHub's refusal of a value.
    fn invalid(&self, resource: &str, field: &str, code: &str) -> Reply {
        let body = json!({
            "message": "Validation Failed",
            "errors": [{ "resource": resource, "code": code, "field": field }],
            "documentation_url": self.operation.documentation_url(),
        });
        Reply::json(422, &body)
    }
}

/// What stands for a parameter of a path, so that it leads to something that is there.
pub(super) fn known(operation_id: &str, parameter: &str) -> Option<&'static str> {
    match (operation_id.strip_prefix("issues/")?, parameter) {
        (_, "issue_number") => Some("1347"),
        ("get-comment" | "update-comment" | "delete-comment", "comment_id") => Some("1"),
        ("get-label" | "update-label" | "delete-label" | "remove-label", "name") => Some("bug"),
        _ => None,
    }
}

/// The time, as GitHub writes it.
fn now() -> Value {
    let now = DateTime::<Utc>::from(SystemTime::now());
    json!(now.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// The example, as of another repository.
fn of(example: &Value, full_name: &str) -> Value {
    let text = example.to_string().replace("octocat/Hello-World", full_name);
    serde_json::from_str(&text).unwrap_or_else(|_| example.clone())
}
