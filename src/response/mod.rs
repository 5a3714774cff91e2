//! The result of a call: the response as it was received, its decoding, and the typed response with its metadata.

pub(crate) mod accepted;
pub(crate) mod body;
pub(crate) mod byte_stream;
mod decoders;
pub(crate) mod graphql;
mod gzip;
pub(crate) mod response_headers;

pub use byte_stream::ByteStream;

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use url::Url;

use self::response_headers::ResponseHeaders;
use crate::codec::{EmptyBody, from_json, json_path};
use crate::error::{Error, ErrorKind, Markup, OperationName, Result};
use crate::headers::rate_limit::RateLimitStatus;
use crate::headers::request_id::request_id;

/// GitHub's response to a call: the value and its metadata.
///
/// It dereferences to the value, so that `response.title` reads a field of an issue; [`into_inner`](Self::into_inner)
/// returns the value.
///
/// The value is decoded from JSON in UTF-8. A body with a byte that is not UTF-8 fails as a whole, with
/// [`ErrorKind::Decode`](crate::ErrorKind::Decode) and the place of the byte, even in a property that the type ignores.
pub struct Response<T> {
    value: T,
    status: StatusCode,
    headers: ResponseHeaders,
    url: Url,
    operation: OperationName,
    cache_status: CacheStatus,
    age: Option<Duration>,
}

impl<T> Response<T> {
    /// Returns the status; always a success, 2xx.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the headers, such as `etag`, `link` and `x-oauth-scopes`.
    ///
    /// Secrets in them are redacted at the first call. If the process has used more than a thousand other secrets since
    /// the response arrived, most values are `[hidden]`: read the headers before you keep a response.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.headers.map()
    }

    /// Returns GitHub's request id, which its support asks for. An id of more than 128 characters, or with characters
    /// other than visible ASCII, is `None`.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        request_id(&self.headers)
    }

    /// Returns the rate limit status after this call.
    #[must_use]
    pub fn rate_limit(&self) -> Option<RateLimitStatus> {
        RateLimitStatus::from_headers(&self.headers)
    }

    /// Returns the URL of the response, after redirects.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the operation's id, such as `issues/get`; for a call created by
    /// [`Client::request`](crate::Client::request), its method and path.
    #[must_use]
    pub fn operation(&self) -> &str {
        &self.operation
    }

    /// Returns whether it comes from the [cache](crate::policy::cache). All callers of a coalesced call get the same value.
    #[must_use]
    pub fn cache_status(&self) -> CacheStatus {
        self.cache_status
    }

    /// Returns, for a response from the cache, the time since GitHub sent or confirmed it.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.age
    }

    /// Returns the value alone.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.value
    }

    /// Returns the same response with another value.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> Response<U> {
        Response {
            value: convert(self.value),
            status: self.status,
            headers: self.headers,
            url: self.url,
            operation: self.operation,
            cache_status: self.cache_status,
            age: self.age,
        }
    }
}

impl<T> Deref for Response<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Response<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Response<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("operation", &self.operation)
            .field("status", &self.status)
            .field("request_id", &self.request_id())
            .field("cache_status", &self.cache_status)
            .field("value", &self.value)
            .finish_non_exhaustive()
    }
}

/// The source of a response: [`Response::cache_status`](crate::Response::cache_status).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CacheStatus {
    /// From GitHub; the call bypassed the cache.
    Bypass,
    /// From GitHub, since no response was stored, or the stored response is not current.
    Miss,
    /// From the cache, with no request sent.
    Hit,
    /// From the cache, and GitHub confirmed that it is current.
    Revalidated,
    /// From the cache, though it might not be current: as the policy allows, while GitHub fails or the client
    /// revalidates.
    Stale,
}

impl CacheStatus {
    /// Returns its name in lower case, as in spans.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Miss => "miss",
            Self::Hit => "hit",
            Self::Revalidated => "revalidated",
            Self::Stale => "stale",
        }
    }
}

/// A successful response before it is decoded.
pub(crate) struct RawResponse<U = Url> {
    pub(crate) operation: OperationName,
    pub(crate) status: StatusCode,
    pub(crate) headers: ResponseHeaders,
    pub(crate) url: U,
    pub(crate) body: RawBody,
    pub(crate) cache_status: CacheStatus,
    pub(crate) age: Option<Duration>,
    /// The response came from an external host, to which GitHub redirected.
    pub(crate) from_external_host: bool,
}

/// The response to an attempt. Its URL is `None` if it is that of the request, as after no redirect.
pub(crate) type AttemptResponse = RawResponse<Option<Url>>;

impl AttemptResponse {
    /// Returns the response to the call, given the URL of the request.
    pub(crate) fn with_request_url(self, url: impl FnOnce() -> Url) -> RawResponse {
        RawResponse {
            operation: self.operation,
            status: self.status,
            headers: self.headers,
            url: self.url.unwrap_or_else(url),
            body: self.body,
            cache_status: self.cache_status,
            age: self.age,
            from_external_host: self.from_external_host,
        }
    }
}

pub(crate) enum RawBody {
    Bytes(Bytes),
    /// In a box, since few responses are streamed, and all are moved.
    Stream(Box<ByteStream>),
}

impl RawResponse {
    /// Decodes the response as JSON in UTF-8. An empty body is `None` for an `Option<T>`, for operations that respond
    /// with 200 and a body or with 204 and none. If a 202 without a result does not decode, the response to a read without an
    /// operation is not ready.
    pub(crate) fn json<T: DeserializeOwned>(self) -> Result<Response<T>> {
        match self.parse() {
            Ok(value) => Ok(self.with_value(value)),
            Err(error) => {
                let is_without_result = accepted::is_without_result(&self);
                let error = self.decode_error(error);
                Err(if is_without_result { accepted::undecodable_error(error) } else { error })
            }
        }
    }

    /// Decodes the response as JSON. One that does not decode is a decode error, whatever its status.
    pub(crate) fn decode_json<T: DeserializeOwned>(self) -> Result<Response<T>> {
        match self.parse() {
            Ok(value) => Ok(self.with_value(value)),
            Err(error) => Err(self.decode_error(error)),
        }
    }

    /// Decodes the JSON. An empty body is `None` for an `Option`, and an error for a type that requires a value.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        match &self.bytes()[..] {
            [] => T::deserialize(EmptyBody),
            body => from_json(body),
        }
    }

    /// Returns the response without its body.
    pub(crate) fn empty(self) -> Result<Response<()>> {
        self.decode(|_| Ok(()))
    }

    /// Returns the response with its body as a stream.
    pub(crate) fn stream(self) -> Result<Response<ByteStream>> {
        let Self { operation, status, headers, url, body, cache_status, age, .. } = self;
        let value = match body {
            RawBody::Stream(stream) => *stream,
            RawBody::Bytes(bytes) => ByteStream::from_bytes(bytes, operation.clone()),
        };
        Ok(Response { value, status, headers, url, operation, cache_status, age })
    }

    pub(crate) fn decode<T>(
        self,
        read: impl FnOnce(&[u8]) -> serde_json::Result<T>,
    ) -> Result<Response<T>> {
        match read(self.bytes()) {
            Ok(value) => Ok(self.with_value(value)),
            Err(error) => Err(self.decode_error(error)),
        }
    }

    /// Returns the response with this value in place of its body.
    #[inline]
    fn with_value<T>(self, value: T) -> Response<T> {
        let Self { operation, status, headers, url, cache_status, age, .. } = self;
        Response { value, status, headers, url, operation, cache_status, age }
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        static EMPTY: Bytes = Bytes::new();
        match &self.body {
            RawBody::Bytes(bytes) => bytes,
            RawBody::Stream(_) => &EMPTY,
        }
    }

    /// Returns the error for an unexpected body.
    pub(crate) fn decode_error(self, error: serde_json::Error) -> Error {
        let body = self.bytes().clone();
        let status = self.status;
        let (message, path, advice) = if body.is_empty() {
            (
                format!("GitHub returned {status} with an unexpected empty body"),
                None,
                "decode an Option, or use send_empty for operations without a response body",
            )
        } else if let Some(markup) = Markup::unless_json(self.headers.map(), &body) {
            (
                format!("GitHub returned {status} with {} instead of JSON", markup.name()),
                None,
                "the response is probably from a proxy or a login page: check the client's base_url",
            )
        } else {
            let path = json_path::locate(&body, error.line(), error.column());
            let reason = redact_value(&error.to_string());
            (
                format!("response body does not decode at {path}: {reason}"),
                Some(path),
                "see Error::body() for the body; until this is fixed, call the operation with \
                 Client::request and a type of your own",
            )
        };
        let mut result = Error::new(ErrorKind::Decode, message)
            .with_operation(&self.operation)
            .with_advice(advice)
            .with_response(status, self.headers.into_map())
            .with_body(&body)
            .with_source(DecodeReason(redact_value(&error.to_string())));
        if let Some(path) = path {
            result = result.with_json_path(path);
        }
        result
    }

    /// Returns the error for one item of the page with this number.
    pub(crate) fn item_decode_error(&self, item: &BadItem, page: Option<u64>) -> Error {
        let BadItem { index, json_path, json, reason } = item;
        let reason = redact_value(&reason.to_string());
        let page = page.map_or_else(String::new, |page| format!(" of page {page}"));
        let message = format!("item {index}{page} does not decode at {json_path}: {reason}");
        Error::new(ErrorKind::Decode, message)
            .with_operation(&self.operation)
            .with_advice("see Error::body() for the item; later items are still yielded")
            .with_response(self.status, HeaderMap::clone(self.headers.map()))
            .with_body(json)
            .with_json_path(json_path.clone())
            .with_source(DecodeReason(reason))
    }
}

/// An item of a page that does not decode.
#[derive(Debug)]
pub(crate) struct BadItem {
    pub(crate) index: usize,
    /// The path at which decoding stopped, from the root of the page.
    pub(crate) json_path: String,
    pub(crate) json: Bytes,
    pub(crate) reason: serde_json::Error,
}

/// Why a body did not decode, as serde_json reports it.
#[derive(Debug)]
struct DecodeReason(String);

impl fmt::Display for DecodeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DecodeReason {}

/// Returns the reason without values. serde quotes an unexpected string, and some responses contain tokens: the string
/// is omitted, so that no log contains it.
fn redact_value(reason: &str) -> String {
    const STRING: &str = "string \"";
    let Some((before, quoted)) = reason.split_once(STRING) else {
        return reason.to_owned();
    };
    let mut escaped = false;
    let end = quoted.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    });
    let after = end.map_or("", |end| &quoted[end + 1..]);
    format!("{before}a string{after}")
}

#[cfg(test)]
mod tests {
    use http::header::CONTENT_TYPE;

    use super::*;

    #[test]
    fn a_decode_error_names_the_kind_of_the_body() {
        for (kind, body, expected) in [
            ("text/html", "<html>", "with an HTML page instead of JSON"),
            ("application/xml", "<Result/>", "with an XML document instead of JSON"),
            ("application/json", "<?xml version=\"1.0\"?><a/>", "with an XML document"),
            ("text/html", r#"{"id":"x"}"#, "does not decode at"),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, kind.parse().unwrap())]);
            let raw = RawResponse {
                operation: OperationName::Borrowed("issues/get"),
                status: StatusCode::OK,
                headers: std::sync::Arc::new(headers).into(),
                url: "https://api.github.com/a".parse().unwrap(),
                body: RawBody::Bytes(Bytes::from_static(body.as_bytes())),
                cache_status: CacheStatus::Bypass,
                age: None,
                from_external_host: false,
            };
            let error = raw.json::<Vec<u64>>().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
