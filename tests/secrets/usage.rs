//! What is kept of usage and budgets, and shown of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Method;
use octowire::bytes::Bytes;
use octowire::store::{Memory, Store, StoreFuture};
use octowire::telemetry::usage::{Budget, Period, UsagePolicy};
use serde_json::Value;

use crate::SECRET;
use crate::support::{Server, json};
use crate::watch::{Log, Shown};

/// Notes all that it is given in the clear: keys, and the names of what is added up.
#[derive(Clone, Debug, Default)]
struct Noting(Arc<Mutex<String>>, Memory);

impl Noting {
    fn note(&self, text: &str) -> &Memory {
        self.0.lock().unwrap().push_str(&format!("{text}\n"));
        &self.1
    }
}

impl Store for Noting {
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        self.note(key).get(key)
    }
    fn put<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, ()> {
        self.note(key).put(key, value, ttl)
    }
    fn claim<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, bool> {
        self.note(key).claim(key, value, ttl)
    }
    fn renew<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, bool> {
        self.note(key).renew(key, value, ttl)
    }
    fn remove<'a>(&'a self, key: &'a str) -> StoreFuture<'a, ()> {
        self.note(key).remove(key)
    }
    fn release<'a>(&'a self, key: &'a str, value: Bytes) -> StoreFuture<'a, bool> {
        self.note(key).release(key, value)
    }
    fn add<'a>(&'a self, key: &'a str, amount: i64, ttl: Duration) -> StoreFuture<'a, i64> {
        self.note(key).add(key, amount, ttl)
    }
    fn tally<'a>(
        &'a self,
        key: &'a str,
        amounts: &'a [(String, u64)],
        ttl: Duration,
    ) -> StoreFuture<'a, bool> {
        self.note(&format!("{key} {amounts:?}")).tally(key, amounts, ttl)
    }
    fn tallied<'a>(&'a self, key: &'a str) -> StoreFuture<'a, BTreeMap<String, u64>> {
        self.note(key).tallied(key)
    }
}

#[tokio::test]
async fn usage_and_budgets_show_neither_token_nor_path_nor_query() {
    let log = Log::of_everything();
    let server = Server::saying(json("200 OK", "", "[]")).await;
    let store = Noting::default();
    let budget = Budget::new("b", Period::Month).soft(1).hard(2);
    let client = server.builder().token(SECRET).store(store.clone());
    let client = client.usage(UsagePolicy::new().budget(budget)).build().unwrap();
    let mut shown = Shown::default();
    for _ in 0..3 {
        for own in [false, true] {
            let call = client.request(Method::POST, "/hunter2").query("q", "hunter2");
            let call = if own { call.header("authorization", SECRET) } else { call };
            if let Err(error) = call.send::<Value>().await {
                shown.value(&error.retry_after());
                // The path of a call that was made by hand is its name.
                shown.0.push_str(&error.to_string().replace("POST /hunter2", ""));
            }
        }
    }
    assert!(client.usage().tell().await);
    let report = client.usage().report().await;
    shown.value(&report);
    shown.value(&client.usage());
    shown.value(&client.usage().identities().await);
    shown.0.push_str(&format!("{report} {}", report.to_json()));
    let noted = store.0.lock().unwrap().clone();
    assert!(noted.contains("budget:http") && noted.contains("request calls"), "{noted}");
    assert!(shown.0.contains("the budget \"b\" of 2 requests a month is spent"), "{}", shown.0);
    let warned = log.text();
    let warned: Vec<_> = warned.lines().filter(|line| line.contains("nearly spent")).collect();
    assert!(!warned.is_empty());
    for text in [&noted, &shown.0, &warned.join("\n").replace("POST /hunter2", "")] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}
