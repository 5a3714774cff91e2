//! The cost of limits that a fleet shares: round trips to Redis, and unused quota.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use octowire::RateLimiter;
use octowire::rate_limit::RateLimitPolicy;
use octowire::store::{
    CounterStore, KeyValueStore, QuotaLease, QuotaRequest, QuotaStore, RedisStore, StoreFuture,
};

use crate::calls::multi_threaded;
use crate::forward::forward;
use crate::{Result, report};

const CLIENTS: usize = 4;
const TASKS: usize = 50;
/// GitHub's points per minute, and four times as many calls of one point.
const A_MINUTE: u64 = 900;
const CALLS: u64 = 4 * A_MINUTE;

pub fn run() -> Result<()> {
    println!("{}", report::header("one run"));
    let redis = Server::start()?;
    let runtime = multi_threaded()?;
    runtime.block_on(async {
        let asked = Arc::new(AtomicU64::new(0));
        let left = Arc::new(AtomicU64::new(CALLS));
        let mut clients = Vec::new();
        for client in 0..CLIENTS {
            // Each has its own connection, like processes.
            let store = Counting(redis.connect().await?, Arc::clone(&asked));
            clients.push(RateLimiter::shared(
                RateLimitPolicy::default(),
                store,
                &format!("c{client}"),
            ));
        }
        let start = Instant::now();
        let tasks = clients.iter().flat_map(|client| {
            (0..TASKS).map(|_| {
                let (client, left) = (client.clone(), Arc::clone(&left));
                tokio::spawn(async move {
                    let next = |left: u64| left.checked_sub(1);
                    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok() {
                        client.once().await?;
                    }
                    Ok::<_, octowire::Error>(())
                })
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await??;
        }
        let took = start.elapsed().as_secs_f64();
        // The first minute's immediately, and the last one's as soon as they are admitted.
        let least = 60.0 * (CALLS / A_MINUTE - 1) as f64;
        let asked = asked.load(Ordering::Relaxed);
        println!("{CLIENTS} clients of {TASKS} tasks each share {A_MINUTE} points a minute:\n");
        println!("| calls | in | of the allowed points | round trips | per call |");
        println!("|--:|--:|--:|--:|--:|");
        println!(
            "| {CALLS} | {took:.1} s | {:.1} % | {asked} | {:.3} |",
            100.0 * least / took,
            asked as f64 / CALLS as f64
        );
        Ok(())
    })
}

/// A Redis on a free port, which ends with the run.
pub struct Server(Child, String);

impl Server {
    pub fn start() -> Result<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
        let child = Command::new("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("redis-server has to be installed: {error}"))?;
        Ok(Self(child, format!("redis://127.0.0.1:{port}")))
    }

    pub fn port(&self) -> Result<u16> {
        let port = self.1.rsplit(':').next().unwrap_or_default();
        Ok(port.parse()?)
    }

    pub async fn connect(&self) -> Result<RedisStore> {
        let start = Instant::now();
        loop {
            match RedisStore::connect(&self.1).await {
                Ok(redis) => return Ok(redis),
                Err(error) if start.elapsed() > Duration::from_secs(10) => return Err(error.into()),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Counts the lease requests.
#[derive(Debug)]
struct Counting(RedisStore, Arc<AtomicU64>);

impl KeyValueStore for Counting {
    forward!(0 => get, put, put_if_absent, extend_if_equal, remove, remove_if_equal);
}

impl CounterStore for Counting {
    forward!(0 => increment);
}

impl QuotaStore for Counting {
    fn lease<'a>(
        &'a self,
        key: &'a str,
        request: &'a QuotaRequest,
    ) -> StoreFuture<'a, Option<QuotaLease>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.lease(key, request)
    }
}
