//! Interceptors: code of the application around each call and each attempt.

use std::error::Error as StdError;
use std::fmt;
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use url::Url;

use crate::error::{Error, Result};
use crate::response::response_headers::ResponseHeaders;
use crate::response::{CacheStatus, RawResponse};

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
/// default headers. Before an attempt, an `authorization` header and a gateway's token that the call sets itself are
/// hidden as well. An interceptor cannot change them: see [`OutgoingRequest`].
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
/// /// Rejects every write.
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

    /// Runs once for each call that this interceptor has not rejected, with its outcome: a response of the cache or of
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
///
/// Changes of these headers have no effect; the request has those of the call and of the client:
///
/// | header | in |
/// |---|---|
/// | `authorization`, and the header of a [gateway's](crate::ClientBuilder::gateway) token | every call and attempt |
/// | `host`, `content-length`, `transfer-encoding` | every call and attempt |
/// | `cookie`, `range`, and conditions such as `if-none-match` | every attempt of a read through the [cache](crate::cache) |
///
/// A response to a cookie belongs to the cookie's identity, which the cache does not know. To send one, set it in
/// [`before_call`](Interceptor::before_call): then the call bypasses the cache.
pub struct OutgoingRequest<'a> {
    pub(super) operation: &'a str,
    pub(super) method: &'a Method,
    pub(super) url: &'a Url,
    pub(super) headers: &'a mut HeaderMap,
    pub(super) resend_count: u32,
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

    /// Returns these headers, to change them, except for [some](OutgoingRequest).
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
    pub(super) operation: &'a str,
    pub(super) method: &'a Method,
    pub(super) duration: Duration,
    pub(super) response: Option<ResponseMetadata<'a>>,
    pub(super) error: Option<&'a Error>,
}

/// The properties of a successful response that interceptors see.
#[derive(Clone, Copy)]
pub(super) struct ResponseMetadata<'a> {
    status: StatusCode,
    headers: &'a ResponseHeaders,
    cache_status: CacheStatus,
}

impl<'a, U> From<&'a RawResponse<U>> for ResponseMetadata<'a> {
    fn from(response: &'a RawResponse<U>) -> Self {
        let RawResponse { status, headers, cache_status, .. } = response;
        Self { status: *status, headers, cache_status: *cache_status }
    }
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
        let status = self.response.map(|response| response.status);
        status.or_else(|| self.error?.status())
    }

    /// Returns the headers of the response, also of one that is an error.
    #[must_use]
    pub fn headers(&self) -> Option<&HeaderMap> {
        let headers = self.response.map(|response| &**response.headers.map());
        headers.or_else(|| self.error?.headers())
    }

    /// Returns where the response came from; `None` for an error.
    #[must_use]
    pub fn cache_status(&self) -> Option<CacheStatus> {
        self.response.map(|response| response.cache_status)
    }

    /// Returns the error, unless the request succeeded.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        self.error
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
