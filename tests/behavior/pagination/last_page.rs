//! The number of a list's last page is the one that the latest page states.

use http::Method;
use octowire::Request;

use super::{list, request};
use crate::support::{Received, Reply, Server, json_response};

/// The numbers of the last page before the first page, and after each page.
async fn last_pages(request: Request) -> Vec<Option<u64>> {
    let mut pages = request.pages::<Vec<u64>>();
    let mut numbers = vec![pages.last_page()];
    while pages.try_next().await.unwrap().is_some() {
        numbers.push(pages.last_page());
    }
    assert_eq!(numbers.last(), Some(&pages.last_page()), "it stays at the end");
    numbers
}

#[tokio::test]
async fn each_page_of_a_numbered_list_states_the_last_one() {
    for prefetch in [0, 1, 4] {
        let server = list(3, 2).await;
        let numbers = last_pages(request(&server).prefetch(prefetch)).await;
        assert_eq!(numbers, [None, Some(3), Some(3), Some(3)]);
    }
    let server = list(1, 2).await;
    assert_eq!(last_pages(request(&server)).await, [None, Some(1)]);
}

#[tokio::test]
async fn pages_before_the_requested_one_count() {
    let server = list(5, 2).await;
    let later = request(&server).query("page", 4);
    assert_eq!(last_pages(later).await, [None, Some(5), Some(5)]);
    let last = request(&server).query("page", 5);
    assert_eq!(last_pages(last).await, [None, Some(5)]);
}

#[tokio::test]
async fn a_list_that_changes_states_another_number_with_each_page_that_is_read() {
    let server = Server::start(|request: Received| async move {
        let page = request.number("page").unwrap_or(1);
        let link = |page: u64, rel: &str| format!("</list?page={page}>; rel=\"{rel}\"");
        let links = match page {
            1..5 => format!("link: {}, {}\r\n", link(page + 1, "next"), link(10 + page, "last")),
            // It has become shorter.
            _ => String::new(),
        };
        Reply::Raw(json_response("200 OK", &links, &format!("[{page}]")))
    })
    .await;
    // Pages that are fetched ahead do not change the number.
    for prefetch in [0, 1, 4, 16] {
        let numbers = last_pages(request(&server).prefetch(prefetch)).await;
        assert_eq!(numbers, [None, Some(11), Some(12), Some(13), Some(14), Some(5)]);
    }
}

/// A list of two pages, of which the first has these links.
async fn linking(links: &'static str) -> Server {
    Server::start(move |request: Received| async move {
        Reply::Raw(match &*request.target {
            "/list" => json_response("200 OK", &format!("link: {links}\r\n"), "[1]"),
            _ => json_response("200 OK", "", "[2]"),
        })
    })
    .await
}

#[tokio::test]
async fn links_without_numbers_state_no_last_page() {
    for (links, expected) in [
        ("</list?after=b>; rel=\"next\"", [None, None, None]),
        ("</list?since=7>; rel=\"next\"", [None, None, None]),
        (
            "</list?cursor=b>; rel=\"next\", </list?cursor=z&page=9>; rel=\"last\"",
            [None, None, None],
        ),
        // The pages have numbers, and the last one is known when it is read.
        ("</list?page=2>; rel=\"next\"", [None, None, Some(2)]),
        ("</list?page=2>; rel=\"next\", </list?page=0>; rel=\"last\"", [None, None, Some(2)]),
        ("</list?page=2>; rel=\"next\", <https://[/x?page=9>; rel=\"last\"", [None, None, Some(2)]),
        ("</list?page=2>; rel=\"next\", </list?page=2>; rel=\"last\"", [None, Some(2), Some(2)]),
    ] {
        let server = linking(links).await;
        assert_eq!(last_pages(request(&server)).await, expected, "{links}");
    }
    let server = list(1, 2).await;
    let from_cursor = request(&server).query("after", "b");
    assert_eq!(last_pages(from_cursor).await, [None, None]);
}

#[tokio::test]
async fn items_state_the_last_page_of_their_page() {
    let server = Server::start(|request: Received| async move {
        let page = request.number("page").unwrap_or(1);
        let links = match page {
            1 => "link: </search?page=2>; rel=\"next\", </search?page=3>; rel=\"last\"\r\n",
            2 => "link: </search?page=3>; rel=\"next\", </search?page=4>; rel=\"last\"\r\n",
            _ => "",
        };
        let body = format!("{{\"total_count\":5,\"items\":[{page},{page}]}}");
        // The last page has one item.
        Reply::Raw(json_response("200 OK", links, &body.replace("[3,3]", "[3]")))
    })
    .await;
    let search = server.client().request(Method::GET, "/search");
    let mut items = search
        .items(|page: serde_json::Value| page["items"].as_array().cloned().unwrap_or_default());
    assert_eq!((items.last_page(), items.total()), (None, None));
    for last_page in [3, 3, 4, 4, 3] {
        items.try_next().await.unwrap().unwrap();
        assert_eq!((items.last_page(), items.total()), (Some(last_page), Some(5)));
    }
    assert!(items.try_next().await.unwrap().is_none());
    assert_eq!((items.last_page(), items.total()), (Some(3), Some(5)));
}

#[tokio::test]
async fn an_error_leaves_the_number() {
    let server = Server::start(|request: Received| async move {
        Reply::Raw(match request.number("page") {
            None => {
                let links = "link: </list?page=2>; rel=\"next\", </list?page=9>; rel=\"last\"\r\n";
                json_response("200 OK", links, "[1]")
            }
            Some(_) => json_response("404 Not Found", "", "{}"),
        })
    })
    .await;
    let mut pages = request(&server).pages::<Vec<u64>>();
    pages.try_next().await.unwrap().unwrap();
    assert!(pages.try_next().await.unwrap_err().is_not_found());
    assert_eq!(pages.last_page(), Some(9));
}
