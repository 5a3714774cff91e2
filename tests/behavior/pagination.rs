//! Lists arrive in order, in bounded memory, and never from an external host.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{Received, Reply, Server, json_response};
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use http::Method;
use octowire::{Client, ErrorKind, Items, OnItemError, Request};
use serde::{Deserialize, Deserializer};
use tokio::sync::Barrier;
use tokio::time::timeout;

mod incomplete_lists;
mod last_page;
mod links;
mod undecodable_items;

/// A page of a numbered list, as GitHub links it.
fn numbered(request: &Received, last: u64, per_page: u64) -> Vec<u8> {
    let page = request.number("page").unwrap_or(1);
    let items: Vec<_> = ((page - 1) * per_page..page * per_page).collect();
    let body = serde_json::to_string(&items).unwrap();
    let host = &request.headers["host"];
    let link = |page: u64, rel: &str| format!("<http://{host}/list?page={page}>; rel=\"{rel}\"");
    let links = if page < last {
        format!("link: {}, {}\r\n", link(page + 1, "next"), link(last, "last"))
    } else {
        format!("link: {}\r\n", link(1, "first"))
    };
    json_response("200 OK", &links, &body)
}

/// A server with a numbered list.
async fn list(last: u64, per_page: u64) -> Server {
    Server::start(move |request| async move { Reply::Raw(numbered(&request, last, per_page)) })
        .await
}

fn request(server: &Server) -> Request {
    server.client().request(Method::GET, "/list")
}

fn items(server: &Server) -> Items<u64> {
    request(server).items(|page: Vec<u64>| page)
}

fn pages_asked_for(server: &Server) -> Vec<u64> {
    let requests = server.requests();
    requests.iter().map(|request| request.number("page").unwrap_or(1)).collect()
}

#[tokio::test]
async fn items_come_in_order_across_pages() {
    for prefetch in [0, 1, 4, 16, 1000] {
        let server = list(23, 7).await;
        let items = request(&server).prefetch(prefetch).items(|page: Vec<u64>| page);
        let all: Vec<u64> = items.try_collect().await.unwrap();
        assert_eq!(all, (0..23 * 7).collect::<Vec<_>>());
        let mut pages = pages_asked_for(&server);
        pages.sort_unstable();
        assert_eq!(pages, (1..=23).collect::<Vec<_>>(), "each page once");
    }
}

#[tokio::test]
async fn pages_carry_their_responses() {
    let server = list(3, 2).await;
    let mut pages = request(&server).pages::<Vec<u64>>();
    let mut seen = Vec::new();
    while let Some(page) = pages.try_next().await.unwrap() {
        assert_eq!(page.meta().status(), 200);
        assert_eq!(page.meta().operation(), "GET /list");
        assert!(page.meta().headers().contains_key("link"));
        seen.extend_from_slice(&page);
    }
    assert_eq!(seen, [0, 1, 2, 3, 4, 5]);
    assert!(pages.next().await.is_none());
    let tokens = server.requests();
    assert!(tokens.iter().all(|request| request.headers["authorization"] == "Bearer t0ken"));
}

#[tokio::test]
async fn a_list_of_one_page_is_one_request() {
    let server = list(1, 3).await;
    assert_eq!(items(&server).collect_all(10).await.unwrap(), [0, 1, 2]);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn an_empty_page_in_between_is_no_end() {
    let server = Server::start(|request| async move {
        Reply::Raw(match request.number("page") {
            Some(3) => json_response("200 OK", "", "[7]"),
            page => {
                let next = page.unwrap_or(1) + 1;
                let link = format!("link: </list?page={next}>; rel=\"next\"\r\n");
                json_response("200 OK", &link, "[]")
            }
        })
    })
    .await;
    assert_eq!(items(&server).collect_all(10).await.unwrap(), [7]);
}

#[tokio::test]
async fn the_query_is_sent_once_and_then_the_links_decide() {
    let server = list(2, 1).await;
    let call = request(&server).query("state", "open").header("x-a", "b");
    let items = call.items(|page: Vec<u64>| page);
    let _: Vec<_> = items.try_collect().await.unwrap();
    let requests = server.requests();
    let targets: Vec<_> = requests.iter().map(|request| &*request.target).collect();
    assert_eq!(targets, ["/list?state=open", "/list?page=2"]);
    assert!(requests.iter().all(|request| request.headers["x-a"] == "b"));
}

#[tokio::test]
async fn numbered_pages_are_fetched_concurrently_and_handed_out_in_order() {
    // Pages 2 to 5 are answered when all four are asked for, the last one first.
    let barrier = Arc::new(Barrier::new(4));
    let server = Server::start(move |request| {
        let barrier = Arc::clone(&barrier);
        async move {
            if let Some(page @ 2..=5) = request.number("page") {
                barrier.wait().await;
                for _ in 0..20 * (5 - page) {
                    tokio::task::yield_now().await;
                }
            }
            Reply::Raw(numbered(&request, 9, 2))
        }
    })
    .await;
    let all = timeout(Duration::from_secs(20), items(&server).collect_all(100));
    let all = all.await.expect("four pages are in flight at once").unwrap();
    assert_eq!(all, (0..18).collect::<Vec<_>>());
}

#[tokio::test]
async fn no_more_pages_are_requested_than_the_bound_allows() {
    for (prefetch, ahead) in [(0, 0), (1, 1), (4, 4), (99, 16)] {
        for page in [1, 2, 5] {
            let server = list(100, 100).await;
            let call = request(&server).prefetch(prefetch);
            let mut items = call.items(|page: Vec<u64>| page);
            // Up to the page's last item, so that the pages ahead have time to arrive.
            for _ in 0..100 * page {
                items.try_next().await.unwrap();
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
            }
            let asked = pages_asked_for(&server).into_iter().max().unwrap();
            assert_eq!(asked, page + ahead, "{prefetch} ahead of {page}");
        }
    }
}

/// A list by cursor: each page only knows the next one.
async fn cursors(last: u64) -> Server {
    Server::start(move |request| async move {
        let page = request.number("after").unwrap_or(0);
        let host = &request.headers["host"];
        let next = page + 1;
        let link = format!("link: <http://{host}/list?after={next}>; rel=\"next\"\r\n");
        let link = if page < last { &*link } else { "" };
        Reply::Raw(json_response("200 OK", link, &format!("[{page}]")))
    })
    .await
}

#[tokio::test]
async fn cursors_are_followed_one_page_ahead() {
    let server = cursors(5).await;
    assert_eq!(items(&server).collect_all(10).await.unwrap(), [0, 1, 2, 3, 4, 5]);
    for (prefetch, expected) in [(0, 3), (1, 4), (16, 4)] {
        let server = cursors(100).await;
        let mut pages = request(&server).prefetch(prefetch).pages::<Vec<u64>>();
        for _ in 0..3 {
            pages.try_next().await.unwrap();
        }
        for _ in 0..500 {
            tokio::task::yield_now().await;
        }
        assert_eq!(server.requests().len(), expected, "{prefetch} ahead");
    }
}

/// An item that counts how many of its kind there are.
struct Counted(u64);

static LIVE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        let live = LIVE.fetch_add(1, Ordering::Relaxed) + 1;
        MOST.fetch_max(live, Ordering::Relaxed);
        Ok(Self(number))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_million_items_take_no_more_memory_than_a_few_pages() {
    const PAGES: u64 = 10_000;
    let read = Arc::new(AtomicU64::new(0));
    let furthest = Arc::new(AtomicU64::new(0));
    let (reader, ahead) = (Arc::clone(&read), Arc::clone(&furthest));
    let server = Server::start(move |request| {
        let page = request.number("page").unwrap_or(1);
        let begun = reader.load(Ordering::Relaxed).div_ceil(100);
        ahead.fetch_max(page - begun, Ordering::Relaxed);
        let reply = Reply::Raw(numbered(&request, PAGES, 100));
        async { reply }
    })
    .await;
    let mut items = request(&server).items(|page: Vec<Counted>| page);
    let mut count = 0;
    while let Some(item) = items.try_next().await.unwrap() {
        assert_eq!(item.0, count);
        count += 1;
        read.store(count, Ordering::Relaxed);
    }
    assert_eq!(count, 100 * PAGES);
    // The page that is being handed out, and four ahead of it.
    assert!(MOST.load(Ordering::Relaxed) <= 500);
    assert!(furthest.load(Ordering::Relaxed) <= 5);
}

#[tokio::test]
async fn an_error_follows_the_earlier_items_and_ends_the_stream() {
    for prefetch in [0, 1, 4] {
        let server = Server::start(|request| async move {
            Reply::Raw(match request.number("page") {
                Some(4) => json_response("500 Oops", "", r#"{"message":"Oops"}"#),
                _ => numbered(&request, 9, 2),
            })
        })
        .await;
        let mut items = request(&server).prefetch(prefetch).items(|page: Vec<u64>| page);
        for expected in 0..6 {
            assert_eq!(items.try_next().await.unwrap(), Some(expected));
        }
        let error = items.try_next().await.unwrap_err();
        assert_eq!(error.status().unwrap(), 500);
        assert_eq!(error.operation(), Some("GET /list"));
        assert!(items.next().await.is_none());
    }
}

#[tokio::test]
async fn a_page_that_does_not_decode_ends_its_list_if_the_caller_says_so() {
    let server = Server::start(|request| async move {
        Reply::Raw(match request.number("page") {
            Some(2) => json_response("200 OK", "link: </list?page=3>; rel=next\r\n", "[0,\"x\"]"),
            _ => numbered(&request, 9, 2),
        })
    })
    .await;
    let mut items = items(&server).on_item_error(OnItemError::Stop);
    for expected in [0, 1, 0] {
        assert_eq!(items.try_next().await.unwrap(), Some(expected));
    }
    let error = items.try_next().await.unwrap_err();
    assert_eq!(error.json_path(), Some("$[1]"));
    assert!(items.next().await.is_none());
}

#[tokio::test]
async fn a_link_to_another_server_is_followed_at_the_clients_own_only() {
    let stranger = list(9, 1).await;
    let link = format!("link: <{}/list?page=2>; rel=\"next\"\r\n", stranger.url);
    let server = Server::start(move |request| {
        let link = if request.number("page").is_some() { "" } else { &*link };
        let reply = Reply::Raw(json_response("200 OK", link, "[1,2]"));
        async { reply }
    })
    .await;
    assert_eq!(items(&server).collect_all(9).await.unwrap(), [1, 2, 1, 2]);
    assert_eq!(server.requests()[1].target, "/list?page=2");
    assert!(stranger.requests().is_empty());
}

#[tokio::test]
async fn links_that_run_in_a_circle_end_in_an_error() {
    for circle in [1, 2, 5] {
        let server = Server::start(move |request| async move {
            let cursor = request.number("since").unwrap_or(0);
            let next = (cursor + 1) % circle;
            let link = format!("link: </list?since={next}>; rel=\"next\"\r\n");
            Reply::Raw(json_response("200 OK", &link, &format!("[{cursor}]")))
        })
        .await;
        let call = server.client().request(Method::GET, "/list?since=0");
        let mut items = call.items(|page: Vec<u64>| page);
        for expected in 0..circle {
            assert_eq!(items.try_next().await.unwrap(), Some(expected));
        }
        let error = items.try_next().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Pagination);
        assert!(error.to_string().contains("already fetched"), "{error}");
        assert_eq!(server.requests().len() as u64, circle);
    }
}

#[tokio::test]
async fn a_list_that_changes_its_length_meanwhile_is_read_to_its_end() {
    // Page 1 promises 5 pages; from page 2 on there are 3, or 8.
    for (now, expected) in [(3, 3), (8, 8)] {
        let server = Server::start(move |request| async move {
            let last = if request.number("page").is_some() { now } else { 5 };
            Reply::Raw(numbered(&request, last, 1))
        })
        .await;
        let all = items(&server).collect_all(20).await.unwrap();
        assert_eq!(all, (0..expected).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn links_that_leave_the_numbers_are_followed() {
    // Page 2 leads on to page 7 instead of 3.
    let server = Server::start(|request| async move {
        Reply::Raw(match request.number("page") {
            Some(2) => json_response("200 OK", "link: </list?page=7>; rel=\"next\"\r\n", "[2]"),
            Some(7) => json_response("200 OK", "", "[7]"),
            _ => numbered(&request, 9, 1),
        })
    })
    .await;
    assert_eq!(items(&server).collect_all(20).await.unwrap(), [0, 2, 7]);
}

#[tokio::test]
async fn a_list_longer_than_the_limit_is_not_cut_off_in_silence() {
    let server = list(3, 2).await;
    assert_eq!(items(&server).collect_all(6).await.unwrap().len(), 6);
    let error = items(&server).collect_all(5).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Pagination);
    assert!(error.to_string().contains("limit of 5"), "{error}");
}

#[tokio::test]
async fn a_slow_reader_does_not_run_the_pages_ahead_into_a_timeout() {
    let server = list(4, 2).await;
    let client = server.builder().attempt_timeout(Duration::from_secs(1));
    let client: Client = client.build().unwrap();
    let call = client.request(Method::GET, "/list");
    let mut items = call.items(|page: Vec<u64>| page);
    let mut all = Vec::new();
    while let Some(item) = items.try_next().await.unwrap() {
        all.push(item);
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(600)).await;
        tokio::time::resume();
    }
    assert_eq!(all, (0..8).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_streams_are_streams() {
    let server = list(3, 2).await;
    let pages = request(&server).pages::<Vec<u64>>();
    assert_eq!(pages.count().await, 3);
    let firsts: Vec<_> = items(&server).take(3).try_collect().await.unwrap();
    assert_eq!(firsts, [0, 1, 2]);
    assert!(items(&server).next().now_or_never().is_none());
}
