//! The result of a call: the response as it was received, its decoding, and the typed response with its metadata.

pub(crate) mod accepted;
pub(crate) mod body;
mod body_format;
pub(crate) mod byte_stream;
pub(crate) mod content;
mod decoders;
mod draft_file;
pub(crate) mod graphql;
mod gzip;
pub(crate) mod response_headers;
mod response_meta;

pub use byte_stream::{ByteStream, DownloadProgress};
pub use response_meta::{CacheStatus, ResponseMeta};

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use url::Url;

use self::body_format::BodyFormat;
use self::response_headers::ResponseHeaders;
use crate::codec::{EmptyBody, from_json, json_path};
use crate::error::{Error, ErrorKind, OperationName, Result};

/// GitHub's response to a call: its decoded body, and its [metadata](Self::meta).
///
/// It behaves like the body: it dereferences to it, `for` iterates over a list, and it serializes without the metadata.
/// [`into_inner`](Self::into_inner) returns the body. No property of a response in GitHub's description has the name of a
/// method of `Response`, so that `issue.url` and `run.status` are always the body's.
///
/// The body is decoded from JSON in UTF-8. A body with a byte that is not UTF-8 fails as a whole, with
/// [`ErrorKind::Decode`](crate::ErrorKind::Decode) and the place of the byte, even in a property that the type ignores.
///
/// ```no_run
/// # #[cfg(feature = "issues")]
/// # async fn example(github: octowire::Client) -> octowire::Result<()> {
/// let issues = github.issues().list_for_repo().owner("rust-lang").repo("rust").send().await?;
/// println!("{} issues, request {:?}", issues.len(), issues.meta().request_id());
/// for issue in issues {
///     println!("#{} {}", issue.number, issue.title);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Response<T> {
    meta: ResponseMeta,
    value: T,
}

impl<T> Response<T> {
    /// Returns the metadata: the status, the headers, the request id, the rate limit status and more.
    #[must_use]
    pub fn meta(&self) -> &ResponseMeta {
        &self.meta
    }

    /// Returns the body without the metadata.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.value
    }

    /// Returns the body and the metadata.
    #[must_use]
    pub fn into_parts(self) -> (T, ResponseMeta) {
        (self.value, self.meta)
    }

    /// Converts the body, and keeps the metadata.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> Response<U> {
        Response { meta: self.meta, value: convert(self.value) }
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

impl<T: IntoIterator> IntoIterator for Response<T> {
    type Item = T::Item;
    type IntoIter = T::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        self.value.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Response<T>
where
    &'a T: IntoIterator,
{
    type Item = <&'a T as IntoIterator>::Item;
    type IntoIter = <&'a T as IntoIterator>::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        IntoIterator::into_iter(&self.value)
    }
}

impl<'a, T> IntoIterator for &'a mut Response<T>
where
    &'a mut T: IntoIterator,
{
    type Item = <&'a mut T as IntoIterator>::Item;
    type IntoIter = <&'a mut T as IntoIterator>::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        IntoIterator::into_iter(&mut self.value)
    }
}

/// Serializes the body without the metadata.
impl<T: Serialize> Serialize for Response<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
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
        let meta = ResponseMeta { status, headers, url, operation, cache_status, age };
        Ok(Response { meta, value })
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
        let meta = ResponseMeta { status, headers, url, operation, cache_status, age };
        Response { meta, value }
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
        } else if let Some(format) = BodyFormat::unless_json(self.headers.map(), &body) {
            (
                format!("GitHub returned {status} with {} instead of JSON", format.name()),
                None,
                format.advice(),
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
            ("application/vnd.github.patch", "From 1", "with application/vnd.github.patch instead"),
            ("application/json", "ok", "with text instead of JSON"),
            ("text/html", r#"{"id":"x"}"#, "does not decode at"),
            ("application/json", r#"{"id":"#, "does not decode at"),
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
