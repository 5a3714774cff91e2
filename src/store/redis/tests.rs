//! Each kind of Redis server and the memory store give the same guarantees.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::store::lease::{
    MemberJoin, PrimaryObservation, PrimaryRequest, SecondaryPause, WindowRequest,
};
use crate::store::{DiskStore, MemoryStore, QuotaLedger, ResilientStore, StoreWaitBudget};

#[allow(unreachable_pub, reason = "other test binaries use it as well")]
#[path = "../../../tests/support/redis_servers.rs"]
mod redis_servers;

use redis_servers::RedisServer;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(30);

/// A folder that goes with the test.
struct Temporary(std::path::PathBuf);

impl Temporary {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("octowire-{name}-{}", std::process::id())))
    }
}

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

/// Checks the guarantees of any store.
async fn check_conformance(store: &dyn Store) {
    assert_eq!(store.get("v").await.unwrap(), None);
    store.put("v", bytes("one"), LONG).await.unwrap();
    store.put("v", Bytes::from_static(&[0, 255, 10]), LONG).await.unwrap();
    assert_eq!(store.get("v").await.unwrap().unwrap(), [0, 255, 10][..]);
    store.remove("v").await.unwrap();
    store.remove("v").await.unwrap();
    assert_eq!(store.get("v").await.unwrap(), None);

    store.put("m:1", bytes("one"), LONG).await.unwrap();
    store.put("m:3", Bytes::new(), LONG).await.unwrap();
    let keys = [("m:3", 0), ("m:2", 9), ("m:1", 2), ("m:1", 3)];
    let many = store.get_many(&keys).await.unwrap().into_iter();
    let many = many.map(|value| value.map_err(|error| error.is_unreadable_value()));
    let expected = [Ok(Some(Bytes::new())), Ok(None), Err(true), Ok(Some(bytes("one")))];
    assert_eq!(many.collect::<Vec<_>>(), expected, "each has its own bound");
    assert!(store.get_many(&[]).await.unwrap().is_empty());

    store.put("short", bytes("x"), SHORT).await.unwrap();
    tokio::time::sleep(2 * SHORT).await;
    assert_eq!(store.get("short").await.unwrap(), None);

    assert!(store.put_if_absent("c", bytes("me"), LONG).await.unwrap());
    assert!(!store.put_if_absent("c", bytes("you"), LONG).await.unwrap());
    assert!(!store.extend_if_equal("c", bytes("you"), LONG).await.unwrap());
    assert!(store.extend_if_equal("c", bytes("me"), LONG).await.unwrap());
    assert!(!store.remove_if_equal("c", bytes("you")).await.unwrap());
    assert!(store.remove_if_equal("c", bytes("me")).await.unwrap());
    assert!(!store.remove_if_equal("c", bytes("me")).await.unwrap());
    assert!(store.put_if_absent("c", bytes("you"), LONG).await.unwrap());

    assert_eq!(store.increment("n", 5, LONG).await.unwrap(), 5);
    assert_eq!(store.increment("n", -7, LONG).await.unwrap(), -2);
    assert_eq!(store.get("n").await.unwrap().unwrap(), b"-2"[..]);
    assert_eq!(store.sum("n").await.unwrap(), Some(-2));
    assert_eq!(store.sum("no-sum").await.unwrap(), None);
    assert_eq!(store.get("no-sum").await.unwrap(), None, "reading begins none");
    assert_eq!(store.get_within("n", 2).await.unwrap().unwrap(), b"-2"[..]);
    assert!(store.get_within("n", 1).await.unwrap_err().is_unreadable_value());
    assert_eq!(store.get_within("no-value", 0).await.unwrap(), None);
    assert!(store.put_if_absent("begun", bytes("1000"), LONG).await.unwrap());
    assert_eq!(store.increment("begun", 1, LONG).await.unwrap(), 1001);

    assert_eq!(store.try_consume("s", 0, 2, LONG).await.unwrap(), (1, true));
    assert_eq!(store.try_consume("s", 0, 2, LONG).await.unwrap(), (2, true));
    assert_eq!(store.try_consume("s", 0, 2, LONG).await.unwrap(), (2, false));
    assert_eq!(store.try_consume("s", -1, 2, LONG).await.unwrap(), (2, true));
    assert_eq!(store.try_consume("s", 5, 2, LONG).await.unwrap(), (7, false));
    assert_eq!(store.try_consume("s", 0, i64::MAX, LONG).await.unwrap(), (8, true));
    store.try_consume("t", 0, 2, SHORT).await.unwrap();
    tokio::time::sleep(2 * SHORT).await;
    assert_eq!(store.get("t").await.unwrap(), None);

    for garbage in ["", "garbage", "007", "1e300", "9223372036854775807", "-9007199254740993"] {
        store.put("g", bytes(garbage), LONG).await.unwrap();
        for failed in [
            store.increment("g", 1, LONG).await,
            store.try_consume("g", 0, 9, LONG).await.map(|it| it.0),
        ] {
            assert!(failed.unwrap_err().is_unreadable_value(), "{garbage}");
        }
        assert!(store.sum("g").await.unwrap_err().is_unreadable_value(), "{garbage}");
        assert_eq!(store.get("g").await.unwrap().unwrap(), garbage.as_bytes(), "left as it is");
        assert_eq!(store.repair_sum("g", 3, LONG).await.unwrap(), 3);
        assert_eq!(store.try_consume("g", 0, 4, LONG).await.unwrap(), (4, true));
        assert_eq!(store.repair_sum("g", 3, LONG).await.unwrap(), 4, "it is raised only");
        assert_eq!(store.repair_sum("g", 9, LONG).await.unwrap(), 9);
        store.put("g", bytes(garbage), LONG).await.unwrap();
        assert_eq!(store.counters("g").await.unwrap(), BTreeMap::new());
        assert!(store.increment_counters("g", &[("a".to_owned(), 7)], LONG).await.unwrap());
        assert_eq!(store.counters("g").await.unwrap(), BTreeMap::from([("a".to_owned(), 7)]));
    }
    let most = 1 << 53;
    assert_eq!(store.increment("large", i64::MAX, LONG).await.unwrap(), most);
    assert_eq!(
        store.increment("large", i64::MAX, LONG).await.unwrap(),
        most,
        "it can be read again"
    );
    assert_eq!(store.increment("large", i64::MIN, LONG).await.unwrap(), -most);
    assert_eq!(
        store.try_consume("large", 0, 9, LONG).await.unwrap(),
        (1, true),
        "nothing is below zero"
    );

    let amounts = |amounts: &[(&str, u64)]| -> Vec<_> {
        amounts.iter().map(|(name, amount)| ((*name).to_owned(), *amount)).collect()
    };
    assert_eq!(store.counters("t").await.unwrap(), BTreeMap::new());
    assert!(store.increment_counters("t", &amounts(&[("a", 1), ("b c", 2)]), LONG).await.unwrap());
    assert!(store.increment_counters("t", &amounts(&[("b c", 40), ("d", 3)]), LONG).await.unwrap());
    let all = BTreeMap::from_iter(amounts(&[("a", 1), ("b c", 42), ("d", 3)]));
    assert_eq!(store.counters("t").await.unwrap(), all);
    let many: Vec<_> = (0..10_005).map(|number| (format!("n{number}"), 1)).collect();
    store.increment_counters("many", &many, LONG).await.unwrap();
    let held = store.counters("many").await.unwrap();
    assert_eq!((held.len(), held["other"]), (10_001, 5));
    store.increment_counters("brief", &all.into_iter().collect::<Vec<_>>(), SHORT).await.unwrap();
    tokio::time::sleep(2 * SHORT).await;
    assert_eq!(store.counters("brief").await.unwrap(), BTreeMap::new());

    let ask = QuotaRequest {
        member: "m".to_owned(),
        join: Some(MemberJoin { members: 1, ..MemberJoin::default() }),
        queued: 3,
        max_concurrent: Some(100),
        windows: BTreeMap::from([(
            "points".to_owned(),
            WindowRequest {
                limit: 900,
                length: 60_000,
                requested: 40,
                min_useful: 1,
                unspent: 0,
                bucket: 0,
            },
        )]),
        ..QuotaRequest::default()
    };
    let lease = store.lease("l", &ask).await.unwrap().unwrap();
    assert_eq!((lease.slots, lease.windows["points"].granted), (3, 40));
    let all: Vec<String> = (0..50).map(|index| format!("many:{index}")).collect();
    for key in &all {
        store.put(key, Bytes::from(key.clone()), LONG).await.unwrap();
        assert_eq!(store.get(key).await.unwrap().unwrap(), key.as_bytes());
    }
    // In a cluster, they are on several nodes.
    let keys: Vec<_> = all.iter().map(|key| (&**key, 99)).collect();
    let values = store.get_many(&keys).await.unwrap().into_iter().map(|value| value.unwrap());
    assert!(values.zip(&all).all(|(value, key)| value.as_deref() == Some(key.as_bytes())));
}

#[tokio::test]
async fn the_memory_keeps_its_promises() {
    check_conformance(&MemoryStore::new()).await;
}

#[tokio::test]
async fn the_disk_keeps_its_promises() {
    let folder = Temporary::new("promises");
    check_conformance(&DiskStore::open(&folder.0).unwrap()).await;
}

#[tokio::test]
async fn a_single_server_keeps_its_promises() {
    let server = RedisServer::start();
    let redis = RedisStore::builder(server.url()).prefix("here:").connect().await.unwrap();
    check_conformance(&redis).await;
    assert!(server.ask(&["KEYS", "*"]).lines().all(|key| key.starts_with("here:")));
    assert!(server.ask(&["PTTL", "here:l"]).parse::<u64>().unwrap() > 3_600_000);
}

#[tokio::test]
async fn a_cluster_keeps_its_promises() {
    let nodes = RedisServer::cluster();
    let redis = RedisStore::builder(nodes[0].url()).node(nodes[1].url()).cluster();
    check_conformance(&redis.connect().await.unwrap()).await;
    for node in &nodes {
        assert_ne!(node.ask(&["DBSIZE"]), "0", "the keys are spread");
    }
}

#[tokio::test]
async fn a_master_that_sentinels_name_keeps_its_promises() {
    let master = RedisServer::start();
    let sentinel = RedisServer::sentinel(&master, "mymaster");
    let redis = RedisStore::builder(sentinel.url()).sentinel("mymaster").connect().await.unwrap();
    check_conformance(&redis).await;
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
    check_conformance(&redis).await;
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
    check_conformance(&store).await;
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
