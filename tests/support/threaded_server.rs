//! A server on a thread of its own, for the memory that its responses take: over HTTP/1 or HTTP/2.

use std::convert::Infallible;
use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
}

/// The length of a body at `/large`.
pub const LARGE: usize = 512 * 1024;

/// Starts the server, and returns its address.
///
/// | path | response |
/// |---|---|
/// | `/small/N` | 200 with some 300 bytes, and headers as GitHub has them; 304 if that is asked for |
/// | `/gzip/N` | the same, compressed |
/// | `/middle/N` | 200 with 20,000 bytes |
/// | `/headers/N` | 200 with some 300 bytes, and 75 headers more |
/// | `/missing/N` | 404 with a message |
/// | `/invalid/N` | 422 with a great many errors that say nothing |
/// | `/hostile/N` | 500 with long names and texts everywhere, and the end of the connection |
/// | `/items/N` | 200 with a list, of which no item is a number |
/// | `/large` | 200 with [`LARGE`] bytes that may not be stored |
pub fn start(protocol: Protocol) -> String {
    let (sender, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(format!("http://{}", listener.local_addr().unwrap())).unwrap();
            let large = Bytes::from(format!("\"{}\"", "x".repeat(LARGE - 2)));
            while let Ok((socket, _)) = listener.accept().await {
                socket.set_nodelay(true).unwrap();
                let large = large.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let current = request.headers().contains_key("if-none-match");
                    let mut response = respond(request.uri().path(), &large);
                    if current && response.status() == 200 {
                        *response.status_mut() = StatusCode::NOT_MODIFIED;
                        *response.body_mut() = Full::default();
                    }
                    async { Ok::<_, Infallible>(response) }
                });
                let socket = TokioIo::new(socket);
                match protocol {
                    Protocol::Http1 => {
                        let connection = http1::Builder::new().serve_connection(socket, service);
                        tokio::spawn(async { drop(connection.await) });
                    }
                    Protocol::Http2 => {
                        let builder = http2::Builder::new(TokioExecutor::new());
                        let connection = builder.serve_connection(socket, service);
                        tokio::spawn(async { drop(connection.await) });
                    }
                }
            }
        });
    });
    address.recv().unwrap()
}

fn respond(path: &str, large: &Bytes) -> Response<Full<Bytes>> {
    let number = path.rsplit('/').next().unwrap_or_default();
    let small =
        |length: usize| format!("{{\"id\":\"{number}\",\"text\":\"{}\"}}", "y".repeat(length));
    let mut response = Response::builder()
        .header("content-type", "application/json; charset=utf-8")
        .header("server", "github.com")
        .header("vary", "Accept, Authorization, Cookie, X-GitHub-OTP,Accept-Encoding, Accept")
        .header("etag", format!("W/\"{number:0>64}\""))
        .header("last-modified", "Sun, 29 Nov 2026 17:24:26 GMT")
        .header("x-github-media-type", "github.v3; format=json")
        .header("x-github-api-version-selected", "2022-11-28")
        .header("x-github-request-id", format!("C0DE:1:{number}"))
        .header("x-ratelimit-limit", "5000")
        .header("x-ratelimit-remaining", "4999")
        .header("x-ratelimit-reset", "1790000000")
        .header("x-ratelimit-used", "1")
        .header("x-ratelimit-resource", "core")
        .header("access-control-expose-headers", "ETag, Link, Location, Retry-After, X-GitHub-OTP, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Used, X-RateLimit-Resource, X-RateLimit-Reset, X-OAuth-Scopes, X-Accepted-OAuth-Scopes, X-Poll-Interval, X-GitHub-Media-Type, X-GitHub-SSO, X-GitHub-Request-Id, Deprecation, Sunset, Warning")
        .header("access-control-allow-origin", "*")
        .header("strict-transport-security", "max-age=31536000; includeSubdomains; preload")
        .header("x-frame-options", "deny")
        .header("x-content-type-options", "nosniff")
        .header("x-xss-protection", "0")
        .header("referrer-policy", "origin-when-cross-origin, strict-origin-when-cross-origin")
        .header("content-security-policy", "default-src 'none'");
    let body = match path.split('/').nth(1).unwrap_or_default() {
        "large" => {
            response = response.header("cache-control", "no-store");
            large.clone()
        }
        "middle" => Bytes::from(small(20_000)),
        "gzip" => {
            response = response.header("content-encoding", "gzip");
            let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
            gzip.write_all(small(270).as_bytes()).unwrap();
            Bytes::from(gzip.finish().unwrap())
        }
        "headers" => {
            let headers = response.headers_mut().unwrap();
            for each in 0..60 {
                let name = HeaderName::try_from(format!("x-of-the-server-{each}")).unwrap();
                headers.insert(name, HeaderValue::try_from(format!("{number} {each}")).unwrap());
            }
            for each in 0..15 {
                headers.append("x-again", HeaderValue::from(each));
            }
            Bytes::from(small(270))
        }
        "missing" => {
            response = response.status(404);
            let message =
                r#"{"message":"Not Found","documentation_url":"https://docs.github.com/rest"}"#;
            Bytes::from_static(message.as_bytes())
        }
        "invalid" => {
            response = response.status(422);
            Bytes::from(format!("{{\"errors\":[{}[]]}}", "[],".repeat(100_000)))
        }
        "hostile" => {
            let long = format!("{number:0>10000}");
            response = response.status(500).header("connection", "close");
            let headers = response.headers_mut().unwrap();
            for name in ["x-ratelimit-resource", "x-github-request-id"] {
                headers.insert(name, HeaderValue::try_from(&long).unwrap());
            }
            Bytes::from(format!("{{\"message\":\"{long}\"}}"))
        }
        "items" => {
            Bytes::from(format!("[{}\"last\"]", format!("\"{}\",", "z".repeat(90)).repeat(99)))
        }
        _ => Bytes::from(small(270)),
    };
    response.body(Full::new(body)).unwrap()
}
