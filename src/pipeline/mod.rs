//! The request path: one call, from a request to its response.
//!
//! | step | once for each | where |
//! |---|---|---|
//! | [`execute`]: span and metrics | call | [`call_future`] |
//! | cache look-up | call | [`call_future`], [`cached::plan_lookup`], [`cached::begin`] |
//! | coalescing with an equal read in flight | call | [`cached`], [`coalesce`] |
//! | [`Interceptor`](interceptor::Interceptor)s of the application | call, attempt | [`interception`] |
//! | [`run_attempts`]: the attempt loop | call | here |
//! | budget check, circuit check, rate limit, circuit permit, credentials, budget reservation | attempt | [`admission::admit`] |
//! | the request with its redirects, and its response | attempt | [`Attempt::run`](attempt::Attempt::run), [`transport::send`](crate::transport::send) |
//! | report to circuit breaker, rate limit and budgets | attempt | [`AttemptPermits::end`](permits::AttemptPermits::end) |
//! | retry, poll, or end | attempt | [`RetryState::next`] |
//!
//! A request is sent again for these reasons: a failure that [`CallRetries::decide`](crate::policy::retry::CallRetries::decide)
//! retries, which includes rate limits and rejected tokens; a 202, if the call polls; a rejected condition of a cached read
//! ([`cached`]); and a redirect ([`transport::send`](crate::transport::send)).
//!
//! Only this module knows all policies. Their order is the order of the code, and the loop calls one function of each.

mod admission;
pub(crate) mod attempt;
pub(crate) mod auth_transport;
mod cached;
pub(crate) mod call;
mod call_future;
mod coalesce;
pub(crate) mod handle;
mod interception;
pub(crate) mod interceptor;
mod permits;
mod retry_state;
#[cfg(feature = "contract")]
mod validate;

use std::pin::pin;

use futures_util::FutureExt;
use futures_util::future::try_join;
use tokio::time::{Instant, sleep};

use self::admission::AttemptRejection;
use self::attempt::Attempt;
pub(crate) use self::attempt::BodyMode;
use self::cached::KnownEntries;
use self::call::{Call, CallContext};
pub(crate) use self::call_future::CallFuture;
use self::retry_state::{NextStep, RetryState};
use crate::error::{Error, Result};
use crate::observability::observer::CallObserver;
use crate::policy::auth::with_refresh_stack;
use crate::policy::cache::lookup::StoredEntry;
use crate::policy::rate_limit::{BatchSlot, CallHandle};
use crate::response::{AttemptResponse, RawResponse};
use crate::runtime::detachable::DetachableCall;

/// The result of a call with its trace. The code that decodes the response records the call's outcome.
pub(crate) struct CallOutcome {
    pub(crate) result: Result<RawResponse>,
    pub(crate) observer: CallObserver,
}

impl CallOutcome {
    /// Decodes the response, and records the call with the resulting outcome. `fault` describes the failure in a value
    /// that decoded in part.
    pub(crate) fn decode<T>(
        self,
        decode: impl FnOnce(RawResponse) -> Result<T>,
        fault: impl FnOnce(&T) -> Option<Error>,
    ) -> Result<T> {
        let raw = match self.result {
            Ok(raw) => raw,
            Err(error) => {
                self.observer.fail(&error);
                return Err(error);
            }
        };
        self.observer.record_response(&raw.headers);
        let (status, cache_status) = (raw.status, raw.cache_status);
        let decoded = decode(raw);
        let fault = decoded.as_ref().ok().and_then(fault);
        let error = decoded.as_ref().err().or(fault.as_ref());
        self.observer.end_decoded(status, cache_status, error);
        decoded
    }
}

/// Runs one call, in one span from its start to its response.
pub(crate) fn execute(call: Box<Call>, mode: BodyMode) -> CallFuture {
    CallFuture::new(call, mode)
}

/// Sends a call to GitHub, whatever is stored. A write invalidates the stored responses that it can have changed.
fn send_uncached(context: CallContext, mode: BodyMode) -> DetachableCall<Result<RawResponse>> {
    DetachableCall::new(context.options.extension.clone(), |detach| {
        let call = CallHandle::new(detach, BatchSlot::current(), context.store_wait.clone());
        with_refresh_stack(Box::pin(uncached_attempts(context, mode, call)))
    })
}

/// The attempts of a call that bypasses the cache. They contain its context.
#[expect(clippy::manual_async_fn, reason = "an async function would have its arguments twice")]
fn uncached_attempts(
    mut context: CallContext,
    mode: BodyMode,
    call: CallHandle,
) -> impl Future<Output = Result<RawResponse>> + Send {
    async move {
        let write = cached::begin_write(&context);
        let response = run_attempts(&mut context, mode, &call, None).await;
        if let Some(write) = write {
            // The final error describes the last attempt only, which might not even have been sent.
            write.finish(context.may_have_had_effect).await;
        }
        response.map(|response| response.with_request_url(|| context.spec.url.into_url()))
    }
}

/// Sends attempts until one succeeds or no retry is possible. They hold permits: `call` is the handle of the
/// [`DetachableCall`] that they are a part of. `known` is what the request can be conditional on.
async fn run_attempts(
    context: &mut CallContext,
    mode: BodyMode,
    call: &CallHandle,
    mut known: Option<&mut KnownEntries<'_>>,
) -> Result<AttemptResponse> {
    let mut attempts = RetryState::begin(context);
    let mut now = attempts.started_at();
    loop {
        let admitted = admit(context, &attempts, call, known.as_deref(), now).await;
        let (mut attempt, entry) = match admitted {
            Ok(admitted) => admitted,
            Err(rejection) => return attempts.end_unadmitted(context, rejection),
        };
        if let Some(known) = &mut known {
            known.apply(context, entry);
        }
        let resend_count = attempts.sent();
        if interception::applies(context) {
            // In a box, since few clients have interceptors.
            let intercepted = Box::pin(interception::before_attempt(context, resend_count)).await;
            intercepted.map_err(|error| attempts.with_history(error))?;
        }
        attempts.begin_attempt(&attempt);
        let response = attempt.run(context, mode, resend_count).await;
        context.may_have_had_effect |= attempt.may_have_had_effect(&response);
        match attempts.next(context, &attempt, response)? {
            NextStep::Return(response) => return Ok(response),
            NextStep::SendAgain(delay) => sleep(delay).await,
        }
        context.store_wait.reset();
        now = Instant::now();
    }
}

/// Admits an attempt that begins at `now`, and meanwhile reads the entry of another identity, if there can be one.
async fn admit(
    context: &CallContext,
    attempts: &RetryState,
    call: &CallHandle,
    known: Option<&KnownEntries<'_>>,
    now: Instant,
) -> Result<(Attempt, Option<StoredEntry>), AttemptRejection> {
    let admitted = pin!(admission::admit(context, attempts.waited_for_limits(), call, now));
    match known.and_then(|known| known.load_shared(context)) {
        // Both query the store concurrently.
        Some(entry) => {
            // In a box, since few calls do so.
            let (mut attempt, entry) = Box::pin(try_join(admitted, entry.map(Ok))).await?;
            // The entry can have taken longer than the admission.
            attempt.admitted_at = Instant::now();
            Ok((attempt, Some(entry)))
        }
        None => Ok((admitted.await?, None)),
    }
}

#[cfg(test)]
mod store_tests;
#[cfg(test)]
mod tests;
