//! The future of a call's response.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::error::Result;
use crate::pipeline::CallOutcome;
use crate::response::{RawResponse, Response};

/// A call in progress, which resolves to its response.
///
/// Nothing is sent before it is polled, and dropping it ends the call.
/// It is `Send + 'static`, so that it can be spawned.
///
/// If another call waits for a resource of this call, such as a permit of the [rate limits](crate::policy::rate_limit::RateLimitPolicy),
/// a task of the Tokio runtime runs this one to its end. Task-local values of the application are not visible in that
/// task.
#[must_use = "nothing is sent until the future is awaited"]
pub struct ResponseFuture<T> {
    response: Pin<Box<dyn Future<Output = CallOutcome> + Send>>,
    decode: fn(RawResponse) -> Result<Response<T>>,
}

impl<T> ResponseFuture<T> {
    /// Erases the call's type, except for that of its result, so that the request path is compiled once.
    pub(crate) fn new(
        response: impl Future<Output = CallOutcome> + Send + 'static,
        decode: fn(RawResponse) -> Result<Response<T>>,
    ) -> Self {
        Self { response: Box::pin(response), decode }
    }
}

impl<T> Future for ResponseFuture<T> {
    type Output = Result<Response<T>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let decode = self.decode;
        self.response.as_mut().poll(context).map(|called| called.decode(decode, |_| None))
    }
}

impl<T> fmt::Debug for ResponseFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
