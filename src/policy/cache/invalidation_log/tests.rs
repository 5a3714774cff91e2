//! The invalidation log, with lost, damaged and foreign invalidations.

use proptest::prelude::*;

use super::invalidation::MAX_ENTRY_BYTES;
use super::log_state::MAX_LOG_ENTRIES;
use super::shared_log::{ENTRY_FORMAT, HEAD_FORMAT};
use super::*;
use crate::error::{Error, ErrorKind};
use crate::policy::cache::entry::{EntryMetadata, MAX_SEQUENCE};
use crate::policy::cache::key::Key;
use crate::policy::cache::rfc9111::ResponseTimes;
use crate::policy::cache::storage::StoreBackend;
use crate::policy::cache::store_lookup::{LookupRequest, look_up};
use crate::store::{
    BackgroundWriter, CounterStore, KeyValueStore, MemoryStore, QuotaStore, Store, StoreFuture,
    ValueFormat, forward,
};

fn log_with(store: &MemoryStore, key: Option<&str>) -> InvalidationLog {
    let guard = Arc::new(ResilientStore::new(Arc::new(store.clone()), Duration::from_secs(1)));
    let integrity = Integrity::new(key.map(|key| key.to_owned().into())).unwrap();
    // The log is read again each time.
    InvalidationLog::shared(guard, integrity, "cache:x:".to_owned(), Duration::ZERO, NO_EXPIRY)
}

impl InvalidationLog {
    /// The number of the last invalidation, as a look into the cache finds it.
    async fn number(&self) -> Option<u64> {
        let shared = self.0.shared.as_ref().unwrap();
        let backend = StoreBackend {
            store: Arc::clone(&shared.store),
            integrity: shared.integrity.clone(),
            writer: BackgroundWriter::new(Arc::clone(&shared.store)),
            dedicated_timeout: None,
            prefix: "cache:".to_owned(),
            retention: NO_EXPIRY,
            compress_above: usize::MAX,
            max_value: usize::MAX,
        };
        let key = Key::from_bytes(&[7; 32]).unwrap();
        let allowance = StoreWaitBudget::new(Duration::from_secs(9));
        let search = LookupRequest { key, question: &|| None, needs_log: &|_| true };
        let looked = look_up(&backend, search, self, usize::MAX, &allowance).await;
        self.last_sequence().filter(|_| looked.is_log_known)
    }
}

fn log(store: &MemoryStore) -> InvalidationLog {
    log_with(store, None)
}

fn entry(number: u64) -> Entry {
    let time = std::time::SystemTime::now();
    Entry {
        metadata: EntryMetadata {
            url: "https://api.github.com/x".parse().unwrap(),
            path: "/x".to_owned(),
            operation: "GET /x".to_owned(),
            identity: "user:a".to_owned(),
        },
        headers: Arc::default(),
        body: Bytes::new(),
        times: ResponseTimes { requested: time, received: time },
        log_sequence: number,
        credential_fingerprint: 0,
    }
}

fn at(path: &str) -> Invalidation {
    Invalidation {
        purge: false,
        selector: Selector::Paths { below: Vec::new(), at: vec![path.to_owned()] },
    }
}

async fn put(store: &MemoryStore, key: &str, value: impl Into<Bytes>) {
    store.put(key, value.into(), NO_EXPIRY).await.unwrap();
}

async fn put_head(store: &MemoryStore, number: &str) {
    put(store, "cache:x:log", HEAD_FORMAT.encode(number)).await;
}

/// An entry of one process is fresh for another until it is invalidated.
async fn works(one: &InvalidationLog, other: &InvalidationLog) {
    let number = one.number().await.unwrap();
    assert!(number <= MAX_SEQUENCE);
    other.number().await.unwrap();
    assert_eq!(other.validity(&entry(number)), Validity::Valid);
    other.record_and_publish(at("/y")).await;
    one.number().await.unwrap();
    assert_eq!(one.validity(&entry(number)), Validity::Valid);
    other.record_and_publish(at("/x")).await;
    one.number().await.unwrap();
    assert_eq!(one.validity(&entry(number)), Validity::MustRevalidate);
    let number = one.number().await.unwrap();
    other.number().await.unwrap();
    assert_eq!(other.validity(&entry(number)), Validity::Valid);
}

#[tokio::test]
async fn an_invalidation_log_with_an_invalid_sequence_number_restarts() {
    for number in [
        u64::MAX.to_string(),
        (u64::MAX - 1).to_string(),
        (1_u128 << 64).to_string(),
        MAX_SEQUENCE.to_string(),
        "-1".to_owned(),
        "0".to_owned(),
        String::new(),
        "no number".to_owned(),
        "9".repeat(100_000),
    ] {
        let store = MemoryStore::new();
        let (one, other) = (log(&store), log(&store));
        works(&one, &other).await;
        let before = one.number().await.unwrap();
        put_head(&store, &number).await;
        let restarted = one.number().await.unwrap();
        assert!((before..MAX_SEQUENCE).contains(&restarted), "{number}");
        works(&one, &other).await;
        // Entries stored meanwhile with that number are revalidated first.
        for number in [MAX_SEQUENCE, restarted + 2 * MAX_LOG_ENTRIES as u64] {
            assert_eq!(one.validity(&entry(number)), Validity::MustRevalidate);
        }
    }
}

/// Clients of a later version continue with their log, and this one serves nothing without revalidation meanwhile.
#[tokio::test]
async fn an_invalidation_log_of_a_later_version_is_left_unchanged() {
    let store = MemoryStore::new();
    let (one, other) = (log(&store), log(&store));
    works(&one, &other).await;
    let before = one.number().await.unwrap();
    let later = ValueFormat::new("cache-log", 2).encode("another form");
    put(&store, "cache:x:log", later.clone()).await;
    for invalidation_log in [&one, &other, &log(&store)] {
        let unread = invalidation_log.unread();
        let keys: Vec<_> = unread.keys().collect();
        let again = invalidation_log.take(&unread, &store.get_many(&keys).await.unwrap());
        // No response is returned before this part has been read, which a task tries.
        assert_eq!(again.as_ref().map(|unread| unread.urgency), Some(ReadUrgency::Lost));
        invalidation_log.read_in_background(again.unwrap());
        tokio::time::sleep(Duration::from_millis(20)).await;
        invalidation_log.0.record(at("/x"));
        assert!(!invalidation_log.flush().await);
    }
    assert_eq!(store.get("cache:x:log").await.unwrap(), Some(later));
    // That log ends, and the next one includes the invalidations that waited.
    store.remove("cache:x:log").await.unwrap();
    assert!(one.flush().await && other.flush().await);
    one.number().await.unwrap();
    assert_ne!(one.validity(&entry(before)), Validity::Valid);
    works(&one, &other).await;
}

#[tokio::test]
async fn an_invalidation_log_at_the_maximum_sequence_number_restarts_for_every_client() {
    let store = MemoryStore::new();
    let largest = MAX_SEQUENCE - MAX_LOG_ENTRIES as u64 - 1;
    put_head(&store, &largest.to_string()).await;
    let (one, other) = (log(&store), log(&store));
    assert_eq!(one.number().await, Some(largest));
    // This one ends the log, and the others find that out.
    one.record_and_publish(at("/x")).await;
    assert!(other.number().await.unwrap() < largest);
    assert_eq!(other.validity(&entry(largest)), Validity::MustRevalidate);
    one.number().await.unwrap();
    works(&one, &other).await;
    works(&other, &one).await;
    assert_eq!(one.validity(&entry(largest)), Validity::MustRevalidate);
}

#[tokio::test]
async fn an_invalidation_log_whose_sequence_number_decreased_restarts() {
    let store = MemoryStore::new();
    let (one, other) = (log(&store), log(&store));
    works(&one, &other).await;
    put_head(&store, "5").await;
    assert_eq!(one.number().await, Some(5));
    works(&one, &other).await;
}

#[tokio::test]
async fn a_mark_that_is_not_readable_is_of_everything() {
    let invalidation = serde_json::to_vec(&at("/y")).unwrap();
    let forged = Integrity::default().tag(&[b"cache:x:invalidation:8", &invalidation]);
    let large = serde_json::to_vec(&at(&"y".repeat(2 * MAX_ENTRY_BYTES))).unwrap();
    let tag = Integrity::default().tag(&[b"cache:x:invalidation:8", &large]);
    let key = Some("hunter2-hunter2-hunter2");
    for (value, key) in [
        (Bytes::new(), None),
        (ENTRY_FORMAT.encode(b""), None),
        (ENTRY_FORMAT.encode(&invalidation), None),
        (ENTRY_FORMAT.encode([&forged[..], b"{}"].concat()), None),
        (ENTRY_FORMAT.encode([&tag[..], &large].concat()), None),
        // Without a version, and with another.
        ([&forged[..], &invalidation].concat().into(), None),
        (ValueFormat::new("invalidation", 2).encode([&forged[..], &invalidation].concat()), None),
        // Valid without a key, so that any writer could have made it.
        (ENTRY_FORMAT.encode([&forged[..], &invalidation].concat()), key),
    ] {
        let store = MemoryStore::new();
        put_head(&store, "7").await;
        let invalidation_log = log_with(&store, key);
        assert_eq!(invalidation_log.number().await, Some(7));
        put(&store, "cache:x:invalidation:8", value).await;
        assert_eq!(invalidation_log.number().await, Some(8));
        assert_eq!(invalidation_log.validity(&entry(7)), Validity::Purged);
        assert_eq!(invalidation_log.validity(&entry(8)), Validity::Valid);
    }
    let store = MemoryStore::new();
    works(&log_with(&store, key), &log_with(&store, key)).await;
}

#[tokio::test]
async fn an_oversized_invalidation_is_stored_as_an_invalidation_of_everything() {
    let store = MemoryStore::new();
    let (one, other, own) = (log(&store), log(&store), InvalidationLog::local());
    let number = one.number().await.unwrap();
    other.number().await.unwrap();
    for invalidation_log in [&one, &own] {
        invalidation_log.record_and_publish(at(&"y".repeat(MAX_ENTRY_BYTES))).await;
    }
    other.number().await.unwrap();
    assert_eq!(one.validity(&entry(number)), Validity::MustRevalidate);
    assert_eq!(other.validity(&entry(number)), Validity::MustRevalidate);
    assert_eq!(own.validity(&entry(0)), Validity::MustRevalidate);
    assert!(
        own.0
            .log_state()
            .known
            .iter()
            .all(|(_, invalidation)| invalidation.selector == Selector::All)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// The log works again after any foreign write.
    #[test]
    fn an_invalidation_log_survives_arbitrary_foreign_writes(
        hint in prop_oneof![
            prop_oneof![any::<u64>(), 0..MAX_SEQUENCE, 0..9_u64].prop_map(|it| it.to_string()),
            "\\PC{0,30}",
        ],
        invalidations in prop::collection::vec((0..4_u64, prop::collection::vec(any::<u8>(), 0..40)), 0..4),
        is_versioned in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let store = MemoryStore::new();
            let (one, other) = (log(&store), log(&store));
            one.number().await.unwrap();
            let ahead = hint.parse::<u64>().unwrap_or(0);
            match is_versioned {
                true => put_head(&store, &hint).await,
                false => put(&store, "cache:x:log", hint).await,
            }
            for (after, value) in invalidations {
                let number = ahead.saturating_add(after);
                let value = if is_versioned { ENTRY_FORMAT.encode(value) } else { value.into() };
                put(&store, &format!("cache:x:invalidation:{number}"), value).await;
            }
            // The first reads may find more invalidations than are read at a time, and the first invalidations fill gaps before some
            // that cannot be read.
            for _ in 0..5 {
                other.record_and_publish(at("/z")).await;
                other.number().await.unwrap();
                one.number().await.unwrap();
            }
            works(&one, &other).await;
        });
    }
}

/// An entry with the number of the last invalidation is fresh until it is invalidated.
#[tokio::test]
async fn a_client_that_starts_reads_marks_beyond_the_number_of_the_log() {
    for others in [1, 7, 30] {
        let store = MemoryStore::new();
        let (one, other) = (log(&store), log(&store));
        let number = one.number().await.unwrap();
        other.number().await.unwrap();
        for _ in 1..others {
            other.record_and_publish(at("/y")).await;
        }
        other.record_and_publish(at("/x")).await;
        // The process that wrote the last invalidations ended before it published their number.
        put_head(&store, &number.to_string()).await;
        let third = log(&store);
        third.number().await.unwrap();
        assert_eq!(
            third.validity(&entry(number)),
            Validity::MustRevalidate,
            "{others} invalidations"
        );
    }
}

#[tokio::test]
async fn a_client_that_only_writes_keeps_the_cache_of_others() {
    let store = MemoryStore::new();
    let (writer, reader) = (log(&store), log(&store));
    reader.number().await.unwrap();
    let mut number = 0;
    for round in 0..2 * MAX_LOG_ENTRIES + 100 {
        writer.record_and_publish(at("/y")).await;
        if round >= 20 && round % 10 == 0 {
            number = reader.number().await.unwrap();
            assert_eq!(
                reader.validity(&entry(number - 10)),
                Validity::Valid,
                "invalidation {round}"
            );
        }
        assert!(writer.0.log_state().own_invalidations.len() <= MAX_LOG_ENTRIES);
    }
    // Dropped invalidations are unknown to it.
    assert_eq!(writer.validity(&entry(number - MAX_LOG_ENTRIES as u64)), Validity::MustRevalidate);
}

/// Invalidations that are not written are bounded as well: one of everything stands for them.
#[tokio::test]
async fn too_many_unwritten_invalidations_become_one_invalidation_of_everything() {
    let store = MemoryStore::new();
    let (writer, reader) = (log(&store), log(&store));
    let number = reader.number().await.unwrap();
    writer.number().await.unwrap();
    for _ in 0..=MAX_LOG_ENTRIES {
        writer.0.record(at("/y"));
    }
    assert_eq!(writer.0.log_state().own_invalidations.len(), 1);
    assert_eq!(writer.validity(&entry(number)), Validity::Purged);
    assert!(writer.flush().await);
    reader.number().await.unwrap();
    assert_eq!(reader.validity(&entry(number)), Validity::Purged);
}

#[tokio::test]
async fn a_lost_invalidation_log_restarts_before_any_entry_is_fresh() {
    for lost in ["gone", "unreadable"] {
        let store = MemoryStore::new();
        let (one, other) = (log(&store), log(&store));
        let number = one.number().await.unwrap();
        other.number().await.unwrap();
        other.record_and_publish(at("/x")).await;
        match lost {
            "gone" => store.remove("cache:x:log").await.unwrap(),
            _ => put(&store, "cache:x:log", "garbage").await,
        }
        store.remove(&format!("cache:x:invalidation:{}", number + 1)).await.unwrap();
        one.number().await;
        assert_eq!(one.validity(&entry(number)), Validity::MustRevalidate, "{lost}");
        other.number().await;
        works(&one, &other).await;
        works(&other, &one).await;
    }
}

#[tokio::test]
async fn a_mark_that_the_store_lost_is_not_replaced_by_a_later_one() {
    let store = MemoryStore::new();
    let (writer, reader, other) = (log(&store), log(&store), log(&store));
    let number = reader.number().await.unwrap();
    writer.number().await.unwrap();
    other.number().await.unwrap();
    for _ in 0..5 {
        other.record_and_publish(at("/x")).await;
    }
    store.remove(&format!("cache:x:invalidation:{}", number + 1)).await.unwrap();
    for above in 2..=5 {
        // The remaining invalidations do not concern the stored entries.
        let name = format!("cache:x:invalidation:{}", number + above);
        let shared = other.0.shared.as_ref().unwrap();
        put(&store, &name, shared.write(&name, &at("/y")).unwrap()).await;
    }
    writer.record_and_publish(at("/z")).await;
    reader.number().await.unwrap();
    assert_eq!(reader.validity(&entry(number)), Validity::MustRevalidate);
    // The invalidation itself is there, for clients that know all before it.
    other.number().await.unwrap();
    assert!(other.0.log_state().known.iter().any(|(_, invalidation)| *invalidation == at("/z")));
}

/// A store that takes 20 ms for each read and write.
#[derive(Debug)]
struct Late(MemoryStore);

impl Late {
    fn after<'a, T: Send + 'a>(
        &'a self,
        _: &str,
        act: impl FnOnce(&'a MemoryStore) -> StoreFuture<'a, T> + Send + 'a,
    ) -> StoreFuture<'a, T> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            act(&self.0).await
        })
    }
}

impl KeyValueStore for Late {
    forward!(after() => get, put, put_if_absent);
    forward!(0 => extend_if_equal, remove, remove_if_equal);
}

impl CounterStore for Late {
    forward!(0 => increment);
}

impl QuotaStore for Late {}

#[test]
fn a_mark_is_written_if_the_program_ends_with_the_last_handle() {
    let memory = MemoryStore::new();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store =
            Arc::new(ResilientStore::new(Arc::new(Late(memory.clone())), Duration::from_secs(1)));
        let prefix = "cache:x:".to_owned();
        let invalidation_log =
            InvalidationLog::shared(store, Integrity::default(), prefix, Duration::ZERO, NO_EXPIRY);
        invalidation_log.record(at("/x"));
    });
    runtime.shutdown_background();
    let reads = async {
        let hint = memory.get("cache:x:log").await.unwrap().unwrap();
        let number = parse_sequence(&hint).unwrap();
        memory.get(&format!("cache:x:invalidation:{number}")).await.unwrap()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert!(runtime.block_on(reads).is_some());
}

/// After an outage, a guard lets one request through, and others when that is answered.
#[tokio::test(start_paused = true)]
async fn the_first_mark_after_an_outage_is_written_at_once() {
    let store =
        Arc::new(ResilientStore::new(Arc::new(Late(MemoryStore::new())), Duration::from_secs(1)));
    let (prefix, integrity) = ("cache:x:".to_owned(), Integrity::default());
    let invalidation_log =
        InvalidationLog::shared(Arc::clone(&store), integrity, prefix, Duration::ZERO, NO_EXPIRY);
    invalidation_log.number().await.unwrap();
    let fails = |_: &dyn Store| -> StoreFuture<'_, ()> {
        Box::pin(async { Err(Error::new(ErrorKind::StoreUnavailable, "no")) })
    };
    assert_eq!(
        store.run_in_background(BACKGROUND_TIMEOUT, fails).await,
        StoreResult::Indeterminate
    );
    invalidation_log.0.record(at("/x"));
    assert!(!invalidation_log.flush().await, "it is known not to answer");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(invalidation_log.flush().await);
}

#[test]
fn equal_marks_of_two_runtimes_are_each_written() {
    let memory = MemoryStore::new();
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().build().unwrap()
    };
    let (first, second) = (runtime(), runtime());
    let sleep = async |millis| tokio::time::sleep(Duration::from_millis(millis)).await;
    let store =
        Arc::new(ResilientStore::new(Arc::new(Late(memory.clone())), Duration::from_secs(1)));
    let prefix = "cache:x:".to_owned();
    let invalidation_log =
        InvalidationLog::shared(store, Integrity::default(), prefix, Duration::ZERO, NO_EXPIRY);
    let number = first.block_on(invalidation_log.number()).unwrap();
    // Both write the same invalidation, one number after the other, and the second is the first to be done.
    first.block_on(async { invalidation_log.record(at("/x")) });
    second.block_on(async {
        invalidation_log.0.write_in_background();
        sleep(30).await;
    });
    first.block_on(sleep(30));
    second.block_on(sleep(40));
    // An equal invalidation follows before the first is written: its earlier claim does not count for this one.
    invalidation_log.0.record(at("/x"));
    first.block_on(sleep(100));
    assert!(second.block_on(invalidation_log.flush()));
    let written = async {
        let mut written = 0;
        for above in 1..=9 {
            let name = format!("cache:x:invalidation:{}", number + above);
            written += usize::from(memory.get(&name).await.unwrap().is_some());
        }
        written
    };
    // The last one may have been written by both.
    assert!(first.block_on(written) >= 3);
}
