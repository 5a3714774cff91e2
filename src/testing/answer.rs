//! Responses of stubs.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{HeaderName, StatusCode};
use serde_json::Value;

use super::fault::Fault;
use super::reply::Reply;
use super::stub::accept;
use crate::contract::{CheckResponse, Document, DocumentedOperation, MAX_NESTING, is_too_deep};

/// The response of a stub's function to a request: see [`Stub::with`](super::Stub::with).
///
/// A status and a JSON body convert into one, `(200, json!({ … })).into()`, and so does a [`Fault`].
#[derive(Clone, Debug)]
pub struct Answer(pub(super) What);

#[derive(Clone, Debug)]
pub(super) enum What {
    Usual,
    Fault(Fault),
    Items(Vec<Value>),
    /// A complete response, and whether it is validated against the description.
    Reply(Reply, bool),
}

impl Answer {
    /// The mock's response without a stub.
    #[must_use]
    pub fn usual() -> Self {
        Self(What::Usual)
    }

    /// Injects a fault.
    ///
    /// # Panics
    /// If the status of a [`Fault::ServerError`] is not 5xx.
    #[must_use]
    #[track_caller]
    pub fn fault(fault: Fault) -> Self {
        accept(check_fault(&fault));
        Self(What::Fault(fault))
    }

    /// Returns these items, in pages as the request asks for them. The operation has to return a bare list.
    #[must_use]
    pub fn items(items: Vec<Value>) -> Self {
        Self(What::Items(items))
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
        Self(What::Reply(Reply::json(status, body), true))
    }

    /// Returns a status without a body, which has to conform to GitHub's description.
    ///
    /// # Panics
    /// If the status is invalid.
    #[must_use]
    #[track_caller]
    pub fn empty(status: u16) -> Self {
        accept(check_status(status));
        Self(What::Reply(Reply::empty(status), true))
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
        Self(What::Reply(Reply::bytes(status, content_type, body), false))
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
            What::Reply(reply, checked) => Self(What::Reply(reply.header(name, value), checked)),
            other => Self(other),
        }
    }

    /// Returns whether it bypasses GitHub's rejections: of a token, by a limit, or of an invalid request.
    pub(super) fn bypasses(&self) -> bool {
        match &self.0 {
            What::Usual | What::Items(_) => false,
            What::Fault(fault) => !matches!(fault, Fault::Truncated(_)),
            What::Reply(reply, checked) => !checked || reply.status >= 300,
        }
    }

    /// Returns whether GitHub's description allows the response.
    ///
    /// # Errors
    /// The deviations from the description.
    pub(super) fn keeps_to(
        &self,
        document: &Document,
        operation: Option<&DocumentedOperation>,
    ) -> Result<(), String> {
        let (What::Reply(reply, true), Some(operation)) = (&self.0, operation) else {
            return Ok(());
        };
        let status = StatusCode::from_u16(reply.status).unwrap_or_default();
        let mut headers = HeaderMap::new();
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        headers.insert(CONTENT_TYPE, json);
        let answer = CheckResponse::new(operation.method(), status, &headers, &reply.body);
        let found = document.check_response(operation, answer);
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

impl From<(u16, Value)> for Answer {
    #[track_caller]
    fn from((status, body): (u16, Value)) -> Self {
        Self::json(status, &body)
    }
}

impl From<Fault> for Answer {
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
