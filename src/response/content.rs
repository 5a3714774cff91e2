//! Responses whose body is not JSON: text and bytes, such as diffs, files and HTML.

use std::str::{Utf8Error, from_utf8};

use bytes::Bytes;

use super::body::too_large;
use super::{RawResponse, Response};
use crate::error::{Error, ErrorKind, Result};
use crate::util::compact;

/// Returns the response with its body as text.
///
/// # Errors
/// If the body is not UTF-8.
pub(crate) fn text(raw: RawResponse) -> Result<Response<String>> {
    match from_utf8(raw.bytes()) {
        Ok(text) => {
            let text = text.to_owned();
            Ok(raw.with_value(text))
        }
        Err(error) => {
            let error = not_utf8(error).with_operation(&raw.operation);
            Err(error.with_response(raw.status, raw.headers.into_map()))
        }
    }
}

/// Returns the response with its body as bytes.
pub(crate) fn bytes(raw: RawResponse) -> Result<Response<Bytes>> {
    // The caller can keep them, and not the buffer of the connection.
    let bytes = compact::bytes(raw.bytes());
    Ok(raw.with_value(bytes))
}

/// Rejects a body that exceeds the limit of its call. One from the cache can be longer.
pub(crate) fn require_length(raw: RawResponse, max_bytes: Option<usize>) -> Result<RawResponse> {
    match max_bytes {
        Some(max_bytes) if raw.bytes().len() > max_bytes => {
            let error = too_large(max_bytes as u64)
                .with_advice("raise max_body_bytes of the call, or read the body with send_stream");
            Err(error.with_response(raw.status, raw.headers.into_map()))
        }
        _ => Ok(raw),
    }
}

/// Returns the error for a body that is not text.
pub(super) fn not_utf8(error: Utf8Error) -> Error {
    Error::new(ErrorKind::Decode, "the response body is not UTF-8 text")
        .with_advice("read the body as bytes")
        .with_source(error)
}
