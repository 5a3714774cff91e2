//! Clients that start one after the other, with a store that fails, or restarts without its data, at any moments.

use proptest::prelude::*;

use super::model::Random;
use super::*;
use crate::error::{Error, ErrorKind};

const CLIENTS: usize = 4;
const TASKS: usize = 100;
const POINTS: u32 = 900;
const CONCURRENT: u32 = 100;
/// The time within which all clients start, in milliseconds. A client that starts at a store that has just lost its data
/// cannot know of the loss.
const STARTS: u64 = 400;
/// The time after which each client knows the number of all, in milliseconds: a member sends its next request by then.
const ALL_KNOWN: u64 = 9_000;

/// The moments of one run, in milliseconds from its beginning.
#[derive(Clone, Debug)]
struct Schedule {
    /// When each client starts, and the latency of its requests to the store, in each direction.
    clients: [(u64, u64); CLIENTS],
    /// The time of each outage since the end of the one before, and its length. All clients have started by the first.
    outages: Vec<(u64, u64)>,
    /// Whether a connection to the ended store is closed. If not, its responses are awaited in vain.
    is_closed: bool,
    /// The latency of calls.
    latency: u64,
}

fn schedules() -> impl Strategy<Value = Schedule> {
    let client = || (0..STARTS, 1_u64..5);
    // A slow store answers some clients only after calls have begun without a lease: a ledger has quota for a few of them.
    let slow = (0..STARTS, 1_u64..200);
    let outage = (1_u64..1_500, prop_oneof![Just(1_u64), 1_u64..100, 1_u64..3_000]);
    (
        [client(), client(), client(), slow],
        prop::collection::vec(outage, 1..4),
        any::<bool>(),
        5_u64..60,
    )
        .prop_map(|(clients, mut outages, is_closed, latency)| {
            outages[0].0 += STARTS;
            Schedule { clients, outages, is_closed, latency }
        })
}

/// A store whose data can be lost in its outages.
#[derive(Clone, Debug)]
struct Forgetful {
    ledger: FlakyHandle,
    latency: u64,
    /// Each fourth direction takes up to this time longer, as where machines are overloaded.
    delays: Option<(Random, u64)>,
    is_closed: bool,
    /// The number of outages that have begun.
    outages: Arc<AtomicU32>,
}

impl Forgetful {
    /// Takes the time of one direction. Fails if an outage begins meanwhile.
    async fn travel(&self, outages: u32) -> crate::Result<()> {
        let delay = match &self.delays {
            Some((random, longest)) if random.below(4) == 0 => random.below(*longest),
            _ => 0,
        };
        tokio::time::sleep(Duration::from_millis(self.latency + delay)).await;
        let is_down = self.ledger.0.is_unavailable.load(Ordering::Relaxed);
        if !is_down && self.outages.load(Ordering::Relaxed) == outages {
            return Ok(());
        }
        if !self.is_closed {
            std::future::pending::<()>().await;
        }
        Err(Error::new(ErrorKind::StoreUnavailable, "the connection was closed"))
    }

    async fn run(&self, schedule: &Schedule) {
        for (until, gone) in &schedule.outages {
            tokio::time::sleep(Duration::from_millis(*until)).await;
            self.outages.fetch_add(1, Ordering::Relaxed);
            self.ledger.stop();
            tokio::time::sleep(Duration::from_millis(*gone)).await;
            self.ledger.restart();
        }
    }
}

impl KeyValueStore for Forgetful {
    fn get<'a>(&'a self, _: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            self.travel(self.outages.load(Ordering::Relaxed)).await?;
            Ok(None)
        })
    }
    forward!(ledger => put, put_if_absent, extend_if_equal, remove, remove_if_equal);
}

impl CounterStore for Forgetful {
    forward!(ledger => increment);
}

impl QuotaStore for Forgetful {
    fn lease<'a>(
        &'a self,
        key: &'a str,
        request: &'a QuotaRequest,
    ) -> StoreFuture<'a, Option<QuotaLease>> {
        Box::pin(async move {
            let outages = self.outages.load(Ordering::Relaxed);
            self.travel(outages).await?;
            let lease = self.ledger.memory().lease(key, request).await;
            self.travel(outages).await?;
            lease
        })
    }
}

/// Runs the clients, each of which makes as many calls as it can, for this time.
async fn run(schedule: &Schedule, time: Duration) -> Arc<ObservedTraffic> {
    let (ledger, seen) = (FlakyHandle::default(), Arc::new(ObservedTraffic::default()));
    let outages = Arc::new(AtomicU32::new(0));
    let store = |latency| Forgetful {
        ledger: ledger.clone(),
        latency,
        delays: None,
        is_closed: schedule.is_closed,
        outages: Arc::clone(&outages),
    };
    let mut all = tokio::task::JoinSet::new();
    for (client, (start, latency)) in schedule.clients.into_iter().enumerate() {
        let queue = admission_queue(store(latency), client, RateLimitPolicy::default());
        for task in 0..TASKS {
            let (queue, seen, latency) = (Arc::clone(&queue), Arc::clone(&seen), schedule.latency);
            all.spawn(async move {
                tokio::time::sleep(Duration::from_millis(start)).await;
                for call in 0.. {
                    let cost = match (task + call) % 10 {
                        0 => write(&format!("owner {client} {task}")),
                        _ => read(),
                    };
                    seen.call(&queue, cost, latency).await;
                }
            });
        }
    }
    let outages = async {
        store(0).run(schedule).await;
        std::future::pending::<()>().await
    };
    let _ = tokio::time::timeout(time, outages).await;
    drop(all);
    seen
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_moment_of_a_restart_lets_clients_that_start_together_exceed_a_limit(schedule in schedules()) {
        let seen = paused(run(&schedule, 8_000 * MS));
        let most = seen.max_running.load(Ordering::Relaxed);
        prop_assert!(seen.busiest_minute() <= POINTS && most <= CONCURRENT,
            "{} points, {most} in flight", seen.busiest_minute());
    }
}

/// The store's outages: when each begins and ends, in milliseconds after all clients were served, and whether the data
/// is lost.
type Outages = Vec<(u64, u64, bool)>;

/// Runs clients that start within `spread` milliseconds, whose store and calls take up to `longest` milliseconds more than
/// usual: each of `tasks` tasks makes two calls, or calls until `end`. Returns when they ended.
async fn run_delayed(
    random: &Random,
    (longest, spread): (u64, u64),
    outages: &Outages,
    tasks: usize,
    end: Option<Duration>,
) -> (Duration, Arc<ObservedTraffic>) {
    let (ledger, seen) = (FlakyHandle::default(), Arc::new(ObservedTraffic::default()));
    let outage_count = Arc::new(AtomicU32::new(0));
    let served: Arc<[AtomicBool; CLIENTS]> = Arc::default();
    let mut all = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        let store = Forgetful {
            ledger: ledger.clone(),
            latency: 2,
            delays: Some((random.clone(), longest)),
            is_closed: true,
            outages: Arc::clone(&outage_count),
        };
        let queue = admission_queue(store, client, RateLimitPolicy::default());
        let start = random.below(spread);
        for task in 0..tasks {
            let (queue, seen) = (Arc::clone(&queue), Arc::clone(&seen));
            let (served, random) = (Arc::clone(&served), random.clone());
            all.spawn(async move {
                tokio::time::sleep(Duration::from_millis(start)).await;
                seen.call(&queue, read(), 20 + random.below(longest)).await;
                served[client].store(true, Ordering::Relaxed);
                let cost = match task % 20 {
                    0 => write(&format!("owner {client} {task}")),
                    _ => read(),
                };
                seen.call(&queue, cost, 20 + random.below(longest)).await;
                while end.is_some() {
                    seen.call(&queue, read(), 20 + random.below(longest)).await;
                }
            });
        }
    }
    let began = Instant::now();
    let fail = async {
        // A client that starts in an outage does not know of the others.
        while !served.iter().all(|one| one.load(Ordering::Relaxed)) {
            tokio::time::sleep(5 * MS).await;
        }
        let there = Instant::now();
        for (from, to, is_lost) in outages {
            tokio::time::sleep_until(there + Duration::from_millis(*from)).await;
            outage_count.fetch_add(1, Ordering::Relaxed);
            ledger.stop();
            tokio::time::sleep_until(there + Duration::from_millis(*to)).await;
            match is_lost {
                true => ledger.restart(),
                false => ledger.0.is_unavailable.store(false, Ordering::Relaxed),
            }
        }
        std::future::pending::<()>().await;
    };
    let calls = async {
        while let Some(task) = all.join_next().await {
            task.unwrap();
        }
    };
    tokio::select! {
        () = calls => {}
        () = fail => {}
        () = tokio::time::sleep(end.unwrap_or(10 * MINUTE)) => {}
    }
    (began.elapsed(), seen)
}

fn outages() -> impl Strategy<Value = Outages> {
    let pause = prop_oneof![1_u64..500, 1_u64..5_000, 1_u64..70_000];
    let length = prop_oneof![1_u64..100, 1_u64..3_000, 1_u64..15_000, 1_u64..80_000];
    prop::collection::vec((pause, length, any::<bool>()), 1..5).prop_map(|all| {
        let mut time = ALL_KNOWN;
        let outage = |(pause, length, is_lost)| {
            let from = time + pause;
            time = from + length;
            (from, time, is_lost)
        };
        all.into_iter().map(outage).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_outages_of_a_slow_store_let_clients_exceed_a_limit(
        seed in any::<u64>(),
        delays in (prop_oneof![1_u64..10, 1_u64..300], 1_u64..STARTS),
        outages in outages(),
    ) {
        let random = Random::new(seed);
        let (_, seen) = paused(run_delayed(&random, delays, &outages, 30, Some(4 * MINUTE)));
        let most = seen.max_running.load(Ordering::Relaxed);
        prop_assert!(seen.busiest_minute() <= POINTS && most <= CONCURRENT,
            "{} points, {most} in flight", seen.busiest_minute());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, ..ProptestConfig::default() })]

    /// Responses that the store delays are no outages that others have to wait for.
    #[test]
    fn calls_end_within_a_minute_for_each_loss_and_each_limit_of_points(
        seed in any::<u64>(),
        delays in (1_u64..600, 1_u64..1_500),
    ) {
        let random = Random::new(seed);
        // In the first rush, and when the first minute ends.
        let outages = vec![(0, 2_000, true), (58_000, 62_000, true)];
        let (took, seen) = paused(run_delayed(&random, delays, &outages, 200, None));
        // 1,760 points: two minutes are lost with the ledgers, and two are needed for the points.
        prop_assert!(took < 215_000 * MS, "{took:?}");
        prop_assert_eq!(seen.points(), 1_760);
        prop_assert!(seen.busiest_minute() <= POINTS, "{} points", seen.busiest_minute());
    }
}
