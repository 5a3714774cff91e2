//! Errors of the connection, sorted by what a caller can do about them.

use super::{BoxError, Error, ErrorKind};
use crate::body::WrongLength;

impl Error {
    /// The error for a failure below HTTP, or in the middle of a body.
    pub(crate) fn from_transport(error: reqwest::Error) -> Self {
        // reqwest names the URL, whose query may hold private values.
        let error = error.without_url();
        let (kind, message, advice) = if error.is_timeout() {
            (
                ErrorKind::Timeout,
                "a timeout of the HTTP client ended the call",
                "try again, or allow more time",
            )
        } else if error.is_dns() {
            (
                ErrorKind::Transport,
                "the server's name was not found",
                "check the client's base_url, the network and DNS",
            )
        } else if error.is_connect() {
            (
                ErrorKind::Transport,
                "no connection to the server",
                "check the network, the proxy and the TLS certificates, then try again",
            )
        } else if error.is_builder() {
            return Self::new(ErrorKind::InvalidRequest, "the request can not be sent")
                .with_advice("the source of this error names the part")
                .with_source(error);
        } else if error.is_body() || error.is_decode() {
            return Self::broken_off(error);
        } else {
            (
                ErrorKind::Transport,
                "the connection broke off before the answer",
                "try again; the request may or may not have reached GitHub",
            )
        };
        let never_reached = error.is_connect();
        let error = Self::new(kind, message).with_advice(advice).with_source(error);
        if never_reached { error.with_never_reached() } else { error }
    }

    /// The error for a body that arrived in part, or does not decompress.
    pub(crate) fn broken_off(reason: impl Into<BoxError>) -> Self {
        Self::new(ErrorKind::Transport, "the body broke off before its end")
            .with_advice("try again")
            .with_source(reason)
    }

    /// The error for a body to send that failed; it is the caller's, and would fail again.
    pub(crate) fn from_upload(reason: BoxError) -> Self {
        let error = match reason.downcast_ref::<WrongLength>() {
            Some(wrong) => Self::new(ErrorKind::InvalidRequest, wrong.to_string())
                .with_advice("give the length that the stream has, or None"),
            None => Self::new(ErrorKind::InvalidRequest, "the stream to send ended in an error")
                .with_advice("the source of this error is the stream's; GitHub got only a part"),
        };
        error.with_own_source(reason)
    }
}
