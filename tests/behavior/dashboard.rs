//! The dashboard shows the state of a client, and only to permitted viewers.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use http::header::{AUTHORIZATION, HOST};
use octowire::dashboard::Dashboard;
use octowire::testing::MockGitHub;
use octowire::{Client, ErrorKind, RetryPolicy};
use reqwest::{Response, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use crate::support::ports::free_port;

mod browser;

const TOKEN: &str = "hunter2-hunter2-hunter2";
const PATHS: [&str; 6] = ["/", "/style.css", "/script.js", "/icon.svg", "/events", "/state.json"];

async fn here() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, free_port())).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Serves a dashboard; the address that it is at.
async fn serve(dashboard: Dashboard) -> SocketAddr {
    let (listener, address) = here().await;
    tokio::spawn(dashboard.serve(listener).unwrap());
    address
}

async fn get(url: String, headers: &[(&str, &str)]) -> Response {
    let client = reqwest::Client::new();
    let request =
        headers.iter().fold(client.get(url), |it, (name, value)| it.header(*name, *value));
    request.send().await.unwrap()
}

fn anywhere() -> Client {
    Client::builder().base_url("http://127.0.0.1:1").build().unwrap()
}

/// Serves a dashboard that is nested in an application whose layer adds this header to each request.
async fn serve_behind_a_layer(dashboard: Dashboard, header: &'static str) -> SocketAddr {
    let add = axum::middleware::from_fn(
        move |mut request: axum::extract::Request, next: axum::middleware::Next| {
            request.headers_mut().insert(header, "1".parse().unwrap());
            next.run(request)
        },
    );
    let app = Router::new().nest("/tools", dashboard.router().unwrap()).layer(add);
    let (listener, address) = here().await;
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

#[tokio::test]
async fn a_header_that_a_layer_of_the_application_adds_is_named_and_can_be_allowed() {
    let client = anywhere();
    let address = serve_behind_a_layer(Dashboard::new(&client), "x-request-id").await;
    let denied = get(format!("http://{address}/tools"), &[]).await;
    assert_eq!(denied.status(), StatusCode::FORBIDDEN);
    let text = denied.text().await.unwrap();
    assert!(text.contains("`x-request-id`") && text.contains("allow_header"), "{text}");
    let allowing = Dashboard::new(&client).allow_header("X-Request-Id");
    let address = serve_behind_a_layer(allowing, "x-request-id").await;
    for path in PATHS {
        let path = path.trim_end_matches('/');
        let url = format!("http://{address}/tools{path}");
        assert_eq!(get(url.clone(), &[]).await.status(), StatusCode::OK, "{path}");
        let proxied = get(url, &[("x-forwarded-for", "203.0.113.7")]).await;
        assert_eq!(proxied.status(), StatusCode::FORBIDDEN, "{path}");
    }
}

#[tokio::test]
async fn headers_of_proxies_and_too_many_are_not_allowed() {
    let client = anywhere();
    for name in ["Forwarded", "X-Forwarded-For", "x-real-ip", "Via", "CF-Ray", "host", "a b", ""] {
        let error = Dashboard::new(&client).allow_header(name).router::<()>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{name}: {error}");
        let (listener, _) = here().await;
        assert!(Dashboard::new(&client).allow_header(name).serve(listener).is_err(), "{name}");
    }
    let with = |count: usize| {
        let names = (0..count).map(|number| format!("x-own-{number}"));
        names.fold(Dashboard::new(&client), Dashboard::allow_header).router::<()>()
    };
    assert!(with(16).is_ok());
    for count in [17, 1_000] {
        assert_eq!(with(count).unwrap_err().kind(), ErrorKind::Configuration);
    }
}

#[tokio::test]
async fn without_a_token_the_dashboard_serves_only_direct_local_requests() {
    let address = serve(Dashboard::new(&anywhere())).await;
    let status = async |headers: &[(&str, &str)]| {
        let mut all = Vec::new();
        for path in PATHS {
            all.push(get(format!("http://{address}{path}"), headers).await.status());
        }
        all.dedup();
        assert_eq!(all.len(), 1, "{headers:?}: {all:?}");
        all[0]
    };
    assert_eq!(status(&[]).await, StatusCode::OK);
    assert_eq!(status(&[(HOST.as_str(), "localhost:9465")]).await, StatusCode::OK);
    // A foreign host name that resolves to this machine, a proxy, and an unknown header.
    for headers in [
        (HOST.as_str(), "dashboard.example"),
        (HOST.as_str(), "127.0.0.1.example"),
        ("x-forwarded-for", "203.0.113.7"),
        ("forwarded", "for=203.0.113.7"),
        ("via", "1.1 proxy"),
        ("x-cluster-client-ip", "203.0.113.7"),
        ("proxy-connection", "keep-alive"),
        ("x-no-one-knows-this", "1"),
    ] {
        assert_eq!(status(&[headers]).await, StatusCode::FORBIDDEN, "{headers:?}");
    }
}

/// Sends these bytes and returns the status of the response.
async fn raw(address: SocketAddr, request: &str) -> u16 {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    String::from_utf8_lossy(&start[9..]).parse().unwrap()
}

#[tokio::test]
async fn without_a_token_a_request_has_one_host_and_is_not_one_to_a_proxy() {
    let address = serve(Dashboard::new(&anywhere())).await;
    let curl = format!(
        "GET /state.json HTTP/1.1\r\nHost: {address}\r\nUser-Agent: curl/8.14.1\r\nAccept: */*\r\n\r\n"
    );
    let firefox = format!(
        "GET / HTTP/1.1\r\nHost: localhost:{}\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0\r\n\
         Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n\
         Accept-Encoding: gzip, deflate, br, zstd\r\nDNT: 1\r\nSec-GPC: 1\r\nConnection: keep-alive\r\nCookie: a=b\r\n\
         Upgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\n\
         Sec-Fetch-User: ?1\r\nPriority: u=0, i\r\n\r\n",
        address.port()
    );
    for request in [&curl, &firefox] {
        assert_eq!(raw(address, request).await, 200, "{request}");
    }
    for (first, headers) in [
        ("GET / HTTP/1.1", "Host: localhost\r\nHost: localhost"),
        ("GET / HTTP/1.1", "Host: localhost\r\nHost: evil.example"),
        ("GET / HTTP/1.1", "Host: evil.example\r\nHost: localhost"),
        ("GET / HTTP/1.1", "Host: localhost, evil.example"),
        ("GET / HTTP/1.1", "Host: localhost\r\nX_Forwarded_For: 203.0.113.7"),
        ("GET / HTTP/1.1", "Host: localhost\r\nConnection: close, X-Forwarded-For"),
        ("GET http://localhost/ HTTP/1.1", "Host: localhost"),
        ("GET http://evil.example/ HTTP/1.1", "Host: localhost"),
        ("GET / HTTP/1.0", "Host: localhost"),
    ] {
        let request = format!("{first}\r\n{headers}\r\n\r\n");
        assert!(matches!(raw(address, &request).await, 400 | 403), "{request}");
    }
    assert_ne!(raw(address, "GET / HTTP/1.1\r\nAccept: */*\r\n\r\n").await, 200, "no host");
}

/// As many connections as are documented.
const MAX_CONNECTIONS: usize = 128;

#[tokio::test(start_paused = true)]
async fn slow_connections_are_bounded_and_ended_and_requests_are_served_beside_them() {
    let address = serve(Dashboard::new(&anywhere())).await;
    let began = Instant::now();
    let mut slow = Vec::new();
    for number in 0..2 * MAX_CONNECTIONS {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // Some send nothing, and some a part of the headers.
        if number % 2 == 0 {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: ").await.unwrap();
        }
        slow.push(stream);
    }
    let request = format!("GET /state.json HTTP/1.1\r\nHost: {address}\r\n\r\n");
    assert_eq!(raw(address, &request).await, 200);
    // Those that have waited longest make room.
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    for mut stream in slow {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(!rest.starts_with(b"HTTP/1.1 200"));
    }
    let waited = began.elapsed().as_secs();
    assert!((10..15).contains(&waited), "the last ones end after 10 s: {waited} s");
}

#[tokio::test]
async fn a_router_without_peer_addresses_rejects_every_request() {
    let (listener, address) = here().await;
    let app = Router::new().nest("/admin", Dashboard::new(&anywhere()).router().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let response = get(format!("http://{address}/admin"), &[]).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert!(response.text().await.unwrap().contains("Dashboard::router"));
}

#[tokio::test]
async fn where_it_is_nested_its_parts_are_found_and_the_rest_is_the_applications() {
    let (listener, address) = here().await;
    let behind = Dashboard::new(&anywhere()).token(TOKEN).base_path("/seen/");
    let app = Router::new()
        .nest("/admin", Dashboard::new(&anywhere()).router().unwrap())
        .nest("/behind", behind.router().unwrap())
        .fallback(|| async { (StatusCode::IM_A_TEAPOT, "the application's own") });
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let page = get(format!("http://{address}/admin"), &[]).await.text().await.unwrap();
    let links: Vec<_> = page.split('"').filter(|part| part.starts_with("/admin")).collect();
    assert_eq!(links.len(), 5, "{links:?}");
    for link in links.iter().filter(|link| **link != "/admin") {
        assert_eq!(get(format!("http://{address}{link}"), &[]).await.status(), StatusCode::OK);
    }
    let other = get(format!("http://{address}/other"), &[]).await;
    assert_eq!(other.status(), StatusCode::IM_A_TEAPOT);
    let bearer = format!("Bearer {TOKEN}");
    let behind =
        get(format!("http://{address}/behind"), &[(AUTHORIZATION.as_str(), &bearer)]).await;
    assert!(behind.text().await.unwrap().contains("src=\"/seen/script.js\""));
}

/// A nested router is not at its path with a slash; a nested service is.
#[tokio::test]
async fn as_a_nested_service_it_is_also_at_its_path_with_a_slash() {
    let (listener, address) = here().await;
    let dashboard = || Dashboard::new(&anywhere()).router::<()>().unwrap();
    let app = Router::new()
        .nest_service("/dashboard", dashboard())
        .nest("/tools", Router::new().nest_service("/dashboard", dashboard()))
        .fallback(|| async { (StatusCode::IM_A_TEAPOT, "the application's own") });
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await });
    for base in ["/dashboard", "/tools/dashboard"] {
        let pages = [base.to_owned(), format!("{base}/")].map(|path| async move {
            let page = get(format!("http://{address}{path}"), &[]).await;
            assert_eq!(page.status(), StatusCode::OK, "{path}");
            page.text().await.unwrap()
        });
        let [page, with_slash] = pages;
        let page = page.await;
        assert_eq!(with_slash.await, page, "the links are the same");
        assert!(page.contains(&format!("src=\"{base}/script.js\"")), "{page}");
        for path in PATHS {
            let path = path.trim_end_matches('/');
            let response = get(format!("http://{address}{base}{path}"), &[]).await;
            assert_eq!(response.status(), StatusCode::OK, "{base}{path}");
        }
    }
    let other = get(format!("http://{address}/other"), &[]).await;
    assert_eq!(other.status(), StatusCode::IM_A_TEAPOT);
}

#[tokio::test]
async fn pages_of_other_sites_cannot_read_the_dashboard() {
    for dashboard in [Dashboard::new(&anywhere()), Dashboard::new(&anywhere()).token(TOKEN)] {
        let address = serve(dashboard).await;
        let bearer = format!("Bearer {TOKEN}");
        let status = async |headers: &[(&str, &str)]| {
            let headers = [headers, &[(AUTHORIZATION.as_str(), &*bearer)]].concat();
            get(format!("http://{address}/state.json"), &headers).await.status()
        };
        assert_eq!(status(&[("sec-fetch-site", "same-origin")]).await, StatusCode::OK);
        assert_eq!(status(&[("origin", &format!("http://{address}"))]).await, StatusCode::OK);
        for header in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")] {
            assert_ne!(status(&[header]).await, StatusCode::OK, "{header:?}");
        }
    }
}

#[tokio::test]
async fn the_event_stream_ends_with_the_server() {
    let (listener, address) = here().await;
    let served = tokio::spawn(Dashboard::new(&anywhere()).serve(listener).unwrap());
    let mut events = get(format!("http://{address}/events"), &[]).await;
    assert!(events.chunk().await.unwrap().is_some());
    served.abort();
    let end =
        timeout(Duration::from_secs(20), async { while let Ok(Some(_)) = events.chunk().await {} });
    end.await.expect("the events end");
}

#[tokio::test]
async fn with_a_token_the_dashboard_requires_it() {
    use base64::Engine;
    let basic =
        |pair: &str| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
    let address = serve(Dashboard::new(&anywhere()).token(TOKEN)).await;
    let url = |path| format!("http://{address}{path}");
    for path in PATHS {
        let refused = get(url(path), &[]).await;
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "{path}");
        let asks: Vec<_> = refused.headers().get_all("www-authenticate").iter().collect();
        assert_eq!(asks.len(), 2, "{asks:?}");
        assert!(!refused.text().await.unwrap().contains("hunter2"));
        for wrong in ["Bearer wrong", &basic("hunter2:"), &basic("x:hunter2"), TOKEN] {
            let refused = get(url(path), &[(AUTHORIZATION.as_str(), wrong)]).await;
            assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "{path} {wrong}");
        }
        // From a proxy as well: it is the token that counts.
        let proxied = ("x-forwarded-for", "203.0.113.7");
        for right in [format!("Bearer {TOKEN}"), basic(&format!("me:{TOKEN}"))] {
            let headers =
                [(AUTHORIZATION.as_str(), &*right), proxied, (HOST.as_str(), "a.example")];
            assert_eq!(get(url(path), &headers).await.status(), StatusCode::OK, "{path}");
        }
    }
}

#[tokio::test]
async fn a_remote_dashboard_requires_a_strong_token() {
    let open = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
    let Err(error) = Dashboard::new(&anywhere()).serve(open) else { panic!("it is served") };
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("reachable at 0.0.0.0"), "{error}");
    let (listener, _) = here().await;
    let Err(error) = Dashboard::new(&anywhere()).token("guess").serve(listener) else {
        panic!("it is served")
    };
    assert!(error.to_string().contains("too short") && !error.to_string().contains("guess"));
    for wrong in ["                 ", "with a space in it", "übergroße-geheimnisse"] {
        let error = Dashboard::new(&anywhere()).token(wrong).router::<()>().unwrap_err();
        assert!(!error.to_string().contains(wrong), "{error}");
    }
    // As a file has it.
    let address = serve(Dashboard::new(&anywhere()).token(format!("{TOKEN}\n"))).await;
    let bearer = format!("Bearer {TOKEN}");
    let response = get(format!("http://{address}/"), &[(AUTHORIZATION.as_str(), &bearer)]).await;
    assert_eq!(response.status(), StatusCode::OK);
    let open = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
    assert!(Dashboard::new(&anywhere()).token(TOKEN).serve(open).is_ok());
    assert!(!format!("{:?}", Dashboard::new(&anywhere()).token(TOKEN)).contains("hunter2"));
}

#[tokio::test]
async fn the_content_security_policy_forbids_other_scripts_and_frames() {
    let address = serve(Dashboard::new(&anywhere()).title("<b>\"{base}\"</b>")).await;
    for path in PATHS {
        let response = get(format!("http://{address}{path}"), &[]).await;
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        let policy = header("content-security-policy");
        for directive in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(directive), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("sha256") && !policy.contains('*'));
        assert_eq!(header("x-frame-options"), "DENY");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("cache-control"), "no-store");
        assert!(!response.headers().keys().any(|name| name.as_str().starts_with("access-control")));
    }
    let page = get(format!("http://{address}/"), &[]).await.text().await.unwrap();
    assert!(page.contains("<title>&lt;b&gt;&quot;&#123;base}&quot;&lt;/b&gt;</title>"), "{page}");
    assert!(!page.contains("<script>") && !page.contains("style=") && !page.contains("http"));
    let post =
        reqwest::Client::new().post(format!("http://{address}/events")).send().await.unwrap();
    assert_eq!(post.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn the_dashboard_shows_no_token_and_bounded_data() {
    let mock = MockGitHub::builder().token("ghs_hunter2hunter2").start().await;
    mock.on(|github| github.issues().get()).error(404, "Not Found");
    let github = mock.client_builder().retry(RetryPolicy::disabled()).build().unwrap();
    let address = serve(Dashboard::new(&github)).await;
    for number in 0..60 {
        let get = github.issues().get().owner("o").repo("r").issue_number(number);
        get.send().await.unwrap_err();
    }
    github
        .request(http::Method::GET, "/repos/o/r")
        .header("authorization", "Bearer hunter2")
        .send::<Value>()
        .await
        .unwrap_err();
    let long = format!("/{}", "long/".repeat(1_000));
    github.request(http::Method::GET, long).send::<Value>().await.unwrap_err();
    let text = get(format!("http://{address}/state.json"), &[]).await.text().await.unwrap();
    assert!(!text.contains("hunter2") && text.len() < 100_000, "{text}");
    let state: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(state["failed"].as_array().unwrap().len(), 50);
    assert_eq!(state["failed"][2]["operation"], "issues/get");
    assert_eq!(state["failed"][2]["type"], "404");
    assert!(state["failed"][2]["request_id"].is_string());
    assert_eq!(state["tokens"][0]["is_valid"], true);
    assert_eq!(state["limits"][0]["primary"][0]["resource"], "core");
    // One call belonged to another identity.
    assert_eq!(state["usage"]["month"]["calls"], 61);
    assert_eq!(state["usage"]["is_complete"], true);
    // One of 62 calls was rejected as unauthenticated.
    assert_eq!(state["health"]["reasons"][0], "objective missed: error rate");
}

#[tokio::test]
async fn the_dashboard_serves_thirty_two_event_streams_and_a_closed_one_frees_its_place() {
    let address = serve(Dashboard::new(&anywhere())).await;
    let read = || get(format!("http://{address}/events"), &[]);
    let mut readers = Vec::new();
    for _ in 0..32 {
        readers.push(read().await);
    }
    let full = read().await;
    assert_eq!(full.status(), StatusCode::SERVICE_UNAVAILABLE);
    let first = readers[0].chunk().await.unwrap().unwrap();
    assert!(first.starts_with(b"event: start\ndata: {"), "{first:?}");
    readers.pop();
    let again = timeout(Duration::from_secs(20), async {
        while read().await.status() != StatusCode::OK {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    again.await.expect("there is room again");
}
