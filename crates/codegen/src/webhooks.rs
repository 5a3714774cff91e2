//! Metadata of each webhook beside its payload's type: its event and action, and the text of its
//! documentation. It is read before [`crate::normalize`] removes the parts that progenitor does not support.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::document;
use crate::error::{Error, Result};

const STAGE: &str = "webhooks";

/// The location of webhooks in the description. OpenAPI 3.0 has no place for them.
pub const WEBHOOKS: &str = "x-webhooks";

/// Maximum nesting of the variants of a payload; deeper is a defect that another place reports.
const MAX_DEPTH: usize = 30;

/// One payload that GitHub delivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// `issues-opened`: its name in the description.
    pub key: String,
    /// `issues`: the value of `X-GitHub-Event`, which names the Cargo feature.
    pub event: String,
    /// `opened`: the values of the payload's `action` that distinguish it from others of its event; empty for
    /// an event that has no actions, or free ones.
    pub actions: Vec<String>,
    /// Of the event.
    pub summary: String,
    /// Of the action.
    pub description: String,
    /// The URL of GitHub's documentation.
    pub documentation_url: String,
}

/// Describes every webhook of the description, in its order.
pub fn describe(document: &Value) -> Result<Vec<Webhook>> {
    let mut webhooks: Vec<Webhook> = Vec::new();
    for (key, item) in document::object(document, WEBHOOKS) {
        let webhook = describe_one(document, key, item)?;
        let same = webhooks.iter().find(|other| {
            let shares = other.actions.iter().any(|action| webhook.actions.contains(action));
            let has_none = other.actions.is_empty() || webhook.actions.is_empty();
            other.event == webhook.event && (shares || has_none)
        });
        if let Some(other) = same {
            let message = format!(
                "the webhook cannot be distinguished from `{}`, which also belongs to the event \
                 `{}`",
                other.key, other.event
            );
            return Err(Error::new(STAGE, pointer(key), message));
        }
        webhooks.push(webhook);
    }
    Ok(webhooks)
}

/// The event of a webhook.
pub fn event(key: &str, item: &Value) -> Result<String> {
    // The examples of `X-GitHub-Event` have `discussions` and `project-v2` for deliveries with `discussion`
    // and `projects_v2`; some subcategories have hyphens, which no event has.
    let subcategory = &item["post"]["x-github"]["subcategory"];
    match subcategory.as_str().filter(|name| !name.is_empty()) {
        Some(name) => Ok(name.replace('-', "_")),
        None => Err(Error::new(
            STAGE,
            pointer(key),
            "no `x-github.subcategory`, so its event is unknown",
        )),
    }
}

/// The schema of a webhook's payload, and its location.
pub fn payload<'a>(document: &'a Value, key: &str) -> Result<(&'a Value, String)> {
    let at = format!("{}/post/requestBody", pointer(key));
    let body = &document[WEBHOOKS][key]["post"]["requestBody"];
    let body = document::resolve(document, body, STAGE, &at)?;
    match body["content"]["application/json"].get("schema") {
        Some(schema) => Ok((schema, format!("{at}/content/application~1json/schema"))),
        None => Err(Error::new(STAGE, at, "webhook without a JSON payload")),
    }
}

fn describe_one(document: &Value, key: &str, item: &Value) -> Result<Webhook> {
    let text = |field: &str| item["post"][field].as_str().unwrap_or_default().to_owned();
    let (schema, at) = payload(document, key)?;
    let mut actions = BTreeSet::new();
    collect_actions(document, schema, &at, 0, &mut actions)?;
    Ok(Webhook {
        key: key.to_owned(),
        event: event(key, item)?,
        actions: actions.into_iter().collect(),
        summary: text("summary"),
        description: text("description"),
        documentation_url: item["post"]["externalDocs"]["url"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
    })
}

/// The possible values of the payload's `action`.
fn collect_actions(
    document: &Value,
    schema: &Value,
    at: &str,
    depth: usize,
    actions: &mut BTreeSet<String>,
) -> Result<()> {
    let schema = document::resolve(document, schema, STAGE, at)?;
    if let Some(action) = schema["properties"].get("action") {
        let action = document::resolve(document, action, STAGE, at)?;
        let values = document::array(action, "enum").filter_map(Value::as_str);
        actions.extend(values.map(str::to_owned));
    }
    if depth < MAX_DEPTH {
        for key in ["allOf", "oneOf", "anyOf"] {
            for part in document::array(schema, key) {
                collect_actions(document, part, at, depth + 1, actions)?;
            }
        }
    }
    Ok(())
}

fn pointer(key: &str) -> String {
    document::pointer(&[WEBHOOKS, key])
}
