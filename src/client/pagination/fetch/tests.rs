//! The time limits of pages that are fetched ahead; time is paused.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Method;
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::client::test_transport::response;
use crate::policy::rate_limit::{RateLimitPolicy, SecondaryLimits};
use crate::policy::retry::RetryPolicy;

const SECOND: Duration = Duration::from_secs(1);

/// Records when a request ends.
struct Ended(Arc<Mutex<Vec<Instant>>>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.lock().unwrap().push(Instant::now());
    }
}

/// A client with four permits, and the times at which the pages after the first one ended: GitHub
/// sends nothing for these.
fn client() -> (Client, Arc<Mutex<Vec<Instant>>>) {
    let ended = Arc::new(Mutex::new(Vec::new()));
    let pages = Arc::clone(&ended);
    let limits =
        RateLimitPolicy::default().secondary_limits(SecondaryLimits::disabled().max_concurrent(4));
    let builder = Client::builder().rate_limits(limits);
    let builder = builder.retry(RetryPolicy::disabled()).attempt_timeout(30 * SECOND);
    let builder = builder.responder(move |request| {
        let pages = Arc::clone(&pages);
        async move {
            if request.url().query().is_some_and(|query| query.contains("page=")) {
                let _ended = Ended(pages);
                std::future::pending::<()>().await;
            }
            let url = format!("{}{}", request.url().origin().ascii_serialization(), "/list");
            let link = format!("<{url}?page=2>; rel=\"next\", <{url}?page=9>; rel=\"last\"");
            response(&request, 200, &[("link", link)], "[1, 2, 3, 4, 5]")
        }
    });
    (builder.build().unwrap(), ended)
}

#[tokio::test(start_paused = true)]
async fn time_without_a_reader_counts_once_for_each_page_until_a_task_runs_it() {
    let (client, ended) = client();
    let list = client.request(Method::GET, "/list").prefetch(4);
    let mut items = list.items(|page: Vec<u64>| page);
    assert_eq!(items.try_next().await.unwrap(), Some(1));
    let began = Instant::now();
    sleep(10 * SECOND).await;
    // Nothing has ended yet, and the reader is away again.
    assert_eq!(items.try_next().await.unwrap(), Some(2));
    sleep(10 * SECOND).await;
    // It waits for a permit: tasks run the four pages from here on.
    let other = client.clone();
    let other =
        tokio::spawn(async move { other.request(Method::GET, "/other").send_empty().await });
    sleep(20 * SECOND).await;
    assert_eq!(items.try_next().await.unwrap(), Some(3));
    other.await.unwrap().unwrap();
    let ended = ended.lock().unwrap();
    let ended: Vec<_> = ended.iter().map(|ended| (*ended - began).as_secs()).collect();
    assert_eq!(ended, [50; 4]);
}

#[tokio::test(start_paused = true)]
async fn time_without_a_reader_does_not_count_for_pages_that_no_task_runs() {
    let (client, ended) = client();
    let list = client.request(Method::GET, "/list").prefetch(3);
    let mut items = list.items(|page: Vec<u64>| page);
    let began = Instant::now();
    for item in 1..=5 {
        assert_eq!(items.try_next().await.unwrap(), Some(item));
        sleep(20 * SECOND).await;
    }
    items.try_next().await.unwrap_err();
    let ended = ended.lock().unwrap();
    let ended: Vec<_> = ended.iter().map(|ended| (*ended - began).as_secs()).collect();
    assert_eq!(ended, [130; 3]);
}
