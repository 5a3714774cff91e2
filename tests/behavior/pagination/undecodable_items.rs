//! An item that does not decode does not lose the others.

use futures_util::StreamExt;
use http::Method;
use octowire::{Error, ErrorKind, Items, OnItemError};
use serde::Deserialize;
use serde_json::{Value, json};

use super::numbered;
use crate::support::{Reply, Server, json_response};

#[derive(Debug, Deserialize)]
struct Thing {
    id: u64,
}

/// Two pages of three things each, of which one on each page is not as expected.
async fn things() -> Server {
    Server::start(|request| async move {
        Reply::Raw(match request.number("page") {
            Some(2) => json_response("200 OK", "", r#"[{"id":3},{"id":4},{"id":"five"}]"#),
            _ => {
                let link = "link: </things?page=2>; rel=\"next\"\r\n";
                json_response("200 OK", link, r#"[{"id":0}, {"id":{"x":1}} ,{"id":2}]"#)
            }
        })
    })
    .await
}

fn items(server: &Server) -> Items<Thing> {
    server.client().request(Method::GET, "/things").items(|page: Vec<Thing>| page)
}

async fn all(items: Items<Thing>) -> Vec<Result<u64, Error>> {
    items.map(|item| item.map(|thing| thing.id)).collect().await
}

#[tokio::test]
async fn a_bad_item_is_an_error_in_its_place_and_the_items_after_it_follow() {
    let server = things().await;
    let all = all(items(&server)).await;
    let good: Vec<Option<u64>> = all.iter().map(|item| item.as_ref().ok().copied()).collect();
    assert_eq!(good, [Some(0), None, Some(2), Some(3), Some(4), None]);
    let errors: Vec<&Error> = all.iter().filter_map(|item| item.as_ref().err()).collect();
    for (error, index, page, path, json) in [
        (errors[0], 1, 1, "$[1].id", r#"{"id":{"x":1}}"#),
        (errors[1], 2, 2, "$[2].id", r#"{"id":"five"}"#),
    ] {
        assert_eq!(error.kind(), ErrorKind::Decode);
        assert_eq!(error.operation(), Some("GET /things"));
        assert_eq!(error.json_path(), Some(path));
        assert_eq!(error.body().unwrap(), json.as_bytes());
        assert_eq!(error.status().unwrap(), 200);
        let line = error.to_string();
        assert!(line.contains(&format!("item {index} of page {page} does not decode")), "{line}");
        assert!(!line.contains("five"), "{line}");
    }
}

#[tokio::test]
async fn collecting_ends_at_the_first_bad_item_and_says_where_it_is() {
    let server = things().await;
    let error = items(&server).collect_all(100).await.unwrap_err();
    assert!(error.to_string().contains("item 1 of page 1 does not decode at $[1].id"), "{error}");
}

#[tokio::test]
async fn the_caller_chooses_how_an_undecodable_item_is_handled() {
    let server = things().await;
    let stopped = all(items(&server).on_item_error(OnItemError::Stop)).await;
    assert!(matches!(&stopped[..], [Ok(0), Err(_)]), "{stopped:?}");
    let skipping = items(&server).on_item_error(OnItemError::Skip);
    let left: Vec<u64> = all(skipping).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(left, [0, 2, 3, 4]);
    let collected = items(&server).on_item_error(OnItemError::Skip).collect_all(4).await;
    assert_eq!(collected.unwrap().len(), 4);
}

#[tokio::test]
async fn pages_of_a_cursor_are_counted() {
    let server = Server::start(|request| async move {
        Reply::Raw(match request.number("after") {
            Some(7) => json_response("200 OK", "", r#"[{}]"#),
            _ => json_response("200 OK", "link: </x?after=7>; rel=\"next\"\r\n", "[]"),
        })
    })
    .await;
    let error = items(&server).collect_all(100).await.unwrap_err();
    assert!(error.to_string().contains("item 0 of page 2"), "{error}");
}

#[tokio::test]
async fn a_page_that_is_broken_outside_of_its_items_ends_the_stream() {
    for body in [
        "[0,\"x\"",
        "[0,1]]",
        "{\"message\":\"x\"}",
        "\"x\"",
        "<html>",
        "[0,\"\u{fffd}",
        "null",
        "",
    ] {
        let server = Server::start(move |request| async move {
            Reply::Raw(match request.number("page") {
                Some(2) => json_response("200 OK", "link: </list?page=3>; rel=next\r\n", body),
                _ => numbered(&request, 9, 2),
            })
        })
        .await;
        let mut items = super::items(&server);
        assert_eq!(items.try_next().await.unwrap(), Some(0));
        assert_eq!(items.try_next().await.unwrap(), Some(1));
        let error = items.try_next().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode, "{body}");
        assert!(items.next().await.is_none(), "{body}");
    }
}

#[tokio::test]
async fn a_list_as_a_whole_fails_and_names_the_index() {
    let server = things().await;
    let call = server.client().request(Method::GET, "/things");
    let error = call.clone().send::<Vec<Thing>>().await.unwrap_err();
    assert_eq!(error.json_path(), Some("$[1].id"));
    let mut pages = call.pages::<Vec<Thing>>();
    assert_eq!(pages.try_next().await.unwrap_err().json_path(), Some("$[1].id"));
    assert!(pages.next().await.is_none());
}

#[cfg(feature = "search")]
mod of_operations {
    use super::*;

    /// A search whose page has these items, with this beside them.
    async fn search(items: Value, mut page: Value) -> Server {
        page["items"] = items;
        Server::fixed_response(json_response("200 OK", "", &page.to_string())).await
    }

    fn topic(name: &str) -> Value {
        json!({
            "name": name, "display_name": null, "short_description": null, "description": null,
            "created_by": null, "released": null, "created_at": "2016-11-28T22:03:59Z",
            "updated_at": "2017-10-30T18:16:32Z", "featured": true, "curated": true, "score": 1.0,
        })
    }

    fn counts(total: u64) -> Value {
        json!({ "total_count": total, "incomplete_results": false })
    }

    #[tokio::test]
    async fn a_bad_item_in_a_property_of_the_page_is_an_error_of_its_own() {
        let mut bad = topic("b");
        bad["name"] = json!({ "secret": "x" });
        let server = search(json!([topic("a"), bad, topic("c")]), counts(3)).await;
        let mut topics = server.client().search().topics().q("x").stream();
        assert_eq!(topics.try_next().await.unwrap().unwrap().name, "a");
        let error = topics.try_next().await.unwrap_err();
        assert_eq!(error.json_path(), Some("$.items[1].name"));
        assert_eq!(error.operation(), Some("search/topics"));
        let item: Value = serde_json::from_slice(error.body().unwrap()).unwrap();
        assert_eq!(item["name"]["secret"], "x");
        assert_eq!(topics.try_next().await.unwrap().unwrap().name, "c");
        assert!(topics.try_next().await.unwrap().is_none(), "a bad item was delivered");
        assert_eq!(topics.total(), Some(3));
    }

    #[tokio::test]
    async fn a_bad_item_does_not_hide_that_others_are_missing() {
        let server = search(json!([topic("a"), 7]), counts(5)).await;
        let topics = server.client().search().topics().q("x").stream();
        let all: Vec<_> = topics.on_item_error(OnItemError::Skip).collect().await;
        assert_eq!(all.len(), 2);
        let error = all[1].as_ref().unwrap_err();
        assert_eq!(error.incomplete().map(|it| (it.delivered, it.total)), Some((2, Some(5))));
    }

    #[tokio::test]
    async fn a_page_that_is_broken_beside_its_items_ends_the_stream() {
        for beside in [
            json!({ "total_count": "many", "incomplete_results": false }),
            json!({ "total_count": 1e30, "incomplete_results": false }),
            json!({ "total_count": 2, "incomplete_results": 7 }),
            json!({}),
        ] {
            let server = search(json!([topic("a"), 7]), beside.clone()).await;
            let mut topics = server.client().search().topics().q("x").stream();
            let error = topics.try_next().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Decode, "{beside}");
            assert!(!error.to_string().contains("item 1"), "{error}");
            assert!(topics.next().await.is_none(), "{beside}");
        }
    }
}
