//! A memory store whose operations a test observes, and whose responses it can withhold.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use octowire::bytes::Bytes;
use octowire::store::{
    CounterStore, KeyValueStore, MemoryStore, QuotaLease, QuotaRequest, QuotaStore, StoreFuture,
};

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
        f.write_str("Through")
    }
}

impl KeyValueStore for InterceptingStore {
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        self.ask(key, |memory| memory.get(key))
    }

    fn put<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, ()> {
        self.ask(key, |memory| memory.put(key, value, ttl))
    }

    fn put_if_absent<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        ttl: Duration,
    ) -> StoreFuture<'a, bool> {
        self.ask(key, |memory| memory.put_if_absent(key, value, ttl))
    }

    fn extend_if_equal<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        ttl: Duration,
    ) -> StoreFuture<'a, bool> {
        self.ask(key, |memory| memory.extend_if_equal(key, value, ttl))
    }

    fn remove<'a>(&'a self, key: &'a str) -> StoreFuture<'a, ()> {
        self.ask(key, |memory| memory.remove(key))
    }

    fn remove_if_equal<'a>(&'a self, key: &'a str, value: Bytes) -> StoreFuture<'a, bool> {
        self.ask(key, |memory| memory.remove_if_equal(key, value))
    }
}

impl CounterStore for InterceptingStore {
    fn increment<'a>(&'a self, key: &'a str, amount: i64, ttl: Duration) -> StoreFuture<'a, i64> {
        self.ask(key, |memory| memory.increment(key, amount, ttl))
    }

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

    fn counters<'a>(&'a self, key: &'a str) -> StoreFuture<'a, BTreeMap<String, u64>> {
        self.ask(key, |memory| memory.counters(key))
    }
}

impl QuotaStore for InterceptingStore {
    fn lease<'a>(
        &'a self,
        key: &'a str,
        request: &'a QuotaRequest,
    ) -> StoreFuture<'a, Option<QuotaLease>> {
        self.ask(key, |memory| memory.lease(key, request))
    }
}
