//! The attempts of one call: whether there is another, and when.

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use crate::auth::{Passes, Rejection};
use crate::error::{Attempt, Error, ErrorKind};
use crate::request::Prepared;
use crate::retry::{Failed, Retries};

/// What happened to a call so far.
pub(crate) struct Attempts {
    began: Instant,
    /// How much of the time since then it waited for limits, or for an answer to be ready.
    waited: Duration,
    /// How often GitHub refused its token.
    refusals: u32,
    /// How often GitHub refused it for a rate limit.
    limited: u32,
    retries: Option<Retries>,
    failed: Vec<Attempt>,
    last: Option<Error>,
}

/// How often a call goes again that GitHub refused for a rate limit. Each time it waits as the
/// limit says, so that more than a few mean that somebody else uses all there is.
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

    /// The call waited for something that is no failure.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.waited = self.waited.saturating_add(time);
    }

    /// How long it did so in all.
    pub(crate) fn waited(&self) -> Duration {
        self.waited
    }

    /// What the last attempt failed with.
    pub(crate) fn last(&self) -> Option<&Error> {
        self.last.as_ref()
    }

    /// The time to wait before another attempt, or the error that the call ends with.
    ///
    /// What GitHub refused did nothing, and is sent again whatever its method. For anything else
    /// the policy decides. A body that can not be sent again, whole, never is; nor is what was
    /// `done`, unless it may be done twice.
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

    /// The call ends with this error.
    pub(crate) fn end(&mut self, error: Error) -> Error {
        error.with_attempts(std::mem::take(&mut self.failed))
    }

    /// The call ends since it is not let through. What GitHub said of it goes before.
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
            // The token is discarded even if this call can not go again.
            return pause.filter(|_| repeatable);
        }
        if !repeatable {
            return None;
        }
        if error.is_rate_limited() && error.kind() == ErrorKind::Api {
            self.limited += 1;
            // The limits know how long to wait.
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
        // Bounded by what lets a call go again: 19 retries, 8 refusals of its token, 8 of its rate.
        self.failed.push(Attempt {
            kind: error.kind(),
            status: error.status(),
            request_id: error.request_id().map(str::to_owned),
        });
        self.last = Some(error);
    }
}
