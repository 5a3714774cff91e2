//! An answer held against the document.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::deviation::{Deviation, DeviationKind};
use super::document::Document;
use super::operation::{Content, DocumentedOperation, MediaType};
use super::schema::json_path;

/// An answer, as [`Document::check_response`] takes it.
#[derive(Clone, Copy, Debug)]
pub struct CheckResponse<'a> {
    /// The status.
    pub status: StatusCode,
    /// The headers; those that the document does not name do not matter.
    pub headers: &'a HeaderMap,
    /// The body, as it came.
    pub body: &'a [u8],
    /// Whether the request asked for a media type of its own, such as
    /// `application/vnd.github.raw+json`: the answer then has one that the document need not list,
    /// and is checked only where it does.
    pub other_media_type: bool,
}

impl Document {
    /// What an answer of an operation has that the document does not say; nothing if all is well.
    ///
    /// - The status must be listed, but for those that any call may get: 304, 400, 401, 403, 404, 422,
    ///   429 and 5xx. See GitHub's
    ///   [troubleshooting](https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api).
    /// - Headers that the document describes must fit.
    /// - A JSON body must fit its schema: property by property, with the values that are listed.
    ///   Formats, such as `date-time`, are not checked.
    /// - A property that the document does not name is a deviation as well
    ///   ([`UndocumentedProperty`](DeviationKind::UndocumentedProperty)).
    ///
    /// At most 64 deviations of either sort are told of one body.
    #[must_use]
    pub fn check_response(
        &self,
        operation: &DocumentedOperation,
        answer: CheckResponse<'_>,
    ) -> Vec<Deviation> {
        let mut check = Check { document: self, id: operation.id(), found: Vec::new() };
        let status = answer.status.as_u16();
        match operation.response(status) {
            Some(described) => {
                for (name, schema) in &described.headers {
                    if let Some(value) = answer.headers.get(name) {
                        let value = value.to_str().unwrap_or_default();
                        check.header(name, value, schema);
                    }
                }
                check.body(&described.content, answer);
            }
            None if is_general(status) => {}
            None => {
                let listed: Vec<&str> = operation.statuses().collect();
                let message = format!("{status}, and the document lists {}", listed.join(", "));
                check.add(DeviationKind::UndocumentedStatus, "status", message);
            }
        }
        check.found
    }
}

struct Check<'a> {
    document: &'a Document,
    id: &'a str,
    found: Vec<Deviation>,
}

impl Check<'_> {
    fn add(&mut self, kind: DeviationKind, path: impl Into<String>, message: impl Into<String>) {
        self.found.push(Deviation::new(self.id, kind, path, message));
    }

    fn header(&mut self, name: &str, value: &str, schema: &super::schema::Schema) {
        let value = super::request::typed(value, &schema.value, self.document.schemas());
        for misfit in schema.misfits(&value, self.document.schemas()) {
            self.add(misfit.kind, format!("header {name}"), misfit.message);
        }
    }

    fn body(&mut self, content: &Content, answer: CheckResponse<'_>) {
        if content.is_empty() {
            // `{}` and `null` are how some endpoints say that there is nothing to say.
            let nothing = matches!(answer.body, b"" | b"{}" | b"null");
            if !nothing && answer.status.is_success() {
                let message = format!("{} bytes, and the document has no body", answer.body.len());
                self.add(DeviationKind::UnexpectedBody, "$", message);
            }
            return;
        }
        let named = media_type(answer.headers);
        let Some(described) = find(content, &named) else {
            let nothing = named.is_empty() && answer.body.is_empty();
            if !(answer.other_media_type || nothing) {
                let listed: Vec<&str> = content.keys().map(String::as_str).collect();
                let message = format!("{named:?}, and the document lists {}", listed.join(", "));
                self.add(DeviationKind::UndocumentedMediaType, "header content-type", message);
            }
            return;
        };
        if !is_json(&named) {
            return;
        }
        let value = match serde_json::from_slice::<Value>(answer.body) {
            Ok(value) => value,
            // What a nullable body is sent as.
            Err(_) if answer.body.is_empty() => Value::Null,
            Err(error) => {
                return self.add(DeviationKind::NotJson, "$", format!("is no JSON: {error}"));
            }
        };
        let schemas = self.document.schemas();
        for misfit in described.schema.misfits(&value, schemas) {
            self.add(misfit.kind, json_path(&misfit.pointer), misfit.message);
        }
        for pointer in described.schema.undocumented(&value, schemas) {
            let message = "is a property that the document does not name";
            self.add(DeviationKind::UndocumentedProperty, json_path(&pointer), message);
        }
    }
}

/// What any call may get, whether or not its operation lists it.
fn is_general(status: u16) -> bool {
    matches!(status, 304 | 400 | 401 | 403 | 404 | 422 | 429 | 500..)
}

/// The media type, without parameters and in lower case.
fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let value = value.split(';').next().unwrap_or_default();
    value.trim().to_ascii_lowercase()
}

fn find<'a>(content: &'a Content, named: &str) -> Option<&'a MediaType> {
    let exact = content.get(named);
    // `application/json` describes the answers of GitHub's own media types as well.
    let json = || content.get("application/json").filter(|_| is_json(named));
    let range = || content.get("*/*");
    // Some entries have parameters: `text/html; charset=utf-8`.
    let with_parameters = || {
        let mut all = content.iter();
        all.find(|(name, _)| name.split(';').next().map(str::trim) == Some(named))
            .map(|(_, media_type)| media_type)
    };
    exact.or_else(with_parameters).or_else(json).or_else(range)
}

pub(super) fn is_json(media_type: &str) -> bool {
    media_type == "application/json" || media_type.ends_with("+json")
}
