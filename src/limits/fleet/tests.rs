//! Several clients are one for GitHub, whatever happens to their store.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::Method;

use super::*;
use crate::limits::holders::UNTRACKED;
use crate::limits::{Lane, Outcome, Patience, Priority, RateLimits, Told};
use crate::store::{Guard, LeaseRequest, Memory, STORE_TIMEOUT, Store, StoreFuture};

const MINUTE: Duration = Duration::from_secs(60);

/// A store in memory that can be taken away, and counts what it is asked.
#[derive(Debug, Default)]
struct Flaky {
    memory: Mutex<Memory>,
    gone: AtomicBool,
    asked: AtomicU32,
}

#[derive(Clone, Debug, Default)]
struct Handle(Arc<Flaky>);

impl Handle {
    fn memory(&self) -> Memory {
        self.0.memory.lock().unwrap().clone()
    }

    /// Forgets everything, as a server does that is restarted.
    fn restart(&self) {
        *self.0.memory.lock().unwrap() = Memory::new();
        self.0.gone.store(false, Ordering::Relaxed);
    }

    fn kill(&self) {
        self.0.gone.store(true, Ordering::Relaxed);
    }
}

impl Store for Handle {
    fn get<'a>(&'a self, _: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        unimplemented!()
    }
    fn put<'a>(&'a self, _: &'a str, _: Bytes, _: Duration) -> StoreFuture<'a, ()> {
        unimplemented!()
    }
    fn claim<'a>(&'a self, _: &'a str, _: Bytes, _: Duration) -> StoreFuture<'a, bool> {
        unimplemented!()
    }
    fn renew<'a>(&'a self, _: &'a str, _: Bytes, _: Duration) -> StoreFuture<'a, bool> {
        unimplemented!()
    }
    fn remove<'a>(&'a self, _: &'a str) -> StoreFuture<'a, ()> {
        unimplemented!()
    }
    fn release<'a>(&'a self, _: &'a str, _: Bytes) -> StoreFuture<'a, bool> {
        unimplemented!()
    }
    fn add<'a>(&'a self, _: &'a str, _: i64, _: Duration) -> StoreFuture<'a, i64> {
        unimplemented!()
    }
    fn lease<'a>(
        &'a self,
        key: &'a str,
        request: &'a LeaseRequest,
    ) -> StoreFuture<'a, Option<Lease>> {
        Box::pin(async move {
            self.0.asked.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(1)).await;
            if self.0.gone.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            self.memory().lease(key, request).await
        })
    }
}

/// What GitHub saw: when each call came, its points, and how many were in flight.
#[derive(Debug, Default)]
struct Seen {
    calls: Mutex<Vec<(Instant, u32)>>,
    running: AtomicU32,
    most: AtomicU32,
    /// What is left of the primary limit, and the calls that came when nothing was.
    left: Mutex<Option<u64>>,
    refused: AtomicU32,
}

impl Seen {
    async fn call(&self, lane: &Arc<Lane>, cost: Cost, latency: u64) {
        let patience = Patience::new(Duration::MAX);
        let points = cost.points;
        let mut permit =
            lane.admit(cost, Priority::Interactive, patience, &UNTRACKED).await.unwrap();
        permit.sent();
        self.calls.lock().unwrap().push((Instant::now(), points));
        let running = 1 + self.running.fetch_add(1, Ordering::Relaxed);
        self.most.fetch_max(running, Ordering::Relaxed);
        let left = self.left.lock().unwrap().as_mut().map(|left| {
            if *left == 0 {
                self.refused.fetch_add(1, Ordering::Relaxed);
            }
            *left = left.saturating_sub(1);
            *left
        });
        tokio::time::sleep(Duration::from_millis(latency)).await;
        self.running.fetch_sub(1, Ordering::Relaxed);
        let told = Told {
            resource: "core",
            limit: 1_000_000,
            remaining: left.unwrap_or(999_999),
            reset: 0,
            ends_in: 60 * MINUTE,
        };
        permit.end(Outcome::Answered(Some(told)));
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

fn fleet(store: &Handle, clients: usize) -> Vec<Arc<Lane>> {
    let lane = |client| {
        let guard = Arc::new(Guard::new(Arc::new(store.clone()), STORE_TIMEOUT));
        let policy = Arc::new(RateLimits::default());
        Lane::in_fleet(policy, guard, "limits:here:me".to_owned(), format!("client {client}"))
    };
    (0..clients).map(lane).collect()
}

fn read() -> Cost {
    Cost::rest(&Method::GET, "/repos/o/r", Cow::Borrowed("core"), false)
}

fn write(owner: &str) -> Cost {
    let path = format!("/repos/{owner}/r");
    Cost::rest(&Method::PATCH, &path, Cow::Borrowed("core"), false)
}

/// Tasks that call one after the other, until the time is over.
async fn load(lanes: &[Arc<Lane>], seen: &Arc<Seen>, tasks: usize, time: Duration) {
    let end = Instant::now() + time;
    let mut all = tokio::task::JoinSet::new();
    for (client, lane) in lanes.iter().enumerate() {
        for task in 0..tasks {
            let (lane, seen) = (Arc::clone(lane), Arc::clone(seen));
            all.spawn(async move {
                while Instant::now() < end {
                    let latency = 20 + (task * 37 + client * 11) as u64 % 180;
                    seen.call(&lane, read(), latency).await;
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
    let (store, seen) = (Handle::default(), Arc::new(Seen::default()));
    let lanes = fleet(&store, 4);
    load(&lanes, &seen, 50, 10 * MINUTE).await;
    assert!(seen.busiest_minute() <= 900, "{} in a minute", seen.busiest_minute());
    assert!(seen.most.load(Ordering::Relaxed) <= 100);
    let part = f64::from(seen.points()) / (900.0 * 10.0);
    assert!(part >= 0.95, "{part} of what is allowed");
    let asked = f64::from(store.0.asked.load(Ordering::Relaxed)) / f64::from(seen.points());
    assert!(asked < 0.1, "{asked} round trips a call");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_lost_and_comes_back_empty_lets_nothing_over_the_limit() {
    let (store, seen) = (Handle::default(), Arc::new(Seen::default()));
    let lanes = fleet(&store, 4);
    let outage = async {
        for (well, gone) in [(3_u64, 20_u64), (70, 5), (40, 100)] {
            tokio::time::sleep(Duration::from_secs(well)).await;
            store.kill();
            tokio::time::sleep(Duration::from_secs(gone)).await;
            store.restart();
        }
    };
    tokio::join!(load(&lanes, &seen, 50, 10 * MINUTE), outage);
    assert!(seen.busiest_minute() <= 900, "{} in a minute", seen.busiest_minute());
    assert!(seen.most.load(Ordering::Relaxed) <= 100);
    let part = f64::from(seen.points()) / (900.0 * 10.0);
    assert!(part >= 0.7, "{part} of what is allowed");
}

#[tokio::test(start_paused = true)]
async fn clients_that_come_and_go_beside_a_store_that_forgets_stay_below_the_limit() {
    let (store, seen) = (Handle::default(), Arc::new(Seen::default()));
    let lasting = fleet(&store, 1);
    let coming_and_going = async {
        for number in 0..40_u64 {
            let guard = Arc::new(Guard::new(Arc::new(store.clone()), STORE_TIMEOUT));
            let policy = Arc::new(RateLimits::default());
            let member = format!("guest {number}");
            let guest = [Lane::in_fleet(policy, guard, "limits:here:me".to_owned(), member)];
            // Others wait for their part as long as it may be in use.
            let killed = Duration::from_secs(7);
            let _ = tokio::time::timeout(killed, load(&guest, &seen, 3, 10 * MINUTE)).await;
            if number % 3 == 2 {
                tokio::time::sleep(Duration::from_secs(11)).await;
                store.restart();
                // The one that lasts reports what it knows before another one comes.
                tokio::time::sleep(2 * HEARTBEAT + Duration::from_secs(1)).await;
            }
        }
    };
    tokio::join!(load(&lasting, &seen, 3, 6 * MINUTE), coming_and_going);
    assert!(seen.busiest_minute() <= 900, "{} in a minute", seen.busiest_minute());
    assert!(seen.most.load(Ordering::Relaxed) <= 100);
}

#[tokio::test(start_paused = true)]
async fn calls_go_on_at_once_when_the_store_hangs() {
    let (store, seen) = (Handle::default(), Arc::new(Seen::default()));
    let lanes = fleet(&store, 2);
    for lane in &lanes {
        seen.call(lane, read(), 10).await;
    }
    tokio::time::sleep(MINUTE).await;
    store.kill();
    let start = Instant::now();
    seen.call(&lanes[0], read(), 10).await;
    assert!(start.elapsed() <= Duration::from_millis(10) + STORE_TIMEOUT, "{:?}", start.elapsed());
    let start = Instant::now();
    seen.call(&lanes[0], read(), 10).await;
    assert!(start.elapsed() <= Duration::from_millis(10), "{:?}", start.elapsed());
    store.restart();
    tokio::time::sleep(Duration::from_secs(2)).await;
    seen.call(&lanes[0], read(), 10).await;
    seen.call(&lanes[0], read(), 10).await;
}

#[tokio::test(start_paused = true)]
async fn the_last_calls_of_a_primary_limit_are_made_once() {
    let (store, seen) = (Handle::default(), Arc::new(Seen::default()));
    *seen.left.lock().unwrap() = Some(200);
    let lanes = fleet(&store, 4);
    let calls = load(&lanes, &seen, 20, 10 * MINUTE);
    let _ = tokio::time::timeout(10 * MINUTE, calls).await;
    assert_eq!(seen.refused.load(Ordering::Relaxed), 0);
    assert_eq!(*seen.left.lock().unwrap(), Some(0));
}

#[tokio::test(start_paused = true)]
async fn writes_to_an_owner_are_a_second_apart_whoever_writes() {
    let (store, seen) = (Handle::default(), Arc::new(Seen::default()));
    let lanes = fleet(&store, 4);
    let mut all = Vec::new();
    for lane in lanes.iter().cycle().take(40) {
        let (lane, seen) = (Arc::clone(lane), Arc::clone(&seen));
        all.push(tokio::spawn(async move { seen.call(&lane, write("octo"), 50).await }));
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
    let asked = store.0.asked.load(Ordering::Relaxed);
    assert!(asked < 40 * 4 * 4, "{asked}");
}

#[tokio::test(start_paused = true)]
async fn who_is_idle_holds_nothing_and_asks_nothing() {
    let (store, seen) = (Handle::default(), Arc::new(Seen::default()));
    let lanes = fleet(&store, 1);
    seen.call(&lanes[0], read(), 10).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let asked = store.0.asked.load(Ordering::Relaxed);
    assert!(asked <= 3, "{asked}");
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!(store.0.asked.load(Ordering::Relaxed), asked);
}

#[tokio::test(start_paused = true)]
async fn a_secondary_limit_that_one_client_hits_stops_the_others() {
    let (store, seen) = (Handle::default(), Arc::new(Seen::default()));
    let lanes = fleet(&store, 2);
    seen.call(&lanes[1], read(), 10).await;
    let patience = Patience::new(Duration::MAX);
    let mut permit =
        lanes[0].admit(read(), Priority::Interactive, patience, &UNTRACKED).await.unwrap();
    permit.sent();
    permit.end(Outcome::Limited(None, Some(Duration::from_secs(30))));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let start = Instant::now();
    seen.call(&lanes[1], read(), 10).await;
    assert!(start.elapsed() >= Duration::from_secs(28), "{:?}", start.elapsed());
    seen.call(&lanes[0], read(), 10).await;
    assert!(start.elapsed() < Duration::from_secs(45), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_pause_outlives_the_store_and_ends_for_all() {
    let (store, seen) = (Handle::default(), Arc::new(Seen::default()));
    let lanes = fleet(&store, 4);
    // Each has a call in flight that is refused.
    for lane in &lanes {
        seen.call(lane, read(), 10).await;
    }
    let patience = Patience::new(Duration::MAX);
    let mut permits = Vec::new();
    for lane in &lanes {
        permits
            .push(lane.admit(read(), Priority::Interactive, patience, &UNTRACKED).await.unwrap());
    }
    for mut permit in permits {
        permit.sent();
        permit.end(Outcome::Limited(None, None));
    }
    seen.calls.lock().unwrap().clear();
    let start = Instant::now();
    let calls = load(&lanes, &seen, 5, 2 * MINUTE);
    let outage = async {
        tokio::time::sleep(Duration::from_secs(50)).await;
        store.kill();
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
