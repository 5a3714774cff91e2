//! A value in the store that cannot be read is no outage: only its own rule suffers.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use futures_util::future::join_all;
use octowire::cache::CacheConfig;
use octowire::testing::MockGitHub;
use octowire::usage::{Budget, Period, UsageConfig};
use octowire::{Client, ErrorKind, RetryPolicy};

use crate::redis_servers::RedisServer;
use crate::support::connected;

/// The limit of the strict budget.
const HARD: usize = 20;
const BEFORE: usize = 8;
const WRONG: [(&str, &[&str]); 12] = [
    ("garbage", &["SET", "KEY", "garbage"]),
    ("empty", &["SET", "KEY", ""]),
    ("the largest number", &["SET", "KEY", "9223372036854775807"]),
    ("the smallest number", &["SET", "KEY", "-9223372036854775808"]),
    ("a large float", &["SET", "KEY", "1e300"]),
    ("JSON", &["SET", "KEY", "{\"epoch\":1e300,\"members\":{\"a\":{\"seen\":1e300}}}"]),
    ("bytes", &["SETRANGE", "KEY", "70000", "\u{1}\u{fffd}"]),
    ("a list", &["RPUSH", "KEY", "1", "2"]),
    ("a hash", &["HSET", "KEY", "a", "nonsense", "calls", "9223372036854775807"]),
    ("a set", &["SADD", "KEY", "1"]),
    ("a sorted set", &["ZADD", "KEY", "1", "a"]),
    ("a stream", &["XADD", "KEY", "*", "a", "1"]),
];

async fn client(mock: &MockGitHub, redis: &RedisServer) -> Client {
    /// Of 260 clients, each would read the roots of the platform.
    static HTTP: LazyLock<reqwest::Client> = LazyLock::new(reqwest::Client::new);
    let policy = UsageConfig::new()
        .environment("test")
        .budget(Budget::new("strict", Period::Month).hard_limit(HARD as u64).fail_closed())
        .budget(Budget::new("loose", Period::Month).hard_limit(1_000));
    mock.client_builder()
        .http_client(HTTP.clone())
        .store(connected(&redis.url()).await)
        // A debug build on a machine that has other work.
        .store_timeout(Duration::from_secs(10))
        .cache(CacheConfig::default())
        .retry(RetryPolicy::disabled())
        .usage(policy)
        .build()
        .unwrap()
}

/// Returns how many of so many concurrent calls are sent; the budget rejects the others.
async fn made(github: &Client, calls: usize) -> usize {
    static NUMBER: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let call = || {
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        github.repos().get().owner("acme").repo(format!("repo-{number}")).send()
    };
    let all = join_all((0..calls).map(|_| call())).await;
    let is_made = |result: Result<_, octowire::Error>| match result {
        Ok(_) => 1,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::BudgetExhausted, "{error}");
            0
        }
    };
    all.into_iter().map(is_made).sum()
}

/// Each has servers of its own, and a share of the keys, so that their waits overlap.
const PARTS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn an_unreadable_value_is_no_outage_and_affects_only_its_own_rule() {
    let parts = (0..PARTS).map(|part| tokio::spawn(check(part)));
    for part in join_all(parts).await {
        part.unwrap();
    }
}

/// Plants each of the wrong values at each of the keys of this part.
async fn check(part: usize) {
    let mock = MockGitHub::start().await;
    let redis = RedisServer::start();
    let first = client(&mock, &redis).await;
    assert_eq!(made(&first, BEFORE).await, BEFORE);
    assert!(first.close().await);
    // Entries of the cache have a test of their own; one of them will do.
    let is_entry = |key: &&str| key.contains("cache:") && !key.ends_with(":log");
    let all = redis.ask(&["KEYS", "*"]);
    let entry = all.lines().find(is_entry);
    let keys = all.lines().filter(|key| !is_entry(key)).chain(entry).map(str::to_owned);
    let keys: BTreeSet<_> = keys.collect();
    for part in [":limits:", ":budget:", ":usage:"] {
        assert!(keys.iter().any(|key| key.contains(part)), "{part} in {keys:?}");
    }
    for key in keys.iter().skip(part).step_by(PARTS) {
        for (wrong, command) in WRONG {
            redis.ask(&["FLUSHALL"]);
            let (one, two) = (client(&mock, &redis).await, client(&mock, &redis).await);
            assert_eq!(made(&one, BEFORE - 5).await + made(&two, 5).await, BEFORE);
            redis.ask(&["DEL", key]);
            let command: Vec<_> =
                command.iter().map(|word| if *word == "KEY" { key } else { *word }).collect();
            redis.ask(&command);
            // The order of readers does not matter: a report of this client, or one of another.
            one.usage().report().await;
            two.usage().identities().await;
            let (here, there) = tokio::join!(made(&one, HARD / 2), made(&two, HARD / 2));
            let after = here + there + made(&one, HARD).await;
            // The strict budget is closed, since its total usage is unknown.
            let is_count =
                key.contains(":budget:") && key.contains("strict") && !key.ends_with("first");
            let expected = if is_count { 0 } else { HARD - BEFORE };
            assert_eq!(after, expected, "{wrong} at {key}");
            one.close().await;
            for github in [&one, &two] {
                let health = github.store_health().unwrap();
                assert_eq!((health.unavailable_for, health.outages), (None, 0), "{wrong} at {key}");
            }
        }
    }
}
