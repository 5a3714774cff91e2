//! Attacks on the server, and its service to other clients meanwhile.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::*;

pub(super) const LIMITS: ServerLimits = ServerLimits {
    max_connections: 20,
    header_timeout: Duration::from_secs(10),
    idle_timeout: Duration::from_secs(75),
    write_timeout: Duration::from_secs(30),
    max_age: Duration::from_secs(600),
};
const REQUEST: &[u8] = b"GET /0 HTTP/1.1\r\nhost: localhost\r\n\r\n";
/// The response takes longer than the test.
const NEXT: &[u8] = b"GET /1000 HTTP/1.1\r\nhost: localhost\r\n\r\n";
/// More than the buffers of two sockets.
const LARGE: usize = 64 * 1024 * 1024;
/// Less than the server's buffer.
const MEDIUM: usize = MAX_BUFFER / 2;
static LARGE_BODY: LazyLock<Bytes> = LazyLock::new(|| vec![b'x'; LARGE].into());

/// Reads the request's body, waits as many seconds as the path says, and responds with `ok`; or with a large
/// body if the path is `/large` or `/medium`. It counts requests.
#[derive(Clone, Default)]
struct Waits(Arc<AtomicUsize>);

impl Service<Request<RequestBody>> for Waits {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let _ = body.collect().await;
            if head.uri.path() == "/large" {
                return Ok(Response::new(Full::from(LARGE_BODY.clone())));
            }
            if head.uri.path() == "/medium" {
                return Ok(Response::new(Full::from(LARGE_BODY.slice(..MEDIUM))));
            }
            sleep(Duration::from_secs(head.uri.path()[1..].parse().unwrap())).await;
            Ok(Response::new(Full::from("ok")))
        })
    }
}

async fn start(
    limits: ServerLimits,
) -> (SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    start_with(limits, Waits::default()).await
}

async fn start_with(
    limits: ServerLimits,
    service: Waits,
) -> (SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let shutdown = async {
        let _ = stopped.await;
    };
    let server = tokio::spawn(serve(listener, move |_| service.clone(), limits, shutdown));
    (address, stop, server)
}

async fn send(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// Reads until the connection ends, or an error says that it did.
async fn rest(mut stream: TcpStream) -> String {
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all).await;
    String::from_utf8_lossy(&all).into_owned()
}

/// Sends one request, and reads the beginning of its response.
async fn exchange(stream: &mut TcpStream, request: &[u8]) -> io::Result<()> {
    stream.write_all(request).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\nok") {
        head.push(stream.read_u8().await?);
    }
    assert!(head.starts_with(b"HTTP/1.1 200 OK"));
    Ok(())
}

/// Whether the other side has closed a connection, now.
fn is_closed(stream: &TcpStream) -> bool {
    match stream.try_read(&mut [0; 1]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}

/// Lets the server's tasks run.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    sleep(Duration::from_millis(1)).await;
}

/// Parts of requests that are not complete.
const INCOMPLETE: [&[u8]; 3] = [
    b"",
    b"GET / HTTP/1.1\r\nhost: loc",
    b"POST /0 HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nabc",
];

/// Opens as many connections as there are places, with incomplete requests, one after the other.
async fn fill(address: SocketAddr, parts: &[&[u8]]) -> Vec<TcpStream> {
    let mut slow = Vec::new();
    for number in 0..LIMITS.max_connections {
        slow.push(send(address, parts[number % parts.len()]).await);
        settle().await;
    }
    slow
}

#[tokio::test(start_paused = true)]
async fn a_new_sender_is_served_within_a_second_when_all_places_are_taken() {
    for parts in [&INCOMPLETE[..1], &INCOMPLETE[1..2], &INCOMPLETE[2..], &INCOMPLETE[..]] {
        let (address, _stop, _server) = start(LIMITS).await;
        let slow = fill(address, parts).await;
        if parts.len() > 1 {
            // Each of them can be evicted.
            sleep(queue::MIN_WAIT).await;
        }
        let began = Instant::now();
        let mut fresh = Vec::new();
        for number in 1..=5 {
            let mut stream = send(address, b"").await;
            exchange(&mut stream, REQUEST).await.unwrap();
            assert!(began.elapsed() < Duration::from_secs(1) * number as u32, "it waits too long");
            // It stays in use: an idle connection would make room before a body.
            stream.write_all(NEXT).await.unwrap();
            fresh.push(stream);
            settle().await;
            let closed: Vec<bool> = slow.iter().map(is_closed).collect();
            // By the bytes received, and then by the time of waiting.
            let mut order: Vec<usize> = (0..slow.len()).collect();
            order.sort_by_key(|at| at % parts.len());
            let expected: Vec<bool> =
                (0..slow.len()).map(|at| order[..number].contains(&at)).collect();
            assert_eq!(closed, expected, "the connection that has waited longest makes room");
        }
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        assert!(!fresh.iter().any(is_closed));
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_more_requests_than_places_is_answered_as_a_whole() {
    let (address, _stop, _server) = start(LIMITS).await;
    let mut streams = Vec::new();
    for _ in 0..5 * LIMITS.max_connections {
        // Complete when the server accepts the connection, and not read by it yet.
        streams
            .push(send(address, b"GET /0 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await);
    }
    for mut stream in streams {
        exchange(&mut stream, b"").await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_has_been_idle_longest_makes_room_and_one_in_use_does_not() {
    let (address, _stop, _server) = start(LIMITS).await;
    let mut streams = Vec::new();
    for _ in 0..LIMITS.max_connections {
        let mut stream = send(address, b"").await;
        exchange(&mut stream, REQUEST).await.unwrap();
        streams.push(stream);
    }
    // The first is used again, and the second is being used.
    exchange(&mut streams[0], REQUEST).await.unwrap();
    streams[1].write_all(b"GET /3 HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    settle().await;
    let mut fresh = send(address, b"").await;
    exchange(&mut fresh, REQUEST).await.unwrap();
    settle().await;
    let closed: Vec<usize> = (0..streams.len()).filter(|at| is_closed(&streams[*at])).collect();
    assert_eq!(closed, [2]);
    exchange(&mut streams[1], b"").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn connections_in_use_are_not_closed_and_a_new_sender_waits_for_the_first_to_end() {
    let (address, _stop, _server) = start(LIMITS).await;
    let mut busy = Vec::new();
    for number in 0..LIMITS.max_connections {
        let request = format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", 3 + number);
        busy.push(send(address, request.as_bytes()).await);
        settle().await;
    }
    let began = Instant::now();
    let mut fresh = send(address, REQUEST).await;
    exchange(&mut fresh, b"").await.unwrap();
    let waited = began.elapsed();
    assert!(waited > Duration::from_secs(2) && waited < Duration::from_secs(4), "{waited:?}");
    // The first had its response before it made room.
    for stream in &mut busy {
        exchange(stream, b"").await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn each_stage_of_a_request_has_its_own_timeout() {
    let (address, _stop, _server) = start(LIMITS).await;
    let lasts = async |mut stream: TcpStream| {
        let began = Instant::now();
        let _ = stream.read_to_end(&mut Vec::new()).await;
        began.elapsed().as_secs()
    };
    let header = LIMITS.header_timeout.as_secs();
    let idle = LIMITS.idle_timeout.as_secs();
    assert_eq!(lasts(send(address, b"").await).await, header, "nothing at all");
    assert_eq!(lasts(send(address, INCOMPLETE[1]).await).await, header, "a part of the headers");
    let mut used = send(address, b"").await;
    exchange(&mut used, REQUEST).await.unwrap();
    assert_eq!(lasts(used).await, idle, "between two requests");
    let mut used = send(address, b"").await;
    exchange(&mut used, REQUEST).await.unwrap();
    sleep(LIMITS.idle_timeout - Duration::from_secs(1)).await;
    exchange(&mut used, REQUEST).await.unwrap();
    sleep(LIMITS.idle_timeout - Duration::from_secs(1)).await;
    used.write_all(INCOMPLETE[1]).await.unwrap();
    assert_eq!(lasts(used).await, header, "from the first byte of a later request");
}

#[tokio::test(start_paused = true)]
async fn requests_that_come_together_are_answered_in_order() {
    let (address, _stop, _server) = start(LIMITS).await;
    let mut stream = send(address, &REQUEST.repeat(7)).await;
    for _ in 0..7 {
        exchange(&mut stream, b"").await.unwrap();
    }
    settle().await;
    exchange(&mut stream, REQUEST).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_adds_a_byte_now_and_then_gains_no_time() {
    let (address, _stop, _server) = start(LIMITS).await;
    let mut stream = send(address, b"GET / HTTP/1.1\r\nx: ").await;
    let began = Instant::now();
    while stream.write_all(b"x").await.is_ok() {
        sleep(Duration::from_secs(1)).await;
        assert!(began.elapsed() < 2 * LIMITS.header_timeout, "it is still open");
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_takes_no_more_requests_and_loses_none() {
    let limits = ServerLimits { max_age: Duration::from_secs(5), ..LIMITS };
    let (address, _stop, _server) = start(limits).await;
    let stream = send(address, b"GET /8 HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let text = rest(stream).await;
    assert!(text.starts_with("HTTP/1.1 200 OK") && text.ends_with("ok"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_stopped_server_finishes_the_requests_in_flight() {
    let (address, stop, server) = start(LIMITS).await;
    let idle = send(address, b"").await;
    let busy = send(address, b"GET /3 HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    sleep(Duration::from_secs(1)).await;
    stop.send(()).unwrap();
    let text = rest(busy).await;
    assert!(text.starts_with("HTTP/1.1 200 OK") && text.ends_with("ok"), "{text}");
    assert_eq!(rest(idle).await, "");
    server.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn headers_that_fill_the_buffer_are_rejected_with_431() {
    const FIRST: &str = "GET /0 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx: ";
    let (address, _stop, _server) = start(LIMITS).await;
    for (missing, status) in [(0, "431"), (1, "200")] {
        // The server reads all of this, so that no reset overtakes its response.
        let value = "y".repeat(MAX_BUFFER - FIRST.len() - 4 - missing);
        let end = if missing == 0 { "yyyy" } else { "\r\n\r\n" };
        let stream = send(address, format!("{FIRST}{value}{end}").as_bytes()).await;
        let text = rest(stream).await;
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{missing}: {text:?}");
    }
}

mod eviction;
