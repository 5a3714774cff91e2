//! A call while it is executed: the complete request, its options, and the state that its attempts share.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, IF_RANGE, RANGE, USER_AGENT};

use super::call::{Call, CallOptions};
use super::handle::{ClientHandle, ClientShared};
use crate::api::default_resource::default_resource;
use crate::api::operation::Operation;
use crate::error::{OperationName, Result};
use crate::policy::auth::{RequestCredentials, secret_fingerprint};
use crate::policy::cache::CachePolicy;
use crate::policy::cache::conditional::Validators;
use crate::policy::cache::rfc9111;
use crate::policy::circuit_breaker::Circuit;
use crate::policy::context::AttemptContext;
use crate::policy::rate_limit::{AdmissionQueue, RequestCost};
use crate::policy::retry::RetryPolicy;
use crate::policy::usage::IdentityUsageState;
use crate::request::body::{BodyConsumed, UploadErrorSlot};
use crate::request::{RequestBody, RequestKind, RequestSpec, invalid};
use crate::store::StoreWaitBudget;
use crate::time::deadline::Deadline;
use crate::transport::redirect::RedirectTarget;

pub(crate) struct CallContext {
    pub(crate) handle: Arc<ClientHandle>,
    pub(crate) spec: RequestSpec,
    pub(crate) options: CallOptions,
    /// The time limit of the call.
    pub(crate) deadline: Deadline,
    pub(crate) upload_error: UploadErrorSlot,
    /// How long this attempt of the call can still wait for the client's store.
    pub(crate) store_wait: StoreWaitBudget,
    /// The condition of the request, for the cache.
    pub(crate) conditional: Option<Box<Validators>>,
    /// The headers of this attempt in place of the call's, if there are interceptors.
    pub(crate) attempt_headers: Option<Box<HeaderMap>>,
    /// The primary limit that a response named, for a call without an operation.
    observed_resource: OnceLock<String>,
}

/// The headers that an untrusted server receives.
const SAFE_HEADERS: [HeaderName; 4] = [ACCEPT, USER_AGENT, RANGE, IF_RANGE];

impl CallContext {
    /// Validates the request of a call, and starts its time limit.
    pub(crate) fn new(call: Call) -> Result<Self> {
        let Call { handle, draft, mut options } = call;
        let shared = &*handle.shared;
        let spec = draft.build(&shared.endpoints, options.poll_until_ready.is_some())?;
        let upload = matches!(spec.body, RequestBody::Raw(..));
        if upload && options.extension.is_none() {
            options.extension = Some(Default::default());
        }
        let extension = options.extension.as_ref();
        let deadline = match options.timeout {
            // A header of the caller takes precedence, even for an upload.
            Some(timeout) if upload => Deadline::new(timeout, None),
            Some(timeout) => Deadline::new(timeout, extension),
            None => Deadline::new(shared.call_timeout, extension),
        };
        Ok(Self {
            spec,
            deadline,
            options,
            upload_error: match upload {
                true => UploadErrorSlot::for_upload(),
                false => UploadErrorSlot::default(),
            },
            store_wait: StoreWaitBudget::new(shared.store_timeout),
            conditional: None,
            attempt_headers: None,
            observed_resource: OnceLock::new(),
            handle,
        })
    }

    pub(crate) fn shared(&self) -> &ClientShared {
        &self.handle.shared
    }

    /// Returns the name of the operation for messages.
    pub(crate) fn name(&self) -> &OperationName {
        &self.spec.name
    }

    /// Returns the values of the call that policies decide by.
    pub(crate) fn attempt(&self) -> AttemptContext<'_> {
        AttemptContext {
            operation: &self.spec.name,
            method: &self.spec.method,
            url: &self.spec.url,
            path: self.spec.cache_path(),
            headers: &self.spec.headers,
            default_headers: &self.shared().headers,
            priority: self.options.priority,
            is_cacheable: self.spec.is_cacheable() && self.options.poll_until_ready.is_none(),
            is_external: self.spec.is_external,
            store_wait: &self.store_wait,
        }
    }
}

/// The state of the policies that the call uses.
impl CallContext {
    /// Returns the circuit of its first target server.
    pub(crate) fn circuit(&self) -> &Arc<Circuit> {
        let circuits = &self.shared().circuits;
        if self.spec.is_api_server { &circuits.api } else { &circuits.upload }
    }

    /// Returns the limits that admit it.
    pub(crate) fn admission_queue(&self) -> Arc<AdmissionQueue> {
        match self.spec.request_authorization() {
            // The call belongs to another identity, which its token determines.
            Some(authorization) => {
                let identity = format!("own:{}", secret_fingerprint(authorization.as_bytes()));
                self.handle.queue_of(&identity)
            }
            None => Arc::clone(self.handle.admission_queue()),
        }
    }

    /// Returns the properties of the call that limits use.
    pub(crate) fn cost(&self) -> RequestCost {
        let spec = &self.spec;
        if let RequestKind::GraphQl { mutation } = spec.kind {
            return RequestCost::graphql(mutation);
        }
        let path = spec.path();
        let (resource, content) = match spec.operation {
            Some(Operation { id, rate_limit, creates_content, .. }) => {
                (self.shared().limits.resource(id, rate_limit), *creates_content)
            }
            None => {
                let named = self.observed_resource.get().cloned().map(Cow::Owned);
                let resource = named.unwrap_or_else(|| Cow::Borrowed(default_resource(path)));
                (resource, spec.kind != RequestKind::Internal && spec.method == http::Method::POST)
            }
        };
        RequestCost::rest(&spec.method, path, resource, content)
    }

    /// Records the primary limit that a response names.
    pub(crate) fn record_resource(&self, resource: &str) {
        match self.spec.operation {
            Some(Operation { id, rate_limit, .. }) => {
                self.shared().limits.record_resource(id, rate_limit, resource);
            }
            // Other calls of this path have their own response.
            None => drop(self.observed_resource.set(resource.to_owned())),
        }
    }

    /// Returns the usage that it counts for.
    pub(crate) fn usage_account(&self) -> Arc<IdentityUsageState> {
        self.handle.usage_account_for(self.spec.request_authorization().is_some())
    }

    /// Returns the identity whose budgets a request to GitHub's API counts against, if there are any.
    pub(crate) fn budgeted_account(&self) -> Option<Arc<IdentityUsageState>> {
        let any = !self.spec.is_external && self.shared().usage.has_budgets();
        any.then(|| self.usage_account())
    }

    /// Returns the label of its identity in metrics.
    pub(crate) fn identity_label(&self) -> &'static str {
        match self.spec.request_authorization() {
            Some(_) => "own",
            None => self.handle.identity_label(),
        }
    }

    /// Returns whether it carries a token.
    pub(crate) fn is_authenticated(&self) -> bool {
        self.spec.request_authorization().is_some()
            || self.handle.identity.token_manager().is_some()
    }

    /// Returns the retry policy of the caller, or the client's.
    pub(crate) fn retry_policy(&self) -> &RetryPolicy {
        self.options.retry.as_deref().unwrap_or(&self.shared().retry)
    }

    /// Returns the cache policy of the call itself.
    pub(crate) fn cache_policy(&self) -> Option<&CachePolicy> {
        self.options.cache.as_deref()
    }

    /// Returns whether the call itself forbids sending a request.
    pub(crate) fn is_only_if_cached(&self) -> bool {
        self.cache_policy().is_some_and(CachePolicy::is_only_if_cached)
    }

    /// Returns whether the request is idempotent.
    pub(crate) fn is_idempotent(&self) -> bool {
        self.options.idempotent || self.spec.is_idempotent()
    }
}

/// The time limit of the call.
impl CallContext {
    /// Returns the time limit of the call, if its caller set one.
    pub(crate) fn remaining_caller_timeout(&self) -> Option<Duration> {
        self.options.timeout.map(|_| self.deadline.remaining())
    }

    /// Returns whether the time limit of the caller has passed.
    pub(crate) fn caller_deadline_expired(&self) -> bool {
        self.remaining_caller_timeout().is_some_and(|remaining| remaining.is_zero())
    }

    /// Returns the longest wait that the caller permits.
    pub(crate) fn max_wait(&self) -> Duration {
        self.remaining_caller_timeout().unwrap_or(Duration::MAX)
    }

    /// Records a wait for a limit, which does not count for the client's own timeout.
    pub(crate) fn extend_for_wait(&self, time: Duration) {
        if self.options.timeout.is_none() && !time.is_zero() {
            self.deadline.extend(time);
        }
    }
}

/// The requests that its attempts send.
impl CallContext {
    /// Builds one request of an attempt; the tokens are added for trusted servers only.
    pub(crate) fn outgoing(
        &self,
        target: RedirectTarget,
        credentials: &RequestCredentials,
    ) -> Result<reqwest::Request> {
        let mut request = reqwest::Request::new(target.method, target.url);
        *request.headers_mut() = if self.spec.is_external {
            self.external_headers()
        } else if target.trusted {
            self.trusted_headers(credentials, target.with_body)
        } else {
            self.safe_headers()
        };
        if target.with_body {
            *request.body_mut() = self.body()?;
        }
        Ok(request)
    }

    /// Returns the headers for a server of GitHub.
    pub(crate) fn trusted_headers(
        &self,
        credentials: &RequestCredentials,
        with_body: bool,
    ) -> HeaderMap {
        let mut headers = self.shared().headers.clone();
        credentials.apply(&mut headers);
        let own = self.own_headers();
        for name in own.keys() {
            headers.remove(name);
        }
        for (name, value) in own {
            headers.append(name.clone(), value.clone());
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

    /// Returns the headers that the call, and interceptors, set in addition to the client's own.
    pub(super) fn own_headers(&self) -> &HeaderMap {
        self.attempt_headers.as_deref().unwrap_or(&self.spec.headers)
    }

    /// Returns whether a response varies by a header that interceptors have changed for this attempt, so that it is not
    /// one to the call as such.
    pub(crate) fn varies_by_interceptor(&self, response: &HeaderMap) -> bool {
        let Some(attempt) = &self.attempt_headers else { return false };
        rfc9111::vary_names(response)
            .any(|name| !attempt.get_all(&name).iter().eq(self.spec.headers.get_all(&name)))
    }

    /// Returns the headers for a server that is not GitHub's, to which a response redirects.
    fn safe_headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for name in SAFE_HEADERS {
            let value = self.own_headers().get(&name).or_else(|| self.shared().headers.get(&name));
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
        headers
    }

    /// Returns the headers for the target of a call that is not to GitHub's API.
    fn external_headers(&self) -> HeaderMap {
        let mut headers = self.spec.headers.clone();
        if let Some(name) = self.shared().headers.get(USER_AGENT) {
            headers.entry(USER_AGENT).or_insert_with(|| name.clone());
        }
        headers
    }

    fn body(&self) -> Result<Option<reqwest::Body>> {
        match &self.spec.body {
            RequestBody::Json(json) => Ok(Some(json.clone().into())),
            RequestBody::Raw(_, body) => {
                let extension = self.options.extension.clone().unwrap_or_default();
                body.send(&extension, &self.upload_error).map(Some).map_err(|BodyConsumed| {
                    invalid("streaming request body was already consumed and cannot be resent")
                        .with_advice("create a new body for each call, or pass it as bytes")
                })
            }
            RequestBody::Empty | RequestBody::Fields(_) => Ok(None),
        }
    }
}
