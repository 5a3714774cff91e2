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
        response: reqwest::Response,
        is_head: bool,
        hides_end_of_stream: bool,
    ) -> (HeaderMap, Self) {
        let (parts, source) = http::Response::from(response).into_parts();
        let mut headers = parts.headers;
        let end = match (parts.version, hides_end_of_stream) {
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
pub(crate) fn too_large(limit: usize) -> Error {
    Error::new(ErrorKind::BodyTooLarge, format!("response body exceeds {limit} bytes"))
}

/// The memory that is reserved for a body before it arrives.
const MAX_RESERVED: usize = 4 * 1024 * 1024;

/// A collector of a body of at most `limit` bytes. If the body breaks off, the received part remains available.
///
/// A body that arrives in one piece is not copied.
#[derive(Debug)]
pub(crate) struct BodyCollector {
    limit: usize,
    first_chunk: Option<Bytes>,
    /// The whole body, if it arrives in several pieces.
    buffer: BytesMut,
}

impl BodyCollector {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, first_chunk: None, buffer: BytesMut::new() }
    }

    /// Reads to the end of the body. Returns whether the body is longer than the limit.
    ///
    /// # Errors
    /// If the body breaks off.
    pub(crate) async fn read(&mut self, body: &mut ResponseBody) -> Result<bool> {
        let expected = body.length();
        while let Some(chunk) = poll_fn(|context| body.poll_chunk(context)).await {
            if self.push(chunk?, expected) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads for at most this time. Returns whether the whole body has arrived.
    pub(crate) async fn read_within(&mut self, body: &mut ResponseBody, time: Duration) -> bool {
        matches!(timeout(time, self.read(body)).await, Ok(Ok(false)))
    }

    /// Returns the received part.
    pub(crate) fn finish(self) -> Bytes {
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
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use futures_util::FutureExt;
    use http_body::{Frame, SizeHint};

    use super::*;

    /// A body that arrives in parts, and ends regardless of its stated length.
    #[derive(Clone)]
    struct Parts {
        parts: VecDeque<Bytes>,
        length: Option<u64>,
        /// Whether the last frame of the stream has arrived.
        ends: bool,
    }

    impl http_body::Body for Parts {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let part = self.parts.pop_front();
            if let (Some(part), Some(length)) = (&part, &mut self.length) {
                *length = length.saturating_sub(part.len() as u64);
            }
            Poll::Ready(part.map(|part| Ok(Frame::data(part))))
        }

        fn is_end_stream(&self) -> bool {
            self.ends && self.parts.is_empty()
        }

        fn size_hint(&self) -> SizeHint {
            self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
        }
    }

    fn parts(parts: &[&[u8]], length: Option<usize>, ends: bool) -> Parts {
        let parts = parts.iter().map(|part| Bytes::copy_from_slice(part)).collect();
        Parts { parts, length: length.map(|length| length as u64), ends }
    }

    /// Reads a body; the arguments are those of its response.
    fn read_of(
        body: Parts,
        (version, status, is_head): (Version, u16, bool),
        hides_end_of_stream: bool,
        encoding: Option<&str>,
    ) -> Result<Vec<u8>> {
        let mut response = http::Response::new(reqwest::Body::wrap(body));
        *response.version_mut() = version;
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        if let Some(encoding) = encoding {
            response.headers_mut().insert(CONTENT_ENCODING, encoding.parse().unwrap());
        }
        let (_, mut body) =
            ResponseBody::with_end_check(response.into(), is_head, hides_end_of_stream);
        let mut all = Vec::new();
        loop {
            match poll_fn(|context| body.poll_chunk(context)).now_or_never().unwrap() {
                Some(chunk) => all.extend_from_slice(&chunk?),
                None => return Ok(all),
            }
        }
    }

    const GET: (Version, u16, bool) = (Version::HTTP_2, 200, false);

    #[test]
    fn where_the_end_of_a_stream_is_hidden_the_length_is_checked() {
        let texts: [&[&[u8]]; 4] =
            [&[b"abc", b"defg"], &[b"abcdefg"], &[b"", b"abcdefg", b""], &[]];
        for text in texts {
            let length = text.concat().len();
            // The end of the stream is hidden, so it makes no difference.
            for ends in [true, false] {
                let read = |length| read_of(parts(text, length, ends), GET, true, None);
                assert_eq!(read(Some(length)).unwrap(), text.concat());
                for missing in [1, 2, 1_000_000] {
                    let error = read(Some(length + missing)).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Transport, "{text:?} {missing}: {error}");
                }
                // The length is unknown.
                assert_eq!(read(None).unwrap(), text.concat());
            }
        }
    }

    #[test]
    fn where_the_end_of_a_stream_is_hidden_the_compressed_length_is_checked() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(b"what was compressed").unwrap();
        let whole = encoder.finish().unwrap();
        let read = |length| read_of(parts(&[&whole], Some(length), true), GET, true, Some("gzip"));
        assert_eq!(read(whole.len()).unwrap(), b"what was compressed");
        assert_eq!(read(whole.len() + 1).unwrap_err().kind(), ErrorKind::Transport);
    }

    #[test]
    fn a_response_without_a_body_can_name_a_length() {
        for (status, is_head) in [(200, true), (404, true), (204, false), (304, false)] {
            let response = (Version::HTTP_2, status, is_head);
            let read = read_of(parts(&[], Some(7), false), response, true, None);
            assert_eq!(read.unwrap(), b"", "{status} {is_head}");
        }
    }

    #[test]
    fn otherwise_the_end_of_a_stream_is_checked_and_of_http_1_nothing() {
        let read =
            |ends, length, response| read_of(parts(&[b"abc"], length, ends), response, false, None);
        for length in [None, Some(3)] {
            assert_eq!(read(true, length, GET).unwrap(), b"abc");
            assert_eq!(read(false, length, GET).unwrap_err().kind(), ErrorKind::Transport);
            let response = (Version::HTTP_11, 200, false);
            assert_eq!(read(false, length, response).unwrap(), b"abc", "hyper checks it");
        }
    }

    #[test]
    fn a_given_client_that_decompresses_gzip_names_its_own_encodings_and_parts_have_none() {
        for (is_gzip_given, has_decoders, of_whole, of_part) in [
            (false, false, Some("gzip"), None),
            (false, true, Some("gzip"), Some("identity")),
            (true, true, None, Some("identity")),
        ] {
            let accepted = |is_of_part| accepted_with(is_of_part, is_gzip_given, has_decoders);
            assert_eq!(accepted(false), of_whole, "{is_gzip_given} {has_decoders}");
            assert_eq!(accepted(true), of_part, "{is_gzip_given} {has_decoders}");
        }
    }
}
