//! Clients of any load with a store of any latency and availability.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const CLIENTS: usize = 3;
const CONCURRENT: u32 = 20;
const POINTS: u32 = 600;
/// The remaining primary limit until its window ends.
const LEFT: u64 = 40;
const RESET: Duration = Duration::from_secs(70);
/// Until then the store always answers in time, so that all clients know of each other.
const WARM: Duration = Duration::from_secs(12);

/// A small generator of numbers that look random.
#[derive(Clone, Debug)]
pub(super) struct Random(Arc<Mutex<u64>>);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(seed)))
    }

    /// A number below this.
    pub(super) fn below(&self, end: u64) -> u64 {
        let mut state = self.0.lock().unwrap();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// A store that takes any time, and is silent at times.
#[derive(Clone, Debug)]
struct Erratic {
    ledger: FlakyHandle,
    random: Random,
    /// The highest latency of a response in milliseconds, after the clients know of each other.
    slowest: u64,
    /// When it is silent, from the beginning.
    silences: Vec<(Duration, Duration)>,
    start: Instant,
    /// When each client was answered.
    answers: Arc<Mutex<HashMap<String, Vec<Instant>>>>,
}

impl Erratic {
    fn new(random: &Random, slowest: u64, silent: bool) -> Self {
        let mut silences = Vec::new();
        let mut from = WARM;
        while silent && from < 2 * MINUTE {
            from += Duration::from_millis(1 + random.below(8_000));
            let longest = if random.below(3) == 0 { 15_000 } else { 400 };
            let until = from + Duration::from_millis(1 + random.below(longest));
            silences.push((from, until));
            from = until;
        }
        Self {
            ledger: FlakyHandle::default(),
            random: random.clone(),
            slowest,
            silences,
            start: Instant::now(),
            answers: Arc::default(),
        }
    }

    /// Takes its time for one way.
    async fn travel(&self, most: u64) {
        tokio::time::sleep(Duration::from_millis(self.random.below(most / 2 + 1))).await;
        let now = self.start.elapsed();
        if self.silences.iter().any(|(from, until)| (*from..*until).contains(&now)) {
            std::future::pending::<()>().await;
        }
    }

    /// When a client was answered.
    fn answers_to(&self, client: usize) -> Vec<Instant> {
        let responses = self.answers.lock().unwrap();
        responses.get(&format!("client {client}")).cloned().unwrap_or_default()
    }

    fn slowest(&self) -> u64 {
        if self.start.elapsed() < WARM { 40 } else { self.slowest }
    }
}

impl KeyValueStore for Erratic {
    fn get<'a>(&'a self, _: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            self.travel(self.slowest()).await;
            Ok(None)
        })
    }
    forward!(ledger => put, put_if_absent, extend_if_equal, remove, remove_if_equal);
}

impl CounterStore for Erratic {
    forward!(ledger => increment);
}

impl QuotaStore for Erratic {
    fn lease<'a>(
        &'a self,
        key: &'a str,
        request: &'a QuotaRequest,
    ) -> StoreFuture<'a, Option<QuotaLease>> {
        Box::pin(async move {
            let most = self.slowest();
            self.travel(most).await;
            let lease = self.ledger.memory().lease(key, request).await;
            self.travel(most).await;
            let mut responses = self.answers.lock().unwrap();
            responses.entry(request.member.clone()).or_default().push(Instant::now());
            lease
        })
    }
}

/// The observations of GitHub for all clients.
#[derive(Debug, Default)]
struct GitHub {
    seen: ObservedTraffic,
    /// The remaining quota of the window; the first window has little.
    left: Mutex<Option<(u64, Instant)>>,
    rejected: AtomicU32,
    /// When each client wrote to an owner.
    writes: Mutex<BTreeMap<String, Vec<(Instant, usize)>>>,
}

impl GitHub {
    /// Runs one call to its end. Returns the instant of its admission.
    async fn call(
        &self,
        queue: &Arc<AdmissionQueue>,
        client: usize,
        cost: RequestCost,
        latency: u64,
    ) -> Instant {
        let mut call = CallHandle::default();
        call.store_wait = Some(StoreWaitBudget::new(STORE_TIMEOUT));
        let wait_budget = WaitBudget::new(Duration::MAX);
        let (points, resource) = (cost.points, cost.resource.clone());
        let owner = cost.owner.clone();
        let mut permit =
            queue.admit(cost, Priority::Interactive, wait_budget, &call).await.unwrap();
        permit.mark_sent();
        let sent = Instant::now();
        self.seen.calls.lock().unwrap().push((sent, points));
        if let Some(owner) = owner {
            let mut writes = self.writes.lock().unwrap();
            writes.entry(owner.to_string()).or_default().push((sent, client));
        }
        let running = 1 + self.seen.running.fetch_add(1, Ordering::Relaxed);
        self.seen.max_running.fetch_max(running, Ordering::Relaxed);
        let (mut limit, mut remaining, mut ends_in) = (1_000_000, 999_999, 60 * MINUTE);
        if resource == "search" {
            let mut left = self.left.lock().unwrap();
            let (left, reset) = left.as_mut().unwrap();
            if *reset <= sent {
                (*left, *reset) = (1_000, sent + 60 * MINUTE);
            }
            if *left == 0 {
                self.rejected.fetch_add(1, Ordering::Relaxed);
            }
            *left = left.saturating_sub(1);
            (limit, remaining, ends_in) = (1_000, *left, *reset - sent);
        }
        tokio::time::sleep(Duration::from_millis(latency)).await;
        self.seen.running.fetch_sub(1, Ordering::Relaxed);
        let ends_in = ends_in.saturating_sub(sent.elapsed());
        let told = RateLimitHeaders { resource: &resource, limit, remaining, reset: 0, ends_in };
        permit.end(AttemptOutcome::Response(Some(told)));
        sent
    }

    /// The shortest time between two writes to an owner by these clients.
    fn shortest(&self, of: impl Fn(usize) -> bool) -> Duration {
        let writes = self.writes.lock().unwrap();
        let gaps = writes.values().flat_map(|writes| {
            let writes: Vec<_> = writes.iter().filter(|(_, client)| of(*client)).collect();
            writes.windows(2).map(|pair| pair[1].0 - pair[0].0).collect::<Vec<_>>()
        });
        gaps.min().unwrap_or(MINUTE)
    }
}

fn search() -> RequestCost {
    RequestCost::rest(&Method::GET, "/search/issues", Cow::Borrowed("search"), false)
}

fn clients(store: &Erratic, policy: &RateLimitPolicy) -> Vec<Arc<AdmissionQueue>> {
    (0..CLIENTS).map(|client| admission_queue(store.clone(), client, policy.clone())).collect()
}

/// Runs clients with a random load, to its end.
async fn run(seed: u64, slowest: u64, silent: bool) -> Arc<GitHub> {
    let random = Random::new(seed);
    let store = Erratic::new(&random, slowest, silent);
    let pacing = SecondaryLimits::default().max_concurrent(CONCURRENT).points_per_minute(POINTS);
    let queues = clients(&store, &RateLimitPolicy::default().secondary_limits(pacing));
    let github = Arc::new(GitHub::default());
    *github.left.lock().unwrap() = Some((LEFT, Instant::now() + RESET));
    let end = Instant::now() + 90 * SECOND;
    let mut all = tokio::task::JoinSet::new();
    for (client, queue) in queues.iter().enumerate() {
        for _ in 0..12 {
            let (queue, github, random) = (Arc::clone(queue), Arc::clone(&github), random.clone());
            all.spawn(async move {
                while Instant::now() < end {
                    let owner = ["one", "two", "three"][random.below(3) as usize];
                    let cost = match random.below(12) {
                        0..6 => read(),
                        6..10 => write(owner),
                        _ => search(),
                    };
                    github.call(&queue, client, cost, 10 + random.below(200)).await;
                    tokio::time::sleep(Duration::from_millis(random.below(1_500))).await;
                }
            });
        }
    }
    let ended = async {
        while let Some(ended) = all.join_next().await {
            ended.unwrap()
        }
    };
    let ended = tokio::time::timeout(10 * MINUTE, ended).await;
    assert!(ended.is_ok(), "some calls wait for ever");
    github
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_store_that_answers_in_time_keeps_every_shared_limit(seed in any::<u64>()) {
        let github = paused(run(seed, 48, false));
        prop_assert_eq!(github.rejected.load(Ordering::Relaxed), 0);
        // An admitted write is sent within 200 ms, and the client learns of it later than the store granted it.
        let shortest = github.shortest(|_| true);
        prop_assert!(shortest >= 750 * MS, "{:?} between two writes", shortest);
        prop_assert!(github.seen.max_running.load(Ordering::Relaxed) <= CONCURRENT);
        let minute = github.seen.busiest_minute();
        prop_assert!(minute <= POINTS, "{} in a minute", minute);
    }

    #[test]
    fn a_store_that_is_silent_at_times_leaves_each_client_its_share(seed in any::<u64>()) {
        let github = paused(run(seed, 80, true));
        let minute = github.seen.busiest_minute();
        prop_assert!(minute <= POINTS, "{} in a minute", minute);
        prop_assert!(github.seen.max_running.load(Ordering::Relaxed) <= CONCURRENT);
        // Each client alone keeps a second between its writes, also when others write.
        for client in 0..CLIENTS {
            let shortest = github.shortest(|writer| writer == client);
            prop_assert!(shortest >= 990 * MS, "{:?} between two writes", shortest);
        }
        // Clients that hear nothing of each other learn from GitHub that nothing is left.
        let refused = github.rejected.load(Ordering::Relaxed);
        prop_assert!(refused <= CONCURRENT, "{} refused", refused);
    }

    #[test]
    fn no_call_waits_longer_for_a_silent_store_than_it_may(seed in any::<u64>()) {
        paused(async move {
            let random = Random::new(seed);
            let mut store = Erratic::new(&random, 48, false);
            let from = WARM + Duration::from_millis(random.below(20_000));
            let until = from + Duration::from_millis(1 + random.below(30_000));
            store.silences = vec![(from, until)];
            // Nothing but the store is waited for: each client uses less than it may alone.
            let queues = clients(&store, &RateLimitPolicy::default());
            let github = GitHub::default();
            let (mut owner, start) = (0, Instant::now());
            while start.elapsed() < until {
                let client = random.below(CLIENTS as u64) as usize;
                owner += 1;
                let cost = match random.below(6) {
                    0 => write(&format!("owner-{owner}")),
                    _ => read(),
                };
                let asked = Instant::now();
                let sent = github.call(&queues[client], client, cost, random.below(100)).await;
                // An answer ends the silence, and the next request begins another one.
                let responses = store.answers_to(client);
                let reply = responses.into_iter().filter(|reply| (asked..sent).contains(reply));
                let silence = sent - reply.max().unwrap_or(asked);
                assert!(silence <= STORE_TIMEOUT + MS, "{silence:?} at {:?}", start.elapsed());
                assert!(sent - asked <= 2 * STORE_TIMEOUT + MS, "{:?}", sent - asked);
                tokio::time::sleep(Duration::from_millis(random.below(3_000))).await;
            }
        });
    }
}
