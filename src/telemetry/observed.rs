//! Calls and attempts from their beginning to their end, as spans and metrics see them.
//!
//! One that is dropped, as by a timeout of the caller's own, has ended as `cancelled`.

use std::sync::Arc;

use http::{Method, StatusCode};
use tokio::time::Instant;
use tracing::Span;

use super::error_type::{error_type, status_text};
use super::usage::Account;
use super::{meter, spans};
use crate::cache::CacheStatus;
use crate::error::{Error, Result};
use crate::request::{Prepared, Request};
use crate::response::{Raw, request_id};

/// What ended before it was told how.
const CANCELLED: &str = "cancelled";

/// A call.
pub(crate) struct Observed {
    span: Span,
    operation: &'static str,
    is_read: bool,
    authorized: bool,
    began: Instant,
    /// Not for a call that the client makes behind the back of another.
    in_flight: Option<meter::InFlight>,
    account: Arc<Account>,
    ended: bool,
}

impl Observed {
    pub(crate) fn begin(request: &Request) -> Self {
        Self {
            span: spans::call(request),
            operation: request.metric_name(),
            is_read: request.method() == Method::GET,
            authorized: request.is_authorized(),
            began: Instant::now(),
            in_flight: (!request.is_behind()).then(meter::InFlight::call),
            account: request.account(),
            ended: false,
        }
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// The call ended with this answer.
    pub(crate) fn end(self, answer: &Result<Raw>) {
        match answer {
            Ok(raw) => self.end_with((raw.status, request_id(&raw.headers), raw.came), None),
            Err(error) => self.fail(error),
        }
    }

    /// The call ended without an answer to decode.
    pub(crate) fn fail(self, error: &Error) {
        self.finish((error.status(), error.request_id(), None), Some(error));
    }

    /// The call ended, and its answer was decoded, or was not.
    pub(crate) fn end_with(
        self,
        (status, id, came): (StatusCode, Option<&str>, CacheStatus),
        error: Option<&Error>,
    ) {
        self.finish((Some(status), id, Some(came)), error);
    }

    fn finish(
        mut self,
        (status, id, came): (Option<StatusCode>, Option<&str>, Option<CacheStatus>),
        error: Option<&Error>,
    ) {
        let failed = failure(status, error);
        spans::ended(&self.span, status, id, failed);
        spans::cached(&self.span, came);
        self.count(failed);
        if let (true, true, Some(came)) = (self.is_read, self.in_flight.is_some(), came) {
            meter::cached(came, self.authorized);
        }
    }

    fn count(&mut self, failed: Option<&'static str>) {
        self.ended = true;
        if self.in_flight.is_some() {
            meter::call(self.operation, self.began.elapsed(), failed);
            self.account.called(self.operation, failed.is_some());
        }
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        if !self.ended {
            spans::ended(&self.span, None, None, Some(CANCELLED));
            self.count(Some(CANCELLED));
        }
    }
}

/// An attempt.
pub(crate) struct ObservedAttempt {
    span: Span,
    method: Method,
    began: Instant,
    ended: bool,
}

impl ObservedAttempt {
    /// `sent` went before, for whatever reason.
    pub(crate) fn begin(prepared: &Prepared, sent: u32) -> Self {
        let (span, method) = (spans::attempt(prepared, sent), prepared.method().clone());
        Self { span, method, began: Instant::now(), ended: false }
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    pub(crate) fn end(mut self, answer: &Result<Raw>) {
        let (status, id) = match answer {
            Ok(answer) => (Some(answer.status), request_id(&answer.headers)),
            Err(error) => (error.status(), error.request_id()),
        };
        let failed = failure(status, answer.as_ref().err());
        spans::ended(&self.span, status, id, failed);
        self.count(status.map(status_text).or(failed).unwrap_or("other"));
    }

    fn count(&mut self, status: &'static str) {
        self.ended = true;
        meter::attempt(&self.method, self.began.elapsed(), status);
    }
}

impl Drop for ObservedAttempt {
    fn drop(&mut self) {
        if !self.ended {
            spans::ended(&self.span, None, None, Some(CANCELLED));
            self.count(CANCELLED);
        }
    }
}

/// Why it failed: by the error, or by a status that is read by whoever asked, as those of OAuth are.
fn failure(status: Option<StatusCode>, error: Option<&Error>) -> Option<&'static str> {
    let refused = || status.filter(|status| status.is_client_error() || status.is_server_error());
    error.map(error_type).or_else(|| refused().map(status_text))
}
