//! Requests that GitHub's description allows.

use bytes::Bytes;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::examples::preferred;
use super::minimal::minimal_value;
use super::repair::repair_example;
use super::resources::url_parameter;
use crate::api::operation::ParameterLocation;
use crate::contract::{ApiDescription, OperationSpec, ParameterSpec};

/// A request that GitHub's description allows: see
/// [`MockGitHub::example_request`](super::MockGitHub::example_request).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExampleRequest {
    /// The method.
    pub method: Method,
    /// The path below the API's base URL, with the query if the operation requires one.
    pub path: String,
    /// The media type of the body; `None` if the operation takes none.
    pub content_type: Option<String>,
    /// The body; empty if the operation takes none.
    pub body: Bytes,
}

impl ExampleRequest {
    pub(super) fn of(document: &ApiDescription, operation: &OperationSpec) -> Self {
        let schemas = document.schemas();
        let value = |parameter: &ParameterSpec| {
            let known = url_parameter(operation.id(), parameter.name()).map(Value::from);
            let example =
                || parameter.example.clone().filter(|it| parameter.schema.is_valid(it, schemas));
            let smallest = || minimal_value(&parameter.schema.value, schemas);
            let value = text(&known.or_else(example).unwrap_or_else(smallest));
            utf8_percent_encode(&value, NON_ALPHANUMERIC).to_string()
        };
        let mut path = operation.path().to_owned();
        let mut query = String::new();
        for parameter in operation.parameters() {
            match parameter.location() {
                ParameterLocation::Path => {
                    path = path.replace(&format!("{{{}}}", parameter.name()), &value(parameter));
                }
                ParameterLocation::Query if parameter.is_required() => {
                    let sign = if query.is_empty() { '?' } else { '&' };
                    query.push_str(&format!("{sign}{}={}", parameter.name(), value(parameter)));
                }
                _ => {}
            }
        }
        let taken = operation.request_body.as_ref().and_then(|body| preferred(&body.content));
        let (content_type, body) = match taken {
            None => (None, Bytes::new()),
            Some((name, body)) if name.contains("json") => {
                let mut json = match &body.example {
                    Some(example) => repair_example(example.clone(), &body.schema, schemas),
                    None => minimal_value(&body.schema.value, schemas),
                };
                make_new(operation.id(), &mut json);
                (Some(name.clone()), json.to_string().into())
            }
            Some((name, _)) => (Some(name.clone()), Bytes::from_static(b"octocat")),
        };
        Self { method: operation.method().clone(), path: path + &query, content_type, body }
    }
}

/// The examples of labels already contain the example of a new label.
fn make_new(operation_id: &str, body: &mut Value) {
    if operation_id == "issues/create-label" {
        body["name"] = "octocat".into();
    }
}

/// A value as text for a URL.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(","),
        value => value.to_string(),
    }
}
