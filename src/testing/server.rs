//! The mock on the network: HTTP/1.1 by hyper, and what can go wrong with a connection.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::exchange::Shared;
use super::received::Received;
use super::reply::{Broken, Reply};

/// As large as the largest body that is taken: GitHub's webhooks and blobs have less.
const MAX_BODY: usize = 100 * 1024 * 1024;

/// Listens, and answers until the task is aborted.
pub(super) async fn listen(
    address: SocketAddr,
    shared: Arc<Shared>,
) -> io::Result<(SocketAddr, JoinHandle<()>)> {
    let listener = bind(address).await?;
    let address = listener.local_addr()?;
    shared.listens(address);
    Ok((address, tokio::spawn(accept(listener, shared))))
}

/// Whoever was there before may be about to go: a mock that was dropped a moment ago.
async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let mut tries = 0;
    loop {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries < 20 => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            bound => return bound,
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Aborted with this task, which owns it.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => drop(connections.spawn(serve(stream, Arc::clone(&shared)))),
            // Too many open files, most likely: some are closed by and by.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    // Answers are written at once; waiting for more only makes tests slow.
    let _ = stream.set_nodelay(true);
    let reset = Arc::new(AtomicBool::new(false));
    let socket = Socket { stream, reset: Arc::clone(&reset) };
    let service = service_fn(move |request| {
        let (shared, reset) = (Arc::clone(&shared), Arc::clone(&reset));
        async move { answer(request, &shared, &reset).await }
    });
    // Without a timer: an idle connection is not closed when a test lets time pass. A client that
    // breaks off is no news here.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
}

async fn answer(
    request: Request<Incoming>,
    shared: &Arc<Shared>,
    reset: &AtomicBool,
) -> io::Result<Response<Wire>> {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            let message = format!("the mock takes bodies of up to {MAX_BODY} bytes");
            let reply = Reply::error(413, &message, "https://docs.github.com/rest");
            return Ok(written(reply.header("connection", "close")));
        }
        // The client broke off.
        Err(error) => return Err(io::Error::other(error)),
    };
    let request = Received {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body,
        operation_id: None,
        path_parameters: Vec::new(),
        by_id: &[],
        query_pairs: Vec::new(),
        resource: String::new(),
        address: shared.address(),
    };
    let reply = shared.answer(request);
    if !reply.delay.is_zero() {
        tokio::time::sleep(reply.delay).await;
    }
    match reply.broken {
        Some(Broken::Silent) => std::future::pending().await,
        Some(Broken::Reset) => {
            reset.store(true, Ordering::Relaxed);
            Err(io::ErrorKind::ConnectionReset.into())
        }
        Some(Broken::Closed) => Err(io::ErrorKind::ConnectionAborted.into()),
        Some(Broken::Truncated(_)) | None => Ok(written(reply)),
    }
}

fn written(reply: Reply) -> Response<Wire> {
    let length = reply.body.len();
    let (body, whole) = match reply.broken {
        Some(Broken::Truncated(at)) => {
            (reply.body.slice(..at.min(length.saturating_sub(1))), false)
        }
        _ => (reply.body, true),
    };
    let mut response = Response::new(Wire { body: Some(body), whole, length, turns: 0 });
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or_default();
    *response.headers_mut() = reply.headers;
    if !whole {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}

/// A body, or the beginning of one.
struct Wire {
    body: Option<Bytes>,
    whole: bool,
    length: usize,
    /// How often it said that nothing was ready, so that what is written gets onto the network.
    turns: u8,
}

/// hyper writes out between two of them.
const TURNS: u8 = 4;

impl Body for Wire {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.body.take() {
            Some(body) if !body.is_empty() => Poll::Ready(Some(Ok(Frame::data(body)))),
            _ if self.whole => Poll::Ready(None),
            _ if self.turns < TURNS => {
                self.turns += 1;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            _ => Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.whole && self.body.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length as u64)
    }
}

/// A connection that can be reset: closed so that the other side gets an error, and no end.
struct Socket {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Relaxed) {
            // Without it, the connection ends in order, which is the next best.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.reset.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
