//! Hostile requests and excessive stubs get a bounded response.

use std::time::{Duration, Instant};

use octowire::testing::{Fault, MockGitHub};
use reqwest::{Client, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const MEBIBYTE: usize = 1024 * 1024;

/// As large as the largest body that is taken.
const MAX_BODY: usize = 100 * MEBIBYTE;

/// A request without a response by then hangs.
const LONG: Duration = Duration::from_secs(60);

async fn connect(mock: &MockGitHub) -> TcpStream {
    TcpStream::connect(mock.base_url().trim_start_matches("http://")).await.unwrap()
}

/// Reads until the other side closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut response = Vec::new();
    let read = timeout(LONG, stream.read_to_end(&mut response)).await;
    read.expect("an answer and an end").expect("no reset");
    String::from_utf8_lossy(&response).into_owned()
}

/// Sends, without ever reading, as a client that knows only of its own body.
async fn sent(mock: &MockGitHub, head: &str, part: &[u8], parts: usize) -> String {
    let mut stream = connect(mock).await;
    stream.write_all(head.as_bytes()).await.unwrap();
    let sending = async {
        for _ in 0..parts {
            stream.write_all(part).await?;
        }
        Ok::<_, std::io::Error>(())
    };
    timeout(LONG, sending).await.expect("all is taken").expect("no reset");
    rest(&mut stream).await
}

const POST: &str = "POST /markdown HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";

#[tokio::test]
async fn a_body_that_is_too_large_gets_413_and_the_connection_ends() {
    let mock = MockGitHub::start().await;
    let part = vec![b'x'; MEBIBYTE];
    for more in [1, MEBIBYTE] {
        let head = format!("{POST}content-length: {}\r\n\r\n", MAX_BODY + more);
        let mut stream = connect(&mock).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..100 {
            stream.write_all(&part).await.unwrap();
        }
        stream.write_all(&vec![b'x'; more]).await.unwrap();
        let response = rest(&mut stream).await;
        assert!(response.starts_with("HTTP/1.1 413 "), "{response}");
        assert!(response.contains("bodies of up to 104857600 bytes"), "{response}");
        assert!(response.contains("connection: close"), "{response}");
    }
    // Before any of it is sent.
    let mut stream = connect(&mock).await;
    let head = format!("{POST}content-length: {}\r\n\r\n", 1_u64 << 50);
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    timeout(LONG, stream.read_exact(&mut start)).await.expect("an answer").unwrap();
    assert_eq!(&start, b"HTTP/1.1 413");
    // Nothing of it came in, and the mock goes on.
    assert!(mock.requests().is_empty());
    assert_eq!(Client::new().get(mock.base_url() + "/zen").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_client_of_the_field_gets_the_413() {
    let mock = MockGitHub::start().await;
    for more in [1, 20 * MEBIBYTE] {
        let body = vec![b'x'; MAX_BODY + more];
        let sent = Client::new().post(mock.base_url() + "/markdown").body(body).send();
        let response = timeout(LONG, sent).await.expect("it does not hang").unwrap();
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
}

#[tokio::test]
async fn a_body_in_chunks_without_end_gets_413() {
    let mock = MockGitHub::start().await;
    let head = format!("{POST}transfer-encoding: chunked\r\n\r\n");
    let chunk = [format!("{MEBIBYTE:x}\r\n").into_bytes(), vec![b'x'; MEBIBYTE], b"\r\n".to_vec()];
    let response = sent(&mock, &head, &chunk.concat(), 120).await;
    assert!(response.starts_with("HTTP/1.1 413 "), "{response}");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_rejected() {
    let mock = MockGitHub::start().await;
    let mut many = "GET /zen HTTP/1.1\r\nhost: x\r\n".to_owned();
    for at in 0..300 {
        many.push_str(&format!("x-{at}: y\r\n"));
    }
    let long = format!("GET /zen HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n", "y".repeat(200 * 1024));
    for head in [many, long] {
        let mut stream = connect(&mock).await;
        stream.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
        let response = rest(&mut stream).await;
        assert!(response.starts_with("HTTP/1.1 431 "), "{response}");
    }
}

#[tokio::test]
async fn a_path_that_is_too_long_gets_414() {
    let mock = MockGitHub::start().await;
    for segment in ["/", "/a", "a", "%2F"] {
        let path = "/repos/o/r/contents".to_owned() + &segment.repeat(60_000 / segment.len());
        let began = Instant::now();
        let mut stream = connect(&mock).await;
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let response = rest(&mut stream).await;
        assert!(response.starts_with("HTTP/1.1 414 "), "{response}");
        let path = &path[..16 * 1024];
        let status = Client::new().get(mock.base_url() + path).send().await.unwrap().status();
        assert!(status.as_u16() < 500, "{status}");
        assert!(began.elapsed() < Duration::from_secs(10), "{segment}: {:?}", began.elapsed());
    }
}

/// More than the mock has connections, all of which say nothing or half of it.
#[tokio::test]
async fn clients_that_are_slow_do_not_keep_others_out() {
    let mock = MockGitHub::start().await;
    let mut slow = Vec::new();
    for at in 0..1_100 {
        let Ok(stream) =
            timeout(LONG, TcpStream::connect(mock.base_url().trim_start_matches("http://")))
                .await
                .unwrap()
        else {
            // As many as the machine opens.
            break;
        };
        let mut stream = stream;
        if at % 2 == 0 {
            let _ = stream.write_all(POST.as_bytes()).await;
        }
        slow.push(stream);
    }
    let asked = Client::new().get(mock.base_url() + "/zen").send();
    assert_eq!(timeout(LONG, asked).await.expect("an answer").unwrap().status(), 200);
    if slow.len() > 1_024 {
        // The first ones were closed for it.
        let mut byte = [0];
        let read = timeout(LONG, slow[0].read(&mut byte)).await.expect("an end");
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
}

/// The numbers that come from outside: of a test, of its control, of a token, of a query.
#[tokio::test]
async fn extreme_numbers_do_not_overflow() {
    let mock = MockGitHub::builder().require_token().start().await;
    for window in [Duration::MAX, Duration::from_secs(u64::MAX), Duration::ZERO] {
        for limit in [0, 1, u64::MAX] {
            mock.rate_limit("core", limit, window);
            mock.rate_limit("search", limit, window);
            let response = Client::new().get(mock.base_url() + "/rate_limit").send().await.unwrap();
            assert!(response.status().as_u16() < 500);
        }
    }
    mock.reset();
    let client = Client::new();
    for (path, body) in [
        (
            "rate-limits",
            json!({ "resource": "core", "limit": u64::MAX, "window_seconds": u64::MAX }),
        ),
        ("rate-limits", json!({ "resource": "core", "limit": 0, "window_seconds": u64::MAX - 1 })),
        ("lists", json!({ "operation": "repos/list-branches", "total": u64::MAX })),
        (
            "stubs",
            json!({ "method": "GET", "path": "/a", "steps": [{ "fault": { "primary_rate_limit": u64::MAX } }] }),
        ),
        (
            "stubs",
            json!({ "method": "GET", "path": "/b", "steps": [{ "fault": { "secondary_rate_limit": u64::MAX } }] }),
        ),
        (
            "stubs",
            json!({ "method": "GET", "path": "/c", "steps": [{ "fault": { "truncated": u64::MAX } }] }),
        ),
    ] {
        let sent = client.post(format!("{}/octowire-mock/{path}", mock.base_url())).json(&body);
        assert_eq!(sent.send().await.unwrap().status(), 200, "{path}: {body}");
    }
    for path in ["/a", "/b", "/a", "/b"] {
        let status = client.get(mock.base_url() + path).send().await.unwrap().status();
        assert_eq!(status, 403, "{path}");
    }
    let _ = client.get(mock.base_url() + "/c").send().await;
    let most = u64::MAX;
    for payload in [
        json!({ "iss": 1, "iat": most, "exp": most }),
        json!({ "iss": 1, "iat": 0, "exp": most - 1 }),
        json!({ "iss": 1, "iat": 1e300, "exp": 1e300 }),
        json!({ "iss": 1, "iat": -1e300, "exp": -1 }),
    ] {
        use base64::Engine;
        let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(payload.to_string());
        let asked = client.get(mock.base_url() + "/app").bearer_auth(format!("e30.{payload}.x"));
        assert_eq!(asked.send().await.unwrap().status(), 401);
    }
}

#[tokio::test]
async fn pages_at_the_end_of_all_numbers_are_pages() {
    let mock = MockGitHub::start().await;
    mock.seed_list("repos/list-branches", usize::MAX);
    mock.on_any_request()
        .fault(Fault::PrimaryRateLimit { reset_in: Duration::MAX })
        .times(1)
        .passthrough();
    let client = Client::new();
    let mut statuses = Vec::new();
    for query in
        ["page=1", "page=18446744073709551615", "page=18446744073709551614&per_page=1", "page=0"]
    {
        let url = format!("{}/repos/o/r/branches?{query}", mock.base_url());
        let response = client.get(url).send().await.unwrap();
        statuses.push(response.status().as_u16());
        assert!(response.bytes().await.unwrap().len() < MEBIBYTE);
    }
    assert!(statuses.iter().all(|status| *status < 500), "{statuses:?}");
}

#[tokio::test]
#[should_panic(expected = "nests more than 127 levels deep")]
async fn a_stub_that_nests_too_deeply_is_a_mistake_of_the_test() {
    let mock = MockGitHub::start().await;
    // Not so deep that the test's own stack is too small.
    let deep = (0..500).fold(json!(1), |value, _| json!([value]));
    let _ = mock.on_any_request().json(deep);
}
