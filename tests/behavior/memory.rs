//! Stored data takes at most 1.5 times the documented bound, with any other traffic.
//!
//! Each test is a process of its own, whose allocations are counted.

use std::time::{Duration, Instant};

use http::Method;
use octowire::cache::{CacheConfig, CachePolicy};
use octowire::rate_limit::RateLimitPolicy;
use octowire::store::{KeyValueStore, MemoryStore};
use octowire::testing::MockGitHub;
use octowire::{Client, Error, RetryPolicy};
use serde::de::IgnoredAny;

use crate::measured_process::{alone, live, resident};
use crate::threaded_server::{self, Protocol};

const MIB: usize = 1024 * 1024;
/// The bound of the caches here: so large that the memory of a connection is negligible.
const BOUND: usize = 3 * MIB / 2;
/// The memory of one error or response besides its body: its table of headers, with 1.5 KB of content.
const ONE: usize = 8 * 1024;

/// A client that has a connection.
async fn client(protocol: Protocol, cache: CacheConfig) -> Client {
    let mut http = reqwest::Client::builder();
    if protocol == Protocol::Http2 {
        http = http.http2_prior_knowledge();
    }
    let client = Client::builder()
        .base_url(threaded_server::start(protocol))
        .http_client(http.build().unwrap())
        .token("t0ken")
        .rate_limits(RateLimitPolicy::disabled())
        .retry(RetryPolicy::disabled())
        .cache(cache)
        .build()
        .unwrap();
    read(&client, "/large").await.unwrap();
    client
}

/// Asserts that what `fill` keeps takes no more than its bound and half of it, beside what there is without it, and
/// returns the part of the bound that it takes.
fn measure<C, T>(
    what: &str,
    bound: usize,
    prepare: impl AsyncFnOnce() -> C,
    fill: impl AsyncFnOnce(&C) -> T,
) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let prepared = prepare().await;
        rest().await;
        let (before, resident_before) = (live(), resident());
        let kept = fill(&prepared).await;
        // Connections have ended their work.
        rest().await;
        let share = live().saturating_sub(before) as f64 / bound as f64;
        let grown =
            resident().zip(resident_before).map_or(0, |(now, then)| now.saturating_sub(then));
        println!("{what}: {share:.2} of its bound ({grown} bytes more resident)");
        assert!(share <= 1.5, "{what} takes {share:.2} times its bound of {bound} bytes");
        // The code that runs for the first time, and what the allocator has free, are resident as well.
        assert!(grown <= bound + bound / 2 + 8 * MIB, "{what}: {grown} bytes more are resident");
        drop((kept, prepared));
        share
    })
}

/// Waits until nothing has been allocated or freed for a while.
async fn rest() {
    let (start, mut seen, mut unchanged) = (Instant::now(), live(), 0);
    while unchanged < 3 && start.elapsed() < Duration::from_secs(10) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = live();
        unchanged = if now == seen { unchanged + 1 } else { 0 };
        seen = now;
    }
}

async fn read(client: &Client, path: &str) -> Result<(), Error> {
    client.request(Method::GET, path).send::<IgnoredAny>().await.map(drop)
}

/// Calls while a large body comes, over HTTP/2 on the same connection, and over HTTP/1 on the one that the last large body
/// came on.
async fn beside_large<T>(client: &Client, call: impl Future<Output = T>) -> T {
    let large = client.request(Method::GET, "/large").send_empty();
    // The first request gets the connection that became free last.
    let (result, large) = tokio::join!(call, large);
    large.unwrap();
    result
}

/// A cache of [`BOUND`] is filled over and over.
fn cache(protocol: Protocol, paths: &[&str], count: usize, large: bool) {
    let beside = if large { "beside large bodies" } else { "alone" };
    let what = format!("a cache of {paths:?} {beside} over {protocol:?}");
    let prepare = async || client(protocol, CacheConfig::memory(BOUND)).await;
    let share = measure(&what, BOUND, prepare, async |client| {
        for number in 0..count {
            for path in paths {
                let path = format!("{path}{number}");
                match large {
                    true => beside_large(client, read(client, &path)).await.unwrap(),
                    false => read(client, &path).await.unwrap(),
                }
            }
        }
        assert!(client.cache().memory_bytes() <= BOUND);
    });
    assert!(share > 0.6, "{what} is not full: {share:.2}");
}

#[test]
fn a_cache_of_small_bodies_keeps_to_its_bound() {
    alone(module_path!(), "a_cache_of_small_bodies_keeps_to_its_bound", || {
        cache(Protocol::Http1, &["/small/"], 500, false);
        cache(Protocol::Http2, &["/small/"], 500, false);
    });
}

#[test]
fn a_cache_of_small_bodies_beside_large_ones_keeps_to_its_bound() {
    alone(module_path!(), "a_cache_of_small_bodies_beside_large_ones_keeps_to_its_bound", || {
        cache(Protocol::Http1, &["/small/"], 300, true);
        cache(Protocol::Http2, &["/small/"], 300, true);
    });
}

#[test]
fn a_cache_of_all_sorts_keeps_to_its_bound() {
    alone(module_path!(), "a_cache_of_all_sorts_keeps_to_its_bound", || {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            cache(protocol, &["/headers/"], 150, false);
            cache(protocol, &["/small/", "/gzip/", "/middle/", "/headers/"], 50, true);
        }
    });
}

#[test]
fn a_cache_of_confirmed_responses_keeps_to_its_bound() {
    alone(module_path!(), "a_cache_of_confirmed_responses_keeps_to_its_bound", || {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let what = format!("confirmed responses over {protocol:?}");
            let prepare = async || client(protocol, CacheConfig::memory(BOUND)).await;
            measure(&what, BOUND, prepare, async |client| {
                // As many as there is room for.
                for _ in 0..2 {
                    for number in 0..150 {
                        let path = format!("/small/{number}");
                        beside_large(client, read(client, &path)).await.unwrap();
                    }
                }
            });
        }
    });
}

#[test]
fn a_cache_in_a_store_in_memory_keeps_to_its_bound() {
    alone(module_path!(), "a_cache_in_a_store_in_memory_keeps_to_its_bound", || {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let prepare = async || {
                let cache = CacheConfig::store(MemoryStore::with_max_bytes(BOUND));
                let cache =
                    cache.default_policy(CachePolicy::five_minutes()).compress_above(usize::MAX);
                client(protocol, cache).await
            };
            let what = format!("a cache in a store over {protocol:?}");
            measure(&what, BOUND, prepare, async |client| {
                for number in 0..350 {
                    let path = format!("/small/{number}");
                    beside_large(client, read(client, &path)).await.unwrap();
                }
            });
        }
    });
}

#[test]
fn a_store_of_small_values_keeps_to_its_bound() {
    alone(module_path!(), "a_store_of_small_values_keeps_to_its_bound", || {
        let prepare = async || MemoryStore::with_max_bytes(BOUND);
        let share = measure("a store of small values", BOUND, prepare, async |store| {
            for number in 0..25_000 {
                let key = format!("key {number}");
                store.put(&key, "done".into(), Duration::from_secs(60)).await.unwrap();
            }
        });
        assert!(share > 0.6, "{share}");
    });
}

#[test]
fn errors_take_no_more_than_their_bodies_and_headers() {
    alone(module_path!(), "errors_take_no_more_than_their_bodies_and_headers", || {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let what = format!("errors over {protocol:?}");
            let prepare = async || client(protocol, CacheConfig::disabled()).await;
            measure(&what, 200 * ONE, prepare, async |client| {
                let mut errors = Vec::new();
                for number in 0..200 {
                    let path = format!("/missing/{number}");
                    let error = beside_large(client, read(client, &path)).await.unwrap_err();
                    assert!(error.is_not_found() && error.body().is_some());
                    errors.push(error);
                }
                errors
            });
        }
    });
}

#[test]
fn errors_of_items_do_not_take_their_page() {
    alone(module_path!(), "errors_of_items_do_not_take_their_page", || {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let what = format!("errors of items over {protocol:?}");
            let prepare = async || client(protocol, CacheConfig::disabled()).await;
            measure(&what, 200 * ONE, prepare, async |client| {
                let mut errors = Vec::new();
                for number in 0..200 {
                    let path = format!("/items/{number}");
                    let pages = client.request(Method::GET, &path).items(|page: Vec<u64>| page);
                    let error = beside_large(client, first_error(pages)).await;
                    assert_eq!(error.body().unwrap().len(), 92);
                    errors.push(error);
                }
                errors
            });
        }
    });
}

async fn first_error(mut items: octowire::Items<u64>) -> Error {
    items.next().await.unwrap().unwrap_err()
}

/// Of a body of 300 KB with 100,000 errors, a hundred are kept.
#[test]
fn an_error_of_many_errors_takes_little_more_than_its_body() {
    alone(module_path!(), "an_error_of_many_errors_takes_little_more_than_its_body", || {
        let prepare = async || client(Protocol::Http1, CacheConfig::disabled()).await;
        measure("errors with many details", 20 * (300_000 + 4 * ONE), prepare, async |client| {
            let mut errors = Vec::new();
            for number in 0..20 {
                let error = read(client, &format!("/invalid/{number}")).await.unwrap_err();
                assert_eq!(error.api().unwrap().errors.len(), 100);
                errors.push(error);
            }
            errors
        });
    });
}

#[test]
fn responses_take_no_more_than_their_headers() {
    alone(module_path!(), "responses_take_no_more_than_their_headers", || {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let what = format!("responses over {protocol:?}");
            let prepare = async || client(protocol, CacheConfig::disabled()).await;
            measure(&what, 200 * ONE, prepare, async |client| {
                let mut responses = Vec::new();
                for number in 0..200 {
                    let path = format!("/small/{number}");
                    let call = client.request(Method::GET, &path).send_empty();
                    responses.push(beside_large(client, call).await.unwrap());
                }
                responses
            });
        }
    });
}

/// Limits, health and the calls that failed last, which the dashboard reports.
#[test]
fn client_state_about_calls_is_bounded() {
    alone(module_path!(), "client_state_about_calls_is_bounded", || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = runtime.block_on(client(Protocol::Http1, CacheConfig::disabled()));
        let call = async |count: usize| {
            for number in 0..count {
                read(&client, &format!("/hostile/{number}")).await.unwrap_err();
            }
            // The connections of these calls have ended.
            rest().await;
            live()
        };
        // The memory of a new client.
        let before = runtime.block_on(call(1));
        let after = runtime.block_on(call(400));
        let share = after.saturating_sub(before) as f64 / (300 * 1024) as f64;
        println!("what a client remembers: {share:.2} of its bound");
        assert!(share <= 1.5, "{share:.2}");
        let health = client.health().to_json();
        assert!(health.len() < 20_000, "{} bytes of health", health.len());
    });
}

#[test]
fn the_mock_s_log_keeps_to_its_bound() {
    alone(module_path!(), "the_mock_s_log_keeps_to_its_bound", || {
        let large = bytes::Bytes::from(vec![b' '; 512 * 1024]);
        let send = async |client: &Client, body: bytes::Bytes| {
            let call = client.request(Method::PUT, "/unknown").body("text/plain", body);
            call.send_empty().await.unwrap_err();
        };
        let prepare = async || {
            let mock = MockGitHub::start().await;
            let client =
                mock.client_builder().retry(RetryPolicy::disabled()).cache(CacheConfig::disabled());
            let client = client.rate_limits(RateLimitPolicy::disabled()).build().unwrap();
            send(&client, large.clone()).await;
            (mock, client)
        };
        measure("the mock's log", 64 * MIB, prepare, async |(_, client)| {
            for _ in 0..160 {
                send(client, large.clone()).await;
                send(client, "small".into()).await;
            }
        });
    });
}

#[cfg(feature = "webhooks")]
#[test]
fn a_receiver_s_queue_keeps_to_its_bound() {
    use bytes::Bytes;
    use http_body_util::Full;
    use octowire::webhooks::{Delivery, OutgoingDelivery, Verifier, WebhookReceiver};
    use tower::ServiceExt;

    alone(module_path!(), "a_receiver_s_queue_keeps_to_its_bound", || {
        let prepare = async || {
            let verifier = Verifier::new("the secret of the webhook").unwrap();
            let receiver = WebhookReceiver::builder(verifier).max_queued(1_000, 32 * MIB as u32);
            receiver
                .start(|_: Delivery| std::future::pending::<Result<(), std::io::Error>>())
                .unwrap()
        };
        measure("a receiver's queue", 32 * MIB, prepare, async |receiver| {
            let payload = serde_json::json!({ "action": "opened", "text": "x".repeat(100_000) });
            let (mut accepted, mut refused) = (0, 0);
            for number in 0..400 {
                let delivery = OutgoingDelivery::new("issues", payload.to_string());
                let request = delivery.id(format!("{number}"));
                let request =
                    request.sign("the secret of the webhook", "http://localhost/").unwrap();
                // As a connection has read it: a part of a larger buffer.
                let request = request.map(|body| {
                    let buffer = [&body[..], &[b' '; 400_000]].concat();
                    Full::new(Bytes::from(buffer).slice(..body.len()))
                });
                match receiver.clone().oneshot(request).await.unwrap().status().as_u16() {
                    202 => accepted += 1,
                    503 => refused += 1,
                    status => panic!("{status}"),
                }
            }
            assert!(accepted > 300 && refused > 0, "{accepted} accepted, {refused} refused");
        });
    });
}
