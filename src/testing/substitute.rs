//! Examples adapted to the request: the response contains the repository, number or name of the path.

use serde_json::{Value, json};

use super::examples::conforms;
use crate::contract::{ApiDescription, MatchedRequest, OperationSpec};

/// The repository of the description's examples.
const EXAMPLE: &str = "octocat/Hello-World";

/// Maximum length of a full repository name that is written into an example, in bytes.
const MAX_NAME: usize = 256;

/// Returns the example with the values of the path, where these conform to the description.
pub(super) fn substitute_parameters(
    example: &Value,
    matched: &MatchedRequest<'_>,
    document: &ApiDescription,
    status: u16,
) -> Value {
    // A path by id contains no name for the response.
    if !matched.by_id.is_empty() {
        return example.clone();
    }
    let mut asked = example.clone();
    if let (Some(owner), Some(repo)) =
        (matched.path_parameter("owner"), matched.path_parameter("repo"))
        // Long names in many places would make the response long.
        && owner.len().saturating_add(repo.len()) <= MAX_NAME
    {
        of_repository(&mut asked, owner, repo);
    }
    if let Value::Object(_) = asked {
        for (name, value) in &matched.path {
            set(&mut asked, matched.operation, name, value);
        }
    }
    match conforms(document, matched.operation, status, &asked) {
        true => asked,
        false => example.clone(),
    }
}

fn of_repository(value: &mut Value, owner: &str, repo: &str) {
    match value {
        Value::String(text) if text.contains(EXAMPLE) => {
            *text = text.replace(EXAMPLE, &format!("{owner}/{repo}"));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| of_repository(item, owner, repo)),
        Value::Object(map) => {
            let is_it = map.get("full_name").and_then(Value::as_str) == Some(EXAMPLE);
            map.values_mut().for_each(|value| of_repository(value, owner, repo));
            if is_it {
                map.insert("name".to_owned(), json!(repo));
                if let Some(login) = map.get_mut("owner").and_then(|owner| owner.get_mut("login")) {
                    *login = json!(owner);
                }
            }
        }
        _ => {}
    }
}

/// Sets the number, the id or the name of a path parameter.
fn set(asked: &mut Value, operation: &OperationSpec, name: &str, value: &str) {
    // Only the last parameter of a path identifies the resource itself.
    if !operation.path().ends_with(&format!("{{{name}}}")) {
        return;
    }
    let property = match name {
        "issue_number" | "pull_number" | "milestone_number" | "alert_number" => "number",
        "username" | "org" => "login",
        "team_slug" => "slug",
        "branch" | "name" => "name",
        "tag" => "tag_name",
        name if name.ends_with("_id") => "id",
        _ => return,
    };
    match asked.get_mut(property) {
        Some(old @ Value::Number(_)) => {
            if let Ok(number) = value.parse::<u64>() {
                *old = json!(number);
            }
        }
        Some(old @ Value::String(_)) => *old = json!(value),
        _ => {}
    }
}
