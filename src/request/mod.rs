//! A request as plain values: [`RequestDraft`] is what a caller asks for, [`RequestSpec`] its complete and valid form.
//!
//! Nothing here sends a request, or knows the options of a call: see [`pipeline`](crate::pipeline). [`setters`] has the
//! setters of generated code, [`url`] builds the URL, which [`request_url`] parses, and [`spec`] the headers and the body.

use std::borrow::Cow;
use std::fmt::Display;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, HeaderName};
use http::{HeaderMap, HeaderValue, Method};
use url::Url;

use self::body::Body;
use self::path_values::PathValues;
use crate::api::operation::Operation;
use crate::endpoints::Endpoints;
use crate::error::{OperationName, Result};
use crate::sanitize;

pub(crate) mod body;
pub(crate) mod file_body;
#[cfg(feature = "testing")]
mod matcher;
mod path_values;
mod request_url;
mod setters;
mod spec;
mod url;

#[cfg(feature = "testing")]
pub(crate) use matcher::RequestMatcher;
pub(crate) use spec::{RequestSpec, SideEffects, invalid};

/// One request before its values are validated. The first invalid value is recorded, and fails
/// [`build`](Self::build).
#[derive(Clone)]
pub(crate) struct RequestDraft {
    pub(crate) operation: Option<&'static Operation>,
    /// The name of the operation for messages.
    pub(crate) name: OperationName,
    pub(crate) method: Method,
    target: Target,
    query: Vec<(Cow<'static, str>, String)>,
    headers: HeaderMap,
    body: RequestBody,
    kind: RequestKind,
    /// For a page: the path of the list.
    list_path: Option<Box<str>>,
    /// The target is not GitHub's API: no tokens, no headers of the client, and no redirects.
    is_external: bool,
    /// Why the request cannot be sent; the first reason is kept.
    rejected: Option<Box<str>>,
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
    Template(PathValues),
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

/// Maximum length of the method and path that identify a call without an operation, in characters.
const MAX_NAME_CHARS: usize = 300;

impl RequestDraft {
    pub(crate) fn for_operation(operation: &'static Operation) -> Self {
        let mut draft = Self::new(
            Cow::Borrowed(operation.id),
            operation.method.clone(),
            Target::Template(PathValues::new(operation.path)),
        );
        draft.operation = Some(operation);
        draft
    }

    /// Creates a request to a path relative to the base URL, or to an absolute URL.
    pub(crate) fn raw(method: Method, path: String) -> Self {
        // A query can contain private values, and an absolute URL a password.
        let shown = match path.split_once("://").and_then(|_| Url::parse(&path).ok()) {
            Some(url) => format!("{method} {}", url.path()),
            None => format!("{method} {}", path.split(['?', '#']).next().unwrap_or("")),
        };
        let name = sanitize::text(&shown, MAX_NAME_CHARS).into_owned();
        Self::new(Cow::Owned(name), method, Target::Raw(path))
    }

    /// Creates a request to a URL of the client itself.
    pub(crate) fn to_url(method: Method, name: &'static str, url: Url) -> Self {
        Self::new(Cow::Borrowed(name), method, Target::Url(url))
    }

    /// Creates a request of the client itself, at this path relative to the base URL.
    pub(crate) fn internal(
        endpoints: &Endpoints,
        method: Method,
        name: &'static str,
        path: &[&str],
    ) -> Result<Self> {
        let url = url::join_segments(endpoints.api_base(), path)?;
        Ok(Self { kind: RequestKind::Internal, ..Self::to_url(method, name, url) })
    }

    /// Creates a request with an OAuth form and a JSON response, to a server that is not GitHub's API.
    pub(crate) fn form(name: &'static str, url: Url, form: Bytes) -> Self {
        const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
        const JSON: HeaderValue = HeaderValue::from_static("application/json");
        let mut draft = Self::to_url(Method::POST, name, url);
        draft.is_external = true;
        draft.insert_header(ACCEPT, JSON);
        draft.body = RequestBody::Raw(FORM, form.into());
        draft
    }

    /// Creates a GraphQL request.
    pub(crate) fn graphql(url: Url, mutation: bool) -> Self {
        let draft = Self::to_url(Method::POST, "POST /graphql", url);
        Self { kind: RequestKind::GraphQl { mutation }, ..draft }
    }

    /// Returns the request for a page of this list, which has its own URL and query.
    pub(crate) fn page(&self, endpoints: &Endpoints, url: Url) -> Self {
        let mut page = self.clone();
        // GitHub's links contain the id of a repository, but still belong to the list.
        if page.list_path.is_none() {
            let api = endpoints.api().path().trim_end_matches('/');
            let path = page.url(endpoints).ok().map(|url| url.path().to_owned());
            page.list_path = path.and_then(|path| path.strip_prefix(api).map(Box::from));
        }
        page.target = Target::Url(url);
        page.query.clear();
        page
    }

    /// Returns the operation's path template; `None` for a call without an operation.
    pub(crate) fn template(&self) -> Option<&'static str> {
        self.operation.map(|operation| operation.path)
    }

    /// Returns whether the caller set an `authorization` header, which replaces the client's token.
    pub(crate) fn has_request_credential(&self) -> bool {
        self.headers.contains_key(AUTHORIZATION)
    }

    /// Returns whether 202 Accepted means "not ready" for this request: for a read of an operation. An accepted change is
    /// a success, and a request without an operation returns GitHub's response.
    pub(crate) fn awaits_result(&self) -> bool {
        self.operation.is_some() && self.method == Method::GET
    }

    /// Returns the target server, as far as it is known before the URL is built.
    pub(crate) fn server<'a>(&'a self, endpoints: &'a Endpoints) -> &'a Url {
        match &self.target {
            Target::Url(url) => url,
            Target::Template(_) | Target::Raw(_) => {
                endpoints.for_operation(self.operation.and_then(|operation| operation.server))
            }
        }
    }

    /// Returns the names of its query parameters, and of its headers: values can be secret or private.
    pub(crate) fn parameter_names(&self) -> (Vec<&str>, Vec<&HeaderName>) {
        (self.query.iter().map(|(name, _)| &**name).collect(), self.headers.keys().collect())
    }

    fn new(name: OperationName, method: Method, target: Target) -> Self {
        Self {
            operation: None,
            name,
            method,
            target,
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: RequestBody::Empty,
            kind: RequestKind::Rest,
            list_path: None,
            is_external: false,
            rejected: None,
        }
    }
}

/// Setters of any request.
impl RequestDraft {
    /// Sets a query parameter, and replaces its previous value.
    pub(crate) fn query(&mut self, name: Cow<'static, str>, value: String) {
        self.replace_query(name, [value]);
    }

    /// Sets a header, and replaces that of the client or the operation.
    pub(crate) fn header<N, V>(&mut self, name: N, value: V)
    where
        N: TryInto<HeaderName, Error: Display>,
        V: TryInto<HeaderValue, Error: Display>,
    {
        match (name.try_into(), value.try_into()) {
            (Ok(name), Ok(value)) => self.insert_header(name, value),
            (Err(reason), _) => self.reject(format_args!("invalid header name: {reason}")),
            (Ok(name), Err(reason)) => self.reject(format_args!("invalid header {name}: {reason}")),
        }
    }

    /// Sets a body of bytes and its media type.
    pub(crate) fn raw_body<V>(&mut self, content_type: V, body: Body)
    where
        V: TryInto<HeaderValue, Error: Display>,
    {
        match content_type.try_into() {
            Ok(content_type) => self.body = RequestBody::Raw(content_type, body),
            Err(reason) => self.reject(format_args!("invalid content type: {reason}")),
        }
    }
}
