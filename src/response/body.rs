//! The body of a response: checked for truncation, decompressed, and collected up to a limit.
//!
//! # Truncation
//! A body that ends early must not look complete. hyper checks this for HTTP/1.1: a body ends after `Content-Length`
//! bytes or with its last chunk, or it is an error. (A body with neither ends with its connection, which nothing can
//! check.) For HTTP/2, hyper treats a stream that the server resets with `NO_ERROR` as complete, whether or not its
//! last frame has arrived ([RFC 9113, section 8.1](https://www.rfc-editor.org/rfc/rfc9113#section-8.1) allows such a
//! reset after a complete response only). After the end, `is_end_stream` of the body returns whether the last frame has
//! arrived. This module checks it.
//!
//! # Decompression
//! With its feature `gzip`, reqwest wraps each body in a decoder that hides `is_end_stream`. So the
//! client decompresses bodies itself, and is built without that feature. If another crate of the
//! program enables it, the length of the body is checked instead, where it is known.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, HeaderValue, StatusCode, Version};
use http_body::Body as _;
use tokio::time::timeout;

use super::decoders::{decompresses_gzip, hides_end_of_stream};
use super::gzip::Gzip;
use crate::error::{Error, ErrorKind, Result};

/// Returns the `Accept-Encoding` for requests that do not set it: the encodings that this module decompresses, and
/// `identity` for a range request. `None` if the HTTP client sets it, or no header is needed.
pub(crate) fn accepted_encoding(is_given_client: bool, is_of_part: bool) -> Option<HeaderValue> {
    let is_gzip_given = is_given_client && decompresses_gzip();
    let has_decoders = is_given_client && hides_end_of_stream();
    accepted_with(is_of_part, is_gzip_given, has_decoders).map(HeaderValue::from_static)
}

/// Returns the `Accept-Encoding` for a combination of settings. A client of the application can decompress if reqwest
/// is built with decoders. Then reqwest adds the header if it is missing, with the encodings that are enabled for that
/// client, for range requests as well. If reqwest is built without gzip, this module decompresses it.
fn accepted_with(
    is_of_part: bool,
    is_gzip_given: bool,
    has_decoders: bool,
) -> Option<&'static str> {
    match is_of_part {
        true => has_decoders.then_some("identity"),
        false => (!is_gzip_given).then_some("gzip"),
    }
}

/// The body of a response from the network.
pub(crate) struct ResponseBody {
    source: reqwest::Body,
    end: EndCheck,
    gzip: Option<Box<Gzip>>,
    has_ended: bool,
}

/// The method for checking the end of a body.
#[derive(Debug)]
enum EndCheck {
    /// By hyper.
    None,
    /// By the last frame of its stream.
    EndOfStream,
    /// By the number of remaining bytes.
    Length(u64),
}

impl ResponseBody {
    /// Splits a response. If the body is decompressed, the headers do not describe the compressed one.
    ///
    /// `is_head` means that the response is to a HEAD request: it has no body, whatever its headers say.
    pub(crate) fn new(response: reqwest::Response, is_head: bool) -> (HeaderMap, Self) {
        Self::with_end_check(response, is_head, hides_end_of_stream())
    }

    /// Splits a response, with or without a layer around each body that hides the end of its stream.
    fn with_end_check(
        mut response: reqwest::Response,
        is_head: bool,
        hides_end_of_stream: bool,
    ) -> (HeaderMap, Self) {
        let (status, version) = (response.status(), response.version());
        let mut headers = std::mem::take(response.headers_mut());
        // A conversion of the whole response would keep its URL in another allocation.
        let source = reqwest::Body::from(response);
        let end = match (version, hides_end_of_stream) {
            (Version::HTTP_2, false) => EndCheck::EndOfStream,
            (Version::HTTP_2, true) if !is_head && !has_no_body(status) => {
                source.size_hint().exact().map_or(EndCheck::None, EndCheck::Length)
            }
            _ => EndCheck::None,
        };
        let encoding = headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes);
        let is_gzip = encoding.is_some_and(|encoding| {
            [&b"gzip"[..], b"x-gzip"].iter().any(|name| encoding.eq_ignore_ascii_case(name))
        });
        if is_gzip {
            headers.remove(CONTENT_ENCODING);
            headers.remove(CONTENT_LENGTH);
        }
        let gzip = is_gzip.then(|| Box::new(Gzip::new()));
        (headers, Self { source, end, gzip, has_ended: false })
    }

    /// Reads the whole body.
    ///
    /// # Errors
    /// If it is longer than `max_bytes`, or breaks off.
    pub(crate) async fn collect(&mut self, max_bytes: usize) -> Result<Bytes> {
        let mut collector = BodyCollector::new(max_bytes);
        match collector.read(self).await? {
            false => Ok(collector.finish()),
            true => Err(too_large(max_bytes as u64)
                .with_advice("raise max_body_bytes, or read the body with send_stream")),
        }
    }

    /// Reads as much of the body as arrives within this time, up to `max_bytes`. Returns it, and whether it is the whole
    /// body.
    pub(crate) async fn collect_within(
        &mut self,
        max_bytes: usize,
        time: Duration,
    ) -> (Bytes, bool) {
        let mut collector = BodyCollector::new(max_bytes);
        let is_whole = matches!(timeout(time, collector.read(self)).await, Ok(Ok(false)));
        (collector.finish(), is_whole)
    }

    /// Returns the length of the body, if it is known and the body is not decompressed.
    pub(crate) fn length(&self) -> Option<u64> {
        self.source.size_hint().exact().filter(|_| self.gzip.is_none())
    }

    /// Returns the next part of the body, which is not empty; `None` at the end, and after an error.
    ///
    /// # Errors
    /// If the body is incomplete, or does not decompress.
    pub(crate) fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let chunk = ready!(self.poll_next(context));
        self.has_ended = matches!(chunk, Err(_) | Ok(None));
        match (chunk, &mut self.gzip) {
            (Ok(None), Some(gzip)) => {
                Poll::Ready(gzip.finish().map_err(Error::truncated_body).transpose())
            }
            (chunk, _) => Poll::Ready(chunk.transpose()),
        }
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        loop {
            if let Some(gzip) = &mut self.gzip
                && let Some(piece) = gzip.next_piece().map_err(Error::truncated_body)?
            {
                return Poll::Ready(Ok(Some(piece)));
            }
            let frame = match ready!(Pin::new(&mut self.source).poll_frame(context)) {
                Some(frame) => frame.map_err(Error::from_transport)?,
                None => return Poll::Ready(self.check_end().map(|()| None)),
            };
            // Trailers are not used.
            let Ok(data) = frame.into_data() else { continue };
            if let EndCheck::Length(left) = &mut self.end {
                *left = left.saturating_sub(data.len().try_into().unwrap_or(u64::MAX));
            }
            match &mut self.gzip {
                Some(gzip) => gzip.feed(data),
                None if data.is_empty() => {}
                None => return Poll::Ready(Ok(Some(data))),
            }
        }
    }

    /// Checks whether the whole body has arrived.
    fn check_end(&self) -> Result<()> {
        let is_complete = match self.end {
            EndCheck::None | EndCheck::Length(0) => true,
            EndCheck::EndOfStream => self.source.is_end_stream(),
            EndCheck::Length(_) => false,
        };
        if is_complete { Ok(()) } else { Err(Error::truncated_body(StreamReset)) }
    }
}

/// Returns whether a response of this status has no body, whatever its headers say.
fn has_no_body(status: StatusCode) -> bool {
    status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}

/// The server reset the stream of an incomplete response with `NO_ERROR`.
#[derive(Debug)]
struct StreamReset;

impl fmt::Display for StreamReset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the HTTP/2 stream was reset before its last frame")
    }
}

impl std::error::Error for StreamReset {}

/// Returns the error for a body that exceeds the limit.
pub(super) fn too_large(limit: u64) -> Error {
    Error::new(ErrorKind::BodyTooLarge, format!("response body exceeds {limit} bytes"))
}

/// The memory that is reserved for a body before it arrives.
const MAX_RESERVED: usize = 4 * 1024 * 1024;

/// A collector of a body of at most `limit` bytes. If the body breaks off, the received part remains available.
///
/// A body that arrives in one piece is not copied.
#[derive(Debug)]
struct BodyCollector {
    limit: usize,
    first_chunk: Option<Bytes>,
    /// The whole body, if it arrives in several pieces.
    buffer: BytesMut,
}

impl BodyCollector {
    fn new(limit: usize) -> Self {
        Self { limit, first_chunk: None, buffer: BytesMut::new() }
    }

    /// Reads to the end of the body. Returns whether the body is longer than the limit.
    ///
    /// # Errors
    /// If the body breaks off.
    async fn read(&mut self, body: &mut ResponseBody) -> Result<bool> {
        let expected = body.length();
        while let Some(chunk) = poll_fn(|context| body.poll_chunk(context)).await {
            if self.push(chunk?, expected) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns the received part.
    fn finish(self) -> Bytes {
        match self.first_chunk {
            Some(first) => first,
            None => self.buffer.freeze(),
        }
    }

    /// Adds a piece. Returns whether the body is longer than the limit.
    fn push(&mut self, chunk: Bytes, expected: Option<u64>) -> bool {
        let remaining = self
            .limit
            .saturating_sub(self.first_chunk.as_ref().map_or(self.buffer.len(), Bytes::len));
        let is_too_long = chunk.len() > remaining;
        let chunk = if is_too_long { chunk.slice(..remaining) } else { chunk };
        match self.first_chunk.take() {
            None if self.buffer.is_empty() => self.first_chunk = Some(chunk),
            None => self.buffer.extend_from_slice(&chunk),
            Some(first) => {
                // The server states the length: more memory is reserved only as the body arrives.
                let expected = expected.and_then(|expected| usize::try_from(expected).ok());
                let expected = expected.unwrap_or(0).min(self.limit).min(MAX_RESERVED);
                self.buffer.reserve(expected.max(first.len().saturating_add(chunk.len())));
                self.buffer.extend_from_slice(&first);
                self.buffer.extend_from_slice(&chunk);
            }
        }
        is_too_long
    }
}

#[cfg(test)]
mod tests;
