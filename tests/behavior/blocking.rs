//! Blocking calls: the same calls, lists and bodies, without asynchronous code.

use std::fs;
use std::io::{BufRead, Read};
use std::sync::Arc;
use std::thread;

use http::Method;
use octowire::blocking::{Wait, block_on};
use octowire::rate_limit::{RateLimitPolicy, SecondaryLimits};
use octowire::store::{CounterStore, MemoryStore};
use octowire::{ByteStream, ErrorKind, Items, Request, Response};
use serde_json::Value;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Barrier;
use tokio::task::{block_in_place, spawn_blocking};

use super::usage::{unreachable_client, unreachable_usage_key};
use crate::support::{Folder, Received, Reply, Server, json_response};

/// A list of this many pages with two items each. A page links to the next one only.
fn list(pages: u64) -> Server {
    let respond = move |request: Received| async move {
        let page = request.number("page").unwrap_or(1);
        let next = format!("link: </list?page={}>; rel=\"next\"\r\n", page + 1);
        let next = if page < pages { &*next } else { "" };
        let items = format!("[{},{}]", 2 * page - 1, 2 * page);
        Reply::Raw(json_response("200 OK", next, &items))
    };
    block_on(Server::start(respond)).unwrap()
}

fn fixed_response(bytes: impl Into<Vec<u8>>) -> Server {
    block_on(Server::fixed_response(bytes)).unwrap()
}

fn request(server: &Server) -> Request {
    server.client().request(Method::GET, "/list")
}

fn items(request: Request) -> Items<u64> {
    request.items(|page: Vec<u64>| page)
}

fn body(server: &Server) -> Response<ByteStream> {
    server.client().request(Method::GET, "/log").send_stream().wait().unwrap()
}

fn runtimes() -> [Runtime; 2] {
    let mut builders = [Builder::new_current_thread(), Builder::new_multi_thread()];
    builders.each_mut().map(|builder| builder.enable_all().build().unwrap())
}

#[test]
fn a_thread_waits_for_the_response_or_the_error_of_a_call() {
    let respond = |request: Received| async move {
        Reply::Raw(match &*request.target {
            "/there" => json_response("200 OK", "x-github-request-id: A:1\r\n", "\"here\""),
            _ => json_response("404 Not Found", "", "{\"message\":\"Not Found\"}"),
        })
    };
    let server = block_on(Server::start(respond)).unwrap();
    let client = server.client();
    let get = |path: &str| client.request(Method::GET, path).send::<String>().wait();
    let response = get("/there").unwrap();
    assert_eq!((response.as_str(), response.meta().request_id()), ("here", Some("A:1")));
    let missing = get("/gone").unwrap_err();
    assert!(missing.is_not_found());
    assert_eq!(missing.operation(), Some("GET /gone"));
}

#[test]
fn an_iterator_fetches_a_page_when_it_is_needed() {
    let server = list(3);
    let mut all = items(request(&server).prefetch(0)).wait();
    assert_eq!((all.size_hint(), server.request_count()), ((0, None), 0));
    assert_eq!(all.next().unwrap().unwrap(), 1);
    assert_eq!((all.size_hint(), server.request_count()), ((1, None), 1));
    let rest: Vec<u64> = all.by_ref().map(Result::unwrap).collect();
    assert_eq!(rest, [2, 3, 4, 5, 6]);
    assert_eq!((all.size_hint(), server.request_count()), ((0, Some(0)), 3));
    assert!(all.next().is_none());
}

#[test]
fn pages_are_an_iterator_too() {
    let server = list(3);
    for prefetch in [0, 4] {
        let mut pages = request(&server).prefetch(prefetch).pages::<Vec<u64>>().wait();
        assert_eq!(pages.size_hint(), (0, None));
        let read: Vec<_> = pages.by_ref().map(|page| page.unwrap().into_inner()).collect();
        assert_eq!(read, [[1, 2], [3, 4], [5, 6]]);
        assert_eq!(pages.size_hint(), (0, Some(0)));
    }
}

#[test]
fn an_iterator_has_the_total_of_its_list() {
    let page = "{\"total_count\":2,\"items\":[3,4]}";
    let server = fixed_response(json_response("200 OK", "", page));
    let extract =
        |page: Value| -> Vec<Value> { page["items"].as_array().cloned().unwrap_or_default() };
    let mut found = request(&server).items(extract).wait();
    assert_eq!(found.total(), None);
    assert_eq!(found.next().unwrap().unwrap(), 3);
    assert_eq!((found.total(), found.size_hint()), (Some(2), (1, None)));
    assert_eq!(found.count(), 1);
}

#[test]
fn an_iterator_ends_after_a_failed_page_and_not_after_an_undecodable_item() {
    let respond = |request: Received| async move {
        let next = "link: </list?page=2>; rel=\"next\"\r\n";
        Reply::Raw(match request.number("page") {
            None => json_response("200 OK", next, "[1,\"two\",3]"),
            Some(_) => json_response("500 Internal Server Error", "", "{}"),
        })
    };
    let server = block_on(Server::start(respond)).unwrap();
    let mut all = items(request(&server)).wait();
    assert_eq!(all.next().unwrap().unwrap(), 1);
    assert_eq!(all.size_hint(), (2, None));
    assert_eq!(all.next().unwrap().unwrap_err().kind(), ErrorKind::Decode);
    assert_eq!(all.next().unwrap().unwrap(), 3);
    assert_eq!(all.next().unwrap().unwrap_err().kind(), ErrorKind::Api);
    assert_eq!(all.size_hint(), (0, Some(0)));
    assert!(all.next().is_none() && all.next().is_none());
}

#[test]
fn a_body_is_read_by_bytes_and_by_lines_and_saved_as_a_whole() {
    let text: String = (0..50_000).map(|line| format!("line {line}\n")).collect();
    let server = fixed_response(json_response("200 OK", "", &text));
    let mut read = String::new();
    assert_eq!(body(&server).wait().read_to_string(&mut read).unwrap(), text.len());
    assert!(read == text);
    let lines = body(&server).into_inner().wait().lines().map(Result::unwrap);
    assert!(lines.eq(text.lines()));

    let folder = Folder::created("blocking-save");
    let file = folder.0.join("log.txt");
    fs::write(&file, "before").unwrap();
    let length = text.len() as u64;
    assert_eq!(body(&server).save_to(&file, length).wait().unwrap(), length);
    assert!(fs::read_to_string(&file).unwrap() == text);
    assert_eq!(folder.names(), ["log.txt"]);
}

#[test]
fn a_body_that_breaks_off_is_an_error_and_replaces_no_file() {
    let server = fixed_response("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc");
    let (mut broken, mut three) = (body(&server).wait(), [0; 3]);
    broken.read_exact(&mut three).unwrap();
    assert_eq!(&three, b"abc");
    let error = broken.read(&mut three).unwrap_err();
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<octowire::Error>()).unwrap();
    assert_eq!((cause.kind(), cause.operation()), (ErrorKind::Transport, Some("GET /log")));
    assert_eq!(broken.read(&mut three).unwrap(), 0);

    let folder = Folder::created("blocking-broken");
    let file = folder.0.join("log.txt");
    fs::write(&file, "before").unwrap();
    let error = body(&server).save_to(&file, 9).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport);
    assert_eq!(fs::read_to_string(&file).unwrap(), "before");
    let missing = folder.0.join("missing/log.txt");
    let error = body(&server).save_to(missing, 9).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::File);
    assert!(error.to_string().contains("missing/log.txt"), "{error}");
    assert_eq!(folder.names(), ["log.txt"]);
}

/// Calls on a thread that has a runtime.
fn assert_rejected(server: &Server) {
    let error = request(server).send::<Value>().wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Blocking, "{error}");
    assert_eq!(block_on(async {}).unwrap_err().kind(), ErrorKind::Blocking);
    let mut all = items(request(server)).wait();
    assert_eq!(all.next().unwrap().unwrap_err().kind(), ErrorKind::Blocking);
    assert!(all.next().is_none());
    assert_eq!(all.size_hint(), (0, Some(0)));
}

#[test]
fn a_thread_that_has_a_runtime_is_rejected_and_sends_nothing() {
    let server = Arc::new(list(1));
    let [current_thread, multi_thread] = runtimes();
    current_thread.block_on(async { assert_rejected(&server) });
    let [of_task, of_worker, of_blocking] = [(); 3].map(|()| Arc::clone(&server));
    multi_thread.block_on(async {
        tokio::spawn(async move { assert_rejected(&of_task) }).await.unwrap();
        let in_place = async move { block_in_place(|| assert_rejected(&of_worker)) };
        tokio::spawn(in_place).await.unwrap();
        spawn_blocking(move || assert_rejected(&of_blocking)).await.unwrap();
    });
    let entered = multi_thread.enter();
    assert_rejected(&server);
    drop(entered);
    assert_eq!(server.request_count(), 0);

    // The advice of the error.
    let call = request(&server).send::<Value>();
    let waits = multi_thread.spawn_blocking(move || Handle::current().block_on(call));
    multi_thread.block_on(waits).unwrap().unwrap();
}

#[test]
fn a_reader_that_a_runtime_has_tried_to_read_loses_nothing() {
    let server = fixed_response(json_response("200 OK", "", "\"text\""));
    let mut body = body(&server).wait();
    let [current_thread, _] = runtimes();
    let error = current_thread.block_on(async { body.read(&mut [0; 9]) }).unwrap_err();
    assert!(error.to_string().contains("on a thread of a Tokio runtime"), "{error}");
    let mut text = String::new();
    body.read_to_string(&mut text).unwrap();
    assert_eq!(text, "\"text\"");
}

#[test]
fn two_threads_call_at_the_same_time() {
    // A response needs both requests.
    let both = Arc::new(Barrier::new(2));
    let respond = move |_: Received| {
        let both = Arc::clone(&both);
        async move {
            Barrier::wait(&both).await;
            Reply::Raw(json_response("200 OK", "", "7"))
        }
    };
    let server = block_on(Server::start(respond)).unwrap();
    let client = server.client();
    thread::scope(|scope| {
        let threads = [1, 2].map(|number| {
            let call = client.request(Method::GET, format!("/{number}")).send::<u64>();
            scope.spawn(move || call.wait().unwrap().into_inner())
        });
        assert_eq!(threads.map(|thread| thread.join().unwrap()), [7, 7]);
    });
}

#[test]
fn calls_in_a_loop_over_a_list_and_after_it_get_the_one_permit() {
    let server = list(4);
    let limits = SecondaryLimits::disabled().max_concurrent(1);
    let limits = RateLimitPolicy::default().secondary_limits(limits);
    let client = server.default_client_builder().rate_limits(limits).build().unwrap();
    let all = || items(client.request(Method::GET, "/list")).wait();
    let call = || client.request(Method::GET, "/other").send_empty().wait().unwrap();
    let mut read = 0;
    for item in all() {
        item.unwrap();
        call();
        read += 1;
    }
    assert_eq!(read, 8);
    // Pages ahead are in flight when it is dropped.
    let mut left = all();
    left.next().unwrap().unwrap();
    drop(left);
    call();
}

#[test]
fn everything_can_be_dropped_within_a_runtime() {
    let (server, large) = (list(9), "x".repeat(4 << 20));
    let download = fixed_response(json_response("200 OK", "", &large));
    for runtime in runtimes() {
        let (client, mut all) = (server.client(), items(request(&server)).wait());
        all.next().unwrap().unwrap();
        let mut body = body(&download).wait();
        body.read_exact(&mut [0; 9]).unwrap();
        runtime.block_on(async move {
            drop(all);
            drop(body);
            drop(client);
        });
        drop(runtime);
        let all = items(request(&server)).wait();
        assert_eq!(all.map(Result::unwrap).count(), 18);
    }
}

#[test]
fn a_client_serves_blocking_and_asynchronous_code() {
    let server = list(1);
    let client = server.client();
    let call = || client.request(Method::GET, "/list").send::<Value>();
    for runtime in runtimes() {
        runtime.block_on(call()).unwrap();
        call().wait().unwrap();
        runtime.block_on(call()).unwrap();
    }
    call().wait().unwrap();
}

#[test]
fn a_client_that_is_dropped_without_a_runtime_writes_its_usage() {
    let store = MemoryStore::new();
    let client = unreachable_client(&store);
    client.meta().get_zen().send().wait().unwrap_err();
    let key = unreachable_usage_key();
    drop(client);
    let reported = store.counters(&key).wait().unwrap();
    assert_eq!(reported.get("meta/get-zen calls"), Some(&1), "{reported:?}");
}
