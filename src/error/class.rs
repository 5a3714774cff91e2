//! The one classification of failures, by which all policies decide.
//!
//! | class | retried | circuit breaker | stale served | entry removed | caller's own | no effect | health | expected |
//! |---|---|---|---|---|---|---|---|---|
//! | `Transport` | yes | yes | yes | - | - | if not sent | unavailable | - |
//! | `Timeout` | yes | yes | yes | - | yes | if not sent | unavailable | - |
//! | `NotReady` | yes | yes | yes | - | yes | - | ok | - |
//! | `RateLimited` | yes | - | - | - | - | yes | failed | - |
//! | `Denied` | - | - | - | yes | - | yes | failed | - |
//! | `NotFound` | - | - | - | yes | - | yes | ok | yes |
//! | `RequestTimeout` | yes | - | - | - | - | yes | failed | - |
//! | `TooEarly` | yes | - | - | - | - | yes | ok | - |
//! | `Rejected` | - | - | - | - | - | yes | ok | yes |
//! | `NotFollowed` | - | - | - | - | - | - | ok | yes |
//! | `ServerUnavailable` | yes | yes | yes | - | - | - | unavailable | - |
//! | `ServerError` | - | - | yes | - | - | - | unavailable | - |
//! | `NotAdmitted` | - | - | - | - | yes | yes | failed | - |
//! | `CircuitOpen` | - | - | yes | - | - | yes | unavailable | - |
//! | `BudgetExhausted` | - | - | yes | - | yes | yes | failed | - |
//! | `Intercepted` | - | - | - | - | yes | yes | ok | - |
//! | `InvalidCall` | - | - | - | - | - | yes | ok | - |
//! | `GraphQl` | - | - | - | - | - | yes | ok | - |
//! | `UnusableResponse` | - | - | - | - | - | - | failed | - |
//! | `Other` | - | - | - | - | - | yes | failed | - |
//!
//! The columns are the methods of [`FailureClass`], in their order.

use http::StatusCode;

use super::{Error, ErrorKind};

/// The failure of a call or an attempt, as far as policies decide by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureClass {
    /// The connection failed. `sent` is whether the request might have reached the server.
    Transport { sent: bool },
    /// A timeout ended the attempt or the call.
    Timeout { sent: bool },
    /// A read received 202: the server still computes the response.
    NotReady,
    /// 429, or a 403 whose message or headers name a rate limit.
    RateLimited,
    /// 401, and any other 403.
    Denied,
    /// 404, 410 and 451.
    NotFound,
    /// 408.
    RequestTimeout,
    /// 425.
    TooEarly,
    /// Any other 4xx.
    Rejected,
    /// A 3xx that is not followed.
    NotFollowed,
    /// 500, 502, 503 and 504.
    ServerUnavailable,
    /// Any other 5xx.
    ServerError,
    /// The client's own queue did not admit the call, because of a rate limit or the length of the queue.
    NotAdmitted,
    /// The circuit breaker rejected the call.
    CircuitOpen,
    /// The application's budget is exhausted, from which some operations are exempt.
    BudgetExhausted,
    /// An interceptor of the application rejected the call.
    Intercepted,
    /// The call is invalid, its thread cannot wait for it, its file cannot be used, or it is restricted to the cache, which
    /// has no response.
    InvalidCall,
    /// A GraphQL response has errors, which can be a rate limit.
    GraphQl,
    /// A response whose body, size, status or redirect cannot be used.
    UnusableResponse,
    /// A failure of credentials, of a store, or of a list.
    Other,
}

/// The result of a call for the service level objectives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallResult {
    /// It received the intended response.
    Ok,
    /// It failed, and the cause is on the client's side or GitHub's.
    Failed,
    /// GitHub could not be reached, or could not respond.
    Unavailable,
    /// The caller dropped the call before its end.
    Cancelled,
}

impl FailureClass {
    /// Classifies a status that is not a success. `names_rate_limit` is whether the message or the headers of the
    /// response name a rate limit; it matters for 403 only.
    pub(crate) fn of_status(status: StatusCode, names_rate_limit: bool) -> Self {
        match status.as_u16() {
            429 => Self::RateLimited,
            403 if names_rate_limit => Self::RateLimited,
            401 | 403 => Self::Denied,
            404 | 410 | 451 => Self::NotFound,
            408 => Self::RequestTimeout,
            425 => Self::TooEarly,
            300..=399 => Self::NotFollowed,
            400..=499 => Self::Rejected,
            500 | 502 | 503 | 504 => Self::ServerUnavailable,
            500..=599 => Self::ServerError,
            _ => Self::UnusableResponse,
        }
    }

    /// Returns whether the same request might succeed soon, regardless of its method.
    pub(crate) fn is_transient(self) -> bool {
        matches!(
            self,
            Self::Transport { .. }
                | Self::Timeout { .. }
                | Self::NotReady
                | Self::RateLimited
                | Self::RequestTimeout
                | Self::TooEarly
                | Self::ServerUnavailable
        )
    }

    /// Returns whether the server failed, in contrast to its regular response.
    pub(crate) fn counts_against_circuit(self) -> bool {
        matches!(
            self,
            Self::Transport { .. }
                | Self::Timeout { .. }
                | Self::NotReady
                | Self::ServerUnavailable
        )
    }

    /// Returns whether the server was unreachable or failed, or the client did not permit a request, so that a stale
    /// response is better than the error.
    pub(crate) fn allows_stale(self) -> bool {
        matches!(
            self,
            Self::Transport { .. }
                | Self::Timeout { .. }
                | Self::NotReady
                | Self::ServerUnavailable
                | Self::ServerError
                | Self::CircuitOpen
                | Self::BudgetExhausted
        )
    }

    /// Returns whether the identity has lost its access to the resource.
    pub(crate) fn revokes_access(self) -> bool {
        matches!(self, Self::Denied | Self::NotFound)
    }

    /// Returns whether the failure depends on the caller, such as on its deadline, its operation or its interceptors, so
    /// that another caller might succeed.
    pub(crate) fn is_caller_specific(self) -> bool {
        matches!(
            self,
            Self::Timeout { .. }
                | Self::NotReady
                | Self::NotAdmitted
                | Self::BudgetExhausted
                | Self::Intercepted
        )
    }

    /// Returns whether a write has certainly changed nothing.
    pub(crate) fn had_no_effect(self) -> bool {
        match self {
            Self::Transport { sent } | Self::Timeout { sent } => !sent,
            Self::NotReady
            | Self::NotFollowed
            | Self::ServerUnavailable
            | Self::ServerError
            | Self::UnusableResponse => false,
            Self::RateLimited
            | Self::Denied
            | Self::NotFound
            | Self::RequestTimeout
            | Self::TooEarly
            | Self::Rejected
            | Self::NotAdmitted
            | Self::CircuitOpen
            | Self::BudgetExhausted
            | Self::Intercepted
            | Self::InvalidCall
            | Self::GraphQl
            | Self::Other => true,
        }
    }

    /// Returns the result for the [service level
    /// objectives](crate::observability::health::ServiceLevelObjectives), whose documentation defines it.
    pub(crate) fn call_result(self) -> CallResult {
        match self {
            Self::Transport { .. }
            | Self::Timeout { .. }
            | Self::ServerUnavailable
            | Self::ServerError
            | Self::CircuitOpen => CallResult::Unavailable,
            Self::RateLimited
            | Self::Denied
            | Self::RequestTimeout
            | Self::NotAdmitted
            | Self::BudgetExhausted
            | Self::UnusableResponse
            | Self::Other => CallResult::Failed,
            // GitHub responded, and the rest is the caller's.
            Self::NotReady
            | Self::NotFound
            | Self::TooEarly
            | Self::Rejected
            | Self::NotFollowed
            | Self::Intercepted
            | Self::InvalidCall
            | Self::GraphQl => CallResult::Ok,
        }
    }

    /// Returns whether it is a response about the call, to be compared with another side's, in contrast to a failure
    /// of the side: not a response about access or frequency.
    #[cfg(feature = "migration")]
    pub(crate) fn is_expected_response(self) -> bool {
        matches!(self, Self::NotFound | Self::Rejected | Self::NotFollowed)
    }

    /// Returns whether the request certainly did not reach the server.
    pub(crate) fn is_unsent(self) -> bool {
        matches!(self, Self::Transport { sent: false } | Self::Timeout { sent: false })
    }
}

impl Error {
    /// Classifies the error: by its kind first, since an incomplete body has a status as well.
    pub(crate) fn class(&self) -> FailureClass {
        let sent = !self.is_not_sent();
        match self.kind() {
            ErrorKind::Transport => FailureClass::Transport { sent },
            ErrorKind::Timeout if self.is_not_ready() => FailureClass::NotReady,
            ErrorKind::Timeout => FailureClass::Timeout { sent },
            ErrorKind::Api => match self.status() {
                Some(status) => FailureClass::of_status(status, self.is_rate_limited()),
                None => FailureClass::UnusableResponse,
            },
            ErrorKind::Decode | ErrorKind::BodyTooLarge | ErrorKind::Redirect => {
                FailureClass::UnusableResponse
            }
            ErrorKind::RateLimit | ErrorKind::QueueFull => FailureClass::NotAdmitted,
            ErrorKind::CircuitOpen => FailureClass::CircuitOpen,
            ErrorKind::BudgetExhausted => FailureClass::BudgetExhausted,
            ErrorKind::Interceptor => FailureClass::Intercepted,
            ErrorKind::GraphQl => FailureClass::GraphQl,
            ErrorKind::InvalidRequest
            | ErrorKind::Configuration
            | ErrorKind::File
            | ErrorKind::UntrustedUrl
            | ErrorKind::NotCached
            | ErrorKind::Blocking => FailureClass::InvalidCall,
            ErrorKind::Authentication
            | ErrorKind::StoreUnavailable
            | ErrorKind::Pagination
            | ErrorKind::Incomplete => FailureClass::Other,
        }
    }
}

#[cfg(test)]
mod tests;
