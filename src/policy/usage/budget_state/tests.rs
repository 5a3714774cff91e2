//! No strict budget is exceeded in any state of the store.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use futures_util::future::join_all;
use proptest::prelude::*;

use super::super::{Period, UsageConfig, UsageRegistry};
use super::*;
use crate::store::{
    CounterStore, KeyValueStore, MemoryStore, QuotaStore, ResilientStore, Store, StoreFuture,
    forward,
};

fn at(text: &str) -> SystemTime {
    text.parse::<DateTime<Utc>>().unwrap().into()
}

fn spending(budget: Budget) -> Arc<BudgetCounter> {
    Arc::new(BudgetCounter::new(budget, "budget:test".to_owned(), ""))
}

/// Counts a request of a call that has asked the store for nothing else.
async fn spend(
    spending: &Arc<BudgetCounter>,
    storage: &Arc<UsageStorage>,
    now: SystemTime,
) -> Result<BudgetReservation, Error> {
    let allowance = StoreWaitBudget::new(crate::store::STORE_TIMEOUT);
    spending.try_consume(storage, "o/p", now, &allowance).await
}

async fn used(spending: &BudgetCounter, storage: &UsageStorage, now: SystemTime) -> (u64, bool) {
    let (used, _, reply) = spending.used(storage, Period::Hour.at(now)).await;
    (used, reply)
}

#[tokio::test]
async fn a_usage_budget_restarts_with_each_window() {
    let storage = Arc::new(UsageStorage::new(None));
    let spending = spending(Budget::new("b", Period::Hour).hard_limit(2));
    let late = at("2026-11-26T01:59:59Z");
    spend(&spending, &storage, late).await.unwrap();
    spend(&spending, &storage, late).await.unwrap();
    let error = spend(&spending, &storage, late).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    assert!(error.to_string().contains("starts at 2026-11-26T02:00:00Z"), "{error}");
    let next = at("2026-11-26T02:00:00Z");
    spend(&spending, &storage, next).await.unwrap();
    // Reading the previous hour does not change this one.
    assert_eq!(used(&spending, &storage, late).await, (2, true));
    spend(&spending, &storage, next).await.unwrap();
    // Usage that is returned late is subtracted from its own hour.
    spending.release(&storage, BudgetReservation(Period::Hour.at(late)));
    assert_eq!(used(&spending, &storage, next).await, (2, true));
    assert_eq!(used(&spending, &storage, late).await, (1, true));
}

#[tokio::test(start_paused = true)]
async fn a_rejected_call_reads_the_store_at_most_once_a_second() {
    let storage = Arc::new(UsageStorage::new(None));
    let spending = spending(Budget::new("b", Period::Hour).hard_limit(1));
    let now = at("2026-11-26T01:00:00Z");
    let spent = spend(&spending, &storage, now).await.unwrap();
    assert!(spending.check("o/p", now).is_err() && spending.is_exhausted(now));
    // Another client returns one unit, which this client reads after a second.
    storage.increment(&spending.key(spent.0), -1, EXHAUSTED_RECHECK_INTERVAL).await;
    spend(&spending, &storage, now).await.unwrap_err();
    tokio::time::sleep(EXHAUSTED_RECHECK_INTERVAL).await;
    spend(&spending, &storage, now).await.unwrap();
}

/// The behavior of a store for one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Answers,
    /// It applies the operation, and the response is lost.
    Keeps,
    /// It does not do it, nor answer.
    Loses,
    Fails,
}

/// A store that follows a script, and responds normally after its end.
#[derive(Debug, Default)]
struct Scripted {
    memory: MemoryStore,
    script: Mutex<VecDeque<Does>>,
}

impl Scripted {
    fn act<'a, T: Send + 'a>(
        &'a self,
        _: &str,
        act: impl FnOnce(&'a MemoryStore) -> StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T> {
        let does = self.script.lock().unwrap().pop_front().unwrap_or(Does::Answers);
        match does {
            Does::Answers => act(&self.memory),
            Does::Keeps => {
                // Memory acts at once.
                drop(act(&self.memory));
                Box::pin(std::future::pending())
            }
            Does::Loses => Box::pin(std::future::pending()),
            Does::Fails => Box::pin(async { Err(Error::new(ErrorKind::StoreUnavailable, "no")) }),
        }
    }
}

impl KeyValueStore for Arc<Scripted> {
    forward!(memory => get, put, put_if_absent, extend_if_equal, remove, remove_if_equal);
}

impl CounterStore for Arc<Scripted> {
    forward!(act() => increment, try_consume);
}

impl QuotaStore for Arc<Scripted> {}

/// One step of a script.
#[derive(Clone, Debug)]
enum Step {
    /// So many requests at once, of one of two clients.
    Spend(usize, usize),
    /// A request that is dropped while it is counted.
    Drop(usize),
    GiveBack(usize),
    /// Some milliseconds pass.
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0_usize..2, 1_usize..5).prop_map(|(who, calls)| Step::Spend(who, calls)),
        1 => (0_usize..2).prop_map(Step::Drop),
        1 => (0_usize..2).prop_map(Step::GiveBack),
        2 => (1_u64..2_000).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..60)
}

fn does() -> impl Strategy<Value = Does> {
    prop_oneof![
        6 => Just(Does::Answers),
        1 => Just(Does::Keeps),
        1 => Just(Does::Loses),
        1 => Just(Does::Fails),
    ]
}

/// The outcome: the requests sent and not returned, the attempted returns, and the counter in
/// the store.
struct Came {
    most_sent: u64,
    sent: u64,
    sum: u64,
}

/// Two clients of one store take the steps, and the store does as the script says.
fn play(budget: &Budget, steps: Vec<Step>, script: Vec<Does>) -> Came {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let store = Arc::new(Scripted { script: Mutex::new(script.into()), ..Scripted::default() });
        let patience = Duration::from_millis(50);
        let storage = || {
            let store: Arc<dyn Store> = Arc::new(Arc::clone(&store));
            Arc::new(UsageStorage::new(Some(Arc::new(ResilientStore::new(store, patience)))))
        };
        let clients = [storage(), storage()].map(|storage| (spending(budget.clone()), storage));
        let now = at("2026-11-26T01:00:00Z");
        let (mut held, mut most_sent) = (Vec::new(), 0);
        for step in steps {
            match step {
                Step::Spend(who, calls) => {
                    let (spending, storage) = &clients[who];
                    let calls = (0..calls).map(|_| spend(spending, storage, now));
                    held.extend(join_all(calls).await.into_iter().flatten());
                }
                Step::Drop(who) => {
                    let (spending, storage) = &clients[who];
                    if let Some(Ok(spent)) = spend(spending, storage, now).now_or_never() {
                        held.push(spent);
                    }
                }
                Step::GiveBack(who) => {
                    // It was not sent after all.
                    if let Some(spent) = held.pop() {
                        let (spending, storage) = &clients[who];
                        spending.release(storage, spent);
                    }
                }
                Step::Wait(time) => tokio::time::sleep(Duration::from_millis(time)).await,
            }
            most_sent = most_sent.max(held.len() as u64);
        }
        store.script.lock().unwrap().clear();
        tokio::time::sleep(2 * EXHAUSTED_RECHECK_INTERVAL).await;
        let sum = used(&clients[0].0, &clients[0].1, now).await.0;
        Came { most_sent, sent: held.len() as u64, sum }
    })
}

proptest! {
    /// While the store responds, exactly the budget is admitted, and the count equals the
    /// admitted requests.
    #[test]
    fn a_responding_store_admits_nothing_over_the_budget(hard in 1_u64..20, steps in steps()) {
        let came = play(&Budget::new("b", Period::Hour).hard_limit(hard), steps, Vec::new());
        prop_assert!(came.most_sent <= hard, "{} of {hard}", came.most_sent);
        prop_assert_eq!(came.sum, came.sent);
    }

    /// A strict budget holds in any state of the store, and with any client dropped.
    #[test]
    fn a_strict_budget_is_never_exceeded(
        hard in 1_u64..20,
        steps in steps(),
        script in prop::collection::vec(does(), 0..80),
    ) {
        let came = play(&Budget::new("b", Period::Hour).hard_limit(hard).fail_closed(), steps, script);
        prop_assert!(came.most_sent <= hard, "{} of {hard}", came.most_sent);
        prop_assert!(came.sent <= came.sum, "{} of {}", came.sent, came.sum);
    }

    /// Of one that is not, no more goes too far than the store lost, or the other client did not see.
    #[test]
    fn a_budget_is_exceeded_by_at_most_the_writes_that_the_store_lost(
        hard in 1_u64..20,
        steps in steps(),
        script in prop::collection::vec(does(), 0..80),
    ) {
        let lost = script.iter().filter(|does| **does != Does::Answers).count() as u64;
        let came = play(&Budget::new("b", Period::Hour).hard_limit(hard), steps, script);
        let most = if lost == 0 { hard } else { 2 * hard + 5 * lost };
        prop_assert!(came.most_sent <= most, "{} of {hard}, {lost} lost", came.most_sent);
    }
}

/// A store that never responds is asked now and then, which admits nothing more.
#[tokio::test(start_paused = true)]
async fn a_single_process_enforces_its_budget_during_an_outage() {
    let script = VecDeque::from(vec![Does::Loses; 10_000]);
    let store = Arc::new(Scripted { script: Mutex::new(script), ..Scripted::default() });
    let guard = ResilientStore::new(Arc::new(Arc::clone(&store)), Duration::from_millis(50));
    let storage = Arc::new(UsageStorage::new(Some(Arc::new(guard))));
    let spending = spending(Budget::new("b", Period::Hour).hard_limit(40));
    let now = at("2026-11-26T01:00:00Z");
    let mut sent = 0;
    for _ in 0..20 {
        let burst = (0..10).map(|_| spend(&spending, &storage, now));
        sent += join_all(burst).await.into_iter().filter(Result::is_ok).count();
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    assert_eq!(sent, 40);
    // When the store is back, it receives the counts that were never sent to it.
    store.script.lock().unwrap().clear();
    tokio::time::sleep(2 * EXHAUSTED_RECHECK_INTERVAL).await;
    let _ = spend(&spending, &storage, now).await;
    let sum = used(&spending, &storage, now).await.0;
    assert!((20..=40).contains(&sum), "{sum}");
}

/// Values that no client writes.
const GARBAGE: [&str; 5] =
    ["garbage", "9223372036854775807", "-9223372036854775808", "1e300", "9007199254740993"];

/// Spends 3 of 10 by one client and 1 by another, writes garbage, and spends all there is by both. Returns what
/// they spent afterwards, and in the next hour; and how often the store was taken for down.
async fn spent_after(garbage: &'static str, strict: bool) -> (u32, u32, u64) {
    let memory = MemoryStore::new();
    let client = || {
        let budget = Budget::new("b", Period::Hour).hard_limit(10);
        let guard = ResilientStore::new(Arc::new(memory.clone()), Duration::from_millis(50));
        let guard = Arc::new(guard);
        let storage = Arc::new(UsageStorage::new(Some(Arc::clone(&guard))));
        (spending(if strict { budget.fail_closed() } else { budget }), storage, guard)
    };
    let clients = [client(), client()];
    let (now, next) = (at("2026-11-26T01:00:00Z"), at("2026-11-26T02:00:00Z"));
    for who in [0, 0, 0, 1] {
        let (spending, storage, _) = &clients[who];
        spend(spending, storage, now).await.unwrap();
    }
    let key = clients[0].0.key(Period::Hour.at(now));
    memory
        .put(&key, Bytes::from_static(garbage.as_bytes()), EXHAUSTED_RECHECK_INTERVAL)
        .await
        .unwrap();
    let mut sent = [0, 0];
    for (time, sent) in [now, next].into_iter().zip(&mut sent) {
        for _ in 0..20 {
            for (spending, storage, _) in clients.iter().rev() {
                *sent += u32::from(spend(spending, storage, time).await.is_ok());
            }
        }
    }
    (sent[0], sent[1], clients.iter().map(|(.., guard)| guard.health().outages).sum())
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_counter_is_rebuilt_from_the_counts_of_the_client() {
    for garbage in GARBAGE {
        assert_eq!(spent_after(garbage, false).await, (6, 10, 0), "{garbage}");
    }
}

/// Others may have spent more than this client knows.
#[tokio::test(start_paused = true)]
async fn a_strict_budget_whose_sum_cannot_be_read_is_closed_for_its_own_window_only() {
    for garbage in GARBAGE {
        assert_eq!(spent_after(garbage, true).await, (0, 10, 0), "{garbage}");
    }
}

/// A sum below zero has no room for more than the limit.
#[tokio::test(start_paused = true)]
async fn a_negative_counter_admits_no_more_than_the_budget() {
    let memory = MemoryStore::new();
    memory
        .put("budget:test:2026-11-26T01", Bytes::from_static(b"-1000"), EXHAUSTED_RECHECK_INTERVAL)
        .await
        .unwrap();
    let guard = ResilientStore::new(Arc::new(memory), EXHAUSTED_RECHECK_INTERVAL);
    let storage = Arc::new(UsageStorage::new(Some(Arc::new(guard))));
    let spending = spending(Budget::new("b", Period::Hour).hard_limit(10).fail_closed());
    let now = at("2026-11-26T01:00:00Z");
    let mut sent = 0;
    for _ in 0..20 {
        sent += u32::from(spend(&spending, &storage, now).await.is_ok());
    }
    assert_eq!(sent, 10);
}

#[tokio::test]
async fn a_report_does_not_take_garbage_for_a_number() {
    let memory = MemoryStore::new();
    let guard = ResilientStore::new(Arc::new(memory.clone()), EXHAUSTED_RECHECK_INTERVAL);
    let storage = Arc::new(UsageStorage::new(Some(Arc::new(guard))));
    let spending = spending(Budget::new("b", Period::Hour).hard_limit(10));
    let now = at("2026-11-26T01:00:00Z");
    spend(&spending, &storage, now).await.unwrap();
    memory
        .put("budget:test:2026-11-26T01", Bytes::from_static(b"1e9"), EXHAUSTED_RECHECK_INTERVAL)
        .await
        .unwrap();
    memory
        .put(
            "budget:test:2026-11-26T01:first",
            Bytes::from_static(b"9"),
            EXHAUSTED_RECHECK_INTERVAL,
        )
        .await
        .unwrap();
    assert_eq!(used(&spending, &storage, now).await, (1, false), "what this client knows");
}

#[test]
fn a_runtime_that_is_not_polled_keeps_no_other_from_telling() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().build().unwrap()
    };
    let (still, other) = (runtime(), runtime());
    let script = [Does::Answers, Does::Answers, Does::Loses];
    let store = Arc::new(Scripted { script: Mutex::new(script.into()), ..Scripted::default() });
    let guard = ResilientStore::new(Arc::new(Arc::clone(&store)), Duration::from_millis(50));
    let storage = Arc::new(UsageStorage::new(Some(Arc::new(guard))));
    let spending = spending(Budget::new("b", Period::Hour).hard_limit(9));
    let now = at("2026-11-26T01:00:00Z");
    let second = still.block_on(async {
        let first = spend(&spending, &storage, now).await.unwrap();
        let second = spend(&spending, &storage, now).await.unwrap();
        // A task tells it, which is not polled any more.
        spending.release(&storage, first);
        second
    });
    let update = other.block_on(async {
        spending.release(&storage, second);
        timeout(Duration::from_secs(5), spending.flush(&storage)).await
    });
    assert_eq!(update.ok(), Some(true), "it waits for no task of the other runtime");
    let key = spending.key(Period::Hour.at(now));
    // Lost counts are kept, and written ones are returned.
    assert_eq!(other.block_on(store.memory.get(&key)).unwrap().unwrap(), b"1"[..]);
}

/// Requests in flight when a counter is damaged were counted in the lost value.
#[tokio::test(start_paused = true)]
async fn returned_usage_does_not_reopen_a_closed_strict_budget() {
    let memory = MemoryStore::new();
    let guard = ResilientStore::new(Arc::new(memory.clone()), EXHAUSTED_RECHECK_INTERVAL);
    let storage = Arc::new(UsageStorage::new(Some(Arc::new(guard))));
    let spending = spending(Budget::new("b", Period::Hour).hard_limit(10).fail_closed());
    let now = at("2026-11-26T01:00:00Z");
    let mut in_flight = Vec::new();
    for _ in 0..8 {
        in_flight.push(spend(&spending, &storage, now).await.unwrap());
    }
    let day = Duration::from_secs(86_400);
    memory.put("budget:test:2026-11-26T01", Bytes::from_static(b"garbage"), day).await.unwrap();
    // The first operation that finds the damage.
    spending.release(&storage, in_flight.remove(0));
    for spent in in_flight {
        spending.release(&storage, spent);
        tokio::time::sleep(2 * EXHAUSTED_RECHECK_INTERVAL).await;
        spend(&spending, &storage, now).await.unwrap_err();
    }
    spend(&spending, &storage, at("2026-11-26T02:00:00Z")).await.unwrap();
}

/// Everything in the folder of a disk store is lost, as if each shard was replaced from outside. A window
/// that begins later has lost nothing.
#[tokio::test]
async fn a_loss_closes_strict_budgets_of_windows_that_began_before_it_only() {
    use std::fs;

    use crate::store::DiskStore;
    let folder = std::env::temp_dir().join(format!("octowire-loss-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    let disk = DiskStore::open(&folder).unwrap();
    let guard = ResilientStore::new(Arc::new(disk.clone()), Duration::from_secs(9));
    let storage = Arc::new(UsageStorage::new(Some(Arc::new(guard))));
    let own = folder.join("octowire-store");
    let shards = || (0..256).map(|shard| own.join(format!("{shard:02x}")));
    for shard in shards() {
        let _ = fs::remove_dir_all(&shard);
        fs::write(&shard, "a file in its place").unwrap();
    }
    let spend_all = async |period, now| {
        let name = format!("budget:test-{period}");
        let budget = Budget::new("b", period).hard_limit(2).fail_closed();
        // Two processes, which do not know the usage of each other.
        let processes = [(); 2].map(|()| BudgetCounter::new(budget.clone(), name.clone(), ""));
        let processes = processes.map(Arc::new);
        let spend = async |process: usize| {
            let allowance = StoreWaitBudget::new(Duration::from_secs(9));
            processes[process % 2].try_consume(&storage, "o/p", now, &allowance).await.is_ok()
        };
        join_all((0..6).map(spend)).await.into_iter().filter(|sent| *sent).count()
    };
    let now = SystemTime::now();
    for period in Period::ALL {
        assert_eq!(spend_all(period, now).await, 0, "{period}");
        let next = Period::at(period, now).end.into();
        assert_eq!(spend_all(period, next).await, 2, "{period}");
    }
    // And after each shard was replaced by the store.
    for key in 0.. {
        if shards().all(|shard| shard.is_dir()) {
            break;
        }
        disk.put(&format!("k{key}"), Bytes::new(), EXHAUSTED_RECHECK_INTERVAL).await.unwrap();
    }
    for period in Period::ALL {
        let next: SystemTime = Period::at(period, now).end.into();
        let next = Period::at(period, next).end.into();
        assert_eq!(spend_all(period, next).await, 2, "{period}");
    }
    let _ = fs::remove_dir_all(&folder);
}

/// A request that the store was told of without an answer counts once or not at all: close cannot say that it does.
#[tokio::test(start_paused = true)]
async fn a_flush_says_that_a_count_is_unknown() {
    let script = VecDeque::from([Does::Loses]);
    let store = Arc::new(Scripted { script: Mutex::new(script), ..Scripted::default() });
    let guard =
        Arc::new(ResilientStore::new(Arc::new(Arc::clone(&store)), Duration::from_millis(50)));
    let policy = UsageConfig::new().budget(Budget::new("b", Period::Hour).hard_limit(9));
    let registry = UsageRegistry::new(policy, "github", Some(guard));
    let account = registry.account("user:a");
    let request = || async {
        let allowance = StoreWaitBudget::new(crate::store::STORE_TIMEOUT);
        account.reserve("o/p", &allowance).await.unwrap().mark_sent();
        tokio::time::sleep(2 * EXHAUSTED_RECHECK_INTERVAL).await;
    };
    request().await;
    let patience = Duration::from_secs(5);
    assert!(!registry.flush(patience).await);
    // Once the store has told a sum again, that is what counts.
    request().await;
    request().await;
    assert!(registry.flush(patience).await);
}
