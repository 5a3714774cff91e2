//! Each kind of Redis server keeps the contract of a store.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::store::conformance::store_conformance;
use crate::store::lease::{
    MemberJoin, PrimaryObservation, PrimaryRequest, SecondaryPause, WindowRequest,
};
use crate::store::{QuotaLedger, ResilientStore, StoreWaitBudget};

#[allow(unreachable_pub, reason = "other test binaries use it as well")]
#[path = "../../../tests/support/redis_servers.rs"]
mod redis_servers;

use redis_servers::RedisServer;

const LONG: Duration = Duration::from_secs(60);

/// A folder that goes with the test.
#[cfg(all(feature = "rustls", not(feature = "native-tls")))]
struct Temporary(std::path::PathBuf);

#[cfg(all(feature = "rustls", not(feature = "native-tls")))]
impl Temporary {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("octowire-{name}-{}", std::process::id())))
    }
}

#[cfg(all(feature = "rustls", not(feature = "native-tls")))]
impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

/// So long that a server that is there answers on a busy machine.
const PATIENCE: Duration = Duration::from_secs(2);

/// The wait allowance of a separate call.
fn allowance() -> StoreWaitBudget {
    StoreWaitBudget::new(PATIENCE)
}

/// Checks that the connection works.
async fn works(store: &RedisStore) {
    store.put("k", bytes("v"), LONG).await.unwrap();
    assert_eq!(store.get("k").await.unwrap(), Some(bytes("v")));
}

/// Checks the contract of a store on these servers, each time with another prefix.
async fn check_conformance(builder: impl Fn() -> RedisStoreBuilder) {
    let number = Cell::new(0);
    let new_store = async || {
        number.set(number.get() + 1);
        builder().prefix(format!("here:{}:", number.get())).connect().await.unwrap()
    };
    store_conformance(new_store).await.unwrap();
    assert!(number.get() > 40, "{} checks", number.get());
}

#[tokio::test]
async fn a_single_server_keeps_the_contract() {
    let server = RedisServer::start();
    check_conformance(|| RedisStore::builder(server.url())).await;
    let keys = server.ask(&["KEYS", "*"]);
    // One key has a line break.
    let with_prefix = keys.lines().filter(|key| key.starts_with("here:"));
    assert_eq!(server.ask(&["DBSIZE"]), with_prefix.count().to_string(), "{keys}");
    // A ledger is kept for two hours, and every value has a TTL.
    let ledger = keys.lines().find(|key| key.ends_with(":limits")).unwrap();
    assert!(server.ask(&["PTTL", ledger]).parse::<u64>().unwrap() > 3_600_000);
    for key in keys.lines() {
        assert_ne!(server.ask(&["PTTL", key]), "-1", "{key}");
    }
}

#[tokio::test]
async fn a_cluster_keeps_the_contract() {
    let nodes = RedisServer::cluster();
    check_conformance(|| RedisStore::builder(nodes[0].url()).node(nodes[1].url()).cluster()).await;
    for node in &nodes {
        assert_ne!(node.ask(&["DBSIZE"]), "0", "the keys are spread");
    }
}

#[tokio::test]
async fn a_master_that_sentinels_name_keeps_the_contract() {
    let master = RedisServer::start();
    let sentinel = RedisServer::sentinel(&master, "mymaster");
    check_conformance(|| RedisStore::builder(sentinel.url()).sentinel("mymaster")).await;
    assert_ne!(master.ask(&["DBSIZE"]), "0");
}

#[tokio::test]
async fn a_server_that_was_restarted_is_used_again() {
    let mut server = RedisServer::start();
    let redis = RedisStore::connect(server.url()).await.unwrap();
    let guard = ResilientStore::new(Arc::new(redis), PATIENCE);
    assert_eq!(guard.run(&allowance(), |store| store.get("k")).await, Some(None));
    server.kill();
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(300) {
        assert_eq!(guard.run(&allowance(), |store| store.get("k")).await, None);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.restart();
    let back = async {
        while guard.run(&allowance(), |store| store.get("k")).await.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), back).await.unwrap();
    assert_eq!((guard.health().unavailable_for, guard.health().outages), (None, 1));
}

#[tokio::test]
async fn a_password_is_needed_and_never_shown() {
    let server = RedisServer::with(&["--requirepass", "right-secret"]);
    let port = server.port;
    let wrong = format!("redis://:wrong-secret@127.0.0.1:{port}");
    let error = RedisStore::connect(wrong.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
    let right = format!("redis://:right-secret@127.0.0.1:{port}");
    let redis = RedisStore::connect(right.clone()).await.unwrap();
    works(&redis).await;
    let login =
        RedisStore::builder(server.url()).login(None, "right-secret").connect().await.unwrap();
    let nonsense = RedisStore::connect("redis://:odd-secret@:x:y/").await.unwrap_err();
    let shown = format!(
        "{error} {error:?} {redis:?} {login:?} {:?} {nonsense} {nonsense:?} {:?}",
        RedisStore::builder(right),
        RedisStore::builder(wrong).login(Some("me"), "a-secret"),
    );
    assert!(!shown.contains("secret"), "{shown}");
}

/// A server with TLS only, its own certificate authority, and client certificates required.
#[cfg(all(feature = "rustls", not(feature = "native-tls")))]
#[tokio::test]
async fn a_private_authority_is_trusted_when_it_is_named_and_not_before() {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    let mut params = CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, "an authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let certificate = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        (params.signed_by(&key, &authority).unwrap().pem(), key.serialize_pem())
    };
    let folder = Temporary::new("tls");
    std::fs::create_dir_all(&folder.0).unwrap();
    let (chain, key) = certificate("localhost");
    let file = |name: &str, text: &str| {
        let path = folder.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let port = redis_servers::free_port();
    let _server = RedisServer::with(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &file("chain.pem", &chain),
        "--tls-key-file",
        &file("key.pem", &key),
        "--tls-ca-cert-file",
        &file("authority.pem", &authority.pem()),
    ]);
    let url = format!("rediss://localhost:{port}");
    let refused = RedisStore::connect(url.clone()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::StoreUnavailable, "{refused}");
    let (chain, key) = certificate("client");
    let trusting = || RedisStore::builder(url.clone()).root_certificates(authority.pem());
    let store = trusting().client_certificate(chain, key).connect().await.unwrap();
    works(&store).await;
    let unknown = trusting().connect().await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::StoreUnavailable, "{unknown}");
    let plain = RedisStore::builder("redis://localhost").root_certificates(authority.pem()).build();
    assert_eq!(plain.unwrap_err().kind(), ErrorKind::Configuration);
    let broken = RedisStore::builder(url).root_certificates("no certificate").build();
    assert_eq!(broken.unwrap_err().kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn connect_fails_without_a_server_and_build_succeeds() {
    let error = RedisStore::connect("redis://127.0.0.1:1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
    assert!(error.is_retryable());
    assert!(RedisStore::builder("redis://127.0.0.1:1").build().is_ok());
    let error = RedisStore::connect("http://example.com").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

mod hostile;

fn requests() -> impl Strategy<Value = Vec<(u64, QuotaRequest)>> {
    let window = (0_u32..80, 1_u32..6, 0_u32..20, 0_u64..3)
        .prop_map(|(want, least, unspent, ago)| (want, least, unspent, ago));
    let told = prop::option::of(
        (0_u64..60, 0_u64..100_000).prop_map(|(remaining, ends_in)| PrimaryObservation {
            limit: 60,
            remaining,
            ends_in,
        }),
    );
    let budget = (told, 0_u64..10, 0_u32..30, 0_u64..10, any::<bool>()).prop_map(
        |(told, outstanding, want, keep, spread)| PrimaryRequest {
            observed: told,
            in_flight: outstanding,
            requested: want,
            reserved: keep,
            spread,
        },
    );
    let join = prop::option::of((
        1_u32..5,
        0_u64..5_000,
        prop::collection::vec((0_u64..70_000, 1_u32..9), 0..4),
        prop::collection::vec((0_u64..5_000, 1_u32..9), 0..3),
        (0_u32..40, prop::option::of(0_u32..80)),
    ));
    let pause = prop::option::weighted(0.05, (1_u64..20_000, 1_u32..4));
    let back = prop_oneof![1_u64..10_000, Just(3_600_000)];
    let back = prop::option::weighted(0.05, back);
    let step = (
        (0_u64..9_000, back),
        0_u8..4,
        (0_u32..30, 0_u32..60, prop::option::of(10_u32..60)),
        window,
        prop::collection::btree_map("(core|search)", budget, 0..3),
        join,
        (pause, any::<bool>(), prop::collection::vec("[ab]", 0..3), 0_u8..8, 0_u8..6),
    );
    prop::collection::vec(step, 1..40).prop_map(|steps| {
        let mut now = 1_790_000_000_000;
        let mut requests = Vec::new();
        let (mut serial, mut last) = (0, [0; 4]);
        for ((passed, back), member, slots, window, budgets, join, other) in steps {
            // Clocks are set, now and then.
            now = now + passed - back.unwrap_or_default();
            let (want, least, unspent, ago) = window;
            let part = now / 250 - ago;
            let ask = WindowRequest {
                limit: 100,
                length: 60_000,
                requested: want,
                min_useful: least,
                unspent,
                bucket: part,
            };
            // Mostly the next, but one whose answer was lost, or that comes late.
            serial += 1;
            let reply = last[usize::from(member)] / if other.4 == 0 { 2 } else { 1 };
            last[usize::from(member)] = serial;
            // Some have written to them without asking.
            let written = other.2.iter().filter(|_| want % 3 == 0);
            let written = written.map(|owner| (owner.clone(), u64::from(want) * 10)).collect();
            let request = QuotaRequest {
                member: format!("m{member}"),
                serial: if other.4 == 1 { serial / 2 } else { serial },
                last_seen_response: reply,
                // Of no ledger at all, of one that is lost, or of the one that answered last.
                epoch: match other.3 {
                    0 => None,
                    1 => Some("lost".to_owned()),
                    _ => Some(String::new()),
                },
                join: join.map(|(members, alone, spent, apart, (slots, spare))| MemberJoin {
                    members,
                    offline_ms: alone,
                    spent: BTreeMap::from([("points".to_owned(), spent)]),
                    spent_offline: BTreeMap::from([("points".to_owned(), apart)]),
                    offline_slots: slots,
                    offline_allowance: spare
                        .map(|spare| ("points".to_owned(), spare))
                        .into_iter()
                        .collect(),
                    // Some have heard of clients that are gone.
                    unreported_ms: spare
                        .filter(|spare| spare % 2 == 1)
                        .map(|spare| ("points".to_owned(), u64::from(spare) * 500))
                        .into_iter()
                        .collect(),
                }),
                in_flight: slots.0,
                queued: slots.1,
                max_concurrent: slots.2,
                windows: BTreeMap::from([("points".to_owned(), ask)]),
                budgets,
                owners: other.2,
                written,
                min_write_interval: 1_000,
                pause: other
                    .0
                    .map(|(ends_in, level)| SecondaryPause { ends_in, consecutive: level }),
                pause_over: other.1,
            };
            requests.push((now, request));
        }
        requests
    })
}

/// The script, by a clock that the test holds.
struct ScriptWithClock {
    _server: RedisServer,
    connection: RefCell<redis::Connection>,
    script: Script,
}

impl ScriptWithClock {
    fn start() -> Self {
        let server = RedisServer::start();
        let client = redis::Client::open(server.url()).unwrap();
        let connection = RefCell::new(client.get_connection().unwrap());
        let script = Script::new(&ledger_script("local now = tonumber(ARGV[2])\n"));
        Self { _server: server, connection, script }
    }

    /// Returns the lease, and the defect of the previous value.
    fn lease(&self, key: &str, now: u64, request: &QuotaRequest) -> (QuotaLease, String) {
        let (lease, problem) = self.answer(key, now, request);
        (serde_json::from_str(&lease).unwrap(), problem)
    }

    fn answer(&self, key: &str, now: u64, request: &QuotaRequest) -> (String, String) {
        let mut script = self.script.key(key);
        script.arg(serde_json::to_string(request).unwrap()).arg(now);
        script.invoke(&mut *self.connection.borrow_mut()).unwrap()
    }
}

/// The script and [`QuotaLedger::lease`] return the same lease for any request and any change of the clock.
#[test]
fn the_script_answers_as_the_ledger_does() {
    let clocked = ScriptWithClock::start();
    let case = Cell::new(0);
    let mut runner = TestRunner::new(Config::with_cases(300));
    let result = runner.run(&requests(), |requests| {
        case.set(case.get() + 1);
        let mut ledger = QuotaLedger::default();
        let mut epoch = None;
        for (now, mut request) in requests {
            if request.epoch.as_deref() == Some("") {
                request.epoch.clone_from(&epoch);
            }
            let expected = ledger.lease(now, &request);
            let response = clocked.lease(&format!("case{}", case.get()), now, &request);
            prop_assert_eq!(&response, &(expected.clone(), String::new()), "{:?}", request);
            let written = QuotaLedger::read(&serde_json::to_vec(&ledger).unwrap());
            prop_assert_eq!(written, Ok(ledger.clone()), "what is written can be read");
            epoch = Some(expected.epoch).filter(|epoch| !epoch.is_empty());
        }
        Ok(())
    });
    result.unwrap();
}
