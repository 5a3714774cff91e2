//! Batches: many calls with bounded concurrency, each with its result.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use http::Method;
use octowire::auth::PersonalToken;
use octowire::{BatchProgress, Client};
use serde_json::Value;

use crate::support::{Received, Reply, Server, json_response};

/// Responds with the requested number, higher numbers sooner; every tenth is a 404.
async fn echo(at_once: Arc<AtomicUsize>, most: Arc<AtomicUsize>) -> Server {
    Server::start(move |request: Received| {
        let (at_once, most) = (Arc::clone(&at_once), Arc::clone(&most));
        async move {
            most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let number: u64 = request.target.rsplit('/').next().unwrap().parse().unwrap();
            tokio::time::sleep(Duration::from_millis(10 - number % 10)).await;
            at_once.fetch_sub(1, Ordering::SeqCst);
            let status = if number.is_multiple_of(10) { "404 Not Found" } else { "200 OK" };
            Reply::Raw(json_response(status, "", &number.to_string()))
        }
    })
    .await
}

fn call(client: &Client, number: u64) -> octowire::ResponseFuture<Value> {
    client.request(Method::GET, format!("/x/{number}")).send()
}

#[tokio::test]
async fn results_come_in_the_order_of_the_calls_and_errors_stay_with_theirs() {
    let most = Arc::new(AtomicUsize::new(0));
    let server = echo(Arc::default(), Arc::clone(&most)).await;
    let client = server.builder().build().unwrap();
    let progress = Arc::new(Mutex::new(Vec::<BatchProgress>::new()));
    let reply = Arc::clone(&progress);
    let results = client
        .batch((1..=100).map(|number| call(&client, number)))
        .concurrency(7)
        .on_progress(move |progress| reply.lock().unwrap().push(progress))
        .collect()
        .await;
    assert_eq!(results.len(), 100);
    for (number, result) in (1..).zip(results) {
        match result {
            Ok(response) => assert_eq!(*response, number),
            Err(error) => assert!(number % 10 == 0 && error.is_not_found(), "{error}"),
        }
    }
    assert_eq!(most.load(Ordering::SeqCst), 7);
    let progress = progress.lock().unwrap();
    assert!(progress.iter().map(|progress| progress.done).eq(1..=100));
    let last = progress.last().unwrap();
    assert_eq!((last.failed, last.total), (10, Some(100)));
}

#[tokio::test]
async fn calls_are_made_as_there_is_capacity_for_them() {
    let server = echo(Arc::default(), Arc::default()).await;
    let client = server.builder().build().unwrap();
    let made = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&made);
    // Without an end.
    let calls = (1..).map(|number| {
        counter.fetch_add(1, Ordering::SeqCst);
        call(&client, number)
    });
    let stream = client.batch(calls).concurrency(4).stream();
    let first: Vec<_> = stream.take(20).collect().await;
    assert!(made.load(Ordering::SeqCst) <= 24, "{made:?}");
    let mut places: Vec<_> = first.iter().map(|(place, _)| *place).collect();
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), 20);
}

#[tokio::test]
async fn calls_of_an_idle_identity_do_not_wait_behind_those_of_an_exhausted_one() {
    let server = Server::start(|request: Received| async move {
        let exhausted = request.headers["authorization"] == "Bearer token-without-quota";
        let left = if exhausted { 0 } else { 4_000 };
        let reset = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() + 1800;
        let reported = format!(
            "x-ratelimit-limit: 5000\r\nx-ratelimit-remaining: {left}\r\n\
             x-ratelimit-reset: {reset}\r\nx-ratelimit-resource: core\r\n"
        );
        Reply::Raw(json_response("200 OK", &reported, "1"))
    })
    .await;
    let exhausted = server.default_client_builder().token("token-without-quota").build().unwrap();
    let idle = exhausted.with_auth(PersonalToken::new("idle").unwrap());
    call(&exhausted, 0).await.unwrap();
    let calls = (0..14).map(|number| match number {
        0..12 => call(&exhausted, number),
        _ => call(&idle, number),
    });
    let mut results = std::pin::pin!(exhausted.batch(calls).concurrency(10).stream());
    let mut responded = Vec::new();
    for _ in 0..2 {
        let next = tokio::time::timeout(Duration::from_secs(20), results.next()).await;
        let (index, result) = next.expect("the idle identity waits").unwrap();
        result.unwrap();
        responded.push(index);
    }
    responded.sort_unstable();
    assert_eq!(responded, [12, 13]);
}

#[tokio::test]
async fn a_batch_runs_any_future_with_its_own_error() {
    let server = echo(Arc::default(), Arc::default()).await;
    let client = server.builder().build().unwrap();
    let futures = (1..=20).map(|number| {
        let (first, second) = (call(&client, number), call(&client, number + 1));
        async move {
            let (first, second) = (first.await, second.await);
            match (first, second) {
                (Ok(first), Ok(second)) => Ok([first.into_inner(), second.into_inner()]),
                (first, second) => Err([first, second].map(|result| result.is_err())),
            }
        }
    });
    let results: Vec<Result<[Value; 2], [bool; 2]>> =
        client.batch(futures).concurrency(4).collect().await;
    for (number, result) in (1..=20_u64).zip(&results) {
        let missing = [number, number + 1].map(|number| number.is_multiple_of(10));
        match result {
            Ok(values) => assert_eq!(*values, [number, number + 1].map(Value::from)),
            Err(failed) => assert_eq!(*failed, missing),
        }
        assert_eq!(result.is_err(), missing.contains(&true));
    }
    assert_eq!(results.len(), 20);
}

#[tokio::test]
async fn an_empty_batch_is_done() {
    let client = Client::builder().build().unwrap();
    let calls: [octowire::ResponseFuture<Value>; 0] = [];
    assert!(client.batch(calls).collect().await.is_empty());
}
