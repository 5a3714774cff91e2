//! Bodies that end early, with and without what reqwest's features hide.

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
    let (_, mut body) = ResponseBody::with_end_check(response.into(), is_head, hides_end_of_stream);
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
    let texts: [&[&[u8]]; 4] = [&[b"abc", b"defg"], &[b"abcdefg"], &[b"", b"abcdefg", b""], &[]];
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
