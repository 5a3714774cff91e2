//! GitHub's rate limits, and how the client stays inside them.
//!
//! Every attempt of a call is [admitted](RateLimits) before it is sent, by the limits of the identity
//! that it is made as:
//!
//! | limit | how it is known |
//! |---|---|
//! | primary, for each `x-ratelimit-resource` | from the headers of every answer |
//! | requests at a time; points a minute; new content a minute and an hour; a second between writes | GitHub's published numbers: [`Pacing`] |
//! | a secondary limit that was reached | GitHub says so: all calls of the identity pause |
//!
//! A call that can not go now waits in order, by its [`Priority`], or fails with the time to come
//! back at: [`OnLimit`]. It never waits for a call that nothing polls: if it waits for the end of
//! another one, as of a page that is fetched ahead, a task runs that one to its end.

mod ask;
mod batch_slots;
mod cost;
mod fleet;
mod health;
mod holders;
mod lane;
mod penalty;
mod policy;
mod primary;
mod rules;
mod window;

pub use health::{LimitsHealth, PrimaryHealth};
pub use lane::Priority;
pub use policy::{OnLimit, Pacing, RateLimits};

use std::borrow::Cow;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use lru::LruCache;

#[cfg(test)]
pub(crate) use batch_slots::MAX_WAITING;
pub(crate) use batch_slots::{BatchSlot, BatchSlots, BatchWait};
pub(crate) use cost::Cost;
pub(crate) use holders::CallHandle;
pub(crate) use lane::{Lane, Patience, Permit};
pub(crate) use primary::Told;
pub(crate) use rules::Outcome;

use crate::names;
use crate::operation::Operation;
use crate::store::Guard;

/// The limits of one identity, for benchmarks.
#[cfg(feature = "__bench")]
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct Admission(Arc<Lane>);

#[cfg(feature = "__bench")]
impl Admission {
    /// The limits of an identity that has not called yet.
    pub fn new(policy: RateLimits) -> Self {
        Self(Lane::new(Arc::new(policy)))
    }

    /// The limits of an identity that shares them through a store, as a client of this name.
    pub fn shared(policy: RateLimits, store: impl crate::store::Store, member: &str) -> Self {
        let guard = Arc::new(Guard::new(Arc::new(store), crate::store::STORE_TIMEOUT));
        Self(Lane::in_fleet(Arc::new(policy), guard, "limits:bench".to_owned(), member.to_owned()))
    }

    /// Lets one read through, and has it answered.
    pub async fn once(&self) -> crate::Result<()> {
        let cost = Cost::rest(&http::Method::GET, "/repos/o/r", Cow::Borrowed("core"), false);
        let patience = Patience::new(std::time::Duration::MAX);
        let call = CallHandle::default();
        let mut permit = self.0.admit(cost, Priority::Interactive, patience, &call).await?;
        permit.sent();
        let ends_in = std::time::Duration::from_secs(3600);
        let told =
            Told { resource: "core", limit: u64::MAX, remaining: u64::MAX, reset: 0, ends_in };
        permit.end(Outcome::Answered(Some(told)));
        Ok(())
    }
}

/// The limits of all identities of a client.
pub(crate) struct Limits {
    policy: Arc<RateLimits>,
    /// Where limits are shared with other clients, and who this one is among them.
    shared: Option<(Arc<Guard>, String)>,
    lanes: Mutex<LruCache<String, Arc<Lane>>>,
    /// The primary limits that operations turned out to count against.
    learnt: RwLock<HashMap<&'static str, Cow<'static, str>>>,
}

/// As many identities as tokens are kept for. What falls out begins anew, but for handles that
/// still have it.
const MAX_IDENTITIES: NonZeroUsize = NonZeroUsize::new(15_000).unwrap();

impl Limits {
    pub(crate) fn new(policy: RateLimits, store: Option<Arc<Guard>>) -> Self {
        Self {
            policy: Arc::new(policy),
            shared: store.map(|guard| (guard, names::unique())),
            lanes: Mutex::new(LruCache::new(MAX_IDENTITIES)),
            learnt: RwLock::default(),
        }
    }

    /// The lane of an identity, which is known by that name to the GitHub of this address.
    pub(crate) fn lane(&self, identity: &str, github: &str) -> Arc<Lane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(identity) {
            return Arc::clone(lane);
        }
        let policy = Arc::clone(&self.policy);
        let lane = match &self.shared {
            None => Lane::new(policy),
            Some((guard, member)) => {
                let key = format!("limits:{github}:{identity}");
                Lane::in_fleet(policy, Arc::clone(guard), key, member.clone())
            }
        };
        lanes.put(identity.to_owned(), Arc::clone(&lane));
        lane
    }

    /// How the limits of an identity are, and of those whose handles were made last, as many at most.
    #[cfg(feature = "dashboard")]
    pub(crate) fn health(&self, first: &str, own: &Lane, most: usize) -> Vec<LimitsHealth> {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        // Calls with a token of their own are known by a digest, which says nothing to people.
        let shown = |identity: &str| identity != first && !identity.starts_with("own:");
        let others = lanes.iter().filter(|(identity, _)| shown(identity));
        let others = others.map(|(identity, lane)| lane.health(identity.clone()));
        std::iter::once(own.health(first.to_owned())).chain(others).take(most).collect()
    }

    /// The primary limit that an operation counts against: as its last answer said, else as
    /// GitHub's document does.
    pub(crate) fn resource(&self, operation: &Operation) -> Cow<'static, str> {
        let learnt = self.learnt.read().unwrap_or_else(PoisonError::into_inner);
        learnt.get(operation.id).cloned().unwrap_or(Cow::Borrowed(operation.rate_limit))
    }

    /// Remembers what an operation counts against, if it is not what the document says.
    pub(crate) fn learn(&self, operation: &Operation, resource: &str) {
        // Asking what is left costs nothing, whatever its answer tells of.
        if operation.rate_limit == rules::NO_LIMIT || *self.resource(operation) == *resource {
            return;
        }
        let mut learnt = self.learnt.write().unwrap_or_else(PoisonError::into_inner);
        learnt.insert(operation.id, Cow::Owned(resource.to_owned()));
    }
}
