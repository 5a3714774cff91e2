//! Several clients of one identity share its limits, in any state of their store.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::Method;

use super::*;
use crate::headers::rate_limit::RateLimitHeaders;
use crate::policy::rate_limit::permit_holders::UNTRACKED;
use crate::policy::rate_limit::{
    AdmissionQueue, AttemptOutcome, CallHandle, Priority, RateLimitPolicy, SecondaryLimits,
    WaitBudget,
};
use crate::store::{
    CounterStore, KeyValueStore, MemoryStore, QuotaRequest, QuotaStore, ResilientStore,
    STORE_TIMEOUT, Store, StoreFuture, StoreWaitBudget, forward,
};

mod model;
mod restart;
mod silence;

const MS: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Runs a future on a runtime with paused time.
fn paused<T>(run: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().unwrap().block_on(run)
}

/// A memory store that can become unavailable, and counts its lease requests.
#[derive(Debug, Default)]
struct Flaky {
    memory: Mutex<MemoryStore>,
    is_unavailable: AtomicBool,
    request_count: AtomicU32,
    /// The lease requests received.
    requests: Mutex<Vec<QuotaRequest>>,
    /// Its latency beyond a millisecond.
    latency_ms: AtomicU32,
    /// It hears requests for leases, and its answers are lost.
    is_mute: AtomicBool,
}

#[derive(Clone, Debug, Default)]
struct FlakyHandle(Arc<Flaky>, u32);

impl FlakyHandle {
    /// The same store, which takes so many milliseconds longer from here.
    fn with_latency(&self, late: u32) -> Self {
        Self(Arc::clone(&self.0), late)
    }

    fn memory(&self) -> MemoryStore {
        self.0.memory.lock().unwrap().clone()
    }

    /// Forgets everything, as a server does that is restarted.
    fn restart(&self) {
        *self.0.memory.lock().unwrap() = MemoryStore::new();
        self.0.is_unavailable.store(false, Ordering::Relaxed);
    }

    async fn respond(&self) {
        let late = self.0.latency_ms.load(Ordering::Relaxed).saturating_add(self.1);
        tokio::time::sleep(Duration::from_millis(1 + u64::from(late))).await;
        if self.0.is_unavailable.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    fn stop(&self) {
        self.0.is_unavailable.store(true, Ordering::Relaxed);
    }

    /// An operation that shared limits do not need.
    fn unused<'a, T>(
        &self,
        key: &str,
        _: impl FnOnce(&'a MemoryStore) -> StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T> {
        unimplemented!("{key}")
    }
}

impl KeyValueStore for FlakyHandle {
    fn get<'a>(&'a self, _: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            self.respond().await;
            Ok(None)
        })
    }
    forward!(unused() => put, put_if_absent, extend_if_equal, remove, remove_if_equal);
}

impl CounterStore for FlakyHandle {
    forward!(unused() => increment);
}

impl QuotaStore for FlakyHandle {
    fn lease<'a>(
        &'a self,
        key: &'a str,
        request: &'a QuotaRequest,
    ) -> StoreFuture<'a, Option<QuotaLease>> {
        Box::pin(async move {
            self.0.request_count.fetch_add(1, Ordering::Relaxed);
            self.0.requests.lock().unwrap().push(request.clone());
            self.respond().await;
            let lease = self.memory().lease(key, request).await;
            if self.0.is_mute.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            lease
        })
    }
}

/// The observations of GitHub: time and points of each call, and the number in flight.
#[derive(Debug)]
struct ObservedTraffic {
    calls: Mutex<Vec<(Instant, u32)>>,
    running: AtomicU32,
    max_running: AtomicU32,
    /// The remaining primary limit; the next field counts the calls beyond it.
    remaining: Mutex<Option<u64>>,
    rejected: AtomicU32,
    /// The longest wait of a call for the store.
    store_timeout: Duration,
    /// The longest wait of a call, in milliseconds.
    longest_wait_ms: AtomicU32,
}

impl Default for ObservedTraffic {
    /// Calls wait for the store as long as those of a client do by default.
    fn default() -> Self {
        Self {
            calls: Mutex::default(),
            running: AtomicU32::new(0),
            max_running: AtomicU32::new(0),
            remaining: Mutex::default(),
            rejected: AtomicU32::new(0),
            store_timeout: STORE_TIMEOUT,
            longest_wait_ms: AtomicU32::new(0),
        }
    }
}

impl ObservedTraffic {
    async fn call(&self, queue: &Arc<AdmissionQueue>, cost: RequestCost, latency: u64) {
        let wait_budget = WaitBudget::new(Duration::MAX);
        let points = cost.points;
        let mut call = CallHandle::default();
        call.store_wait = Some(StoreWaitBudget::new(self.store_timeout));
        let asked = Instant::now();
        let mut permit =
            queue.admit(cost, Priority::Interactive, wait_budget, &call).await.unwrap();
        let waited = u32::try_from(asked.elapsed().as_millis()).unwrap();
        self.longest_wait_ms.fetch_max(waited, Ordering::Relaxed);
        permit.mark_sent();
        self.calls.lock().unwrap().push((Instant::now(), points));
        let running = 1 + self.running.fetch_add(1, Ordering::Relaxed);
        self.max_running.fetch_max(running, Ordering::Relaxed);
        let left = self.remaining.lock().unwrap().as_mut().map(|left| {
            if *left == 0 {
                self.rejected.fetch_add(1, Ordering::Relaxed);
            }
            *left = left.saturating_sub(1);
            *left
        });
        tokio::time::sleep(Duration::from_millis(latency)).await;
        self.running.fetch_sub(1, Ordering::Relaxed);
        let told = RateLimitHeaders {
            resource: "core",
            limit: 1_000_000,
            remaining: left.unwrap_or(999_999),
            reset: 0,
            ends_in: 60 * MINUTE,
        };
        permit.end(AttemptOutcome::Response(Some(told)));
    }

    /// The most points in any minute.
    fn busiest_minute(&self) -> u32 {
        let calls = self.calls.lock().unwrap();
        let (mut first, mut sum, mut most) = (0, 0, 0);
        for (when, points) in calls.iter() {
            sum += points;
            while calls[first].0 + MINUTE <= *when {
                sum -= calls[first].1;
                first += 1;
            }
            most = most.max(sum);
        }
        most
    }

    fn points(&self) -> u32 {
        self.calls.lock().unwrap().iter().map(|(_, points)| points).sum()
    }
}

fn fleet(store: &FlakyHandle, clients: usize) -> Vec<Arc<AdmissionQueue>> {
    (0..clients)
        .map(|client| admission_queue(store.clone(), client, RateLimitPolicy::default()))
        .collect()
}

fn admission_queue(
    store: impl Store,
    client: usize,
    policy: RateLimitPolicy,
) -> Arc<AdmissionQueue> {
    let guard = Arc::new(ResilientStore::new(Arc::new(store), STORE_TIMEOUT));
    let (key, member) = ("limits:here:me".to_owned(), format!("client {client}"));
    AdmissionQueue::with_shared_quota(Arc::new(policy), guard, key, member)
}

fn read() -> RequestCost {
    RequestCost::rest(&Method::GET, "/repos/o/r", Cow::Borrowed("core"), false)
}

fn write(owner: &str) -> RequestCost {
    let path = format!("/repos/{owner}/r");
    RequestCost::rest(&Method::PATCH, &path, Cow::Borrowed("core"), false)
}

/// Tasks that call one after the other, until the time is over.
async fn load(
    queues: &[Arc<AdmissionQueue>],
    seen: &Arc<ObservedTraffic>,
    tasks: usize,
    time: Duration,
) {
    let end = Instant::now() + time;
    let mut all = tokio::task::JoinSet::new();
    for (client, queue) in queues.iter().enumerate() {
        for task in 0..tasks {
            let (queue, seen) = (Arc::clone(queue), Arc::clone(seen));
            all.spawn(async move {
                while Instant::now() < end {
                    let latency = 20 + (task * 37 + client * 11) as u64 % 180;
                    seen.call(&queue, read(), latency).await;
                }
            });
        }
    }
    while let Some(task) = all.join_next().await {
        task.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn four_clients_use_nearly_all_points_and_never_more() {
    let (store, seen) = (FlakyHandle::default(), Arc::new(ObservedTraffic::default()));
    let queues = fleet(&store, 4);
    load(&queues, &seen, 50, 10 * MINUTE).await;
    assert!(seen.busiest_minute() <= 900, "{} in a minute", seen.busiest_minute());
    assert!(seen.max_running.load(Ordering::Relaxed) <= 100);
    let part = f64::from(seen.points()) / (900.0 * 10.0);
    assert!(part >= 0.95, "{part} of what is allowed");
    let asked = f64::from(store.0.request_count.load(Ordering::Relaxed)) / f64::from(seen.points());
    assert!(asked < 0.1, "{asked} round trips a call");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_returns_empty_admits_no_call_over_the_limit() {
    let (store, seen) = (FlakyHandle::default(), Arc::new(ObservedTraffic::default()));
    let queues = fleet(&store, 4);
    let outage = async {
        for (well, gone) in [(3_u64, 20_u64), (70, 5), (40, 100)] {
            tokio::time::sleep(Duration::from_secs(well)).await;
            store.stop();
            tokio::time::sleep(Duration::from_secs(gone)).await;
            store.restart();
        }
    };
    tokio::join!(load(&queues, &seen, 50, 10 * MINUTE), outage);
    assert!(seen.busiest_minute() <= 900, "{} in a minute", seen.busiest_minute());
    assert!(seen.max_running.load(Ordering::Relaxed) <= 100);
    let part = f64::from(seen.points()) / (900.0 * 10.0);
    assert!(part >= 0.7, "{part} of what is allowed");
}

#[tokio::test(start_paused = true)]
async fn clients_that_come_and_go_beside_a_store_that_forgets_stay_below_the_limit() {
    let (store, seen) = (FlakyHandle::default(), Arc::new(ObservedTraffic::default()));
    let lasting = fleet(&store, 1);
    let coming_and_going = async {
        for number in 0..40_u64 {
            let guard = Arc::new(ResilientStore::new(Arc::new(store.clone()), STORE_TIMEOUT));
            let policy = Arc::new(RateLimitPolicy::default());
            let member = format!("guest {number}");
            let guest = [AdmissionQueue::with_shared_quota(
                policy,
                guard,
                "limits:here:me".to_owned(),
                member,
            )];
            // Others wait for their part as long as it may be in use.
            let killed = Duration::from_secs(7);
            let _ = tokio::time::timeout(killed, load(&guest, &seen, 3, 10 * MINUTE)).await;
            if number % 3 == 2 {
                tokio::time::sleep(Duration::from_secs(11)).await;
                store.restart();
                // The client that stays reports its counts before another one joins.
                tokio::time::sleep(2 * HEARTBEAT_INTERVAL + Duration::from_secs(1)).await;
            }
        }
    };
    tokio::join!(load(&lasting, &seen, 3, 6 * MINUTE), coming_and_going);
    assert!(seen.busiest_minute() <= 900, "{} in a minute", seen.busiest_minute());
    assert!(seen.max_running.load(Ordering::Relaxed) <= 100);
}

#[tokio::test(start_paused = true)]
async fn calls_continue_at_once_when_the_store_hangs() {
    let (store, seen) = (FlakyHandle::default(), Arc::new(ObservedTraffic::default()));
    let queues = fleet(&store, 2);
    for queue in &queues {
        seen.call(queue, read(), 10).await;
    }
    tokio::time::sleep(MINUTE).await;
    store.stop();
    let start = Instant::now();
    seen.call(&queues[0], read(), 10).await;
    assert!(start.elapsed() <= Duration::from_millis(10) + STORE_TIMEOUT, "{:?}", start.elapsed());
    let start = Instant::now();
    seen.call(&queues[0], read(), 10).await;
    assert!(start.elapsed() <= Duration::from_millis(10), "{:?}", start.elapsed());
    store.restart();
    tokio::time::sleep(Duration::from_secs(2)).await;
    seen.call(&queues[0], read(), 10).await;
    seen.call(&queues[0], read(), 10).await;
}

#[tokio::test(start_paused = true)]
async fn the_last_calls_of_a_primary_limit_are_made_once() {
    let (store, seen) = (FlakyHandle::default(), Arc::new(ObservedTraffic::default()));
    *seen.remaining.lock().unwrap() = Some(200);
    let queues = fleet(&store, 4);
    let calls = load(&queues, &seen, 20, 10 * MINUTE);
    let _ = tokio::time::timeout(10 * MINUTE, calls).await;
    assert_eq!(seen.rejected.load(Ordering::Relaxed), 0);
    assert_eq!(*seen.remaining.lock().unwrap(), Some(0));
}

#[tokio::test(start_paused = true)]
async fn writes_to_an_owner_are_a_second_apart_across_the_fleet() {
    let (store, seen) = (FlakyHandle::default(), Arc::new(ObservedTraffic::default()));
    let queues = fleet(&store, 4);
    let mut all = Vec::new();
    for queue in queues.iter().cycle().take(40) {
        let (queue, seen) = (Arc::clone(queue), Arc::clone(&seen));
        all.push(tokio::spawn(async move { seen.call(&queue, write("octo"), 50).await }));
    }
    let start = Instant::now();
    for task in all {
        task.await.unwrap();
    }
    let calls = seen.calls.lock().unwrap();
    for pair in calls.windows(2) {
        assert!(pair[1].0 - pair[0].0 >= Duration::from_millis(990));
    }
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    // Four clients that wait for each other ask a few times a second each.
    let asked = store.0.request_count.load(Ordering::Relaxed);
    assert!(asked < 40 * 4 * 4, "{asked}");
}

#[tokio::test(start_paused = true)]
async fn an_idle_member_holds_no_lease_and_sends_no_store_requests() {
    let (store, seen) = (FlakyHandle::default(), Arc::new(ObservedTraffic::default()));
    let queues = fleet(&store, 1);
    seen.call(&queues[0], read(), 10).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let asked = store.0.request_count.load(Ordering::Relaxed);
    assert!(asked <= 3, "{asked}");
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!(store.0.request_count.load(Ordering::Relaxed), asked);
}

/// The ledger has expired meanwhile, which is no loss of data: no spending from before it counts.
#[tokio::test(start_paused = true)]
async fn a_client_that_was_idle_for_longer_than_the_ledger_is_kept_gets_its_quota_at_once() {
    let (store, seen) = (FlakyHandle::default(), Arc::new(ObservedTraffic::default()));
    let queues = fleet(&store, 1);
    load(&queues, &seen, 50, Duration::from_secs(10)).await;
    tokio::time::sleep(LEDGER_TTL + MINUTE).await;
    store.restart();
    let later = Arc::new(ObservedTraffic::default());
    load(&queues, &later, 50, Duration::from_secs(5)).await;
    assert_eq!(later.max_running.load(Ordering::Relaxed), 50);
    let most = later.busiest_minute();
    assert!(most > 800 && most <= 900, "{most} points in a minute");
}

#[tokio::test(start_paused = true)]
async fn a_secondary_limit_that_one_client_hits_stops_the_others() {
    let (store, seen) = (FlakyHandle::default(), Arc::new(ObservedTraffic::default()));
    let queues = fleet(&store, 2);
    seen.call(&queues[1], read(), 10).await;
    let wait_budget = WaitBudget::new(Duration::MAX);
    let mut permit =
        queues[0].admit(read(), Priority::Interactive, wait_budget, &UNTRACKED).await.unwrap();
    permit.mark_sent();
    permit.end(AttemptOutcome::SecondaryLimited(None, Some(Duration::from_secs(30))));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let start = Instant::now();
    seen.call(&queues[1], read(), 10).await;
    assert!(start.elapsed() >= Duration::from_secs(28), "{:?}", start.elapsed());
    seen.call(&queues[0], read(), 10).await;
    assert!(start.elapsed() < Duration::from_secs(45), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_pause_outlives_the_store_and_ends_for_all() {
    let (store, seen) = (FlakyHandle::default(), Arc::new(ObservedTraffic::default()));
    let queues = fleet(&store, 4);
    // Each has a call in flight that is refused.
    for queue in &queues {
        seen.call(queue, read(), 10).await;
    }
    let wait_budget = WaitBudget::new(Duration::MAX);
    let mut permits = Vec::new();
    for queue in &queues {
        permits.push(
            queue.admit(read(), Priority::Interactive, wait_budget, &UNTRACKED).await.unwrap(),
        );
    }
    for mut permit in permits {
        permit.mark_sent();
        permit.end(AttemptOutcome::SecondaryLimited(None, None));
    }
    seen.calls.lock().unwrap().clear();
    let start = Instant::now();
    let calls = load(&queues, &seen, 5, 2 * MINUTE);
    let outage = async {
        tokio::time::sleep(Duration::from_secs(50)).await;
        store.stop();
        tokio::time::sleep(Duration::from_secs(4)).await;
        store.restart();
    };
    let ended = tokio::time::timeout(5 * MINUTE, async { tokio::join!(calls, outage) }).await;
    assert!(ended.is_ok(), "some wait for ever");
    let calls = seen.calls.lock().unwrap();
    assert!(calls[0].0 - start >= MINUTE, "{:?}", calls[0].0 - start);
    let together = calls.iter().filter(|(when, _)| *when == calls[0].0).count();
    assert_eq!(together, 1, "one finds out whether the pause was long enough");
}

#[tokio::test(start_paused = true)]
async fn calls_that_do_not_wait_for_a_lease_stay_below_the_limits_together() {
    for late in [20, 40] {
        let store = FlakyHandle::default();
        store.0.latency_ms.store(late, Ordering::Relaxed);
        let wait_budget = Duration::from_millis(10);
        let seen =
            Arc::new(ObservedTraffic { store_timeout: wait_budget, ..ObservedTraffic::default() });
        let queues = fleet(&store, 4);
        load(&queues, &seen, 50, 10 * MINUTE).await;
        assert!(seen.busiest_minute() <= 900, "{} in a minute", seen.busiest_minute());
        assert!(seen.max_running.load(Ordering::Relaxed) <= 100, "{:?}", seen.max_running);
        let part = f64::from(seen.points()) / (900.0 * 10.0);
        assert!(part >= 0.5, "{part} of what is allowed");
    }
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_lease_is_bounded_and_quota_used_without_one_is_reported() {
    let store = FlakyHandle::default();
    store.0.latency_ms.store(39, Ordering::Relaxed);
    let wait_budget = Duration::from_millis(10);
    let seen =
        Arc::new(ObservedTraffic { store_timeout: wait_budget, ..ObservedTraffic::default() });
    let queues = fleet(&store, 2);
    // Far below the limits, so that nothing but the store is waited for.
    for round in 0..40 {
        seen.call(&queues[round % 2], read(), 5).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        if round == 1 {
            // The first of each client waits until that knows of others.
            seen.longest_wait_ms.store(0, Ordering::Relaxed);
        }
    }
    assert!(seen.longest_wait_ms.load(Ordering::Relaxed) <= 10, "{:?}", seen.longest_wait_ms);
    // A third client gets the quota that both have left.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let request = QuotaRequest {
        member: "third".to_owned(),
        join: Some(crate::store::MemberJoin::default()),
        queued: 1,
        windows: std::collections::BTreeMap::from([(
            "points".to_owned(),
            crate::store::WindowRequest {
                limit: 900,
                length: 60_000,
                requested: 900,
                min_useful: 1,
                ..Default::default()
            },
        )]),
        ..QuotaRequest::default()
    };
    let lease = store.lease("limits:here:me", &request).await.unwrap().unwrap();
    let left = lease.windows["points"].granted;
    assert!((1..=860).contains(&left), "{left} of 900, after 40 calls");
}

#[tokio::test(start_paused = true)]
async fn clients_that_start_together_stay_below_the_limits_however_slow_the_store_is() {
    let times = [
        // None is heard in time by a call, and some are never in time.
        [60, 60, 60, 60],
        [0, 60, 200, 900],
        [300, 0, 0, 300],
        [0, 0, 0, 30_000],
        [30_000, 0, 30_000, 0],
    ];
    for late in times {
        for concurrent in [100, 10] {
            let (store, seen) = (FlakyHandle::default(), Arc::new(ObservedTraffic::default()));
            let client = |(client, late): (usize, u32)| {
                let pacing = SecondaryLimits::default().max_concurrent(concurrent);
                admission_queue(
                    store.with_latency(late),
                    client,
                    RateLimitPolicy::default().secondary_limits(pacing),
                )
            };
            let queues: Vec<_> = late.into_iter().enumerate().map(client).collect();
            // A client that hears nothing for longer counts as alone.
            let calls = load(&queues, &seen, 200, MINUTE);
            let _ = tokio::time::timeout(Duration::from_secs(9), calls).await;
            let most = seen.max_running.load(Ordering::Relaxed);
            assert!(most <= concurrent, "{most} of {concurrent} at once: {late:?}");
            let (spent, served) = (seen.busiest_minute(), seen.calls.lock().unwrap().len());
            // A client that gets no lease in that time spends quota that no other client knows of.
            let alone = late.iter().filter(|late| **late > 1_000).count();
            let most = 900 + 85 * u32::try_from(alone).unwrap();
            assert!(spent <= most, "{spent} points: {late:?}");
            assert!(served > 100, "{served} calls: {late:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_starts_without_its_store_begins_at_once_and_is_alone_after_ten_seconds() {
    let (store, seen) = (FlakyHandle::default(), Arc::new(ObservedTraffic::default()));
    store.stop();
    let queues = fleet(&store, 1);
    let start = Instant::now();
    for _ in 0..15 {
        seen.call(&queues[0], read(), 0).await;
    }
    assert_eq!(start.elapsed(), STORE_TIMEOUT, "the first call waits, and no other");
    let calls = load(&queues, &seen, 50, MINUTE);
    let _ = tokio::time::timeout(Duration::from_secs(9), calls).await;
    assert_eq!(seen.max_running.load(Ordering::Relaxed), 1);
    assert!((70..=90).contains(&seen.points()), "{} points", seen.points());
    load(&queues, &seen, 200, Duration::from_secs(4)).await;
    assert_eq!(seen.max_running.load(Ordering::Relaxed), 100);
    assert!(seen.busiest_minute() <= 900);
}

/// The lease of a member that asks for as many calls as it can have.
async fn ask_for_all(store: &FlakyHandle, member: &str) -> QuotaLease {
    let request = QuotaRequest {
        member: member.to_owned(),
        serial: 1,
        queued: 500,
        max_concurrent: Some(100),
        join: Some(crate::store::MemberJoin::default()),
        ..QuotaRequest::default()
    };
    store.memory().lease("limits:here:me", &request).await.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_late_lease_response_keeps_the_slots_that_the_ledger_counts_for_the_client() {
    let store = FlakyHandle::default();
    let wait_budget = WaitBudget::new(Duration::MAX);
    let queues = fleet(&store, 1);
    let admit = || async {
        let mut call = CallHandle::default();
        call.store_wait = Some(StoreWaitBudget::new(STORE_TIMEOUT));
        queues[0].admit(read(), Priority::Interactive, wait_budget, &call).await.unwrap()
    };
    // The primary limit of a response allows as many calls.
    ObservedTraffic::default().call(&queues[0], read(), 1).await;
    // It has forty calls in flight, and then two.
    let mut permits = futures_util::future::join_all((0..40).map(|_| admit())).await;
    let rest = permits.split_off(2);
    for permit in rest {
        permit.end(AttemptOutcome::Response(None));
    }
    // The store hears its next request, which tells two. No answer comes.
    store.0.is_mute.store(true, Ordering::Relaxed);
    tokio::time::sleep(2 * HEARTBEAT_INTERVAL).await;
    let others = ask_for_all(&store, "another").await.slots;
    assert!(others > 50, "{others}");
    let mut more = Vec::new();
    for _ in 0..100 {
        match tokio::time::timeout(Duration::from_millis(100), admit()).await {
            Ok(permit) => more.push(permit),
            Err(_) => break,
        }
    }
    let own = u32::try_from(permits.len() + more.len()).unwrap();
    assert!(own + others <= 100, "{own} beside {others}");
}
