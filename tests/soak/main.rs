//! A soak: clients in two processes that share a Redis, a webhook receiver with a journal, and a
//! GitHub that fails in every way, all at once. Redis is paused, killed and flushed, one process of
//! clients and the receiver are killed again and again.
//!
//! It asserts that no process panics, memory stays flat, no permit is lost, no write is executed
//! twice, GitHub's limits are never exceeded, a response is never another one's, older than what
//! the client wrote itself or cut short, and each acknowledged delivery is handled once.
//!
//! `scripts/soak.sh MINUTES` runs it for longer than the 20 seconds of the normal tests.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

mod clients;
mod deliveries;
mod github;
mod limiter;
mod memory;
mod process;
mod random;
#[path = "../support/redis_servers.rs"]
mod redis_servers;
mod store_faults;

use clients::Summary;
use deliveries::Deliveries;
use github::GitHub;
use memory::Memory;
use process::Process;
use random::Random;
use redis_servers::RedisServer;
use store_faults::StoreFaults;

/// Length of the soak in seconds.
const SECONDS: &str = "OCTOWIRE_SOAK_SECONDS";
const DEFAULT_SECONDS: u64 = 20;
/// The seed of all decisions of the parent process; printed, so that a run can be repeated.
const SEED: &str = "OCTOWIRE_SOAK_SEED";
/// Time between two kills of a process that is killed on purpose.
const KILL_INTERVAL: Duration = Duration::from_secs(12);

/// A temporary folder that is removed with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("octowire-soak-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_fails_at_once_and_every_guarantee_holds() {
    let length = Duration::from_secs(number(SECONDS).unwrap_or(DEFAULT_SECONDS));
    let seed = number(SEED).unwrap_or_else(random::seed);
    println!("soak of {length:?}, {SEED}={seed}");
    let mut random = Random::new(seed);
    let folder = Folder::new();
    let github = GitHub::start(random.next()).await;
    let redis = RedisServer::start();
    let redis_url = redis.url();
    let started = Arc::new(Mutex::new(Instant::now()));
    let faults =
        StoreFaults::start(redis, length, Random::new(random.next()), Arc::clone(&started));
    let clients = |seed: u64| {
        Process::start(
            "clients::the_clients",
            folder.path(),
            &[
                (clients::GITHUB, github.url.clone()),
                (clients::REDIS, redis_url.clone()),
                (clients::SEED, seed.to_string()),
                (clients::SECONDS, length.as_secs().to_string()),
            ],
        )
    };
    let lasting = clients(random.next());
    let mut killed = clients(random.next());
    let mut deliveries = Deliveries::start(folder.path(), length);
    let (mut memory, mut receiver_peak) = (Memory::default(), 0);
    let (began, mut kills) = (Instant::now(), 0);
    let mut next_kill = KILL_INTERVAL;
    while began.elapsed() < length {
        tokio::time::sleep(Duration::from_millis(500)).await;
        memory.sample(began.elapsed(), lasting.resident_kilobytes());
        receiver_peak = receiver_peak.max(deliveries.peak_kilobytes());
        if began.elapsed() >= next_kill {
            next_kill += KILL_INTERVAL;
            kills += 1;
            killed.kill();
            let apart = tokio::task::block_in_place(|| store_faults::apart(&started));
            killed = clients(random.next());
            drop(apart);
            deliveries.kill_and_restart();
        }
    }
    killed.kill();
    github.calm_down();
    let summary = Summary::read(&lasting.finish(clients::PATIENCE));
    let store_faults = faults.finish();
    let handled = deliveries.finish().await;
    let executed = github.finish();
    println!("{summary}");
    println!("{executed}");
    println!("{handled}, at most {} MB", receiver_peak / 1_000);
    println!(
        "{store_faults} faults of Redis, {kills} kills of a process of clients and the receiver"
    );
    println!("{memory}");
    let violations = process::violations(folder.path());
    assert!(violations.is_empty(), "{violations:#?}");
    summary.assert_useful();
    executed.assert_kept();
    handled.assert_once();
    memory.assert_flat(length);
    assert!(receiver_peak < deliveries::MAX_KILOBYTES, "{receiver_peak} kB in the receiver");
}
