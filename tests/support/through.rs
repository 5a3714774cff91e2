//! A memory store whose operations a test observes, and whose responses it can withhold.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use octowire::bytes::Bytes;
use octowire::store::{Lease, LeaseRequest, Memory, Store, StoreFuture};

/// Tells all that it is given in the clear: keys, and the names of what is added up. Where that is answered
/// with `false`, the store never answers.
#[derive(Clone)]
pub struct Through {
    memory: Memory,
    tell: Arc<dyn Fn(&str) -> bool + Send + Sync>,
}

impl Through {
    pub fn new(tell: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self { memory: Memory::new(), tell: Arc::new(tell) }
    }

    fn ask<'a, T: Send + 'a>(
        &'a self,
        told: &str,
        answer: impl FnOnce(&'a Memory) -> StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T> {
        match (self.tell)(told) {
            true => answer(&self.memory),
            false => Box::pin(std::future::pending()),
        }
    }
}

impl fmt::Debug for Through {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Through")
    }
}

impl Store for Through {
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        self.ask(key, |memory| memory.get(key))
    }

    fn put<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, ()> {
        self.ask(key, |memory| memory.put(key, value, ttl))
    }

    fn claim<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, bool> {
        self.ask(key, |memory| memory.claim(key, value, ttl))
    }

    fn renew<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, bool> {
        self.ask(key, |memory| memory.renew(key, value, ttl))
    }

    fn remove<'a>(&'a self, key: &'a str) -> StoreFuture<'a, ()> {
        self.ask(key, |memory| memory.remove(key))
    }

    fn release<'a>(&'a self, key: &'a str, value: Bytes) -> StoreFuture<'a, bool> {
        self.ask(key, |memory| memory.release(key, value))
    }

    fn add<'a>(&'a self, key: &'a str, amount: i64, ttl: Duration) -> StoreFuture<'a, i64> {
        self.ask(key, |memory| memory.add(key, amount, ttl))
    }

    fn lease<'a>(
        &'a self,
        key: &'a str,
        request: &'a LeaseRequest,
    ) -> StoreFuture<'a, Option<Lease>> {
        self.ask(key, |memory| memory.lease(key, request))
    }

    fn tally<'a>(
        &'a self,
        key: &'a str,
        amounts: &'a [(String, u64)],
        ttl: Duration,
    ) -> StoreFuture<'a, bool> {
        self.ask(&format!("{key} {amounts:?}"), |memory| memory.tally(key, amounts, ttl))
    }

    fn tallied<'a>(&'a self, key: &'a str) -> StoreFuture<'a, BTreeMap<String, u64>> {
        self.ask(key, |memory| memory.tallied(key))
    }
}
