//! Records calls and attempts from their beginning to their end, as spans and metrics.
//!
//! A call or attempt that is dropped, such as by a timeout of the caller, has the outcome `cancelled`.

use http::{HeaderMap, Method, StatusCode};
use tokio::time::Instant;
use tracing::Span;

use super::error_type::{error_type, status_text};
use super::{meter, spans};
use crate::cache::CacheStatus;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::operation::{Label, metric_name};
use crate::request::{Prepared, Request};
use crate::response::Raw;

/// The error type of a call or attempt that ended before its outcome was recorded.
const CANCELLED: &str = "cancelled";

/// A call.
pub(crate) struct Observed {
    span: Span,
    operation: &'static str,
    is_read: bool,
    began: Instant,
    /// `None` for a call that the client makes in the background of another.
    in_flight: Option<meter::InFlight>,
    client: Client,
    /// Whether the call carries its own token.
    own: bool,
    ended: bool,
}

impl Observed {
    pub(crate) fn begin(request: &Request) -> Self {
        Self {
            span: spans::call(request),
            operation: request.metric_name(),
            is_read: request.method() == Method::GET,
            began: Instant::now(),
            in_flight: (!request.is_behind()).then(meter::InFlight::call),
            client: request.client().clone(),
            own: request.has_own_token(),
            ended: false,
        }
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// Records the end of the call with this response.
    pub(crate) fn end(self, answer: &Result<Raw>) {
        match answer {
            Ok(raw) => self.end_with((raw.status, &raw.headers, raw.came), None),
            Err(error) => self.fail(error),
        }
    }

    /// Records the end of the call without a response to decode.
    pub(crate) fn fail(self, error: &Error) {
        self.finish((error.status(), error.headers(), None), Some(error));
    }

    /// Records the end of the call, and whether its response was decoded.
    pub(crate) fn end_with(
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
        let failed = failure(status, error);
        spans::ended(&self.span, status, headers, failed);
        spans::cached(&self.span, came);
        let cached = came.filter(|_| self.is_read).map(|came| {
            let saved = match came {
                CacheStatus::Hit => true,
                // A revalidation costs no quota for a call with a token.
                CacheStatus::Revalidated => self.own || self.client.inner().auth.keeper().is_some(),
                _ => false,
            };
            (came, saved)
        });
        self.count(failed, cached);
        #[cfg(feature = "dashboard")]
        self.show(failed, error);
    }

    /// Records a failed call, for the dashboard.
    #[cfg(feature = "dashboard")]
    fn show(&self, failed: Option<&'static str>, error: Option<&Error>) {
        use super::seconds::FailedCall;
        let (Some(failed), Some(error), true) = (failed, error, self.in_flight.is_some()) else {
            return;
        };
        let operation = error.operation().unwrap_or(self.operation);
        let took = self.began.elapsed();
        let failed =
            FailedCall::new(operation, failed, took, error.request_id(), &error.to_string());
        self.client.inner().watch.failed(failed);
    }

    fn count(&mut self, failed: Option<&'static str>, cached: Option<(CacheStatus, bool)>) {
        self.ended = true;
        if self.in_flight.is_none() {
            return;
        }
        let now = Instant::now();
        meter::call(self.operation, now.saturating_duration_since(self.began), failed);
        if let Some((came, saved)) = cached {
            meter::cached(came, saved);
        }
        self.client.inner().watch.call(now, failed, cached);
        self.client.account_of(self.own).called(now, self.operation, failed.is_some());
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        if !self.ended {
            spans::ended(&self.span, None, None, Some(CANCELLED));
            self.count(Some(CANCELLED), None);
        }
    }
}

/// An attempt.
pub(crate) struct ObservedAttempt {
    span: Span,
    method: Method,
    client: Client,
    began: Instant,
    ended: bool,
}

impl ObservedAttempt {
    /// Begins an attempt. `sent` is the number of earlier requests, for any reason.
    pub(crate) fn begin(prepared: &Prepared, operation: &Label, sent: u32) -> Self {
        let (span, method) = (spans::attempt(prepared, sent), prepared.method().clone());
        let (client, began) = (prepared.client(), Instant::now());
        if !prepared.is_elsewhere() {
            prepared.account().sent(began, metric_name(operation));
        }
        Self { span, method, client: client.clone(), began, ended: false }
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    pub(crate) fn end(mut self, answer: &Result<Raw>) {
        let (status, headers) = match answer {
            Ok(answer) => (Some(answer.status), Some(&*answer.headers)),
            Err(error) => (error.status(), error.headers()),
        };
        let failed = failure(status, answer.as_ref().err());
        spans::ended(&self.span, status, headers, failed);
        self.count(status.map(status_text).or(failed).unwrap_or("other"), status.is_some());
    }

    fn count(&mut self, status: &'static str, answered: bool) {
        self.ended = true;
        let now = Instant::now();
        let took = now.saturating_duration_since(self.began);
        meter::attempt(&self.method, took, status);
        self.client.inner().watch.attempt(now, answered.then_some(took));
    }
}

impl Drop for ObservedAttempt {
    fn drop(&mut self) {
        if !self.ended {
            spans::ended(&self.span, None, None, Some(CANCELLED));
            self.count(CANCELLED, false);
        }
    }
}

/// Returns the failure: by the error, or by a status that the caller reads, as for OAuth.
fn failure(status: Option<StatusCode>, error: Option<&Error>) -> Option<&'static str> {
    let refused = || status.filter(|status| status.is_client_error() || status.is_server_error());
    error.map(error_type).or_else(|| refused().map(status_text))
}
