//! Reasons for rejecting a request as a delivery.

use std::fmt;

use http::StatusCode;

use super::envelope::EnvelopeError;
use super::verify::SignatureError;

/// Why a request was rejected as a delivery.
///
/// It is for the operator. The sender receives the [`status`](Self::status) and, if the signature is valid, the reason;
/// a sender without the secret receives only `401 Unauthorized`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionReason {
    /// The request is not signed with a known secret: 401.
    Signature(SignatureError),
    /// The request is not an envelope with a known secret and a recent timestamp: 401.
    Envelope(EnvelopeError),
    /// The request is not a `POST`: 405.
    Method,
    /// The request is neither JSON nor a form: 415.
    MediaType,
    /// The body is compressed, or encoded in another way (`Content-Encoding`): 415. GitHub does not encode bodies.
    ContentEncoding,
    /// The request is a form without a `payload`, or with several: 400.
    Form,
    /// The payload is not valid JSON, or has more than 127 levels: 400.
    Json,
    /// This header is missing, occurs twice or is not text: 400.
    Header(&'static str),
    /// The body is larger than the limit: 413.
    TooLarge,
    /// The body did not arrive in time: 408.
    TooSlow,
    /// The body is incomplete: 400.
    Incomplete,
    /// There is no capacity at the moment, or the receiver is shutting down: 503. GitHub records a failure, and the
    /// delivery can be redelivered.
    Busy,
    /// The store or the journal is unavailable: 503.
    Store,
    /// The delivery is being handled, possibly by another process, and the outcome is not known yet: 503.
    InProgress,
    /// The handler failed, in a receiver that responds after handling: 500.
    Failed,
}

impl RejectionReason {
    /// Returns the status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Signature(_) | Self::Envelope(_) => StatusCode::UNAUTHORIZED,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::MediaType | Self::ContentEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Form | Self::Json | Self::Header(_) | Self::Incomplete => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Busy | Self::Store | Self::InProgress => StatusCode::SERVICE_UNAVAILABLE,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Returns the body of the response.
    pub(super) fn public_message(&self) -> &'static str {
        match self {
            Self::Signature(_) | Self::Envelope(_) => "unauthorized\n",
            Self::Method => "only POST is allowed\n",
            Self::MediaType => "the content type is neither JSON nor a form\n",
            Self::ContentEncoding => "the body is compressed or encoded; send it unencoded\n",
            Self::Form => "the form must have exactly one payload\n",
            Self::Json => "the payload is not valid JSON\n",
            Self::Header(_) => "a header is missing\n",
            Self::TooLarge => "the body is too large\n",
            Self::TooSlow => "reading the body timed out\n",
            Self::Incomplete => "the body ended early\n",
            Self::Busy | Self::Store => "busy, redeliver later\n",
            Self::InProgress => "being handled, redeliver later\n",
            Self::Failed => "not handled\n",
        }
    }
}

impl fmt::Display for RejectionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signature(error) => error.fmt(f),
            Self::Envelope(error) => error.fmt(f),
            Self::Header(name) => write!(f, "the header {name} is missing, duplicated or not text"),
            Self::InProgress => f.write_str("the delivery is already being handled"),
            Self::Busy => f.write_str("no capacity for the delivery"),
            Self::Store => f.write_str("the store or the journal is unavailable"),
            Self::Failed => f.write_str("the delivery was not handled"),
            other => f.write_str(other.public_message().trim_end()),
        }
    }
}

impl std::error::Error for RejectionReason {}
