//! Which responses that repeat parts of their request are shared.

use http::{HeaderValue, Method};
use octowire::ClientBuilder;
use octowire::cache::{CacheConfig, CachePolicy, CacheStatus};
use octowire::store::MemoryStore;
use serde_json::{Value, json};
use std::time::Duration;

use crate::captured_output::Log;
use crate::support::{self, Received, Reply, Server};

/// Asks by two clients that share a cache, of a server that repeats this header in the body. Returns how
/// the second one came by its response.
async fn second(name: &'static str, value: HeaderValue) -> CacheStatus {
    let server = Server::start(move |request: Received| async move {
        let body = json!({ "said": request.headers.get(name) }).to_string();
        Reply::Raw(support::json_response("200 OK", "cache-control: max-age=600\r\n", &body))
    });
    let (server, store) = (server.await, MemoryStore::new());
    let client = |builder: ClientBuilder| {
        let policy = CachePolicy::max_age(Duration::from_secs(600));
        let cache = CacheConfig::store(store.clone()).default_policy(policy);
        builder.default_header(name, value.clone()).cache(cache).build().unwrap()
    };
    let mut status = CacheStatus::Bypass;
    for _ in 0..2 {
        let call = client(server.default_client_builder()).request(Method::GET, "/repeat");
        let response = call.send::<Value>().await.unwrap();
        assert_eq!(response["said"], value.to_str().unwrap());
        status = response.meta().cache_status();
    }
    status
}

#[tokio::test]
async fn a_response_that_repeats_an_ordinary_header_is_shared() {
    for (name, value) in [
        ("time-zone", "Europe/Amsterdam"),
        ("graphql-features", "merge_queue,issue_types_2024"),
        ("x-github-next", "a1b2c3d4e5f6a7b8"),
        ("accept-language", "en-GB,en;q=0.9"),
        ("x-org", "shared-cache-organization"),
        ("x-client", "shared-cache/1.23.4-rc1"),
        ("x-correlation-id", "0b5d7e8c-6f1a-4d3b-9c2e-7a8b9c0d1e2f"),
        ("x-b3-traceid", "463ac35c9f6413ad48485a3953bb6124"),
        ("x-auth-provider", "shared-cache.example.com"),
        ("x-auth-request-user", "shared-cache-user"),
        ("x-token-type", "shared-cache-type"),
        ("x-worker", "SharedCacheWorker"),
        ("x-team", "sharedcacheplatformengineering"),
        ("x-region", "australiacentral2"),
        ("x-routing-key", "payments"),
        ("x-cache-key", "production"),
        ("x-gateway", "us-east-1"),
        ("x-gateway", "shared-cache-gateway"),
    ] {
        let value = HeaderValue::from_static(value);
        assert_eq!(second(name, value).await, CacheStatus::Hit, "{name}");
    }
}

#[tokio::test]
async fn a_response_that_repeats_a_secret_is_not_shared_and_the_log_says_so() {
    let log = Log::of_everything();
    let mut marked = HeaderValue::from_static("shared-cache-marked");
    marked.set_sensitive(true);
    for (name, value) in [
        ("x-proxy-key", HeaderValue::from_static("shared-cache-key")),
        ("x-upstream", HeaderValue::from_static("s4h8a2r6e0d-c4a8c2h6e0")),
        ("x-pass", HeaderValue::from_static("sharedcachesharedcache")),
        ("x-upstream", HeaderValue::from_static("xoxb-shared-cache")),
        ("x-gateway", HeaderValue::from_static("s4h8a2r6e0d-g4a8t2w6a0y")),
        ("x-gateway", HeaderValue::from_static("Bearer shared-cache-bearer")),
        ("x-routing-key", HeaderValue::from_static("s4h8a2r6e0dk4e8y")),
        ("x-pass", HeaderValue::from_static("shared-cache words")),
        ("x-org", marked.clone()),
        ("x-github-next", marked.clone()),
        ("time-zone", marked),
    ] {
        assert_eq!(second(name, value).await, CacheStatus::Miss, "{name}");
    }
    let log = log.text();
    let lines =
        log.lines().filter(|line| line.contains("response not stored: it contains a secret"));
    assert!(lines.count() >= 8, "{log}");
}

/// A server can sign the URL that it redirects to, and the parameter can be too short to be known.
#[tokio::test]
async fn a_response_whose_url_has_a_parameter_called_like_a_secret_is_not_shared() {
    for (path, expected) in [
        ("/plain?page=2", CacheStatus::Hit),
        ("/plain?auth=abc1", CacheStatus::Miss),
        ("/plain?Access_Token=1234567", CacheStatus::Miss),
        ("/moved?to=%2Fplain%3Fpage%3D3", CacheStatus::Hit),
        ("/moved?to=%2Fplain%3Ftoken%3Dabc1", CacheStatus::Miss),
        ("/moved?to=%2Fplain%3Fsignature%3Ds1gn3d0f5h4r3d", CacheStatus::Miss),
    ] {
        let server = Server::start(|request: Received| async move {
            let url = url::Url::parse(&format!("http://a.example{}", request.target)).unwrap();
            let to = url.query_pairs().find(|(name, _)| name == "to");
            Reply::Raw(match to {
                Some((_, to)) => {
                    support::json_response("302 Found", &format!("location: {to}\r\n"), "{}")
                }
                None => support::json_response("200 OK", "cache-control: max-age=600\r\n", "{}"),
            })
        });
        let (server, store) = (server.await, MemoryStore::new());
        let mut status = CacheStatus::Bypass;
        for _ in 0..2 {
            let policy = CachePolicy::max_age(Duration::from_secs(600));
            let cache = CacheConfig::store(store.clone()).default_policy(policy);
            let client = server.default_client_builder().cache(cache).build().unwrap();
            let response = client.request(Method::GET, path).send::<Value>().await.unwrap();
            status = response.meta().cache_status();
        }
        assert_eq!(status, expected, "{path}");
    }
}
