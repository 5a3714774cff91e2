//! The stored and shown data of usage and budgets.

use std::sync::{Arc, Mutex};

use http::Method;
use octowire::usage::{Budget, Period, UsageConfig};
use serde_json::Value;

use crate::SECRET;
use crate::captured_output::{Log, Shown};
use crate::intercepting_store::InterceptingStore;
use crate::support::{Server, json_response};

#[tokio::test]
async fn usage_and_budgets_show_neither_token_nor_path_nor_query() {
    let log = Log::of_everything();
    let server = Server::fixed_response(json_response("200 OK", "", "[]")).await;
    let noted = Arc::new(Mutex::new(String::new()));
    let notes = Arc::clone(&noted);
    let store = InterceptingStore::new(move |reported| {
        notes.lock().unwrap().push_str(&format!("{reported}\n"));
        true
    });
    let budget = Budget::new("b", Period::Month).soft_limit(1).hard_limit(2);
    let client = server.builder().token(SECRET).store(store);
    let client = client.usage(UsageConfig::new().budget(budget)).build().unwrap();
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
    assert!(client.usage().flush().await);
    let report = client.usage().report().await;
    shown.value(&report);
    shown.value(&client.usage());
    shown.value(&client.usage().identities().await);
    shown.0.push_str(&format!("{report} {}", report.to_json()));
    let noted = noted.lock().unwrap().clone();
    assert!(noted.contains("budget:v1:http%3A") && noted.contains("request calls"), "{noted}");
    assert!(shown.0.contains("budget \"b\" exhausted: 2 requests per month"), "{}", shown.0);
    let warned = log.text();
    let warned: Vec<_> =
        warned.lines().filter(|line| line.contains("soft limit reached")).collect();
    assert!(!warned.is_empty());
    for text in [&noted, &shown.0, &warned.join("\n").replace("POST /hunter2", "")] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}
