//! The error of the whole library.
//!
//! What GitHub itself says in an error is in [`api`]; this file holds the shell around it.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::auth::AuthFailure;
use crate::graphql::GraphQlErrors;
use crate::operation::Label;
use crate::response::RateLimit;
use crate::retry::retry_after;
use crate::sanitize;

mod advice;
mod api;
mod incomplete;
mod refusal;
mod source;
mod text;
mod transport;

pub(crate) use advice::{SSO, when_to_return};
pub use api::{ApiError, ApiErrorDetail};
pub use incomplete::{Incomplete, IncompleteReason};
pub(crate) use refusal::{Reason, Refusal, tells_rate_limit};
pub(crate) use text::Markup;

/// What a fallible function of this library returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What went wrong, with which operation, and what to do next.
///
/// The type is opaque and one pointer wide: ask it. [`kind`](Self::kind) sorts errors roughly,
/// and the questions beside it (`is_not_found`, `is_rate_limited`, …) answer what a program
/// usually decides by.
///
/// Its [`Display`](fmt::Display) is one line of at most 4,096 characters, without a secret in it.
/// Control and invisible characters of foreign text are escaped, and its parts are cut:
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
    operation: Option<Label>,
    message: Cow<'static, str>,
    advice: Cow<'static, str>,
    retryable: bool,
    rate_limited: bool,
    /// What GitHub's message said before secrets were taken out.
    refusal: Refusal,
    status: Option<StatusCode>,
    headers: Option<HeaderMap>,
    api: Option<ApiError>,
    graphql: Option<GraphQlErrors>,
    body: Option<Bytes>,
    json_path: Option<String>,
    incomplete: Option<Incomplete>,
    auth: Option<AuthFailure>,
    retry_after: Option<Duration>,
    /// GitHub can not have heard of the call.
    never_reached: bool,
    attempts: Vec<Attempt>,
    /// Shared, so that all who waited for one thing get the same error.
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// An attempt of a call that failed, and after which there was another: [`Error::attempts`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// What went wrong.
    pub kind: ErrorKind,
    /// The status of GitHub's answer, if there was one.
    pub status: Option<StatusCode>,
    /// GitHub's id of the request, which its support asks for.
    pub request_id: Option<String>,
}

/// The sort of an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// GitHub answered with a status that is no success: see [`Error::api`].
    Api,
    /// GitHub answered with success, but the body is not what the type expects:
    /// see [`Error::json_path`] and [`Error::body`].
    Decode,
    /// The connection failed before the answer was complete.
    Transport,
    /// The answer took longer than a timeout allows, or is [not ready](Error::is_not_ready) yet.
    Timeout,
    /// The request can not be sent as it is: a value is missing or malformed.
    InvalidRequest,
    /// The client can not be built from these settings.
    Configuration,
    /// There is no token to call with, or a credential is not what it should be: see
    /// [`Error::auth_failure`]. What GitHub said, if it was asked, is the error's source.
    Authentication,
    /// The GraphQL API answered with errors: see [`Error::graphql`].
    GraphQl,
    /// The pages of a list do not end: their links run in a circle, a hundred pages in a row bring
    /// nothing new, or the list is longer than the limit which the caller gave.
    Pagination,
    /// The pages of a list ended, and GitHub says that there are more items than they had, or that
    /// some are missing: see [`Error::incomplete`]. It comes after the items that were delivered.
    Incomplete,
    /// The client held the call back, since it would have gone over one of GitHub's rate limits:
    /// see [`Error::retry_after`]. Nothing was sent, unless [`Error::attempts`] tells of earlier
    /// attempts.
    RateLimit,
    /// The server fails too often, and calls to it are given up for a while: see
    /// [`CircuitBreaker`](crate::CircuitBreaker). Nothing was sent, unless [`Error::attempts`] tells
    /// of earlier attempts.
    CircuitOpen,
    /// More calls wait than [may](crate::limits::RateLimits::queue). Nothing was sent.
    QueueFull,
    /// A [budget](crate::telemetry::usage::Budget) of the application's own is spent: see
    /// [`Error::retry_after`]. Nothing was sent, unless [`Error::attempts`] tells of earlier attempts.
    Budget,
    /// The [store](crate::store) can not be reached, or answers with nonsense. Calls go on without
    /// it.
    Store,
    /// Nothing is stored for a call that may be answered from the [cache](crate::cache) only. Nothing
    /// was sent.
    NotCached,
    /// A URL leads to a server that the client does not trust with its token, or the link to the next
    /// page of a list leads out of the API's base path.
    UntrustedUrl,
    /// A redirect that can not be followed.
    Redirect,
    /// The body of an answer is larger than
    /// [`max_body_bytes`](crate::ClientBuilder::max_body_bytes).
    BodyTooLarge,
}

impl ErrorKind {
    /// The kind in lower case, such as `rate_limit`: what spans and metrics have as `error.type`,
    /// but for [`Api`](Self::Api), for which they have the status.
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
            Self::Budget => "budget",
            Self::Store => "store",
            Self::NotCached => "not_cached",
            Self::UntrustedUrl => "untrusted_url",
            Self::Redirect => "redirect",
            Self::BodyTooLarge => "body_too_large",
        }
    }
}

impl Error {
    /// The sort of this error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The status of GitHub's answer, if there was one.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// Whether GitHub answered 404 or 410.
    ///
    /// GitHub also answers 404 for what the token is not allowed to see.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self.0.status, Some(StatusCode::NOT_FOUND | StatusCode::GONE))
    }

    /// Whether GitHub answered 304, since nothing has changed: the answer to a
    /// [conditional request](https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#use-conditional-requests),
    /// one with an `if-none-match` or `if-modified-since` header.
    ///
    /// It is an error since there is no value; [`headers`](Self::headers) has its `etag`.
    #[must_use]
    pub fn is_not_modified(&self) -> bool {
        self.0.status == Some(StatusCode::NOT_MODIFIED)
    }

    /// Whether GitHub answered 202 Accepted to a read, since it is still computing the response, as it
    /// does for [statistics](https://docs.github.com/en/rest/metrics/statistics).
    ///
    /// The kind is [`ErrorKind::Timeout`]. Ask again later, or let the call wait by
    /// [`until_ready`](crate::Request::until_ready).
    #[must_use]
    pub fn is_not_ready(&self) -> bool {
        self.0.kind == ErrorKind::Timeout && self.0.status == Some(StatusCode::ACCEPTED)
    }

    /// Whether a timeout ended the call.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.0.kind == ErrorKind::Timeout
    }

    /// Whether GitHub refused the call because of a primary or secondary
    /// [rate limit](https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api):
    /// by 429, or by 403 with a message that names a limit. If the message of a 403 names no reason,
    /// `retry-after` or `x-ratelimit-remaining: 0` decides; if it names another reason, such as a
    /// permission, these headers do not.
    ///
    /// [`retry_after`](Self::retry_after) and [`rate_limit`](Self::rate_limit) say when
    /// to try again.
    #[must_use]
    pub fn is_rate_limited(&self) -> bool {
        self.0.rate_limited
    }

    /// Whether the same call may succeed later: connection failures, timeouts, broken-off
    /// bodies, rate limits, and the statuses 408, 425, 429, 500, 502, 503 and 504.
    ///
    /// It does not say that sending again is *safe*: a POST that timed out may have
    /// reached GitHub.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// The operation's id, such as `issues/get`; for a call made by
    /// [`Client::request`](crate::Client::request), its method and path.
    #[must_use]
    pub fn operation(&self) -> Option<&str> {
        self.0.operation.as_deref()
    }

    /// GitHub's id of the request, which its support asks for.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        crate::response::request_id(self.0.headers.as_ref()?)
    }

    /// The headers of GitHub's answer, if there was one, but for those with a value of more than 8 KiB.
    /// `[hidden]` stands for a value that repeats a secret of this process.
    #[must_use]
    pub fn headers(&self) -> Option<&HeaderMap> {
        self.0.headers.as_ref()
    }

    /// How long to wait before the call may succeed: as the answer's `Retry-After` header asks, a
    /// day at most, or until the limit for which the client [held it back](ErrorKind::RateLimit)
    /// lets it through, or until a spent [budget](ErrorKind::Budget) begins anew.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after.or_else(|| retry_after(self.0.headers.as_ref()?))
    }

    /// The attempts that failed before the last one, which this error is about; empty if there
    /// was one attempt only. There are 35 at most: 19 retries, and 8 each after a refused token and a
    /// rate limit.
    #[must_use]
    pub fn attempts(&self) -> &[Attempt] {
        &self.0.attempts
    }

    /// The state of the primary rate limit, as the answer's headers tell it.
    #[must_use]
    pub fn rate_limit(&self) -> Option<RateLimit> {
        RateLimit::from_headers(self.0.headers.as_ref()?)
    }

    /// The page on which the token is authorized for an organization that requires SAML single
    /// sign-on: the URL in GitHub's header
    /// [`X-GitHub-SSO`](https://docs.github.com/en/rest/authentication/authenticating-to-the-rest-api#authenticating-with-saml-sso).
    ///
    /// It is for the token's owner to open, works for an hour, and has at most 2,048 characters.
    #[must_use]
    pub fn sso_url(&self) -> Option<&str> {
        advice::sso_url(self.0.headers.as_ref()?)
    }

    /// What GitHub said, for errors of the kind [`ErrorKind::Api`].
    #[must_use]
    pub fn api(&self) -> Option<&ApiError> {
        self.0.api.as_ref()
    }

    /// What the GraphQL API said, for errors of the kind [`ErrorKind::GraphQl`].
    #[must_use]
    pub fn graphql(&self) -> Option<&GraphQlErrors> {
        self.0.graphql.as_ref()
    }

    /// The body of the answer, for errors of the kinds [`ErrorKind::Api`],
    /// [`ErrorKind::Decode`] and [`ErrorKind::GraphQl`]. For one item of a [list](crate::Items), it is
    /// the item's JSON.
    ///
    /// It is as GitHub sent it, but for secrets that this process has used, such as tokens, which a
    /// server may repeat: `[hidden]` stands for each. What was JSON is JSON, in which a number that is a
    /// secret is such a text. Of a body of more than 1 MiB it is the first MiB, and of one that broke off
    /// it is what came, without the last word.
    #[must_use]
    pub fn body(&self) -> Option<&Bytes> {
        self.0.body.as_ref()
    }

    /// What is wrong with a credential, for errors of the kind [`ErrorKind::Authentication`].
    #[must_use]
    pub fn auth_failure(&self) -> Option<AuthFailure> {
        self.0.auth
    }

    /// Where in the body decoding stopped, such as `$.items[3].user`; cut to 1,000 characters.
    #[must_use]
    pub fn json_path(&self) -> Option<&str> {
        self.0.json_path.as_deref()
    }
}

/// The source of an error that says: the store responds, and the value of a key cannot be read.
#[derive(Debug)]
struct UnreadableValue {
    /// When the value can have been lost, if it is not there.
    lost_at: Option<SystemTime>,
}

impl fmt::Display for UnreadableValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the store is available, but the value is unreadable")
    }
}

impl std::error::Error for UnreadableValue {}

impl Error {
    /// Returns the error of an operation that a value stands in the way of, for a [`Store`](crate::store::Store)
    /// of your own: the store responds, and what it holds under the key cannot be what this client wrote.
    /// `problem` says what it is instead, such as `a list`; it is escaped and cut to 1,000 characters.
    ///
    /// The client does not take it for an outage. It repairs a number by
    /// [`repair_sum`](crate::store::Store::repair_sum), and takes any other value for missing.
    #[must_use]
    pub fn unreadable_value(problem: &str) -> Self {
        Self::unreadable(problem, None)
    }

    /// Returns the error for a number that is absent, and that the store can have lost at this time.
    pub(crate) fn lost_value(problem: &str, at: SystemTime) -> Self {
        Self::unreadable(problem, Some(at))
    }

    fn unreadable(problem: &str, lost_at: Option<SystemTime>) -> Self {
        Self::new(ErrorKind::Store, format!("stored value is unreadable: {problem}"))
            .with_advice(
                "the client repairs the value; find the other program that writes to the store",
            )
            // It is told by its type, which a source that is sanitized can lose.
            .with_own_source(Box::new(UnreadableValue { lost_at }))
    }

    /// Whether the store responds, and only the value is unreadable.
    pub(crate) fn is_unreadable_value(&self) -> bool {
        self.unreadable_source().is_some()
    }

    /// Returns when the store can have lost the value, for an unreadable value that is absent. What was
    /// begun later cannot have been lost.
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
            refusal: Refusal::default(),
            status: None,
            headers: None,
            api: None,
            graphql: None,
            body: None,
            json_path: None,
            incomplete: None,
            auth: None,
            retry_after: None,
            never_reached: false,
            attempts: Vec::new(),
            source: None,
        }))
    }

    /// What to do next, for the end of the line.
    pub(crate) fn with_advice(mut self, advice: impl Into<Cow<'static, str>>) -> Self {
        self.0.advice = advice.into();
        self
    }

    /// Names the operation, unless one is named already.
    pub(crate) fn with_operation(mut self, operation: &Label) -> Self {
        if self.0.operation.is_none() {
            self.0.operation = Some(operation.clone());
        }
        self
    }

    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source::sanitized(source.into()));
        self
    }

    /// The same for a source that the application made itself, which stays as it is.
    pub(crate) fn with_own_source(mut self, source: BoxError) -> Self {
        self.0.source = Some(Arc::from(source));
        self
    }

    /// Says where the credential comes from that is wrong.
    pub(crate) fn named(mut self, origin: &str) -> Self {
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

    pub(crate) fn with_refusal(mut self, refusal: Refusal) -> Self {
        self.0.refusal = refusal;
        self
    }

    /// What GitHub's message says.
    pub(crate) fn refusal(&self) -> Refusal {
        self.0.refusal
    }

    pub(crate) fn with_auth_failure(mut self, failure: AuthFailure) -> Self {
        self.0.auth = Some(failure);
        self
    }

    pub(crate) fn with_retry_after(mut self, time: Duration) -> Self {
        self.0.retry_after = Some(time);
        self
    }

    /// Says that the request did not leave this machine, or not for GitHub.
    pub(crate) fn with_never_reached(mut self) -> Self {
        self.0.never_reached = true;
        self
    }

    pub(crate) fn with_reached(mut self) -> Self {
        self.0.never_reached = false;
        self
    }

    pub(crate) fn never_reached(&self) -> bool {
        self.0.never_reached
    }

    pub(crate) fn with_attempts(mut self, attempts: Vec<Attempt>) -> Self {
        self.0.attempts = attempts;
        self
    }

    pub(crate) fn with_answer(mut self, status: StatusCode, headers: HeaderMap) -> Self {
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

    /// Keeps a copy of the body, or of its beginning: an error may be kept for long.
    pub(crate) fn with_body(mut self, body: &[u8]) -> Self {
        self.0.body = Some(sanitize::body(body, MAX_BODY_BYTES));
        self
    }

    /// Drops the body, where it may hold a token.
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
        // Whatever came into it: a secret can have become known since.
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

/// Text from elsewhere on one line of bounded length, without secrets.
pub(crate) struct Line<'a>(pub(crate) &'a str);

/// Maximum length of a foreign text in the line of an error, in characters.
const LINE_CHARS: usize = 400;
/// Maximum length of an error's line, in characters.
const MAX_ERROR_CHARS: usize = 4_096;
/// Maximum length of an error's message, which is one part of the line.
const MAX_MESSAGE_CHARS: usize = 2_048;
/// Maximum length of the method and path of a call that was made by hand.
const MAX_OPERATION_CHARS: usize = 300;
/// As much of a body is kept, in bytes.
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Maximum length of a JSON path.
const MAX_PATH_CHARS: usize = 1_000;

impl fmt::Display for Line<'_> {
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
        assert_eq!(Line("a\nb\u{1b}c").to_string(), r"a b\u{1b}c");
        assert_eq!(Line(&"x".repeat(500)).to_string().chars().count(), LINE_CHARS);
    }

    #[test]
    fn foreign_text_shows_no_token() {
        assert_eq!(Line("a \"ghp_hunter2hunter2hunter2\"\nb").to_string(), r#"a "[hidden]" b"#);
        // Also if the line ends within it.
        let long = format!("{} github_pat_hunter2hunter2hunter2", "x".repeat(LINE_CHARS - 14));
        assert!(!Line(&long).to_string().contains("github_pat_"));
    }
}
