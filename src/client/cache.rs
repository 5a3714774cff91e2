//! The public operations on a client's cache.

use serde_json::Value;

use crate::client::{Client, Request};
use crate::error::Result;
use crate::policy::cache::CacheSelector;
use crate::policy::cache::invalidation_log::Selector;
use crate::policy::cache::webhook_invalidation::selector_for_event;
use crate::store::StoreHealth;

/// The cache of a client, to fill and to empty: [`Client::cache`](crate::Client::cache).
///
/// A purge or invalidation applies to all processes that share the cache: in this process at once, and in others that
/// share a store within a second. A process that starts later revalidates the entries that it finds. If the client has
/// no cache, an operation has no effect. If the store is unavailable, the client writes the change as soon as the store
/// responds again.
///
/// ```no_run
/// # async fn example(client: octowire::Client) {
/// use octowire::cache::CacheSelector;
///
/// client.cache().purge(CacheSelector::prefix("/repos/rust-lang/rust")).await;
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Cache<'a> {
    client: &'a Client,
}

impl Cache<'_> {
    /// Removes responses: the client no longer returns them or revalidates them.
    pub async fn purge(&self, selector: CacheSelector) {
        self.record_invalidation(true, selector.into_inner()).await;
    }

    /// Invalidates responses: the client revalidates them before it returns them again, whatever the policy.
    pub async fn invalidate(&self, selector: CacheSelector) {
        self.record_invalidation(false, selector.into_inner()).await;
    }

    /// Invalidates the responses that a webhook event changed: the issue of an `issues` event and the lists that
    /// contain it, or all responses of a repository after a push. `event` is the value of the header `X-GitHub-Event`,
    /// and `payload` the [body](https://docs.github.com/en/webhooks/webhook-events-and-payloads).
    pub async fn invalidate_for_event(&self, event: &str, payload: &Value) {
        if let Some(selector) = selector_for_event(event, payload, self.client.base_url()) {
            self.record_invalidation(false, selector).await;
        }
    }

    /// Prefetches these calls: a few at a time, with background priority. Returns each call's outcome, in order.
    pub async fn prefetch(&self, calls: impl IntoIterator<Item = Request>) -> Vec<Result<()>> {
        let calls = calls
            .into_iter()
            .map(|call| call.priority(crate::policy::rate_limit::Priority::Background));
        let results = self.client.batch(calls.map(Request::send_empty)).collect().await;
        results.into_iter().map(|result| result.map(|_| ())).collect()
    }

    /// Returns the health of the cache's store; `None` for a cache in memory.
    #[must_use]
    pub fn store_health(&self) -> Option<StoreHealth> {
        self.client.handle().shared.cache.as_ref()?.store_health()
    }

    /// Returns the bytes that the cache holds in memory; zero for a cache in a store.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.client.handle().shared.cache.as_ref().map_or(0, |cache| cache.memory_bytes())
    }

    async fn record_invalidation(&self, purge: bool, selector: Selector) {
        if let Some(cache) = &self.client.handle().shared.cache {
            cache.invalidate(selector, purge).await;
        }
    }

    pub(crate) fn new(client: &'_ Client) -> Cache<'_> {
        Cache { client }
    }
}
