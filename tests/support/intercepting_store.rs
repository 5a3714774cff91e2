//! A memory store whose operations a test observes, and whose responses it can withhold.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use octowire::store::{
    CounterStore, KeyValueStore, MemoryStore, QuotaLease, QuotaRequest, QuotaStore, StoreFuture,
};

use crate::forward::forward;

/// Reports all that it is given in the clear: keys, and the names of what is added up. Where that is answered
/// with `false`, the store never answers.
#[derive(Clone)]
pub struct InterceptingStore {
    memory: MemoryStore,
    report: Arc<dyn Fn(&str) -> bool + Send + Sync>,
}

impl InterceptingStore {
    pub fn new(report: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self { memory: MemoryStore::new(), report: Arc::new(report) }
    }

    fn ask<'a, T: Send + 'a>(
        &'a self,
        reported: &str,
        response: impl FnOnce(&'a MemoryStore) -> StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T> {
        match (self.report)(reported) {
            true => response(&self.memory),
            false => Box::pin(std::future::pending()),
        }
    }
}

impl fmt::Debug for InterceptingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InterceptingStore")
    }
}

impl KeyValueStore for InterceptingStore {
    forward!(ask() => get, put, put_if_absent, extend_if_equal, remove, remove_if_equal);
}

impl CounterStore for InterceptingStore {
    fn increment_counters<'a>(
        &'a self,
        key: &'a str,
        amounts: &'a [(String, u64)],
        ttl: Duration,
    ) -> StoreFuture<'a, bool> {
        self.ask(&format!("{key} {amounts:?}"), |memory| {
            memory.increment_counters(key, amounts, ttl)
        })
    }
    forward!(ask() => increment, counters);
}

impl QuotaStore for InterceptingStore {
    forward!(ask() => lease);
}
