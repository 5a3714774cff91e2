//! A GitHub that fails in every way, and counts what it executes.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::limiter::{Limiter, Limits};
use super::random::Random;

/// Items that are read and written.
pub const ITEMS: u64 = 40;
/// Pages of the list, and items on each.
pub const PAGES: u64 = 4;
pub const PAGE: u64 = 10;
/// Token of the clients whose limits are wide, and of the ones with GitHub's own.
pub const WIDE: &str = "ghp_wide";
pub const NARROW: &str = "ghp_narrow";
/// The limits of [`WIDE`]. The clients use two thirds of `concurrent`: GitHub counts a request that
/// the client gave up on until it notices.
pub const WIDE_LIMITS: Limits =
    Limits { concurrent: 60, points_per_minute: 9_000, content_per_minute: 900 };
pub const NARROW_LIMITS: Limits =
    Limits { concurrent: 100, points_per_minute: 900, content_per_minute: 80 };

/// The percentage of requests that fail in some way.
const FAULTS: u64 = 12;
/// Longer than an attempt of the clients.
const STALL: Duration = Duration::from_secs(10);
const PRIMARY_LIMIT: u64 = 10_000_000;

pub struct GitHub {
    pub url: String,
    shared: Arc<Shared>,
}

struct Shared {
    is_calm: AtomicBool,
    state: Mutex<State>,
}

struct State {
    random: Random,
    /// The version of each item.
    versions: HashMap<String, u64>,
    /// The number of executions of each write, by the marker in its body.
    executed: HashMap<String, u32>,
    limiters: HashMap<String, Limiter>,
    faults: u64,
}

/// The observations of the server.
pub struct Executed {
    requests: u64,
    faults: u64,
    writes: usize,
    twice: Vec<String>,
    exceeded: Vec<String>,
    max_in_flight: u32,
}

struct Request {
    method: String,
    target: String,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The connection is closed before anything was done.
    Close,
    /// The connection is closed after it was done.
    CloseAfterwards,
    ServerError,
    Reject,
    /// No response for longer than an attempt lasts.
    Stall,
    /// The body ends early.
    Cut,
    CutChunks,
    Trickle,
    /// A success whose body is not JSON.
    NoJson,
    NoHttp,
    Redirect,
    ManyHeaders,
    /// All request headers are repeated.
    Echo,
}

impl Fault {
    const ALL: [Self; 13] = [
        Self::Close,
        Self::CloseAfterwards,
        Self::ServerError,
        Self::Reject,
        Self::Stall,
        Self::Cut,
        Self::CutChunks,
        Self::Trickle,
        Self::NoJson,
        Self::NoHttp,
        Self::Redirect,
        Self::ManyHeaders,
        Self::Echo,
    ];
}

/// Returns the checksum by which a body shows that it is whole.
pub fn checksum(text: &str) -> u64 {
    let step = |sum: u64, byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    // The range of JavaScript's integers, which every JSON parser supports.
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step) >> 12
}

impl GitHub {
    pub async fn start(seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = State {
            random: Random::new(seed),
            versions: HashMap::new(),
            executed: HashMap::new(),
            limiters: HashMap::new(),
            faults: 0,
        };
        let shared = Arc::new(Shared { is_calm: AtomicBool::new(false), state: Mutex::new(state) });
        let accepting = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let shared = Arc::clone(&accepting);
                tokio::spawn(async move { serve(socket, &shared).await });
            }
        });
        Self { url, shared }
    }

    /// Ends all faults.
    pub fn calm_down(&self) {
        self.shared.is_calm.store(true, Ordering::Relaxed);
    }

    pub fn finish(self) -> Executed {
        let state = self.shared.state();
        let twice = state.executed.iter().filter(|(_, times)| **times > 1);
        let limiters = || state.limiters.values();
        Executed {
            requests: limiters().map(|limiter| limiter.requests).sum(),
            faults: state.faults,
            writes: state.executed.len(),
            twice: twice.map(|(marker, _)| marker.clone()).collect(),
            exceeded: limiters().flat_map(|limiter| limiter.exceeded.clone()).collect(),
            max_in_flight: limiters().map(|limiter| limiter.max_in_flight).max().unwrap_or(0),
        }
    }
}

impl Executed {
    pub fn assert_kept(&self) {
        assert!(self.twice.is_empty(), "writes that were executed twice: {:?}", self.twice);
        assert!(self.exceeded.is_empty(), "limits that were exceeded: {:#?}", self.exceeded);
        assert!(self.requests > 100 && self.faults > 10 && self.writes > 5, "{self}");
    }
}

impl fmt::Display for Executed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, faults, writes, max_in_flight, .. } = self;
        write!(
            f,
            "GitHub: {requests} requests, {faults} faults, {writes} writes executed, \
             at most {max_in_flight} in flight"
        )
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that counts as in flight.
struct InFlight<'a> {
    shared: &'a Shared,
    token: String,
}

impl<'a> InFlight<'a> {
    fn new(shared: &'a Shared, request: &Request) -> Self {
        let token = request.headers.get("authorization").cloned().unwrap_or_default();
        let limits = if token.contains(WIDE) { WIDE_LIMITS } else { NARROW_LIMITS };
        let mut state = shared.state();
        let limiter = state.limiters.entry(token.clone()).or_insert_with(|| Limiter::new(limits));
        limiter.arrive(request.method != "GET");
        Self { shared, token }
    }

    fn requests(&self) -> u64 {
        self.shared.state().limiters.get(&self.token).map_or(0, |limiter| limiter.requests)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if let Some(limiter) = self.shared.state().limiters.get_mut(&self.token) {
            limiter.leave();
        }
    }
}

async fn serve(mut socket: TcpStream, shared: &Shared) {
    let mut buffer = Vec::new();
    while let Some(request) = receive(&mut socket, &mut buffer).await {
        let in_flight = InFlight::new(shared, &request);
        let (fault, latency) = {
            let mut state = shared.state();
            let kind = state.random.below(Fault::ALL.len() as u64);
            let fault = Fault::ALL[usize::try_from(kind).unwrap()];
            let fails = state.random.percent(FAULTS) && !shared.is_calm.load(Ordering::Relaxed);
            state.faults += u64::from(fails);
            (fails.then_some(fault), Duration::from_millis(state.random.below(40)))
        };
        if is_gone_within(latency, &socket).await
            || !respond(&mut socket, shared, &request, &in_flight, fault).await
        {
            return;
        }
    }
}

/// Responds to a request; false if the connection is to be closed.
async fn respond(
    socket: &mut TcpStream,
    shared: &Shared,
    request: &Request,
    in_flight: &InFlight<'_>,
    fault: Option<Fault>,
) -> bool {
    match fault {
        Some(Fault::Close) => return false,
        Some(Fault::ServerError) => {
            let page = "<html><title>Unicorn!</title></html>";
            return send(socket, &response("502 Bad Gateway", "content-type: text/html\r\n", page))
                .await;
        }
        Some(Fault::Reject) => {
            let body = json!({ "message": "You have exceeded a secondary rate limit." });
            let bytes = response("403 Forbidden", "retry-after: 1\r\n", &body.to_string());
            return send(socket, &bytes).await;
        }
        Some(Fault::Redirect) if request.method == "GET" && !request.target.contains("moved") => {
            let separator = if request.target.contains('?') { '&' } else { '?' };
            let location = format!("location: {}{separator}moved=1\r\n", request.target);
            return send(socket, &response("307 Temporary Redirect", &location, "")).await;
        }
        Some(Fault::Stall) => {
            is_gone_within(STALL, socket).await;
            return false;
        }
        Some(Fault::NoHttp) => {
            send(socket, b"HTTP/9.9 what?\r\n\r\n").await;
            return false;
        }
        Some(Fault::NoJson) => {
            let etag = format!("etag: W/\"broken-{}\"\r\n", shared.state().random.next());
            return send(socket, &response("200 OK", &etag, "{\"path\": nothing")).await;
        }
        _ => {}
    }
    let (status, mut headers, body) = execute(shared, request);
    headers += &limit_headers(in_flight.requests());
    match fault {
        Some(Fault::CloseAfterwards) => return false,
        Some(Fault::ManyHeaders) => {
            let many = (0..40).map(|number| format!("x-extra-{number}: {}\r\n", "x".repeat(500)));
            headers.extend(many);
        }
        Some(Fault::Echo) => {
            let echoed = request.headers.iter();
            headers.extend(echoed.map(|(name, value)| format!("x-echo-{name}: {value}\r\n")));
        }
        _ => {}
    }
    let bytes = response(status, &headers, &body);
    match fault {
        Some(Fault::Cut) => {
            send(socket, &bytes[..bytes.len() - body.len().div_ceil(2)]).await;
            body.is_empty()
        }
        Some(Fault::CutChunks) if !body.is_empty() => {
            let head = format!("HTTP/1.1 {status}\r\ntransfer-encoding: chunked\r\n{headers}\r\n");
            let half = &body[..body.len() / 2];
            let bytes = format!("{head}{:x}\r\n{half}\r\n", half.len());
            send(socket, bytes.as_bytes()).await;
            false
        }
        Some(Fault::Trickle) => {
            for part in bytes.chunks(bytes.len().div_ceil(5)) {
                if !send(socket, part).await {
                    return false;
                }
                sleep(Duration::from_millis(20)).await;
            }
            true
        }
        _ => send(socket, &bytes).await,
    }
}

/// Executes the request, and returns status, headers and body.
fn execute(shared: &Shared, request: &Request) -> (&'static str, String, String) {
    let path = request.target.split('?').next().unwrap_or_default().to_owned();
    if path == "/list" {
        return list(request);
    }
    let token = request.headers.get("authorization").map_or("", String::as_str);
    let token = token.rsplit(' ').next().unwrap_or_default();
    let mut state = shared.state();
    let item = path.trim_end_matches("/comments").to_owned();
    let version = state.versions.entry(item.clone()).or_default();
    if request.method != "GET" {
        *version += 1;
        let body = json!({ "version": *version }).to_string();
        let sent: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
        if request.method == "POST" {
            let marker = sent["marker"].as_str().unwrap_or("none").to_owned();
            *state.executed.entry(marker).or_default() += 1;
        }
        return ("201 Created", String::new(), body);
    }
    let version = *version;
    // GitHub's tags differ by token.
    let etag = format!("W/\"{version}-{:x}\"", checksum(&format!("{token}{item}")));
    let headers = format!("etag: {etag}\r\ncache-control: private, max-age=60\r\nvary: Accept\r\n");
    if request.headers.get("if-none-match") == Some(&etag) {
        return ("304 Not Modified", headers, String::new());
    }
    let size = 200 + usize::try_from(checksum(&item) % 20_000).unwrap();
    let text = format!("{version}").repeat(size);
    let body = json!({
        "path": item, "token": token, "version": version, "text": text, "sum": checksum(&text),
    });
    ("200 OK", headers, body.to_string())
}

fn list(request: &Request) -> (&'static str, String, String) {
    let page = request.target.split(['?', '&']).find_map(|part| part.strip_prefix("page="));
    let page: u64 = page.and_then(|page| page.parse().ok()).unwrap_or(1);
    let first = (page - 1) * PAGE;
    let items: Vec<u64> = (first..first + PAGE).collect();
    let link = match page < PAGES {
        true => format!("link: </list?page={}>; rel=\"next\"\r\n", page + 1),
        false => String::new(),
    };
    ("200 OK", link, json!(items).to_string())
}

fn limit_headers(requests: u64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!(
        "x-ratelimit-limit: {PRIMARY_LIMIT}\r\nx-ratelimit-remaining: {}\r\n\
         x-ratelimit-reset: {}\r\nx-ratelimit-resource: core\r\n",
        PRIMARY_LIMIT - requests,
        now.as_secs() + 3_600
    )
}

fn response(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = if status.starts_with("304") {
        String::new()
    } else {
        format!("content-length: {}\r\n", body.len())
    };
    let own =
        if headers.contains("content-type") { "" } else { "content-type: application/json\r\n" };
    format!("HTTP/1.1 {status}\r\n{length}{own}{headers}\r\n{body}").into_bytes()
}

/// Waits for that long, or until the client has closed the connection.
async fn is_gone_within(time: Duration, socket: &TcpStream) -> bool {
    let mut byte = [0];
    tokio::select! {
        () = sleep(time) => false,
        _ = socket.peek(&mut byte) => true,
    }
}

async fn send(socket: &mut TcpStream, bytes: &[u8]) -> bool {
    socket.write_all(bytes).await.is_ok()
}

async fn receive(socket: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Request> {
    let head = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head: Vec<u8> = buffer.drain(..end + 4).collect();
            break String::from_utf8(head).ok()?;
        }
        if socket.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ').map(str::to_owned);
    let headers: HashMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length").map_or(Some(0), |text| text.parse().ok())?;
    while buffer.len() < length {
        if socket.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = buffer.drain(..length).collect();
    Some(Request { method: words.next()?, target: words.next()?, headers, body })
}
