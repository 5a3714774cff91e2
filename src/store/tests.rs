//! The default methods that a custom store gets.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::error::Error;

/// A store with nothing but what every store has to have. A list stands under each key of `lists`.
#[derive(Debug, Default)]
struct MinimalStore {
    memory: MemoryStore,
    /// The key under which a value stands that it cannot read, until that is removed.
    list: std::sync::Mutex<Option<String>>,
    /// Another process repairs the value as often before a write of this one.
    others: AtomicU32,
}

impl MinimalStore {
    fn check(&self, key: &str) -> Result<()> {
        match self.list.lock().unwrap().as_deref() == Some(key) {
            true => Err(Error::unreadable_value("a list")),
            false => Ok(()),
        }
    }

    /// Another process is faster.
    async fn race(&self, key: &str) {
        let left = |others: u32| others.checked_sub(1);
        if self.others.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok() {
            *self.list.lock().unwrap() = None;
            self.memory.put(key, Bytes::from_static(b"500"), LONG).await.unwrap();
        }
    }
}

impl KeyValueStore for MinimalStore {
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            self.check(key)?;
            self.memory.get(key).await
        })
    }
    fn put<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            *self.list.lock().unwrap() = None;
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
            self.race(key).await;
            Ok(self.check(key).is_ok() && self.memory.put_if_absent(key, value, ttl).await?)
        })
    }
    fn remove_if_equal<'a>(&'a self, key: &'a str, value: Bytes) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            self.race(key).await;
            self.memory.remove_if_equal(key, value).await
        })
    }
    forward!(memory => extend_if_equal, remove);
}

impl CounterStore for MinimalStore {
    fn increment<'a>(&'a self, key: &'a str, amount: i64, ttl: Duration) -> StoreFuture<'a, i64> {
        Box::pin(async move {
            self.check(key)?;
            self.race(key).await;
            self.memory.increment(key, amount, ttl).await
        })
    }
}

impl QuotaStore for MinimalStore {}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn an_unreadable_counter_is_repaired_and_a_readable_one_is_never_lowered() {
    let list: &[u8] = b"a list";
    let cases: [(Option<&[u8]>, i64); 9] = [
        (None, 7),
        (Some(b"3"), 7),
        (Some(b"7"), 7),
        (Some(b"900"), 900),
        (Some(b"-3"), 7),
        (Some(b"garbage"), 7),
        (Some(b"9223372036854775807"), 7),
        (Some(b""), 7),
        (Some(list), 7),
    ];
    for (held, repaired) in cases {
        for others in [0, 1] {
            let store = MinimalStore::default();
            match held {
                Some(held) if held == list => *store.list.lock().unwrap() = Some("k".to_owned()),
                Some(held) => {
                    store.put("k", Bytes::copy_from_slice(held), LONG).await.unwrap();
                }
                None => {}
            }
            store.others.store(others, Ordering::Relaxed);
            let sum = store.repair_sum("k", 7, LONG).await.unwrap();
            let kept = store.memory.increment("k", 0, LONG).await.unwrap();
            assert_eq!(sum, kept, "{held:?}");
            match store.others.load(Ordering::Relaxed) == others {
                true => assert_eq!(sum, repaired, "{held:?}"),
                // A value that another process wrote meanwhile is kept.
                false => assert!((500..=510).contains(&sum), "{held:?}: {sum}"),
            }
        }
    }
}

#[tokio::test]
async fn a_value_that_stays_unreadable_is_replaced_in_the_end() {
    let store = MinimalStore::default();
    *store.list.lock().unwrap() = Some("k".to_owned());
    let error = store.increment("k", 1, LONG).await.unwrap_err();
    assert!(error.is_unreadable_value() && !error.is_retryable());
    assert_eq!(error.kind(), crate::ErrorKind::StoreUnavailable);
    assert_eq!(store.repair_sum("k", 7, LONG).await.unwrap(), 7);
    assert_eq!(store.increment("k", 1, LONG).await.unwrap(), 8);
}
