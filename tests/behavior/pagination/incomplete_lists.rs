//! An incomplete list is reported.

use http::Method;
use octowire::{Client, ErrorKind, IncompleteReason, Items, Request};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{Reply, Server, json_response};

#[derive(Deserialize)]
struct SearchPage {
    items: Vec<u64>,
}

fn search(client: &Client) -> Request {
    client.request(Method::GET, "/search/things").query("per_page", 2)
}

fn items(server: &Server) -> Items<u64> {
    search(&server.client()).items(|page: SearchPage| page.items)
}

/// A server with these pages, each with its headers.
async fn pages(pages: Vec<(String, Value)>) -> Server {
    Server::start(move |request| {
        let number = request.number("page").unwrap_or(1);
        let place = usize::try_from(number - 1).unwrap();
        let next = number + 1;
        let link = if place + 1 < pages.len() {
            let last = pages.len();
            format!("link: </x?page={next}>; rel=\"next\", </x?page={last}>; rel=\"last\"\r\n")
        } else {
            String::new()
        };
        let reply = match pages.get(place) {
            Some((headers, page)) => json_response("200 OK", &(link + headers), &page.to_string()),
            None => {
                json_response("200 OK", "", &json!({ "total_count": 9, "items": [] }).to_string())
            }
        };
        async { Reply::Raw(reply) }
    })
    .await
}

fn page(total: impl Into<Value>, items: &[u64]) -> (String, Value) {
    let page = json!({ "total_count": total.into(), "incomplete_results": false, "items": items });
    (String::new(), page)
}

async fn read(mut items: Items<u64>) -> (Vec<u64>, Option<octowire::Error>) {
    let mut all = Vec::new();
    while let Some(item) = items.next().await {
        match item {
            Ok(item) => all.push(item),
            Err(error) => {
                assert!(items.next().await.is_none(), "the stream is at its end");
                return (all, Some(error));
            }
        }
    }
    (all, None)
}

#[tokio::test]
async fn a_list_that_ends_before_its_total_count_ends_with_an_error() {
    let server = pages(vec![page(7, &[1, 2]), page(7, &[3, 4])]).await;
    let (all, error) = read(items(&server)).await;
    assert_eq!(all, [1, 2, 3, 4]);
    let error = error.expect("three are missing");
    assert_eq!(error.kind(), ErrorKind::Incomplete);
    let incomplete = error.incomplete().unwrap();
    assert_eq!((incomplete.delivered, incomplete.total), (4, Some(7)));
    assert_eq!(incomplete.reason, IncompleteReason::PagesEnded);
    let line = error.to_string();
    assert!(line.starts_with("GET /search/things: incomplete list"), "{line}");
    assert!(line.contains("4 of 7 items"), "{line}");
    assert!(!error.is_retryable());

    let error = items(&server).collect_all(100).await.unwrap_err();
    assert_eq!(error.incomplete(), Some(incomplete));
}

#[tokio::test]
async fn an_empty_list_with_a_total_count_is_incomplete() {
    let server = pages(vec![page(3, &[])]).await;
    let (all, error) = read(items(&server)).await;
    assert!(all.is_empty());
    let error = error.expect("three are missing");
    assert_eq!(error.incomplete().map(|list| (list.delivered, list.total)), Some((0, Some(3))));
}

#[tokio::test]
async fn a_complete_list_ends_well() {
    for list in [
        vec![page(0, &[])],
        vec![page(2, &[1, 2])],
        vec![page(3, &[1, 2]), page(3, &[3])],
        // More than GitHub counted, such as duplicates.
        vec![page(1, &[1, 2]), page(1, &[3])],
    ] {
        let server = pages(list).await;
        let (_, error) = read(items(&server)).await;
        assert!(error.is_none(), "{error:?}");
    }
}

#[tokio::test]
async fn a_list_that_changes_while_it_is_read_is_no_false_alarm() {
    for list in [
        // Three were deleted, and the last page is shorter.
        vec![page(6, &[1, 2]), page(6, &[3, 4]), page(5, &[5])],
        // Two were added: all move, and the last page has more.
        vec![page(5, &[1, 2]), page(5, &[3, 4]), page(6, &[4, 5])],
        // So much was deleted that the last page is empty.
        vec![page(6, &[1, 2]), page(3, &[3, 4]), page(3, &[])],
    ] {
        let server = pages(list).await;
        let (_, error) = read(items(&server)).await;
        assert!(error.is_none(), "{error:?}");
    }
}

/// A list with cursors: these pages, one after the other.
async fn cursors(pages: Vec<Value>) -> Server {
    Server::start(move |request| {
        let place = usize::try_from(request.number("after").unwrap_or(0)).unwrap();
        let next = place + 1;
        let link = match next < pages.len() {
            true => format!("link: </x?after={next}>; rel=\"next\"\r\n"),
            false => String::new(),
        };
        let reply = json_response("200 OK", &link, &pages[place].to_string());
        async { Reply::Raw(reply) }
    })
    .await
}

#[tokio::test]
async fn items_added_before_a_cursor_are_not_missed() {
    let server = cursors(vec![page(3, &[1, 2]).1, page(5, &[3]).1]).await;
    let (all, error) = read(items(&server)).await;
    assert_eq!(all, [1, 2, 3]);
    assert!(error.is_none(), "two were added after the first page was read: {error:?}");
    let server = cursors(vec![page(5, &[1, 2]).1, page(4, &[3]).1]).await;
    let error = read(items(&server)).await.1.expect("one is missing at any time");
    assert_eq!(error.incomplete().unwrap().total, Some(4));
}

#[tokio::test]
async fn a_stream_that_starts_later_is_not_compared() {
    let server = pages(vec![page(5, &[1, 2]), page(5, &[3, 4]), page(5, &[5])]).await;
    for (start, expected) in [(1, 5), (2, 3), (3, 1), (9, 0)] {
        let call = search(&server.client()).query("page", start);
        let all = call.items(|page: SearchPage| page.items).collect_all(9).await.unwrap();
        assert_eq!(all.len(), expected, "from page {start}");
    }
    let server = cursors(vec![page(5, &[1, 2]).1, page(5, &[3]).1]).await;
    let call = search(&server.client()).query("after", 1);
    assert_eq!(call.items(|page: SearchPage| page.items).collect_all(9).await.unwrap(), [3]);
}

#[tokio::test]
async fn a_timed_out_search_is_reported_on_any_page() {
    for bad in [1, 2] {
        let mut list = vec![page(3, &[1, 2]), page(3, &[3])];
        list[bad - 1].1["incomplete_results"] = json!(true);
        let server = pages(list).await;
        let (all, error) = read(items(&server)).await;
        assert_eq!(all, [1, 2, 3]);
        let error = error.expect("incomplete");
        let incomplete = error.incomplete().unwrap();
        assert_eq!(incomplete.reason, IncompleteReason::SearchTimeout, "page {bad}");
        assert_eq!((incomplete.delivered, incomplete.total), (3, Some(3)));
        assert!(error.is_retryable());
    }
}

#[tokio::test]
async fn results_that_need_single_sign_on_are_not_missed_in_silence() {
    for (header, expected) in [
        ("partial-results; organizations=21955855,20582480", vec![20_582_480, 21_955_855]),
        ("partial-results; organizations=7", vec![7]),
        ("Partial-Results ;organizations = 9, 8,9 ", vec![8, 9]),
        ("partial-results; organizations=\"7\"", vec![7]),
        // Malformed, but it says that something is missing.
        ("partial-results", vec![]),
        ("partial-results;", vec![]),
        ("partial-results; organizations", vec![]),
        ("partial-results; organizations=", vec![]),
        ("partial-results; organizations=x,5,-1,99999999999999999999999", vec![5]),
    ] {
        let header = format!("x-github-sso: {header}\r\n");
        let server = pages(vec![page(3, &[1, 2]), (header.clone(), page(3, &[3]).1)]).await;
        let (all, error) = read(items(&server)).await;
        assert_eq!(all, [1, 2, 3]);
        let error = error.unwrap_or_else(|| panic!("{header} is ignored"));
        let expected = IncompleteReason::SingleSignOn { organizations: expected };
        assert_eq!(error.incomplete().unwrap().reason, expected, "{header}");
    }
    for header in ["required; url=https://github.com/orgs/o/sso", "", "partial", "organizations=7"]
    {
        let header = format!("x-github-sso: {header}\r\n");
        let server = pages(vec![(header.clone(), page(1, &[1]).1)]).await;
        let error = read(items(&server)).await.1;
        assert!(error.is_none(), "{header}: {error:?}");
    }
}

#[tokio::test]
async fn a_list_without_a_count_reports_single_sign_on_from_any_start_page() {
    let headers = "x-github-sso: partial-results; organizations=7\r\n";
    let server = Server::fixed_response(json_response("200 OK", headers, "[1,2]")).await;
    let call = server.client().request(Method::GET, "/user/repos").query("page", 3);
    let (all, error) = read(call.items(|page: Vec<u64>| page)).await;
    assert_eq!(all, [1, 2]);
    let error = error.expect("an organization is missing");
    assert_eq!(error.incomplete().unwrap().total, None);
    assert!(error.to_string().contains("the organization 7"), "{error}");
}

#[tokio::test]
async fn the_total_is_known_after_the_first_page_and_follows_the_pages() {
    let server = pages(vec![page(7, &[1, 2]), page(6, &[3, 4])]).await;
    let mut items = search(&server.client()).prefetch(0).items(|page: SearchPage| page.items);
    assert_eq!(items.total(), None);
    items.try_next().await.unwrap();
    assert_eq!(items.total(), Some(7));
    items.try_next().await.unwrap();
    items.try_next().await.unwrap();
    assert_eq!(items.total(), Some(6));

    let server = Server::fixed_response(json_response("200 OK", "", "[1]")).await;
    let mut items = server.client().request(Method::GET, "/x").items(|page: Vec<u64>| page);
    items.try_next().await.unwrap();
    assert_eq!(items.total(), None);
}

#[tokio::test]
async fn an_invalid_total_count_is_not_compared() {
    for total in
        [json!(-1), json!("9"), json!(null), json!([9]), json!({}), json!(9.5), json!(true)]
    {
        let server = pages(vec![(String::new(), json!({ "total_count": total, "items": [1] }))]);
        let server = server.await;
        let (all, error) = read(items(&server)).await;
        assert_eq!(all, [1], "{total}");
        assert!(error.is_none(), "{total}: {error:?}");
    }
    for (total, expected) in
        [("9", 9), ("9.0", 9), ("18446744073709551615", u64::MAX), ("1e300", u64::MAX)]
    {
        let body = format!("{{\"total_count\": {total}, \"items\": [1]}}");
        let server = Server::fixed_response(json_response("200 OK", "", &body)).await;
        let error = read(items(&server)).await.1.expect("more than one");
        assert_eq!(error.incomplete().unwrap().total, Some(expected), "{total}");
    }
}

#[tokio::test]
async fn an_ambiguous_total_count_is_not_compared() {
    let body = json!({ "total_count": 9, "things": [1], "errors": [2] });
    let server = Server::fixed_response(json_response("200 OK", "", &body.to_string())).await;
    #[derive(Deserialize)]
    struct Things {
        things: Vec<u64>,
    }
    let call = server.client().request(Method::GET, "/x");
    let mut items = call.items(|page: Things| page.things);
    assert_eq!(items.try_next().await.unwrap(), Some(1));
    assert_eq!(items.total(), None);
    assert_eq!(items.try_next().await.unwrap(), None);
}

#[tokio::test]
async fn items_that_the_caller_leaves_out_are_not_missing() {
    let server = pages(vec![page(3, &[1, 2]), page(3, &[3])]).await;
    let call = search(&server.client());
    let odd = |page: SearchPage| page.items.into_iter().filter(|item| item % 2 == 1).collect();
    assert_eq!(call.items(odd).collect_all(9).await.unwrap(), [1, 3]);
}

#[cfg(feature = "search")]
#[tokio::test]
async fn a_search_of_more_than_a_thousand_results_ends_with_an_error() {
    use octowire::testing::MockGitHub;

    let mock = MockGitHub::start().await;
    mock.seed_list("search/topics", 1_677);
    let mut topics = mock.client().search().topics().q("x").per_page(100).stream();
    let mut delivered = 0;
    let error = loop {
        match topics.next().await.expect("an error is the last") {
            Ok(_) => delivered += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((delivered, topics.total()), (1_000, Some(1_677)));
    let incomplete = error.incomplete().unwrap();
    assert_eq!((incomplete.delivered, incomplete.total), (1_000, Some(1_677)));
    assert_eq!(error.operation(), Some("search/topics"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A list of a fixed content is complete if and only if all its items were delivered.
    #[test]
    fn a_list_is_incomplete_exactly_if_items_are_missing(
        sizes in prop::collection::vec(0_usize..4, 1..6),
        missing in 0_u64..3,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let delivered: usize = sizes.iter().sum();
            let total = delivered as u64 + missing;
            let list = sizes.iter().map(|size| page(total, &vec![1; *size])).collect();
            let server = pages(list).await;
            let (all, error) = read(items(&server)).await;
            prop_assert_eq!(all.len(), delivered);
            let incomplete = error.as_ref().and_then(octowire::Error::incomplete);
            prop_assert_eq!(incomplete.is_some(), missing > 0);
            if let Some(incomplete) = incomplete {
                prop_assert_eq!(incomplete.delivered, delivered as u64);
                prop_assert_eq!(incomplete.total, Some(total));
            }
            Ok(())
        })?;
    }
}
