//! The operations that look at what they are sent, so that a tour of the client has something to
//! show: a file, a new issue, a title that is missing, a repository that is not there.

use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use httpmock::HttpMockRequest;
use serde_json::{Value, json};

use super::operation::{Content, Operation};
use super::reply::Reply;
use super::router::Target;

const README: &str = "\
# hello-world

My first repository on GitHub!

It holds a README and a few issues, and it has been forked more often than it was read.
";

/// GitHub breaks base64 after so many characters; clients have to take the breaks out.
const BASE64_LINE: usize = 60;

/// The example issue of the document has number 1347.
const FIRST_NEW_ISSUE: u64 = 1348;

/// What a server remembers between requests of the tour.
#[derive(Default)]
pub(super) struct Memory {
    issues_created: AtomicU64,
}

/// The answer to a request that the tour treats specially.
pub(super) fn answer(
    memory: &Memory,
    request: &HttpMockRequest,
    operation: &Operation,
    target: &Target,
) -> Option<Reply> {
    let repository = (target.parameter("owner"), target.parameter("repo"));
    if repository == (Some("octocat"), Some("missing")) {
        return Some(Reply::error(404, "Not Found", &operation.documentation_url));
    }
    let Content::Json(example) = &operation.content else {
        return None;
    };
    match operation.id.as_str() {
        "issues/create" => Some(create_issue(memory, request, operation, example)),
        "repos/get-content" => Some(file(example, target.parameter("path")?)),
        "repos/get-readme" => Some(file(example, "README.md")),
        _ => None,
    }
}

fn create_issue(
    memory: &Memory,
    request: &HttpMockRequest,
    operation: &Operation,
    example: &Value,
) -> Reply {
    let Ok(body) = serde_json::from_slice::<Value>(request.body_ref()) else {
        return Reply::error(400, "Problems parsing JSON", &operation.documentation_url);
    };
    // The document allows a number for a title; GitHub answers it as text.
    let title = match &body["title"] {
        Value::Number(number) => number.to_string(),
        title => title.as_str().unwrap_or("").to_owned(),
    };
    if title.is_empty() {
        return missing_title(operation);
    }
    let number = FIRST_NEW_ISSUE + memory.issues_created.fetch_add(1, Ordering::Relaxed);
    let mut issue = example.clone();
    issue["number"] = json!(number);
    issue["title"] = json!(title);
    issue["body"] = body["body"].clone();
    let labels = body["labels"].as_array().into_iter().flatten();
    issue["labels"] = labels.zip(1..).map(|(named, id)| label(named, id)).collect();
    for url in ["url", "html_url"] {
        if let Some(at) = issue[url].as_str() {
            issue[url] = json!(at.replace("/1347", &format!("/{number}")));
        }
    }
    let location = issue["url"].as_str().unwrap_or("").to_owned();
    Reply::json(operation.status, &issue).header("location", location)
}

fn missing_title(operation: &Operation) -> Reply {
    let body = json!({
        "message": "Validation Failed",
        "errors": [{ "resource": "Issue", "code": "missing_field", "field": "title" }],
        "documentation_url": operation.documentation_url,
        "status": "422",
    });
    Reply::json(422, &body)
}

/// Labels are sent as names or as objects, and always answered as objects.
fn label(named: &Value, id: u64) -> Value {
    let name = named["name"].as_str().or(named.as_str()).unwrap_or("");
    json!({
        "id": id,
        "node_id": "MDU6TGFiZWwyMDgwNDU5NDY=",
        "url": format!("https://api.github.com/repos/octocat/Hello-World/labels/{name}"),
        "name": name,
        "description": named["description"],
        "color": named["color"].as_str().unwrap_or("ededed"),
        "default": false,
    })
}

/// The example file under the path that was asked for, with a content that can be decoded.
fn file(example: &Value, path: &str) -> Reply {
    let mut lines = String::new();
    for (position, character) in STANDARD.encode(README).chars().enumerate() {
        if position > 0 && position % BASE64_LINE == 0 {
            lines.push('\n');
        }
        lines.push(character);
    }
    lines.push('\n');

    let mut file = example.clone();
    file["path"] = json!(path);
    file["name"] = json!(path.rsplit('/').next());
    file["size"] = json!(README.len());
    file["encoding"] = json!("base64");
    file["content"] = json!(lines);
    Reply::json(200, &file)
}
