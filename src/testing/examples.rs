//! The mock's default responses: the description's examples, corrected where they do not conform to it.

use std::sync::{Arc, LazyLock, OnceLock};

use serde_json::{Map, Value, json};

use super::minimal::minimal_value;
use super::pagination::ListEndpoint;
use super::repair::repair_example;
use crate::contract::{
    ApiDescription, DescriptionSource, MediaType, MediaTypes as Bodies, OperationSpec,
};

/// The response of each operation, by its index in the description; built on first use.
pub(super) struct ExampleResponses {
    description: DescriptionSource,
    responses: Vec<OnceLock<ExampleResponse>>,
}

/// The response of one operation.
pub(super) struct ExampleResponse {
    pub(super) status: u16,
    pub(super) content: Content,
    pub(super) listing: Option<ListEndpoint>,
}

pub(super) enum Content {
    Empty,
    Json(Value),
    Text {
        media_type: String,
        text: String,
    },
    /// A redirect to a file, which `wire_response::download` knows by this name.
    Download(&'static str),
}

impl ExampleResponses {
    /// All mocks of a process share those of the built-in description.
    pub(super) fn of(document: DescriptionSource) -> Arc<Self> {
        static BUILT_IN: LazyLock<Arc<ExampleResponses>> =
            LazyLock::new(|| Arc::new(ExampleResponses::new(DescriptionSource::BuiltIn)));
        match document {
            DescriptionSource::BuiltIn => Arc::clone(&BUILT_IN),
            given @ DescriptionSource::Custom(_) => Arc::new(Self::new(given)),
        }
    }

    fn new(document: DescriptionSource) -> Self {
        let count = document.description().operations().len();
        Self { description: document, responses: (0..count).map(|_| OnceLock::new()).collect() }
    }

    pub(super) fn description(&self) -> &ApiDescription {
        self.description.description()
    }

    /// The response of an operation of the description.
    pub(super) fn response(&self, operation: &OperationSpec) -> Option<&ExampleResponse> {
        let document = self.description();
        let operations = document.operations();
        let index = operations.binary_search_by(|known| known.id().cmp(operation.id())).ok()?;
        Some(self.responses[index].get_or_init(|| ExampleResponse::of(document, operation)))
    }

    /// The success status of an operation; 200 if it is unknown.
    pub(super) fn success(&self, operation: Option<&OperationSpec>) -> u16 {
        operation
            .and_then(|operation| self.response(operation))
            .map_or(200, |response| response.status)
    }
}

impl ExampleResponse {
    fn of(document: &ApiDescription, operation: &OperationSpec) -> Self {
        let (status, content) = read_content(document, operation);
        let listing = match &content {
            Content::Json(example) => ListEndpoint::of(example, operation),
            _ => None,
        };
        Self { status, content, listing }
    }
}

/// The corrected example of an operation's response with this status.
pub(super) fn example_of(
    document: &ApiDescription,
    operation: &OperationSpec,
    status: u16,
) -> Option<Value> {
    let content = &operation.response(status)?.content;
    let (_, media_type) = preferred(content).filter(|(name, _)| name.contains("json"))?;
    Some(body(document, media_type))
}

/// Returns whether a JSON response conforms to the description.
pub(super) fn conforms(
    document: &ApiDescription,
    operation: &OperationSpec,
    status: u16,
    body: &Value,
) -> bool {
    let content = operation.response(status).map(|response| &response.content);
    let described = content.and_then(|content| content.get("application/json"));
    described.is_none_or(|described| described.schema.is_valid(body, document.schemas()))
}

/// The first documented success, or the redirect of an operation without a success status.
fn read_content(document: &ApiDescription, operation: &OperationSpec) -> (u16, Content) {
    let success = operation.responses.iter().find(|(status, _)| status.starts_with('2'));
    let Some((status, response)) = success else {
        return (302, Content::Download(download_name(operation.path())));
    };
    // `2XX` means any success status.
    let status = status.parse().unwrap_or(200);
    let content = match preferred(&response.content) {
        Some((name, described)) if name.contains("json") => {
            Content::Json(body(document, described))
        }
        Some((name, described)) => {
            Content::Text { media_type: name.clone(), text: text(described) }
        }
        None => Content::Empty,
    };
    (status, content)
}

/// The description contains only the redirect of such an operation; GitHub then sends the file.
fn download_name(path: &str) -> &'static str {
    match path {
        _ if path.contains("/jobs/") => "logs.txt",
        _ if path.contains("/tarball/") || path.contains("/migrations/") => "archive.tar.gz",
        _ => "archive.zip",
    }
}

/// JSON, if there is a choice.
pub(super) fn preferred(content: &Bodies) -> Option<(&String, &MediaType)> {
    content.get_key_value("application/json").or_else(|| content.first_key_value())
}

fn text(media_type: &MediaType) -> String {
    match &media_type.example {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "Keep it logically awesome.".to_owned(),
    }
}

fn body(document: &ApiDescription, media_type: &MediaType) -> Value {
    let (schema, schemas) = (&media_type.schema, document.schemas());
    match &media_type.example {
        Some(example) => {
            let example = wrapped(example.clone(), schemas.resolve(&schema.value), document);
            repair_example(example, schema, schemas)
        }
        None => minimal_value(&schema.value, schemas),
    }
}

/// Some examples of lists have a single item, and one example of an envelope has the list in it.
fn wrapped(example: Value, schema: &Value, document: &ApiDescription) -> Value {
    match (example, schema["type"].as_str()) {
        (Value::Object(item), Some("array")) => json!([item]),
        (Value::Array(items), Some("object")) => match only_list(schema, document) {
            Some(name) => {
                let mut envelope = Map::new();
                envelope.insert("total_count".to_owned(), json!(items.len()));
                envelope.insert(name.to_owned(), items.into());
                Value::Object(envelope)
            }
            None => Value::Array(items),
        },
        (example, _) => example,
    }
}

fn only_list<'a>(schema: &'a Value, document: &ApiDescription) -> Option<&'a str> {
    let mut lists = schema["properties"]
        .as_object()?
        .iter()
        .filter(|(_, property)| document.schemas().resolve(property)["type"] == "array");
    match (lists.next(), lists.next()) {
        (Some((name, _)), None) => Some(name),
        _ => None,
    }
}
