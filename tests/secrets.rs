//! A token is never printed, logged or sent to an external host.

#[path = "secrets/captured_output.rs"]
mod captured_output;
#[path = "secrets/echoing_server.rs"]
mod echoing_server;
#[cfg(feature = "github-app")]
#[path = "secrets/flows.rs"]
mod flows;
#[path = "../src/store/forward.rs"]
mod forward;
#[path = "support/intercepting_store.rs"]
mod intercepting_store;
#[cfg(all(feature = "redis", feature = "encrypted-token-store"))]
#[path = "support/redis_servers.rs"]
mod redis_servers;
#[path = "secrets/shared_cache.rs"]
mod shared_cache;
mod support;
#[path = "secrets/usage.rs"]
mod usage;
#[cfg(feature = "webhooks")]
#[path = "secrets/webhooks.rs"]
mod webhooks;

use captured_output::{Log, Shown};
use http::Method;
use octowire::{Client, ErrorKind};
use serde_json::Value;
use support::{Server, json_response};

const SECRET: &str = "ghs_hunter2hunter2";

#[tokio::test]
async fn debug_shows_no_secret() {
    let builder = Client::builder().token(SECRET).default_header("x-proxy-key", SECRET);
    let proxy = octowire::reqwest::Proxy::all("http://user:hunter2@proxy.example:8080").unwrap();
    let proxied = Client::builder().base_url("https://me:hunter2@x.example").proxy(proxy);
    let mut shown = format!("{builder:?} {proxied:?} {proxied:#?}");
    let client = builder.build().unwrap();
    let request = client
        .request(Method::POST, "/x")
        .query("client_secret", SECRET)
        .header("authorization", SECRET)
        .header("x-key", SECRET)
        .json(&SECRET)
        .body("text/plain", SECRET);
    shown.push_str(&format!("{client:?} {request:?} {:?}", octowire::Body::from(SECRET)));
    assert!(shown.contains("x-key"), "the names are shown: {shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn an_invalid_token_is_redacted() {
    for token in ["ghs_hunter2\nx", "hunter2 hunter2", "hunter2\u{e9}", "hunter2\0"] {
        let error = Client::with_token(token).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Authentication);
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    // A line break at the end comes with reading a file, and is no part of the token.
    assert!(Client::with_token("ghs_hunter2\n").is_ok());
}

#[tokio::test]
async fn errors_and_logs_show_neither_token_nor_query() {
    let log = Log::of_everything();

    let body = format!(r#"{{"token":"{SECRET}"}}"#);
    let mut shown = Shown::default();
    for bytes in [
        json_response("200 OK", "x-github-request-id: R1\r\n", &body),
        json_response("401 Unauthorized", "", r#"{"message":"Bad credentials"}"#),
        b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{".to_vec(),
        Vec::new(),
    ] {
        let server = Server::fixed_response(bytes).await;
        let client = server.builder().token(SECRET).build().unwrap();
        let call = client.request(Method::GET, "/tokens").query("q", "hunter2");
        type Numbers = std::collections::HashMap<String, u64>;
        let error = call.send::<Numbers>().await.unwrap_err();
        shown.error(&error);
        let sent = &server.requests()[0].headers["authorization"];
        assert_eq!(*sent, format!("Bearer {SECRET}"), "the server does get it");
    }
    let shown = shown.0;
    assert!(shown.contains("$.token"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
    let log = log.text();
    assert!(log.contains("octowire") && log.contains("R1"), "{log}");
    let own: Vec<_> = log.lines().filter(|line| line.contains("octowire")).collect();
    assert!(own.iter().all(|line| !line.contains("hunter2")), "{own:?}");
    assert!(!log.contains(SECRET), "{log}");
}

#[tokio::test]
async fn an_external_host_after_a_redirect_gets_no_token() {
    let stranger = Server::fixed_response(json_response("200 OK", "", "{}")).await;
    let location = format!("location: {}/archive?sig=1\r\n", stranger.url);
    let server = Server::fixed_response(json_response("302 Found", &location, "")).await;
    let builder = server.builder().token(SECRET);
    let client = builder.default_header("x-proxy-key", SECRET).build().unwrap();
    client
        .request(Method::GET, "/archive")
        .header("cookie", SECRET)
        .header("x-key", SECRET)
        .header("range", "bytes=0-5")
        .send::<Value>()
        .await
        .unwrap();
    assert_eq!(server.requests()[0].headers["x-proxy-key"], SECRET);
    let request = &stranger.requests()[0];
    assert!(!format!("{request:?}").contains("hunter2"), "{request:?}");
    let mut names: Vec<_> = request.headers.keys().map(String::as_str).collect();
    names.sort_unstable();
    // A part of a body is not wanted compressed.
    assert_eq!(names, ["accept", "host", "range", "user-agent"]);
}

#[tokio::test]
async fn the_log_names_the_place_of_the_credentials_and_not_their_value() {
    let log = Log::of_everything();
    let environment =
        |name: &str| (name == "GITHUB_TOKEN").then(|| std::ffi::OsString::from(SECRET));
    let builder = Client::builder().credentials_from(environment);
    let mut shown = format!("{builder:?}");
    let client = builder.build().unwrap();
    shown.push_str(&format!("{client:?} {:?}", client.credential_source()));
    assert!(shown.contains("GITHUB_TOKEN") && !shown.contains("hunter2"), "{shown}");
    let text = log.text();
    let found: Vec<_> = text.lines().filter(|line| line.contains("credentials found")).collect();
    assert!(found.iter().any(|line| line.contains("GITHUB_TOKEN")), "{found:?}");
    assert!(found.iter().all(|line| !line.contains("hunter2")), "{found:?}");
}

#[tokio::test]
async fn a_base_url_without_the_path_of_an_enterprise_server_is_logged_once() {
    let log = Log::of_everything();
    for (base_url, warnings) in [
        ("https://without-path.example", 1),
        ("https://with-path.example/api/v3", 0),
        ("https://api.with-prefix.example", 0),
    ] {
        let client = Client::builder().base_url(base_url).build().unwrap();
        drop((client.clone(), client.unauthenticated()));
        let text = log.text();
        let host = base_url.split('/').nth(2).unwrap();
        let warned = text.lines().filter(|line| line.contains("WARN") && line.contains(host));
        let warned: Vec<_> = warned.collect();
        assert_eq!(warned.len(), warnings, "{warned:?}");
        assert!(warned.iter().all(|line| line.contains("https://HOST/api/v3")), "{warned:?}");
    }
}
