//! The storage of responses: its bound, and values of other clients.

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::policy::cache::entry::EntryMetadata;
use crate::policy::cache::rfc9111::ResponseTimes;
use crate::store::{CounterStore, KeyValueStore, MemoryStore, QuotaStore, StoreFuture, forward};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LARGEST: usize = 1 << 20;

fn key(number: u8) -> Key {
    Key::from_bytes(&[number; 32]).unwrap()
}

fn entry(headers: usize, body: usize) -> Arc<Entry> {
    let mut map = HeaderMap::new();
    for each in 0..headers {
        map.append(["x-one", "x-other"][each % 2], HeaderValue::from(each));
    }
    let time = clock::monotonic_wall_clock();
    Arc::new(Entry {
        metadata: EntryMetadata {
            url: "https://api.github.com/x".parse().unwrap(),
            path: "/x".to_owned(),
            operation: "GET /x".to_owned(),
            identity: "user:a".to_owned(),
        },
        headers: map.into(),
        body: vec![b'x'; body].into(),
        times: ResponseTimes { requested: time, received: time },
        log_sequence: 7,
        credential_fingerprint: 0,
    })
}

fn store_backend(store: &MemoryStore, integrity_key: Option<&str>) -> StoreBackend {
    let guard = Arc::new(ResilientStore::new(Arc::new(store.clone()), Duration::from_secs(1)));
    StoreBackend {
        writer: BackgroundWriter::new(Arc::clone(&guard)),
        dedicated_timeout: None,
        store: guard,
        integrity: Integrity::new(integrity_key.map(|key| key.to_owned().into())).unwrap(),
        prefix: "cache:".to_owned(),
        retention: DAY,
        compress_above: 100,
        max_value: LARGEST,
    }
}

async fn get(storage: &Storage, key: Key) -> Option<Arc<Entry>> {
    storage.get(key, LARGEST, &StoreWaitBudget::new(DAY)).await
}

/// Looks up the last key that was stored for a request of any identity.
async fn last_key_of_any_identity(storage: &Storage, question: Key) -> Option<Key> {
    let allowance = StoreWaitBudget::new(DAY);
    let search = LookupRequest { key: key(99), question: &|| Some(question), needs_log: &|_| true };
    storage.look_up(search, &InvalidationLog::local(), LARGEST, &allowance).await.last_writer
}

#[tokio::test]
async fn an_unreadable_entry_is_removed_from_the_store() {
    let store = MemoryStore::new();
    let backend = store_backend(&store, None);
    let (name, question) = (backend.name(key(1)), backend.last_writer_key(key(1)));
    let whole = entry(3, 500).encode(key(1), &backend.integrity, 100).unwrap();
    let elsewhere = entry(3, 500).encode(key(2), &backend.integrity, 100).unwrap();
    let storage = Storage::Store(backend);
    for value in [Bytes::new(), whole.slice(..whole.len() - 1), elsewhere, "x".into()] {
        store.put(&name, value.clone(), DAY).await.unwrap();
        assert!(get(&storage, key(1)).await.is_none());
        assert_eq!(store.get(&name).await.unwrap(), None, "{value:?}");
        store.put(&question, value, DAY).await.unwrap();
        assert!(last_key_of_any_identity(&storage, key(1)).await.is_none());
        assert_eq!(store.get(&question).await.unwrap(), None);
    }
    store.put(&name, whole, DAY).await.unwrap();
    assert!(get(&storage, key(1)).await.is_some());
    assert!(store.get(&name).await.unwrap().is_some());
}

/// Clients of one store differ in limits, clocks and versions: an entry unusable for one can be usable for another.
#[tokio::test]
async fn entries_readable_by_other_clients_are_not_removed() {
    let store = MemoryStore::new();
    let integrity = Integrity::default();
    let mut early = (*entry(3, 500)).clone();
    early.times.received += Duration::from_secs(60 * 60);
    let early = early.encode(key(1), &integrity, 100).unwrap();
    let mut later_version = entry(3, 500).encode(key(1), &integrity, 100).unwrap().to_vec();
    later_version[7] += 1;
    let large = entry(3, 5_000).encode(key(1), &integrity, usize::MAX).unwrap();
    let compressed = entry(3, 5_000).encode(key(1), &integrity, 100).unwrap();
    assert!(compressed.len() < 1_000 && large.len() > 1_000);
    for value in [early, later_version.into(), large, compressed] {
        let mut small = store_backend(&store, None);
        (small.max_value, small.compress_above) = (1_000, usize::MAX);
        let name = small.name(key(1));
        store.put(&name, value.clone(), DAY).await.unwrap();
        let small = Storage::Store(small);
        assert!(small.get(key(1), 1_000, &StoreWaitBudget::new(DAY)).await.is_none());
        assert_eq!(store.get(&name).await.unwrap(), Some(value.clone()), "read");
        // It is not removed if this client cannot store its new response.
        small.put(key(1), &entry(1, 3_000));
        assert_eq!(store.get(&name).await.unwrap(), Some(value), "not stored");
        small.put(key(1), &entry(1, 30));
        assert!(small.get(key(1), 1_000, &StoreWaitBudget::new(DAY)).await.is_some());
    }
}

/// A store in which a value is replaced when it was read.
#[derive(Debug)]
struct Replacing(MemoryStore, Bytes);

impl KeyValueStore for Replacing {
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            let value = self.0.get(key).await;
            self.0.put(key, self.1.clone(), DAY).await?;
            value
        })
    }
    forward!(0 => put, put_if_absent, extend_if_equal, remove, remove_if_equal);
}

impl CounterStore for Replacing {
    forward!(0 => increment);
}

impl QuotaStore for Replacing {}

#[tokio::test]
async fn garbage_is_removed_only_as_long_as_it_is_there() {
    let memory = MemoryStore::new();
    let mut backend = store_backend(&memory, None);
    let whole = entry(3, 500).encode(key(1), &backend.integrity, 100).unwrap();
    let store = Replacing(memory.clone(), whole.clone());
    backend.store = Arc::new(ResilientStore::new(Arc::new(store), Duration::from_secs(1)));
    let (name, question) = (backend.name(key(1)), backend.last_writer_key(key(2)));
    let storage = Storage::Store(backend);
    for name in [&name, &question] {
        memory.put(name, Bytes::from_static(b"garbage"), DAY).await.unwrap();
    }
    assert!(get(&storage, key(1)).await.is_none());
    assert!(last_key_of_any_identity(&storage, key(2)).await.is_none());
    for name in [&name, &question] {
        assert_eq!(memory.get(name).await.unwrap(), Some(whole.clone()), "another process's");
    }
}

#[tokio::test]
async fn a_response_that_cannot_be_stored_removes_the_previous_entry() {
    let store = MemoryStore::new();
    let mut backend = store_backend(&store, None);
    (backend.max_value, backend.compress_above) = (20_000, usize::MAX);
    let storage = Storage::Store(backend);
    let mut too_much_said = (*entry(1, 10)).clone();
    too_much_said.metadata.identity = "\"".repeat(100_000);
    let mut too_large = (*entry(1, 10)).clone();
    too_large.body = vec![b'x'; 30_000].into();
    for entry_after in [too_much_said, too_large] {
        storage.put(key(1), &entry(1, 10));
        assert!(get(&storage, key(1)).await.is_some());
        storage.put(key(1), &Arc::new(entry_after));
        assert!(get(&storage, key(1)).await.is_none());
    }
}

#[tokio::test]
async fn processes_with_other_integrity_keys_share_no_entries() {
    let store = MemoryStore::new();
    let keys = [None, Some("hunter2-hunter2-hunter2"), Some("another-key-of-hunter2")];
    for stored_by in keys {
        for read_by in keys {
            let (one, other) = (store_backend(&store, stored_by), store_backend(&store, read_by));
            let (one, other) = (Storage::Store(one), Storage::Store(other));
            one.put(key(1), &entry(1, 10));
            let read = get(&other, key(1)).await;
            assert_eq!(read.is_some(), stored_by == read_by);
        }
    }
}

#[tokio::test]
async fn swept_entries_take_no_memory() {
    let storage = Storage::memory(100_000);
    for number in 0..4 {
        storage.put(key(number), &entry(3, 500));
        storage.set_last_writer(key(100 + number), key(number));
    }
    storage.evict_purged(|_| false);
    assert_eq!(last_key_of_any_identity(&storage, key(101)).await, Some(key(1)));
    storage.evict_purged(|_| true);
    assert_eq!(storage.bytes(), 0);
}

proptest! {
    /// Entries and questions together are within the bound, and the reported size is their real size.
    #[test]
    fn a_cache_in_memory_is_within_its_bound(
        max_bytes in prop_oneof![Just(0_usize), 1_000..200_000_usize],
        steps in prop::collection::vec((0..5_u8, 0..40_u8, 0..50_usize, 0..5_000_usize), 0..200),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let storage = Storage::memory(max_bytes);
        for (step, number, headers, body) in steps {
            let (key, other) = (key(number), key(number.wrapping_add(100)));
            runtime.block_on(async {
                match step {
                    0 => drop(get(&storage, key).await),
                    1 => storage.put(key, &entry(headers, body)),
                    2 => storage.set_last_writer(other, key),
                    3 => storage.remove(key),
                    _ => storage.evict_purged(|entry| entry.body.len() % 3 == 0),
                }
            });
            let Storage::Memory(held) = &storage else { unreachable!() };
            let held = lock(held);
            let sizes: usize = held.entries.iter().map(|(_, (entry, _))| entry.size()).sum();
            prop_assert_eq!(held.bytes, sizes + held.last_writers.len() * LAST_WRITER_BYTES);
            prop_assert!(held.bytes <= max_bytes);
        }
    }
}
