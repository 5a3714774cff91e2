//! Records calls and attempts from their beginning to their end, as spans and metrics.
//!
//! A call or attempt that is dropped, such as by a timeout of the caller, has the outcome `cancelled`.

use http::{HeaderMap, Method, StatusCode};
use tokio::time::Instant;
use tracing::Span;

use super::{super::meter, spans};
use crate::api::operation::metric_name;
use crate::client::Client;
use crate::error::error_type::error_type;
use crate::error::{CallResult, Error, FailureClass, OperationName, Result};
use crate::headers::status_text::status_text;
use crate::policy::cache::CacheStatus;
use crate::request::{Prepared, Request};
use crate::response::RawResponse;

/// The error type of a call or attempt that ended before its outcome was recorded.
const CANCELLED: &str = "cancelled";

/// A call.
pub(crate) struct CallObserver {
    span: Span,
    operation: &'static str,
    is_read: bool,
    started_at: Instant,
    /// `None` for a call that the client makes in the background of another.
    in_flight: Option<meter::InFlight>,
    client: Client,
    /// Whether the call carries its own token.
    request_credential: bool,
    has_ended: bool,
}

impl CallObserver {
    pub(crate) fn begin(request: &Request) -> Self {
        Self {
            span: spans::call(request),
            operation: request.metric_name(),
            is_read: request.method() == Method::GET,
            started_at: Instant::now(),
            in_flight: (!request.is_internal()).then(meter::InFlight::call),
            client: request.client().clone(),
            request_credential: request.has_request_credential(),
            has_ended: false,
        }
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// Records the end of the call without a response to decode.
    pub(crate) fn fail(self, error: &Error) {
        self.finish((error.status(), error.headers(), None), Some(error));
    }

    /// Records the end of the call, and whether its response was decoded.
    pub(crate) fn end_decoded(
        self,
        (status, headers, came): (StatusCode, &HeaderMap, CacheStatus),
        error: Option<&Error>,
    ) {
        self.finish((Some(status), Some(headers), Some(came)), error);
    }

    fn finish(
        mut self,
        (status, headers, came): (Option<StatusCode>, Option<&HeaderMap>, Option<CacheStatus>),
        error: Option<&Error>,
    ) {
        let failed = failure_reason(status, error);
        spans::ended(&self.span, status, headers, failed);
        spans::cached(&self.span, came);
        let cached = came.filter(|_| self.is_read).map(|came| {
            let saved = match came {
                CacheStatus::Hit => true,
                // A revalidation costs no quota for a call with a token.
                CacheStatus::Revalidated => {
                    self.request_credential
                        || self.client.handle().identity.token_manager().is_some()
                }
                _ => false,
            };
            (came, saved)
        });
        self.count(call_result(status, error), failed, cached);
        #[cfg(feature = "dashboard")]
        self.record_failed_call(failed, error);
    }

    /// Records a failed call, for the dashboard.
    #[cfg(feature = "dashboard")]
    fn record_failed_call(&self, failed: Option<&'static str>, error: Option<&Error>) {
        use super::dashboard_series::FailedCall;
        let (Some(failed), Some(error), true) = (failed, error, self.in_flight.is_some()) else {
            return;
        };
        let operation = error.operation().unwrap_or(self.operation);
        let took = self.started_at.elapsed();
        let failed =
            FailedCall::new(operation, failed, took, error.request_id(), &error.to_string());
        self.client.handle().recent.failed(failed);
    }

    fn count(
        &mut self,
        result: CallResult,
        failed: Option<&'static str>,
        cached: Option<(CacheStatus, bool)>,
    ) {
        self.has_ended = true;
        if self.in_flight.is_none() {
            return;
        }
        let now = Instant::now();
        meter::call(self.operation, now.saturating_duration_since(self.started_at), failed);
        if let Some((came, saved)) = cached {
            meter::cache_looked_up(came, saved);
        }
        self.client.handle().recent.call(now, result, failed, cached);
        self.client.usage_account_for(self.request_credential).record_call(
            now,
            self.operation,
            failed.is_some(),
        );
    }
}

impl Drop for CallObserver {
    fn drop(&mut self) {
        if !self.has_ended {
            spans::ended(&self.span, None, None, Some(CANCELLED));
            self.count(CallResult::Cancelled, Some(CANCELLED), None);
        }
    }
}

/// An attempt.
pub(crate) struct AttemptObserver {
    span: Span,
    method: Method,
    client: Client,
    started_at: Instant,
    has_ended: bool,
}

impl AttemptObserver {
    /// Begins an attempt. `sent` is the number of earlier requests, for any reason.
    pub(crate) fn begin(prepared: &Prepared, operation: &OperationName, sent: u32) -> Self {
        let (span, method) = (spans::attempt(prepared, sent), prepared.method().clone());
        let (client, began) = (prepared.client(), Instant::now());
        if !prepared.is_external() {
            prepared.usage_account().record_request(began, metric_name(operation));
        }
        Self { span, method, client: client.clone(), started_at: began, has_ended: false }
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    pub(crate) fn end(mut self, response: &Result<RawResponse>) {
        let (status, headers) = match response {
            Ok(response) => (Some(response.status), Some(&*response.headers)),
            Err(error) => (error.status(), error.headers()),
        };
        let failed = failure_reason(status, response.as_ref().err());
        spans::ended(&self.span, status, headers, failed);
        self.count(status.map(status_text).or(failed).unwrap_or("other"), status.is_some());
    }

    fn count(&mut self, status: &'static str, answered: bool) {
        self.has_ended = true;
        let now = Instant::now();
        let took = now.saturating_duration_since(self.started_at);
        meter::attempt(&self.method, took, status);
        self.client.handle().recent.attempt(now, answered.then_some(took));
    }
}

impl Drop for AttemptObserver {
    fn drop(&mut self) {
        if !self.has_ended {
            spans::ended(&self.span, None, None, Some(CANCELLED));
            self.count(CANCELLED, false);
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
