//! An HTTP/1.1 server with bounds, for the services that the crate serves itself.
//!
//! `axum::serve` installs no timer, so that hyper's timeout for headers has no effect there, and it bounds neither
//! the number nor the age of connections.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;
use tower_service::Service;
use tracing::debug;

/// The bounds of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerLimits {
    /// Connections at a time. Further ones wait in the operating system's backlog.
    pub(crate) max_connections: usize,
    /// The time until a request's headers are complete, from the start of the connection or the end of the
    /// response before. It also ends idle connections.
    pub(crate) header_timeout: Duration,
    /// The time for which a client may leave a response unread.
    pub(crate) write_timeout: Duration,
    /// The age at which a connection takes no more requests.
    pub(crate) max_age: Duration,
}

/// The size of a connection's buffers, and of the headers of a request (431 beyond that).
const MAX_BUFFER: usize = 32 * 1024;
/// The time for requests in progress when a connection or the server ends.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause after the system refuses a connection, most likely for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Serves connections until `shutdown` completes and the requests in progress are finished. If the future is
/// dropped, all connections end.
pub(crate) async fn serve<S, B>(
    listener: TcpListener,
    service: impl Fn(SocketAddr) -> S,
    limits: ServerLimits,
    shutdown: impl Future<Output = ()>,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>, Data: Send> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(limits.max_connections));
    let closing = watch::Sender::new(false);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        while connections.try_join_next().is_some() {}
        let next = async {
            // A closed semaphore would be an error; this one is never closed.
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, accept(&listener).await)
        };
        match select(shutdown.as_mut(), pin!(next)).await {
            Either::Left(_) => break,
            Either::Right(((slot, (stream, peer)), _)) => {
                let connection = connection(stream, service(peer), limits, closing.subscribe());
                connections.spawn(async move {
                    let _slot = slot;
                    connection.await;
                });
            }
        }
    }
    drop(listener);
    closing.send_replace(true);
    let _ =
        timeout(DRAIN_TIMEOUT, async { while connections.join_next().await.is_some() {} }).await;
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            // The client has closed it already.
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                debug!(%error, "connection not accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn connection<S, B>(
    stream: TcpStream,
    service: S,
    limits: ServerLimits,
    mut closing: watch::Receiver<bool>,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>, Data: Send> + Send + 'static,
{
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.write_timeout));
    // The services of this crate are always ready.
    let service = service_fn(move |request| service.clone().call(request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(MAX_BUFFER)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    let mut connection = pin!(connection);
    let ends = async {
        let _ = timeout(limits.max_age, closing.wait_for(|closing| *closing)).await;
    };
    let is_open = matches!(select(connection.as_mut(), pin!(ends)).await, Either::Right(_));
    if is_open {
        connection.as_mut().graceful_shutdown();
        let _ = timeout(DRAIN_TIMEOUT, connection).await;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::future::BoxFuture;
    use http_body_util::{BodyExt, Full};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;
    use tokio::time::Instant;

    use super::*;

    const LIMITS: ServerLimits = ServerLimits {
        max_connections: 20,
        header_timeout: Duration::from_secs(10),
        write_timeout: Duration::from_secs(30),
        max_age: Duration::from_secs(600),
    };
    const REQUEST: &[u8] = b"GET /0 HTTP/1.1\r\nhost: localhost\r\n\r\n";
    const LARGE: usize = 64 * 1024 * 1024;

    /// Reads the request's body, waits as many seconds as the path says, and responds with `ok`; or with a large
    /// body if the path is `/large`.
    #[derive(Clone)]
    struct Waits;

    impl Service<Request<Incoming>> for Waits {
        type Response = Response<Full<Bytes>>;
        type Error = Infallible;
        type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), Infallible>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<Incoming>) -> Self::Future {
            Box::pin(async move {
                let (head, body) = request.into_parts();
                let _ = body.collect().await;
                if head.uri.path() == "/large" {
                    return Ok(Response::new(Full::from(vec![b'x'; LARGE])));
                }
                sleep(Duration::from_secs(head.uri.path()[1..].parse().unwrap())).await;
                Ok(Response::new(Full::from("ok")))
            })
        }
    }

    async fn start(
        limits: ServerLimits,
    ) -> (SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            let _ = stopped.await;
        };
        let server = tokio::spawn(serve(listener, |_| Waits, limits, shutdown));
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

    #[tokio::test(start_paused = true)]
    async fn slow_senders_fill_the_bound_and_requests_are_served_once_they_are_dropped() {
        let (address, _stop, _server) = start(LIMITS).await;
        let began = Instant::now();
        let mut slow = Vec::new();
        for number in 0..LIMITS.max_connections {
            // Some send nothing, some a part of the headers.
            let part = if number % 2 == 0 { &b""[..] } else { b"GET / HTTP/1.1\r\nhost: loc" };
            slow.push(send(address, part).await);
        }
        let mut waiting = send(address, REQUEST).await;
        let mut first = [0; 15];
        waiting.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200 OK");
        let waited = began.elapsed();
        assert!(waited >= LIMITS.header_timeout, "it was not served beside them: {waited:?}");
        assert!(waited < 2 * LIMITS.header_timeout, "{waited:?}");
        for stream in slow {
            assert!(!rest(stream).await.contains("200"));
        }
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
    async fn a_client_that_does_not_read_is_dropped() {
        let (address, _stop, _server) = start(ServerLimits { max_connections: 1, ..LIMITS }).await;
        let unread = send(address, b"GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        let mut next = send(address, REQUEST).await;
        let mut first = [0; 15];
        next.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200 OK");
        assert!(rest(unread).await.len() < LARGE);
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
    async fn it_ends_when_told_to_and_finishes_what_it_has_begun() {
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
    async fn headers_beyond_the_buffer_are_refused() {
        let (address, _stop, _server) = start(LIMITS).await;
        let long = format!(
            "GET /0 HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n",
            "y".repeat(2 * MAX_BUFFER)
        );
        let mut stream = TcpStream::connect(address).await.unwrap();
        let _ = stream.write_all(long.as_bytes()).await;
        let text = rest(stream).await;
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 431"), "{text}");
    }
}
