//! Counts without a response of the store are neither lost nor taken for written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::clock;
use crate::store::{Guard, Memory, Store, StoreFuture};
use crate::telemetry::usage::period::Period;
use crate::telemetry::usage::{Account, Books, UsagePolicy};

/// A store of which the tallies hang if it is told so.
#[derive(Debug)]
struct Moody {
    hangs: AtomicBool,
    /// As many tallies are answered before all others hang.
    answers: AtomicU32,
    memory: Memory,
}

impl Moody {
    fn new() -> Arc<Self> {
        let (hangs, answers) = (AtomicBool::new(false), AtomicU32::new(u32::MAX));
        Arc::new(Self { hangs, answers, memory: Memory::new() })
    }

    async fn hang(&self) {
        if self.hangs.load(Ordering::Relaxed) || self.answers.load(Ordering::Relaxed) == 0 {
            std::future::pending::<()>().await;
        }
    }
}

impl Store for Arc<Moody> {
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        self.memory.get(key)
    }
    fn put<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, ()> {
        self.memory.put(key, value, ttl)
    }
    fn claim<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, bool> {
        self.memory.claim(key, value, ttl)
    }
    fn renew<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, bool> {
        self.memory.renew(key, value, ttl)
    }
    fn remove<'a>(&'a self, key: &'a str) -> StoreFuture<'a, ()> {
        self.memory.remove(key)
    }
    fn release<'a>(&'a self, key: &'a str, value: Bytes) -> StoreFuture<'a, bool> {
        self.memory.release(key, value)
    }
    fn add<'a>(&'a self, key: &'a str, amount: i64, ttl: Duration) -> StoreFuture<'a, i64> {
        self.memory.add(key, amount, ttl)
    }
    fn tally<'a>(
        &'a self,
        key: &'a str,
        amounts: &'a [(String, u64)],
        ttl: Duration,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            self.hang().await;
            self.answers.fetch_sub(1, Ordering::Relaxed);
            self.memory.tally(key, amounts, ttl).await
        })
    }
    fn tallied<'a>(&'a self, key: &'a str) -> StoreFuture<'a, BTreeMap<String, u64>> {
        Box::pin(async move {
            self.hang().await;
            self.memory.tallied(key).await
        })
    }
}

const GITHUB: &str = "https://api.github.com";

fn books(moody: &Arc<Moody>) -> (Books, Arc<Account>) {
    let guard = Guard::new(Arc::new(Arc::clone(moody)), Duration::from_millis(50));
    let books = Books::new(UsagePolicy::new(), GITHUB, Some(Arc::new(guard)));
    let account = books.account("octocat");
    (books, account)
}

fn call(account: &Account) {
    account.sent(Instant::now(), "issues/get");
    account.called(Instant::now(), "issues/get", false);
}

/// Tells the store until nothing is left to tell.
async fn flush_all(account: &Account) {
    while account.tally.is_pending() {
        account.tally.tell().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

async fn calls(account: &Account) -> (u64, bool) {
    let (counts, heard) = account.tally.counts(Period::Month.at(clock::now())).await;
    (counts.values().map(|count| count.calls).sum(), heard)
}

#[tokio::test(start_paused = true)]
async fn unacknowledged_counts_stay_pending_when_no_new_counts_follow() {
    let moody = Moody::new();
    let (books, account) = books(&moody);
    moody.hangs.store(true, Ordering::Relaxed);
    call(&account);
    flush_all(&account).await;
    // The store is not asked for nothing.
    account.tally.tell().await;
    assert_eq!(calls(&account).await, (1, false));
    assert!(!books.flush(Duration::from_secs(5)).await);

    moody.hangs.store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(5)).await;
    call(&account);
    assert!(books.flush(Duration::from_secs(5)).await);
    assert_eq!(calls(&account).await, (1, true));
}

#[tokio::test(start_paused = true)]
async fn an_identity_that_the_store_did_not_confirm_to_list_is_not_taken_for_listed() {
    let moody = Moody::new();
    // The hour, the day and the month, and then the list.
    moody.answers.store(3, Ordering::Relaxed);
    let (books, account) = books(&moody);
    call(&account);
    assert!(!account.tally.tell().await);
    assert!(!account.tally.is_pending());
    assert!(!books.flush(Duration::from_secs(5)).await);
}

#[tokio::test(start_paused = true)]
async fn counts_of_a_cancelled_flush_are_kept() {
    let moody = Moody::new();
    let (books, account) = books(&moody);
    moody.hangs.store(true, Ordering::Relaxed);
    call(&account);
    let early = tokio::time::timeout(Duration::from_millis(10), account.tally.tell()).await;
    assert!(early.is_err() && account.tally.is_unsure());
    flush_all(&account).await;
    for period in [Period::Hour, Period::Day, Period::Month] {
        let (counts, heard) = account.tally.counts(period.at(clock::now())).await;
        assert_eq!((counts["issues/get"].calls, heard), (1, false), "{period:?}");
    }
    assert!(!books.flush(Duration::from_secs(5)).await);
}

#[test]
fn a_drop_on_the_only_worker_is_short() {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
    let dropped = runtime.spawn(async {
        let moody = Moody::new();
        let (books, account) = books(&moody);
        moody.hangs.store(true, Ordering::Relaxed);
        call(&account);
        drop(account);
        let began = std::time::Instant::now();
        drop(books);
        began.elapsed()
    });
    let took = runtime.block_on(dropped).unwrap();
    assert!(took < Duration::from_millis(400), "{took:?}");
}

#[test]
fn a_runtime_that_is_not_polled_delays_no_report_of_another() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().build().unwrap()
    };
    let (still, other) = (runtime(), runtime());
    let moody = Moody::new();
    let (_books, account) = books(&moody);
    let tally = Arc::clone(&account.tally);
    still.block_on(async {
        moody.hangs.store(true, Ordering::Relaxed);
        call(&account);
        tokio::spawn(async move { tally.tell().await });
        tokio::task::yield_now().await;
    });
    // The task that tells is not polled until the end of this test.
    moody.hangs.store(false, Ordering::Relaxed);
    let heard = other.block_on(async {
        call(&account);
        let told = tokio::time::timeout(Duration::from_secs(5), account.tally.tell());
        assert!(told.await.expect("it does not wait for ever"));
        tokio::time::timeout(Duration::from_secs(5), calls(&account)).await.expect("nor does this")
    });
    assert_eq!(heard, (1, true));
}
