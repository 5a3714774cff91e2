//! Tokens in a slow token store.

use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use futures_util::future::join;
use tokio::time::timeout;

use super::*;
use crate::policy::auth::token_store::{EncryptedTokenStore, EncryptionKey};
use crate::store::{
    CounterStore, KeyValueStore, MemoryStore, QuotaStore, STORE_TIMEOUT, Store, StoreFuture,
    forward,
};

/// A store of which reads, claims and writes take so long.
#[derive(Debug, Default)]
struct Slow {
    memory: MemoryStore,
    reads: Duration,
    claims: Duration,
    writes: Duration,
    is_silent: AtomicBool,
    /// Another program has put a value of another type in the place of each value, until the next write.
    is_unreadable: AtomicBool,
}

impl Slow {
    async fn takes(&self, time: Duration) {
        if self.is_silent.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        sleep(time).await;
    }
}

impl KeyValueStore for Slow {
    /// Returns the value as of the time of the call.
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            let value = self.memory.get(key).await;
            self.takes(self.reads).await;
            match self.is_unreadable.load(Ordering::Relaxed) {
                true => Err(Error::unreadable_value("a list")),
                false => value,
            }
        })
    }
    fn put<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.takes(self.writes).await;
            self.is_unreadable.store(false, Ordering::Relaxed);
            self.memory.put(key, value, ttl).await
        })
    }
    fn put_if_absent<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        ttl: Duration,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            self.takes(self.claims).await;
            self.memory.put_if_absent(key, value, ttl).await
        })
    }
    fn remove_if_equal<'a>(&'a self, key: &'a str, value: Bytes) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            self.takes(self.writes).await;
            self.memory.remove_if_equal(key, value).await
        })
    }
    forward!(memory => extend_if_equal, remove);
}

impl CounterStore for Slow {
    forward!(memory => increment);
}

impl QuotaStore for Slow {}

const MS: Duration = Duration::from_millis(1);

fn room(store: EncryptedTokenStore) -> Fixture {
    let source = Source { persistence: Some(Persistence::BestEffort), ..Source::default() };
    Fixture::with(source, TokenPolicy::default(), Some(Arc::new(store)))
}

fn encrypted(store: impl Store) -> EncryptedTokenStore {
    EncryptedTokenStore::new(store, EncryptionKey::from_bytes([1; 32]))
}

#[tokio::test(start_paused = true)]
async fn close_waits_until_a_token_is_stored_and_its_lock_is_free() {
    let memory = MemoryStore::new();
    let store = Slow { memory: memory.clone(), writes: 300 * MS, ..Slow::default() };
    let room_of_slow = room(encrypted(store));
    let start = Instant::now();
    assert_eq!(room_of_slow.token().await, "token-1");
    assert_eq!(start.elapsed(), SECOND, "a fetch takes a second, and storing is not waited for");
    let reader = encrypted(memory.clone());
    let key = "test at https://api.github.com";
    assert!(reader.load(key).await.unwrap().is_none());
    assert!(room_of_slow.client.close().await);
    assert!(reader.load(key).await.unwrap().is_some());
    // The next process neither waits nor fetches.
    let start = Instant::now();
    drop(reader.lock(key).await.unwrap());
    let next = room(encrypted(memory));
    assert_eq!((next.token().await.as_str(), next.fetch_count()), ("token-1", 0));
    assert!(start.elapsed() < 100 * MS, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_value_in_place_of_a_token_is_replaced() {
    for keep in [Persistence::BestEffort, Persistence::Required] {
        let store = Slow { is_unreadable: AtomicBool::new(true), ..Slow::default() };
        let store = encrypted(store);
        let key = "test at https://api.github.com";
        let error = store.load(key).await.unwrap_err();
        assert_eq!(error.auth_failure(), Some(AuthFailure::StoreTampered), "{error}");
        let source = Source { persistence: Some(keep), ..Source::default() };
        let policy = TokenPolicy::default();
        let fixture = Fixture::with(source, policy, Some(Arc::new(store.clone())));
        assert_eq!(fixture.token().await, "token-1", "{keep:?}");
        assert!(fixture.client.close().await);
        let stored = store.load(key).await.unwrap().unwrap();
        assert_eq!(stored.expose_secret(), "token-1", "{keep:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_store_that_is_silent_is_waited_for_once() {
    let store = Slow::default();
    store.is_silent.store(true, Ordering::Relaxed);
    let store = encrypted(store);
    let mut waits = Vec::new();
    for _ in 0..3 {
        let fixture = room(store.clone());
        let start = Instant::now();
        assert_eq!(fixture.token().await, "token-1");
        waits.push(start.elapsed() - SECOND);
    }
    // Fetching takes longer than the pause after an outage: a task finds out whether it has ended.
    assert_eq!(waits, [STORE_TIMEOUT, Duration::ZERO, Duration::ZERO]);
}

#[tokio::test(start_paused = true)]
async fn a_token_stored_while_its_lock_was_held_is_not_fetched_again() {
    let memory = MemoryStore::new();
    let first = room(encrypted(memory.clone()));
    let store = Slow { memory, reads: 10 * MS, claims: 10 * MS, ..Slow::default() };
    let second = room(encrypted(store));
    let later = async {
        // It reads before the first one has fetched, and takes the lock after that.
        sleep(SECOND - 5 * MS).await;
        second.token().await
    };
    let tokens = timeout(HOUR, join(first.token(), later)).await.unwrap();
    assert_eq!(tokens, ("token-1".to_owned(), "token-1".to_owned()));
    assert_eq!((first.fetch_count(), second.fetch_count()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_lock_is_released_if_the_store_never_accepts_the_token() {
    let memory = MemoryStore::new();
    let store = Slow { memory: memory.clone(), writes: 24 * HOUR, ..Slow::default() };
    let fixture = room(encrypted(store));
    assert_eq!(fixture.token().await, "token-1");
    let other = encrypted(memory);
    let start = Instant::now();
    let lock = other.lock("test at https://api.github.com").await;
    assert!(lock.is_ok(), "{lock:?} after {:?}", start.elapsed());
}
