//! The time that a call waits for its store: one allowance for all store operations.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Method;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::client::test_transport::{rate_limit, response};
use crate::error::{ErrorKind, Result};
use crate::policy::cache::{CacheConfig, CachePolicy, CacheSelector, CacheStatus};
use crate::policy::retry::RetryPolicy;
use crate::policy::usage::{Budget, Period, UsageConfig};
use crate::store::{
    CounterStore, KeyValueStore, MemoryStore, QuotaLease, QuotaRequest, QuotaStore, StoreFuture,
    forward,
};

/// A store whose every operation takes the same time.
#[derive(Clone, Debug, Default)]
struct Slow(Arc<State>);

#[derive(Debug, Default)]
struct State {
    memory: MemoryStore,
    /// In milliseconds; [`NEVER`] for a store that does not respond.
    delay: AtomicU64,
    asked: AtomicU64,
}

const NEVER: u64 = u64::MAX;
/// The default of `store_timeout`.
const ALLOWED: Duration = Duration::from_millis(50);

impl Slow {
    fn set(&self, delay: u64) {
        self.0.delay.store(delay, Ordering::Relaxed);
    }

    fn asked(&self) -> u64 {
        self.0.asked.load(Ordering::Relaxed)
    }

    fn after<'a, T: Send + 'a>(
        &'a self,
        _: &str,
        act: impl FnOnce(&'a MemoryStore) -> StoreFuture<'a, T> + Send + 'a,
    ) -> StoreFuture<'a, T> {
        Box::pin(async move {
            self.0.asked.fetch_add(1, Ordering::Relaxed);
            match self.0.delay.load(Ordering::Relaxed) {
                0 => {}
                NEVER => std::future::pending().await,
                delay => sleep(Duration::from_millis(delay)).await,
            }
            act(&self.0.memory).await
        })
    }
}

impl KeyValueStore for Slow {
    forward!(after() => get, put, put_if_absent, extend_if_equal, remove, remove_if_equal);
}

impl CounterStore for Slow {
    forward!(after() => increment, try_consume, increment_counters, counters);
}

impl QuotaStore for Slow {
    forward!(after() => lease);
}

fn budgets() -> UsageConfig {
    let hour = Budget::new("hour", Period::Hour).soft_limit(900_000).hard_limit(1_000_000);
    UsageConfig::new().budget(hour).budget(Budget::new("day", Period::Day).hard_limit(1_000_000))
}

/// Creates a client that shares cache, limits and budgets through this store, with a GitHub that responds at once.
fn client(store: &Slow, cache: CacheConfig, usage: UsageConfig) -> Client {
    let builder = Client::builder().token("t0ken").retry(RetryPolicy::disabled());
    let builder = builder.store(store.clone()).cache(cache).usage(usage);
    let respond = |request: reqwest::Request| async move {
        let status = if request.headers().contains_key("if-none-match") { 304 } else { 200 };
        let mut headers = rate_limit(4_000, 3_600).to_vec();
        headers.push(("etag", format!("\"{}\"", request.url().path())));
        headers.push(("content-type", "application/json".to_owned()));
        response(&request, status, &headers, if status == 200 { "{}" } else { "" })
    };
    builder.responder(respond).build().unwrap()
}

fn cached() -> CacheConfig {
    CacheConfig::default().default_policy(CachePolicy::max_age(Duration::from_secs(24 * 60 * 60)))
}

async fn get(client: &Client, path: &str) -> (Duration, Result<CacheStatus>) {
    let start = Instant::now();
    let response = client.request(Method::GET, path).send::<Value>().await;
    (start.elapsed(), response.map(|response| response.meta().cache_status()))
}

async fn post(client: &Client, path: &str) -> Duration {
    let start = Instant::now();
    client.request(Method::POST, path).send::<Value>().await.unwrap();
    start.elapsed()
}

/// Waits longer than a lease is valid, and than the cache's log is known.
async fn idle() {
    sleep(Duration::from_secs(3)).await;
}

/// Measures the wait of each kind of call for a store of this latency, without a lease.
async fn waits(delay: u64) -> BTreeMap<&'static str, Duration> {
    let store = Slow::default();
    let client = client(&store, cached(), budgets());
    get(&client, "/repos/o/r/stored").await.1.unwrap();
    idle().await;
    store.set(delay);
    let mut waits = BTreeMap::new();
    let (hit, status) = get(&client, "/repos/o/r/stored").await;
    if delay < 50 {
        assert_eq!(status.unwrap(), CacheStatus::Hit, "{delay}");
    }
    waits.insert("first", hit);
    idle().await;
    waits.insert("hit", get(&client, "/repos/o/r/stored").await.0);
    idle().await;
    let (miss, status) = get(&client, "/repos/o/r/new").await;
    assert_eq!(status.unwrap(), CacheStatus::Miss, "{delay}");
    waits.insert("miss", miss);
    idle().await;
    waits.insert("write", post(&client, "/repos/o/r/issues").await);
    idle().await;
    let calls = (0..20).map(|number| {
        let client = client.clone();
        tokio::spawn(async move { get(&client, &format!("/repos/o/r/{number}")).await })
    });
    let start = Instant::now();
    for call in futures_util::future::join_all(calls).await {
        call.unwrap().1.unwrap();
    }
    waits.insert("batch", start.elapsed());
    waits
}

#[tokio::test(start_paused = true)]
async fn no_call_waits_for_its_store_longer_than_it_may() {
    for delay in [0, 1, 20, 40, 49, 60, NEVER] {
        let waits = waits(delay).await;
        println!("{delay} ms: {waits:?}");
        for (call, wait) in waits {
            assert!(wait <= ALLOWED, "{call}: {wait:?} at {delay} ms");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nor_does_the_first_call_of_a_client() {
    let kinds = ["hit", "revalidated", "outlasting", "miss", "write", "bypass"];
    for delay in [0, 1, 20, 40, 49, 60, 200, 900, NEVER] {
        for (kind, strict) in kinds.into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
            let usage = || {
                let budget = Budget::new("hour", Period::Hour).hard_limit(1_000_000);
                let budget = if strict { budget.fail_closed() } else { budget };
                UsageConfig::new().budget(budget)
            };
            let cache = || match kind {
                "revalidated" => CacheConfig::default().default_policy(CachePolicy::revalidate()),
                "outlasting" => {
                    let hour = Duration::from_secs(3_600);
                    CacheConfig::default()
                        .default_policy(CachePolicy::revalidate().stale_if_error(hour))
                }
                "bypass" => CacheConfig::disabled(),
                _ => cached(),
            };
            let store = Slow::default();
            let before = client(&store, cached(), usage());
            get(&before, "/repos/o/r/stored").await.1.unwrap();
            assert!(before.close().await);
            store.set(delay);
            let client = client(&store, cache(), usage());
            for number in 0..3 {
                let start = Instant::now();
                let request = match kind {
                    "miss" => client.request(Method::GET, format!("/repos/o/r/{number}")),
                    "write" => client.request(Method::POST, format!("/repos/o{number}/r/issues")),
                    _ => client.request(Method::GET, "/repos/o/r/stored"),
                };
                let ended = request.send::<Value>().await;
                let wait = start.elapsed();
                assert!(wait <= ALLOWED, "{kind}: {wait:?} at {delay} ms, call {number}");
                match ended {
                    Ok(response) if delay < 50 => {
                        let is_hit = response.meta().cache_status() == CacheStatus::Hit;
                        // The first read of a client takes a second round trip for invalidations beyond the log's number.
                        let knows_log = delay <= 20 || number > 0;
                        assert_eq!(is_hit, kind == "hit" && knows_log, "{kind} at {delay} ms");
                    }
                    Ok(_) => {}
                    // Without a response, the rest of a strict budget is unknown.
                    Err(error) => {
                        assert!(strict && delay > 20, "{kind} at {delay} ms: {error}");
                        assert_eq!(error.kind(), ErrorKind::BudgetExhausted);
                    }
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hit_takes_one_round_trip_and_any_other_call_two() {
    let waits = waits(1).await;
    let trips = |call| waits[call].as_millis();
    // A write also waits for its invalidation, which takes two round trips.
    assert_eq!((trips("hit"), trips("miss"), trips("write"), trips("batch")), (1, 2, 3, 2));
    // Without a cache in the store, a call waits for a lease or not at all.
    let store = Slow::default();
    let client = client(&store, CacheConfig::disabled(), UsageConfig::new());
    store.set(1);
    // After about thirty calls, it leases that number at a time.
    let calls = (0..30).map(|number| {
        let client = client.clone();
        tokio::spawn(async move { get(&client, &format!("/repos/o/r/{number}")).await.0 })
    });
    for call in futures_util::future::join_all(calls).await {
        call.unwrap();
    }
    let mut waited = Duration::ZERO;
    for number in 0..10 {
        let (wait, status) = get(&client, &format!("/repos/o/r/{number}")).await;
        assert_eq!(status.unwrap(), CacheStatus::Bypass);
        waited += wait;
    }
    assert!(waited <= Duration::from_millis(2), "{waited:?}: ten calls need a lease or two");
}

#[tokio::test(start_paused = true)]
async fn a_response_of_another_identity_costs_no_round_trip_more() {
    let store = Slow::default();
    let one = client(&store, cached(), budgets());
    get(&one, "/repos/o/r").await.1.unwrap();
    let other = one.named("ghp_other");
    get(&other, "/repos/o/r/warm").await.1.unwrap();
    idle().await;
    store.set(1);
    let asked = store.asked();
    assert_eq!(get(&other, "/repos/o/r").await.0, Duration::from_millis(2));
    assert!(store.asked() > asked + 3, "the response of another client, a lease and two budgets");
}

#[tokio::test(start_paused = true)]
async fn an_unresponsive_store_delays_only_the_first_call() {
    let store = Slow::default();
    let client = client(&store, cached(), budgets());
    get(&client, "/repos/o/r/stored").await.1.unwrap();
    idle().await;
    store.set(NEVER);
    assert_eq!(get(&client, "/repos/o/r/stored").await.0, ALLOWED);
    for number in 0..50 {
        assert_eq!(get(&client, &format!("/repos/o/r/{number}")).await.0, Duration::ZERO);
        if number < 10 {
            assert_eq!(post(&client, &format!("/repos/o{number}/r/issues")).await, Duration::ZERO);
        }
        // Also when it is time to probe the store.
        sleep(Duration::from_millis(130)).await;
    }
    assert!(client.store_health().unwrap().unavailable_for.is_some());
    store.set(1);
    sleep(Duration::from_secs(2)).await;
    get(&client, "/repos/o/r/x").await.1.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(client.store_health().unwrap().unavailable_for, None);
    assert_eq!(get(&client, "/repos/o/r/stored").await.1.unwrap(), CacheStatus::Hit);
}

#[tokio::test(start_paused = true)]
async fn a_cache_in_a_store_of_its_own_is_waited_for_within_the_same_time() {
    for delay in [40, NEVER] {
        let (limits, responses) = (Slow::default(), Slow::default());
        let own =
            || CacheConfig::store(responses.clone()).default_policy(CachePolicy::revalidate());
        let client = client(&limits, own(), budgets());
        limits.set(delay);
        responses.set(delay);
        let (wait, status) = get(&client, "/repos/o/r/x").await;
        assert!(wait <= ALLOWED, "{wait:?}");
        status.unwrap();
        // A component with a longer timeout has it.
        let patient = own().store_timeout(Duration::from_millis(200));
        let client = self::client(&limits, patient, budgets());
        let (wait, status) = get(&client, "/repos/o/r/y").await;
        assert!(wait <= Duration::from_millis(250), "{wait:?}");
        status.unwrap();
    }
}

/// Returns the requests that an hourly budget counts, according to the store.
async fn counted(client: &Client) -> u64 {
    let report = client.usage().report().await;
    report.budgets.iter().find(|budget| budget.name == "b").unwrap().used
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_the_store_decides_too_late_is_kept_here_and_counted_there() {
    let store = Slow::default();
    let usage = |hard| UsageConfig::new().budget(Budget::new("b", Period::Month).hard_limit(hard));
    let one = client(&store, cached(), usage(30));
    get(&one, "/repos/o/r/warm").await.1.unwrap();
    idle().await;
    // The cache lookup leaves too little time for the budget.
    store.set(40);
    let mut rejected = 0;
    for number in 0..40 {
        match get(&one, &format!("/repos/o/r/{number}")).await.1 {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::BudgetExhausted, "{error}");
                rejected += 1;
            }
        }
    }
    assert_eq!(rejected, 11);
    store.set(0);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(counted(&one).await, 30);
}

#[tokio::test(start_paused = true)]
async fn a_strict_budget_that_the_store_decides_too_late_rejects_and_gives_back() {
    let store = Slow::default();
    let budget = Budget::new("b", Period::Month).hard_limit(1_000).fail_closed();
    let client = client(&store, cached(), UsageConfig::new().budget(budget));
    get(&client, "/repos/o/r/warm").await.1.unwrap();
    idle().await;
    store.set(40);
    for number in 0..10 {
        let error = get(&client, &format!("/repos/o/r/{number}")).await.1.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BudgetExhausted);
        assert!(error.is_retryable() && error.to_string().contains("store unavailable"));
    }
    assert_eq!(client.store_health().unwrap().outages, 0, "a store that responds is available");
    store.set(20);
    sleep(Duration::from_secs(1)).await;
    get(&client, "/repos/o/r/x").await.1.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(counted(&client).await, 2);
}

#[tokio::test(start_paused = true)]
async fn reservations_of_an_unsent_call_are_released() {
    let store = Slow::default();
    let usage = UsageConfig::new()
        .budget(Budget::new("b", Period::Month).hard_limit(1_000))
        .budget(Budget::new("small", Period::Month).hard_limit(1));
    let client = client(&store, CacheConfig::disabled(), usage);
    store.set(20);
    // One call takes it, and the other is rejected, or its caller drops it.
    get(&client, "/repos/o/r/first").await.1.unwrap();
    for number in 0..5 {
        let path = format!("/repos/o/r/{number}");
        let call = get(&client, &path);
        if number % 2 == 0 {
            let error = call.await.1.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BudgetExhausted);
        } else {
            let _ = tokio::time::timeout(Duration::from_millis(5), call).await;
        }
        sleep(Duration::from_secs(2)).await;
    }
    assert_eq!(counted(&client).await, 1);
}

#[tokio::test(start_paused = true)]
async fn pending_writes_are_visible_to_this_process() {
    let store = Slow::default();
    let client = client(&store, cached(), UsageConfig::new());
    get(&client, "/repos/o/r/warm").await.1.unwrap();
    store.set(20);
    // Identical reads in a row get the response to the first of them, before it is in the store.
    assert_eq!(get(&client, "/repos/o/r").await.1.unwrap(), CacheStatus::Miss);
    assert_eq!(get(&client, "/repos/o/r").await.1.unwrap(), CacheStatus::Hit);
    // A write is visible at once.
    post(&client, "/repos/o/r/issues").await;
    assert_ne!(get(&client, "/repos/o/r").await.1.unwrap(), CacheStatus::Hit);
    store.set(0);
    assert!(client.close().await);
    // The store contains all of it, for other clients.
    let other = self::client(&store, cached(), UsageConfig::new());
    let stored = other.request(Method::GET, "/repos/o/r/warm").cache(CachePolicy::only_if_cached());
    let stored = stored.send::<Value>().await.unwrap();
    // A new process does not know the previous write.
    assert_eq!(stored.meta().cache_status(), CacheStatus::Stale);
}

#[tokio::test(start_paused = true)]
async fn a_write_returns_when_the_store_has_its_mark_if_there_is_time() {
    let store = Slow::default();
    let reader = client(&store, cached(), UsageConfig::new());
    let writer = client(&store, cached(), UsageConfig::new());
    get(&writer, "/repos/o/r/stored").await.1.unwrap();
    assert_eq!(get(&reader, "/repos/o/r/stored").await.1.unwrap(), CacheStatus::Hit);
    store.set(10);
    let start = Instant::now();
    post(&writer, "/repos/o/r/issues").await;
    assert!(start.elapsed() <= ALLOWED, "{:?}", start.elapsed());
    // The process ends without `close`: pending writes are lost.
    store.set(NEVER);
    sleep(Duration::from_secs(3)).await;
    store.set(0);
    let status = get(&reader, "/repos/o/r/stored").await.1.unwrap();
    assert_ne!(status, CacheStatus::Hit);
}

#[tokio::test(start_paused = true)]
async fn a_far_reader_of_a_busy_log_keeps_its_cache() {
    let store = Slow::default();
    let reader = client(&store, cached(), UsageConfig::new());
    let writer = client(&store, cached(), UsageConfig::new());
    get(&reader, "/repos/o/r/stored").await.1.unwrap();
    for round in 0..10 {
        store.set(0);
        for _ in 0..12 {
            // No resource of the reader is affected.
            post(&writer, &format!("/repos/other{round}/r/issues")).await;
            sleep(Duration::from_secs(2)).await;
        }
        store.set(30);
        // There is no time to read all invalidations: the response is revalidated, and the invalidations are read after the call.
        let (took, status) = get(&reader, "/repos/o/r/stored").await;
        assert_eq!(status.unwrap(), CacheStatus::Revalidated, "round {round}");
        assert!(took <= ALLOWED, "{took:?}");
        sleep(Duration::from_millis(500)).await;
        assert_eq!(get(&reader, "/repos/o/r/stored").await.1.unwrap(), CacheStatus::Hit);
    }
}

/// A store that takes longer for one of the budgets.
#[derive(Clone, Debug)]
struct Uneven(Slow);

impl KeyValueStore for Uneven {
    forward!(0 => get, put, put_if_absent, extend_if_equal, remove, remove_if_equal);
}

impl CounterStore for Uneven {
    fn try_consume<'a>(
        &'a self,
        key: &'a str,
        owed: i64,
        most: i64,
        ttl: Duration,
    ) -> StoreFuture<'a, (i64, bool)> {
        Box::pin(async move {
            sleep(Duration::from_millis(if key.contains("slow") { 30 } else { 5 })).await;
            self.0.0.memory.try_consume(key, owed, most, ttl).await
        })
    }
    forward!(0 => increment);
}

impl QuotaStore for Uneven {}

fn uneven(store: &Slow) -> Client {
    let usage = UsageConfig::new()
        .budget(Budget::new("fast", Period::Month).hard_limit(1_000))
        .budget(Budget::new("slow", Period::Month).hard_limit(1_000));
    let builder = Client::builder().token("t0ken").retry(RetryPolicy::disabled());
    let builder = builder.store(Uneven(store.clone())).cache(CacheConfig::disabled()).usage(usage);
    let respond = |request: reqwest::Request| async move {
        response(&request, 200, rate_limit(4_000, 3_600).as_ref(), "{}")
    };
    builder.responder(respond).build().unwrap()
}

async fn used(client: &Client) -> Vec<u64> {
    client.usage().report().await.budgets.iter().map(|budget| budget.used).collect()
}

#[tokio::test(start_paused = true)]
async fn budget_reservations_are_released_whenever_the_caller_drops_the_call() {
    for leaves_after in [2, 15, 28, 40] {
        let store = Slow::default();
        let client = uneven(&store);
        for number in 0..5 {
            let path = format!("/repos/o/r/{number}");
            let mut call = Box::pin(get(&client, &path));
            let leaves = Duration::from_millis(leaves_after.min(28));
            assert!(tokio::time::timeout(leaves, &mut call).await.is_err());
            // A response can be ready when the caller drops the call.
            sleep(Duration::from_millis(leaves_after).saturating_sub(leaves)).await;
            drop(call);
            sleep(Duration::from_secs(2)).await;
        }
        assert!(client.close().await);
        assert_eq!(used(&client).await, [0, 0], "nothing was sent; left after {leaves_after} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn close_waits_for_pending_budget_requests() {
    let store = Slow::default();
    let client = uneven(&store);
    let left = tokio::time::timeout(Duration::from_millis(2), get(&client, "/repos/o/r/x")).await;
    assert!(left.is_err());
    assert!(client.close().await);
    // The process ends: nothing more is written.
    store.set(NEVER);
    sleep(Duration::from_secs(5)).await;
    store.set(0);
    assert_eq!(used(&uneven(&store)).await, [0, 0]);
}

/// GitHub fails repeatedly with a fast store: each attempt has the full allowance.
#[tokio::test(start_paused = true)]
async fn a_strict_budget_is_asked_for_each_attempt_of_a_call() {
    let store = Slow::default();
    store.set(10);
    let budget = Budget::new("hour", Period::Hour).hard_limit(1_000_000).fail_closed();
    let tries = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&tries);
    let respond = move |request: reqwest::Request| {
        let number = counted.fetch_add(1, Ordering::Relaxed);
        async move {
            let status = if number < 8 { 502 } else { 200 };
            response(&request, status, &rate_limit(4_000, 3_600), "{}")
        }
    };
    let builder = Client::builder().token("t0ken").retry(RetryPolicy::default().max_attempts(10));
    let builder = builder.store(store.clone()).cache(CacheConfig::disabled());
    let builder = builder.usage(UsageConfig::new().budget(budget));
    let client = builder.responder(respond).build().unwrap();
    get(&client, "/repos/o/r/x").await.1.unwrap();
    assert_eq!(tries.load(Ordering::Relaxed), 9);
}

/// A proxy rejects the condition of a request with a fast store: the request without it has the full allowance again.
#[tokio::test(start_paused = true)]
async fn a_strict_budget_is_asked_again_after_a_condition_was_rejected() {
    let store = Slow::default();
    let budget = Budget::new("hour", Period::Hour).hard_limit(1_000_000).fail_closed();
    let rejected = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&rejected);
    let respond = move |request: reqwest::Request| {
        let is_conditional = request.headers().contains_key("if-none-match");
        counted.fetch_add(u64::from(is_conditional), Ordering::Relaxed);
        async move {
            let mut headers = rate_limit(4_000, 3_600).to_vec();
            headers.push(("etag", "\"1\"".to_owned()));
            response(&request, if is_conditional { 412 } else { 200 }, &headers, "{}")
        }
    };
    let builder = Client::builder().token("t0ken").retry(RetryPolicy::disabled());
    let builder = builder.store(store.clone()).usage(UsageConfig::new().budget(budget));
    let client = builder.responder(respond).build().unwrap();
    get(&client, "/repos/o/r/x").await.1.unwrap();
    for delay in [20, 24] {
        idle().await;
        store.set(delay);
        get(&client, "/repos/o/r/x").await.1.unwrap();
    }
    // The client records that the server rejects conditions.
    assert_eq!(rejected.load(Ordering::Relaxed), 1);
}

/// Background work after calls has at least the same allowance as calls.
#[tokio::test(start_paused = true)]
async fn background_writes_have_at_least_the_timeout_of_calls() {
    let store = Slow::default();
    store.set(1_200);
    let client = || {
        let respond = |request: reqwest::Request| async move {
            let mut headers = rate_limit(4_000, 3_600).to_vec();
            headers.push(("etag", "\"1\"".to_owned()));
            response(&request, 200, &headers, "{}")
        };
        let builder = Client::builder().token("t0ken").retry(RetryPolicy::disabled());
        let cache = CacheConfig::store(store.clone()).store_timeout(Duration::from_secs(3));
        let cache = cache.default_policy(CachePolicy::max_age(Duration::from_secs(24 * 60 * 60)));
        builder.cache(cache).responder(respond).build().unwrap()
    };
    let (one, other) = (client(), client());
    get(&one, "/repos/o/r/stored").await.1.unwrap();
    sleep(Duration::from_secs(20)).await;
    assert_eq!(get(&other, "/repos/o/r/stored").await.1.unwrap(), CacheStatus::Hit);
    post(&one, "/repos/o/r/issues").await;
    sleep(Duration::from_secs(20)).await;
    assert!(one.close().await);
    assert_ne!(get(&other, "/repos/o/r/stored").await.1.unwrap(), CacheStatus::Hit);
    assert_eq!(one.cache().store_health().unwrap().outages, 0);
}

#[tokio::test(start_paused = true)]
async fn close_writes_the_changes_that_an_outage_held_up() {
    let store = Slow::default();
    let client = client(&store, cached(), UsageConfig::new());
    get(&client, "/repos/o/r/stored").await.1.unwrap();
    // The store contains the usage of this call.
    sleep(Duration::from_secs(6)).await;
    store.set(NEVER);
    post(&client, "/repos/o/r/issues").await;
    idle().await;
    store.set(1);
    assert!(client.close().await);
    // The process ends, and the store contains its changes.
    let next = self::client(&store, cached(), UsageConfig::new());
    assert_ne!(get(&next, "/repos/o/r/stored").await.1.unwrap(), CacheStatus::Hit);
    // While the store is unavailable, `close` reports that when its time has passed.
    store.set(NEVER);
    post(&client, "/repos/o/r/issues").await;
    let start = Instant::now();
    assert!(!client.close().await);
    assert_eq!(start.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn close_waits_only_for_work_pending_at_its_start() {
    let store = Slow::default();
    store.set(20);
    let client = client(&store, cached(), UsageConfig::new());
    let called = client.clone();
    let calls = tokio::spawn(async move {
        for number in 0.. {
            let client = called.clone();
            tokio::spawn(async move { get(&client, &format!("/repos/o/r/{number}")).await });
            sleep(Duration::from_millis(10)).await;
        }
    });
    for _ in 0..5 {
        sleep(Duration::from_millis(200)).await;
        let start = Instant::now();
        assert!(client.close().await);
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    }
    calls.abort();
}

/// An invalidation that a client has not read yet can invalidate entries.
#[tokio::test(start_paused = true)]
async fn a_reader_far_behind_a_busy_log_does_not_serve_purged_responses() {
    let store = Slow::default();
    let reader = client(&store, cached(), UsageConfig::new());
    let writer = client(&store, cached(), UsageConfig::new());
    get(&reader, "/repos/o/r/stored").await.1.unwrap();
    for round in 0..11 {
        post(&writer, &format!("/repos/other{round}/r/issues")).await;
        sleep(Duration::from_secs(2)).await;
    }
    writer.cache().purge(CacheSelector::prefix("/repos/o/r")).await;
    store.set(30);
    let stored = reader.request(Method::GET, "/repos/o/r/stored");
    let stored = stored.cache(CachePolicy::only_if_cached()).send::<Value>().await;
    assert_eq!(stored.unwrap_err().kind(), ErrorKind::NotCached);
}
