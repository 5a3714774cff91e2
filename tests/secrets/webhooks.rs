//! The secrets of webhooks, their signatures, and the payloads.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use octowire::store::{CounterStore, KeyValueStore, MemoryStore, QuotaStore, StoreFuture};
use octowire::webhooks::{
    Deduplicator, Delivery, EnvelopeScheme, OutgoingDelivery, Verifier, WebhookReceiver,
};
use tower::ServiceExt;

use crate::captured_output::{Log, Shown};

const SECRET: &str = "w3bh00k-c4n4ry";
const PAYLOAD: &str = r#"{"action":"opened","issue":"p4yl04d-c4n4ry"}"#;

/// Records its deliveries.
#[derive(Debug, Default)]
struct Watched {
    store: MemoryStore,
    given: Arc<Mutex<String>>,
}

impl Watched {
    fn note(&self, key: &str, value: &[u8]) {
        let value = String::from_utf8_lossy(value);
        self.given.lock().unwrap().push_str(&format!("{key} {value}\n"));
    }
}

impl KeyValueStore for Watched {
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        self.note(key, b"");
        self.store.get(key)
    }
    fn put<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, ()> {
        self.note(key, &value);
        self.store.put(key, value, ttl)
    }
    fn put_if_absent<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        ttl: Duration,
    ) -> StoreFuture<'a, bool> {
        self.note(key, &value);
        self.store.put_if_absent(key, value, ttl)
    }
    fn extend_if_equal<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        ttl: Duration,
    ) -> StoreFuture<'a, bool> {
        self.note(key, &value);
        self.store.extend_if_equal(key, value, ttl)
    }
    fn remove<'a>(&'a self, key: &'a str) -> StoreFuture<'a, ()> {
        self.note(key, b"");
        self.store.remove(key)
    }
    fn remove_if_equal<'a>(&'a self, key: &'a str, value: Bytes) -> StoreFuture<'a, bool> {
        self.note(key, &value);
        self.store.remove_if_equal(key, value)
    }
}

impl CounterStore for Watched {
    fn increment<'a>(&'a self, key: &'a str, amount: i64, ttl: Duration) -> StoreFuture<'a, i64> {
        self.note(key, b"");
        self.store.increment(key, amount, ttl)
    }
}

impl QuotaStore for Watched {}

#[tokio::test(start_paused = true)]
async fn neither_the_secret_nor_a_signature_nor_a_payload_shows() {
    let log = Log::of_everything();
    let mut shown = Shown::default();
    let verifier =
        Verifier::new(SECRET).unwrap().with_previous_secret(format!("{SECRET}-new")).unwrap();
    let scheme = EnvelopeScheme::new(verifier.clone());
    let store = Watched::default();
    let given = Arc::clone(&store.given);
    let handler = |delivery: Delivery| async move {
        // It does not fit the event's type, which is logged.
        let _ = delivery.event();
        match delivery.id() {
            "fails" => Err("the handler's own words"),
            "panics" => panic!("in a test"),
            _ => Ok(()),
        }
    };
    let builder = WebhookReceiver::builder(verifier.clone()).deduplicator(Deduplicator::new(store));
    shown.value(&builder);
    let receiver = builder.start(handler).unwrap();
    let envelopes = WebhookReceiver::for_envelopes(scheme.clone()).start(handler).unwrap();
    let mut signatures = Vec::new();
    for (id, secret) in
        [("fine", SECRET), ("fails", SECRET), ("panics", SECRET), ("wrong", "other")]
    {
        let outgoing = OutgoingDelivery::new("issues", PAYLOAD).id(id);
        shown.value(&outgoing);
        let request = outgoing.sign(secret, "http://u:p4ssw0rd-c4n4ry@localhost/").unwrap();
        let signature = request.headers()["x-hub-signature-256"].to_str().unwrap();
        signatures.push(signature.trim_start_matches("sha256=").to_owned());
        let delivery = Delivery::verify(&verifier, request.headers(), request.body().clone());
        shown.value(&delivery);
        let response = receiver.clone().oneshot(request.map(Full::new)).await.unwrap();
        shown.value(&response);
    }
    let sealed = scheme.sign("issues", PAYLOAD).unwrap();
    shown.value(&scheme.verify(sealed.as_bytes()).map(|envelope| envelope.verified));
    let request = Request::post("/").body(Full::<Bytes>::from(sealed)).unwrap();
    let response = envelopes.clone().oneshot(request).await;
    shown.value(&response.unwrap());
    receiver.shutdown(Duration::from_secs(600)).await;
    envelopes.shutdown(Duration::from_secs(600)).await;
    shown.value(&(&receiver, &verifier, &scheme));
    let outgoing = OutgoingDelivery::new("issues", PAYLOAD);
    shown.error(
        &outgoing.send(SECRET, "http://u:p4ssw0rd-c4n4ry@127.0.0.1:9/?k=c4n4ry").await.unwrap_err(),
    );
    shown.error(&octowire::webhooks::Event::read("issues", b"{\"p4yl04d-c4n4ry").unwrap_err());

    let log = log.text();
    assert!(log.contains("webhook.delivery") && log.contains("the handler's own words"));
    if cfg!(feature = "webhook-issues") {
        let line = log.lines().find(|line| line.contains("webhook payload does not fit its type"));
        let line = line.unwrap();
        for part in ["WARN", "issues", "opened", "WebhookIssuesOpened", "$.issue"] {
            assert!(line.contains(part), "{line}");
        }
    }
    let own: String = log.lines().filter(|line| line.contains("octowire")).collect();
    let given = given.lock().unwrap().clone();
    assert!(given.contains("delivery:fine"), "{given}");
    for (place, text) in [("Debug and errors", shown.0), ("the log", own), ("the store", given)] {
        assert!(!text.contains("c4n4ry"), "{place}: {text}");
        for signature in &signatures {
            assert!(!text.contains(signature), "{place}: {text}");
        }
    }
}
