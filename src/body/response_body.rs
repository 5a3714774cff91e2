//! The body of a response as it arrives: checked for its end, and decompressed.
//!
//! # Truncation
//! A body that ends early must not look complete. hyper checks this for HTTP/1.1: a body ends after
//! `Content-Length` bytes or with its last chunk, or it is an error. (A body with neither ends with its
//! connection, which nothing can check.) For HTTP/2, hyper passes a stream that the server resets with
//! `NO_ERROR` off as one that has ended, whether or not its last frame has arrived
//! ([RFC 9113, section 8.1](https://www.rfc-editor.org/rfc/rfc9113#section-8.1) allows such a reset after
//! a complete response only). After the end, `is_end_stream` of the body says whether the last frame
//! has arrived. That is checked here.
//!
//! # Decompression
//! With its feature `gzip`, reqwest wraps each body in a decoder that hides `is_end_stream`. So the
//! client decompresses bodies itself, and is built without that feature. If another crate of the
//! program enables it, the length of the body is checked instead, where it is known.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, HeaderValue, StatusCode, Version};
use http_body::Body as _;

use super::gzip::Gzip;
use super::layers::hides_end_of_stream;
use crate::error::{Error, Result};

/// The `Accept-Encoding` of requests that do not set it.
pub(crate) const ACCEPTED_ENCODING: HeaderValue = HeaderValue::from_static("gzip");

/// The body of a response from the network.
pub(crate) struct ResponseBody {
    source: reqwest::Body,
    end: EndCheck,
    gzip: Option<Box<Gzip>>,
    has_ended: bool,
}

/// How the end of a body is checked.
#[derive(Debug)]
enum EndCheck {
    /// hyper checks it.
    None,
    /// The last frame of its stream has arrived.
    EndOfStream,
    /// So many bytes are left.
    Length(u64),
}

impl ResponseBody {
    /// Takes a response apart. If the body is decompressed, the headers do not describe the
    /// compressed one.
    ///
    /// `is_head` says that the response is to a HEAD request: it has no body, whatever its headers
    /// say.
    pub(crate) fn new(response: reqwest::Response, is_head: bool) -> (HeaderMap, Self) {
        let (parts, source) = http::Response::from(response).into_parts();
        let mut headers = parts.headers;
        let end = match (parts.version, hides_end_of_stream()) {
            (Version::HTTP_2, false) => EndCheck::EndOfStream,
            (Version::HTTP_2, true) if !is_head && !has_no_body(parts.status) => {
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

    /// The length of the body, if it is known and the body is not decompressed.
    pub(crate) fn length(&self) -> Option<u64> {
        self.source.size_hint().exact().filter(|_| self.gzip.is_none())
    }

    /// Returns the next part of the body, which is not empty; `None` at the end, and after an error.
    ///
    /// # Errors
    /// If the body breaks off, or does not decompress.
    pub(crate) fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let chunk = ready!(self.poll_next(context));
        self.has_ended = matches!(chunk, Err(_) | Ok(None));
        match (chunk, &mut self.gzip) {
            (Ok(None), Some(gzip)) => {
                Poll::Ready(gzip.finish().map_err(Error::broken_off).transpose())
            }
            (chunk, _) => Poll::Ready(chunk.transpose()),
        }
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        loop {
            if let Some(gzip) = &mut self.gzip
                && let Some(piece) = gzip.next_piece().map_err(Error::broken_off)?
            {
                return Poll::Ready(Ok(Some(piece)));
            }
            let frame = match ready!(Pin::new(&mut self.source).poll_frame(context)) {
                Some(frame) => frame.map_err(Error::from_transport)?,
                None => return Poll::Ready(self.check_end().map(|()| None)),
            };
            // Trailers are of no use here.
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

    /// Checks whether the body has arrived as a whole.
    fn check_end(&self) -> Result<()> {
        let is_complete = match self.end {
            EndCheck::None | EndCheck::Length(0) => true,
            EndCheck::EndOfStream => self.source.is_end_stream(),
            EndCheck::Length(_) => false,
        };
        if is_complete { Ok(()) } else { Err(Error::broken_off(StreamReset)) }
    }
}

/// Whether a response of this status has no body, whatever its headers say.
fn has_no_body(status: StatusCode) -> bool {
    status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}

/// The server reset the stream of a response that was not complete, and called that no error.
#[derive(Debug)]
struct StreamReset;

impl fmt::Display for StreamReset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the HTTP/2 stream was reset before its last frame")
    }
}

impl std::error::Error for StreamReset {}
