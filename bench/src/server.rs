//! A fake of GitHub for benchmarks: fixed bodies with GitHub's headers, over plain HTTP/1.1 on the loopback,
//! in a separate process so that its CPU time is not attributed to a client.

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Read};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;

use crate::bodies::{self, Body};
use crate::clients::TOKEN;
use crate::lists::{Lists, Page};
use crate::{Result, auth, calls};

/// GitHub's headers beside the body and the request id.
const HEADERS: [(&str, &str); 24] = [
    ("server", "github.com"),
    ("cache-control", "private, max-age=60, s-maxage=60"),
    (
        "vary",
        "Accept, Authorization, Cookie, X-GitHub-OTP,Accept-Encoding, Accept, X-Requested-With",
    ),
    ("last-modified", "Fri, 14 Nov 2025 20:09:31 GMT"),
    ("x-oauth-scopes", "repo"),
    ("x-accepted-oauth-scopes", "repo"),
    ("github-authentication-token-expiration", "2027-01-01 00:00:00 UTC"),
    ("x-github-media-type", "github.v3; format=json"),
    ("x-github-api-version-selected", "2022-11-28"),
    ("x-ratelimit-limit", "5000"),
    ("x-ratelimit-remaining", "4999"),
    ("x-ratelimit-reset", "1767225600"),
    ("x-ratelimit-used", "1"),
    ("x-ratelimit-resource", "core"),
    (
        "access-control-expose-headers",
        "ETag, Link, Location, Retry-After, X-GitHub-OTP, X-RateLimit-Limit, \
         X-RateLimit-Remaining, X-RateLimit-Used, X-RateLimit-Resource, X-RateLimit-Reset, \
         X-OAuth-Scopes, X-Accepted-OAuth-Scopes, X-Poll-Interval, X-GitHub-Media-Type, \
         X-GitHub-SSO, X-GitHub-Request-Id, Deprecation, Sunset",
    ),
    ("access-control-allow-origin", "*"),
    ("strict-transport-security", "max-age=31536000; includeSubdomains; preload"),
    ("x-frame-options", "deny"),
    ("x-content-type-options", "nosniff"),
    ("x-xss-protection", "0"),
    ("referrer-policy", "origin-when-cross-origin, strict-origin-when-cross-origin"),
    ("content-security-policy", "default-src 'none'"),
    ("accept-ranges", "bytes"),
    ("x-github-request-id", "C0DE:1A2B3C:4D5E6F:7A8B9C:69123456"),
];

/// A server in another process; it ends when this is dropped.
pub struct Server {
    process: Child,
    url: String,
}

impl Server {
    pub fn start() -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("server")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut port = String::new();
        if let Some(output) = &mut process.stdout {
            BufReader::new(output).read_line(&mut port)?;
        }
        let port: u16 = port.trim().parse().map_err(|_| "the server did not start")?;
        Ok(Self { process, url: format!("http://127.0.0.1:{port}") })
    }

    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Dropping the handle closes its standard input, and it ends.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// The server's process: prints its port, and serves until its standard input ends.
pub fn run() -> Result<()> {
    std::thread::spawn(|| {
        // In any case, the end of the benchmark closes this end of the pipe.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    calls::single_threaded()?.block_on(serve(Arc::new(Responses::new()?)))
}

async fn serve(responses: Arc<Responses>) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?.port());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let responses = responses.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let responses = responses.clone();
                async move {
                    if let Some(delay) = delay(&request) {
                        tokio::time::sleep(delay).await;
                    }
                    Ok::<_, Infallible>(responses.to(&request))
                }
            });
            let server = auto::Builder::new(TokioExecutor::new());
            let connection = server.serve_connection(TokioIo::new(stream), service);
            // The server ignores a client that disconnects during a request.
            let _ = connection.await;
        });
    }
}

/// The token endpoint of an installation whose tokens take as long as GitHub's; it does not check the caller.
const TOKEN_PATH: &str = "/app/installations/42/access_tokens";

/// Whether the path is a token endpoint. Those of other installations respond immediately.
fn issues_tokens(path: &str) -> bool {
    path.starts_with("/app/installations/") && path.ends_with("/access_tokens")
}

/// The time before the response.
fn delay(request: &Request<Incoming>) -> Option<Duration> {
    if request.uri().path() == TOKEN_PATH {
        return Some(auth::ISSUE_TOKEN);
    }
    Page::requested(request).map(|page| page.delay).filter(|delay| !delay.is_zero())
}

struct Responses {
    lists: Lists,
    tokens_issued: AtomicU64,
    by_path: [(String, HeaderMap, Bytes); 3],
}

impl Responses {
    fn new() -> Result<Self> {
        let mut common = HeaderMap::new();
        for (name, value) in HEADERS {
            common.insert(name, HeaderValue::from_static(value));
        }
        common.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        let bodies = bodies::read()?;
        let lists = Lists::new(&bodies[0], common.clone())?;
        let mut bodies = bodies.into_iter();
        let by_path = Body::ALL.map(|body| {
            let mut headers = common.clone();
            let etag = format!("W/\"{:064x}\"", 0xE7A6 + body as u64);
            headers.extend(HeaderValue::try_from(etag).map(|etag| (ETAG, etag)));
            (body.path(), headers, bodies.next().unwrap_or_default())
        });
        Ok(Self { lists, tokens_issued: AtomicU64::new(0), by_path })
    }

    /// A client without the headers that GitHub requires would have an advantage, so it is rejected.
    fn to(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if issues_tokens(request.uri().path()) {
            self.tokens_issued.fetch_add(1, Relaxed);
            let token = format!(r#"{{"token":"{TOKEN}","expires_at":"2099-01-01T00:00:00Z"}}"#);
            return Response::new(Full::new(token.into()));
        }
        let authorization =
            request.headers().get(AUTHORIZATION).and_then(|given| given.to_str().ok());
        // octokit.js and PyGithub send the scheme `token`, which GitHub accepts as well.
        let token = authorization.and_then(|given| given.split_once(' '));
        if token.is_none_or(|(scheme, token)| {
            token != TOKEN || !(scheme == "Bearer" || scheme == "token")
        }) {
            return refusal(StatusCode::UNAUTHORIZED);
        }
        if let Some(page) = Page::requested(request) {
            return self.lists.response(page, request);
        }
        let path = request.uri().path();
        if path == "/mints" {
            return Response::new(Full::new(self.tokens_issued.load(Relaxed).to_string().into()));
        }
        match self.by_path.iter().find(|(known, ..)| known == path) {
            Some((_, headers, body)) if request.method() == Method::GET => {
                let known = request.headers().get(IF_NONE_MATCH);
                if known.is_some_and(|known| Some(known) == headers.get(ETAG)) {
                    let mut response = Response::new(Full::default());
                    *response.status_mut() = StatusCode::NOT_MODIFIED;
                    *response.headers_mut() = headers.clone();
                    return response;
                }
                let mut response = Response::new(Full::new(body.clone()));
                *response.headers_mut() = headers.clone();
                response
            }
            _ => refusal(StatusCode::NOT_FOUND),
        }
    }
}

fn refusal(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"{\"message\":\"refused\"}")));
    *response.status_mut() = status;
    response
}
