//! Responses of stubs.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{HeaderName, StatusCode};
use serde_json::Value;

use super::fault::Fault;
use super::stub::accept;
use super::wire_response::WireResponse;
use crate::contract::{
    ApiDescription, MAX_NESTING, OperationSpec, ResponseToValidate, is_too_deep,
};

/// The response of a stub's function to a request: see [`Stub::respond_with`](super::Stub::respond_with).
///
/// A status and a JSON body convert into one, `(200, json!({ … })).into()`, and so does a [`Fault`].
#[derive(Clone, Debug)]
pub struct MockResponse(pub(super) ResponseKind);

#[derive(Clone, Debug)]
pub(super) enum ResponseKind {
    Default,
    Fault(Fault),
    Items(Vec<Value>),
    /// A complete response, and whether it is validated against the description.
    Custom(WireResponse, bool),
}

impl MockResponse {
    /// The mock's response without a stub.
    #[must_use]
    pub fn default_response() -> Self {
        Self(ResponseKind::Default)
    }

    /// Injects a fault.
    ///
    /// # Panics
    /// If the status of a [`Fault::ServerError`] is not 5xx.
    #[must_use]
    #[track_caller]
    pub fn fault(fault: Fault) -> Self {
        accept(check_fault(&fault));
        Self(ResponseKind::Fault(fault))
    }

    /// Returns these items, in pages as the request asks for them. The operation has to return a bare list.
    #[must_use]
    pub fn items(items: Vec<Value>) -> Self {
        Self(ResponseKind::Items(items))
    }

    /// Returns a status and a JSON body, which have to conform to GitHub's description.
    ///
    /// # Panics
    /// If the status is invalid, or if the body nests more than 127 levels deep.
    #[must_use]
    #[track_caller]
    pub fn json(status: u16, body: &Value) -> Self {
        accept(check_status(status));
        accept(check_nesting(body));
        Self(ResponseKind::Custom(WireResponse::json(status, body), true))
    }

    /// Returns a status without a body, which has to conform to GitHub's description.
    ///
    /// # Panics
    /// If the status is invalid.
    #[must_use]
    #[track_caller]
    pub fn empty(status: u16) -> Self {
        accept(check_status(status));
        Self(ResponseKind::Custom(WireResponse::empty(status), true))
    }

    /// Returns any response, whether or not GitHub's description allows it.
    ///
    /// # Panics
    /// If the status or the content type is invalid.
    #[must_use]
    #[track_caller]
    pub fn raw(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        accept(check_header("content-type", content_type));
        accept(check_status(status));
        Self(ResponseKind::Custom(WireResponse::bytes(status, content_type, body), false))
    }

    /// Sets a header, and replaces an existing one; no effect if this is not a complete response.
    ///
    /// # Panics
    /// If the name or the value is invalid.
    #[must_use]
    #[track_caller]
    pub fn header(self, name: &str, value: &str) -> Self {
        accept(check_header(name, value));
        match self.0 {
            ResponseKind::Custom(reply, checked) => {
                Self(ResponseKind::Custom(reply.header(name, value), checked))
            }
            other => Self(other),
        }
    }

    /// Returns whether it bypasses GitHub's rejections: of a token, by a limit, or of an invalid request.
    pub(super) fn skips_validation(&self) -> bool {
        match &self.0 {
            ResponseKind::Default | ResponseKind::Items(_) => false,
            ResponseKind::Fault(fault) => !matches!(fault, Fault::Truncated(_)),
            ResponseKind::Custom(reply, checked) => !checked || reply.status >= 300,
        }
    }

    /// Returns whether GitHub's description allows the response.
    ///
    /// # Errors
    /// The deviations from the description.
    pub(super) fn conforms(
        &self,
        document: &ApiDescription,
        operation: Option<&OperationSpec>,
    ) -> Result<(), String> {
        let (ResponseKind::Custom(reply, true), Some(operation)) = (&self.0, operation) else {
            return Ok(());
        };
        let status = StatusCode::from_u16(reply.status).unwrap_or_default();
        let mut headers = HeaderMap::new();
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        headers.insert(CONTENT_TYPE, json);
        let response = ResponseToValidate::new(operation.method(), status, &headers, &reply.body);
        let found = document.check_response(operation, response);
        if found.is_empty() {
            return Ok(());
        }
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        Err(format!(
            "the response does not match the OpenAPI description (`raw` accepts any response):\n  \
             {}",
            found.join("\n  ")
        ))
    }
}

impl From<(u16, Value)> for MockResponse {
    #[track_caller]
    fn from((status, body): (u16, Value)) -> Self {
        Self::json(status, &body)
    }
}

impl From<Fault> for MockResponse {
    #[track_caller]
    fn from(fault: Fault) -> Self {
        Self::fault(fault)
    }
}

pub(super) fn check_status(status: u16) -> Result<(), String> {
    let known = StatusCode::from_u16(status);
    known.map(drop).map_err(|_| format!("invalid status {status}"))
}

/// No client reads deeper nesting, and writing it could overflow the stack.
fn check_nesting(body: &Value) -> Result<(), String> {
    match is_too_deep(body) {
        true => Err(format!("the body nests more than {MAX_NESTING} levels deep")),
        false => Ok(()),
    }
}

pub(super) fn check_header(name: &str, value: &str) -> Result<(), String> {
    match HeaderName::try_from(name).is_ok() && HeaderValue::from_str(value).is_ok() {
        true => Ok(()),
        false => Err(format!("invalid header name or value: {name:?}")),
    }
}

pub(super) fn check_fault(fault: &Fault) -> Result<(), String> {
    match fault {
        Fault::ServerError(status) if !(500..600).contains(status) => {
            Err(format!("{status} is not a server error status"))
        }
        _ => Ok(()),
    }
}
