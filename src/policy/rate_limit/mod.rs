//! GitHub's rate limits, and how the client stays within them.
//!
//! Every attempt of a call is [admitted](RateLimitPolicy) before it is sent, by the limits of its identity:
//!
//! | limit | source |
//! |---|---|
//! | primary, for each `x-ratelimit-resource` | the headers of every response |
//! | concurrent requests; points per minute; content creation per minute and hour; a second between writes | GitHub's published numbers: [`SecondaryLimits`] |
//! | a secondary limit that was reached | GitHub's response: all calls of the identity pause |
//!
//! A call that exceeds a limit waits in order, by its [`Priority`], or fails with the time at which it can be retried:
//! [`LimitAction`]. It never depends on a call that its caller does not poll: if it waits for the end of another call, such
//! as of a page that is fetched ahead, a task runs that call to its end.

mod limits;
mod permit_holders;
mod queue;
mod shared;

mod batch_slots;
mod cost;
mod health;
mod policy;
mod primary;
mod secondary;

pub use crate::policy::context::Priority;
pub use health::{PrimaryLimitHealth, RateLimitHealth};
pub use policy::{LimitAction, RateLimitPolicy, SecondaryLimits};

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use lru::LruCache;

#[cfg(test)]
pub(crate) use batch_slots::MAX_WAITING_CALLS;
pub(crate) use batch_slots::{BatchSlot, BatchSlots, BatchWait};
pub(crate) use cost::RequestCost;
pub(crate) use limits::AttemptOutcome;
pub(crate) use permit_holders::CallHandle;
pub(crate) use queue::{Admission, AdmissionQueue, Permit, WaitBudget};

use crate::api::default_resource::NO_LIMIT;
use crate::store::ResilientStore;
use crate::util::ids;

/// The limits of one identity, for benchmarks.
#[cfg(feature = "__bench")]
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct RateLimiter(Arc<AdmissionQueue>);

#[cfg(feature = "__bench")]
impl RateLimiter {
    /// Creates the limits of an identity without calls.
    pub fn new(policy: RateLimitPolicy) -> Self {
        Self(AdmissionQueue::new(Arc::new(policy)))
    }

    /// Creates the limits of an identity that shares them through a store, as a client of this name.
    pub fn shared(policy: RateLimitPolicy, store: impl crate::store::Store, member: &str) -> Self {
        let guard = Arc::new(ResilientStore::new(Arc::new(store), crate::store::STORE_TIMEOUT));
        Self(AdmissionQueue::with_shared_quota(
            Arc::new(policy),
            guard,
            "limits:bench".to_owned(),
            member.to_owned(),
        ))
    }

    /// Admits one read, and records a response to it.
    pub async fn once(&self) -> crate::error::Result<()> {
        let cost =
            RequestCost::rest(&http::Method::GET, "/repos/o/r", Cow::Borrowed("core"), false);
        let wait_budget = WaitBudget::new(std::time::Duration::MAX);
        let call = CallHandle::default();
        let mut permit = self.0.admit(cost, Priority::Interactive, wait_budget, &call).await?;
        permit.mark_sent();
        let ends_in = std::time::Duration::from_secs(3600);
        let headers = crate::headers::rate_limit::RateLimitHeaders {
            resource: "core",
            limit: u64::MAX,
            remaining: u64::MAX,
            reset: 0,
            ends_in,
        };
        permit.end(AttemptOutcome::Response(Some(headers)));
        Ok(())
    }
}

/// The limits of all identities of a client.
pub(crate) struct Limits {
    policy: Arc<RateLimitPolicy>,
    /// The store that shares limits with other clients, and the name of this client among them.
    shared: Option<(Arc<ResilientStore>, String)>,
    queues: Mutex<LruCache<String, Arc<AdmissionQueue>>>,
    /// The primary limits of operations, as responses reported them.
    observed_resources: RwLock<HashMap<&'static str, Cow<'static, str>>>,
    /// Whether there are such limits: usually, GitHub's description is right, and no call takes the lock.
    has_observed_resources: AtomicBool,
}

/// The maximum number of identities, as for tokens. An evicted identity begins with new limits, except for handles that
/// still hold it.
const MAX_IDENTITIES: usize = 15_000;

impl Limits {
    pub(crate) fn new(policy: RateLimitPolicy, store: Option<Arc<ResilientStore>>) -> Self {
        Self {
            policy: Arc::new(policy),
            shared: store.map(|store| (store, ids::unique_id())),
            // `queue` bounds it. A bound here would allocate its capacity at once: half a megabyte.
            queues: Mutex::new(LruCache::unbounded()),
            observed_resources: RwLock::default(),
            has_observed_resources: AtomicBool::new(false),
        }
    }

    /// Returns the admission queue of an identity with this name at the GitHub server with this address.
    pub(crate) fn queue(&self, identity: &str, github: &str) -> Arc<AdmissionQueue> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get(identity) {
            return Arc::clone(queue);
        }
        let policy = Arc::clone(&self.policy);
        let queue = match &self.shared {
            None => AdmissionQueue::new(policy),
            Some((guard, member)) => {
                let key = format!("limits:{github}:{identity}");
                AdmissionQueue::with_shared_quota(policy, Arc::clone(guard), key, member.clone())
            }
        };
        queues.put(identity.to_owned(), Arc::clone(&queue));
        if queues.len() > MAX_IDENTITIES {
            queues.pop_lru();
        }
        queue
    }

    /// Returns the state of the limits of an identity, and of those whose handles were created last, up to this number.
    #[cfg(feature = "dashboard")]
    pub(crate) fn health(
        &self,
        first: &str,
        own: &AdmissionQueue,
        most: usize,
    ) -> Vec<RateLimitHealth> {
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        // Calls with a request credential are identified by a digest, which is not useful to users.
        let shown = |identity: &str| identity != first && !identity.starts_with("own:");
        let others = queues.iter().filter(|(identity, _)| shown(identity));
        let others = others.map(|(identity, queue)| queue.health(identity.clone()));
        std::iter::once(own.health(first.to_owned())).chain(others).take(most).collect()
    }

    /// Returns the primary limit that the operation with this id counts against: by its last response, else by GitHub's
    /// description.
    pub(crate) fn resource(&self, id: &'static str, documented: &'static str) -> Cow<'static, str> {
        if !self.has_observed_resources.load(Ordering::Acquire) {
            return Cow::Borrowed(documented);
        }
        let observed = self.observed_resources.read().unwrap_or_else(PoisonError::into_inner);
        observed.get(id).cloned().unwrap_or(Cow::Borrowed(documented))
    }

    /// Records the primary limit of the operation with this id, if it differs from the description.
    pub(crate) fn record_resource(
        &self,
        id: &'static str,
        documented: &'static str,
        resource: &str,
    ) {
        // Reading the rate limit status costs nothing, whatever limit its response reports.
        if documented == NO_LIMIT || *self.resource(id, documented) == *resource {
            return;
        }
        let mut observed = self.observed_resources.write().unwrap_or_else(PoisonError::into_inner);
        observed.insert(id, Cow::Owned(resource.to_owned()));
        self.has_observed_resources.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_observed_resource_of_an_operation_replaces_the_documented_one() {
        let limits = Limits::new(RateLimitPolicy::default(), None);
        limits.record_resource("issues/get", "core", "core");
        assert!(!limits.has_observed_resources.load(Ordering::Relaxed));
        assert_eq!(limits.resource("issues/get", "core"), "core");
        limits.record_resource("rate-limit/get", NO_LIMIT, "core");
        assert!(!limits.has_observed_resources.load(Ordering::Relaxed));
        limits.record_resource("search/code", "search", "code_search");
        assert_eq!(limits.resource("search/code", "search"), "code_search");
        assert_eq!(limits.resource("issues/get", "core"), "core");
        // GitHub returns to its description.
        limits.record_resource("search/code", "search", "search");
        assert_eq!(limits.resource("search/code", "search"), "search");
    }
}
