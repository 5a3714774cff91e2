//! What the stand-in knows about one operation: where it is, and what it answers.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::document::{Document, MediaType, OperationObject, Parameter};
use super::listing::Listing;
use super::schema;

/// One operation of GitHub's API.
pub struct Operation {
    pub(super) id: String,
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) status: u16,
    pub(super) documentation_url: String,
    /// Path parameters whose value may contain `/`.
    pub(super) multi_segment: Vec<String>,
    pub(super) content: Content,
    pub(super) listing: Option<Listing>,
}

/// What an operation answers with.
pub(super) enum Content {
    Empty,
    Json(Value),
    Text {
        media_type: String,
        text: String,
    },
    /// A redirect to a file, which `reply::download` knows by this name.
    Download(&'static str),
}

impl Operation {
    /// GitHub's name for it, for example `issues/list-for-repo`.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn method(&self) -> &str {
        self.method
    }

    /// The path template, for example `/repos/{owner}/{repo}/issues`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The status that the stand-in answers with: the first documented success, or the redirect of
    /// an operation that has no success of its own.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether it answers a list in pages.
    pub fn is_listing(&self) -> bool {
        self.listing.is_some()
    }

    /// Whether a value of this path parameter may contain `/`.
    pub fn is_multi_segment(&self, parameter: &str) -> bool {
        self.multi_segment.iter().any(|name| name == parameter)
    }
}

pub(super) fn all(document: &Document) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, item) in &document.paths {
        for (method, object) in item.operations() {
            let parameters: Vec<&Parameter> = (item.parameters.iter())
                .chain(&object.parameters)
                .map(|parameter| document.parameter(parameter))
                .collect();
            operations.push(read(document, path, method, object, &parameters));
        }
    }
    operations
}

fn read(
    document: &Document,
    path: &str,
    method: &'static str,
    object: &OperationObject,
    parameters: &[&Parameter],
) -> Operation {
    let (status, content) = read_content(document, path, object);
    let listing = match &content {
        Content::Json(example) => Listing::of(example, parameters),
        _ => None,
    };
    Operation {
        id: object.operation_id.clone(),
        method,
        path: path.to_owned(),
        status,
        documentation_url: object
            .external_docs
            .as_ref()
            .map_or_else(|| "https://docs.github.com/rest".to_owned(), |docs| docs.url.clone()),
        multi_segment: parameters
            .iter()
            .filter(|parameter| parameter.location == "path" && parameter.multi_segment)
            .map(|parameter| parameter.name.clone())
            .collect(),
        content,
        listing,
    }
}

fn read_content(document: &Document, path: &str, object: &OperationObject) -> (u16, Content) {
    let success = object.responses.iter().find(|(status, _)| status.starts_with('2'));
    let Some((status, response)) = success else {
        return (302, Content::Download(file_behind(path)));
    };
    // `2XX` is how a document says "any success".
    let status = status.parse().unwrap_or(200);
    let content = &document.response(response).content;
    let content = match preferred(content) {
        Some((media_type, described)) if media_type.contains("json") => {
            Content::Json(body(document, described))
        }
        Some((media_type, described)) => {
            Content::Text { media_type: media_type.clone(), text: text(document, described) }
        }
        None => Content::Empty,
    };
    (status, content)
}

/// The document only says that such an operation redirects; the file is what GitHub sends in fact.
fn file_behind(path: &str) -> &'static str {
    match path {
        _ if path.contains("/jobs/") => "logs.txt",
        _ if path.contains("/tarball/") || path.contains("/migrations/") => "archive.tar.gz",
        _ => "archive.zip",
    }
}

fn preferred(content: &BTreeMap<String, MediaType>) -> Option<(&String, &MediaType)> {
    content.get_key_value("application/json").or_else(|| content.first_key_value())
}

fn text(document: &Document, media_type: &MediaType) -> String {
    match document.example(media_type) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "Keep it logically awesome.".to_owned(),
    }
}

fn body(document: &Document, media_type: &MediaType) -> Value {
    let schemas = document.schemas();
    match document.example(media_type) {
        Some(example) => fit(example.clone(), &media_type.schema, schemas),
        None => schema::minimal_value(&media_type.schema, schemas),
    }
}

/// Some examples of lists show one item, and one example of an envelope shows the list in it.
fn fit(example: Value, schema: &Value, schemas: &Map<String, Value>) -> Value {
    let schema = schema::resolve(schema, schemas);
    match (example, schema["type"].as_str()) {
        (Value::Object(item), Some("array")) => json!([item]),
        (Value::Array(items), Some("object")) => match only_list(schema, schemas) {
            Some(name) => json!({ name: items, "total_count": items.len() }),
            None => Value::Array(items),
        },
        (example, _) => example,
    }
}

fn only_list<'a>(schema: &'a Value, schemas: &Map<String, Value>) -> Option<&'a str> {
    let mut lists = schema["properties"]
        .as_object()?
        .iter()
        .filter(|(_, property)| schema::resolve(property, schemas)["type"] == "array");
    match (lists.next(), lists.next()) {
        (Some((name, _)), None) => Some(name),
        _ => None,
    }
}
