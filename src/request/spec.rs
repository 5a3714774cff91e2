//! A request in its wire form: its URL, headers and body.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::Value;

use super::request_url::RequestUrl;
use super::{RequestBody, RequestDraft, RequestKind, Target};
use crate::api::operation::{MissingBody, Operation, OperationParameter, ParameterLocation};
use crate::endpoints::{Endpoints, same_origin};
use crate::error::{Error, ErrorKind, OperationName, Result};
use crate::headers::method::is_idempotent;

/// A request that is complete and valid.
pub(crate) struct RequestSpec {
    pub(crate) operation: Option<&'static Operation>,
    /// The id of the operation, or what identifies a call without one.
    pub(crate) name: OperationName,
    pub(crate) method: Method,
    pub(crate) url: RequestUrl,
    /// Where the path relative to the base URL begins; `None` if the URL's path does not begin with that of the base.
    path_start: Option<usize>,
    /// The headers that this request sets in addition to the client's own.
    pub(crate) headers: HeaderMap,
    pub(crate) body: RequestBody,
    pub(crate) kind: RequestKind,
    /// Whether the target is not GitHub's API.
    pub(crate) is_external: bool,
    /// Whether the API's server is the target, and not that for uploads.
    pub(crate) is_api_server: bool,
    list_path: Option<Box<str>>,
}

/// The stored responses that a call can invalidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SideEffects {
    None,
    /// The resources at its path, and those that belong to them.
    Path,
    Unknown,
}

/// The media type that nearly every operation accepts, and that the client requests by default.
const JSON: &str = "application/vnd.github+json";

impl RequestDraft {
    /// Validates the request and builds its parts. A call that `polls` has to be a GET.
    pub(crate) fn build(mut self, endpoints: &Endpoints, polls: bool) -> Result<RequestSpec> {
        if let Some(reason) = &self.rejected {
            return Err(invalid(reason.to_string()));
        }
        let url = self.url(endpoints)?;
        if let Some(operation) = self.operation {
            self.check_required(operation)?;
        }
        if polls && self.method != Method::GET {
            return Err(invalid(
                "poll_until_ready is only for GET: other methods would be repeated",
            ));
        }
        let base = endpoints.api().path().trim_end_matches('/');
        let mut spec = RequestSpec {
            operation: self.operation,
            name: self.name,
            method: self.method,
            path_start: url.path().starts_with(base).then_some(base.len()),
            is_api_server: same_origin(url.server(), endpoints.api()),
            url,
            headers: self.headers,
            body: self.body,
            kind: self.kind,
            is_external: self.is_external,
            list_path: self.list_path,
        };
        spec.complete()?;
        Ok(spec)
    }

    /// Rejects a request without a parameter that GitHub requires.
    fn check_required(&mut self, operation: &Operation) -> Result<()> {
        let missing = operation.parameters.iter().find(|parameter| {
            let name = parameter.name;
            parameter.required
                && match parameter.location {
                    // Checked when the template is filled.
                    ParameterLocation::Path => false,
                    // A page's URL carries its own query.
                    ParameterLocation::Query => {
                        matches!(self.target, Target::Template(_))
                            && !self.query.iter().any(|(set, _)| set == name)
                    }
                    ParameterLocation::Header => !self.headers.contains_key(name),
                    ParameterLocation::Body => match &self.body {
                        RequestBody::Empty => true,
                        RequestBody::Fields(fields) => !fields.iter().any(|(set, _)| set == name),
                        RequestBody::Json(_) | RequestBody::Raw(..) => false,
                    },
                }
        });
        if let Some(parameter) = missing {
            return Err(missing_parameter(parameter));
        }
        if matches!(self.body, RequestBody::Empty) {
            match operation.missing_body {
                MissingBody::Send => {}
                MissingBody::SendEmptyObject => {
                    self.body = RequestBody::Json(Bytes::from_static(b"{}"))
                }
                MissingBody::Reject => return Err(no_body(operation)),
            }
        }
        Ok(())
    }
}

impl RequestSpec {
    /// Adds the headers that the operation and the body require, unless the caller has set them.
    fn complete(&mut self) -> Result<()> {
        // GitHub's JSON is the client's default, which the user can replace; a download requires its own.
        if let Some(operation) = self.operation
            && operation.accept != JSON
        {
            let accept = HeaderValue::try_from(operation.accept).map_err(|error| {
                invalid("invalid Accept header of the operation").with_source(error)
            })?;
            self.headers.entry(ACCEPT).or_insert(accept);
        }
        if let RequestBody::Fields(fields) = &self.body {
            self.body = RequestBody::Json(to_json_object(fields)?);
        }
        let (name, value) = match &self.body {
            RequestBody::Json(_) => (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            RequestBody::Raw(content_type, _) => (CONTENT_TYPE, content_type.clone()),
            // GitHub requires a Content-Length of 0 on a PUT without a body.
            _ if [Method::PUT, Method::POST, Method::PATCH].contains(&self.method) => {
                (CONTENT_LENGTH, HeaderValue::from_static("0"))
            }
            _ => return Ok(()),
        };
        self.headers.entry(name).or_insert(value);
        Ok(())
    }

    /// Returns a draft of the same request.
    pub(crate) fn to_draft(&self) -> RequestDraft {
        RequestDraft {
            operation: self.operation,
            name: self.name.clone(),
            method: self.method.clone(),
            target: Target::Url(self.url.get().clone()),
            query: Vec::new(),
            headers: self.headers.clone(),
            body: self.body.clone(),
            kind: self.kind,
            list_path: self.list_path.clone(),
            is_external: self.is_external,
            rejected: None,
        }
    }

    /// Returns the operation's path template, since the values might be private; `None` without an operation.
    pub(crate) fn template(&self) -> Option<&'static str> {
        self.operation.map(|operation| operation.path)
    }

    /// Returns the request credential, which takes precedence over the client's.
    pub(crate) fn request_authorization(&self) -> Option<&HeaderValue> {
        self.headers.get(AUTHORIZATION)
    }

    /// Returns whether its query contains this parameter, and GitHub's description of the operation has it.
    pub(crate) fn sends_documented(&self, name: &str) -> bool {
        self.operation
            .is_some_and(|operation| operation.parameter(ParameterLocation::Query, name).is_some())
            && self.url.get().query_pairs().any(|(sent, _)| sent == name)
    }

    /// Returns the path relative to the base URL.
    pub(crate) fn path(&self) -> &str {
        let start = self.path_start.and_then(|start| self.url.path().get(start..));
        start.unwrap_or_default()
    }

    /// Returns the path of its response: for a page, that of the list.
    pub(crate) fn cache_path(&self) -> &str {
        self.list_path.as_deref().unwrap_or_else(|| self.path())
    }

    /// Returns whether a response can be reused: it is of GitHub's REST API, and the same for equal requests.
    pub(crate) fn is_cacheable(&self) -> bool {
        self.kind == RequestKind::Rest
            && !self.is_external
            && matches!(self.body, RequestBody::Empty)
            && self.is_api_server
    }

    /// Returns the stored responses that it can invalidate.
    pub(crate) fn side_effects(&self) -> SideEffects {
        let is_read = matches!(self.method, Method::GET | Method::HEAD | Method::OPTIONS);
        match self.kind {
            _ if self.is_external => SideEffects::None,
            RequestKind::GraphQl { mutation: true } => SideEffects::Unknown,
            RequestKind::Rest if !is_read => SideEffects::Path,
            _ => SideEffects::None,
        }
    }

    /// Returns whether it is one of the client's own requests, by which it obtains and manages tokens.
    pub(crate) fn obtains_token(&self) -> bool {
        self.kind == RequestKind::Internal || self.is_external
    }

    /// Returns the body, if it is JSON.
    pub(crate) fn json_body(&self) -> Option<&Bytes> {
        match &self.body {
            RequestBody::Json(body) => Some(body),
            _ => None,
        }
    }

    pub(crate) fn is_graphql(&self) -> bool {
        matches!(self.kind, RequestKind::GraphQl { .. })
    }

    /// Returns whether the request is idempotent by its method, or a GraphQL query.
    pub(crate) fn is_idempotent(&self) -> bool {
        self.kind == RequestKind::GraphQl { mutation: false } || is_idempotent(&self.method)
    }

    /// Returns whether the body can be sent again.
    pub(crate) fn is_replayable(&self) -> bool {
        match &self.body {
            RequestBody::Raw(_, body) => body.is_replayable(),
            RequestBody::Empty | RequestBody::Fields(_) | RequestBody::Json(_) => true,
        }
    }
}

/// Returns the JSON object of these properties.
fn to_json_object(fields: &[(Cow<'static, str>, Vec<u8>)]) -> Result<Bytes> {
    let mut object = vec![b'{'];
    for (name, value) in fields {
        if object.len() > 1 {
            object.push(b',');
        }
        serde_json::to_writer(&mut object, name)
            .map_err(|error| invalid("request body serialization failed").with_source(error))?;
        object.push(b':');
        object.extend_from_slice(value);
    }
    object.push(b'}');
    Ok(object.into())
}

/// Returns the properties of a JSON object, of which single ones can be replaced.
pub(super) fn from_json_object(
    json: &[u8],
) -> serde_json::Result<Vec<(Cow<'static, str>, Vec<u8>)>> {
    let object: BTreeMap<String, Value> = serde_json::from_slice(json)?;
    object
        .into_iter()
        .map(|(name, value)| Ok((Cow::Owned(name), serde_json::to_vec(&value)?)))
        .collect()
}

pub(super) fn missing_parameter(parameter: &OperationParameter) -> Error {
    let name = parameter.name;
    let place = match parameter.location {
        ParameterLocation::Path => "path parameter",
        ParameterLocation::Query => "query parameter",
        ParameterLocation::Header => "header",
        ParameterLocation::Body => "body property",
    };
    invalid(format!("missing {place} {name:?}"))
        .with_advice(format!("call .{}(…)", parameter.setter))
}

fn no_body(operation: &Operation) -> Error {
    let mut properties = operation
        .parameters
        .iter()
        .filter(|parameter| parameter.location == ParameterLocation::Body);
    let advice = match properties.next() {
        Some(property) => {
            format!(
                "set one of its properties with .{}(…), or the whole body with .json(…)",
                property.setter
            )
        }
        None => "set it with .json(…) or .body(…)".to_owned(),
    };
    invalid("missing request body, which GitHub requires").with_advice(advice)
}

pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}

#[cfg(all(test, feature = "issues", feature = "repos"))]
mod tests;
