//! Interceptors: code of the application around each call and each attempt.

use std::error::Error as StdError;
use std::fmt;
use std::future::ready;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, StatusCode};
use tokio::time::Instant;
use url::Url;

use super::attempt::timed_out;
use super::call_context::CallContext;
use crate::error::{Error, ErrorKind, Result};
use crate::response::{CacheStatus, RawResponse};
use crate::time::deadline::with_deadline;

/// The future of an [`Interceptor`]'s method. An error ends the call, and is the source of the call's error.
pub type InterceptorFuture<'a> =
    Pin<Box<dyn Future<Output = Result<(), Box<dyn StdError + Send + Sync>>> + Send + 'a>>;

/// Code of the application around each call, and around each of its attempts:
/// [`ClientBuilder::interceptor`](crate::ClientBuilder::interceptor).
///
/// ```text
/// before_call → cache → attempt: before_attempt → request → after_attempt → retry … → after_call
/// ```
///
/// Several interceptors run in the order of their registration before a call or an attempt, and in reverse order after
/// it. A method does nothing unless it is implemented.
///
/// # Secrets
/// The headers that an interceptor sees are those that the call sets, without the client's credentials and without its
/// default headers. Before an attempt, an `authorization` header of the call is hidden as well, and one that an
/// interceptor sets there has no effect.
///
/// # Cache
/// Headers that [`before_call`](Self::before_call) adds are part of the request for the [cache](crate::cache): a
/// response is stored for the values of those that its `Vary` header names, so that a header for tracing does not prevent
/// cache hits. Reads with different headers are not coalesced while they are in flight. Headers that
/// [`before_attempt`](Self::before_attempt) adds concern single requests: a response that varies by them is not stored.
///
/// # Other requests
/// Requests by which the client obtains tokens pass no interceptor. A response that is revalidated in the background is
/// a call of its own.
///
/// ```
/// use octowire::{Interceptor, InterceptorFuture, OutgoingRequest};
///
/// /// Lets this client read only.
/// #[derive(Debug)]
/// struct ReadOnly;
///
/// impl Interceptor for ReadOnly {
///     fn before_call<'a>(&'a self, request: &'a mut OutgoingRequest<'_>) -> InterceptorFuture<'a> {
///         let is_read = request.method().is_safe();
///         let operation = request.operation().to_owned();
///         Box::pin(async move {
///             if is_read { Ok(()) } else { Err(format!("{operation} is a write").into()) }
///         })
///     }
/// }
///
/// # fn main() -> octowire::Result<()> {
/// let client = octowire::Client::builder().interceptor(ReadOnly).build()?;
/// # let _ = client;
/// # Ok(())
/// # }
/// ```
pub trait Interceptor: fmt::Debug + Send + Sync + 'static {
    /// Runs once for each call, before the cache. It can read and change the headers of the call.
    ///
    /// # Errors
    /// An error ends the call with [`ErrorKind::Interceptor`](crate::ErrorKind::Interceptor), and nothing is sent.
    fn before_call<'a>(&'a self, request: &'a mut OutgoingRequest<'_>) -> InterceptorFuture<'a> {
        let _ = request;
        Box::pin(ready(Ok(())))
    }

    /// Runs once for each call that this interceptor has let through, with its outcome: a response of the cache or of
    /// GitHub, or an error. It does not run for a call that is dropped before its end.
    fn after_call(&self, outcome: &RequestOutcome<'_>) {
        let _ = outcome;
    }

    /// Runs before each request that is sent, once the rate limits have admitted it and before credentials are attached.
    /// It can read and change the headers of this request; each attempt starts with those of the call. A redirect is a
    /// part of its attempt.
    ///
    /// # Errors
    /// An error ends the call with [`ErrorKind::Interceptor`](crate::ErrorKind::Interceptor). Earlier attempts were sent.
    fn before_attempt<'a>(&'a self, request: &'a mut OutgoingRequest<'_>) -> InterceptorFuture<'a> {
        let _ = request;
        Box::pin(ready(Ok(())))
    }

    /// Runs after each request that was sent, with its outcome, before it is decided whether there is another attempt.
    fn after_attempt(&self, outcome: &RequestOutcome<'_>) {
        let _ = outcome;
    }
}

/// A call or an attempt before it is sent, for an [`Interceptor`].
pub struct OutgoingRequest<'a> {
    operation: &'a str,
    method: &'a Method,
    url: &'a Url,
    headers: &'a mut HeaderMap,
    resend_count: u32,
}

impl OutgoingRequest<'_> {
    /// Returns the operation's id, such as `issues/get`, or the method and the path of a call without one.
    #[must_use]
    pub fn operation(&self) -> &str {
        self.operation
    }

    /// Returns the method.
    #[must_use]
    pub fn method(&self) -> &Method {
        self.method
    }

    /// Returns the URL. Its query can contain private values.
    #[must_use]
    pub fn url(&self) -> &Url {
        self.url
    }

    /// Returns the headers that the call sets, which take precedence over the client's.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.headers
    }

    /// Returns these headers, to change them.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers
    }

    /// Returns the number of earlier requests of the call, for any reason; zero before a call.
    #[must_use]
    pub fn resend_count(&self) -> u32 {
        self.resend_count
    }
}

impl fmt::Debug for OutgoingRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values can be secret or private: names only.
        f.debug_struct("OutgoingRequest")
            .field("operation", &self.operation)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("resend_count", &self.resend_count)
            .finish_non_exhaustive()
    }
}

/// The outcome of a call or an attempt, for an [`Interceptor`].
pub struct RequestOutcome<'a> {
    operation: &'a str,
    method: &'a Method,
    duration: Duration,
    result: Result<&'a RawResponse, &'a Error>,
}

impl RequestOutcome<'_> {
    /// Returns the operation's id, such as `issues/get`, or the method and the path of a call without one.
    #[must_use]
    pub fn operation(&self) -> &str {
        self.operation
    }

    /// Returns the method.
    #[must_use]
    pub fn method(&self) -> &Method {
        self.method
    }

    /// Returns the time since the interceptors ran before the call, or before the attempt.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Returns the status of the response, also of one that is an error; `None` if there is no response.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self.result {
            Ok(response) => Some(response.status),
            Err(error) => error.status(),
        }
    }

    /// Returns the headers of the response, also of one that is an error.
    #[must_use]
    pub fn headers(&self) -> Option<&HeaderMap> {
        match self.result {
            Ok(response) => Some(&response.headers),
            Err(error) => error.headers(),
        }
    }

    /// Returns where the response came from; `None` for an error.
    #[must_use]
    pub fn cache_status(&self) -> Option<CacheStatus> {
        self.result.ok().map(|response| response.cache_status)
    }

    /// Returns the error, unless the request succeeded.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        self.result.err()
    }
}

impl fmt::Debug for RequestOutcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestOutcome")
            .field("operation", &self.operation)
            .field("duration", &self.duration)
            .field("status", &self.status())
            .field("error", &self.error())
            .finish_non_exhaustive()
    }
}

/// The interceptors of a client, in their order.
pub(crate) type Interceptors = Arc<[Arc<dyn Interceptor>]>;

/// A call that interceptors have let through; empty without any.
#[derive(Default)]
pub(super) struct InterceptedCall(Option<Box<Passed>>);

struct Passed {
    interceptors: Interceptors,
    /// How many of them have let the call through.
    count: usize,
    operation: String,
    method: Method,
    started_at: Instant,
}

impl InterceptedCall {
    /// Runs the interceptors before a call.
    pub(super) async fn begin(&mut self, context: &mut CallContext) -> Result<()> {
        if !applies(context) {
            return Ok(());
        }
        let spec = &mut context.spec;
        let passed = self.0.insert(Box::new(Passed {
            interceptors: Arc::clone(&context.handle.shared.interceptors),
            count: 0,
            operation: spec.name.clone().into_owned(),
            method: spec.method.clone(),
            started_at: Instant::now(),
        }));
        let limit = &context.deadline;
        let mut request = OutgoingRequest {
            operation: &spec.name,
            method: &spec.method,
            url: &spec.url,
            headers: &mut spec.headers,
            resend_count: 0,
        };
        for interceptor in passed.interceptors.iter() {
            let future = pin!(interceptor.before_call(&mut request));
            match with_deadline([limit, limit], future).await {
                Ok(ended) => ended.map_err(rejected)?,
                Err(late) => return Err(timed_out("interceptor", late)),
            }
            passed.count += 1;
        }
        Ok(())
    }

    /// Runs the interceptors after a call.
    pub(super) fn end(self, result: &Result<RawResponse>) {
        let Some(passed) = self.0 else { return };
        let outcome = RequestOutcome {
            operation: &passed.operation,
            method: &passed.method,
            duration: passed.started_at.elapsed(),
            result: result.as_ref(),
        };
        for interceptor in passed.interceptors.iter().take(passed.count).rev() {
            interceptor.after_call(&outcome);
        }
    }
}

/// Runs the interceptors before an attempt.
pub(super) async fn before_attempt(context: &mut CallContext, resend_count: u32) -> Result<()> {
    if !applies(context) {
        return Ok(());
    }
    let (spec, limit) = (&context.spec, &context.deadline);
    let mut headers = spec.headers.clone();
    // Credentials of the call are attached afterwards, like those of the client.
    headers.remove(AUTHORIZATION);
    let mut request = OutgoingRequest {
        operation: &spec.name,
        method: &spec.method,
        url: &spec.url,
        headers: &mut headers,
        resend_count,
    };
    for interceptor in context.handle.shared.interceptors.iter() {
        let future = pin!(interceptor.before_attempt(&mut request));
        match with_deadline([limit, limit], future).await {
            Ok(ended) => ended.map_err(rejected)?,
            Err(late) => return Err(timed_out("interceptor", late)),
        }
    }
    headers.remove(AUTHORIZATION);
    if let Some(authorization) = spec.request_authorization() {
        headers.insert(AUTHORIZATION, authorization.clone());
    }
    context.attempt_headers = Some(Box::new(headers));
    Ok(())
}

/// Returns the time at which an attempt starts, if interceptors run after it.
pub(super) fn attempt_start(context: &CallContext) -> Option<Instant> {
    applies(context).then(Instant::now)
}

/// Runs the interceptors after an attempt.
pub(super) fn after_attempt(
    context: &CallContext,
    started_at: Option<Instant>,
    result: &Result<RawResponse>,
) {
    let Some(started_at) = started_at else { return };
    let outcome = RequestOutcome {
        operation: &context.spec.name,
        method: &context.spec.method,
        duration: started_at.elapsed(),
        result: result.as_ref(),
    };
    context.handle.shared.interceptors.iter().rev().for_each(|one| one.after_attempt(&outcome));
}

/// Returns whether interceptors run for the call: there are any, and it is not one that obtains a token.
fn applies(context: &CallContext) -> bool {
    !context.handle.shared.interceptors.is_empty() && !context.spec.obtains_token()
}

fn rejected(reason: Box<dyn StdError + Send + Sync>) -> Error {
    Error::new(ErrorKind::Interceptor, "an interceptor rejected the request")
        .with_advice("see the source of this error")
        .with_caller_source(reason)
}
