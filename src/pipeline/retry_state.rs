//! The state of the attempt loop: the history of a call, and what follows each attempt.

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;
use tracing::debug;

use super::admission::AttemptRejection;
use super::attempt::Attempt;
use super::call::CallContext;
use super::permits::is_rate_limited;
use crate::error::error_type::error_type;
use crate::error::{Error, ErrorKind, FailedAttempt, FailureClass, Result};
use crate::headers::retry_after::retry_after;
use crate::meter;
use crate::policy::auth::Rejection;
use crate::policy::poll::AcceptedPoller;
use crate::policy::retry::{AttemptFailure, CallRetries, RetryDecision};
use crate::response::AttemptResponse;

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
    retries: Option<Box<CallRetries>>,
    polls: Option<AcceptedPoller>,
    failed: Vec<FailedAttempt>,
    last_error: Option<Error>,
    /// Whether the next attempt is a retry of a failed one.
    is_retry: bool,
    /// The last response, if it is GraphQL's rejection by a rate limit.
    rejection: Option<Box<AttemptResponse>>,
}

/// What follows an attempt, unless the call fails.
pub(super) enum NextStep {
    /// The end of the call, with this response.
    Return(AttemptResponse),
    /// Another attempt, after this delay.
    SendAgain(Duration),
}

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
            retries: None,
            polls: context.options.poll_until_ready.map(AcceptedPoller::new),
            failed: Vec::new(),
            last_error: None,
            is_retry: false,
            rejection: None,
        }
    }

    /// Returns when the call began.
    pub(super) fn started_at(&self) -> Instant {
        self.started_at
    }

    /// Returns how long the call has waited for limits, as far as its longest wait bounds that.
    pub(super) fn waited_for_limits(&self) -> Duration {
        self.waited.saturating_sub(self.parked)
    }

    /// Returns the number of requests that were sent.
    pub(super) fn sent(&self) -> u32 {
        self.sent
    }

    /// Counts an attempt that was admitted.
    pub(super) fn begin_attempt(&mut self, attempt: &Attempt) {
        if let Some(permit) = &attempt.permits.rate_limit {
            self.add_wait(permit.waited);
            self.parked = self.parked.saturating_add(permit.parked);
        }
        if std::mem::take(&mut self.is_retry) {
            self.last_error.as_ref().inspect(|error| meter::retry(error_type(error)));
        }
        self.sent = self.sent.saturating_add(1);
    }

    /// Records a wait that is not a failure.
    fn add_wait(&mut self, time: Duration) {
        self.waited = self.waited.saturating_add(time);
    }

    /// Returns what follows an attempt, or the error with which the call ends.
    pub(super) fn next(
        &mut self,
        context: &CallContext,
        attempt: &Attempt,
        response: Result<AttemptResponse>,
    ) -> Result<NextStep> {
        self.rejection = None;
        match response {
            Ok(response) if is_rate_limited(context, &response) => {
                Ok(self.after_rejection(context, response))
            }
            Ok(response) => self.after_response(context, response),
            Err(error) => self.after_error(context, attempt, error),
        }
    }

    /// GraphQL rejected the call because of a rate limit, with a success status. GitHub has done nothing, and the
    /// limits determine when to retry. The last rejection is the result of the call.
    fn after_rejection(&mut self, context: &CallContext, response: AttemptResponse) -> NextStep {
        let rejection =
            AttemptFailure { is_result: true, ..self.failure(context, FailureClass::RateLimited) };
        match self.decide(context, &rejection) {
            RetryDecision::RetryAfter(delay) => {
                self.rejection = Some(Box::new(response));
                NextStep::SendAgain(delay)
            }
            RetryDecision::TooLate(_) | RetryDecision::Fail => NextStep::Return(response),
        }
    }

    /// Polls again for a response that is not ready, if the call does.
    fn after_response(
        &mut self,
        context: &CallContext,
        response: AttemptResponse,
    ) -> Result<NextStep> {
        let Some(polls) = &mut self.polls else { return Ok(NextStep::Return(response)) };
        match polls.next_poll(&response, context.max_wait()) {
            Ok(Some(pause)) => {
                debug!(?pause, "response not ready (202); polling");
                context.extend_for_wait(pause);
                meter::wait_recorded("not_ready", pause);
                self.add_wait(pause);
                Ok(NextStep::SendAgain(pause))
            }
            Ok(None) => Ok(NextStep::Return(response)),
            Err(error) => Err(self.with_history(error)),
        }
    }

    /// Retries a failed attempt, or ends the call with its error.
    fn after_error(
        &mut self,
        context: &CallContext,
        attempt: &Attempt,
        error: Error,
    ) -> Result<NextStep> {
        let failure = AttemptFailure {
            is_repeatable: context.spec.is_replayable()
                && (!attempt.request_completed() || context.is_idempotent()),
            token_delay: self.reject_token(context, attempt, &error),
            // Not `Error::retry_after`, which prefers the stored time.
            retry_after: error.headers().and_then(retry_after),
            ..self.failure(context, error.class())
        };
        match self.decide(context, &failure) {
            RetryDecision::RetryAfter(pause) => {
                debug!(?pause, "retrying");
                meter::wait_recorded("retry", pause);
                self.is_retry = true;
                self.record_failure(error);
                Ok(NextStep::SendAgain(pause))
            }
            RetryDecision::TooLate(wait) => {
                Err(self.with_history(error).with_precluded_wait(Some(wait)))
            }
            RetryDecision::Fail => Err(self.with_history(error)),
        }
    }

    /// Discards a token that GitHub rejected, even if the call cannot be sent again. Returns the delay after which
    /// GitHub can accept another one.
    fn reject_token(
        &mut self,
        context: &CallContext,
        attempt: &Attempt,
        error: &Error,
    ) -> Option<Duration> {
        if error.status() != Some(StatusCode::UNAUTHORIZED) {
            return None;
        }
        let (api, headers) = error.api().zip(error.headers())?;
        let details = error.failure_details();
        let rejection = Rejection { message: &api.message, headers, failure_details: details };
        let (handle, times) = (&context.handle, self.token_rejections);
        self.token_rejections += 1;
        attempt.credentials.on_unauthorized(&handle.identity, handle.gateway(), times, &rejection)
    }

    /// Returns a failure of this class with the properties of the call.
    fn failure(&self, context: &CallContext, class: FailureClass) -> AttemptFailure {
        AttemptFailure {
            class,
            is_repeatable: true,
            is_idempotent: context.is_idempotent(),
            token_delay: None,
            retry_after: None,
            is_result: false,
            elapsed: self.started_at.elapsed().saturating_sub(self.waited),
            remaining: context.deadline.remaining(),
        }
    }

    fn decide(&mut self, context: &CallContext, failure: &AttemptFailure) -> RetryDecision {
        let retries = self
            .retries
            .get_or_insert_with(|| Box::new(CallRetries::new(context.retry_policy().clone())));
        retries.decide(failure, &context.shared().retry_budget)
    }

    /// Ends the call since an attempt was not admitted. GitHub's rejection takes precedence over the reason.
    pub(super) fn end_unadmitted(
        &mut self,
        context: &CallContext,
        rejection: AttemptRejection,
    ) -> Result<AttemptResponse> {
        let (AttemptRejection::RateLimit(error) | AttemptRejection::Other(error)) = &rejection;
        if error.kind() == ErrorKind::RateLimit
            && let Some(response) = self.rejection.take()
        {
            return Ok(*response);
        }
        Err(match rejection {
            AttemptRejection::RateLimit(error) => self.fail_admission(context, error),
            AttemptRejection::Other(error) => self.with_history(error),
        })
    }

    /// Adds the failed attempts to the final error of the call.
    pub(super) fn with_history(&mut self, error: Error) -> Error {
        error.with_attempts(std::mem::take(&mut self.failed))
    }

    /// Ends the call since it is not admitted. An error from GitHub takes precedence.
    fn fail_admission(&mut self, context: &CallContext, error: Error) -> Error {
        match self.last_error.take() {
            Some(last) if last.is_rate_limited() => {
                self.failed.pop();
                let wait = error.retry_after();
                let last = match wait {
                    Some(time) if last.retry_after().is_none() => last.with_retry_after(time),
                    _ => last,
                };
                // Without a timeout of the caller, all calls wait equally long.
                let precluded = wait.filter(|_| context.options.timeout.is_some());
                self.with_history(last).with_precluded_wait(precluded)
            }
            _ => self.with_history(error),
        }
    }

    fn record_failure(&mut self, error: Error) {
        // Bounded by the reasons for another attempt: 19 retries, 8 rejections of its token, 8 rejections by a rate
        // limit.
        self.failed.push(FailedAttempt::of(&error));
        self.last_error = Some(error);
    }
}
