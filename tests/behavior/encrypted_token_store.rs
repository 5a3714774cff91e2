//! Tokens in the store of a fleet are encrypted, and fetched once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use octowire::auth::{
    AccessToken, AuthFailure, EncryptedTokenStore, EncryptionKey, RegisteredApp, TokenStore,
};
use octowire::chrono::{DateTime, Utc};
use octowire::store::{MemoryStore, RedisStore};
use octowire::{Client, Error};
use serde_json::{Value, json};
use tokio::runtime::Builder;
use tokio::time::Instant;

use crate::redis_servers::RedisServer;
use crate::support::github_app::{CLIENT_ID, Key};
use crate::support::{Reply, Server, json_response};

const KEY: &str = "installation:42 at https://api.github.com";
const SECRET: &str = "ghs_hunter2hunter2";
const SECOND: Duration = Duration::from_secs(1);

fn key(byte: u8) -> EncryptionKey {
    EncryptionKey::from_bytes([byte; 32])
}

fn token() -> AccessToken {
    AccessToken::new(SECRET).unwrap().with_expires_at(SystemTime::now() + 3600 * SECOND)
}

fn failure(error: &Error) -> Option<AuthFailure> {
    error.auth_failure()
}

#[tokio::test]
async fn a_token_in_redis_is_encrypted_and_expires_with_the_token() {
    let server = RedisServer::start();
    let store = EncryptedTokenStore::new(RedisStore::connect(server.url()).await.unwrap(), key(1));
    assert!(store.load(KEY).await.unwrap().is_none());
    store.save(KEY, &token()).await.unwrap();
    assert_eq!(store.load(KEY).await.unwrap().unwrap().expose_secret(), SECRET);

    let places = server.ask(&["KEYS", "*"]);
    assert_eq!(places.lines().count(), 1, "{places}");
    assert!(!places.contains("42"), "{places}");
    let sealed = server.ask(&["GET", &places]);
    assert!(!sealed.contains("hunter2") && !sealed.contains("installation"), "{sealed}");
    let left: i64 = server.ask(&["PTTL", &places]).parse().unwrap();
    assert!((3_500_000..=3_600_000).contains(&left), "{left} ms");

    store.remove(KEY).await.unwrap();
    assert!(store.load(KEY).await.unwrap().is_none());
    assert_eq!(server.ask(&["DBSIZE"]), "0");
}

#[tokio::test]
async fn tokens_in_redis_keep_the_contract_of_token_stores() {
    let server = RedisServer::start();
    let count = AtomicU32::new(0);
    let new_store = async || {
        let prefix = format!("tokens-{}:", count.fetch_add(1, Ordering::SeqCst));
        let redis = RedisStore::builder(server.url()).prefix(prefix).connect().await.unwrap();
        EncryptedTokenStore::new(redis, key(1))
    };
    octowire::testing::token_store_conformance(new_store).await.unwrap();
}

/// If it were missing, a program would register a second App.
#[tokio::test]
async fn a_value_of_another_program_in_place_of_an_app_is_not_a_missing_app() {
    let server = RedisServer::start();
    let store = EncryptedTokenStore::new(RedisStore::connect(server.url()).await.unwrap(), key(1));
    let app = RegisteredApp::new(1, CLIENT_ID, Key::generate().pem).unwrap();
    app.save(&store, "production").await.unwrap();
    let place = server.ask(&["KEYS", "*token/*"]);
    assert_eq!(place.lines().count(), 1, "{place}");
    let place = place.as_str();
    const REPLACED: &str = "another program has replaced the token of registered-app:production";
    for (command, message) in [
        (&["RPUSH", place, "1"][..], REPLACED),
        // One byte more than a MiB.
        (&["SETRANGE", place, "1048576", "x"][..], REPLACED),
        (&["SET", place, "1"][..], "is not a token store"),
    ] {
        server.ask(&["DEL", place]);
        server.ask(command);
        let (loaded, saved) =
            tokio::join!(RegisteredApp::load(&store, "production"), app.save(&store, "production"));
        for outcome in [loaded.map(drop), saved] {
            let error = outcome.unwrap_err();
            assert_eq!(failure(&error), Some(AuthFailure::StoreTampered), "{error}");
            assert!(error.to_string().contains(message), "{message}: {error}");
        }
    }
    app.replace(&store, "production").await.unwrap();
    let loaded = RegisteredApp::load(&store, "production").await.unwrap();
    assert_eq!(loaded.client_id(), CLIENT_ID);
}

#[tokio::test]
async fn a_token_that_can_be_renewed_is_kept_until_that_has_ended() {
    let server = RedisServer::start();
    let store = EncryptedTokenStore::new(RedisStore::connect(server.url()).await.unwrap(), key(1));
    let renewable = token().with_refresh_token("ghr_1", Some(SystemTime::now() + 7200 * SECOND));
    let forever = AccessToken::new(SECRET).unwrap();
    let spent = token().with_expires_at(SystemTime::now() - SECOND);
    for (name, token, least) in
        [("a", &renewable, 7_100_000_i64), ("b", &forever, 300_000_000_000), ("c", &spent, -2)]
    {
        server.ask(&["FLUSHALL"]);
        store.save(name, token).await.unwrap();
        let place = server.ask(&["KEYS", "*"]);
        let left: i64 = server.ask(&["PTTL", &place]).parse().unwrap();
        assert!(left >= least && (least > 0 || left == -2), "{name}: {left} ms");
    }
}

#[tokio::test]
async fn a_token_that_was_changed_or_moved_is_an_error_and_another_key_is_named() {
    let server = RedisServer::start();
    let redis = RedisStore::connect(server.url()).await.unwrap();
    let store = EncryptedTokenStore::new(redis.clone(), key(1));
    store.save("one", &token()).await.unwrap();
    let one = server.ask(&["KEYS", "*"]);
    store.save("two", &token()).await.unwrap();
    let both = server.ask(&["KEYS", "*"]);
    let two = both.lines().find(|place| *place != one).unwrap();
    let moved = server.ask(&["COPY", &one, two, "REPLACE"]);
    assert_eq!(moved, "1");
    let error = store.load("two").await.unwrap_err();
    assert_eq!(failure(&error), Some(AuthFailure::StoreTampered), "{error}");
    assert!(store.load("one").await.unwrap().is_some());

    let other = EncryptedTokenStore::new(redis.clone(), key(2));
    let error = other.load("one").await.unwrap_err();
    assert_eq!(failure(&error), Some(AuthFailure::StoreKey), "{error}");
    assert!(!format!("{error:?}{other:?}").contains("hunter2"));
    let both = EncryptedTokenStore::new(redis, key(2).with_previous(key(1)));
    assert!(both.load("one").await.unwrap().is_some());
}

#[tokio::test]
async fn a_fleet_fetches_one_token() {
    let issued_tokens = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&issued_tokens);
    let github = Server::start(move |request| {
        let reply = if request.target.ends_with("/access_tokens") {
            let number = count.fetch_add(1, Ordering::SeqCst);
            let end = DateTime::<Utc>::from(SystemTime::now() + 3600 * SECOND);
            let body = json!({ "token": format!("ghs_{number}"), "expires_at": end });
            json_response("201 Created", "", &body.to_string())
        } else {
            json_response("200 OK", "", &json!(request.headers["authorization"]).to_string())
        };
        async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Reply::Raw(reply)
        }
    })
    .await;
    let pem = Key::generate().pem;
    let server = RedisServer::start();
    let clients = (0..10).map(|_| async {
        let app = octowire::auth::App::new(CLIENT_ID, pem.as_str()).unwrap();
        let redis = RedisStore::connect(server.url()).await.unwrap();
        let store = EncryptedTokenStore::new(redis, key(1));
        let auth = app.installation(42);
        github.builder().auth(auth).token_store(store).build().unwrap()
    });
    let clients: Vec<Client> = join_all(clients).await;
    let calls = clients.iter().flat_map(|client| {
        (0..5).map(|_| client.request(http::Method::GET, "/installation/repositories"))
    });
    let responses = join_all(calls.map(|call| call.send::<Value>())).await;
    for response in responses {
        let said = response.unwrap().into_inner();
        assert!(said.to_string().contains("ghs_0"), "{said}");
    }
    assert_eq!(issued_tokens.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_held_while_its_holder_lives_and_no_longer() {
    let memory = MemoryStore::new();
    let store = EncryptedTokenStore::new(memory.clone(), key(1));
    let lock = store.lock(KEY).await.unwrap();
    let other = EncryptedTokenStore::new(memory, key(1));
    let start = Instant::now();
    let error = other.clone().lock_wait(95 * SECOND).lock(KEY).await.unwrap_err();
    assert!(error.to_string().contains("95s"), "{error}");
    assert!(start.elapsed() >= 95 * SECOND);
    // A lock of another token is free.
    drop(store.lock("another").await.unwrap());

    drop(lock);
    let start = Instant::now();
    let lock = other.lock(KEY).await.unwrap();
    assert!(start.elapsed() < SECOND, "{:?}", start.elapsed());
    drop(lock);
}

#[test]
fn a_process_that_dies_holds_a_lock_for_half_a_minute_at_most() {
    let memory = MemoryStore::new();
    let store = EncryptedTokenStore::new(memory, key(1));

    let dying = Builder::new_current_thread().enable_all().build().unwrap();
    let lock = dying.block_on(store.lock(KEY)).unwrap();
    // With its runtime dies the task that would renew it, or give it back.
    drop(dying);
    let paused = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    paused.block_on(async {
        let start = Instant::now();
        drop(store.lock(KEY).await.unwrap());
        let waited = start.elapsed();
        assert!(waited > 25 * SECOND && waited < 31 * SECOND, "{waited:?}");
    });
    drop(lock);
}
