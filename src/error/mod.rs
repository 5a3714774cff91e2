//! The error type of the whole library.
//!
//! GitHub's own description of an error is in [`api`]; this file contains the type around it.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use self::auth::AuthFailure;
use self::graphql::GraphQlErrors;
use crate::headers::rate_limit::RateLimitStatus;
use crate::headers::request_id::request_id;
use crate::headers::retry_after::retry_after;
use crate::sanitize;

mod advice;
mod api;
pub(crate) mod auth;
mod class;
pub(crate) mod error_type;
mod failure_reason;
mod file;
pub(crate) mod graphql;
mod incomplete;
mod optional;
mod predicates;
mod source;
mod text;
mod transport;
mod validation;

pub(crate) use advice::{SSO, rate_limit_advice};
pub use api::{ApiError, ApiErrorDetail};
pub(crate) use class::{CallResult, FailureClass};
pub(crate) use failure_reason::{FailureDetails, FailureReason, indicates_rate_limit};
pub(crate) use file::FileError;
pub use incomplete::{Incomplete, IncompleteReason};
pub use optional::OptionalExt;
pub(crate) use text::Markup;
pub(crate) use transport::LengthMismatch;
use validation::ValidationDetails;

/// The result of a fallible function of this library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The name of an operation in messages: its id, or the method and path of a call without an operation.
pub(crate) type OperationName = Cow<'static, str>;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A failure: its cause, its operation, and the next step.
///
/// The type is opaque and one pointer wide. [`kind`](Self::kind) is the coarse classification, and the predicates
/// (`is_not_found`, `is_rate_limited`, `already_exists`, …) cover the usual decisions of a program.
///
/// Its [`Display`](fmt::Display) is one line of at most 4,096 characters, without secrets. Control and invisible
/// characters of external text are escaped, and its parts are truncated:
///
/// ```text
/// issues/get: GitHub returned 404 Not Found: "Not Found" (request id 8F2A:1B); a private
/// resource that the token cannot access also returns 404; see https://docs.github.com/rest
/// ```
///
/// ```no_run
/// # async fn example(client: octowire::Client) -> octowire::Result<()> {
/// # use http::Method;
/// let call = client.request(Method::GET, "/repos/rust-lang/rust/issues/1");
/// match call.send::<serde_json::Value>().await {
///     Ok(issue) => println!("{}", issue["title"]),
///     Err(error) if error.is_not_found() => println!("no such issue"),
///     Err(error) => return Err(error),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    operation: Option<OperationName>,
    message: Cow<'static, str>,
    advice: Cow<'static, str>,
    retryable: bool,
    rate_limited: bool,
    /// GitHub's message before secrets were redacted.
    failure_details: FailureDetails,
    validation: ValidationDetails,
    status: Option<StatusCode>,
    headers: Option<HeaderMap>,
    api: Option<ApiError>,
    graphql: Option<GraphQlErrors>,
    body: Option<Bytes>,
    json_path: Option<String>,
    incomplete: Option<Incomplete>,
    auth: Option<AuthFailure>,
    retry_after: Option<Duration>,
    /// The call cannot have reached GitHub.
    not_sent: bool,
    /// The wait before another attempt for which the call had not enough time.
    precluded_wait: Option<Duration>,
    attempts: Vec<FailedAttempt>,
    /// Shared, so that all callers that waited for one result get the same error.
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// A failed attempt of a call that was followed by another: [`Error::attempts`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailedAttempt {
    /// The kind of the failure.
    pub kind: ErrorKind,
    /// The status of GitHub's response, if there was one.
    pub status: Option<StatusCode>,
    /// GitHub's request id, which its support asks for.
    pub request_id: Option<String>,
    /// Whether a write has certainly changed nothing.
    pub(crate) had_no_effect: bool,
}

impl FailedAttempt {
    /// Describes the attempt that failed with this error.
    pub(crate) fn of(error: &Error) -> Self {
        Self {
            kind: error.kind(),
            status: error.status(),
            request_id: error.request_id().map(str::to_owned),
            had_no_effect: error.class().had_no_effect(),
        }
    }
}

/// The kind of an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// GitHub responded with a status that is not a success: see [`Error::api`].
    Api,
    /// GitHub responded with success, but the body does not match the type: see [`Error::json_path`] and
    /// [`Error::body`]. A body that is not JSON, such as a diff or an archive, is read with
    /// [`send_stream`](crate::Request::send_stream).
    Decode,
    /// The connection failed before the response was complete.
    Transport,
    /// The response did not arrive within a timeout, or is [not ready](Error::is_not_ready) yet.
    Timeout,
    /// The request cannot be sent: a value is missing or malformed.
    InvalidRequest,
    /// The client cannot be built from these settings.
    Configuration,
    /// No token is available, or a credential is invalid: see [`Error::auth_failure`]. GitHub's response, if there was
    /// one, is the error's source.
    Authentication,
    /// The GraphQL API responded with errors: see [`Error::graphql`].
    GraphQl,
    /// The pages of a list do not end: their links form a cycle, a hundred pages in a row contain nothing new, or the
    /// list is longer than the caller's limit.
    Pagination,
    /// The pages of a list ended, and GitHub reports more items than they had, or that some are missing: see
    /// [`Error::incomplete`]. The error follows the delivered items.
    Incomplete,
    /// The client did not send the call, since it would have exceeded one of GitHub's rate limits: see
    /// [`Error::retry_after`]. Nothing was sent, except for the attempts in [`Error::attempts`].
    RateLimit,
    /// The server fails too often, and calls to it are rejected for a while: see
    /// [`CircuitBreaker`](crate::CircuitBreaker). Nothing was sent, except for the attempts in [`Error::attempts`].
    CircuitOpen,
    /// More calls are queued than the [limit](crate::policy::rate_limit::RateLimitPolicy::max_queued) allows. Nothing was sent.
    QueueFull,
    /// A budget of the application (feature `usage`) is exhausted: see [`Error::retry_after`]. Nothing
    /// was sent, except for the attempts in [`Error::attempts`].
    BudgetExhausted,
    /// The [store](crate::store) is unavailable, or its response is invalid. Calls continue without it.
    StoreUnavailable,
    /// The cache has no response for a call that is restricted to the [cache](crate::policy::cache). Nothing was sent.
    NotCached,
    /// An [`Interceptor`](crate::Interceptor) of the application rejected the call: its error is the source. Nothing was
    /// sent, except for the attempts in [`Error::attempts`].
    Interceptor,
    /// A URL leads to a server that the client does not trust with its token, or the link to the next
    /// page of a list leads out of the API's base path.
    UntrustedUrl,
    /// A redirect that cannot be followed.
    Redirect,
    /// The body of a response is larger than the limit: [`max_body_bytes`](crate::ClientBuilder::max_body_bytes), that of
    /// [a call](crate::Request::max_body_bytes), or the argument of a method of [`ByteStream`](crate::ByteStream).
    BodyTooLarge,
    /// A blocking call (feature `blocking`) cannot wait for its result: its thread belongs to a Tokio runtime, or the
    /// library's own runtime cannot start. Nothing was sent.
    Blocking,
    /// A file of the application cannot be read or written: the source of a [body](crate::Body::file), or the target of
    /// a [download](crate::ByteStream::save_to). The source of the error is the [`std::io::Error`],
    /// unless the task that used the file ended early.
    File,
}

impl ErrorKind {
    /// Returns the kind in lower case, such as `rate_limit`: the `error.type` of spans and metrics. For
    /// [`Api`](Self::Api), these use the status instead.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Decode => "decode",
            Self::Transport => "transport",
            Self::Timeout => "timeout",
            Self::InvalidRequest => "invalid_request",
            Self::Configuration => "configuration",
            Self::Authentication => "authentication",
            Self::GraphQl => "graphql",
            Self::Pagination => "pagination",
            Self::Incomplete => "incomplete",
            Self::RateLimit => "rate_limit",
            Self::CircuitOpen => "circuit_open",
            Self::QueueFull => "queue_full",
            Self::BudgetExhausted => "budget",
            Self::StoreUnavailable => "store",
            Self::NotCached => "not_cached",
            Self::Interceptor => "interceptor",
            Self::UntrustedUrl => "untrusted_url",
            Self::Redirect => "redirect",
            Self::BodyTooLarge => "body_too_large",
            Self::Blocking => "blocking",
            Self::File => "file",
        }
    }
}

impl Error {
    /// Returns the kind of this error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the status of GitHub's response, if there was one.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// Returns the operation's id, such as `issues/get`; for a call created by
    /// [`Client::request`](crate::Client::request), its method and path.
    #[must_use]
    pub fn operation(&self) -> Option<&str> {
        self.0.operation.as_deref()
    }

    /// Returns GitHub's request id, which its support asks for.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        request_id(self.0.headers.as_ref()?)
    }

    /// Returns the headers of GitHub's response, if there was one, except for those with a value of more than 8 KiB.
    /// `[hidden]` replaces a value that repeats a secret of this process.
    #[must_use]
    pub fn headers(&self) -> Option<&HeaderMap> {
        self.0.headers.as_ref()
    }

    /// Returns the delay after which the call might succeed: the response's `Retry-After` header, a day at most, or the
    /// time until the limit that [rejected the call](ErrorKind::RateLimit) admits it, or until an exhausted
    /// [budget](ErrorKind::BudgetExhausted) starts again.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after.or_else(|| retry_after(self.0.headers.as_ref()?))
    }

    /// Returns the attempts that failed before the last one, which this error describes; empty if there was one attempt
    /// only. There are 35 at most: 19 retries, and 8 each after a rejected token and a rate limit.
    #[must_use]
    pub fn attempts(&self) -> &[FailedAttempt] {
        &self.0.attempts
    }

    /// Returns the rate limit status from the response's headers.
    #[must_use]
    pub fn rate_limit(&self) -> Option<RateLimitStatus> {
        RateLimitStatus::from_headers(self.0.headers.as_ref()?)
    }

    /// Returns the page on which the token is authorized for an organization that requires SAML single sign-on: the URL
    /// in GitHub's header
    /// [`X-GitHub-SSO`](https://docs.github.com/en/rest/authentication/authenticating-to-the-rest-api#authenticating-with-saml-sso).
    ///
    /// The token's owner has to open it. It is valid for an hour, and has at most 2,048 characters.
    #[must_use]
    pub fn sso_url(&self) -> Option<&str> {
        advice::sso_url(self.0.headers.as_ref()?)
    }

    /// Returns GitHub's description of the error, for errors of the kind [`ErrorKind::Api`].
    #[must_use]
    pub fn api(&self) -> Option<&ApiError> {
        self.0.api.as_ref()
    }

    /// Returns the errors of the GraphQL API, for errors of the kind [`ErrorKind::GraphQl`].
    #[must_use]
    pub fn graphql(&self) -> Option<&GraphQlErrors> {
        self.0.graphql.as_ref()
    }

    /// Returns the body of the response, for errors of the kinds [`ErrorKind::Api`], [`ErrorKind::Decode`] and
    /// [`ErrorKind::GraphQl`]. For one item of a [list](crate::Items), it is the item's JSON.
    ///
    /// It is as GitHub sent it, except for secrets that this process has used, such as tokens, which a server might
    /// repeat: `[hidden]` replaces each. JSON remains JSON; a number that is a secret becomes a string. A body of more
    /// than 1 MiB is truncated to the first MiB, and an incomplete body lacks its last word.
    #[must_use]
    pub fn body(&self) -> Option<&Bytes> {
        self.0.body.as_ref()
    }

    /// Returns the failure class of a credential, for errors of the kind [`ErrorKind::Authentication`].
    #[must_use]
    pub fn auth_failure(&self) -> Option<AuthFailure> {
        self.0.auth
    }

    /// Returns the JSON path at which decoding stopped, such as `$.items[3].user`; truncated to 1,000 characters.
    #[must_use]
    pub fn json_path(&self) -> Option<&str> {
        self.0.json_path.as_deref()
    }
}

/// The source of an error for an unreadable value: the store responds, and the value of a key cannot be read.
#[derive(Debug)]
struct UnreadableValue {
    /// The time at which the value might have been lost, if it is absent.
    #[cfg_attr(not(feature = "usage"), allow(dead_code, reason = "usage alone needs it"))]
    lost_at: Option<SystemTime>,
}

impl fmt::Display for UnreadableValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the store is available, but the value is unreadable")
    }
}

impl std::error::Error for UnreadableValue {}

impl Error {
    /// Returns the error for an unreadable value, for your own [`Store`](crate::store::Store): the store responds, and
    /// the value under the key cannot have been written by this client. `problem` names the actual content, such as
    /// `a list`; it is escaped and truncated to 1,000 characters.
    ///
    /// The client does not treat it as an outage. It repairs a number with
    /// [`repair_sum`](crate::store::CounterStore::repair_sum), and treats any other value as missing.
    #[must_use]
    pub fn unreadable_value(problem: &str) -> Self {
        Self::unreadable(problem, None)
    }

    /// Returns the error for a number that is absent, and that the store might have lost at this time.
    #[cfg(feature = "disk-store")]
    pub(crate) fn lost_value(problem: &str, at: SystemTime) -> Self {
        Self::unreadable(problem, Some(at))
    }

    fn unreadable(problem: &str, lost_at: Option<SystemTime>) -> Self {
        Self::new(ErrorKind::StoreUnavailable, format!("stored value is unreadable: {problem}"))
            .with_advice(
                "the client repairs the value; find the other program that writes to the store",
            )
            // The error is recognized by its type, which a sanitized source can lose.
            .with_caller_source(Box::new(UnreadableValue { lost_at }))
    }

    /// Marks the error of a token that is an unreadable value of its store.
    #[cfg(feature = "encrypted-token-store")]
    pub(crate) fn with_unreadable_value(self) -> Self {
        self.with_caller_source(Box::new(UnreadableValue { lost_at: None }))
    }

    /// Returns whether the store responds, and only the value is unreadable.
    pub(crate) fn is_unreadable_value(&self) -> bool {
        self.unreadable_source().is_some()
    }

    /// Returns when the store might have lost the value, for an unreadable value that is absent. A value that was
    /// started later cannot have been lost.
    #[cfg(feature = "usage")]
    pub(crate) fn lost_at(&self) -> Option<SystemTime> {
        self.unreadable_source()?.lost_at
    }

    fn unreadable_source(&self) -> Option<&UnreadableValue> {
        std::error::Error::source(self)?.downcast_ref()
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        let message = match message.into() {
            Cow::Owned(message) => sanitize::text(&message, MAX_MESSAGE_CHARS).into_owned().into(),
            own => own,
        };
        Self(Box::new(Inner {
            kind,
            operation: None,
            message,
            advice: Cow::Borrowed(""),
            retryable: matches!(kind, ErrorKind::Transport | ErrorKind::Timeout),
            rate_limited: false,
            failure_details: FailureDetails::default(),
            validation: ValidationDetails::default(),
            status: None,
            headers: None,
            api: None,
            graphql: None,
            body: None,
            json_path: None,
            incomplete: None,
            auth: None,
            retry_after: None,
            not_sent: false,
            precluded_wait: None,
            attempts: Vec::new(),
            source: None,
        }))
    }

    /// Sets the next step, for the end of the line.
    pub(crate) fn with_advice(mut self, advice: impl Into<Cow<'static, str>>) -> Self {
        self.0.advice = advice.into();
        self
    }

    /// Sets the operation, unless one is set already.
    pub(crate) fn with_operation(mut self, operation: &OperationName) -> Self {
        if self.0.operation.is_none() {
            self.0.operation = Some(operation.clone());
        }
        self
    }

    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source::sanitized(source.into()));
        self
    }

    /// Sets the same for a source that the application created itself, which is unchanged.
    pub(crate) fn with_caller_source(mut self, source: BoxError) -> Self {
        self.0.source = Some(Arc::from(source));
        self
    }

    /// Sets the origin of the invalid credential.
    pub(crate) fn with_origin(mut self, origin: &str) -> Self {
        self.0.message = Cow::Owned(format!("{origin}: {}", self.0.message));
        self
    }

    pub(crate) fn with_retryable(mut self, retryable: bool) -> Self {
        self.0.retryable = retryable;
        self
    }

    pub(crate) fn with_rate_limited(mut self, rate_limited: bool) -> Self {
        self.0.rate_limited = rate_limited;
        self
    }

    pub(crate) fn with_failure_details(mut self, rejection: FailureDetails) -> Self {
        self.0.failure_details = rejection;
        self
    }

    fn with_validation(mut self, validation: ValidationDetails) -> Self {
        self.0.validation = validation;
        self
    }

    /// Returns GitHub's message.
    pub(crate) fn failure_details(&self) -> FailureDetails {
        self.0.failure_details
    }

    pub(crate) fn with_auth_failure(mut self, failure: AuthFailure) -> Self {
        self.0.auth = Some(failure);
        self
    }

    pub(crate) fn with_retry_after(mut self, time: Duration) -> Self {
        self.0.retry_after = Some(time);
        self
    }

    /// Records that the request did not leave this machine, or was not sent to GitHub.
    pub(crate) fn with_not_sent(mut self) -> Self {
        self.0.not_sent = true;
        self
    }

    pub(crate) fn with_sent(mut self) -> Self {
        self.0.not_sent = false;
        self
    }

    pub(crate) fn is_not_sent(&self) -> bool {
        self.0.not_sent
    }

    /// Records that the call would have had another attempt after this time, if its own time limit were longer.
    pub(crate) fn with_precluded_wait(mut self, wait: Option<Duration>) -> Self {
        self.0.precluded_wait = wait;
        self
    }

    /// Returns the wait before another attempt for which the call had not enough time.
    pub(crate) fn precluded_wait(&self) -> Option<Duration> {
        self.0.precluded_wait
    }

    pub(crate) fn with_attempts(mut self, attempts: Vec<FailedAttempt>) -> Self {
        self.0.attempts = attempts;
        self
    }

    pub(crate) fn with_response(mut self, status: StatusCode, headers: HeaderMap) -> Self {
        self.0.status = Some(status);
        self.0.headers = Some(sanitize::bounded(headers));
        self
    }

    pub(crate) fn with_api(mut self, api: ApiError) -> Self {
        self.0.api = Some(api);
        self
    }

    pub(crate) fn with_graphql(mut self, errors: GraphQlErrors) -> Self {
        self.0.graphql = Some(errors);
        self
    }

    /// Stores a copy of the body, or of its beginning: an error can be kept for long.
    pub(crate) fn with_body(mut self, body: &[u8]) -> Self {
        self.0.body = Some(sanitize::body(body, MAX_BODY_BYTES));
        self
    }

    /// Drops the body, since it might contain a token.
    pub(crate) fn without_body(mut self) -> Self {
        self.0.body = None;
        self
    }

    pub(crate) fn with_json_path(mut self, path: String) -> Self {
        self.0.json_path = Some(sanitize::text(&path, MAX_PATH_CHARS).into_owned());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        let mut line = String::new();
        if let Some(operation) = self.operation() {
            write!(line, "{}: ", sanitize::text(operation, MAX_OPERATION_CHARS))?;
        }
        line.push_str(&self.0.message);
        if !self.0.attempts.is_empty() {
            write!(line, " after {} attempts", self.0.attempts.len().saturating_add(1))?;
        }
        if let Some(id) = self.request_id() {
            write!(line, " (request id {id})")?;
        }
        if !self.0.advice.is_empty() {
            write!(line, "; {}", self.0.advice)?;
        }
        // Applied to every part: a secret might have become known since.
        f.write_str(&sanitize::text(&line, MAX_ERROR_CHARS))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &format_args!("{self}"))
            .field("json_path", &self.0.json_path)
            .field("source", &self.0.source)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.source {
            Some(source) => Some(source.as_ref()),
            None => None,
        }
    }
}

/// External text on one line of bounded length, without secrets.
pub(crate) struct OneLine<'a>(pub(crate) &'a str);

/// Maximum length of an external text in the line of an error, in characters.
const LINE_CHARS: usize = 400;
/// Maximum length of an error's line, in characters.
const MAX_ERROR_CHARS: usize = 4_096;
/// Maximum length of an error's message, which is one part of the line.
const MAX_MESSAGE_CHARS: usize = 2_048;
/// Maximum length of the method and path of a call without an operation.
const MAX_OPERATION_CHARS: usize = 300;
/// Maximum length of the stored body, in bytes.
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Maximum length of a JSON path.
const MAX_PATH_CHARS: usize = 1_000;

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&sanitize::prose(self.0, LINE_CHARS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_at_most_two_words_wide() {
        assert!(size_of::<Error>() <= 16);
    }

    #[test]
    fn an_error_can_cross_threads() {
        fn check<T: Send + Sync + 'static>() {}
        check::<Error>();
    }

    #[test]
    fn foreign_text_stays_on_one_line() {
        assert_eq!(OneLine("a\nb\u{1b}c").to_string(), r"a b\u{1b}c");
        assert_eq!(OneLine(&"x".repeat(500)).to_string().chars().count(), LINE_CHARS);
    }

    #[test]
    fn foreign_text_shows_no_token() {
        assert_eq!(OneLine("a \"ghp_hunter2hunter2hunter2\"\nb").to_string(), r#"a "[hidden]" b"#);
        // Also if the line ends within it.
        let long = format!("{} github_pat_hunter2hunter2hunter2", "x".repeat(LINE_CHARS - 14));
        assert!(!OneLine(&long).to_string().contains("github_pat_"));
    }
}
