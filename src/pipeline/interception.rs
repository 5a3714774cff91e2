//! Runs the interceptors of a client around its calls and attempts.

use std::error::Error as StdError;
use std::sync::Arc;

use http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, Method};
use tokio::time::Instant;

use super::call::CallContext;
use super::handle::ClientShared;
use super::interceptor::{Interceptors, OutgoingRequest, RequestOutcome};
use crate::error::{Error, ErrorKind, OperationName, Result};
use crate::policy::cache::lookup::bypassing_headers;
use crate::response::{AttemptResponse, RawResponse};

/// The header of GitHub's credential. Usage, limits and the cache are distinguished by it.
static CREDENTIALS: [HeaderName; 1] = [AUTHORIZATION];
/// The headers that determine which server handles the request, and where its body ends.
static FRAMING: [HeaderName; 3] = [CONTENT_LENGTH, HOST, TRANSFER_ENCODING];

/// Returns the headers of credentials: GitHub's and the gateway's.
fn credential_headers(shared: &ClientShared) -> impl Iterator<Item = &HeaderName> {
    CREDENTIALS.iter().chain(shared.gateway.iter().map(|gateway| &gateway.header))
}

/// Sets the headers that interceptors cannot change, in either method, to those of the call.
fn set_protected(headers: &mut HeaderMap, call_headers: &HeaderMap, shared: &ClientShared) {
    for name in credential_headers(shared).chain(&FRAMING) {
        headers.remove(name);
        headers.extend(
            call_headers.get_all(name).into_iter().map(|value| (name.clone(), value.clone())),
        );
    }
}

/// A call that has passed interceptors; empty if the client has none.
#[derive(Default)]
pub(super) struct InterceptedCall(Option<Box<Passed>>);

struct Passed {
    interceptors: Interceptors,
    /// The number of interceptors that the call has passed.
    count: usize,
    operation: OperationName,
    method: Method,
    started_at: Instant,
}

impl InterceptedCall {
    /// Runs the interceptors before a call to which they [apply](applies).
    pub(super) async fn begin(&mut self, context: &mut CallContext) -> Result<()> {
        let mut headers = std::mem::take(&mut context.spec.headers);
        let (spec, shared) = (&context.spec, &context.handle.shared);
        let passed = self.0.insert(Box::new(Passed {
            interceptors: Arc::clone(&shared.interceptors),
            count: 0,
            operation: spec.name.clone(),
            method: spec.method.clone(),
            started_at: Instant::now(),
        }));
        let mut call_headers = HeaderMap::new();
        set_protected(&mut call_headers, &headers, shared);
        let mut request = OutgoingRequest {
            operation: &spec.name,
            method: &spec.method,
            url: spec.url.get(),
            headers: &mut headers,
            resend_count: 0,
        };
        for interceptor in passed.interceptors.iter() {
            let future = interceptor.before_call(&mut request);
            context.within_deadline("interceptor", future).await?.map_err(rejected)?;
            passed.count += 1;
        }
        set_protected(&mut headers, &call_headers, shared);
        context.spec.headers = headers;
        Ok(())
    }

    /// Runs the interceptors after a call.
    pub(super) fn end(self, result: &Result<RawResponse>) {
        let Some(passed) = self.0 else { return };
        let outcome = RequestOutcome {
            operation: &passed.operation,
            method: &passed.method,
            duration: passed.started_at.elapsed(),
            response: result.as_ref().ok().map(Into::into),
            error: result.as_ref().err(),
        };
        for interceptor in passed.interceptors.iter().take(passed.count).rev() {
            interceptor.after_call(&outcome);
        }
    }
}

/// Runs the interceptors before an attempt of a call to which they [apply](applies).
pub(super) async fn before_attempt(context: &mut CallContext, resend_count: u32) -> Result<()> {
    let (spec, shared) = (&context.spec, &context.handle.shared);
    let mut headers = spec.headers.clone();
    // Credentials of the call are attached afterwards, like those of the client.
    credential_headers(shared).for_each(|name| drop(headers.remove(name)));
    let mut request = OutgoingRequest {
        operation: &spec.name,
        method: &spec.method,
        url: spec.url.get(),
        headers: &mut headers,
        resend_count,
    };
    for interceptor in shared.interceptors.iter() {
        let future = interceptor.before_attempt(&mut request);
        context.within_deadline("interceptor", future).await?.map_err(rejected)?;
    }
    if context.conditional.is_some() {
        // A response through the cache belongs to the client's identity, and a 304 is about the stored response.
        bypassing_headers().for_each(|name| drop(headers.remove(name)));
    }
    set_protected(&mut headers, &spec.headers, shared);
    context.attempt_headers = Some(Box::new(headers));
    Ok(())
}

/// Returns the time at which an attempt starts, if interceptors run after it.
pub(super) fn attempt_start(context: &CallContext) -> Option<Instant> {
    applies(context).then(Instant::now)
}

/// Runs the interceptors after an attempt, which ended at `ended_at`.
pub(super) fn after_attempt(
    context: &CallContext,
    started_at: Option<Instant>,
    ended_at: Instant,
    result: &Result<AttemptResponse>,
) {
    let Some(started_at) = started_at else { return };
    let outcome = RequestOutcome {
        operation: &context.spec.name,
        method: &context.spec.method,
        duration: ended_at.saturating_duration_since(started_at),
        response: result.as_ref().ok().map(Into::into),
        error: result.as_ref().err(),
    };
    context.handle.shared.interceptors.iter().rev().for_each(|one| one.after_attempt(&outcome));
}

/// Returns whether interceptors run for the call: there are any, and it is not one that obtains a token.
pub(super) fn applies(context: &CallContext) -> bool {
    !context.handle.shared.interceptors.is_empty() && !context.spec.obtains_token()
}

fn rejected(reason: Box<dyn StdError + Send + Sync>) -> Error {
    Error::new(ErrorKind::Interceptor, "an interceptor rejected the request")
        .with_advice("see the source of this error")
        .with_caller_source(reason)
}
