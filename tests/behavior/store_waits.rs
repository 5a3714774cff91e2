//! The wait of a call for its store is bounded for every operation: with a Redis that is far
//! away.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http::Method;
use octowire::Client;
use octowire::cache::{CacheConfig, CachePolicy, CacheStatus};
use octowire::store::RedisStore;
use octowire::usage::{Budget, Period, UsageConfig};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::delaying_proxy::DelayingProxy;
use crate::redis_servers::RedisServer;
use crate::support::{Reply, Server, json_response};

/// The default of `store_timeout`, and what else a call takes on a machine that has more to do.
const ALLOWED: Duration = Duration::from_millis(50 + 45);

async fn github() -> Server {
    Server::start(|request| async move {
        let headers = format!(
            "etag: \"{}\"\r\nx-ratelimit-limit: 5000\r\nx-ratelimit-remaining: 4000\r\n\
             x-ratelimit-reset: 4000000000\r\nx-ratelimit-resource: core\r\n",
            request.target
        );
        Reply::Raw(json_response("200 OK", &headers, "{}"))
    })
    .await
}

async fn get(client: &Client, path: &str) -> (Duration, CacheStatus) {
    let start = Instant::now();
    let response = client.request(Method::GET, path).send::<Value>().await.unwrap();
    (start.elapsed(), response.meta().cache_status())
}

/// Longer than the validity of a lease, and of the known state of the invalidation log.
async fn idle() {
    sleep(Duration::from_millis(1_200)).await;
}

/// The duration of a hit, a miss, a write and ten concurrent misses.
async fn waits(client: &Client, delay: u64, round: usize) -> [Duration; 4] {
    idle().await;
    let (hit, status) = get(client, "/repos/o/r/stored").await;
    // On a machine that has more to do, the answer may come too late once.
    assert!(delay > 40 || round > 0 || hit >= ALLOWED || status == CacheStatus::Hit, "{status:?}");
    idle().await;
    let (miss, _) = get(client, &format!("/repos/o/r/{delay}/{round}")).await;
    idle().await;
    let start = Instant::now();
    client.request(Method::POST, "/repos/o/r/issues").send::<Value>().await.unwrap();
    let write = start.elapsed();
    idle().await;
    let calls = (0..10).map(|number| async move {
        get(client, &format!("/repos/o/r/{delay}/{round}/{number}")).await.0
    });
    let batch = join_all(calls).await.into_iter().max().unwrap();
    [hit, miss, write, batch]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_distant_redis_delays_each_call_at_most_by_its_wait_allowance() {
    let server = RedisServer::start();
    let proxy = DelayingProxy::start(server.port).await;
    let github = github().await;
    let budget = Budget::new("hour", Period::Hour).hard_limit(100_000);
    let cache =
        CacheConfig::default().default_policy(CachePolicy::max_age(Duration::from_secs(600)));
    let client = github.default_client_builder().token("t0ken").cache(cache);
    let client = client.usage(UsageConfig::new().budget(budget));
    let client = client.store(RedisStore::connect(proxy.url()).await.unwrap()).build().unwrap();
    get(&client, "/repos/o/r/stored").await;
    assert!(client.close().await);
    // The last one answers nothing in time.
    for delay in [0, 20, 40, 49, 5_000] {
        // The shortest of three measurements, which excludes other work of the machine.
        let mut shortest = [Duration::MAX; 4];
        for round in 0..3 {
            proxy.set(delay);
            let waits = waits(&client, delay, round).await;
            println!("{delay} ms: hit, miss, write, ten at once {waits:?}");
            for (shortest, wait) in shortest.iter_mut().zip(waits) {
                *shortest = wait.min(*shortest);
            }
            if shortest.iter().all(|wait| *wait < ALLOWED) {
                break;
            }
            proxy.set(0);
            idle().await;
            get(&client, "/repos/o/r/stored").await;
            idle().await;
        }
        assert!(shortest.iter().all(|wait| *wait < ALLOWED), "{shortest:?} at {delay} ms");
        // Entries are invalid after the write, and their state is unknown during an outage.
        proxy.set(0);
        let stored = async {
            while get(&client, "/repos/o/r/stored").await.1 != CacheStatus::Hit {
                sleep(Duration::from_millis(200)).await;
            }
        };
        timeout(Duration::from_secs(10), stored).await.expect("the store answers again");
    }
}
