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
/// As many as an error tells of.
const MAX_TOLD: usize = 40;

impl Attempts {
    pub(crate) fn new() -> Self {
        let began = Instant::now();
        Self { began, refusals: 0, limited: 0, retries: None, failed: Vec::new(), last: None }
    }

    /// The time to wait before another attempt, or the error that the call ends with.
    ///
    /// What GitHub refused did nothing, and is sent again whatever its method. For anything else
    /// the policy decides. A body that can not be sent again, whole, never is.
    pub(crate) fn again(
        &mut self,
        prepared: &Prepared,
        passes: &Passes,
        error: Error,
    ) -> Result<Duration, Error> {
        match self.pause(prepared, passes, &error) {
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

    fn pause(&mut self, prepared: &Prepared, passes: &Passes, error: &Error) -> Option<Duration> {
        let repeatable = prepared.is_repeatable();
        if error.status() == Some(StatusCode::UNAUTHORIZED) {
            let (api, headers) = error.api().zip(error.headers())?;
            let rejection = Rejection { message: &api.message, headers };
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
            elapsed: self.began.elapsed(),
            left: prepared.limit.left(),
        };
        let retries = self.retries.get_or_insert_with(|| Retries::new(prepared.retry().clone()));
        retries.next(&failed, &prepared.client().inner().retry_budget)
    }

    fn keep(&mut self, error: Error) {
        if self.failed.len() < MAX_TOLD {
            self.failed.push(Attempt {
                kind: error.kind(),
                status: error.status(),
                request_id: error.request_id().map(str::to_owned),
            });
        }
        self.last = Some(error);
    }
}
