//! A call: before it is executed, a request with its options; then the complete request, and the state that the attempts
//! share.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderMap, Method};
use tokio::time::Instant;

use super::handle::{ClientHandle, ClientShared};
use crate::api::default_resource::default_resource;
use crate::api::operation::{Operation, metric_name};
use crate::error::{Error, ErrorKind, OperationName, Result};
use crate::observability::observer::{AttemptObserver, CallMetadata, CallObserver};
use crate::policy::auth::secret_fingerprint;
use crate::policy::cache::CachePolicy;
use crate::policy::cache::conditional::Validators;
use crate::policy::cache::rfc9111;
use crate::policy::circuit_breaker::Circuit;
use crate::policy::context::AttemptContext;
use crate::policy::rate_limit::{AdmissionQueue, Priority, RequestCost};
use crate::policy::retry::RetryPolicy;
use crate::policy::usage::{IdentityUsageState, UsageRecorder};
use crate::request::body::UploadErrorSlot;
use crate::request::{RequestBody, RequestDraft, RequestKind, RequestSpec};
use crate::response::response_headers::ResponseHeaders;
use crate::store::StoreWaitBudget;
use crate::time::deadline::{Deadline, DeadlineExtension, with_deadline};

/// A call before it is executed: a request, its options, and the handle that sends it.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) handle: Arc<ClientHandle>,
    pub(crate) draft: RequestDraft,
    pub(crate) options: CallOptions,
}

/// The options of one call. Those that are `None` are the client's.
#[derive(Clone)]
pub(crate) struct CallOptions {
    /// The number of pages that are fetched ahead.
    pub(crate) prefetch: usize,
    /// The time limit of the call as a whole, waits included.
    pub(crate) timeout: Option<Duration>,
    pub(crate) extension: Option<DeadlineExtension>,
    pub(crate) priority: Priority,
    pub(crate) idempotent: bool,
    pub(crate) poll_until_ready: Option<Duration>,
    pub(crate) retry: Option<Box<RetryPolicy>>,
    pub(crate) cache: Option<Box<CachePolicy>>,
    /// The largest body that is read into memory, in bytes.
    pub(crate) max_body_bytes: Option<usize>,
    /// Set for calls that the client makes in the background of another.
    pub(crate) is_internal: bool,
}

/// The default number of pages fetched ahead: enough to hide the latency of GitHub's lists, few enough to stay far
/// below its 100 concurrent requests.
const DEFAULT_PREFETCH: usize = 4;

impl Default for CallOptions {
    fn default() -> Self {
        Self {
            prefetch: DEFAULT_PREFETCH,
            timeout: None,
            extension: None,
            priority: Priority::default(),
            idempotent: false,
            poll_until_ready: None,
            retry: None,
            cache: None,
            max_body_bytes: None,
            is_internal: false,
        }
    }
}

impl Call {
    /// Creates a call with the default options.
    #[inline]
    pub(crate) fn new(handle: Arc<ClientHandle>, draft: RequestDraft) -> Self {
        Self { handle, draft, options: CallOptions::default() }
    }

    /// Begins the span and the metrics of the call.
    pub(crate) fn observe(&self) -> CallObserver {
        let Self { handle, draft, options } = self;
        let (shared, has_credential) = (&handle.shared, draft.has_request_credential());
        let metadata = CallMetadata {
            operation: &draft.name,
            template: draft.template(),
            method: &draft.method,
            server: draft.server(&shared.endpoints),
            is_internal: options.is_internal,
            is_authenticated: has_credential || handle.identity.token_manager().is_some(),
        };
        let usage = (!options.is_internal).then(|| {
            let account = handle.usage_account_for(has_credential);
            UsageRecorder::new(&shared.usage, account.into_owned())
        });
        CallObserver::begin(&metadata, Arc::clone(&shared.recent), usage)
    }

    /// Converts it to the call that refreshes its stored response in the background.
    pub(super) fn into_refresh(mut self: Box<Self>) -> Box<Self> {
        self.options.is_internal = true;
        self.options.cache = Some(Box::new(CachePolicy::max_age(Duration::ZERO)));
        self
    }
}

/// A call while it is executed: the complete request, its options, and the state that its attempts share.
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
    /// Whether GitHub can have performed one of the requests that were sent.
    pub(crate) may_have_had_effect: bool,
    /// The headers of this attempt in place of the call's, if there are interceptors.
    pub(crate) attempt_headers: Option<Box<HeaderMap>>,
    /// The primary limit that a response named, for a call without an operation.
    observed_resource: OnceLock<String>,
}

impl CallContext {
    /// Validates the request of a call, and starts its time limit at `now`, which the caller has read in the same poll.
    pub(crate) fn new(call: Call, now: Instant) -> Result<Self> {
        let Call { handle, draft, mut options } = call;
        let shared = &*handle.shared;
        let spec = draft.build(&shared.endpoints, options.poll_until_ready.is_some())?;
        let upload = matches!(spec.body, RequestBody::Raw(..));
        if upload && options.extension.is_none() {
            options.extension = Some(Default::default());
        }
        let extension = options.extension.as_ref();
        let deadline = match options.timeout {
            // The caller's timeout takes precedence, even over the progress of an upload.
            Some(timeout) if upload => Deadline::new(now, timeout, None),
            Some(timeout) => Deadline::new(now, timeout, extension),
            None => Deadline::new(now, shared.call_timeout, extension),
        };
        Ok(Self {
            spec,
            deadline,
            options,
            upload_error: match upload {
                true => UploadErrorSlot::for_upload(),
                false => UploadErrorSlot::default(),
            },
            store_wait: match shared.waits_for_store() {
                true => StoreWaitBudget::new(shared.store_timeout),
                false => StoreWaitBudget::unbounded(),
            },
            conditional: None,
            may_have_had_effect: false,
            attempt_headers: None,
            observed_resource: OnceLock::new(),
            handle,
        })
    }

    pub(crate) fn shared(&self) -> &ClientShared {
        &self.handle.shared
    }

    /// Returns whether a stored response can be returned and refreshed in the background.
    pub(super) fn may_be_refreshed(&self) -> bool {
        let cache = self.shared().cache.as_ref();
        let policy = self.cache_policy();
        let policy = policy.or_else(|| Some(cache?.policy_for(&self.spec.name)));
        self.spec.method == Method::GET && policy.is_some_and(CachePolicy::may_refresh)
    }

    /// Returns the same call, to execute it once more.
    pub(super) fn to_call(&self) -> Box<Call> {
        let (handle, draft) = (Arc::clone(&self.handle), self.spec.to_draft());
        Box::new(Call { handle, draft, options: self.options.clone() })
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
            path_and_query: self.spec.url.path_and_query(),
            path: self.spec.cache_path(),
            headers: &self.spec.headers,
            default_headers: &self.shared().headers,
            priority: self.options.priority,
            max_body_bytes: self.max_body_bytes(),
            is_cacheable: self.spec.is_cacheable() && self.options.poll_until_ready.is_none(),
            store_wait: &self.store_wait,
        }
    }
}

/// What its attempts send and record.
impl CallContext {
    /// Returns the headers that the call, and interceptors, set in addition to the client's own.
    pub(super) fn own_headers(&self) -> &HeaderMap {
        self.attempt_headers.as_deref().unwrap_or(&self.spec.headers)
    }

    /// Returns whether a response varies by a header that interceptors have changed for this attempt, so that it is not
    /// one to the call as such.
    pub(super) fn varies_by_interceptor(&self, response: &ResponseHeaders) -> bool {
        let Some(attempt) = &self.attempt_headers else { return false };
        rfc9111::vary_names(response.map())
            .any(|name| !attempt.get_all(&name).iter().eq(self.spec.headers.get_all(&name)))
    }

    /// Begins the span and the metrics of an attempt that starts at `started_at`, and counts its request. `resend_count`
    /// is the number of earlier requests, for any reason.
    pub(crate) fn observe_attempt(
        &self,
        resend_count: u32,
        started_at: Instant,
    ) -> AttemptObserver<'_> {
        let spec = &self.spec;
        if !spec.is_external {
            self.usage_account().record_request(started_at, metric_name(&spec.name));
        }
        let (method, url, template) = (&spec.method, spec.url.get(), spec.template());
        let recent = &*self.shared().recent;
        AttemptObserver::begin(method, url, template, resend_count, started_at, recent)
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
    pub(crate) fn admission_queue(&self) -> Cow<'_, Arc<AdmissionQueue>> {
        match self.spec.request_authorization() {
            // The call belongs to another identity, which its token determines.
            Some(authorization) => {
                let identity = format!("own:{}", secret_fingerprint(authorization.as_bytes()));
                Cow::Owned(self.handle.queue_of(&identity))
            }
            None => Cow::Borrowed(self.handle.admission_queue()),
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
                (resource, spec.kind != RequestKind::Internal && spec.method == Method::POST)
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
    pub(crate) fn usage_account(&self) -> Cow<'_, Arc<IdentityUsageState>> {
        self.handle.usage_account_for(self.spec.request_authorization().is_some())
    }

    /// Returns the identity whose budgets a request to GitHub's API counts against, if there are any.
    pub(crate) fn budgeted_account(&self) -> Option<Arc<IdentityUsageState>> {
        let any = !self.spec.is_external && self.shared().usage.has_budgets();
        any.then(|| self.usage_account().into_owned())
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

    /// Returns the largest body that the call reads into memory, in bytes.
    pub(crate) fn max_body_bytes(&self) -> usize {
        self.options.max_body_bytes.unwrap_or(self.shared().max_body_bytes)
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

    /// Returns the longest wait that the caller permits at `now`.
    pub(super) fn max_wait_at(&self, now: Instant) -> Duration {
        self.options.timeout.map_or(Duration::MAX, |_| self.deadline.remaining_at(now))
    }

    /// Returns whether the time limit of the caller has passed.
    pub(crate) fn caller_deadline_expired(&self) -> bool {
        self.remaining_caller_timeout().is_some_and(|remaining| remaining.is_zero())
    }

    /// Returns the longest wait that the caller permits.
    pub(crate) fn max_wait(&self) -> Duration {
        self.remaining_caller_timeout().unwrap_or(Duration::MAX)
    }

    /// Runs a part of the call until the deadline.
    pub(super) async fn within_deadline<F: Future>(
        &self,
        part: &str,
        future: F,
    ) -> Result<F::Output> {
        let limit = &self.deadline;
        with_deadline([limit, limit], future).await.map_err(|late| timed_out(part, late))
    }

    /// Records a wait for a limit, which does not count for the client's own timeout.
    pub(crate) fn extend_for_wait(&self, time: Duration) {
        if self.options.timeout.is_none() && !time.is_zero() {
            self.deadline.extend(time);
        }
    }
}

/// Returns the error for a part of a call that did not end before its deadline.
pub(super) fn timed_out(what: &str, late: &Deadline) -> Error {
    let message = format!("{what} timed out after {:?}", late.length());
    Error::new(ErrorKind::Timeout, message)
        .with_advice("try again, or increase attempt_timeout, call_timeout or timeout")
}
