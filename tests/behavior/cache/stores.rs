//! The guarantees of the cache with every store, and with failing stores.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use http::Method;
use octowire::cache::{CacheConfig, CachePolicy, CacheSelector, CacheStatus};
use octowire::store::{DiskStore, KeyValueStore, MemoryStore};
use octowire::{Client, ErrorKind};
use serde_json::{Value, json};

use super::{Rotating, get, status};
use crate::support::Folder;
use crate::support::resources::Resources;

/// Machines that run tests are busy: what these tests are about does not depend on how fast a store is.
const PATIENT: Duration = Duration::from_secs(10);

/// Two processes that share a store, as far as the cache can tell.
async fn two_share(cache: impl Fn() -> CacheConfig) {
    let github = Resources::start().await;
    let client = || {
        let cache = cache().default_policy(CachePolicy::five_minutes()).compress_above(2_000);
        github
            .server
            .default_client_builder()
            .auth(Rotating::new("octo"))
            .cache(cache)
            .build()
            .unwrap()
    };
    github.state().body = |path, version, _| {
        let more = if path == "/large" { "x".repeat(50_000) } else { String::new() };
        json!({ "version": version, "more": more }).to_string()
    };
    let (one, other) = (client(), client());
    for path in ["/small", "/large"] {
        assert_eq!(status(&one, path).await, CacheStatus::Miss);
        // It is written after the call.
        one.close().await;
        let hit = get(&other, path).await;
        assert_eq!(hit.meta().cache_status(), CacheStatus::Hit);
        assert_eq!(&*hit, &*get(&one, path).await);
        assert_eq!(hit.meta().headers()["content-type"], "application/json; charset=utf-8");
        // The other one has another token, for which the tag is computed.
        let again = other.request(Method::GET, path).cache(CachePolicy::revalidate());
        let again = again.send::<Value>().await.unwrap();
        assert_eq!((again.meta().cache_status(), &*again), (CacheStatus::Revalidated, &*hit));
    }
    // The other client sees a write within a second.
    one.request(Method::PUT, "/small").send_empty().await.unwrap();
    assert_eq!(get(&one, "/small").await["version"], 1);
    other.cache().purge(CacheSelector::prefix("/large")).await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(status(&one, "/large").await, CacheStatus::Miss);
    assert_eq!(get(&other, "/small").await["version"], 1);
    // A client that starts later has no history, and revalidates.
    one.cache().purge(CacheSelector::prefix("/x")).await;
    assert_eq!(status(&client(), "/small").await, CacheStatus::Revalidated);
}

#[tokio::test]
async fn two_share_a_memory() {
    let store = MemoryStore::new();
    two_share(|| CacheConfig::store(store.clone()).store_timeout(PATIENT)).await;
}

const KEY: &str = "hunter2-hunter2-hunter2";

#[tokio::test]
async fn two_share_a_memory_with_a_key() {
    let store = MemoryStore::new();
    two_share(|| CacheConfig::store(store.clone()).integrity_key(KEY).store_timeout(PATIENT)).await;
}

#[tokio::test]
async fn a_client_with_another_integrity_key_reads_no_stored_entry() {
    let github = Resources::start().await;
    let store = MemoryStore::new();
    let client = |key: Option<&str>| {
        let cache = CacheConfig::store(store.clone()).default_policy(CachePolicy::five_minutes());
        let cache = cache.store_timeout(PATIENT);
        let cache = match key {
            Some(key) => cache.integrity_key(key),
            None => cache,
        };
        github.server.default_client_builder().cache(cache).build()
    };
    let keys = [Some(KEY), None, Some("another-key-of-hunter2")];
    for (stored_by, read_by) in keys.into_iter().flat_map(|key| keys.map(|other| (key, other))) {
        let path = "/x";
        get(&client(stored_by).unwrap(), path).await;
        let expected = if stored_by == read_by { CacheStatus::Hit } else { CacheStatus::Miss };
        assert_eq!(status(&client(read_by).unwrap(), path).await, expected);
    }
    let short = client(Some("too short")).unwrap_err();
    assert_eq!(short.kind(), ErrorKind::Configuration);
    let shown = format!("{:?} {short:?}", CacheConfig::default().integrity_key(KEY));
    assert!(!shown.contains("hunter2") && !shown.contains("too short"), "{shown}");
}

/// Another program writes to the key of the invalidation log.
#[tokio::test]
async fn an_invalidation_log_with_an_impossible_sequence_number_restarts() {
    let github = Resources::start().await;
    let store = MemoryStore::new();
    let client = || {
        let cache = CacheConfig::store(store.clone()).default_policy(CachePolicy::five_minutes());
        let cache = cache.store_timeout(PATIENT);
        github
            .server
            .default_client_builder()
            .auth(Rotating::new("octo"))
            .cache(cache)
            .build()
            .unwrap()
    };
    let name = format!("cache:{}/:log", github.server.url);
    let day = Duration::from_secs(24 * 60 * 60);
    for number in ["18446744073709551615", "4503599627370496", "none"] {
        assert!(store.get(&name).await.unwrap().is_some() || number == "18446744073709551615");
        let value = format!("octowire-cache-log:1\n{number}");
        store.put(&name, value.into(), day).await.unwrap();
        let (one, other) = (client(), client());
        get(&one, "/repos/o/r").await;
        assert_eq!(status(&one, "/repos/o/r").await, CacheStatus::Hit);
        assert_eq!(status(&other, "/repos/o/r").await, CacheStatus::Hit);
        // The other client reads the invalidation.
        other.cache().invalidate(CacheSelector::prefix("/repos/o")).await;
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        assert_eq!(status(&one, "/repos/o/r").await, CacheStatus::Revalidated);
        let number = String::from_utf8(store.get(&name).await.unwrap().unwrap().to_vec()).unwrap();
        let number = number.strip_prefix("octowire-cache-log:1\n").unwrap();
        assert!(number.parse::<u64>().unwrap() < 1 << 50, "{number}");
    }
}

#[tokio::test]
async fn two_share_a_disk() {
    let folder = Folder::new("cache-shared");
    two_share(|| CacheConfig::store(DiskStore::open(&folder.0).unwrap()).store_timeout(PATIENT))
        .await;
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn two_share_a_redis() {
    use octowire::store::RedisStore;
    let server = crate::redis_servers::RedisServer::start();
    let redis = || RedisStore::builder(server.url()).build().unwrap();
    two_share(|| CacheConfig::store(redis()).store_timeout(PATIENT)).await;
    // Everything that is kept goes by itself.
    for name in server.ask(&["KEYS", "*"]).lines() {
        assert!(server.ask(&["PTTL", name]).parse::<i64>().unwrap() > 0, "{name}");
    }
}

#[tokio::test]
async fn a_value_that_is_too_large_for_a_store_is_not_kept() {
    let github = Resources::start().await;
    github.state().body = |_, _, token| format!("\"{}{token}\"", "x".repeat(30_000));
    for (largest, expected) in [(20_000, CacheStatus::Miss), (40_000, CacheStatus::Hit)] {
        let cache =
            CacheConfig::store(MemoryStore::new()).default_policy(CachePolicy::five_minutes());
        let cache = cache.max_entry_bytes(largest).compress_above(1 << 20).store_timeout(PATIENT);
        let client = github.server.default_client_builder().cache(cache).build().unwrap();
        client.request(Method::GET, "/x").send::<String>().await.unwrap();
        let again = client.request(Method::GET, "/x").send::<String>().await.unwrap();
        assert_eq!(again.meta().cache_status(), expected);
    }
}

#[tokio::test]
async fn a_damaged_entry_or_another_format_version_is_a_miss() {
    let github = Resources::start().await;
    let folder = Folder::new("cache-damaged");
    let client = || {
        let cache = CacheConfig::store(DiskStore::open(&folder.0).unwrap())
            .default_policy(CachePolicy::five_minutes());
        let cache = cache.store_timeout(PATIENT);
        github.server.default_client_builder().cache(cache).build().unwrap()
    };
    let first = client();
    get(&first, "/x").await;
    first.close().await;
    assert_eq!(status(&client(), "/x").await, CacheStatus::Hit);
    for damage in [
        |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 2),
        |bytes: &mut Vec<u8>| bytes.clear(),
        |bytes: &mut Vec<u8>| *bytes.last_mut().unwrap() ^= 1,
        |bytes: &mut Vec<u8>| bytes[7] += 1,
    ] {
        let files = std::fs::read_dir(folder.0.join("octowire-store"))
            .unwrap()
            .map(|entry| entry.unwrap().path());
        for place in files.filter(|path| path.is_dir()) {
            for file in std::fs::read_dir(place).unwrap() {
                let path = file.unwrap().path();
                let mut bytes = std::fs::read(&path).unwrap();
                damage(&mut bytes);
                std::fs::write(&path, bytes).unwrap();
            }
        }
        let client = client();
        assert_eq!(status(&client, "/x").await, CacheStatus::Miss);
        assert_eq!(status(&client, "/x").await, CacheStatus::Hit);
        client.close().await;
    }
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn a_store_that_is_gone_costs_a_miss_and_no_more() {
    use octowire::store::RedisStore;
    let github = Resources::start().await;
    let mut server = crate::redis_servers::RedisServer::start();
    let cache = CacheConfig::store(RedisStore::builder(server.url()).build().unwrap());
    let cache = cache.default_policy(CachePolicy::five_minutes()).store_timeout(PATIENT);
    let client = github.server.default_client_builder().cache(cache).build().unwrap();
    get(&client, "/x").await;
    // It is written after the call.
    client.close().await;
    assert_eq!(status(&client, "/x").await, CacheStatus::Hit);
    server.kill();
    for _ in 0..5 {
        assert_eq!(status(&client, "/x").await, CacheStatus::Miss);
    }
    // Writes in the meantime are not lost.
    client.request(Method::PUT, "/x").send_empty().await.unwrap();
    server.restart();
    let back = async {
        while status(&client, "/x").await != CacheStatus::Hit {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), back).await.unwrap();
    assert_eq!(get(&client, "/x").await["version"], 1);
}

/// Answers that tell whether they are whole.
fn body(path: &str, version: u64, _: &str) -> String {
    let part = format!("{path}:{version};");
    json!({ "version": version, "parts": part.repeat(2_000) }).to_string()
}

fn is_whole(path: &str, response: &Value) -> bool {
    let part = format!("{path}:{};", response["version"]);
    response["parts"].as_str().is_some_and(|parts| parts == part.repeat(2_000))
}

const PATHS: usize = 8;

#[tokio::test]
async fn a_process_that_is_killed_leaves_responses_whole_or_not_at_all() {
    let github = Resources::start().await;
    github.state().body = body;
    let folder = Folder::new("cache-killed");
    let (_, module) = module_path!().split_once("::").unwrap();
    let mut kept = 0;
    for round in 0..12 {
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", &format!("{module}::a_writer")])
            .env("GITHUB", &github.server.url)
            .env("FOLDER", &folder.0)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It comes to write before it is killed, however long it takes to start.
        let (before, start) = (github.server.request_count(), Instant::now());
        while github.server.request_count() < before + 8 {
            assert!(start.elapsed() < Duration::from_secs(60), "the writer does not write");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(150 + 37 * round)).await;
        writer.kill().unwrap();
        writer.wait().unwrap();
        let cache = CacheConfig::store(DiskStore::open(&folder.0).unwrap()).store_timeout(PATIENT);
        let client = github.server.default_client_builder().cache(cache).build().unwrap();
        for path in (0..PATHS).map(|number| format!("/x/{number}")) {
            let call = client.request(Method::GET, &*path).cache(CachePolicy::only_if_cached());
            match call.send::<Value>().await {
                Ok(response) => {
                    assert!(is_whole(&path, &response));
                    kept += 1;
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::NotCached),
            }
        }
    }
    assert!(kept > 12, "{kept}: the writer did not come to write");
}

/// The process that is killed: it reads resources that change with each read, from two threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a process of the test above"]
async fn a_writer() {
    let (Ok(github), Ok(folder)) = (std::env::var("GITHUB"), std::env::var("FOLDER")) else {
        return;
    };
    let cache = CacheConfig::store(DiskStore::open(folder).unwrap()).store_timeout(PATIENT);
    let limits = octowire::rate_limit::RateLimitPolicy::disabled();
    let client = Client::builder().base_url(github).rate_limits(limits).cache(cache);
    let client = client.build().unwrap();
    let write = async |start: usize| {
        for number in start.. {
            let path = format!("/x/{}", number % PATHS);
            client.request(Method::PUT, &*path).send_empty().await.unwrap();
            get(&client, &path).await;
        }
    };
    tokio::join!(write(0), write(PATHS / 2));
}

#[tokio::test]
async fn no_token_is_in_a_stored_entry_or_its_key() {
    let github = Resources::start().await;
    let folder = Folder::new("cache-tokens");
    let cache = || {
        let cache = CacheConfig::store(DiskStore::open(&folder.0).unwrap()).compress_above(1 << 20);
        cache.default_policy(CachePolicy::max_age(Duration::ZERO)).store_timeout(PATIENT)
    };
    let token = "ghp_canaryOfAToken0123456789";
    let builder = || github.server.default_client_builder().cache(cache());
    let personal = builder().token(token).build().unwrap();
    let rotating = builder().auth(Rotating::new("octo")).build().unwrap();
    for client in [&personal, &rotating] {
        for path in ["/user", "/user", "/repos/o/r"] {
            get(client, path).await;
        }
        client.request(Method::PUT, "/user").send_empty().await.unwrap();
        client.close().await;
    }
    let mut seen = format!("{personal:?} {rotating:?} {:?}", get(&personal, "/user").await);
    let mut folders = vec![folder.0.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            seen += &path.display().to_string();
            if path.is_dir() {
                folders.push(path);
            } else {
                seen += &String::from_utf8_lossy(&std::fs::read(path).unwrap());
            }
        }
    }
    assert!(seen.contains("cache:") && seen.contains("/repos/o/r"), "it is read");
    for secret in ["canaryOfAToken", "ghs_octo", "Bearer", "authorization"] {
        assert!(!seen.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn a_background_refresh_updates_the_entry_in_a_store() {
    let github = Resources::start().await;
    let policy = CachePolicy::max_age(Duration::from_secs(3));
    let policy = policy.stale_while_revalidate(Duration::from_secs(600));
    let cache =
        CacheConfig::store(MemoryStore::new()).default_policy(policy).store_timeout(PATIENT);
    let client = github.server.default_client_builder().cache(cache).build().unwrap();
    get(&client, "/x").await;
    tokio::time::sleep(Duration::from_millis(3_200)).await;
    assert_eq!(status(&client, "/x").await, CacheStatus::Stale);
    let becomes_fresh = async {
        while status(&client, "/x").await != CacheStatus::Hit {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), becomes_fresh).await.expect("it is never fresh");
    assert_eq!(github.sent(), 2);
}
