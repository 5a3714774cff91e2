//! Validation of responses.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;

use super::deviation::{Deviation, DeviationKind};
use super::document::ApiDescription;
use super::operation::{MediaType, MediaTypes, OperationSpec};
use super::pointer::json_path;

/// A response, as the input of [`ApiDescription::check_response`].
#[derive(Clone, Copy, Debug)]
pub struct ResponseToValidate<'a> {
    method: &'a Method,
    pub(super) status: StatusCode,
    pub(super) headers: &'a HeaderMap,
    body: &'a [u8],
    accept: Option<&'a str>,
}

impl<'a> ResponseToValidate<'a> {
    /// Creates the response to a request with this method: its status, headers and body, as they were
    /// received.
    #[must_use]
    pub fn new(
        method: &'a Method,
        status: StatusCode,
        headers: &'a HeaderMap,
        body: &'a [u8],
    ) -> Self {
        Self { method, status, headers, body, accept: None }
    }

    /// Sets the `Accept` header of the request, if it was not GitHub's default. The response to a [custom
    /// media
    /// type](https://docs.github.com/en/rest/using-the-rest-api/getting-started-with-the-rest-api#media-types),
    /// such as `application/vnd.github.raw+json`, is checked only if the description contains that media
    /// type.
    #[must_use]
    pub fn accept(mut self, accept: Option<&'a str>) -> Self {
        let default =
            |name: &str| matches!(name, "*/*" | "application/json" | "application/vnd.github");
        self.accept = accept.filter(|accept| !default(&plain(accept)));
        self
    }
}

impl ApiDescription {
    /// Returns the deviations of an operation's response; empty if there are none.
    ///
    /// - The status must be listed, except for those that any call can return: 304, 400, 401, 403, 404, 422,
    ///   429, 451 and 5xx. See GitHub's
    ///   [troubleshooting](https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api).
    /// - Headers that the description defines must match.
    /// - A JSON body must match its schema: property by property, with the listed values. Formats, such as
    ///   `date-time`, are not checked.
    /// - A property that the description does not name is a deviation as well
    ///   ([`UndocumentedProperty`](DeviationKind::UndocumentedProperty)).
    ///
    /// At most 64 deviations of either sort are reported for one body.
    #[must_use]
    pub fn check_response(
        &self,
        operation: &OperationSpec,
        response: ResponseToValidate<'_>,
    ) -> Vec<Deviation> {
        let mut check = ResponseCheck { description: self, id: operation.id(), found: Vec::new() };
        let status = response.status.as_u16();
        match operation.response(status) {
            Some(described) => {
                for (name, schema) in &described.headers {
                    if let Some(value) = response.headers.get(name) {
                        let value = value.to_str().unwrap_or_default();
                        check.header(name, value, schema);
                    }
                }
                check.body(&described.content, response);
            }
            None if is_general(status) => {}
            None => {
                let listed: Vec<&str> = operation.statuses().collect();
                let message =
                    format!("{status} is undocumented, expected one of {}", listed.join(", "));
                check.add(DeviationKind::UndocumentedStatus, "status", message);
            }
        }
        check.found
    }
}

struct ResponseCheck<'a> {
    description: &'a ApiDescription,
    id: &'a str,
    found: Vec<Deviation>,
}

impl ResponseCheck<'_> {
    fn add(&mut self, kind: DeviationKind, path: impl Into<String>, message: impl Into<String>) {
        self.found.push(Deviation::new(self.id, kind, path, message));
    }

    fn header(&mut self, name: &str, value: &str, schema: &super::schema::Schema) {
        let value = super::request::typed(value, &schema.value, self.description.schemas());
        for misfit in schema.violations(&value, self.description.schemas()) {
            self.add(misfit.kind, format!("header {name}"), misfit.message);
        }
    }

    fn body(&mut self, content: &MediaTypes, response: ResponseToValidate<'_>) {
        if response.method == Method::HEAD || response.status == StatusCode::NOT_MODIFIED {
            return;
        }
        if content.is_empty() {
            // Some endpoints send `{}` or `null` instead of an empty body.
            let nothing = matches!(response.body, b"" | b"{}" | b"null");
            if !nothing && response.status.is_success() && response.accept.is_none() {
                let message = format!("unexpected body of {} bytes", response.body.len());
                self.add(DeviationKind::UnexpectedBody, "$", message);
            }
            return;
        }
        let named = media_type(response.headers);
        let described = match response.accept {
            Some(accept) => content.iter().find(|(name, _)| plain(name) == plain(accept)),
            None => find(content, &named),
        };
        let (name, described) = match described {
            Some(described) => described,
            None if response.accept.is_some() => return,
            None if response.body.is_empty() => {
                let message = "documented body is missing";
                return self.add(DeviationKind::MissingBody, "$", message);
            }
            None => {
                let listed: Vec<&str> = content.keys().map(String::as_str).collect();
                let message =
                    format!("{named:?} is undocumented, expected one of {}", listed.join(", "));
                let path = "header content-type";
                return self.add(DeviationKind::UndocumentedMediaType, path, message);
            }
        };
        if !is_json(&named) || (response.accept.is_some() && plain(name).ends_with("raw")) {
            return;
        }
        let value = match serde_json::from_slice::<Value>(response.body) {
            Ok(value) => value,
            // The representation of a nullable body.
            Err(_) if response.body.is_empty() => Value::Null,
            Err(error) => {
                return self.add(
                    DeviationKind::NotJson,
                    "$",
                    format!("is not valid JSON: {error}"),
                );
            }
        };
        let schemas = self.description.schemas();
        for misfit in described.schema.violations(&value, schemas) {
            self.add(misfit.kind, json_path(&misfit.pointer), misfit.message);
        }
        for pointer in described.schema.undocumented(&value, schemas) {
            let message = "is an undocumented property";
            self.add(DeviationKind::UndocumentedProperty, json_path(&pointer), message);
        }
    }
}

/// Statuses that any call can return, whether or not its operation lists them.
fn is_general(status: u16) -> bool {
    matches!(status, 304 | 400 | 401 | 403 | 404 | 422 | 429 | 451 | 500..)
}

/// Returns the media type, without parameters and in lower case.
fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let value = value.split(';').next().unwrap_or_default();
    value.trim().to_ascii_lowercase()
}

fn find<'a>(content: &'a MediaTypes, named: &str) -> Option<(&'a String, &'a MediaType)> {
    let exact = content.get_key_value(named);
    // Some entries have parameters: `text/html; charset=utf-8`.
    let alike = || content.iter().find(|(name, _)| plain(name) == plain(named));
    // `application/json` also describes the responses with GitHub's own media types.
    let json = || content.get_key_value("application/json").filter(|_| is_json(named));
    let range = || content.get_key_value("*/*");
    exact.or_else(alike).or_else(json).or_else(range)
}

/// Returns a media type without its parameters, GitHub's version and `+json`.
fn plain(media_type: &str) -> String {
    let name = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let name = name.strip_suffix("+json").unwrap_or(&name);
    name.replace("application/vnd.github.v3", "application/vnd.github")
}

pub(super) fn is_json(media_type: &str) -> bool {
    media_type == "application/json" || media_type.ends_with("+json")
}
