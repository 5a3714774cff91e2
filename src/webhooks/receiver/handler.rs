//! The handler of deliveries, and its failures.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::timeout;

use super::RetrySchedule;
use crate::sanitize;
use crate::webhooks::Delivery;
use crate::webhooks::body::BoxError;

type Handled = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// A permanent failure: the delivery is not retried.
///
/// A handler returns it, or an error with it as a source.
///
/// ```
/// use octowire::webhooks::{Delivery, PermanentFailure};
///
/// async fn handle(delivery: Delivery) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
///     if delivery.payload().len() > 1_000_000 {
///         return Err(PermanentFailure::new("it is too large for the database").into());
///     }
///     Ok(())
/// }
/// # let _ = handle;
/// ```
#[derive(Debug)]
pub struct PermanentFailure {
    reason: PermanentReason,
}

/// The source of a [`PermanentFailure`], by which it is recognized inside another error, such as `anyhow`'s.
#[derive(Debug)]
struct PermanentReason(BoxError);

/// The timeout and the retry schedule of the handler.
#[derive(Clone, Debug)]
pub(super) struct HandlerConfig {
    pub(super) timeout: Duration,
    pub(super) retry: RetrySchedule,
}

/// The handler, type-erased.
pub(super) struct Handler {
    call: Box<dyn Fn(Delivery) -> Handled + Send + Sync>,
    pub(super) config: HandlerConfig,
}

/// A failed attempt.
#[derive(Debug)]
pub(super) struct HandlerError {
    pub(super) error: BoxError,
    /// Another attempt would fail as well.
    pub(super) is_permanent: bool,
}

impl PermanentFailure {
    /// Creates it with the reason: an error, or text.
    pub fn new(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { reason: PermanentReason(reason.into()) }
    }
}

impl Handler {
    pub(super) fn new<F, R, E>(handler: F, how: HandlerConfig) -> Self
    where
        F: Fn(Delivery) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let call = move |delivery| -> Handled {
            let handled = handler(delivery);
            Box::pin(async move { handled.await.map_err(Into::into) })
        };
        Self { call: Box::new(call), config: how }
    }

    /// Runs one attempt.
    pub(super) async fn attempt(
        &self,
        delivery: Delivery,
        within: Duration,
    ) -> Result<(), HandlerError> {
        // After a panic, the handler's state is its own responsibility, as with a thread's panic; it contains no state
        // of this library.
        let handled = AssertUnwindSafe(async { (self.call)(delivery).await }).catch_unwind();
        let failed = |error: BoxError| HandlerError { is_permanent: is_permanent(&*error), error };
        match timeout(within, handled).await {
            Ok(Ok(result)) => result.map_err(failed),
            Ok(Err(panic)) => {
                Err(failed(format!("handler panicked: {}", panic_message(&*panic)).into()))
            }
            Err(_) => Err(failed(format!("handler timed out after {within:?}").into())),
        }
    }
}

fn is_permanent(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut error = Some(error);
    while let Some(one) = error {
        if one.is::<PermanentFailure>() || one.is::<PermanentReason>() {
            return true;
        }
        error = one.source();
    }
    false
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no panic message")
}

/// Maximum length of the error of a failed delivery, in characters.
const MAX_REASON_CHARS: usize = 2_048;

/// Formats an error with its sources, on one line.
pub(super) fn error_chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        line = format!("{line}: {error}");
        source = error.source();
    }
    sanitize::text(&line, MAX_REASON_CHARS).into_owned()
}

impl fmt::Display for PermanentFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("permanent failure")
    }
}

impl std::error::Error for PermanentFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.reason)
    }
}

impl fmt::Display for PermanentReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for PermanentReason {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}
