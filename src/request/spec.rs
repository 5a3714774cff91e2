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

use super::{Inner, Request, RequestBody, RequestKind, Target};
use crate::api::default_resource::default_resource;
use crate::api::operation::{MissingBody, Operation, OperationParameter, ParameterLocation};
use crate::body::{BodyConsumed, UploadErrorSlot};
use crate::client::Client;
use crate::endpoints::same_origin;
use crate::error::{Error, ErrorKind, OperationName, Result};
use crate::headers::method::is_idempotent;
use crate::policy::auth::{RequestCredentials, secret_fingerprint};
use crate::policy::cache::CachePolicy;
use crate::policy::cache::conditional::Validators;
use crate::policy::circuit_breaker::Circuit;
use crate::policy::context::AttemptContext;
use crate::policy::rate_limit::{AdmissionQueue, Priority, RequestCost};
use crate::policy::retry::RetryPolicy;
use crate::policy::usage::IdentityUsageState;
use crate::store::StoreWaitBudget;
use crate::time::deadline::{Deadline, DeadlineExtension};

/// A request that is complete and valid.
pub(crate) struct Prepared {
    client: Client,
    operation: Option<&'static Operation>,
    /// The id of the operation, or what identifies a call without one.
    label: OperationName,
    method: Method,
    url: Url,
    /// The headers that this request sets in addition to the client's own.
    headers: HeaderMap,
    payload: RequestBody,
    is_external: bool,
    kind: RequestKind,
    pub(crate) priority: Priority,
    idempotent: bool,
    pub(crate) poll_until_ready: Option<Duration>,
    retry: Option<Box<RetryPolicy>>,
    /// Whether the caller set the time limit, which then includes waits.
    caller_timeout: bool,
    /// The time limit of the call.
    pub(crate) timeout: Deadline,
    /// The excluded time of an attempt.
    pub(crate) extension: Option<DeadlineExtension>,
    /// How long an earlier request of the same call has waited for limits.
    pub(crate) already_waited: Duration,
    upload_error: UploadErrorSlot,
    /// How long this attempt of the call can still wait for the client's store.
    pub(crate) store_wait: StoreWaitBudget,
    /// The condition of the request, for the cache.
    pub(crate) conditional: Option<Validators>,
    cache: Option<Box<CachePolicy>>,
    list_path: Option<Box<str>>,
    /// The primary limit that a response named, for a call without an operation.
    resource: OnceLock<String>,
}

/// The stored responses that a call can invalidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SideEffects {
    None,
    /// The resources at its path, and those that belong to them.
    Path,
    Unknown,
}

/// One of the requests that an attempt sends: the first, and one for each redirect.
#[derive(Debug)]
pub(crate) struct RedirectTarget {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) with_body: bool,
    /// Whether the server is trusted with the token and with other headers for GitHub only.
    pub(crate) trusted: bool,
}

/// The media type that nearly every operation accepts, and that the client requests by default.
const JSON: &str = "application/vnd.github+json";

/// The headers that an untrusted server receives.
const SAFE_HEADERS: [HeaderName; 4] = [ACCEPT, USER_AGENT, RANGE, IF_RANGE];

impl Request {
    /// Validates the request and builds its parts.
    pub(crate) fn prepare(self) -> Result<Prepared> {
        let mut request = *self.0;
        if let Some(reason) = &request.invalid {
            return Err(invalid(reason.to_string()));
        }
        let url = request.url()?;
        if let Some(operation) = request.operation {
            request.check_required(operation)?;
        }
        if request.poll_until_ready.is_some() && request.method != Method::GET {
            return Err(invalid("until_ready is only for GET: other methods would be repeated"));
        }
        let upload = matches!(request.body, RequestBody::Raw(..));
        let extension = match request.extension {
            None if upload => Some(DeadlineExtension::default()),
            ref given => given.clone(),
        };
        let limit = match request.timeout {
            // A header of the caller takes precedence, even for an upload.
            Some(timeout) if upload => Deadline::new(timeout, None),
            Some(timeout) => Deadline::new(timeout, extension.as_ref()),
            None => Deadline::new(request.client.handle().call_timeout, extension.as_ref()),
        };
        let mut prepared = Prepared {
            operation: request.operation,
            label: request.label,
            method: request.method,
            url,
            headers: request.headers,
            payload: request.body,
            is_external: request.is_external,
            kind: request.kind,
            priority: request.priority,
            idempotent: request.idempotent,
            poll_until_ready: request.poll_until_ready,
            retry: request.retry,
            caller_timeout: request.timeout.is_some(),
            timeout: limit,
            extension,
            already_waited: request.waited_before,
            upload_error: UploadErrorSlot::default(),
            store_wait: StoreWaitBudget::new(request.client.handle().store_timeout),
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
    fn check_required(&mut self, operation: &Operation) -> Result<()> {
        let missing = operation.parameters.iter().find(|parameter| {
            let name = parameter.name;
            parameter.required
                && match parameter.location {
                    // Checked when the template is filled.
                    ParameterLocation::Path => false,
                    // A page's URL carries its own query.
                    ParameterLocation::Query => {
                        matches!(self.target, Target::Template(_))
                            && !self.query.iter().any(|(set, _)| set == name)
                    }
                    ParameterLocation::Header => !self.headers.contains_key(name),
                    ParameterLocation::Body => match &self.body {
                        RequestBody::Empty => true,
                        RequestBody::Fields(fields) => !fields.iter().any(|(set, _)| set == name),
                        RequestBody::Json(_) | RequestBody::Raw(..) => false,
                    },
                }
        });
        if let Some(parameter) = missing {
            return Err(missing_parameter(parameter));
        }
        if matches!(self.body, RequestBody::Empty) {
            match operation.missing_body {
                MissingBody::Send => {}
                MissingBody::SendEmptyObject => {
                    self.body = RequestBody::Json(Bytes::from_static(b"{}"))
                }
                MissingBody::Reject => return Err(no_body(operation)),
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
        if let RequestBody::Fields(fields) = &self.payload {
            self.payload = RequestBody::Json(to_json_object(fields)?);
        }
        let (name, value) = match &self.payload {
            RequestBody::Json(_) => (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            RequestBody::Raw(content_type, _) => (CONTENT_TYPE, content_type.clone()),
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

    /// Returns the values of the call that policies decide by.
    pub(crate) fn attempt(&self) -> AttemptContext<'_> {
        AttemptContext {
            operation: &self.label,
            method: &self.method,
            url: &self.url,
            path: self.cache_path(),
            headers: &self.headers,
            default_headers: &self.client.handle().headers,
            priority: self.priority,
            is_cacheable: self.is_cacheable(),
            is_external: self.is_external,
            store_wait: &self.store_wait,
        }
    }

    pub(crate) fn method(&self) -> &Method {
        &self.method
    }

    /// Returns the operation's path template, since the values might be private; empty for a call without an operation.
    pub(crate) fn template(&self) -> &'static str {
        self.operation.map_or("", |operation| operation.path)
    }

    /// Returns whether the target is not GitHub's API.
    pub(crate) fn is_external(&self) -> bool {
        self.is_external
    }

    /// Returns the request credential, which takes precedence over the client's.
    pub(crate) fn request_authorization(&self) -> Option<&HeaderValue> {
        self.headers.get(AUTHORIZATION)
    }

    /// Returns whether its query contains this parameter, and GitHub's description of the operation has it.
    pub(crate) fn sends_documented(&self, name: &str) -> bool {
        self.operation
            .is_some_and(|operation| operation.parameter(ParameterLocation::Query, name).is_some())
            && self.url.query_pairs().any(|(sent, _)| sent == name)
    }

    /// Returns the circuit of its first target server.
    pub(crate) fn circuit(&self) -> &Arc<Circuit> {
        let inner = self.client.handle();
        let [api, upload] = &inner.circuits;
        if same_origin(&self.url, inner.endpoints.api()) { api } else { upload }
    }

    /// Returns the properties of the call that limits use.
    pub(crate) fn cost(&self) -> RequestCost {
        if let RequestKind::GraphQl { mutation } = self.kind {
            return RequestCost::graphql(mutation);
        }
        let inner = self.client.handle();
        let path = self.path();
        let (resource, content) = match self.operation {
            Some(operation) => (inner.limits.resource(operation), operation.creates_content),
            None => {
                let named = self.resource.get().cloned().map(Cow::Owned);
                let resource = named.unwrap_or_else(|| Cow::Borrowed(default_resource(path)));
                (resource, self.kind != RequestKind::Internal && self.method == Method::POST)
            }
        };
        RequestCost::rest(&self.method, path, resource, content)
    }

    /// Returns the path of its response: for a page, that of the list.
    pub(crate) fn cache_path(&self) -> &str {
        self.list_path.as_deref().unwrap_or_else(|| self.path())
    }

    /// Returns the path relative to the base URL.
    pub(crate) fn path(&self) -> &str {
        let api = self.client.handle().endpoints.api().path().trim_end_matches('/');
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
        self.kind == RequestKind::Rest
            && !self.is_external
            && self.poll_until_ready.is_none()
            && matches!(self.payload, RequestBody::Empty)
            && same_origin(&self.url, self.client.handle().endpoints.api())
    }

    /// Returns the stored responses that it can invalidate.
    pub(crate) fn side_effects(&self) -> SideEffects {
        let is_read = matches!(self.method, Method::GET | Method::HEAD | Method::OPTIONS);
        match self.kind {
            _ if self.is_external => SideEffects::None,
            RequestKind::GraphQl { mutation: true } => SideEffects::Unknown,
            RequestKind::Rest if !is_read => SideEffects::Path,
            _ => SideEffects::None,
        }
    }

    /// Returns whether the call itself forbids sending a request.
    pub(crate) fn is_only_if_cached(&self) -> bool {
        self.cache.as_ref().is_some_and(|policy| policy.is_only_if_cached())
    }

    /// Returns the time limit of the call, if its caller set one.
    pub(crate) fn remaining_caller_timeout(&self) -> Option<Duration> {
        self.caller_timeout.then(|| self.timeout.remaining())
    }

    /// Records the primary limit that a response names.
    pub(crate) fn record_resource(&self, resource: &str) {
        match self.operation {
            Some(operation) => self.client.handle().limits.record_resource(operation, resource),
            // Other calls of this path have their own response.
            None => drop(self.resource.set(resource.to_owned())),
        }
    }

    /// Returns the limits that admit it.
    pub(crate) fn admission_queue(&self) -> Arc<AdmissionQueue> {
        match self.request_authorization() {
            // The call belongs to another identity, which its token determines.
            Some(authorization) => {
                let client = &self.client;
                let who = format!("own:{}", secret_fingerprint(authorization.as_bytes()));
                client.handle().limits.queue(&who, client.base_url().as_str())
            }
            None => Arc::clone(self.client.admission_queue()),
        }
    }

    /// Returns the body, if it is JSON.
    pub(crate) fn json_body(&self) -> Option<&Bytes> {
        match &self.payload {
            RequestBody::Json(body) => Some(body),
            _ => None,
        }
    }

    /// Returns the label of its identity in metrics.
    pub(crate) fn identity_label(&self) -> &'static str {
        match self.request_authorization() {
            Some(_) => "own",
            None => self.client.identity_label(),
        }
    }

    /// Returns whether it carries a token.
    pub(crate) fn is_authorized(&self) -> bool {
        self.request_authorization().is_some()
            || self.client.handle().identity.token_manager().is_some()
    }

    /// Returns the usage that it counts for.
    pub(crate) fn usage_account(&self) -> Arc<IdentityUsageState> {
        self.client.usage_account_for(self.request_authorization().is_some())
    }

    pub(crate) fn is_graphql(&self) -> bool {
        matches!(self.kind, RequestKind::GraphQl { .. })
    }

    /// Returns whether the time limit of the caller has passed.
    pub(crate) fn caller_deadline_expired(&self) -> bool {
        self.caller_timeout && self.timeout.remaining().is_zero()
    }

    /// Returns the longest wait that the caller permits.
    pub(crate) fn max_wait(&self) -> Duration {
        if self.caller_timeout { self.timeout.remaining() } else { Duration::MAX }
    }

    /// Records a wait for a limit, which does not count for the client's own timeout.
    pub(crate) fn extend_for_wait(&self, time: Duration) {
        if !self.caller_timeout && !time.is_zero() {
            self.timeout.extend(time);
        }
    }

    /// Returns the retry policy of the caller, or the client's.
    pub(crate) fn retry(&self) -> &RetryPolicy {
        self.retry.as_deref().unwrap_or(&self.client.handle().retry)
    }

    /// Returns whether the request is idempotent.
    pub(crate) fn is_idempotent(&self) -> bool {
        self.idempotent || is_idempotent(&self.method)
    }

    /// Returns whether the body can be sent again.
    pub(crate) fn is_replayable(&self) -> bool {
        match &self.payload {
            RequestBody::Raw(_, body) => body.is_replayable(),
            RequestBody::Empty | RequestBody::Fields(_) | RequestBody::Json(_) => true,
        }
    }

    /// Returns the first request of an attempt.
    pub(crate) fn initial_target(&self) -> RedirectTarget {
        RedirectTarget {
            method: self.method.clone(),
            url: self.url.clone(),
            with_body: true,
            trusted: true,
        }
    }

    /// Builds the request of one hop; the tokens are added for trusted servers only.
    pub(crate) fn request(
        &self,
        hop: RedirectTarget,
        credentials: &RequestCredentials,
    ) -> Result<reqwest::Request> {
        let mut request = reqwest::Request::new(hop.method, hop.url);
        *request.headers_mut() = if self.is_external {
            self.external_headers()
        } else if hop.trusted {
            self.request_headers(credentials, hop.with_body)
        } else {
            self.safe_headers()
        };
        if hop.with_body {
            *request.body_mut() = self.body()?;
        }
        Ok(request)
    }

    /// Returns the error for a request that failed.
    pub(crate) fn transport_error(&self, error: reqwest::Error) -> Error {
        match self.upload_error.take() {
            Some(reason) => Error::from_upload(reason),
            None => Error::from_transport(error),
        }
    }

    fn request_headers(&self, credentials: &RequestCredentials, with_body: bool) -> HeaderMap {
        let mut headers = self.client.handle().headers.clone();
        credentials.apply(&mut headers);
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

    fn safe_headers(&self) -> HeaderMap {
        let own = &self.client.handle().headers;
        let mut headers = HeaderMap::new();
        for name in SAFE_HEADERS {
            if let Some(value) = self.headers.get(&name).or_else(|| own.get(&name)) {
                headers.insert(name, value.clone());
            }
        }
        headers
    }

    fn external_headers(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        if let Some(name) = self.client.handle().headers.get(USER_AGENT) {
            headers.entry(USER_AGENT).or_insert_with(|| name.clone());
        }
        headers
    }

    fn body(&self) -> Result<Option<reqwest::Body>> {
        match (&self.payload, &self.extension) {
            (RequestBody::Json(json), _) => Ok(Some(json.clone().into())),
            (RequestBody::Raw(_, body), extension) => {
                let extension = extension.clone().unwrap_or_default();
                body.send(&extension, &self.upload_error).map(Some).map_err(|BodyConsumed| {
                    invalid("streaming request body was already consumed and cannot be resent")
                        .with_advice("create a new body for each call, or pass it as bytes")
                })
            }
            (RequestBody::Empty | RequestBody::Fields(_), _) => Ok(None),
        }
    }
}

/// Returns the JSON object of these properties.
fn to_json_object(fields: &[(Cow<'static, str>, Vec<u8>)]) -> Result<Bytes> {
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
pub(super) fn from_json_object(
    json: &[u8],
) -> serde_json::Result<Vec<(Cow<'static, str>, Vec<u8>)>> {
    let object: BTreeMap<String, Value> = serde_json::from_slice(json)?;
    object
        .into_iter()
        .map(|(name, value)| Ok((Cow::Owned(name), serde_json::to_vec(&value)?)))
        .collect()
}

pub(super) fn missing_parameter(parameter: &OperationParameter) -> Error {
    let name = parameter.name;
    let place = match parameter.location {
        ParameterLocation::Path => "path parameter",
        ParameterLocation::Query => "query parameter",
        ParameterLocation::Header => "header",
        ParameterLocation::Body => "body property",
    };
    invalid(format!("missing {place} {name:?}"))
        .with_advice(format!("call .{}(…)", parameter.setter))
}

fn no_body(operation: &Operation) -> Error {
    let mut properties = operation
        .parameters
        .iter()
        .filter(|parameter| parameter.location == ParameterLocation::Body);
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
