//! A request that the mock received.

use std::fmt;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST};
use http::uri::Authority;
use http::{HeaderMap, Method};
use serde_json::Value;

use crate::contract::value_of;
use crate::util::compact::{self, ALLOCATION_OVERHEAD};

/// Memory of two texts beside their bytes.
const PAIR_OVERHEAD: usize = size_of::<(String, String)>() + 2 * ALLOCATION_OVERHEAD;

/// A request that a [`MockGitHub`](super::MockGitHub) received.
#[derive(Clone)]
pub struct RecordedRequest {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) operation_id: Option<String>,
    pub(super) path_parameters: Vec<(String, String)>,
    /// The path parameters that have an id instead of a name.
    pub(super) by_id: &'static [&'static str],
    pub(super) query_pairs: Vec<(String, String)>,
    /// The primary rate limit that it counts against.
    pub(super) resource: String,
    /// The mock's base URL.
    pub(super) address: String,
}

impl RecordedRequest {
    /// Returns the method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Returns the path, encoded as it was received.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the query, encoded as it was received, without `?`; empty if there was none.
    #[must_use]
    pub fn query(&self) -> &str {
        &self.query
    }

    /// Returns the headers, including the token if there was one.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Returns the body; empty if there was none.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Returns the body as JSON; `null` if it is not JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Returns the operation's id, such as `issues/get`; `None` if the description has no such path.
    #[must_use]
    pub fn operation_id(&self) -> Option<&str> {
        self.operation_id.as_deref()
    }

    /// Returns the value of a path parameter, decoded.
    #[must_use]
    pub fn path_parameter(&self, name: &str) -> Option<&str> {
        value_of(&self.path_parameters, name)
    }

    /// Returns the first value of a query parameter, decoded.
    #[must_use]
    pub fn query_parameter(&self, name: &str) -> Option<&str> {
        value_of(&self.query_pairs, name)
    }

    /// Returns whether the path has an id for this parameter, as in GitHub's own links; it matches any name.
    pub(super) fn is_by_id(&self, parameter: &str) -> bool {
        self.by_id.contains(&parameter)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The URL to which the client sent the request.
    pub(super) fn origin(&self) -> String {
        let host = self.header(HOST.as_str()).filter(|host| host.parse::<Authority>().is_ok());
        format!("http://{}", host.unwrap_or(&self.address))
    }

    pub(super) fn is_authorized(&self) -> bool {
        self.headers.contains_key(AUTHORIZATION)
    }

    /// Returns a copy in its own memory, without the connection's buffer.
    pub(super) fn to_owned_copy(&self) -> Self {
        let (headers, body) = (compact::compact_headers(&self.headers), compact::bytes(&self.body));
        Self { headers, body, ..self.clone() }
    }

    /// Returns its memory, in bytes.
    pub(super) fn size(&self) -> usize {
        let pairs = self.path_parameters.iter().chain(&self.query_pairs);
        let pairs = pairs.map(|(name, value)| {
            name.capacity().saturating_add(value.capacity()).saturating_add(PAIR_OVERHEAD)
        });
        let texts = [&self.path, &self.query, &self.resource, &self.address];
        let texts =
            texts.into_iter().map(|text| text.capacity().saturating_add(ALLOCATION_OVERHEAD));
        let id = self.operation_id.as_ref().map_or(0, String::capacity);
        let own = [id, ALLOCATION_OVERHEAD.saturating_mul(4), self.body.len()];
        let headers = [compact::size_of_headers(&self.headers)];
        let parts = pairs.chain(texts).chain(own).chain(headers);
        parts.fold(size_of::<Self>(), usize::saturating_add)
    }
}

/// Without headers and body, which can hold secrets.
impl fmt::Debug for RecordedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordedRequest")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("operation_id", &self.operation_id)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish_non_exhaustive()
    }
}
