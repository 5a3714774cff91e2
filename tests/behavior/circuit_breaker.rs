//! The circuit breaker fails calls fast while a server is down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Method;
use octowire::{CircuitBreaker, CircuitState, Client, ErrorKind};
use serde_json::Value;

use crate::support::{Received, Reply, Server, json_response};

async fn call(client: &Client) -> octowire::Result<()> {
    client.request(Method::GET, "/x").send::<Value>().await.map(drop)
}

#[tokio::test(start_paused = true)]
async fn calls_fail_at_once_while_the_server_is_down_and_continue_when_it_is_back() {
    let down = Arc::new(AtomicBool::new(true));
    let state = Arc::clone(&down);
    let server = Server::start(move |_: Received| {
        let down = state.load(Ordering::Relaxed);
        let status = if down { "502 Bad Gateway" } else { "200 OK" };
        async move { Reply::Raw(json_response(status, "", "{}")) }
    })
    .await;
    let client = server.builder().build().unwrap();
    for _ in 0..20 {
        assert_eq!(call(&client).await.unwrap_err().status().unwrap(), 502);
    }
    assert_eq!(client.circuit_state(), CircuitState::Open);
    for _ in 0..100 {
        let error = call(&client).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CircuitOpen);
        assert!(error.is_retryable() && error.retry_after().is_some());
    }
    assert_eq!(server.requests().len(), 20, "nothing more was sent");

    down.store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(10)).await;
    for _ in 0..3 {
        assert_eq!(client.circuit_state(), CircuitState::HalfOpen);
        call(&client).await.unwrap();
    }
    assert_eq!(client.circuit_state(), CircuitState::Closed);
}

#[tokio::test]
async fn a_client_error_does_not_count_as_a_server_failure() {
    for status in ["401 Unauthorized", "404 Not Found", "422 Unprocessable", "429 Too Many"] {
        let server =
            Server::fixed_response(json_response(status, "retry-after: 0\r\n", "{}")).await;
        let client = server.builder().build().unwrap();
        for _ in 0..50 {
            call(&client).await.unwrap_err();
        }
        assert_eq!(client.circuit_state(), CircuitState::Closed, "{status}");
    }
}

#[tokio::test]
async fn uploads_have_a_circuit_of_their_own_and_none_is_needed() {
    let failing = Server::fixed_response(json_response("503 Busy", "", "{}")).await;
    let server = Server::fixed_response(json_response("200 OK", "", "{}")).await;
    let client = server.builder().upload_url(&failing.url).build().unwrap();
    let upload = |client: &Client| {
        let url = format!("{}/repos/o/r/releases/1/assets", failing.url);
        client.request(Method::POST, url).body("text/plain", "x").send_empty()
    };
    for _ in 0..20 {
        upload(&client).await.unwrap_err();
    }
    assert_eq!(client.upload_circuit_state(), CircuitState::Open);
    call(&client).await.unwrap();
    assert_eq!(client.circuit_state(), CircuitState::Closed);

    let builder = server.builder().upload_url(&failing.url);
    let client = builder.circuit_breaker(CircuitBreaker::disabled()).build().unwrap();
    for _ in 0..50 {
        assert_eq!(upload(&client).await.unwrap_err().kind(), ErrorKind::Api);
    }
}

#[tokio::test]
async fn a_short_caller_timeout_does_not_count_as_a_server_failure() {
    let server = Server::start(|_| async { Reply::Silence(Vec::new()) }).await;
    let client = server.builder().build().unwrap();
    let hurried =
        || client.request(Method::GET, "/x").timeout(Duration::from_millis(1)).send::<Value>();
    for _ in 0..30 {
        assert_eq!(hurried().await.unwrap_err().kind(), ErrorKind::Timeout);
    }
    assert_eq!(client.circuit_state(), CircuitState::Closed);
}

#[tokio::test]
async fn a_server_that_hangs_opens_the_circuit_whichever_of_the_clients_timeouts_ends_first() {
    let server = Server::start(|_| async { Reply::Silence(Vec::new()) }).await;
    let client = server.builder().call_timeout(Duration::from_millis(200)).build().unwrap();
    let call = |_| client.request(Method::GET, "/x").send::<Value>();
    for result in futures_util::future::join_all((0..50).map(call)).await {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Timeout);
    }
    assert_eq!(call(0).await.unwrap_err().kind(), ErrorKind::CircuitOpen);
}
