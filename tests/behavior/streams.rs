//! Calls that are not polled do not delay other calls.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{join_all, poll_immediate};
use futures_util::{StreamExt, stream};
use http::Method;
use octowire::rate_limit::{RateLimitPolicy, SecondaryLimits};
use octowire::{Client, Items};
use serde_json::Value;
use tokio::time::timeout;

use crate::support::{Received, Reply, Server, json_response};

const PAGES: u64 = 9;
const PER_PAGE: u64 = 4;

/// Answers after so long: a list with numbered pages, and anything else with an object.
async fn server(time: Duration) -> Server {
    Server::start(move |request: Received| async move {
        tokio::time::sleep(time).await;
        let Some((path, _)) = request.target.split_once("/issues?") else {
            return Reply::Raw(json_response("200 OK", "", "{}"));
        };
        let page = request.number("page").unwrap_or(1);
        let host = &request.headers["host"];
        let link = |page: u64, rel: &str| {
            format!("<http://{host}{path}/issues?per_page=4&page={page}>; rel=\"{rel}\"")
        };
        let links = match page < PAGES {
            true => format!("link: {}, {}\r\n", link(page + 1, "next"), link(PAGES, "last")),
            false => String::new(),
        };
        let items: Vec<_> = ((page - 1) * PER_PAGE..page * PER_PAGE).collect();
        Reply::Raw(json_response("200 OK", &links, &serde_json::to_string(&items).unwrap()))
    })
    .await
}

/// Points are a matter of time, not of calls that hold each other up.
fn client(server: &Server, concurrent: u32) -> Client {
    let pacing = SecondaryLimits::default().points_per_minute(None).max_concurrent(concurrent);
    let limits = RateLimitPolicy::default().secondary_limits(pacing);
    server.default_client_builder().rate_limits(limits).build().unwrap()
}

fn issues(client: &Client, repo: u64) -> Items<u64> {
    let list = client.request(Method::GET, format!("/repos/o/{repo}/issues"));
    let list = list.query("per_page", PER_PAGE);
    list.items(|page: Vec<u64>| page)
}

async fn get(client: &Client, path: &str) {
    client.request(Method::GET, path).send::<Value>().await.unwrap();
}

/// Walks the list and makes one call for each item; gives how many there were.
async fn walk(client: Client, repo: u64, method: Method) -> u64 {
    let mut items = issues(&client, repo);
    let mut walked = 0;
    while let Some(item) = items.try_next().await.unwrap() {
        let call = client.request(method.clone(), format!("/repos/o/{repo}/issues/{item}"));
        call.send::<Value>().await.unwrap();
        walked += 1;
    }
    walked
}

/// Forty tasks walk a list each.
async fn forty(time: Duration, pacing: SecondaryLimits, method: Method) {
    let server = server(time).await;
    let limits = RateLimitPolicy::default().secondary_limits(pacing.points_per_minute(None));
    let client = server.default_client_builder().rate_limits(limits).build().unwrap();
    let tasks = (0..40).map(|repo| tokio::spawn(walk(client.clone(), repo, method.clone())));
    let all = timeout(Duration::from_secs(60), join_all(tasks)).await.expect("it hangs");
    let walked: u64 = all.into_iter().map(|walked| walked.unwrap()).sum();
    assert_eq!(walked, 40 * PAGES * PER_PAGE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_tasks_that_make_a_call_for_each_item_of_a_stream_finish() {
    forty(Duration::from_millis(5), SecondaryLimits::default(), Method::GET).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_tasks_that_write_for_each_item_of_a_stream_finish() {
    // The pages ahead take all 100 permits while the writes wait for each other.
    let pacing = SecondaryLimits::default().min_write_interval(Duration::from_millis(1));
    forty(Duration::ZERO, pacing, Method::PATCH).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_task_on_four_permits_finishes() {
    let server = server(Duration::ZERO).await;
    for concurrent in 1..=4 {
        let client = client(&server, concurrent);
        let walked =
            timeout(Duration::from_secs(60), walk(client, 0, Method::GET)).await.expect("it hangs");
        assert_eq!(walked, PAGES * PER_PAGE);
    }
}

#[tokio::test]
async fn a_call_that_is_polled_once_and_left_releases_its_permit() {
    let server = server(Duration::ZERO).await;
    let client = client(&server, 1);
    let mut left = pin!(client.request(Method::GET, "/left").send::<Value>());
    assert!(poll_immediate(&mut left).await.is_none());
    timeout(Duration::from_secs(60), get(&client, "/other")).await.expect("it hangs");
    left.await.unwrap();
}

#[tokio::test]
async fn calls_between_the_results_of_a_batch_finish() {
    let server = server(Duration::ZERO).await;
    let client = client(&server, 2);
    let calls = (0..20)
        .map(|number| client.request(Method::GET, format!("/batch/{number}")).send::<Value>());
    let mut results = pin!(client.batch(calls).concurrency(8).stream());
    let walk = async {
        while let Some((index, result)) = results.next().await {
            result.unwrap();
            get(&client, &format!("/between/{index}")).await;
        }
    };
    timeout(Duration::from_secs(60), walk).await.expect("it hangs");
}

#[tokio::test]
async fn a_users_own_buffer_finishes_beside_calls_in_its_loop() {
    let server = server(Duration::ZERO).await;
    let client = client(&server, 2);
    let calls = stream::iter(0..20)
        .map(|number| client.request(Method::GET, format!("/buffer/{number}")).send::<Value>());
    let mut results = pin!(calls.buffer_unordered(8).zip(issues(&client, 0)));
    let walk = async {
        while let Some((result, _)) = results.next().await {
            result.unwrap();
            get(&client, "/between").await;
        }
    };
    timeout(Duration::from_secs(60), walk).await.expect("it hangs");
}
