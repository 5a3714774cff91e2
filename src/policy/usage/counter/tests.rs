//! Counts without a response of the store are neither lost nor taken for written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::UsageCounter;
use crate::policy::usage::period::Period;
use crate::policy::usage::{IdentityUsageState, MAX_IDENTITIES, UsageConfig, UsageRegistry};
use crate::store::{
    CounterStore, KeyValueStore, MemoryStore, QuotaStore, ResilientStore, StoreFuture, forward,
};
use crate::time::clock;

/// A store whose counters hang if the test says so.
#[derive(Debug)]
struct HangingStore {
    hangs: AtomicBool,
    /// The number of counter operations that get a response before all others hang.
    answers: AtomicU32,
    memory: MemoryStore,
}

impl HangingStore {
    fn new() -> Arc<Self> {
        let (hangs, responses) = (AtomicBool::new(false), AtomicU32::new(u32::MAX));
        Arc::new(Self { hangs, answers: responses, memory: MemoryStore::new() })
    }

    async fn hang(&self) {
        if self.hangs.load(Ordering::Relaxed) || self.answers.load(Ordering::Relaxed) == 0 {
            std::future::pending::<()>().await;
        }
    }
}

impl KeyValueStore for Arc<HangingStore> {
    forward!(memory => get, put, put_if_absent, extend_if_equal, remove, remove_if_equal);
}

impl CounterStore for Arc<HangingStore> {
    fn increment_counters<'a>(
        &'a self,
        key: &'a str,
        amounts: &'a [(String, u64)],
        ttl: Duration,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            self.hang().await;
            self.answers.fetch_sub(1, Ordering::Relaxed);
            self.memory.increment_counters(key, amounts, ttl).await
        })
    }
    fn counters<'a>(&'a self, key: &'a str) -> StoreFuture<'a, BTreeMap<String, u64>> {
        Box::pin(async move {
            self.hang().await;
            self.memory.counters(key).await
        })
    }
    forward!(memory => increment);
}

impl QuotaStore for Arc<HangingStore> {}

const GITHUB: &str = "https://api.github.com";

fn registry(moody: &Arc<HangingStore>) -> (UsageRegistry, Arc<IdentityUsageState>) {
    let guard = ResilientStore::new(Arc::new(Arc::clone(moody)), Duration::from_millis(50));
    let registry = UsageRegistry::new(UsageConfig::new(), GITHUB, Some(Arc::new(guard)));
    let account = registry.account("octocat");
    (registry, account)
}

fn call(account: &IdentityUsageState) {
    account.record_request(Instant::now(), "issues/get");
    account.record_call(Instant::now(), "issues/get", false);
}

/// Tells the store until nothing is left to tell.
async fn flush_all(account: &IdentityUsageState) {
    while account.counter.is_pending() {
        account.counter.flush().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

async fn calls(account: &IdentityUsageState) -> (u64, bool) {
    let (counts, reply) =
        account.counter.counts(Period::Month.at(clock::monotonic_wall_clock())).await;
    (counts.values().map(|count| count.calls).sum(), reply)
}

/// Returns the identities that the memory of a client without a store lists.
async fn listed(registry: &UsageRegistry) -> BTreeMap<String, u64> {
    let month = Period::Month.at(clock::monotonic_wall_clock());
    registry.storage.counters(&registry.keys.identities(month)).await.unwrap()
}

/// A service has a counter for each installation. The bound leaves a little for further fields.
#[tokio::test]
async fn the_first_counts_of_an_identity_take_little_memory() {
    let size = size_of::<UsageCounter>();
    println!("counter: {size}");
    assert!(size <= 352, "{size}");
    let registry = UsageRegistry::new(UsageConfig::new(), GITHUB, None);
    let account = registry.account("octocat");
    call(&account);
    // They are not written before the end of the hour, or before all identities are read.
    assert!(account.counter.state().unwritten.is_none());
    assert!(listed(&registry).await.is_empty());
    assert_eq!(calls(&account).await.0, 1);
    assert!(account.counter.flush().await);
    assert_eq!(listed(&registry).await, BTreeMap::from([("\noctocat".to_owned(), 1)]));
    assert!(account.counter.state().unwritten.is_none());
    assert_eq!(calls(&account).await.0, 1);
}

#[tokio::test]
async fn an_evicted_identity_has_written_its_counts_even_if_a_handle_keeps_it() {
    let registry = UsageRegistry::new(UsageConfig::new(), GITHUB, None);
    let kept = registry.account("octocat");
    call(&kept);
    for number in 0..MAX_IDENTITIES {
        registry.account(&number.to_string());
    }
    assert_eq!(listed(&registry).await, BTreeMap::from([("\noctocat".to_owned(), 1)]));
}

#[tokio::test(start_paused = true)]
async fn unacknowledged_counts_stay_pending_when_no_new_counts_follow() {
    let moody = HangingStore::new();
    let (usage, account) = registry(&moody);
    moody.hangs.store(true, Ordering::Relaxed);
    call(&account);
    flush_all(&account).await;
    // The store is not asked for nothing.
    account.counter.flush().await;
    assert_eq!(calls(&account).await, (1, false));
    assert!(!usage.flush(Duration::from_secs(5)).await);

    moody.hangs.store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(5)).await;
    call(&account);
    assert!(usage.flush(Duration::from_secs(5)).await);
    assert_eq!(calls(&account).await, (1, true));
}

#[tokio::test(start_paused = true)]
async fn an_identity_that_the_store_did_not_confirm_to_list_is_not_taken_for_listed() {
    let moody = HangingStore::new();
    // The hour, the day and the month, and then the list.
    moody.answers.store(3, Ordering::Relaxed);
    let (usage, account) = registry(&moody);
    call(&account);
    assert!(!account.counter.flush().await);
    assert!(!account.counter.is_pending());
    assert!(!usage.flush(Duration::from_secs(5)).await);
}

#[tokio::test(start_paused = true)]
async fn counts_of_a_cancelled_flush_are_kept() {
    let moody = HangingStore::new();
    let (usage, account) = registry(&moody);
    moody.hangs.store(true, Ordering::Relaxed);
    call(&account);
    let early = tokio::time::timeout(Duration::from_millis(10), account.counter.flush()).await;
    assert!(early.is_err() && account.counter.has_unconfirmed());
    flush_all(&account).await;
    for period in [Period::Hour, Period::Day, Period::Month] {
        let (counts, reply) =
            account.counter.counts(period.at(clock::monotonic_wall_clock())).await;
        assert_eq!((counts["issues/get"].calls, reply), (1, false), "{period:?}");
    }
    assert!(!usage.flush(Duration::from_secs(5)).await);
}

#[test]
fn a_drop_on_the_only_worker_is_short() {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
    let dropped = runtime.spawn(async {
        let moody = HangingStore::new();
        let (usage, account) = registry(&moody);
        moody.hangs.store(true, Ordering::Relaxed);
        call(&account);
        drop(account);
        let began = std::time::Instant::now();
        drop(usage);
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
    let moody = HangingStore::new();
    let (_usage, account) = registry(&moody);
    let counter = Arc::clone(&account.counter);
    still.block_on(async {
        moody.hangs.store(true, Ordering::Relaxed);
        call(&account);
        tokio::spawn(async move { counter.flush().await });
        tokio::task::yield_now().await;
    });
    // The task that tells is not polled until the end of this test.
    moody.hangs.store(false, Ordering::Relaxed);
    let reply = other.block_on(async {
        call(&account);
        let update = tokio::time::timeout(Duration::from_secs(5), account.counter.flush());
        assert!(update.await.expect("it does not wait for ever"));
        tokio::time::timeout(Duration::from_secs(5), calls(&account)).await.expect("nor does this")
    });
    assert_eq!(reply, (1, true));
}
