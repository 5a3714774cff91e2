//! Clients that start one after the other, with a store that restarts without its data at any moment.

use proptest::prelude::*;

use super::*;
use crate::error::{Error, ErrorKind};

const CLIENTS: usize = 4;
const TASKS: usize = 100;
const POINTS: u32 = 900;
const CONCURRENT: u32 = 100;
/// The time within which all clients start, in milliseconds. A client that starts at a store that has just lost its data
/// cannot know of the loss.
const STARTS: u64 = 400;

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

/// A store whose data is lost in each of its outages.
#[derive(Clone, Debug)]
struct Forgetful {
    ledger: FlakyHandle,
    latency: u64,
    is_closed: bool,
    /// The number of outages that have begun.
    outages: Arc<AtomicU32>,
}

impl Forgetful {
    /// Takes the time of one direction. Fails if an outage begins meanwhile.
    async fn travel(&self, outages: u32) -> crate::Result<()> {
        tokio::time::sleep(Duration::from_millis(self.latency)).await;
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
