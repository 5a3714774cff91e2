//! One request before it is sent.
//!
//! Generated builders wrap it and [`Client::request`] returns it. [`setters`] has the setters of generated code,
//! [`address`] builds the URL, [`prepared`] the headers and the body, and `execute.rs` sends the request.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, HeaderName};
use http::{HeaderMap, HeaderValue, Method};
use serde::Serialize;
use serde::de::DeserializeOwned;
pub(crate) use url::Url;

use crate::api::operation::{Operation, metric_name};
use crate::body::{Body, ByteStream};
use crate::client::Client;
use crate::client::pagination::{Items, Listed, Pages};
use crate::error::{OperationName, Result};
use crate::pipeline::{BodyMode, execute};
use crate::policy::cache::CachePolicy;
use crate::policy::rate_limit::Priority;
use crate::policy::retry::RetryPolicy;
use crate::response::accepted;
use crate::response::{RawResponse, ResponseFuture};
use crate::sanitize;
use crate::time::deadline::DeadlineExtension;

pub(crate) mod body;
mod lists;
#[cfg(feature = "testing")]
mod matcher;
mod scalars;
mod setters;
mod spec;
mod url;

#[cfg(feature = "testing")]
pub(crate) use matcher::RequestMatcher;
pub(crate) use spec::{Prepared, RedirectTarget, SideEffects};

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
pub struct Request(Box<Inner>);

#[derive(Clone)]
struct Inner {
    client: Client,
    operation: Option<&'static Operation>,
    label: OperationName,
    method: Method,
    target: Target,
    query: Vec<(Cow<'static, str>, String)>,
    headers: HeaderMap,
    body: RequestBody,
    timeout: Option<Duration>,
    prefetch: usize,
    extension: Option<DeadlineExtension>,
    kind: RequestKind,
    priority: Priority,
    idempotent: bool,
    poll_until_ready: Option<Duration>,
    retry: Option<Box<RetryPolicy>>,
    cache: Option<Box<CachePolicy>>,
    /// For a page: the path of the list.
    list_path: Option<Box<str>>,
    /// The target is not GitHub's API: no tokens, no headers of the client, and no redirects.
    is_external: bool,
    /// Secrets in the body, which no error can repeat. Set for requests that the client sends for another call.
    is_internal: bool,
    /// How long an earlier request of the same call has waited for limits.
    waited_before: Duration,
    /// Why the request cannot be sent; the first reason is kept.
    invalid: Option<Box<str>>,
}

/// The kind of call, for limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestKind {
    Rest,
    /// A REST request of the client itself: it creates no content.
    Internal,
    GraphQl {
        mutation: bool,
    },
}

/// The target of a request.
#[derive(Clone)]
enum Target {
    /// The path template of the operation, and the values for it.
    Template(Vec<Option<String>>),
    /// A path relative to the base URL, or an absolute URL.
    Raw(String),
    /// A URL that is known to be valid.
    Url(Url),
}

/// The body of a request.
#[derive(Clone)]
pub(crate) enum RequestBody {
    Empty,
    /// The properties of a JSON object, each already serialized.
    Fields(Vec<(Cow<'static, str>, Vec<u8>)>),
    Json(Bytes),
    Raw(HeaderValue, Body),
}

/// The default number of pages fetched ahead: enough to hide the latency of GitHub's lists, few enough to stay far
/// below its 100 concurrent requests.
const DEFAULT_PREFETCH: usize = 4;
const MAX_PREFETCH: usize = 16;

/// Options of a single request.
impl Request {
    /// Sets a query parameter, and replaces its previous value.
    ///
    /// The value is percent-encoded. GitHub expects most lists as `a,b,c`.
    pub fn query(mut self, name: impl Into<Cow<'static, str>>, value: impl Display) -> Self {
        self.0.replace_query(name.into(), [value.to_string()]);
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
        match (name.try_into(), value.try_into()) {
            (Ok(name), Ok(value)) => self.0.insert_header(name, value),
            (Err(reason), _) => self.0.reject(format_args!("invalid header name: {reason}")),
            (Ok(name), Err(reason)) => {
                self.0.reject(format_args!("invalid header {name}: {reason}"))
            }
        }
        self
    }

    /// Sets the requested media type, such as `application/vnd.github.raw+json`: see GitHub's [media
    /// types](https://docs.github.com/en/rest/using-the-rest-api/getting-started-with-the-rest-api#media-types).
    pub fn accept<V: TryInto<HeaderValue, Error: Display>>(self, value: V) -> Self {
        self.header(ACCEPT, value)
    }

    /// Sets this value as a JSON body.
    pub fn json<T: Serialize + ?Sized>(mut self, body: &T) -> Self {
        self.set_json(body);
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
        match content_type.try_into() {
            Ok(content_type) => self.0.body = RequestBody::Raw(content_type, body.into()),
            Err(reason) => self.0.reject(format_args!("invalid content type: {reason}")),
        }
        self
    }

    /// Sets the timeout of this call as a whole, instead of the client's
    /// [`call_timeout`](crate::ClientBuilder::call_timeout). Waiting for a rate limit counts as well: a call that would
    /// not be admitted in time fails at once.
    ///
    /// The body of a [streamed](Self::send_stream) response does not count. For pages, the timeout applies to each
    /// page.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.timeout = Some(timeout);
        self
    }

    /// Sets the priority of the call among those that wait for the same limit; interactive by default.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.0.priority = priority;
        self
    }

    /// Marks the request as idempotent, so that it is retried like a `GET`: see [`RetryPolicy`]. By default, `GET`,
    /// `HEAD`, `OPTIONS`, `PUT`, `DELETE` and GraphQL queries are idempotent.
    pub fn idempotent(mut self) -> Self {
        self.0.idempotent = true;
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
        self.0.poll_until_ready = Some(max);
        self
    }

    /// Sets the retry policy of this call, instead of the client's [policy](crate::ClientBuilder::retry).
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.0.retry = Some(Box::new(policy));
        self
    }

    /// Sets the [cache](crate::policy::cache) policy of this call, instead of the client's
    /// [policy](crate::policy::cache::CacheConfig::default_policy). It has no effect on methods other than `GET`, and for pages it applies to
    /// each page.
    pub fn cache(mut self, policy: CachePolicy) -> Self {
        self.0.cache = Some(Box::new(policy));
        self
    }

    /// Sets how many pages [`pages`](Self::pages) and [`items`](Self::items) fetch ahead of the current one: 4 by
    /// default, 16 at most, and 0 for none.
    ///
    /// Lists with numbered pages are fetched concurrently; those with a cursor one page ahead, since only a page
    /// contains the link to the next one.
    pub fn prefetch(mut self, pages: usize) -> Self {
        self.0.prefetch = pages.min(MAX_PREFETCH);
        self
    }

    /// Sets whether a stored response can be returned and refreshed in the background.
    pub(crate) fn may_be_refreshed(&self) -> bool {
        let cache = self.0.client.handle().cache.as_ref();
        let policy = self.0.cache.as_deref().or_else(|| Some(cache?.policy_for(&self.0.label)));
        self.0.method == Method::GET && policy.is_some_and(CachePolicy::may_refresh)
    }

    /// Returns the id of the operation, such as `issues/get`; `None` for a request created by [`Client::request`].
    #[must_use]
    pub fn operation_id(&self) -> Option<&'static str> {
        self.0.operation.map(|operation| operation.id)
    }
}

/// Methods that send the request.
impl Request {
    /// Sends the request and decodes the JSON of the response.
    ///
    /// An empty body is read as `null`, which decodes to the `None` of an [`Option`].
    pub fn send<T: DeserializeOwned>(self) -> ResponseFuture<T> {
        ResponseFuture::new(execute(self, BodyMode::Buffered), accepted::json)
    }

    /// Sends the request and ignores the body of the response.
    pub fn send_empty(self) -> ResponseFuture<()> {
        ResponseFuture::new(execute(self, BodyMode::Buffered), RawResponse::empty)
    }

    /// Sends the request and returns the body as a stream.
    ///
    /// A response that is not a success is an error here as well.
    pub fn send_stream(self) -> ResponseFuture<ByteStream> {
        ResponseFuture::new(execute(self, BodyMode::Streamed), RawResponse::stream)
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

/// Maximum length of the method and path that identify a call without an operation, in characters.
const MAX_LABEL_CHARS: usize = 300;

/// Functions for generated code and the other modules of this crate.
// Some setters are used only by operations whose feature can be off.
#[allow(dead_code)]
impl Request {
    pub(crate) fn operation(client: &Client, operation: &'static Operation) -> Self {
        let values = operation.path.bytes().filter(|byte| *byte == b'{').map(|_| None).collect();
        let mut inner = Inner::new(client, operation.method.clone(), Target::Template(values));
        inner.operation = Some(operation);
        inner.label = Cow::Borrowed(operation.id);
        Self(Box::new(inner))
    }

    pub(crate) fn raw(client: &Client, method: Method, path: String) -> Self {
        // A query can contain private values, and an absolute URL a password.
        let shown = match path.split_once("://").and_then(|_| Url::parse(&path).ok()) {
            Some(url) => format!("{method} {}", url.path()),
            None => format!("{method} {}", path.split(['?', '#']).next().unwrap_or("")),
        };
        let mut inner = Inner::new(client, method, Target::Raw(path));
        inner.label = Cow::Owned(sanitize::text(&shown, MAX_LABEL_CHARS).into_owned());
        Self(Box::new(inner))
    }

    /// Creates a request to a URL of the client itself.
    pub(crate) fn url(client: &Client, method: Method, label: &'static str, url: Url) -> Self {
        let mut inner = Inner::new(client, method, Target::Url(url));
        inner.label = Cow::Borrowed(label);
        Self(Box::new(inner))
    }

    /// Creates a request of the client itself, at this path relative to the base URL.
    pub(crate) fn internal_request(
        client: &Client,
        method: Method,
        label: &'static str,
        path: &[&str],
    ) -> Result<Self> {
        let url = url::join_segments(client.handle().endpoints.api(), path)?;
        let mut request = Self::url(client, method, label, url);
        request.0.kind = RequestKind::Internal;
        Ok(request)
    }

    /// Creates a request with an OAuth form and a JSON response, to a server that is not GitHub's API.
    pub(crate) fn form(client: &Client, label: &'static str, url: Url, form: Bytes) -> Self {
        const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
        const JSON: HeaderValue = HeaderValue::from_static("application/json");
        let mut request = Self::url(client, Method::POST, label, url);
        request.0.is_external = true;
        request.accept(JSON).body(FORM, form)
    }

    /// Sets the properties of a GraphQL call that limits use.
    pub(crate) fn graphql(mut self, mutation: bool) -> Self {
        self.0.kind = RequestKind::GraphQl { mutation };
        self.0.idempotent = !mutation;
        self
    }

    /// Counts the time that the same call has waited for limits before towards the longest wait.
    pub(crate) fn with_waited(mut self, time: Duration) -> Self {
        self.0.waited_before = time;
        self
    }

    /// Returns the items of an operation's list. `field` is the property of the page that contains the list; `None` if
    /// the page is the list.
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
        let mut request = self.clone();
        // GitHub's links contain the id of a repository, but still belong to the list.
        if request.0.list_path.is_none() {
            let api = self.0.client.base_url().path().trim_end_matches('/');
            let path = request.0.url().ok().map(|url| url.path().to_owned());
            let path = path.and_then(|path| path.strip_prefix(api).map(Box::from));
            request.0.list_path = path;
        }
        request.0.target = Target::Url(url);
        request.0.query.clear();
        request
    }

    /// Sets the extensions of the call's time limits.
    pub(crate) fn set_extension(&mut self, extension: DeadlineExtension) {
        self.0.extension = Some(extension);
    }

    pub(crate) fn client(&self) -> &Client {
        &self.0.client
    }

    /// Returns the method, for spans.
    pub(crate) fn method(&self) -> &Method {
        &self.0.method
    }

    /// Returns the operation's path template; `None` for a call without an operation.
    pub(crate) fn template(&self) -> Option<&'static str> {
        self.0.operation.map(|operation| operation.path)
    }

    /// Returns the label in metrics: the operation's id, or the client's own name for its request.
    pub(crate) fn metric_name(&self) -> &'static str {
        metric_name(&self.0.label)
    }

    /// Returns whether it carries a request credential, and not the client's token.
    pub(crate) fn has_request_credential(&self) -> bool {
        self.0.headers.contains_key(AUTHORIZATION)
    }

    /// Marks it as a request of the client itself, for another call.
    pub(crate) fn internal(mut self) -> Self {
        self.0.is_internal = true;
        self
    }

    pub(crate) fn is_internal(&self) -> bool {
        self.0.is_internal
    }

    /// Returns the target server, as far as it is known before the URL is built.
    pub(crate) fn server(&self) -> &Url {
        match &self.0.target {
            Target::Url(url) => url,
            Target::Template(_) | Target::Raw(_) => {
                let server = self.0.operation.and_then(|operation| operation.server);
                self.0.client.handle().endpoints.for_operation(server)
            }
        }
    }

    /// Returns the name of the operation for messages.
    pub(crate) fn label(&self) -> &OperationName {
        &self.0.label
    }

    pub(crate) fn pages_ahead(&self) -> usize {
        self.0.prefetch
    }
}

impl Inner {
    fn new(client: &Client, method: Method, target: Target) -> Self {
        Self {
            client: client.clone(),
            operation: None,
            label: Cow::Borrowed(""),
            method,
            target,
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: RequestBody::Empty,
            timeout: None,
            prefetch: DEFAULT_PREFETCH,
            extension: None,
            kind: RequestKind::Rest,
            priority: Priority::default(),
            idempotent: false,
            poll_until_ready: None,
            retry: None,
            cache: None,
            list_path: None,
            is_external: false,
            is_internal: false,
            waited_before: Duration::ZERO,
            invalid: None,
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values can be secret or private: names only.
        let query: Vec<_> = self.0.query.iter().map(|(name, _)| name).collect();
        let headers: Vec<_> = self.0.headers.keys().collect();
        f.debug_struct("Request")
            .field("operation", &self.0.label)
            .field("query", &query)
            .field("headers", &headers)
            .finish_non_exhaustive()
    }
}
