//! Where usage is kept: in the client's store, or for itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::store::{Guard, Memory, Store, StoreFuture};

/// The client's store, and what is kept without one.
pub(super) struct Place {
    shared: Option<Arc<Guard>>,
    own: Memory,
    /// The store keeps no tallies.
    apart: AtomicBool,
}

/// What a client without a store keeps of usage, in bytes: some thousand identities.
const OWN_BYTES: usize = 16 * 1024 * 1024;

impl Place {
    pub(super) fn new(shared: Option<Arc<Guard>>) -> Self {
        let own = Memory::with_max_bytes(OWN_BYTES);
        Self { shared, own, apart: AtomicBool::new(false) }
    }

    /// Whether others see it, so that it costs something to tell.
    pub(super) fn is_shared(&self) -> bool {
        self.shared.is_some() && !self.apart.load(Ordering::Relaxed)
    }

    /// Adds to a number, and gives the sum; `None` if the store does not answer.
    pub(super) async fn add(&self, key: &str, amount: i64, ttl: Duration) -> Option<i64> {
        self.run(|store| store.add(key, amount, ttl)).await
    }

    /// What a number is.
    pub(super) async fn number(&self, key: &str) -> Option<i64> {
        let held = self.run(|store| store.get(key)).await?;
        let number = held.and_then(|held| std::str::from_utf8(&held).ok()?.parse().ok());
        Some(number.unwrap_or_default())
    }

    /// Adds to numbers by name; whether they were taken.
    pub(super) async fn tally(&self, key: &str, amounts: &[(String, u64)], ttl: Duration) -> bool {
        if self.is_shared() {
            match self.run(|store| store.tally(key, amounts, ttl)).await {
                Some(true) => return true,
                Some(false) => self.apart.store(true, Ordering::Relaxed),
                None => return false,
            }
        }
        self.own.tally(key, amounts, ttl).await.unwrap_or_default()
    }

    /// The numbers by name.
    pub(super) async fn tallied(&self, key: &str) -> Option<BTreeMap<String, u64>> {
        match self.is_shared() {
            true => self.run(|store| store.tallied(key)).await,
            false => self.own.tallied(key).await.ok(),
        }
    }

    async fn run<'a, T>(
        &'a self,
        operation: impl FnOnce(&'a dyn Store) -> StoreFuture<'a, T>,
    ) -> Option<T> {
        match &self.shared {
            Some(guard) => guard.run(operation).await,
            None => operation(&self.own).await.ok(),
        }
    }
}
