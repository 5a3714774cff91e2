//! One request before it is sent.
//!
//! Generated builders wrap it and [`Client::request`] returns it. What generated code sets is in
//! [`setters`]; how it becomes a URL is in [`address`], and headers and a body in [`prepared`]; how it
//! is sent is in `call.rs`.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, HeaderName};
use http::{HeaderMap, HeaderValue, Method};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::body::{Body, ByteStream};
use crate::cache::CachePolicy;
use crate::call::{Reading, call};
use crate::client::Client;
use crate::deadline::Slack;
use crate::error::Result;
use crate::limits::Priority;
use crate::operation::{Label, Operation, metric_name};
use crate::pages::{Items, Listed, Pages};
use crate::ready;
use crate::response::{Raw, ResponseFuture};
use crate::retry::RetryPolicy;
use crate::sanitize;

mod address;
mod lists;
mod prepared;
mod scalars;
mod setters;
#[cfg(feature = "testing")]
mod wanted;

pub(crate) use prepared::{Changes, Hop, Prepared};
#[cfg(feature = "testing")]
pub(crate) use wanted::Wanted;

/// One request, from its builder to its answer.
///
/// [`Client::request`] makes one for what GitHub's document does not have. The builder of an
/// operation wraps one, whose options are reached by the builder's `with`.
///
/// A value that can not be sent is remembered and fails the call when it is sent, before anything
/// leaves: the error is of the kind [`InvalidRequest`](crate::ErrorKind::InvalidRequest) and names
/// the value.
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
    label: Label,
    method: Method,
    target: Target,
    query: Vec<(Cow<'static, str>, String)>,
    headers: HeaderMap,
    body: Payload,
    timeout: Option<Duration>,
    prefetch: usize,
    slack: Option<Slack>,
    kind: Kind,
    priority: Priority,
    idempotent: bool,
    until_ready: Option<Duration>,
    retry: Option<Box<RetryPolicy>>,
    cache: Option<Box<CachePolicy>>,
    /// For a page: the path of the list.
    list_path: Option<Box<str>>,
    /// Goes to a server that is not GitHub's API: without tokens, without the client's own
    /// headers, and without following redirects.
    elsewhere: bool,
    /// What the body carries and no error may repeat.
    /// Made by the client for another call.
    behind: bool,
    /// How long an earlier request of the same call has waited for limits.
    waited_before: Duration,
    /// Why the request can not be sent; the first reason wins.
    refused: Option<Box<str>>,
}

/// What sort of call it is, for limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Rest,
    /// REST, of the client's own: it is no content.
    Own,
    GraphQl {
        mutation: bool,
    },
}

/// Where a request goes.
#[derive(Clone)]
enum Target {
    /// The path of the operation, and the values for its template.
    Template(Vec<Option<String>>),
    /// A path below the API's address, or an absolute URL.
    Given(String),
    /// A URL that is known to be good.
    Url(Url),
}

/// What a request carries.
#[derive(Clone)]
pub(crate) enum Payload {
    Empty,
    /// The properties of a JSON object, each already serialized.
    Fields(Vec<(Cow<'static, str>, Vec<u8>)>),
    Json(Bytes),
    Raw(HeaderValue, Body),
}

/// Pages fetched ahead unless the caller says otherwise: enough to hide the latency of
/// GitHub's lists, few enough to stay far below its 100 concurrent requests.
const PREFETCH: usize = 4;
const MAX_PREFETCH: usize = 16;

/// Options of a single request.
impl Request {
    /// Sets a parameter of the query string, and replaces what it was set to before.
    ///
    /// The value is percent-encoded. GitHub reads lists in most places as `a,b,c`.
    pub fn query(mut self, name: impl Into<Cow<'static, str>>, value: impl Display) -> Self {
        self.0.replace_query(name.into(), [value.to_string()]);
        self
    }

    /// Sets a header, and replaces what the client or the operation would send.
    ///
    /// An `authorization` header given here is sent instead of the client's token, and like it
    /// to the client's own GitHub only.
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName, Error: Display>,
        V: TryInto<HeaderValue, Error: Display>,
    {
        match (name.try_into(), value.try_into()) {
            (Ok(name), Ok(value)) => self.0.insert_header(name, value),
            (Err(reason), _) => self.0.refuse(format_args!("invalid header name: {reason}")),
            (Ok(name), Err(reason)) => {
                self.0.refuse(format_args!("invalid header {name}: {reason}"))
            }
        }
        self
    }

    /// Sets the media type to ask for, such as `application/vnd.github.raw+json`:
    /// see GitHub's [media types](https://docs.github.com/en/rest/using-the-rest-api/getting-started-with-the-rest-api#media-types).
    pub fn accept<V: TryInto<HeaderValue, Error: Display>>(self, value: V) -> Self {
        self.header(ACCEPT, value)
    }

    /// Sends this value as a JSON body.
    pub fn json<T: Serialize + ?Sized>(mut self, body: &T) -> Self {
        self.set_json(body);
        self
    }

    /// Sends these bytes as the body.
    ///
    /// The call has no timeout as a whole unless [`timeout`](Self::timeout) sets one: it may
    /// take as long as it makes progress.
    pub fn body<V>(mut self, content_type: V, body: impl Into<Body>) -> Self
    where
        V: TryInto<HeaderValue, Error: Display>,
    {
        match content_type.try_into() {
            Ok(content_type) => self.0.body = Payload::Raw(content_type, body.into()),
            Err(reason) => self.0.refuse(format_args!("invalid content type: {reason}")),
        }
        self
    }

    /// The longest time for this call as a whole, instead of the client's
    /// [`call_timeout`](crate::ClientBuilder::call_timeout). A wait for a rate limit counts as well:
    /// a call that would not be let through in time fails at once.
    ///
    /// The body of a [streamed](Self::send_stream) answer is not counted.
    /// For pages, it holds for each page.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.timeout = Some(timeout);
        self
    }

    /// How urgent the call is, compared with others that wait for the same limit; interactive by
    /// default.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.0.priority = priority;
        self
    }

    /// Says that to send this request twice is the same as to send it once, so that it is tried
    /// again as a `GET` is: see [`RetryPolicy`]. By default that holds for `GET`, `HEAD`,
    /// `OPTIONS`, `PUT`, `DELETE` and GraphQL queries.
    pub fn idempotent(mut self) -> Self {
        self.0.idempotent = true;
        self
    }

    /// Asks again while GitHub answers `202 Accepted`, up to this time in all: that is what it says to
    /// who asks for [statistics](https://docs.github.com/en/rest/metrics/statistics) that are not worked
    /// out yet. By default such an answer is an error that says so
    /// ([`Error::is_not_ready`](crate::Error::is_not_ready)), since its `{}` is no result; to a call
    /// made by [`Client::request`](crate::Client::request) it is given as it is, if the type fits.
    ///
    /// It asks after 1 s, and then after twice as long each time, up to 15 s, or when GitHub's
    /// `Retry-After` says. Each time counts in rate limits. The pauses don't count for the client's
    /// own time limit, but for [`timeout`](Self::timeout) they do. For pages, it holds for each page.
    ///
    /// ```no_run
    /// # #[cfg(feature = "repos")]
    /// # async fn example(github: octowire::Client) -> octowire::Result<()> {
    /// use std::time::Duration;
    ///
    /// let call = github.repos().get_contributors_stats().owner("rust-lang").repo("rust");
    /// let activity = call.with(|request| request.until_ready(Duration::from_secs(60))).send().await?;
    /// # let _ = activity;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The call fails with [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) and the status 202 if the
    /// answer is not there in time; and with
    /// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest), before anything is sent, if it
    /// is no `GET`: to others, 202 says that they are done later, and they would be done twice.
    pub fn until_ready(mut self, at_most: Duration) -> Self {
        self.0.until_ready = Some(at_most);
        self
    }

    /// When this call is tried again, instead of the client's [policy](crate::ClientBuilder::retry).
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.0.retry = Some(Box::new(policy));
        self
    }

    /// When this call is answered from the [cache](crate::cache), instead of the client's
    /// [policy](crate::cache::Cache::policy). It has no effect on what is no `GET`, and for pages
    /// it holds for each page.
    pub fn cache(mut self, policy: CachePolicy) -> Self {
        self.0.cache = Some(Box::new(policy));
        self
    }

    /// How many pages [`pages`](Self::pages) and [`items`](Self::items) fetch ahead of the
    /// one that is read: 4 by default, 16 at most, and 0 for none.
    ///
    /// Lists with numbered pages are fetched concurrently; those with a cursor one page ahead,
    /// since each page only tells where the next one is.
    pub fn prefetch(mut self, pages: usize) -> Self {
        self.0.prefetch = pages.min(MAX_PREFETCH);
        self
    }

    /// Whether what is stored may be given and asked for behind this call's back.
    pub(crate) fn may_be_refreshed(&self) -> bool {
        let cache = self.0.client.inner().cache.as_ref();
        let policy = self.0.cache.as_deref().or_else(|| Some(cache?.policy(&self.0.label)));
        self.0.method == Method::GET && policy.is_some_and(CachePolicy::may_refresh)
    }

    /// The id of the operation, such as `issues/get`; `None` for a request made by
    /// [`Client::request`].
    #[must_use]
    pub fn operation_id(&self) -> Option<&'static str> {
        self.0.operation.map(|operation| operation.id)
    }
}

/// Ways to send a request.
impl Request {
    /// Sends the request and decodes the JSON that comes back.
    ///
    /// An empty body is read as `null`, which an [`Option`] takes.
    pub fn send<T: DeserializeOwned>(self) -> ResponseFuture<T> {
        ResponseFuture::new(call(self, Reading::Buffered), ready::json)
    }

    /// Sends the request and ignores the body that comes back.
    pub fn send_empty(self) -> ResponseFuture<()> {
        ResponseFuture::new(call(self, Reading::Buffered), Raw::empty)
    }

    /// Sends the request and hands the body over while it arrives.
    ///
    /// An answer that is no success is an error here as well.
    pub fn send_stream(self) -> ResponseFuture<ByteStream> {
        ResponseFuture::new(call(self, Reading::Streamed), Raw::stream)
    }

    /// The pages of a list, as GitHub's `Link` headers
    /// [connect them](https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api).
    pub fn pages<T: DeserializeOwned + 'static>(self) -> Pages<T> {
        Pages::new(self)
    }

    /// The items of a list across its pages; `extract` takes them out of a page.
    ///
    /// If a page is an object with a `total_count` and one list, or a list called `items`, the stream
    /// compares what it delivered with that count: see [`Items`].
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
        Items::extracted(self, extract)
    }
}

/// Maximum length of the method and path by which a call made by hand is known, in characters.
const MAX_LABEL_CHARS: usize = 300;

/// What generated code and the other rooms of this crate call.
// Some setters are only called by operations whose feature may be off.
#[allow(dead_code)]
impl Request {
    pub(crate) fn operation(client: &Client, operation: &'static Operation) -> Self {
        let values = operation.path.bytes().filter(|byte| *byte == b'{').map(|_| None).collect();
        let mut inner = Inner::new(client, operation.method.clone(), Target::Template(values));
        inner.operation = Some(operation);
        inner.label = Cow::Borrowed(operation.id);
        Self(Box::new(inner))
    }

    pub(crate) fn given(client: &Client, method: Method, path: String) -> Self {
        // A query may hold private values, and an absolute URL a password.
        let shown = match path.split_once("://").and_then(|_| Url::parse(&path).ok()) {
            Some(url) => format!("{method} {}", url.path()),
            None => format!("{method} {}", path.split(['?', '#']).next().unwrap_or("")),
        };
        let mut inner = Inner::new(client, method, Target::Given(path));
        inner.label = Cow::Owned(sanitize::text(&shown, MAX_LABEL_CHARS).into_owned());
        Self(Box::new(inner))
    }

    /// A request to a URL that the client itself knows.
    pub(crate) fn url(client: &Client, method: Method, label: &'static str, url: Url) -> Self {
        let mut inner = Inner::new(client, method, Target::Url(url));
        inner.label = Cow::Borrowed(label);
        Self(Box::new(inner))
    }

    /// A request that the client makes for itself, at this path below the API's address.
    pub(crate) fn known(
        client: &Client,
        method: Method,
        label: &'static str,
        path: &[&str],
    ) -> Result<Self> {
        let url = address::at(client.inner().origins.api(), path)?;
        let mut request = Self::url(client, method, label, url);
        request.0.kind = Kind::Own;
        Ok(request)
    }

    /// A request of an OAuth form, which is answered with JSON, to a server that is not GitHub's
    /// API.
    pub(crate) fn form(client: &Client, label: &'static str, url: Url, form: Bytes) -> Self {
        const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
        const JSON: HeaderValue = HeaderValue::from_static("application/json");
        let mut request = Self::url(client, Method::POST, label, url);
        request.0.elsewhere = true;
        request.accept(JSON).body(FORM, form)
    }

    /// Says what limits see of a call of the GraphQL API.
    pub(crate) fn graphql(mut self, mutation: bool) -> Self {
        self.0.kind = Kind::GraphQl { mutation };
        self.0.idempotent = !mutation;
        self
    }

    /// Lets the time that the same call has waited for limits before count towards the longest wait.
    pub(crate) fn having_waited(mut self, time: Duration) -> Self {
        self.0.waited_before = time;
        self
    }

    /// The items of an operation's list. `field` is the property of the page that has the list;
    /// `None` if the page is the list.
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
        Items::of_operation(self, field, open)
    }

    /// The same request to another URL, which carries its own query.
    pub(crate) fn page(&self, url: Url) -> Self {
        let mut request = self.clone();
        // GitHub's links name a repository by its number: they are of the list all the same.
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

    /// Sets what pushes the time limits of the call on.
    pub(crate) fn set_slack(&mut self, slack: Slack) {
        self.0.slack = Some(slack);
    }

    pub(crate) fn client(&self) -> &Client {
        &self.0.client
    }

    /// The method, for spans.
    pub(crate) fn method(&self) -> &Method {
        &self.0.method
    }

    /// The operation's path without its values; `None` for a call made by hand.
    pub(crate) fn template(&self) -> Option<&'static str> {
        self.0.operation.map(|operation| operation.path)
    }

    /// What metrics call it: by its operation, or by what the client itself calls it.
    pub(crate) fn metric_name(&self) -> &'static str {
        metric_name(&self.0.label)
    }

    /// Whether it carries a token of its own, and not the client's.
    pub(crate) fn has_own_token(&self) -> bool {
        self.0.headers.contains_key(AUTHORIZATION)
    }

    /// Lets it be no call of the application's: the client makes it for another one.
    pub(crate) fn behind(mut self) -> Self {
        self.0.behind = true;
        self
    }

    pub(crate) fn is_behind(&self) -> bool {
        self.0.behind
    }

    /// The server that it goes to, as far as that is known before it is put together.
    pub(crate) fn server(&self) -> &Url {
        match &self.0.target {
            Target::Url(url) => url,
            Target::Template(_) | Target::Given(_) => {
                let server = self.0.operation.and_then(|operation| operation.server);
                self.0.client.inner().origins.of(server)
            }
        }
    }

    /// The name of the operation for messages.
    pub(crate) fn label(&self) -> &Label {
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
            body: Payload::Empty,
            timeout: None,
            prefetch: PREFETCH,
            slack: None,
            kind: Kind::Rest,
            priority: Priority::default(),
            idempotent: false,
            until_ready: None,
            retry: None,
            cache: None,
            list_path: None,
            elsewhere: false,
            behind: false,
            waited_before: Duration::ZERO,
            refused: None,
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be secret or private: names only.
        let query: Vec<_> = self.0.query.iter().map(|(name, _)| name).collect();
        let headers: Vec<_> = self.0.headers.keys().collect();
        f.debug_struct("Request")
            .field("operation", &self.0.label)
            .field("query", &query)
            .field("headers", &headers)
            .finish_non_exhaustive()
    }
}
