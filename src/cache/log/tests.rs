use proptest::prelude::*;

use super::*;
use crate::cache::key::Key;
use crate::cache::lookup::look_up;
use crate::cache::rules::Times;
use crate::cache::storage::Shelf;
use crate::store::{Memory, Store, WaitAllowance, Writer};

fn log_with(store: &Memory, key: Option<&str>) -> Log {
    let guard = Arc::new(Guard::new(Arc::new(store.clone()), Duration::from_secs(1)));
    let integrity = Integrity::new(key.map(|key| key.to_owned().into())).unwrap();
    // What was read is read again each time.
    Log::shared(guard, integrity, "cache:x:".to_owned(), Duration::ZERO, FOR_EVER)
}

impl Log {
    /// The number of the last mark, as a look into the cache finds it.
    async fn number(&self) -> Option<u64> {
        let shared = self.0.shared.as_ref().unwrap();
        let shelf = Shelf {
            guard: Arc::clone(&shared.guard),
            integrity: shared.integrity.clone(),
            writer: Writer::new(Arc::clone(&shared.guard)),
            own_timeout: None,
            prefix: "cache:".to_owned(),
            keep: FOR_EVER,
            compress_above: usize::MAX,
            max_value: usize::MAX,
        };
        let key = Key::from_bytes(&[7; 32]).unwrap();
        let allowance = WaitAllowance::new(Duration::from_secs(9));
        look_up(&shelf, key, None, self, usize::MAX, &allowance).await.number
    }
}

fn log(store: &Memory) -> Log {
    log_with(store, None)
}

fn entry(number: u64) -> Entry {
    let time = std::time::SystemTime::now();
    Entry {
        about: About {
            url: "https://api.github.com/x".parse().unwrap(),
            path: "/x".to_owned(),
            operation: "GET /x".to_owned(),
            identity: "user:a".to_owned(),
        },
        headers: Arc::default(),
        body: Bytes::new(),
        times: Times { requested: time, received: time },
        number,
        print: 0,
    }
}

fn at(path: &str) -> Mark {
    Mark { forget: false, what: What::Paths { below: Vec::new(), at: vec![path.to_owned()] } }
}

async fn put(store: &Memory, key: &str, value: impl Into<Bytes>) {
    store.put(key, value.into(), FOR_EVER).await.unwrap();
}

/// What one process stores is good for another until it is marked.
async fn works(one: &Log, other: &Log) {
    let number = one.number().await.unwrap();
    assert!(number <= MAX_NUMBER);
    other.number().await.unwrap();
    assert_eq!(other.verdict(&entry(number)), Verdict::Good);
    other.mark(at("/y")).await;
    one.number().await.unwrap();
    assert_eq!(one.verdict(&entry(number)), Verdict::Good);
    other.mark(at("/x")).await;
    one.number().await.unwrap();
    assert_eq!(one.verdict(&entry(number)), Verdict::Doubtful);
    let number = one.number().await.unwrap();
    other.number().await.unwrap();
    assert_eq!(other.verdict(&entry(number)), Verdict::Good);
}

#[tokio::test]
async fn a_log_whose_number_can_not_be_begins_anew() {
    for number in [
        u64::MAX.to_string(),
        (u64::MAX - 1).to_string(),
        (1_u128 << 64).to_string(),
        MAX_NUMBER.to_string(),
        "-1".to_owned(),
        String::new(),
        "no number".to_owned(),
        "9".repeat(100_000),
    ] {
        let store = Memory::new();
        let (one, other) = (log(&store), log(&store));
        works(&one, &other).await;
        let before = one.number().await.unwrap();
        put(&store, "cache:x:marks", number.clone()).await;
        let anew = one.number().await.unwrap();
        assert!((before..MAX_NUMBER).contains(&anew), "{number}");
        works(&one, &other).await;
        // What was stored meanwhile by that number is confirmed first.
        for number in [MAX_NUMBER, anew + 2 * MOST as u64] {
            assert_eq!(one.verdict(&entry(number)), Verdict::Doubtful);
        }
    }
}

#[tokio::test]
async fn a_log_at_its_largest_number_begins_anew_for_all() {
    let store = Memory::new();
    let largest = MAX_NUMBER - MOST as u64 - 1;
    put(&store, "cache:x:marks", largest.to_string()).await;
    let (one, other) = (log(&store), log(&store));
    assert_eq!(one.number().await, Some(largest));
    // This one ends the log, and the others find that out.
    one.mark(at("/x")).await;
    assert!(other.number().await.unwrap() < largest);
    assert_eq!(other.verdict(&entry(largest)), Verdict::Doubtful);
    one.number().await.unwrap();
    works(&one, &other).await;
    works(&other, &one).await;
    assert_eq!(one.verdict(&entry(largest)), Verdict::Doubtful);
}

#[tokio::test]
async fn a_log_that_is_set_back_begins_anew() {
    let store = Memory::new();
    let (one, other) = (log(&store), log(&store));
    works(&one, &other).await;
    put(&store, "cache:x:marks", "5").await;
    assert_eq!(one.number().await, Some(5));
    works(&one, &other).await;
}

#[tokio::test]
async fn a_mark_that_is_not_readable_is_of_everything() {
    let mark = serde_json::to_vec(&at("/y")).unwrap();
    let forged = Integrity::default().tag(&[b"cache:x:mark:8", &mark]);
    let large = serde_json::to_vec(&at(&"y".repeat(2 * MAX_MARK))).unwrap();
    let tag = Integrity::default().tag(&[b"cache:x:mark:8", &large]);
    let key = Some("hunter2-hunter2-hunter2");
    for (value, key) in [
        (Vec::new(), None),
        (mark.clone(), None),
        ([&forged[..], b"{}"].concat(), None),
        ([&tag[..], &large].concat(), None),
        // Right without a key, and so made by anybody.
        ([&forged[..], &mark].concat(), key),
    ] {
        let store = Memory::new();
        put(&store, "cache:x:marks", "7").await;
        let log = log_with(&store, key);
        assert_eq!(log.number().await, Some(7));
        put(&store, "cache:x:mark:8", value).await;
        assert_eq!(log.number().await, Some(8));
        assert_eq!(log.verdict(&entry(7)), Verdict::Forgotten);
        assert_eq!(log.verdict(&entry(8)), Verdict::Good);
    }
    let store = Memory::new();
    works(&log_with(&store, key), &log_with(&store, key)).await;
}

#[tokio::test]
async fn a_large_mark_is_kept_and_told_as_one_of_everything() {
    let store = Memory::new();
    let (one, other, own) = (log(&store), log(&store), Log::own());
    let number = one.number().await.unwrap();
    other.number().await.unwrap();
    for log in [&one, &own] {
        log.mark(at(&"y".repeat(MAX_MARK))).await;
    }
    other.number().await.unwrap();
    assert_eq!(one.verdict(&entry(number)), Verdict::Doubtful);
    assert_eq!(other.verdict(&entry(number)), Verdict::Doubtful);
    assert_eq!(own.verdict(&entry(0)), Verdict::Doubtful);
    assert!(own.0.marks().known.iter().all(|(_, mark)| mark.what == What::All));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever somebody writes, the log goes on.
    #[test]
    fn a_log_outlasts_what_others_write(
        hint in prop_oneof![any::<u64>().prop_map(|it| it.to_string()), "\\PC{0,30}"],
        marks in prop::collection::vec((0..4_u64, prop::collection::vec(any::<u8>(), 0..40)), 0..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let store = Memory::new();
            let (one, other) = (log(&store), log(&store));
            one.number().await.unwrap();
            let ahead = hint.parse::<u64>().unwrap_or(0);
            put(&store, "cache:x:marks", hint).await;
            for (after, value) in marks {
                let number = ahead.saturating_add(after);
                put(&store, &format!("cache:x:mark:{number}"), value).await;
            }
            // The first reads may find more marks than are read at a time.
            other.number().await.unwrap();
            one.number().await.unwrap();
            works(&one, &other).await;
        });
    }
}

/// A store that takes 20 ms for what is written.
#[derive(Debug)]
struct Late(Memory);

impl Store for Late {
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        self.0.get(key)
    }
    fn put<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, ()> {
        self.0.put(key, value, ttl)
    }
    fn claim<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            self.0.claim(key, value, ttl).await
        })
    }
    fn renew<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, bool> {
        self.0.renew(key, value, ttl)
    }
    fn remove<'a>(&'a self, key: &'a str) -> StoreFuture<'a, ()> {
        self.0.remove(key)
    }
    fn release<'a>(&'a self, key: &'a str, value: Bytes) -> StoreFuture<'a, bool> {
        self.0.release(key, value)
    }
    fn add<'a>(&'a self, key: &'a str, amount: i64, ttl: Duration) -> StoreFuture<'a, i64> {
        self.0.add(key, amount, ttl)
    }
}

#[test]
fn a_mark_is_written_if_the_program_ends_with_the_last_handle() {
    let memory = Memory::new();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let guard = Arc::new(Guard::new(Arc::new(Late(memory.clone())), Duration::from_secs(1)));
        let prefix = "cache:x:".to_owned();
        let log = Log::shared(guard, Integrity::default(), prefix, Duration::ZERO, FOR_EVER);
        log.note(at("/x"));
    });
    runtime.shutdown_background();
    let reads = async {
        let hint = memory.get("cache:x:marks").await.unwrap().unwrap();
        let number = number(&hint).unwrap();
        memory.get(&format!("cache:x:mark:{number}")).await.unwrap()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert!(runtime.block_on(reads).is_some());
}
