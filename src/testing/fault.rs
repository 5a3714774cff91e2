//! Injected faults.

use std::time::Duration;

use super::limits::{self, Limits};
use super::received::RecordedRequest;
use super::wire_response::{ConnectionFault, WireResponse};

/// A fault instead of a response: see [`Stub::fault`](super::Stub::fault).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The connection is reset before there is a response, as by a load balancer that restarts.
    Reset,
    /// The connection is closed before there is a response.
    Closed,
    /// There is no response; the connection stays open until the client gives up.
    Silent,
    /// The response breaks off after this number of bytes of its body, or before the last one.
    Truncated(usize),
    /// A 5xx status with an HTML page, as GitHub's load balancers send.
    ServerError(u16),
    /// The primary rate limit is used up, for all requests of its resource: 403 until it is reset after this
    /// time. GitHub does not move a reset that it has reported: a client that received another one might rely
    /// on that. See GitHub's [rate
    /// limits](https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api).
    PrimaryRateLimit {
        /// The time until the limit is reset.
        reset_in: Duration,
    },
    /// A secondary rate limit: 403, for this request alone, with `Retry-After` in whole seconds if
    /// there is one.
    SecondaryRateLimit {
        /// The value of `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// 401 and "Bad credentials", as for a token that was revoked.
    BadCredentials,
}

impl Fault {
    /// Applies the fault to a request whose response would be `response`.
    pub(super) fn wire_response(
        &self,
        request: &RecordedRequest,
        limits: &Limits,
        response: impl FnOnce() -> WireResponse,
    ) -> WireResponse {
        match self {
            Self::Reset => connection_fault(WireResponse::empty(200), ConnectionFault::Reset),
            Self::Closed => connection_fault(WireResponse::empty(200), ConnectionFault::Closed),
            Self::Silent => connection_fault(WireResponse::empty(200), ConnectionFault::Silent),
            Self::Truncated(bytes) => {
                connection_fault(response(), ConnectionFault::Truncated(*bytes))
            }
            Self::ServerError(status) => {
                let page = "<html><body><h1>Whoa there!</h1><p>This page is taking too long to load.\
                            </p></body></html>";
                WireResponse::text(*status, "text/html", page)
            }
            Self::PrimaryRateLimit { reset_in } => limits.exhaust(request, *reset_in),
            Self::SecondaryRateLimit { retry_after } => limits::secondary(*retry_after),
            Self::BadCredentials => {
                WireResponse::error(401, "Bad credentials", "https://docs.github.com/rest")
            }
        }
    }
}

fn connection_fault(reply: WireResponse, how: ConnectionFault) -> WireResponse {
    WireResponse { fault: Some(how), ..reply }
}
