//! What the mock answers when nobody told it otherwise: the document's examples, mended where they
//! do not keep to the document themselves.

use std::sync::{Arc, LazyLock, OnceLock};

use serde_json::{Map, Value, json};

use super::fit::fit;
use super::listing::Listing;
use super::minimal::minimal_value;
use crate::contract::{Content as Bodies, Document, DocumentedOperation, MediaType, Source};

/// What each operation answers, by its place in the document; made when it is first asked for.
pub(super) struct Answers {
    document: Source,
    answers: Vec<OnceLock<Answer>>,
}

/// What one operation answers.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content: Content,
    pub(super) listing: Option<Listing>,
}

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

impl Answers {
    /// Those of the built-in document are the same for all mocks of a process.
    pub(super) fn of(document: Source) -> Arc<Self> {
        static BUILT_IN: LazyLock<Arc<Answers>> =
            LazyLock::new(|| Arc::new(Answers::new(Source::BuiltIn)));
        match document {
            Source::BuiltIn => Arc::clone(&BUILT_IN),
            given @ Source::Given(_) => Arc::new(Self::new(given)),
        }
    }

    fn new(document: Source) -> Self {
        let count = document.document().operations().len();
        Self { document, answers: (0..count).map(|_| OnceLock::new()).collect() }
    }

    pub(super) fn document(&self) -> &Document {
        self.document.document()
    }

    /// The answer of an operation of the document.
    pub(super) fn answer(&self, operation: &DocumentedOperation) -> Option<&Answer> {
        let document = self.document();
        let operations = document.operations();
        let index = operations.binary_search_by(|known| known.id().cmp(operation.id())).ok()?;
        Some(self.answers[index].get_or_init(|| Answer::of(document, operation)))
    }

    /// The status of an operation's success; 200 if it is not known.
    pub(super) fn success(&self, operation: Option<&DocumentedOperation>) -> u16 {
        operation.and_then(|operation| self.answer(operation)).map_or(200, |answer| answer.status)
    }
}

impl Answer {
    fn of(document: &Document, operation: &DocumentedOperation) -> Self {
        let (status, content) = read_content(document, operation);
        let listing = match &content {
            Content::Json(example) => Listing::of(example, operation),
            _ => None,
        };
        Self { status, content, listing }
    }
}

/// The example of what an operation answers with this status, mended.
pub(super) fn example_of(
    document: &Document,
    operation: &DocumentedOperation,
    status: u16,
) -> Option<Value> {
    let content = &operation.response(status)?.content;
    let (_, media_type) = preferred(content).filter(|(name, _)| name.contains("json"))?;
    Some(body(document, media_type))
}

/// Whether an answer of JSON is as the document says.
pub(super) fn keeps_to(
    document: &Document,
    operation: &DocumentedOperation,
    status: u16,
    body: &Value,
) -> bool {
    let content = operation.response(status).map(|response| &response.content);
    let described = content.and_then(|content| content.get("application/json"));
    described.is_none_or(|described| described.schema.fits(body, document.schemas()))
}

/// The first documented success, or the redirect of an operation that has no success of its own.
fn read_content(document: &Document, operation: &DocumentedOperation) -> (u16, Content) {
    let success = operation.responses.iter().find(|(status, _)| status.starts_with('2'));
    let Some((status, response)) = success else {
        return (302, Content::Download(file_behind(operation.path())));
    };
    // `2XX` is how a document says "any success".
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

/// The document only says that such an operation redirects; the file is what GitHub sends in fact.
fn file_behind(path: &str) -> &'static str {
    match path {
        _ if path.contains("/jobs/") => "logs.txt",
        _ if path.contains("/tarball/") || path.contains("/migrations/") => "archive.tar.gz",
        _ => "archive.zip",
    }
}

/// JSON, where there is a choice.
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

fn body(document: &Document, media_type: &MediaType) -> Value {
    let (schema, schemas) = (&media_type.schema, document.schemas());
    match &media_type.example {
        Some(example) => {
            let example = wrapped(example.clone(), schemas.resolve(&schema.value), document);
            fit(example, schema, schemas)
        }
        None => minimal_value(&schema.value, schemas),
    }
}

/// Some examples of lists show one item, and one example of an envelope shows the list in it.
fn wrapped(example: Value, schema: &Value, document: &Document) -> Value {
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

fn only_list<'a>(schema: &'a Value, document: &Document) -> Option<&'a str> {
    let mut lists = schema["properties"]
        .as_object()?
        .iter()
        .filter(|(_, property)| document.schemas().resolve(property)["type"] == "array");
    match (lists.next(), lists.next()) {
        (Some((name, _)), None) => Some(name),
        _ => None,
    }
}
