//! A runtime that is no longer polled does not delay calls of other runtimes.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::Method;
use octowire::auth::{
    AccessToken, MemoryTokenStore, Persistence, TokenFuture, TokenProvider, TokenRequest,
};
use octowire::cache::{CacheConfig, CachePolicy};
use octowire::rate_limit::{RateLimitPolicy, SecondaryLimits};
use octowire::store::MemoryStore;
use octowire::{Client, ClientBuilder, Error};
use serde_json::{Value, json as value};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};

use crate::support::{Received, Reply, Server, json_response};

/// Promptly: it takes a second or less, and these computers are busy.
const PROMPT: Duration = Duration::from_secs(8);

/// A server on a runtime of its own, which answers after this time.
fn server(time: Duration) -> (Runtime, Server) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = runtime.block_on(Server::start(move |_: Received| async move {
        sleep(time).await;
        Reply::Raw(json_response("200 OK", "etag: \"a\"\r\n", "{}"))
    }));
    (runtime, server)
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

async fn get(client: &Client, path: &str) -> Result<(), Error> {
    client.request(Method::GET, path).send::<Value>().await.map(drop)
}

async fn write(client: &Client) -> Result<(), Error> {
    let call = client.request(Method::PATCH, "/repos/o/r").json(&value!({}));
    call.send::<Value>().await.map(drop)
}

/// Waits until this is so.
async fn until(is_so: impl Fn() -> bool) {
    let so = async {
        while !is_so() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PROMPT, so).await.expect("it never is so");
}

/// Runs calls on a runtime of their own; they end promptly.
fn run_promptly(calls: impl Future<Output = Result<(), Error>>) {
    let (runtime, began) = (runtime(), Instant::now());
    let ended = runtime.block_on(async { timeout(PROMPT, calls).await });
    ended.unwrap_or_else(|_| panic!("not within {:?}", began.elapsed())).unwrap();
}

#[test]
fn its_connections_are_not_those_of_others() {
    let (_servers, server) = server(Duration::ZERO);
    let client = server.default_client_builder().token("t0ken").build().unwrap();
    let first = runtime();
    first.block_on(get(&client, "/a")).unwrap();
    // The connection of the first call is open, and nothing drives it.
    run_promptly(async {
        for number in 0..5 {
            get(&client, &format!("/b/{number}")).await?;
        }
        Ok(())
    });
    // It is of use again as soon as it is polled.
    first.block_on(get(&client, "/c")).unwrap();
}

#[test]
fn a_runtime_that_was_shut_down_leaves_the_client_usable() {
    let (_servers, server) = server(Duration::ZERO);
    let client = server.default_client_builder().token("t0ken").build().unwrap();
    for number in 0..20 {
        run_promptly(get(&client, &format!("/{number}")));
    }
    assert_eq!(server.requests().len(), 20);
}

#[test]
fn a_stalled_runtime_does_not_delay_rate_limit_waits_of_others() {
    let (_servers, server) = server(Duration::ZERO);
    let pacing = SecondaryLimits::disabled().min_write_interval(Duration::from_millis(300));
    let limits = RateLimitPolicy::default().secondary_limits(pacing);
    let client =
        server.default_client_builder().rate_limits(limits).token("t0ken").build().unwrap();
    let first = runtime();
    first.block_on(async {
        write(&client).await.unwrap();
        // This one waits, and a task of this runtime keeps the time.
        let other = client.clone();
        tokio::spawn(async move { write(&other).await });
        until(|| client.health().limits.queued == 1).await;
    });
    run_promptly(async {
        for _ in 0..3 {
            write(&client).await?;
        }
        Ok(())
    });
}

#[test]
fn a_stalled_runtime_does_not_delay_quota_leases_of_others() {
    let (_servers, server) = server(Duration::ZERO);
    let builder = server.default_client_builder().store(MemoryStore::new());
    let client = builder.token("t0ken").build().unwrap();
    let first = runtime();
    // The task that leases waits for the next call.
    first.block_on(get(&client, "/a")).unwrap();
    run_promptly(async {
        for number in 0..30 {
            get(&client, &format!("/b/{number}")).await?;
        }
        Ok(())
    });
}

/// Waits without a bound of its own for a condition that must become true.
const AT_LAST: Duration = Duration::from_secs(20);

/// A source whose first token never comes.
#[derive(Debug)]
struct Source {
    keep: Persistence,
    issued_tokens: Arc<AtomicUsize>,
}

impl TokenProvider for Source {
    fn fetch_token<'a>(&'a self, _: TokenRequest<'a>) -> TokenFuture<'a> {
        let number = self.issued_tokens.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            if number == 0 {
                std::future::pending::<()>().await;
            }
            AccessToken::new(format!("token-{number}"))
        })
    }

    fn identity(&self) -> Cow<'_, str> {
        Cow::Borrowed("test")
    }

    fn persistence(&self) -> Persistence {
        self.keep
    }
}

/// A client whose token is being obtained on a runtime that is not polled.
fn waiting_for_a_token(keep: Persistence, server: &Server) -> (Runtime, Client, Arc<AtomicUsize>) {
    waiting_client(server.default_client_builder(), keep)
}

/// The same with the client's other settings.
fn waiting_client(
    builder: ClientBuilder,
    keep: Persistence,
) -> (Runtime, Client, Arc<AtomicUsize>) {
    let issued_tokens = Arc::new(AtomicUsize::new(0));
    let source = Source { keep, issued_tokens: Arc::clone(&issued_tokens) };
    let client = builder.auth(source).build().unwrap();
    let first = runtime();
    first.block_on(async {
        let other = client.clone();
        tokio::spawn(async move { get(&other, "/a").await });
        until(|| issued_tokens.load(Ordering::SeqCst) == 1).await;
    });
    (first, client, issued_tokens)
}

#[test]
fn a_stalled_runtime_does_not_delay_token_refreshes_of_others() {
    let (_servers, server) = server(Duration::ZERO);
    for keep in [Persistence::None, Persistence::BestEffort] {
        let (_first, client, issued_tokens) = waiting_for_a_token(keep, &server);
        run_promptly(get(&client, "/b"));
        run_promptly(get(&client, "/c"));
        assert_eq!(issued_tokens.load(Ordering::SeqCst), 2, "one other token, for all");
    }
}

#[test]
fn a_token_that_can_be_renewed_once_is_not_renewed_twice_at_a_time() {
    let (_servers, server) = server(Duration::ZERO);
    let with_store = server.default_client_builder().token_store(MemoryTokenStore::new());
    for builder in [server.default_client_builder(), with_store] {
        let (_first, client, issued_tokens) = waiting_client(builder, Persistence::Required);
        let waits = async { timeout(Duration::from_secs(2), get(&client, "/b")).await };
        let waited = runtime().block_on(waits);
        assert!(waited.is_err(), "it waits");
        assert_eq!(issued_tokens.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn the_lock_of_a_token_that_it_obtains_is_not_waited_for() {
    let (_servers, server) = server(Duration::ZERO);
    let builder = server.default_client_builder().token_store(MemoryTokenStore::new());
    let (_first, client, issued_tokens) = waiting_client(builder, Persistence::BestEffort);
    run_promptly(get(&client, "/b"));
    run_promptly(get(&client, "/c"));
    assert_eq!(issued_tokens.load(Ordering::SeqCst), 2, "one other token, for all");
}

#[test]
fn the_lock_of_a_token_that_another_client_obtains_on_it_is_not_waited_for() {
    let (_servers, server) = server(Duration::ZERO);
    let store = MemoryTokenStore::new();
    let builder = || server.default_client_builder().token_store(store.clone());
    let (_first, _client, issued_tokens) = waiting_client(builder(), Persistence::BestEffort);
    let source =
        Source { keep: Persistence::BestEffort, issued_tokens: Arc::clone(&issued_tokens) };
    let other = builder().auth(source).build().unwrap();
    run_promptly(get(&other, "/b"));
    assert_eq!(issued_tokens.load(Ordering::SeqCst), 2);
}

#[cfg(feature = "encrypted-token-store")]
#[test]
fn the_lock_of_a_token_in_a_file_or_a_shared_store_is_not_waited_for() {
    use octowire::auth::{EncryptedFileTokenStore, EncryptedTokenStore, EncryptionKey};

    let (_servers, server) = server(Duration::ZERO);
    let key = || EncryptionKey::from_bytes([7; 32]);
    let path = std::env::temp_dir().join(format!("octowire-stalled-{}", std::process::id()));
    let file = EncryptedFileTokenStore::open(&path, key()).unwrap();
    let in_file = server.default_client_builder().token_store(file);
    let in_store = server
        .default_client_builder()
        .token_store(EncryptedTokenStore::new(MemoryStore::new(), key()));
    for builder in [in_file, in_store] {
        let (_first, client, issued_tokens) = waiting_client(builder, Persistence::BestEffort);
        run_promptly(get(&client, "/b"));
        assert_eq!(issued_tokens.load(Ordering::SeqCst), 2);
    }
    let _ = std::fs::remove_file(path);
}

#[test]
fn reads_of_others_do_not_wait_for_its_own() {
    let (_servers, server) = server(Duration::from_millis(300));
    let client = server.default_client_builder().token("t0ken").build().unwrap();
    let first = runtime();
    first.block_on(async {
        let other = client.clone();
        tokio::spawn(async move { get(&other, "/same").await });
        until(|| server.requests().len() == 1).await;
    });
    run_promptly(get(&client, "/same"));
    assert_eq!(server.requests().len(), 2);
}

/// A source whose token comes when the test says so.
#[derive(Debug)]
struct Gated {
    asked: Arc<AtomicUsize>,
    gate: watch::Receiver<bool>,
}

impl TokenProvider for Gated {
    fn fetch_token<'a>(&'a self, _: TokenRequest<'a>) -> TokenFuture<'a> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut gate = self.gate.clone();
        Box::pin(async move {
            gate.wait_for(|is_open| *is_open).await.unwrap();
            // Until this ends, only other runtimes poll the calls that wait for the token.
            tokio::spawn(async { std::thread::sleep(Duration::from_millis(100)) });
            AccessToken::new("t0ken")
        })
    }

    fn identity(&self) -> Cow<'_, str> {
        Cow::Borrowed("gated")
    }
}

#[test]
fn reads_that_it_has_joined_do_not_depend_on_it() {
    let (_servers, server) = server(Duration::from_secs(1));
    let (open, gate) = watch::channel(false);
    let asked = Arc::new(AtomicUsize::new(0));
    let source = Gated { asked: Arc::clone(&asked), gate };
    let client = server.default_client_builder().auth(source).build().unwrap();
    let theirs = client.clone();
    let running = std::thread::spawn(move || {
        runtime().block_on(async {
            // The read, and later ones, which use its connection.
            for path in ["/same", "/later/1", "/later/2"] {
                let client = theirs.clone();
                let read = tokio::spawn(async move { get(&client, path).await });
                let ended = timeout(AT_LAST, read).await;
                ended.unwrap_or_else(|_| panic!("{path} hangs")).unwrap().unwrap();
            }
        });
    });
    let joined = runtime();
    joined.block_on(async {
        until(|| asked.load(Ordering::SeqCst) == 1).await;
        tokio::spawn(async move { get(&client, "/same").await });
        sleep(Duration::from_millis(50)).await;
        open.send(true).unwrap();
        sleep(Duration::from_millis(200)).await;
    });
    running.join().unwrap();
}

#[test]
fn a_read_whose_caller_does_not_poll_it_is_driven_for_other_runtimes() {
    let (_servers, server) = server(Duration::from_millis(300));
    let client = server.default_client_builder().token("t0ken").build().unwrap();
    let running = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (ended, has_ended) = oneshot::channel::<()>();
    let theirs = client.clone();
    let theirs = running.spawn(async move {
        let mut call = Box::pin(get(&theirs, "/same"));
        // The request is sent, and then the call is not polled.
        let sent = timeout(Duration::from_millis(150), &mut call).await;
        assert!(sent.is_err(), "the answer is not there yet");
        has_ended.await.unwrap();
        call.await
    });
    run_promptly(async {
        until(|| server.request_count() == 1).await;
        sleep(Duration::from_millis(150)).await;
        get(&client, "/same").await
    });
    ended.send(()).unwrap();
    running.block_on(theirs).unwrap().unwrap();
    assert_eq!(server.request_count(), 1);
}

#[test]
fn a_coalesced_read_dropped_by_its_caller_continues_for_other_runtimes() {
    let (_servers, server) = server(Duration::from_millis(500));
    let client = server.default_client_builder().token("t0ken").build().unwrap();
    let running = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let theirs = client.clone();
    let theirs = running.spawn(async move { get(&theirs, "/same").await });
    run_promptly(async {
        until(|| server.request_count() == 1).await;
        let read = get(&client, "/same");
        let (read, ()) = tokio::join!(read, async {
            sleep(Duration::from_millis(100)).await;
            theirs.abort();
        });
        read
    });
    assert_eq!(server.request_count(), 1);
}

#[test]
fn responses_that_it_revalidates_are_revalidated_by_others() {
    let (_servers, server) = server(Duration::from_millis(300));
    let policy = CachePolicy::max_age(Duration::ZERO).stale_while_revalidate(AT_LAST * 10);
    let cache = CacheConfig::memory(1 << 20).default_policy(policy);
    let client = server.default_client_builder().cache(cache).token("t0ken").build().unwrap();
    // More than may be revalidated at a time.
    const PATHS: usize = 20;
    let first = runtime();
    first.block_on(async {
        for number in 0..PATHS {
            get(&client, &format!("/{number}")).await.unwrap();
        }
        for number in 0..PATHS {
            get(&client, &format!("/{number}")).await.unwrap();
        }
    });
    // The calls have ended, and what revalidates behind them stands still.
    let before = server.request_count();
    runtime().block_on(async {
        let revalidated = async {
            let count =
                || server.requests().iter().skip(before).filter(|r| r.target == "/0").count();
            while count() == 0 {
                get(&client, "/0").await.unwrap();
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(AT_LAST, revalidated).await.expect("it is stale for ever");
    });
}

#[test]
fn equal_reads_of_runtimes_that_run_are_one() {
    // On a busy machine, a runtime that runs can be silent for longer than is waited for it.
    let sent = || {
        let (_servers, server) = server(Duration::from_millis(500));
        let client = server.default_client_builder().token("t0ken").build().unwrap();
        let other = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let theirs = client.clone();
        let theirs = other.spawn(async move { get(&theirs, "/same").await });
        run_promptly(async {
            until(|| !server.requests().is_empty()).await;
            get(&client, "/same").await
        });
        other.block_on(theirs).unwrap().unwrap();
        server.requests().len()
    };
    assert!((0..10).any(|_| sent() == 1));
}

#[cfg(feature = "redis")]
#[test]
fn its_connection_to_redis_is_not_that_of_others() {
    let redis = crate::redis_servers::RedisServer::start();
    let (_servers, server) = server(Duration::ZERO);
    let first = runtime();
    let client = first.block_on(async {
        let store = crate::support::connected(&redis.url()).await;
        let patient =
            server.default_client_builder().store(store).store_timeout(Duration::from_secs(2));
        let client = patient.token("t0ken").build().unwrap();
        get(&client, "/a").await.unwrap();
        client
    });
    run_promptly(async {
        for number in 0..5 {
            get(&client, &format!("/b/{number}")).await?;
        }
        Ok(())
    });
    let health = client.store_health().unwrap();
    assert_eq!(
        (health.unavailable_for, health.outages),
        (None, 0),
        "the store responds to each runtime"
    );
}
