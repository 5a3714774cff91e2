//! The time that a call waits for a remote Redis, and the number of its round trips.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http::Method;
use octowire::Client;
use octowire::cache::{CacheConfig, CachePolicy};
use octowire::store::RedisStore;
use octowire::usage::{Budget, Period, UsageConfig};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::calls::multi_threaded;
use crate::delaying::DelayingProxy;
use crate::leases::Server;
use crate::{Result, report};

/// Round trips to the store, in milliseconds.
const DELAYS: [u64; 4] = [0, 20, 40, 49];
/// A latency that is short enough for all operations of a call, for counting round trips.
const COUNTED: u64 = 10;
const ROUNDS: usize = 5;
/// Calls before those whose limits are leased.
const LEASED: usize = 30;
/// Longer than the lifetime of a lease, and of the known position of the cache's log.
const IDLE: Duration = Duration::from_millis(1_200);
const CALLS: [&str; 5] = ["a hit", "a miss", "a write", "20 concurrent misses", "no cache, leased"];

pub fn run() -> Result<()> {
    println!("{}", report::header(&format!("{ROUNDS} rounds")));
    let redis = Server::start()?;
    let runtime = multi_threaded()?;
    runtime.block_on(async {
        // It responds from here on.
        drop(redis.connect().await?);
        let proxy = DelayingProxy::start(redis.port()?).await;
        let github = github().await?;
        let client = |cache: CacheConfig, store: RedisStore| {
            let budget = Budget::new("hour", Period::Hour).hard_limit(1_000_000);
            let builder = Client::builder().base_url(&github).token("t0ken").cache(cache);
            builder.usage(UsageConfig::new().budget(budget)).store(store).build()
        };
        let cache =
            CacheConfig::default().default_policy(CachePolicy::max_age(Duration::from_secs(3_600)));
        let cached = client(cache, RedisStore::connect(proxy.url()).await?)?;
        let builder =
            Client::builder().base_url(&github).token("t0ken").cache(CacheConfig::disabled());
        let leased = builder.store(RedisStore::connect(proxy.url()).await?).build()?;
        get(&cached, "/repos/o/r/stored").await?;
        cached.close().await;
        let none = measure(&cached, &leased, &proxy, 0).await?;
        let counted = measure(&cached, &leased, &proxy, COUNTED).await?;
        println!(
            "| call | round trips | {} |",
            DELAYS.map(|delay| format!("{delay} ms, ms")).join(" | ")
        );
        println!("|---|--:|{}", "--:|".repeat(DELAYS.len()));
        let mut waits = Vec::new();
        for delay in DELAYS {
            waits.push(measure(&cached, &leased, &proxy, delay).await?);
        }
        for (index, call) in CALLS.iter().enumerate() {
            let more = counted[index].saturating_sub(none[index]).as_secs_f64() * 1_000.0;
            let trips = (more / COUNTED as f64).round();
            let waits =
                waits.iter().map(|wait| format!("{:.1}", wait[index].as_secs_f64() * 1_000.0));
            println!("| {call} | {trips} | {} |", waits.collect::<Vec<_>>().join(" | "));
        }
        Ok(())
    })
}

/// The median time of each kind of call.
async fn measure(
    cached: &Client,
    leased: &Client,
    proxy: &DelayingProxy,
    delay: u64,
) -> Result<Vec<Duration>> {
    let mut all = vec![Vec::new(); CALLS.len()];
    for round in 0..ROUNDS {
        // A write invalidated it.
        proxy.set(0);
        sleep(IDLE).await;
        get(cached, "/repos/o/r/stored").await?;
        cached.close().await;
        proxy.set(delay);
        sleep(IDLE).await;
        all[0].push(get(cached, "/repos/o/r/stored").await?);
        sleep(IDLE).await;
        all[1].push(get(cached, &format!("/repos/o/r/{delay}-{round}")).await?);
        sleep(IDLE).await;
        let start = Instant::now();
        cached.request(Method::POST, "/repos/o/r/issues").send::<Value>().await?;
        all[2].push(start.elapsed());
        sleep(IDLE).await;
        let paths: Vec<_> =
            (0..20).map(|call| format!("/repos/o/r/{delay}-{round}-{call}")).collect();
        let start = Instant::now();
        for call in join_all(paths.iter().map(|path| get(cached, path))).await {
            call?;
        }
        all[3].push(start.elapsed());
        sleep(IDLE).await;
        // A client leases the amount that it spent in the previous half second.
        for call in join_all((0..LEASED).map(|_| get(leased, "/repos/o/r"))).await {
            call?;
        }
        for _ in 0..ROUNDS {
            all[4].push(get(leased, "/repos/o/r").await?);
        }
    }
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    Ok(all.into_iter().map(median).collect())
}

async fn get(client: &Client, path: &str) -> Result<Duration> {
    let start = Instant::now();
    client.request(Method::GET, path).send::<Value>().await?;
    Ok(start.elapsed())
}

/// A fake of GitHub that responds immediately.
async fn github() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.set_nodelay(true);
            tokio::spawn(async move {
                let mut request = Vec::new();
                while let Ok(1..) = socket.read_buf(&mut request).await {
                    // Requests have no bodies, and are sequential.
                    if !request.ends_with(b"\r\n\r\n") {
                        continue;
                    }
                    request.clear();
                    if socket.write_all(RESPONSE).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    Ok(url)
}

const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\
    etag: \"1\"\r\nx-ratelimit-limit: 5000\r\nx-ratelimit-remaining: 4000\r\n\
    x-ratelimit-reset: 4000000000\r\nx-ratelimit-resource: core\r\n\r\n{}";
