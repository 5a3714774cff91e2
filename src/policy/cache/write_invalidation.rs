//! Invalidates the entries that a write can have changed.

use std::sync::Arc;

use super::CacheInner;
use super::invalidation_log::{Invalidation, Selector};
use crate::endpoints::id_path;
use crate::store::StoreWaitBudget;

/// A write in flight. It invalidates the entries that it can have changed, also if no caller waits for its end
/// ([RFC 9111, 4.4](https://www.rfc-editor.org/rfc/rfc9111#section-4.4)).
pub(crate) struct WriteInvalidation {
    cache: Arc<CacheInner>,
    invalidation: Option<Invalidation>,
    wait_budget: StoreWaitBudget,
}

impl WriteInvalidation {
    /// Begins a write that can change these entries. The call waits for the store for this long at most.
    pub(crate) fn new(
        cache: Arc<CacheInner>,
        selector: Selector,
        of_call: &StoreWaitBudget,
    ) -> Self {
        let wait_budget = cache.wait_budget(of_call);
        let invalidation = Some(Invalidation { purge: false, selector });
        Self { cache, invalidation, wait_budget }
    }

    /// Ends the write. The store takes the invalidation while the call can still wait for it, so that the invalidation
    /// exists if the process ends. There is none for a write that had no effect.
    pub(crate) async fn finish(mut self, may_have_had_effect: bool) {
        let invalidation = self.invalidation.take();
        if let Some(invalidation) = invalidation.filter(|_| may_have_had_effect) {
            self.cache.log.record(invalidation);
            self.cache.log.wait_until_written(&self.wait_budget).await;
        }
    }
}

impl Drop for WriteInvalidation {
    fn drop(&mut self) {
        if let Some(invalidation) = self.invalidation.take() {
            self.cache.log.record(invalidation);
        }
    }
}

/// Returns the entries that a write at this path can change.
pub(crate) fn selector_for_write(path: &str) -> Selector {
    let path = path.to_ascii_lowercase();
    // Entries of the same resources can be stored under their ids.
    let by_id = id_path::counterpart_prefix(&path).map(str::to_owned);
    let below = [invalidation_scope(&path).to_owned()].into_iter().chain(by_id).collect();
    Selector::Paths { below, at: Vec::new() }
}

/// Returns the scope that a write at this path can change: the whole repository, since its resources are in many of its
/// lists, or the organization; otherwise all paths that begin with the same two segments.
fn invalidation_scope(path: &str) -> &str {
    let names = if path.starts_with("/repos/") { 3 } else { 2 };
    let mut slashes = path.match_indices('/').map(|(at, _)| at).skip(names);
    slashes.next().map_or(path, |end| &path[..end])
}
