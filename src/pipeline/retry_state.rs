//! The attempts of one call: whether there is another, and when.

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use crate::error::{Error, FailedAttempt, FailureClass};
use crate::headers::retry_after::retry_after;
use crate::policy::auth::{Rejection, RequestCredentials};
use crate::policy::retry::{FailedCall, RetrySchedule};
use crate::request::Prepared;

/// The history of a call.
pub(crate) struct RetryState {
    started_at: Instant,
    /// How much of the time since then it waited for limits, or for a response to become ready.
    waited: Duration,
    /// The number of rejections of its token.
    token_rejections: u32,
    /// The number of rejections by a rate limit.
    rate_limit_retries: u32,
    retries: Option<RetrySchedule>,
    failed: Vec<FailedAttempt>,
    last_error: Option<Error>,
}

/// Maximum number of retries after a rejection by a rate limit. Each waits as the limit requires, so more than a few
/// mean that other clients use the whole quota.
const MAX_RATE_LIMIT_RETRIES: u32 = 8;

impl RetryState {
    pub(crate) fn new() -> Self {
        let began = Instant::now();
        Self {
            started_at: began,
            waited: Duration::ZERO,
            token_rejections: 0,
            rate_limit_retries: 0,
            retries: None,
            failed: Vec::new(),
            last_error: None,
        }
    }

    /// Records a wait that is not a failure.
    pub(crate) fn add_wait(&mut self, time: Duration) {
        self.waited = self.waited.saturating_add(time);
    }

    /// Returns the total time of these waits.
    pub(crate) fn waited(&self) -> Duration {
        self.waited
    }

    /// Returns the error of the last attempt.
    pub(crate) fn last_error(&self) -> Option<&Error> {
        self.last_error.as_ref()
    }

    /// Returns the delay before another attempt, or the error with which the call ends.
    ///
    /// A request that GitHub rejected had no effect, and is sent again whatever its method. For any other failure the
    /// policy decides. A body that cannot be sent again as a whole is never sent again; nor is a request that was
    /// `done`, unless it is idempotent.
    pub(crate) fn next_retry(
        &mut self,
        prepared: &Prepared,
        credentials: &RequestCredentials,
        done: bool,
        error: Error,
    ) -> Result<Duration, Error> {
        match self.backoff(prepared, credentials, done, &error) {
            Some(pause) if pause < prepared.timeout.remaining() => {
                self.record_failure(error);
                Ok(pause)
            }
            _ => Err(self.with_history(error)),
        }
    }

    /// Adds the failed attempts to the final error of the call.
    pub(crate) fn with_history(&mut self, error: Error) -> Error {
        error.with_attempts(std::mem::take(&mut self.failed))
    }

    /// Ends the call since it is not admitted. An error from GitHub takes precedence.
    pub(crate) fn fail_admission(&mut self, error: Error) -> Error {
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
        prepared: &Prepared,
        credentials: &RequestCredentials,
        done: bool,
        error: &Error,
    ) -> Option<Duration> {
        let repeatable = prepared.is_replayable() && (!done || prepared.is_idempotent());
        if error.status() == Some(StatusCode::UNAUTHORIZED) {
            let (api, headers) = error.api().zip(error.headers())?;
            let refusal = error.failure_details();
            let rejection = Rejection { message: &api.message, headers, failure_details: refusal };
            let (handle, times) = (prepared.client().handle(), self.token_rejections);
            let gateway = handle.gateway.as_ref();
            let pause = credentials.on_unauthorized(&handle.identity, gateway, times, &rejection);
            self.token_rejections += 1;
            // The token is discarded even if this call cannot be sent again.
            return pause.filter(|_| repeatable);
        }
        if !repeatable {
            return None;
        }
        if error.class() == FailureClass::RateLimited {
            self.rate_limit_retries += 1;
            // The limits determine the delay.
            return (self.rate_limit_retries <= MAX_RATE_LIMIT_RETRIES).then_some(Duration::ZERO);
        }
        let failed = FailedCall {
            class: error.class(),
            // Not `Error::retry_after`, which prefers the stored time.
            retry_after: error.headers().and_then(retry_after),
            is_idempotent: prepared.is_idempotent(),
            is_replayable: true,
            elapsed: self.started_at.elapsed().saturating_sub(self.waited),
            remaining: prepared.timeout.remaining(),
        };
        let retries =
            self.retries.get_or_insert_with(|| RetrySchedule::new(prepared.retry().clone()));
        retries.next(&failed, &prepared.client().handle().retry_budget)
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
