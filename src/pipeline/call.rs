//! A call before it is executed: a request, its options, and the handle that sends it.

use std::sync::Arc;
use std::time::Duration;

use http::Method;

use super::handle::ClientHandle;
use crate::policy::cache::CachePolicy;
use crate::policy::rate_limit::Priority;
use crate::policy::retry::RetryPolicy;
use crate::request::RequestDraft;
use crate::time::deadline::DeadlineExtension;

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

    /// Returns whether a stored response can be returned and refreshed in the background.
    pub(super) fn may_be_refreshed(&self) -> bool {
        let cache = self.handle.shared.cache.as_ref();
        let policy = self.options.cache.as_deref();
        let policy = policy.or_else(|| Some(cache?.policy_for(&self.draft.name)));
        self.draft.method == Method::GET && policy.is_some_and(CachePolicy::may_refresh)
    }

    /// Converts it to the call that refreshes its stored response in the background.
    pub(super) fn into_refresh(mut self: Box<Self>) -> Box<Self> {
        self.options.is_internal = true;
        self.options.cache = Some(Box::new(CachePolicy::max_age(Duration::ZERO)));
        self
    }
}
