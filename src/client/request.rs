//! The public request: a draft and its options, the methods that send it, and the future of its response.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::HeaderValue;
use http::header::{ACCEPT, HeaderName};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::Client;
use super::pagination::{Items, Listed, Pages};
use crate::api::operation::Operation;
use crate::endpoints::Endpoints;
use crate::error::{OperationName, Result};
use crate::pipeline::call::Call;
use crate::pipeline::{BodyMode, CallFuture, execute};
use crate::policy::cache::CachePolicy;
use crate::policy::rate_limit::Priority;
use crate::policy::retry::RetryPolicy;
use crate::request::RequestDraft;
use crate::request::body::Body;
use crate::response::{ByteStream, RawResponse, Response};
use crate::time::deadline::DeadlineExtension;

/// One request, from its builder to its response.
///
/// [`Client::request`] creates one for endpoints that GitHub's description does not contain. The builder of an
/// operation wraps one, whose options are available through the builder's `with`.
///
/// An invalid value fails the call when it is sent, before any network traffic: the error is of the kind
/// [`InvalidRequest`](crate::ErrorKind::InvalidRequest) and names the value.
///
/// ```no_run
/// # async fn example(client: octowire::Client) -> octowire::Result<()> {
/// use http::Method;
///
/// let repo = client
///     .request(Method::GET, "/repos/rust-lang/rust")
///     .accept("application/vnd.github+json")
///     .send::<serde_json::Value>()
///     .await?;
/// println!("{}", repo["stargazers_count"]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing is sent before `send`"]
pub struct Request(Box<Call>);

const MAX_PREFETCH: usize = 16;

/// Options of a single request.
impl Request {
    /// Sets a query parameter, and replaces its previous value.
    ///
    /// The value is percent-encoded. GitHub expects most lists as `a,b,c`.
    pub fn query(mut self, name: impl Into<Cow<'static, str>>, value: impl Display) -> Self {
        self.0.draft.query(name.into(), value.to_string());
        self
    }

    /// Sets a header, and replaces that of the client or the operation.
    ///
    /// An `authorization` header replaces the client's token, and like it is sent to the client's own GitHub server
    /// only.
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName, Error: Display>,
        V: TryInto<HeaderValue, Error: Display>,
    {
        self.0.draft.header(name, value);
        self
    }

    /// Sets the requested media type, such as `application/vnd.github.full+json`: see GitHub's [media
    /// types](https://docs.github.com/en/rest/using-the-rest-api/getting-started-with-the-rest-api#media-types). For diffs,
    /// patches, raw files and HTML, there are [`diff`](Self::diff), [`patch`](Self::patch), [`raw`](Self::raw) and
    /// [`html`](Self::html).
    pub fn accept<V: TryInto<HeaderValue, Error: Display>>(self, value: V) -> Self {
        self.header(ACCEPT, value)
    }

    /// Sets this value as a JSON body.
    pub fn json<T: Serialize + ?Sized>(mut self, body: &T) -> Self {
        self.0.draft.set_json(body);
        self
    }

    /// Sets these bytes as the body.
    ///
    /// The call has no total timeout unless [`timeout`](Self::timeout) sets one: it continues as long as it makes
    /// progress.
    pub fn body<V>(mut self, content_type: V, body: impl Into<Body>) -> Self
    where
        V: TryInto<HeaderValue, Error: Display>,
    {
        self.0.draft.raw_body(content_type, body.into());
        self
    }

    /// Sets the timeout of this call as a whole, instead of the client's
    /// [`call_timeout`](crate::ClientBuilder::call_timeout). Waiting for a rate limit counts as well: a call that would
    /// not be admitted in time fails at once.
    ///
    /// The body of a [streamed](Self::send_stream) response does not count. For pages, the timeout applies to each
    /// page.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.options.timeout = Some(timeout);
        self
    }

    /// Sets the priority of the call among those that wait for the same limit; interactive by default.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.0.options.priority = priority;
        self
    }

    /// Marks the request as idempotent, so that it is retried like a `GET`: see [`RetryPolicy`]. By default, `GET`,
    /// `HEAD`, `OPTIONS`, `PUT`, `DELETE` and GraphQL queries are idempotent.
    pub fn idempotent(mut self) -> Self {
        self.0.options.idempotent = true;
        self
    }

    /// Polls while GitHub responds with `202 Accepted`, up to this duration in total: GitHub sends it for
    /// [statistics](https://docs.github.com/en/rest/metrics/statistics) that are not computed yet. By default such a
    /// response is an error ([`Error::is_not_ready`](crate::Error::is_not_ready)), since its `{}` is not a result; a
    /// call created by [`Client::request`](crate::Client::request) returns it as it is, if the type fits.
    ///
    /// The call polls after 1 s, and then after twice as long each time, up to 15 s, or when GitHub's `Retry-After`
    /// says. Each poll counts against rate limits. The delays do not count for the client's own time limit, but for
    /// [`timeout`](Self::timeout) they do. For pages, the duration applies to each page.
    ///
    /// ```no_run
    /// # #[cfg(feature = "repos")]
    /// # async fn example(github: octowire::Client) -> octowire::Result<()> {
    /// use std::time::Duration;
    ///
    /// let call = github.repos().get_contributors_stats().owner("rust-lang").repo("rust");
    /// let activity = call.with(|request| request.poll_until_ready(Duration::from_secs(60))).send().await?;
    /// # let _ = activity;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The call fails with [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) and the status 202 if the response is not
    /// ready in time. It fails with [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest), before anything is
    /// sent, if it is not a `GET`: for other methods, 202 means that GitHub performs the request later, and a poll
    /// would repeat it.
    pub fn poll_until_ready(mut self, max: Duration) -> Self {
        self.0.options.poll_until_ready = Some(max);
        self
    }

    /// Sets the retry policy of this call, instead of the client's [policy](crate::ClientBuilder::retry).
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.0.options.retry = Some(Box::new(policy));
        self
    }

    /// Sets the [cache](crate::policy::cache) policy of this call, instead of the client's
    /// [policy](crate::policy::cache::CacheConfig::default_policy). It has no effect on methods other than `GET`, and for pages it applies to
    /// each page.
    pub fn cache(mut self, policy: CachePolicy) -> Self {
        self.0.options.cache = Some(Box::new(policy));
        self
    }

    /// Sets the largest body of this call, in bytes after decompression, instead of the client's
    /// [`max_body_bytes`](crate::ClientBuilder::max_body_bytes). A longer one is an error of the kind
    /// [`BodyTooLarge`](crate::ErrorKind::BodyTooLarge). It has no effect on [streamed](Self::send_stream) bodies, and for
    /// pages it applies to each page.
    pub fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.0.options.max_body_bytes = Some(bytes);
        self
    }

    /// Sets how many pages [`pages`](Self::pages) and [`items`](Self::items) fetch ahead of the current one: 4 by
    /// default, 16 at most, and 0 for none.
    ///
    /// Lists with numbered pages are fetched concurrently; those with a cursor one page ahead, since only a page
    /// contains the link to the next one.
    pub fn prefetch(mut self, pages: usize) -> Self {
        self.0.options.prefetch = pages.min(MAX_PREFETCH);
        self
    }

    /// Returns the id of the operation, such as `issues/get`; `None` for a request created by [`Client::request`].
    #[must_use]
    pub fn operation_id(&self) -> Option<&'static str> {
        self.0.draft.operation.map(|operation| operation.id)
    }
}

/// Methods that send the request.
impl Request {
    /// Sends the request and decodes the JSON of the response.
    ///
    /// An empty body is read as `null`, which decodes to the `None` of an [`Option`].
    ///
    /// The body has to be UTF-8, as [RFC 8259](https://www.rfc-editor.org/rfc/rfc8259#section-8.1) requires of JSON:
    /// otherwise the call fails with [`ErrorKind::Decode`](crate::ErrorKind::Decode), even if the invalid byte is in a
    /// property that `T` ignores. [`send_stream`](Self::send_stream) returns any body as it is.
    pub fn send<T: DeserializeOwned>(self) -> ResponseFuture<T> {
        ResponseFuture::new(execute(self.0, BodyMode::Buffered), RawResponse::json)
    }

    /// Sends the request and ignores the body of the response.
    pub fn send_empty(self) -> ResponseFuture<()> {
        ResponseFuture::new(execute(self.0, BodyMode::Buffered), RawResponse::empty)
    }

    /// Sends the request and returns the body as a stream, in any format: for an archive, a log, or another [media
    /// type](Self::accept) than JSON. [`save_to`](ResponseFuture::save_to) saves it in a file.
    ///
    /// A response that is not a success is an error here as well. The stream is neither cached nor retried:
    /// [`send_text`](Self::send_text) and [`send_bytes`](Self::send_bytes) are.
    pub fn send_stream(self) -> ResponseFuture<ByteStream> {
        ResponseFuture::new(execute(self.0, BodyMode::Streamed), RawResponse::stream)
    }

    /// Returns the pages of a list, which GitHub's `Link` headers
    /// [connect](https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api).
    pub fn pages<T: DeserializeOwned + 'static>(self) -> Pages<T> {
        Pages::new(self)
    }

    /// Returns the items of a list across its pages; `extract` takes them out of a page.
    ///
    /// If a page is an object with a `total_count` and one list, or a list called `items`, the stream compares the
    /// number of delivered items with that count: see [`Items`].
    ///
    /// ```no_run
    /// # async fn example(client: octowire::Client) -> octowire::Result<()> {
    /// # use http::Method;
    /// # use serde_json::Value;
    /// let mut issues = client
    ///     .request(Method::GET, "/repos/rust-lang/rust/issues")
    ///     .query("per_page", 100)
    ///     .items(|page: Vec<Value>| page);
    /// while let Some(issue) = issues.try_next().await? {
    ///     println!("{}", issue["title"]);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn items<T, I>(self, extract: fn(T) -> Vec<I>) -> Items<I>
    where
        T: DeserializeOwned + 'static,
        I: 'static,
    {
        Items::with_extractor(self, extract)
    }
}

/// Functions for generated code and the other modules of the client.
impl Request {
    // The features determine whether there are operations.
    #[allow(dead_code)]
    #[inline]
    pub(crate) fn operation(client: &Client, operation: &'static Operation) -> Self {
        Self::of(client, RequestDraft::for_operation(operation))
    }

    pub(crate) fn of(client: &Client, draft: RequestDraft) -> Self {
        Self(Box::new(Call::new(client.handle().clone(), draft)))
    }

    /// Returns the plain values of the request, for its setters.
    // The features determine whether there are operations.
    #[allow(dead_code)]
    #[inline]
    pub(crate) fn draft_mut(&mut self) -> &mut RequestDraft {
        &mut self.0.draft
    }

    #[cfg(feature = "testing")]
    pub(crate) fn draft(&self) -> &RequestDraft {
        &self.0.draft
    }

    #[inline]
    pub(crate) fn into_call(self) -> Box<Call> {
        self.0
    }

    /// Returns the items of an operation's list. `field` is the property of the page that contains the list; `None` if
    /// the page is the list.
    // The features determine whether there are operations.
    #[allow(dead_code)]
    #[inline]
    pub(crate) fn list<T, I>(
        self,
        field: Option<&'static str>,
        open: fn(T) -> Listed<I>,
    ) -> Items<I>
    where
        T: DeserializeOwned + 'static,
        I: DeserializeOwned + 'static,
    {
        Items::for_operation(self, field, open)
    }

    /// Returns the same request to another URL, which has its own query.
    pub(crate) fn page(&self, url: Url) -> Self {
        let Call { handle, draft, options } = &*self.0;
        let draft = draft.page(&handle.shared.endpoints, url);
        Self(Box::new(Call { handle: handle.clone(), draft, options: options.clone() }))
    }

    /// Sets the extensions of the call's time limits.
    pub(crate) fn set_extension(&mut self, extension: DeadlineExtension) {
        self.0.options.extension = Some(extension);
    }

    pub(crate) fn endpoints(&self) -> &Endpoints {
        &self.0.handle.shared.endpoints
    }

    /// Returns the name of the operation for messages.
    pub(crate) fn name(&self) -> &OperationName {
        &self.0.draft.name
    }

    pub(crate) fn pages_ahead(&self) -> usize {
        self.0.options.prefetch
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (query, headers) = self.0.draft.parameter_names();
        f.debug_struct("Request")
            .field("operation", &self.0.draft.name)
            .field("query", &query)
            .field("headers", &headers)
            .finish_non_exhaustive()
    }
}

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
    call: CallFuture,
    decode: fn(RawResponse) -> Result<Response<T>>,
}

impl<T> ResponseFuture<T> {
    /// Creates the future of a call and its decoding.
    pub(crate) fn new(call: CallFuture, decode: fn(RawResponse) -> Result<Response<T>>) -> Self {
        Self { call, decode }
    }
}

impl<T> Future for ResponseFuture<T> {
    type Output = Result<Response<T>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let decode = self.decode;
        Pin::new(&mut self.call).poll(context).map(|called| called.decode(decode, |_| None))
    }
}

impl<T> fmt::Debug for ResponseFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
