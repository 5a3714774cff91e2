//! What a program does with a client's cache.

use serde_json::Value;

use super::events;
use super::log::{Mark, What};
use crate::client::Client;
use crate::error::Result;
use crate::request::Request;
use crate::store::StoreHealth;

/// The cache of a client, to fill and to empty: [`Client::cache`](crate::Client::cache).
///
/// What is emptied is so for all who share the cache: in this process at once, and in others that
/// share a store within a second. A process that starts later asks GitHub whether what it finds is
/// current. Without a cache, or while its store does not answer, nothing
/// happens; what a store did not take is told it as soon as it answers again.
///
/// ```no_run
/// # async fn example(client: octowire::Client) {
/// use octowire::cache::Purge;
///
/// client.cache().purge(Purge::prefix("/repos/rust-lang/rust")).await;
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CacheHandle<'a> {
    client: &'a Client,
}

/// What is to be forgotten: [`CacheHandle::purge`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purge(What);

impl Purge {
    /// All answers.
    #[must_use]
    pub fn all() -> Self {
        Self(What::All)
    }

    /// The answers of an operation, by its id, such as `issues/list-for-repo`, whatever its
    /// parameters.
    #[must_use]
    pub fn operation(id: impl Into<String>) -> Self {
        Self(What::Operation(id.into()))
    }

    /// What was answered at this path and below it. The path is below the API's address, such as
    /// `/repos/rust-lang/rust`; upper and lower case are the same.
    #[must_use]
    pub fn prefix(path: &str) -> Self {
        Self(What::Paths { below: vec![normal(path)], at: Vec::new() })
    }

    /// What one identity was answered, by [its name](crate::Client::identity).
    #[must_use]
    pub fn identity(name: impl Into<String>) -> Self {
        Self(What::Identity(name.into()))
    }
}

impl CacheHandle<'_> {
    /// Forgets answers: they are not given any more, and GitHub is not asked whether they are current.
    pub async fn purge(&self, purge: Purge) {
        self.mark(true, purge.0).await;
    }

    /// Makes answers doubtful: GitHub is asked whether they are current before they are given
    /// again, whatever the policy.
    pub async fn invalidate(&self, purge: Purge) {
        self.mark(false, purge.0).await;
    }

    /// Makes doubtful what a webhook's event says has changed: the issue of an `issues` event and
    /// the lists that it is in, all of a repository that was pushed to. `event` is the value of the
    /// header `X-GitHub-Event`, and `payload` the
    /// [body](https://docs.github.com/en/webhooks/webhook-events-and-payloads).
    pub async fn invalidate_for_event(&self, event: &str, payload: &Value) {
        if let Some(what) = events::changed(event, payload, self.client.base_url()) {
            self.mark(false, what).await;
        }
    }

    /// Makes these calls, so that their answers are there when they are wanted: a few at a time, in the
    /// background of all others. Gives each one's error, in order.
    pub async fn warm(&self, calls: impl IntoIterator<Item = Request>) -> Vec<Result<()>> {
        let calls =
            calls.into_iter().map(|call| call.priority(crate::limits::Priority::Background));
        let results = self.client.batch(calls.map(Request::send_empty)).run().await;
        results.into_iter().map(|result| result.map(|_| ())).collect()
    }

    /// How the cache's store is; `None` for a cache in memory.
    #[must_use]
    pub fn store_health(&self) -> Option<StoreHealth> {
        self.client.inner().cache.as_ref()?.storage.health()
    }

    /// The bytes that are held in memory; zero for a cache in a store.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.client.inner().cache.as_ref().map_or(0, |cache| cache.storage.bytes())
    }

    async fn mark(&self, forget: bool, what: What) {
        let Some(cache) = &self.client.inner().cache else { return };
        cache.log.mark(Mark { forget, what }).await;
        if forget {
            cache.sweep();
        }
    }

    pub(crate) fn new(client: &'_ Client) -> CacheHandle<'_> {
        CacheHandle { client }
    }
}

/// A path as entries have it.
fn normal(path: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let path = path.to_ascii_lowercase();
    if path.starts_with('/') { path } else { format!("/{path}") }
}
