//! What a stub answers.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{HeaderName, StatusCode};
use serde_json::Value;

use super::fault::Fault;
use super::reply::Reply;
use super::stub::accept;
use crate::contract::{CheckResponse, Document, DocumentedOperation, MAX_NESTING, is_too_deep};

/// What a function answers to a request: see [`Stub::with`](super::Stub::with).
///
/// A status and a body of JSON are one, `(200, json!({ … })).into()`, and so is a [`Fault`].
#[derive(Clone, Debug)]
pub struct Answer(pub(super) What);

#[derive(Clone, Debug)]
pub(super) enum What {
    Usual,
    Fault(Fault),
    Items(Vec<Value>),
    /// An answer in full, and whether it is held against the document.
    Reply(Reply, bool),
}

impl Answer {
    /// What the mock answers without a stub.
    #[must_use]
    pub fn usual() -> Self {
        Self(What::Usual)
    }

    /// Something goes wrong.
    ///
    /// # Panics
    /// If the status of a [`Fault::ServerError`] is none of 5xx.
    #[must_use]
    #[track_caller]
    pub fn fault(fault: Fault) -> Self {
        accept(check_fault(&fault));
        Self(What::Fault(fault))
    }

    /// These items, in pages as the request asks for them. The operation has to answer a bare list.
    #[must_use]
    pub fn items(items: Vec<Value>) -> Self {
        Self(What::Items(items))
    }

    /// A status and a body of JSON, which have to be as GitHub's document says.
    ///
    /// # Panics
    /// If the status is none, or if the body nests more than 127 levels deep.
    #[must_use]
    #[track_caller]
    pub fn json(status: u16, body: &Value) -> Self {
        accept(check_status(status));
        accept(check_nesting(body));
        Self(What::Reply(Reply::json(status, body), true))
    }

    /// A status without a body, which has to be as GitHub's document says.
    ///
    /// # Panics
    /// If the status is none.
    #[must_use]
    #[track_caller]
    pub fn empty(status: u16) -> Self {
        accept(check_status(status));
        Self(What::Reply(Reply::empty(status), true))
    }

    /// Anything, whether or not GitHub could answer it.
    ///
    /// # Panics
    /// If the status or the content type is none.
    #[must_use]
    #[track_caller]
    pub fn raw(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        accept(check_header("content-type", content_type));
        accept(check_status(status));
        Self(What::Reply(Reply::bytes(status, content_type, body), false))
    }

    /// With a header, which replaces what is there; of no effect on what is not an answer in full.
    ///
    /// # Panics
    /// If the name or the value is none.
    #[must_use]
    #[track_caller]
    pub fn header(self, name: &str, value: &str) -> Self {
        accept(check_header(name, value));
        match self.0 {
            What::Reply(reply, checked) => Self(What::Reply(reply.header(name, value), checked)),
            other => Self(other),
        }
    }

    /// Whether it bypasses what GitHub refuses: a token, a limit, a request that is wrong.
    pub(super) fn bypasses(&self) -> bool {
        match &self.0 {
            What::Usual | What::Items(_) => false,
            What::Fault(fault) => !matches!(fault, Fault::Truncated(_)),
            What::Reply(reply, checked) => !checked || reply.status >= 300,
        }
    }

    /// Whether GitHub could answer so.
    ///
    /// # Errors
    /// What is not as the document says.
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

/// What nests more deeply is read by no client, and writing it takes more stack than there is.
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
