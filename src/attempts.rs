//! The attempts of one call: whether there is another, and when.

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use crate::auth::{Passes, Rejection};
use crate::error::{Attempt, Error, ErrorKind};
use crate::request::Prepared;
use crate::retry::{Failed, Retries};

/// The history of a call.
pub(crate) struct Attempts {
    began: Instant,
    /// How much of the time since then it waited for limits, or for a response to become ready.
    waited: Duration,
    /// The number of rejections of its token.
    refusals: u32,
    /// The number of rejections by a rate limit.
    limited: u32,
    retries: Option<Retries>,
    failed: Vec<Attempt>,
    last: Option<Error>,
}

/// Maximum number of retries after a rejection by a rate limit. Each waits as the limit requires, so more than a few
/// mean that other clients use the whole quota.
const MAX_LIMITED: u32 = 8;

impl Attempts {
    pub(crate) fn new() -> Self {
        let began = Instant::now();
        Self {
            began,
            waited: Duration::ZERO,
            refusals: 0,
            limited: 0,
            retries: None,
            failed: Vec::new(),
            last: None,
        }
    }

    /// Records a wait that is not a failure.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.waited = self.waited.saturating_add(time);
    }

    /// Returns the total time of these waits.
    pub(crate) fn waited(&self) -> Duration {
        self.waited
    }

    /// Returns the error of the last attempt.
    pub(crate) fn last(&self) -> Option<&Error> {
        self.last.as_ref()
    }

    /// Returns the delay before another attempt, or the error with which the call ends.
    ///
    /// A request that GitHub rejected had no effect, and is sent again whatever its method. For any other failure the
    /// policy decides. A body that cannot be sent again as a whole is never sent again; nor is a request that was
    /// `done`, unless it is idempotent.
    pub(crate) fn again(
        &mut self,
        prepared: &Prepared,
        passes: &Passes,
        done: bool,
        error: Error,
    ) -> Result<Duration, Error> {
        match self.pause(prepared, passes, done, &error) {
            Some(pause) if pause < prepared.limit.left() => {
                self.keep(error);
                Ok(pause)
            }
            _ => Err(self.end(error)),
        }
    }

    /// Ends the call with this error.
    pub(crate) fn end(&mut self, error: Error) -> Error {
        error.with_attempts(std::mem::take(&mut self.failed))
    }

    /// Ends the call since it is not admitted. An error from GitHub takes precedence.
    pub(crate) fn held_back(&mut self, error: Error) -> Error {
        match self.last.take() {
            Some(last) if last.is_rate_limited() => {
                self.failed.pop();
                self.end(match error.retry_after() {
                    Some(time) if last.retry_after().is_none() => last.with_retry_after(time),
                    _ => last,
                })
            }
            _ => self.end(error),
        }
    }

    fn pause(
        &mut self,
        prepared: &Prepared,
        passes: &Passes,
        done: bool,
        error: &Error,
    ) -> Option<Duration> {
        let repeatable = prepared.is_repeatable() && (!done || prepared.is_idempotent());
        if error.status() == Some(StatusCode::UNAUTHORIZED) {
            let (api, headers) = error.api().zip(error.headers())?;
            let refusal = error.refusal();
            let rejection = Rejection { message: &api.message, headers, refusal };
            let pause = passes.refused(prepared.client(), self.refusals, &rejection);
            self.refusals += 1;
            // The token is discarded even if this call cannot be sent again.
            return pause.filter(|_| repeatable);
        }
        if !repeatable {
            return None;
        }
        if error.is_rate_limited() && error.kind() == ErrorKind::Api {
            self.limited += 1;
            // The limits determine the delay.
            return (self.limited <= MAX_LIMITED).then_some(Duration::ZERO);
        }
        let failed = Failed {
            error,
            idempotent: prepared.is_idempotent(),
            repeatable: true,
            elapsed: self.began.elapsed().saturating_sub(self.waited),
            left: prepared.limit.left(),
        };
        let retries = self.retries.get_or_insert_with(|| Retries::new(prepared.retry().clone()));
        retries.next(&failed, &prepared.client().inner().retry_budget)
    }

    fn keep(&mut self, error: Error) {
        // Bounded by the reasons for another attempt: 19 retries, 8 rejections of its token, 8 rejections by a rate
        // limit.
        self.failed.push(Attempt {
            kind: error.kind(),
            status: error.status(),
            request_id: error.request_id().map(str::to_owned),
        });
        self.last = Some(error);
    }
}
