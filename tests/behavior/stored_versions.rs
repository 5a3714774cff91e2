//! Each value in a store carries the version of its format, and a later version is left to the clients that support it.

use std::collections::BTreeSet;
use std::time::Duration;

use http::Method;
use octowire::auth::{AccessToken, App, EncryptedTokenStore, EncryptionKey, TokenStore};
use octowire::bytes::Bytes;
use octowire::cache::{CacheConfig, CachePolicy, CacheSelector};
use octowire::store::{KeyValueStore, RedisStore};
use octowire::testing::MockGitHub;
use octowire::usage::{Budget, Period, UsageConfig};
use octowire::webhooks::{ClaimOutcome, Deduplicator, Reconciler};
use octowire::{Client, RetryPolicy};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::redis_servers::RedisServer;
use crate::support::connected;
use crate::support::github_app::Key;
use crate::support::resources::Resources;

/// Where a value has its version.
#[derive(Clone, Copy)]
enum Version {
    /// At the beginning: the text, with `N` for the version, and the present one.
    InValue(&'static str, &'static str),
    /// In the key.
    InKey,
}

/// The kinds of values, by a part of the key; the first that matches.
const KINDS: [(&str, Version); 11] = [
    (":limits:", Version::InValue("octowire-ledger:N\n", "3")),
    (":invalidation:", Version::InValue("octowire-invalidation:N\n", "1")),
    (":log", Version::InValue("octowire-cache-log:N\n", "1")),
    (":cache:any:", Version::InValue("octowire-last-writer:N\n", "1")),
    (":cache:", Version::InValue("octowirN", "\u{3}")),
    (":token/", Version::InValue("octowire sealed\nN", "\u{1}")),
    (":token-lock/", Version::InValue("octowire-lock:N\n", "1")),
    (":delivery:", Version::InValue("octowire-claim:N\n", "1")),
    (":reconcile:", Version::InValue("octowire-turn:N\n", "1")),
    (":budget:v1:", Version::InKey),
    (":usage:v1:", Version::InKey),
];

const TOKEN: &str = "token of a test";

fn kind(key: &str) -> (&'static str, Version) {
    let known = KINDS.into_iter().find(|(part, _)| key.contains(part));
    known.unwrap_or_else(|| panic!("{key:?} is of no known kind: does its value have a version?"))
}

/// The parts of the library that write to a store, on one Redis.
struct Fleet {
    mock: MockGitHub,
    /// A server whose tags can be predicted, as GitHub's: only then is the last identity of a response stored.
    resources: Resources,
    redis: RedisServer,
    key: Key,
}

impl Fleet {
    async fn start() -> Self {
        Self {
            mock: MockGitHub::start().await,
            resources: Resources::start().await,
            redis: RedisServer::start(),
            key: Key::generate(),
        }
    }

    async fn store(&self) -> RedisStore {
        connected(&self.redis.url()).await
    }

    async fn tokens(&self) -> EncryptedTokenStore {
        let key = EncryptionKey::from_bytes([7; 32]);
        EncryptedTokenStore::new(self.store().await, key).lock_wait(Duration::from_millis(300))
    }

    async fn client(&self) -> Client {
        let budget = Budget::new("strict", Period::Month).hard_limit(1_000).soft_limit(2);
        let app = App::new("Iv23liOctowire", self.key.pem.clone()).unwrap();
        self.mock
            .client_builder()
            .auth(app.installation(42))
            .token_store(self.tokens().await)
            .store(self.store().await)
            .store_timeout(Duration::from_secs(5))
            .cache(CacheConfig::default().default_policy(CachePolicy::revalidate()))
            .usage(UsageConfig::new().budget(budget))
            .retry(RetryPolicy::disabled())
            .build()
            .unwrap()
    }

    /// Uses each part.
    async fn run(&self) {
        let github = self.client().await;
        for _ in 0..3 {
            github.repos().get().owner("acme").repo("rocket").send().await.unwrap();
        }
        let issues = github.issues();
        issues.create().owner("acme").repo("rocket").title("It leaks").send().await.unwrap();
        github.cache().invalidate(CacheSelector::all()).await;
        assert!(github.close().await);

        let predictable = self.resources.server.default_client_builder().token("ghp_hunter2");
        let predictable = predictable.store(self.store().await).cache(CacheConfig::default());
        let predictable = predictable.store_timeout(Duration::from_secs(5)).build().unwrap();
        predictable.request(Method::GET, "/x").send::<Value>().await.unwrap();
        assert!(predictable.close().await);

        let once = Deduplicator::new(self.store().await);
        if let ClaimOutcome::Claimed(claim) = once.try_claim("handled").await.unwrap() {
            claim.complete().await.unwrap();
        }
        once.try_claim("in-progress").await.unwrap();
        let reconciler = Reconciler::app(github.clone()).exclusive(self.store().await);
        let hour = Duration::from_secs(3_600);
        let _ = tokio::time::timeout(Duration::from_secs(1), reconciler.run_every(hour)).await;
        let token = AccessToken::new("ghs_hunter2").unwrap();
        let _ = self.tokens().await.save(TOKEN, &token).await;
    }

    fn keys(&self) -> BTreeSet<String> {
        self.redis.ask(&["KEYS", "*"]).lines().map(str::to_owned).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_value_in_a_store_has_a_version() {
    let fleet = Fleet::start().await;
    fleet.run().await;
    // A lock is there while it is held.
    let lock = fleet.tokens().await.lock(TOKEN).await.unwrap();
    let mut found = BTreeSet::new();
    for key in fleet.keys() {
        let (part, version) = kind(&key);
        found.insert(part);
        if let Version::InValue(text, present) = version {
            let value = fleet.redis.ask(&["GET", &key]);
            let start = text.replace('N', present);
            assert!(value.starts_with(&start), "{key}: {value:?} does not start with {start:?}");
        }
    }
    drop(lock);
    let all: BTreeSet<_> = KINDS.iter().map(|(part, _)| *part).collect();
    assert_eq!(found, all, "each kind of value is written");
}

/// Returns a value of a later version.
fn later_value(text: &str, present: &str) -> Vec<u8> {
    let next = if present.starts_with(|c: char| c.is_ascii_digit()) { "9" } else { "\u{9}" };
    let mut value = text.replace('N', next).into_bytes();
    if text.starts_with("octowire sealed") {
        // A header is the same in all versions: the key, a length, and the check of the header.
        value.extend_from_slice(&[0; 16]);
        let check = Sha256::digest(&value);
        value.extend_from_slice(&check[..8]);
    }
    value.extend_from_slice(b"of a later client");
    value
}

/// The parts of a later version that the library replaces with its next response or token: a client of that version
/// does the same.
const REPLACED: [&str; 3] = [":cache:any:", ":cache:", ":token/"];

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_a_later_version_is_left_unchanged_and_is_no_outage() {
    let fleet = Fleet::start().await;
    fleet.run().await;
    let lock = fleet.tokens().await.lock(TOKEN).await.unwrap();
    let store = fleet.store().await;
    let mut later = Vec::new();
    for key in fleet.keys() {
        let (part, version) = kind(&key);
        let Version::InValue(text, present) = version else { continue };
        let value = Bytes::from(later_value(text, present));
        // The keys of the server have a prefix.
        let key = key.strip_prefix("octowire:").unwrap().to_owned();
        store.put(&key, value.clone(), Duration::from_secs(600)).await.unwrap();
        later.push((key, part, value));
    }
    drop(lock);

    // Reads alone change nothing, whatever the kind.
    let once = Deduplicator::new(fleet.store().await);
    for delivery in ["handled", "in-progress"] {
        let claimed = once.try_claim(delivery).await.unwrap();
        assert!(matches!(claimed, ClaimOutcome::InProgress), "{delivery}: {claimed:?}");
    }
    let error = fleet.tokens().await.load(TOKEN).await.unwrap_err();
    assert!(error.to_string().contains("has format 9"), "{error}");
    assert!(fleet.tokens().await.lock(TOKEN).await.is_err(), "it is held");
    for (key, part, value) in &later {
        assert_eq!(store.get(key).await.unwrap().as_ref(), Some(value), "{part}: {key}");
    }

    // Calls continue without them.
    let github = fleet.client().await;
    for _ in 0..3 {
        github.repos().get().owner("acme").repo("rocket").send().await.unwrap();
    }
    let health = github.store_health().unwrap();
    assert_eq!((health.unavailable_for, health.outages), (None, 0));
    assert!(github.health().is_ready());
    drop(github);
    for (key, part, value) in later.iter().filter(|(_, part, _)| !REPLACED.contains(part)) {
        assert_eq!(store.get(key).await.unwrap().as_ref(), Some(value), "{part}: {key}");
    }
}
