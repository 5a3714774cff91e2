//! Failed deliveries are redelivered a bounded number of times.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use octowire::chrono::DateTime;
use octowire::store::MemoryStore;
use octowire::webhooks::Reconciler;
use serde_json::{Value, json};

use crate::support::{Received, Reply, Server, json_response};

const DAY: u64 = 24 * 60 * 60;
const NAMES: [&str; 30] = [
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16",
    "17", "18", "19", "20", "21", "22", "23", "24", "25", "26", "27", "28", "29",
];

/// A webhook as GitHub keeps it: its attempts at deliveries, newest first.
#[derive(Default)]
struct Hook {
    attempts: Vec<Value>,
    /// Whether a requested redelivery succeeds.
    succeeds: bool,
    /// Deliveries whose redelivery GitHub rejects.
    refused: Vec<i64>,
    /// Requested redeliveries are not in the list yet.
    late: bool,
}

fn attempt(id: usize, guid: &str, seconds_ago: u64, status_code: u16, redelivery: bool) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let at = DateTime::from_timestamp(i64::try_from(now - seconds_ago).unwrap(), 0).unwrap();
    json!({
        "id": id, "guid": guid, "delivered_at": at.to_rfc3339(), "redelivery": redelivery, "duration": 0.1,
        "status": if status_code == 200 { "OK" } else { "failed to connect to host" },
        "status_code": status_code, "event": "issues", "action": "opened", "installation_id": null,
        "repository_id": null, "throttled_at": null,
    })
}

impl Hook {
    /// The oldest first.
    fn of(attempts: &[(&str, u64, u16)]) -> Self {
        let one = |(index, (guid, ago, status)): (usize, &(&str, u64, u16))| {
            // GitHub's own attempt is the first.
            let again = attempts[..index].iter().any(|(other, _, _)| other == guid);
            attempt(index + 1, guid, *ago, *status, again)
        };
        let mut attempts: Vec<Value> = attempts.iter().enumerate().map(one).collect();
        attempts.reverse();
        Self { attempts, succeeds: true, refused: Vec::new(), late: false }
    }

    fn respond(&mut self, request: &Received) -> Vec<u8> {
        let path = request.target.split('?').next().unwrap();
        if request.method == "POST" {
            let id: i64 = path.rsplit('/').nth(1).unwrap().parse().unwrap();
            if self.refused.contains(&id) {
                return json_response("422 Unprocessable Entity", "", r#"{"message":"too old"}"#);
            }
            let guid =
                self.attempts.iter().find(|attempt| attempt["id"] == id).unwrap()["guid"].clone();
            let status = if self.succeeds { 200 } else { 500 };
            let next = attempt(self.attempts.len() + 1, guid.as_str().unwrap(), 0, status, true);
            if !self.late {
                self.attempts.insert(0, next);
            }
            return json_response("202 Accepted", "", "{}");
        }
        // A page has two items, for any `per_page`.
        let from = usize::try_from(request.number("cursor").unwrap_or_default()).unwrap();
        let page: Vec<&Value> = self.attempts.iter().skip(from).take(2).collect();
        let next = from + page.len();
        let link = if next < self.attempts.len() {
            let host = &request.headers["host"];
            format!("link: <http://{host}{path}?per_page=100&cursor={next}>; rel=\"next\"\r\n")
        } else {
            String::new()
        };
        json_response("200 OK", &link, &serde_json::to_string(&page).unwrap())
    }
}

struct GitHub {
    hook: Arc<Mutex<Hook>>,
    server: Server,
}

impl GitHub {
    async fn with(hook: Hook) -> Self {
        let hook = Arc::new(Mutex::new(hook));
        let responses = Arc::clone(&hook);
        let server = Server::start(move |request: Received| {
            let bytes = responses.lock().unwrap().respond(&request);
            async { Reply::Raw(bytes) }
        });
        Self { hook, server: server.await }
    }

    fn app(&self) -> Reconciler {
        Reconciler::app(self.server.client())
    }

    fn asked(&self) -> Vec<String> {
        let requests = self.server.requests().into_iter();
        requests.filter(|request| request.method == "POST").map(|request| request.target).collect()
    }

    fn listed(&self) -> usize {
        self.server.requests().iter().filter(|request| request.method == "GET").count()
    }
}

fn guids(items: &[octowire::types::HookDeliveryItem]) -> Vec<&str> {
    items.iter().map(|item| item.guid.as_str()).collect()
}

#[tokio::test]
async fn only_failed_deliveries_are_redelivered_oldest_first() {
    let github = GitHub::with(Hook::of(&[
        ("too-old", 4 * DAY, 500),
        ("failed-first", 2 * DAY, 500),
        ("succeeded", 2 * DAY - 10, 200),
        ("redelivered", DAY, 502),
        ("no-connection", DAY - 5, 0),
        ("redelivered", DAY / 2, 200),
        ("just-now", 5, 504),
    ]))
    .await;
    let reconciler = github.app();
    let result = reconciler.run().await.unwrap();
    assert_eq!(guids(&result.redelivered), ["failed-first", "no-connection"]);
    assert_eq!(
        github.asked(),
        ["/app/hook/deliveries/2/attempts", "/app/hook/deliveries/5/attempts"]
    );
    assert_eq!((result.listed, result.deliveries, result.succeeded, result.recent), (6, 5, 2, 1));
    let line = result.to_string();
    assert!(line.starts_with("5 deliveries in 6 attempts: 2 succeeded, 2 redelivered"), "{line}");
    // They succeeded, and are asked for no more.
    let result = reconciler.run().await.unwrap();
    assert!(result.redelivered.is_empty() && result.failed.is_empty());
    assert_eq!(github.asked().len(), 2);
}

#[tokio::test]
async fn a_delivery_that_fails_repeatedly_is_abandoned() {
    let mut hook = Hook::of(&[("hopeless", DAY, 500)]);
    hook.succeeds = false;
    let github = GitHub::with(hook).await;
    let reconciler = github.app().grace_period(Duration::ZERO).max_attempts(3);
    for _ in 0..2 {
        assert_eq!(guids(&reconciler.run().await.unwrap().redelivered), ["hopeless"]);
    }
    let result = reconciler.run().await.unwrap();
    assert_eq!((guids(&result.given_up), github.asked().len()), (vec!["hopeless"], 2));
    // For good, although only the last attempts at it are seen from now on.
    for _ in 0..3 {
        let result = reconciler.run().await.unwrap();
        assert!(result.redelivered.is_empty());
    }
    assert_eq!(github.asked().len(), 2);
}

#[tokio::test]
async fn a_requested_redelivery_is_awaited_before_it_is_listed() {
    let mut hook = Hook::of(&[("failed", DAY, 500)]);
    hook.late = true;
    let github = GitHub::with(hook).await;
    let reconciler = github.app();
    assert_eq!(reconciler.run().await.unwrap().redelivered.len(), 1);
    let result = reconciler.run().await.unwrap();
    assert_eq!((result.redelivered.len(), result.recent, github.asked().len()), (0, 1, 1));
    // Nor is it asked for without end if it never is.
    let reconciler = github.app().grace_period(Duration::ZERO).max_attempts(4);
    for _ in 0..10 {
        reconciler.run().await.unwrap();
    }
    assert_eq!(github.asked().len(), 1 + 3);
}

#[tokio::test]
async fn a_failed_manual_redelivery_does_not_count_as_a_failed_delivery() {
    let github = GitHub::with(Hook::of(&[("succeeded", 2 * DAY, 200), ("fine", 3600, 200)])).await;
    let reconciler = github.app();
    reconciler.run().await.unwrap();
    github.hook.lock().unwrap().attempts.insert(0, attempt(9, "succeeded", 120, 500, true));
    assert!(reconciler.run().await.unwrap().redelivered.is_empty());
}

#[tokio::test]
async fn only_new_and_open_deliveries_are_examined_again() {
    let succeeded: Vec<(&str, u64, u16)> =
        (0..20).map(|number| (NAMES[number as usize], 2 * DAY - 3600 * number, 200)).collect();
    let github = GitHub::with(Hook::of(&succeeded)).await;
    let reconciler = github.app();
    reconciler.run().await.unwrap();
    let first = github.listed();
    assert_eq!(first, 10);
    github.hook.lock().unwrap().attempts.insert(0, attempt(90, "new", 120, 500, false));
    let result = reconciler.run().await.unwrap();
    assert_eq!((guids(&result.redelivered), github.listed() - first), (vec!["new"], 2));
}

#[tokio::test]
async fn a_rejected_redelivery_is_requested_once() {
    let mut hook = Hook::of(&[("refused", DAY, 500), ("fine", DAY / 2, 200), ("other", 3600, 200)]);
    hook.refused = vec![1];
    let github = GitHub::with(hook).await;
    let reconciler = github.app();
    let result = reconciler.run().await.unwrap();
    assert_eq!((result.failed.len(), &*result.failed[0].0.guid), (1, "refused"));
    assert_eq!(result.failed[0].1.status().unwrap().as_u16(), 422);
    assert_eq!(guids(&reconciler.run().await.unwrap().given_up), ["refused"]);
    reconciler.run().await.unwrap();
    assert_eq!(github.asked().len(), 1);
}

#[tokio::test]
async fn a_flood_of_deliveries_is_examined_in_part_and_reported() {
    let many: Vec<(&str, u64, u16)> =
        (0..30).map(|number| (NAMES[number as usize], 3600 - number, 200)).collect();
    let github = GitHub::with(Hook::of(&many)).await;
    let result = github.app().max_scanned(10).run().await.unwrap();
    assert_eq!((result.listed, result.truncated), (10, true));
    assert!(result.to_string().ends_with("there are more"));
}

#[tokio::test]
async fn repository_webhooks_are_reconciled_by_id() {
    let github = GitHub::with(Hook::of(&[("failed", 3600, 500)])).await;
    let client = github.server.client();
    let reconciler = Reconciler::repository(client, "octocat", "hello-world", 7);
    assert_eq!(reconciler.run().await.unwrap().redelivered.len(), 1);
    assert_eq!(github.asked(), ["/repos/octocat/hello-world/hooks/7/deliveries/1/attempts"]);
    #[cfg(feature = "orgs")]
    {
        let github = GitHub::with(Hook::of(&[("failed", 3600, 500)])).await;
        Reconciler::organization(github.server.client(), "octo-org", 8).run().await.unwrap();
        assert_eq!(github.asked(), ["/orgs/octo-org/hooks/8/deliveries/1/attempts"]);
    }
}

#[tokio::test]
async fn one_process_of_a_fleet_reconciles_at_a_time() {
    let github = GitHub::with(Hook::of(&[("failed", 3600, 500)])).await;
    let store = MemoryStore::new();
    let every = || async {
        github.app().exclusive(store.clone()).run_every(Duration::from_secs(3600)).await;
    };
    let asked = async {
        while github.asked().is_empty() {
            tokio::task::yield_now().await;
        }
        // Another process would have started by now.
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
    };
    let all = futures_util::future::join3(every(), every(), every());
    futures_util::future::select(std::pin::pin!(all), std::pin::pin!(asked)).await;
    assert_eq!((github.asked().len(), github.listed()), (1, 1));
}

#[tokio::test]
async fn an_unavailable_delivery_list_is_an_error() {
    let server = Server::fixed_response(json_response(
        "401 Unauthorized",
        "",
        r#"{"message":"Bad credentials"}"#,
    ))
    .await;
    let error = Reconciler::app(server.client()).run().await.unwrap_err();
    assert_eq!(
        error.operation().map(ToString::to_string).as_deref(),
        Some("apps/list-webhook-deliveries")
    );
}
