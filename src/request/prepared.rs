//! A request in its wire form: its URL, headers and body.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, IF_RANGE, RANGE, USER_AGENT,
};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::Value;
use url::Url;

use super::{Inner, Kind, Payload, Request, Target};
use crate::auth::{Passes, digest};
use crate::body::{BodyTaken, Broken};
use crate::cache::CachePolicy;
use crate::cache::conditional::Conditional;
use crate::circuit::Circuit;
use crate::client::Client;
use crate::deadline::{Limit, Slack};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::{Cost, Lane, Priority};
use crate::operation::{Location, NoBody, Operation, Parameter};
use crate::origins::same_origin;
use crate::retry::{RetryPolicy, is_idempotent};
use crate::store::WaitAllowance;
use crate::telemetry::usage::Account;

/// A request that is complete and valid.
pub(crate) struct Prepared {
    client: Client,
    operation: Option<&'static Operation>,
    method: Method,
    url: Url,
    /// The headers that this request sets in addition to the client's own.
    headers: HeaderMap,
    payload: Payload,
    elsewhere: bool,
    kind: Kind,
    pub(crate) priority: Priority,
    idempotent: bool,
    pub(crate) until_ready: Option<Duration>,
    retry: Option<Box<RetryPolicy>>,
    /// Whether the caller set the time limit, which then includes waits.
    strict: bool,
    /// The time limit of the call.
    pub(crate) limit: Limit,
    /// The excluded time of an attempt.
    pub(crate) slack: Option<Slack>,
    /// How long an earlier request of the same call has waited for limits.
    pub(crate) waited_before: Duration,
    broken: Broken,
    /// How long this attempt of the call can still wait for the client's store.
    pub(crate) store_wait: WaitAllowance,
    /// The condition of the request, for the cache.
    pub(crate) conditional: Option<Conditional>,
    cache: Option<Box<CachePolicy>>,
    list_path: Option<Box<str>>,
    /// The primary limit that a response named, for a call without an operation.
    resource: OnceLock<String>,
}

/// The stored responses that a call can invalidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changes {
    Nothing,
    /// The resources at its path, and those that belong to them.
    Path,
    Anything,
}

/// One of the requests that an attempt sends: the first, and one for each redirect.
#[derive(Debug)]
pub(crate) struct Hop {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) with_body: bool,
    /// Whether the server is trusted with the token and with other headers for GitHub only.
    pub(crate) trusted: bool,
}

/// The media type that nearly every operation accepts, and that the client requests by default.
const JSON: &str = "application/vnd.github+json";

/// The headers that an untrusted server receives.
const FOR_ANYONE: [HeaderName; 4] = [ACCEPT, USER_AGENT, RANGE, IF_RANGE];

impl Request {
    /// Validates the request and builds its parts.
    pub(crate) fn prepare(self) -> Result<Prepared> {
        let mut request = *self.0;
        if let Some(reason) = &request.refused {
            return Err(invalid(reason.to_string()));
        }
        let url = request.url()?;
        if let Some(operation) = request.operation {
            request.require_all(operation)?;
        }
        if request.until_ready.is_some() && request.method != Method::GET {
            return Err(invalid("until_ready is only for GET: other methods would be repeated"));
        }
        let upload = matches!(request.body, Payload::Raw(..));
        let slack = match request.slack {
            None if upload => Some(Slack::default()),
            ref given => given.clone(),
        };
        let limit = match request.timeout {
            // A header of the caller takes precedence, even for an upload.
            Some(timeout) if upload => Limit::new(timeout, None),
            Some(timeout) => Limit::new(timeout, slack.as_ref()),
            None => Limit::new(request.client.inner().call_timeout, slack.as_ref()),
        };
        let mut prepared = Prepared {
            operation: request.operation,
            method: request.method,
            url,
            headers: request.headers,
            payload: request.body,
            elsewhere: request.elsewhere,
            kind: request.kind,
            priority: request.priority,
            idempotent: request.idempotent,
            until_ready: request.until_ready,
            retry: request.retry,
            strict: request.timeout.is_some(),
            limit,
            slack,
            waited_before: request.waited_before,
            broken: Broken::default(),
            store_wait: WaitAllowance::new(request.client.inner().store_timeout),
            conditional: None,
            cache: request.cache,
            list_path: request.list_path,
            resource: OnceLock::new(),
            client: request.client,
        };
        prepared.complete()?;
        Ok(prepared)
    }
}

impl Inner {
    /// Rejects a request without a parameter that GitHub requires.
    fn require_all(&mut self, operation: &Operation) -> Result<()> {
        let missing = operation.parameters.iter().find(|parameter| {
            let name = parameter.name;
            parameter.required
                && match parameter.location {
                    // Checked when the template is filled.
                    Location::Path => false,
                    // A page's URL carries its own query.
                    Location::Query => {
                        matches!(self.target, Target::Template(_))
                            && !self.query.iter().any(|(set, _)| set == name)
                    }
                    Location::Header => !self.headers.contains_key(name),
                    Location::Body => match &self.body {
                        Payload::Empty => true,
                        Payload::Fields(fields) => !fields.iter().any(|(set, _)| set == name),
                        Payload::Json(_) | Payload::Raw(..) => false,
                    },
                }
        });
        if let Some(parameter) = missing {
            return Err(not_set(parameter));
        }
        if matches!(self.body, Payload::Empty) {
            match operation.no_body {
                NoBody::Sent => {}
                NoBody::EmptyObject => self.body = Payload::Json(Bytes::from_static(b"{}")),
                NoBody::Refused => return Err(no_body(operation)),
            }
        }
        Ok(())
    }
}

impl Prepared {
    /// Adds the headers that the operation and the body require, unless the caller has set them.
    fn complete(&mut self) -> Result<()> {
        // GitHub's JSON is the client's default, which the user can replace; a download requires its own.
        if let Some(operation) = self.operation
            && operation.accept != JSON
        {
            let accept = HeaderValue::try_from(operation.accept).map_err(|error| {
                invalid("invalid Accept header of the operation").with_source(error)
            })?;
            self.headers.entry(ACCEPT).or_insert(accept);
        }
        if let Payload::Fields(fields) = &self.payload {
            self.payload = Payload::Json(object_of(fields)?);
        }
        let (name, value) = match &self.payload {
            Payload::Json(_) => (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            Payload::Raw(content_type, _) => (CONTENT_TYPE, content_type.clone()),
            // GitHub requires a Content-Length of 0 on a PUT without a body.
            _ if [Method::PUT, Method::POST, Method::PATCH].contains(&self.method) => {
                (CONTENT_LENGTH, HeaderValue::from_static("0"))
            }
            _ => return Ok(()),
        };
        self.headers.entry(name).or_insert(value);
        Ok(())
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn method(&self) -> &Method {
        &self.method
    }

    /// Returns the operation's path template, since the values might be private; empty for a call without an operation.
    pub(crate) fn template(&self) -> &'static str {
        self.operation.map_or("", |operation| operation.path)
    }

    /// Returns whether the target is not GitHub's API.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.elsewhere
    }

    /// Returns the request credential, which takes precedence over the client's.
    pub(crate) fn own_authorization(&self) -> Option<&HeaderValue> {
        self.headers.get(AUTHORIZATION)
    }

    /// Returns whether its query contains this parameter, and GitHub's description of the operation has it.
    pub(crate) fn sends_documented(&self, name: &str) -> bool {
        self.operation.is_some_and(|operation| operation.parameter(Location::Query, name).is_some())
            && self.url.query_pairs().any(|(sent, _)| sent == name)
    }

    /// Returns the circuit of its first target server.
    pub(crate) fn circuit(&self) -> &Arc<Circuit> {
        let inner = self.client.inner();
        let [api, upload] = &inner.circuits;
        if same_origin(&self.url, inner.origins.api()) { api } else { upload }
    }

    /// Returns the properties of the call that limits use.
    pub(crate) fn cost(&self) -> Cost {
        if let Kind::GraphQl { mutation } = self.kind {
            return Cost::graphql(mutation);
        }
        let inner = self.client.inner();
        let path = self.path();
        let (resource, content) = match self.operation {
            Some(operation) => (inner.limits.resource(operation), operation.creates_content),
            None => {
                let named = self.resource.get().cloned().map(Cow::Owned);
                let resource = named.unwrap_or_else(|| Cow::Borrowed(guess_resource(path)));
                (resource, self.kind != Kind::Own && self.method == Method::POST)
            }
        };
        Cost::rest(&self.method, path, resource, content)
    }

    /// Returns the path of its response: for a page, that of the list.
    pub(crate) fn cache_path(&self) -> &str {
        self.list_path.as_deref().unwrap_or_else(|| self.path())
    }

    /// Returns the path relative to the base URL.
    pub(crate) fn path(&self) -> &str {
        let api = self.client.inner().origins.api().path().trim_end_matches('/');
        self.url.path().strip_prefix(api).unwrap_or_default()
    }

    /// Returns the id of its operation.
    #[cfg(feature = "contract")]
    pub(crate) fn operation_id(&self) -> Option<&'static str> {
        self.operation.map(|operation| operation.id)
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the headers that this request sets in addition to the client's own.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Returns the cache policy of the call itself.
    pub(crate) fn cache_policy(&self) -> Option<&CachePolicy> {
        self.cache.as_deref()
    }

    /// Returns whether a response can be reused: it is of GitHub's REST API, and the same for equal calls.
    pub(crate) fn is_cacheable(&self) -> bool {
        self.kind == Kind::Rest
            && !self.elsewhere
            && self.until_ready.is_none()
            && matches!(self.payload, Payload::Empty)
            && same_origin(&self.url, self.client.inner().origins.api())
    }

    /// Returns the stored responses that it can invalidate.
    pub(crate) fn changes(&self) -> Changes {
        let is_read = matches!(self.method, Method::GET | Method::HEAD | Method::OPTIONS);
        match self.kind {
            _ if self.elsewhere => Changes::Nothing,
            Kind::GraphQl { mutation: true } => Changes::Anything,
            Kind::Rest if !is_read => Changes::Path,
            _ => Changes::Nothing,
        }
    }

    /// Returns whether the call itself forbids sending a request.
    pub(crate) fn is_only_if_cached(&self) -> bool {
        self.cache.as_ref().is_some_and(|policy| policy.is_only_if_cached())
    }

    /// Returns the time limit of the call, if its caller set one.
    pub(crate) fn strict_limit(&self) -> Option<Duration> {
        self.strict.then(|| self.limit.left())
    }

    /// Records the primary limit that a response names.
    pub(crate) fn learn_resource(&self, resource: &str) {
        match self.operation {
            Some(operation) => self.client.inner().limits.learn(operation, resource),
            // Other calls of this path have their own response.
            None => drop(self.resource.set(resource.to_owned())),
        }
    }

    /// Returns the limits that admit it.
    pub(crate) fn lane(&self) -> Arc<Lane> {
        match self.own_authorization() {
            // The call belongs to another identity, which its token determines.
            Some(authorization) => {
                let client = &self.client;
                let who = format!("own:{}", digest(authorization.as_bytes()));
                client.inner().limits.lane(&who, client.base_url().as_str())
            }
            None => Arc::clone(self.client.lane()),
        }
    }

    /// Returns the body, if it is JSON.
    pub(crate) fn json_body(&self) -> Option<&Bytes> {
        match &self.payload {
            Payload::Json(body) => Some(body),
            _ => None,
        }
    }

    /// Returns the label of its identity in metrics.
    pub(crate) fn identity_label(&self) -> &'static str {
        match self.own_authorization() {
            Some(_) => "own",
            None => self.client.label(),
        }
    }

    /// Returns whether it carries a token.
    pub(crate) fn is_authorized(&self) -> bool {
        self.own_authorization().is_some() || self.client.inner().auth.keeper().is_some()
    }

    /// Returns the usage that it counts for.
    pub(crate) fn account(&self) -> Arc<Account> {
        self.client.account_of(self.own_authorization().is_some())
    }

    pub(crate) fn is_graphql(&self) -> bool {
        matches!(self.kind, Kind::GraphQl { .. })
    }

    /// Returns whether the time limit of the caller has passed.
    pub(crate) fn is_hurried(&self) -> bool {
        self.strict && self.limit.left().is_zero()
    }

    /// Returns the longest wait that the caller permits.
    pub(crate) fn patience(&self) -> Duration {
        if self.strict { self.limit.left() } else { Duration::MAX }
    }

    /// Records a wait for a limit, which does not count for the client's own timeout.
    pub(crate) fn waited(&self, time: Duration) {
        if !self.strict && !time.is_zero() {
            self.limit.put_off(time);
        }
    }

    /// Returns the retry policy of the caller, or the client's.
    pub(crate) fn retry(&self) -> &RetryPolicy {
        self.retry.as_deref().unwrap_or(&self.client.inner().retry)
    }

    /// Returns whether the request is idempotent.
    pub(crate) fn is_idempotent(&self) -> bool {
        self.idempotent || is_idempotent(&self.method)
    }

    /// Returns whether the body can be sent again.
    pub(crate) fn is_repeatable(&self) -> bool {
        match &self.payload {
            Payload::Raw(_, body) => body.is_repeatable(),
            Payload::Empty | Payload::Fields(_) | Payload::Json(_) => true,
        }
    }

    /// Returns the first request of an attempt.
    pub(crate) fn first_hop(&self) -> Hop {
        Hop { method: self.method.clone(), url: self.url.clone(), with_body: true, trusted: true }
    }

    /// Builds the request of one hop; the tokens are added for trusted servers only.
    pub(crate) fn request(&self, hop: Hop, passes: &Passes) -> Result<reqwest::Request> {
        let mut request = reqwest::Request::new(hop.method, hop.url);
        *request.headers_mut() = if self.elsewhere {
            self.headers_for_elsewhere()
        } else if hop.trusted {
            self.own_headers(passes, hop.with_body)
        } else {
            self.headers_for_anyone()
        };
        if hop.with_body {
            *request.body_mut() = self.body()?;
        }
        Ok(request)
    }

    /// Returns the error for a request that failed.
    pub(crate) fn unsent(&self, error: reqwest::Error) -> Error {
        match self.broken.reason() {
            Some(reason) => Error::from_upload(reason),
            None => Error::from_transport(error),
        }
    }

    fn own_headers(&self, passes: &Passes, with_body: bool) -> HeaderMap {
        let mut headers = self.client.inner().headers.clone();
        passes.sign(&mut headers);
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
        if !with_body {
            headers.remove(CONTENT_TYPE);
            headers.remove(CONTENT_LENGTH);
        }
        if let Some(conditional) = &self.conditional {
            conditional.apply(&mut headers);
        }
        headers
    }

    fn headers_for_anyone(&self) -> HeaderMap {
        let own = &self.client.inner().headers;
        let mut headers = HeaderMap::new();
        for name in FOR_ANYONE {
            if let Some(value) = self.headers.get(&name).or_else(|| own.get(&name)) {
                headers.insert(name, value.clone());
            }
        }
        headers
    }

    fn headers_for_elsewhere(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        if let Some(name) = self.client.inner().headers.get(USER_AGENT) {
            headers.entry(USER_AGENT).or_insert_with(|| name.clone());
        }
        headers
    }

    fn body(&self) -> Result<Option<reqwest::Body>> {
        match (&self.payload, &self.slack) {
            (Payload::Json(json), _) => Ok(Some(json.clone().into())),
            (Payload::Raw(_, body), slack) => {
                let slack = slack.clone().unwrap_or_default();
                body.send(&slack, &self.broken).map(Some).map_err(|BodyTaken| {
                    invalid("streaming request body was already consumed and cannot be resent")
                        .with_advice("create a new body for each call, or pass it as bytes")
                })
            }
            (Payload::Empty | Payload::Fields(_), _) => Ok(None),
        }
    }
}

/// Returns the primary limit of a path without a known operation.
fn guess_resource(path: &str) -> &'static str {
    match path.trim_start_matches('/') {
        "rate_limit" => "none",
        path if path.starts_with("search/code") => "code_search",
        path if path.starts_with("search/") => "search",
        _ => "core",
    }
}

/// Returns the JSON object of these properties.
fn object_of(fields: &[(Cow<'static, str>, Vec<u8>)]) -> Result<Bytes> {
    let mut object = vec![b'{'];
    for (name, value) in fields {
        if object.len() > 1 {
            object.push(b',');
        }
        serde_json::to_writer(&mut object, name)
            .map_err(|error| invalid("request body serialization failed").with_source(error))?;
        object.push(b':');
        object.extend_from_slice(value);
    }
    object.push(b'}');
    Ok(object.into())
}

/// Returns the properties of a JSON object, of which single ones can be replaced.
pub(super) fn fields_of(json: &[u8]) -> serde_json::Result<Vec<(Cow<'static, str>, Vec<u8>)>> {
    let object: BTreeMap<String, Value> = serde_json::from_slice(json)?;
    object
        .into_iter()
        .map(|(name, value)| Ok((Cow::Owned(name), serde_json::to_vec(&value)?)))
        .collect()
}

pub(super) fn not_set(parameter: &Parameter) -> Error {
    let name = parameter.name;
    let place = match parameter.location {
        Location::Path => "path parameter",
        Location::Query => "query parameter",
        Location::Header => "header",
        Location::Body => "body property",
    };
    invalid(format!("missing {place} {name:?}"))
        .with_advice(format!("call .{}(…)", parameter.setter))
}

fn no_body(operation: &Operation) -> Error {
    let mut properties =
        operation.parameters.iter().filter(|parameter| parameter.location == Location::Body);
    let advice = match properties.next() {
        Some(property) => {
            format!(
                "set one of its properties with .{}(…), or the whole body with .json(…)",
                property.setter
            )
        }
        None => "set it with .json(…) or .body(…)".to_owned(),
    };
    invalid("missing request body, which GitHub requires").with_advice(advice)
}

pub(super) fn invalid(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}

#[cfg(all(test, feature = "issues", feature = "repos"))]
mod tests;
