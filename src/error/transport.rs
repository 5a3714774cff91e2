//! Connection errors, classified by the possible reaction of a caller.

use std::fmt;

use super::{BoxError, Error, ErrorKind, FileError};

impl Error {
    /// Returns the error for a failure below HTTP, or in the middle of a body.
    pub(crate) fn from_transport(error: reqwest::Error) -> Self {
        // reqwest includes the URL, whose query can contain private values.
        let error = error.without_url();
        let (kind, message, advice) = if error.is_timeout() {
            (
                ErrorKind::Timeout,
                "the HTTP client's timeout expired",
                "try again, or increase the timeout",
            )
        } else if error.is_dns() {
            (
                ErrorKind::Transport,
                "DNS lookup failed: server name not found",
                "check the client's base_url, the network and DNS",
            )
        } else if error.is_connect() {
            (
                ErrorKind::Transport,
                "connection to the server failed",
                "check the network, the proxy and the TLS certificates, then try again",
            )
        } else if error.is_builder() {
            return Self::new(ErrorKind::InvalidRequest, "the request cannot be built")
                .with_advice("see the source of this error for the invalid part")
                .with_source(error);
        } else if error.is_body() || error.is_decode() {
            return Self::truncated_body(error);
        } else {
            (
                ErrorKind::Transport,
                "connection closed before the response",
                "try again; the request might have reached GitHub",
            )
        };
        let not_sent = error.is_connect();
        let error = Self::new(kind, message).with_advice(advice).with_source(error);
        if not_sent { error.with_not_sent() } else { error }
    }

    /// Returns the error for a body that arrived in part, or does not decompress.
    pub(crate) fn truncated_body(reason: impl Into<BoxError>) -> Self {
        Self::new(ErrorKind::Transport, "connection closed before the end of the body")
            .with_advice("try again")
            .with_source(reason)
    }

    /// Returns the error for a request body that failed. It is the caller's body, and would fail again.
    pub(crate) fn from_upload(reason: BoxError) -> Self {
        let reason = match reason.downcast::<FileError>() {
            Ok(error) => return Self::from_file(*error),
            Err(other) => other,
        };
        let error = match reason.downcast_ref::<LengthMismatch>() {
            Some(wrong) => Self::new(ErrorKind::InvalidRequest, wrong.to_string())
                .with_advice("pass the exact length of the stream, or None"),
            None => Self::new(ErrorKind::InvalidRequest, "the request body stream failed")
                .with_advice("see the source of this error; GitHub received only part of the body"),
        };
        error.with_caller_source(reason)
    }
}

/// The stream does not have the length that its caller set.
#[derive(Debug)]
pub(crate) struct LengthMismatch {
    pub(crate) expected: u64,
    pub(crate) actual: u64,
}

impl fmt::Display for LengthMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { expected, actual } = self;
        let bound = if actual > expected { "at least" } else { "only" };
        write!(
            f,
            "the request body was declared as {expected} bytes long, but has {bound} {actual}"
        )
    }
}

impl std::error::Error for LengthMismatch {}
