//! The retry state of one call: whether it has another attempt, and when.

use std::ops::ControlFlow;
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;
use tracing::debug;

use super::admission::AttemptRejection;
use super::attempt::Attempt;
use super::call_context::CallContext;
use super::outcome::is_rate_limited;
use crate::error::error_type::error_type;
use crate::error::{Error, ErrorKind, FailedAttempt, FailureClass, Result};
use crate::headers::retry_after::retry_after;
use crate::meter;
use crate::policy::auth::Rejection;
use crate::policy::poll::AcceptedPoller;
use crate::policy::retry::{FailedCall, RetrySchedule};
use crate::response::RawResponse;

/// The history of a call.
pub(super) struct RetryState {
    started_at: Instant,
    /// How much of the time since then it waited for limits, or for a response to become ready.
    waited: Duration,
    /// How much of that it waited for other calls of its batch, which `LimitAction` does not bound.
    parked: Duration,
    /// The number of requests that were sent, for any reason.
    sent: u32,
    /// The number of rejections of its token.
    token_rejections: u32,
    /// The number of rejections by a rate limit.
    rate_limit_rejections: u32,
    retries: Option<Box<RetrySchedule>>,
    polls: Option<AcceptedPoller>,
    failed: Vec<FailedAttempt>,
    last_error: Option<Error>,
    /// Whether the next attempt is a retry of a failed one.
    is_retry: bool,
    /// The last response, if it is GraphQL's rejection by a rate limit.
    rejection: Option<Box<RawResponse>>,
}

/// Maximum number of retries after a rejection by a rate limit. Each waits as the limit requires, so more than a few
/// mean that other clients use the whole quota.
const MAX_RATE_LIMIT_RETRIES: u32 = 8;

impl RetryState {
    /// Begins a call.
    pub(super) fn begin(context: &CallContext) -> Self {
        context.shared().retry_budget.deposit();
        Self {
            started_at: Instant::now(),
            waited: Duration::ZERO,
            parked: Duration::ZERO,
            sent: 0,
            token_rejections: 0,
            rate_limit_rejections: 0,
            retries: None,
            polls: context.options.poll_until_ready.map(AcceptedPoller::new),
            failed: Vec::new(),
            last_error: None,
            is_retry: false,
            rejection: None,
        }
    }

    /// Returns how long the call has waited for limits, as far as its longest wait bounds that.
    pub(super) fn waited_for_limits(&self) -> Duration {
        self.waited.saturating_sub(self.parked)
    }

    /// Returns the number of requests that were sent.
    pub(super) fn sent(&self) -> u32 {
        self.sent
    }

    /// Counts an attempt that was admitted. Returns the number of earlier ones.
    pub(super) fn begin_attempt(&mut self, attempt: &Attempt) -> u32 {
        self.add_wait(attempt.waited);
        self.parked = self.parked.saturating_add(attempt.parked);
        if std::mem::take(&mut self.is_retry) {
            self.last_error.as_ref().inspect(|error| meter::retry(error_type(error)));
        }
        let earlier = self.sent;
        self.sent = self.sent.saturating_add(1);
        earlier
    }

    /// Records a wait that is not a failure.
    fn add_wait(&mut self, time: Duration) {
        self.waited = self.waited.saturating_add(time);
    }

    /// Returns the delay before another attempt, or the response or error with which the call ends.
    pub(super) fn next(
        &mut self,
        context: &CallContext,
        attempt: &Attempt,
        response: Result<RawResponse>,
    ) -> Result<ControlFlow<RawResponse, Duration>> {
        self.rejection = None;
        match response {
            Ok(response) if is_rate_limited(context, &response) => {
                Ok(self.after_rejection(context, response))
            }
            Ok(response) => self.after_response(context, response),
            Err(error) => {
                let pause = self.after_error(context, attempt, error)?;
                debug!(?pause, "retrying");
                meter::wait_recorded("retry", pause);
                self.is_retry = true;
                Ok(ControlFlow::Continue(pause))
            }
        }
    }

    /// GraphQL rejected the call because of a rate limit, with a success status. GitHub has done nothing, and the
    /// limits determine when to retry.
    fn after_rejection(
        &mut self,
        context: &CallContext,
        response: RawResponse,
    ) -> ControlFlow<RawResponse, Duration> {
        self.rate_limit_rejections += 1;
        // The last rejection is the result of the call.
        let is_last = self.rate_limit_rejections >= MAX_RATE_LIMIT_RETRIES;
        if is_last || context.deadline.remaining().is_zero() {
            return ControlFlow::Break(response);
        }
        self.rejection = Some(Box::new(response));
        ControlFlow::Continue(Duration::ZERO)
    }

    /// Polls again for a response that is not ready, if the call does.
    fn after_response(
        &mut self,
        context: &CallContext,
        response: RawResponse,
    ) -> Result<ControlFlow<RawResponse, Duration>> {
        let Some(polls) = &mut self.polls else { return Ok(ControlFlow::Break(response)) };
        match polls.next_poll(&response, context.max_wait()) {
            Ok(Some(pause)) => {
                debug!(?pause, "response not ready (202); polling");
                context.extend_for_wait(pause);
                meter::wait_recorded("not_ready", pause);
                self.add_wait(pause);
                Ok(ControlFlow::Continue(pause))
            }
            Ok(None) => Ok(ControlFlow::Break(response)),
            Err(error) => Err(self.with_history(error)),
        }
    }

    /// Returns the delay before another attempt, or the error with which the call ends.
    ///
    /// A request that GitHub rejected had no effect, and is sent again whatever its method. For any other failure the
    /// policy decides. A body that cannot be sent again as a whole is never sent again; nor is a request that GitHub
    /// has performed, unless it is idempotent.
    fn after_error(
        &mut self,
        context: &CallContext,
        attempt: &Attempt,
        error: Error,
    ) -> Result<Duration> {
        match self.backoff(context, attempt, &error) {
            Some(pause) if pause < context.deadline.remaining() => {
                self.record_failure(error);
                Ok(pause)
            }
            _ => Err(self.with_history(error)),
        }
    }

    /// Ends the call since an attempt was not admitted. GitHub's rejection takes precedence over the reason.
    pub(super) fn end_unadmitted(&mut self, rejection: AttemptRejection) -> Result<RawResponse> {
        let (AttemptRejection::RateLimit(error) | AttemptRejection::Other(error)) = &rejection;
        if error.kind() == ErrorKind::RateLimit
            && let Some(response) = self.rejection.take()
        {
            return Ok(*response);
        }
        Err(match rejection {
            AttemptRejection::RateLimit(error) => self.fail_admission(error),
            AttemptRejection::Other(error) => self.with_history(error),
        })
    }

    /// Adds the failed attempts to the final error of the call.
    pub(super) fn with_history(&mut self, error: Error) -> Error {
        error.with_attempts(std::mem::take(&mut self.failed))
    }

    /// Ends the call since it is not admitted. An error from GitHub takes precedence.
    fn fail_admission(&mut self, error: Error) -> Error {
        match self.last_error.take() {
            Some(last) if last.is_rate_limited() => {
                self.failed.pop();
                self.with_history(match error.retry_after() {
                    Some(time) if last.retry_after().is_none() => last.with_retry_after(time),
                    _ => last,
                })
            }
            _ => self.with_history(error),
        }
    }

    fn backoff(
        &mut self,
        context: &CallContext,
        attempt: &Attempt,
        error: &Error,
    ) -> Option<Duration> {
        let is_idempotent = context.is_idempotent();
        let repeatable =
            context.spec.is_replayable() && (!attempt.request_completed() || is_idempotent);
        if error.status() == Some(StatusCode::UNAUTHORIZED) {
            let (api, headers) = error.api().zip(error.headers())?;
            let details = error.failure_details();
            let rejection = Rejection { message: &api.message, headers, failure_details: details };
            let (handle, times) = (&context.handle, self.token_rejections);
            let gateway = handle.shared.gateway.as_ref();
            let pause =
                attempt.credentials.on_unauthorized(&handle.identity, gateway, times, &rejection);
            self.token_rejections += 1;
            // The token is discarded even if this call cannot be sent again.
            return pause.filter(|_| repeatable);
        }
        if !repeatable {
            return None;
        }
        if error.class() == FailureClass::RateLimited {
            self.rate_limit_rejections += 1;
            // The limits determine the delay.
            return (self.rate_limit_rejections <= MAX_RATE_LIMIT_RETRIES)
                .then_some(Duration::ZERO);
        }
        let failed = FailedCall {
            class: error.class(),
            // Not `Error::retry_after`, which prefers the stored time.
            retry_after: error.headers().and_then(retry_after),
            is_idempotent,
            is_replayable: true,
            elapsed: self.started_at.elapsed().saturating_sub(self.waited),
            remaining: context.deadline.remaining(),
        };
        let retries = self
            .retries
            .get_or_insert_with(|| Box::new(RetrySchedule::new(context.retry_policy().clone())));
        retries.next(&failed, &context.shared().retry_budget)
    }

    fn record_failure(&mut self, error: Error) {
        // Bounded by the reasons for another attempt: 19 retries, 8 rejections of its token, 8 rejections by a rate
        // limit.
        self.failed.push(FailedAttempt {
            kind: error.kind(),
            status: error.status(),
            request_id: error.request_id().map(str::to_owned),
        });
        self.last_error = Some(error);
    }
}
