//! The record of calls and attempts from their beginning to their end, as spans and metrics.
//!
//! A call or attempt that is dropped, such as by a timeout of the caller, has the outcome `cancelled`.

use std::sync::Arc;

use http::{Method, StatusCode};
use tokio::time::Instant;
use tracing::Span;
use url::Url;

use super::recent::RecentActivity;
use super::spans;
use crate::api::operation::metric_name;
use crate::error::error_type::error_type;
use crate::error::{CallResult, Error, FailureClass, OperationName, Result};
use crate::headers::status_text::status_text;
use crate::meter;
use crate::policy::cache::CacheStatus;
use crate::policy::usage::UsageRecorder;
use crate::response::AttemptResponse;
use crate::response::response_headers::ResponseHeaders;

/// The error type of a call or attempt that ended before its outcome was recorded.
const CANCELLED: &str = "cancelled";

/// A call, at its beginning.
pub(crate) struct CallMetadata<'a> {
    pub(crate) operation: &'a OperationName,
    /// The operation's path template; `None` for a call without an operation.
    pub(crate) template: Option<&'static str>,
    pub(crate) method: &'a Method,
    /// The target server, as far as it is known before the URL is built.
    pub(crate) server: &'a Url,
    /// Whether the client makes the call in the background of another.
    pub(crate) is_internal: bool,
    /// Whether the call carries a token.
    pub(crate) is_authenticated: bool,
}

/// A call.
pub(crate) struct CallObserver {
    span: Span,
    operation: &'static str,
    is_read: bool,
    started_at: Instant,
    /// `None` for a call that the client makes in the background of another.
    in_flight: Option<meter::InFlight>,
    is_authenticated: bool,
    recent: Arc<RecentActivity>,
    /// `None` for a call that does not count.
    usage: Option<UsageRecorder>,
    has_ended: bool,
}

impl CallObserver {
    /// Begins a call, whose end counts for `usage`; an internal call does not count.
    pub(crate) fn begin(
        call: &CallMetadata<'_>,
        recent: Arc<RecentActivity>,
        usage: Option<UsageRecorder>,
    ) -> Self {
        Self {
            span: spans::call(call),
            operation: metric_name(call.operation),
            is_read: call.method == Method::GET,
            started_at: Instant::now(),
            in_flight: (!call.is_internal).then(meter::InFlight::call),
            is_authenticated: call.is_authenticated,
            recent,
            usage,
            has_ended: false,
        }
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// Returns when the call began.
    pub(crate) fn started_at(&self) -> Instant {
        self.started_at
    }

    /// Records the end of the call without a response to decode.
    pub(crate) fn fail(self, error: &Error) {
        if let Some(headers) = error.headers() {
            spans::responded(&self.span, headers);
        }
        self.finish(error.status(), None, Some(error));
    }

    /// Records the response, before it is decoded.
    pub(crate) fn record_response(&self, headers: &ResponseHeaders) {
        spans::responded(&self.span, headers);
    }

    /// Records the end of the call, and whether its response was decoded.
    pub(crate) fn end_decoded(
        self,
        status: StatusCode,
        cache_status: CacheStatus,
        error: Option<&Error>,
    ) {
        self.finish(Some(status), Some(cache_status), error);
    }

    fn finish(
        mut self,
        status: Option<StatusCode>,
        came: Option<CacheStatus>,
        error: Option<&Error>,
    ) {
        let failed = failure_reason(status, error);
        spans::ended(&self.span, status, failed);
        spans::cached(&self.span, came);
        let cached = came.filter(|_| self.is_read).map(|came| {
            let saved = match came {
                CacheStatus::Hit => true,
                // A revalidation costs no quota for a call with a token.
                CacheStatus::Revalidated => self.is_authenticated,
                _ => false,
            };
            (came, saved)
        });
        let now = Instant::now();
        self.count(now, call_result(status, error), failed, cached);
        #[cfg(feature = "dashboard")]
        self.record_failed_call(now, failed, error);
    }

    /// Records a failed call, for the dashboard.
    #[cfg(feature = "dashboard")]
    fn record_failed_call(
        &self,
        now: Instant,
        failed: Option<&'static str>,
        error: Option<&Error>,
    ) {
        use super::dashboard_series::FailedCall;
        let (Some(failed), Some(error), true) = (failed, error, self.in_flight.is_some()) else {
            return;
        };
        let operation = error.operation().unwrap_or(self.operation);
        let took = now.saturating_duration_since(self.started_at);
        let failed =
            FailedCall::new(operation, failed, took, error.request_id(), &error.to_string());
        self.recent.failed(failed);
    }

    /// Counts the end of the call at `now`.
    fn count(
        &mut self,
        now: Instant,
        result: CallResult,
        failed: Option<&'static str>,
        cached: Option<(CacheStatus, bool)>,
    ) {
        self.has_ended = true;
        if self.in_flight.is_none() {
            return;
        }
        meter::call(self.operation, now.saturating_duration_since(self.started_at), failed);
        if let Some((came, saved)) = cached {
            meter::cache_looked_up(came.name(), saved);
        }
        self.recent.call(now, result, failed, cached);
        if let Some(usage) = &self.usage {
            usage.record_call(now, self.operation, failed.is_some());
        }
    }
}

impl Drop for CallObserver {
    fn drop(&mut self) {
        if !self.has_ended {
            spans::ended(&self.span, None, Some(CANCELLED));
            self.count(Instant::now(), CallResult::Cancelled, Some(CANCELLED), None);
        }
    }
}

/// An attempt.
pub(crate) struct AttemptObserver<'a> {
    span: Span,
    method: &'a Method,
    recent: &'a RecentActivity,
    started_at: Instant,
    has_ended: bool,
}

impl<'a> AttemptObserver<'a> {
    /// Begins an attempt at this URL. `template` is the operation's path template, `resend_count` the number of earlier
    /// requests of the call, for any reason.
    pub(crate) fn begin(
        method: &'a Method,
        url: &Url,
        template: Option<&'static str>,
        resend_count: u32,
        started_at: Instant,
        recent: &'a RecentActivity,
    ) -> Self {
        Self {
            span: spans::attempt(method, url, template, resend_count),
            method,
            recent,
            started_at,
            has_ended: false,
        }
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// Records the end of the attempt at `now`.
    pub(crate) fn end(mut self, now: Instant, response: &Result<AttemptResponse>) {
        let status = match response {
            Ok(response) => {
                spans::responded(&self.span, &response.headers);
                Some(response.status)
            }
            Err(error) => {
                if let Some(headers) = error.headers() {
                    spans::responded(&self.span, headers);
                }
                error.status()
            }
        };
        let failed = failure_reason(status, response.as_ref().err());
        spans::ended(&self.span, status, failed);
        self.count(now, status.map(status_text).or(failed).unwrap_or("other"), status.is_some());
    }

    fn count(&mut self, now: Instant, status: &'static str, has_response: bool) {
        self.has_ended = true;
        let took = now.saturating_duration_since(self.started_at);
        meter::attempt(self.method, took, status);
        self.recent.attempt(now, has_response.then_some(took));
    }
}

impl Drop for AttemptObserver<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            spans::ended(&self.span, None, Some(CANCELLED));
            self.count(Instant::now(), CANCELLED, false);
        }
    }
}

/// Returns the failure: by the error, or by a status that the caller reads, as for OAuth.
fn failure_reason(status: Option<StatusCode>, error: Option<&Error>) -> Option<&'static str> {
    error.map(error_type).or_else(|| rejection(status).map(status_text))
}

/// Returns the result for the objectives, by the same two.
fn call_result(status: Option<StatusCode>, error: Option<&Error>) -> CallResult {
    let class = error.map(Error::class);
    let class =
        class.or_else(|| rejection(status).map(|status| FailureClass::of_status(status, false)));
    class.map_or(CallResult::Ok, FailureClass::call_result)
}

/// Returns the status if it is an error.
fn rejection(status: Option<StatusCode>) -> Option<StatusCode> {
    status.filter(|status| status.is_client_error() || status.is_server_error())
}
