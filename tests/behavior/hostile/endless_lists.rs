//! An endless list ends with an error, and a list with empty pages does not.

use std::fmt::Write;

use http::Method;
use octowire::{Client, Error, ErrorKind, Items};
use serde_json::Value;

use crate::support::{Received, Reply, Server, json_response};

/// The bound of pages in a row without progress, as it is documented.
const BOUND: usize = 100;

/// A server whose pages have these bodies, and always link to a further page, which `link` names by its
/// number.
async fn endless(
    body: impl Fn(u64) -> String + Send + Sync + 'static,
    link: fn(u64) -> String,
) -> Server {
    Server::start(move |request: Received| {
        let page = request.number("page").unwrap_or(1);
        let reply = json_response("200 OK", &link(page), &body(page));
        async { Reply::Raw(reply) }
    })
    .await
}

fn next(page: u64) -> String {
    format!("link: </list?page={}>; rel=\"next\"\r\n", page + 1)
}

fn numbered(page: u64) -> String {
    let last = u64::MAX;
    format!("link: </list?page={}>; rel=\"next\", </list?page={last}>; rel=\"last\"\r\n", page + 1)
}

fn list(client: &Client) -> Items<Value> {
    client.request(Method::GET, "/list").items(|page: Value| match page {
        Value::Array(items) => items,
        page => page["items"].as_array().cloned().unwrap_or_default(),
    })
}

fn assert_left(server: &Server, error: &Error, delivered: usize) {
    assert_eq!(error.kind(), ErrorKind::Pagination, "{error}");
    assert!(error.to_string().contains("100 consecutive pages"), "{error}");
    assert!(!error.is_retryable());
    // Some pages are fetched ahead.
    let requests = server.requests().len();
    assert!((BOUND..=BOUND + delivered + 20).contains(&requests), "{requests} requests");
}

#[tokio::test]
async fn empty_pages_without_end_are_left() {
    for empty in ["[]", " [ ] ", r#"{"items":[]}"#, r#"{"total_count":7,"items":[]}"#] {
        for link in [next, numbered] {
            let server = endless(move |_| empty.to_owned(), link).await;
            let error = list(&server.client()).collect_all(1000).await.unwrap_err();
            assert_left(&server, &error, 0);
        }
    }
    let server = endless(|_| "[]".to_owned(), next).await;
    let mut pages = server.client().request(Method::GET, "/list").pages::<Value>();
    let mut read = 0;
    let error = loop {
        match pages.try_next().await {
            Ok(Some(_)) => read += 1,
            Ok(None) => panic!("the list ended"),
            Err(error) => break error,
        }
    };
    assert_eq!(read, BOUND, "pages come before the error");
    assert_left(&server, &error, 0);
}

#[tokio::test]
async fn pages_that_repeat_are_left() {
    for period in [1, 2, 3, 7] {
        let server = endless(move |page| format!("[{}]", page % period), next).await;
        let mut items = list(&server.client());
        let mut read = 0;
        let error = loop {
            match items.try_next().await {
                Ok(Some(_)) => read += 1,
                Ok(None) => panic!("the list ended"),
                Err(error) => break error,
            }
        };
        assert!(read <= BOUND + 7, "{read}");
        assert_left(&server, &error, 7);
    }
}

#[tokio::test]
async fn items_of_earlier_pages_are_delivered() {
    let server =
        endless(|page| if page < 4 { format!("[{page}]") } else { "[]".into() }, next).await;
    let mut items = list(&server.client());
    for page in 1..4 {
        assert_eq!(items.try_next().await.unwrap(), Some(page.into()));
    }
    let error = items.try_next().await.unwrap_err();
    assert_left(&server, &error, 3);
    assert!(items.try_next().await.unwrap().is_none(), "it is over");
}

#[tokio::test]
async fn empty_pages_in_a_filtered_list_are_passed_over() {
    // 99 empty pages, an item, 99 empty pages, an item, and the end.
    for link in [next, |page| numbered(page).replace(&u64::MAX.to_string(), "200")] {
        let server = Server::start(move |request: Received| {
            let page = request.number("page").unwrap_or(1);
            let body = if page.is_multiple_of(100) { format!("[{page}]") } else { "[]".to_owned() };
            let links = if page < 200 { link(page) } else { String::new() };
            async move { Reply::Raw(json_response("200 OK", &links, &body)) }
        })
        .await;
        let all = list(&server.client()).collect_all(10).await.unwrap();
        assert_eq!(all, [Value::from(100), Value::from(200)]);
    }
}

#[tokio::test]
async fn items_that_the_caller_filters_out_count_as_progress() {
    let server = Server::start(|request: Received| async move {
        let page = request.number("page").unwrap_or(1);
        let links = if page < 300 { next(page) } else { String::new() };
        Reply::Raw(json_response("200 OK", &links, &format!("[{page}]")))
    })
    .await;
    let rare = |page: Vec<u64>| page.into_iter().filter(|item| item.is_multiple_of(150)).collect();
    let all = server.client().request(Method::GET, "/list").items(rare).collect_all(10).await;
    assert_eq!(all.unwrap(), [150_u64, 300]);
}

#[tokio::test]
async fn page_numbers_at_their_end_do_not_overflow() {
    const MAX: u64 = u64::MAX;
    for (number, last) in [(MAX - 1, MAX), (MAX, MAX), (MAX - 2, MAX - 1), (2, MAX), (MAX, 2)] {
        for again in [number, number.wrapping_add(1), 1, MAX] {
            let server = Server::start(move |request: Received| {
                let page = if request.number("page").is_some() { again } else { number };
                let mut links = String::new();
                write!(
                    links,
                    "link: </list?page={page}>; rel=next, </list?page={last}>; rel=last\r\n"
                )
                .unwrap();
                async move { Reply::Raw(json_response("200 OK", &links, "[1]")) }
            })
            .await;
            // It ends, by an error.
            let error = list(&server.client()).collect_all(1000).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Pagination, "{number} {last} {again}: {error}");
        }
    }
}
