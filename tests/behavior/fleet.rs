//! Four processes together keep the limits of a strict GitHub, with a healthy Redis and with one that
//! dies.

use std::process::Stdio;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http::Method;
use octowire::Client;
use octowire::rate_limit::RateLimitPolicy;
use octowire::store::RedisStore;
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::redis_servers::RedisServer;
use crate::support::limiter::{GitHubLimits, Limiter};

const PROCESSES: usize = 4;
const TASKS: usize = 200;
/// Some of the tasks of each process create something.
const WRITERS: usize = 10;
const SECOND: Duration = Duration::from_secs(1);
/// After each loss, a minute passes if a member has ended meanwhile, whose usage is unknown; the points take two
/// minutes. Usually it is less than half of that.
const AFTER_LOSSES: Duration = Duration::from_secs(4 * 60);

#[tokio::test(flavor = "multi_thread")]
async fn four_processes_of_two_hundred_tasks_never_exceed_the_limits_and_use_the_quota() {
    let redis = RedisServer::start();
    let limiter = Limiter::start(GitHubLimits::default(), Duration::from_millis(20)).await;
    let start = Instant::now();
    fleet(&limiter, &redis).finish().await;
    check(&limiter, start, 100 * SECOND);
}

#[tokio::test(flavor = "multi_thread")]
async fn four_processes_never_exceed_the_limits_when_redis_restarts_empty() {
    let mut redis = RedisServer::start();
    let limiter = Limiter::start(GitHubLimits::default(), Duration::from_millis(20)).await;
    let start = Instant::now();
    let fleet = fleet(&limiter, &redis);
    let there = all_are_there(&limiter).await;
    // In the first rush, and when the first minute ends.
    for (from, to) in [(0, 2), (58, 62)] {
        sleep((from * SECOND).saturating_sub(there.elapsed())).await;
        redis.kill();
        sleep((to * SECOND).saturating_sub(there.elapsed())).await;
        redis.restart();
    }
    fleet.finish().await;
    check(&limiter, start, AFTER_LOSSES);
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_when_a_process_starts_while_redis_restarts_empty() {
    let mut redis = RedisServer::start();
    let limiter = Limiter::start(GitHubLimits::default(), Duration::from_millis(20)).await;
    let start = Instant::now();
    let mut fleet = Fleet((1..PROCESSES).map(|number| member(number, &limiter, &redis)).collect());
    // Three processes have used most of the minute's points, and the last one does not know of them.
    while limiter.state().seconds.values().sum::<u32>() < 650 {
        sleep(SECOND / 200).await;
    }
    redis.kill();
    fleet.0.push(member(0, &limiter, &redis));
    all_are_there(&limiter).await;
    redis.restart();
    fleet.finish().await;
    check(&limiter, start, AFTER_LOSSES);
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_when_redis_hangs_now_and_then() {
    let redis = RedisServer::start();
    let limiter = Limiter::start(GitHubLimits::default(), Duration::from_millis(20)).await;
    let start = Instant::now();
    let fleet = fleet(&limiter, &redis);
    let there = all_are_there(&limiter).await;
    for (from, to) in [(0, 200), (1_000, 3_000), (59_000, 61_000), (61_500, 61_600)] {
        sleep(Duration::from_millis(from).saturating_sub(there.elapsed())).await;
        redis.hang();
        sleep(Duration::from_millis(to).saturating_sub(there.elapsed())).await;
        redis.resume();
    }
    fleet.finish().await;
    check(&limiter, start, 100 * SECOND);
}

/// Waits until each process has been served: a process that starts during an outage does not know of others.
async fn all_are_there(limiter: &Limiter) -> Instant {
    let is_there = |number: usize| {
        let name = format!("/owner-{number}-");
        limiter.state().served.keys().any(|call| call.contains(&name))
    };
    while !(0..PROCESSES).all(is_there) {
        sleep(SECOND / 200).await;
    }
    Instant::now()
}

fn check(limiter: &Limiter, start: Instant, max: Duration) {
    let state = limiter.state();
    assert!(
        state.rejections.is_empty(),
        "{:?}",
        &state.rejections[..state.rejections.len().min(3)]
    );
    assert_eq!(state.served.len(), PROCESSES * TASKS * 2, "each call is served");
    assert!(state.served.values().all(|times| *times == 1), "nothing is served twice");
    assert!(state.most_at_once <= 100, "{}", state.most_at_once);
    // 1,760 points: the first 900 at once, and the others when the minute is over.
    let took = start.elapsed();
    println!("{took:?} for 1,760 points, {} at once: {:?}", state.most_at_once, state.seconds);
    assert!(took > 55 * SECOND, "{took:?}: faster than it is allowed");
    assert!(took < max, "{took:?}");
}

struct Fleet(Vec<Child>);

fn fleet(limiter: &Limiter, redis: &RedisServer) -> Fleet {
    Fleet((0..PROCESSES).map(|number| member(number, limiter, redis)).collect())
}

fn member(number: usize, limiter: &Limiter, redis: &RedisServer) -> Child {
    let (_, module) = module_path!().split_once("::").unwrap();
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", &format!("{module}::a_member")])
        .env("MEMBER", number.to_string())
        .env("GITHUB", &limiter.server.url)
        .env("REDIS", redis.url())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

impl Fleet {
    async fn finish(mut self) {
        for process in &mut self.0 {
            let status = timeout(AFTER_LOSSES + 10 * SECOND, process.wait())
                .await
                .expect("it ends")
                .unwrap();
            assert!(status.success(), "{status}");
        }
    }
}

/// The program of each process.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a process of the tests above"]
async fn a_member() {
    let variable = |name| std::env::var(name).unwrap();
    let number = variable("MEMBER");
    // It starts even without Redis.
    let store = match RedisStore::connect(variable("REDIS")).await {
        Ok(store) => store,
        Err(_) => RedisStore::builder(variable("REDIS")).build().unwrap(),
    };
    let client = Client::builder()
        .base_url(variable("GITHUB"))
        .token("ghs_0123456789")
        .rate_limits(RateLimitPolicy::default())
        .call_timeout(AFTER_LOSSES)
        .store(store)
        .build()
        .unwrap();
    let tasks = (0..TASKS).map(|task| {
        let (client, number) = (&client, &number);
        async move {
            let path = format!("/repos/owner-{number}-{task}/r/issues");
            let read = client.request(Method::GET, format!("{path}/1"));
            read.send::<Value>().await.unwrap();
            let method = if task < WRITERS { Method::POST } else { Method::GET };
            client.request(method, format!("{path}?second")).send::<Value>().await.unwrap();
        }
    });
    join_all(tasks).await;
    // The rest of its leases is returned half a second later.
    sleep(SECOND).await;
}
