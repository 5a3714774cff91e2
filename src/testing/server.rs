//! The network side of the mock: HTTP/1.1 with hyper, and injected connection faults.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};

use super::intake::{BodyRejected, MAX_BODY};
use super::received::RecordedRequest;
use super::router::MockState;
use super::socket::{Connection, ResettableStream};
use super::wire_response::{ConnectionFault, WireResponse};
use crate::contract::MAX_PATH_BYTES;

/// Maximum number of concurrent connections. For a further one, the server closes the one that has been idle
/// for longest: a slow client cannot block others, and a waiting connection is not closed while there is
/// capacity.
const MAX_CONNECTIONS: usize = 1_024;

/// Maximum length of a request head, in bytes, and maximum number of its headers. The response to a larger
/// head is 431.
const MAX_HEAD_BYTES: usize = 128 * 1024;
const MAX_HEADERS: usize = 256;

/// Listens, and serves until the task is aborted.
pub(super) async fn listen(
    address: SocketAddr,
    shared: Arc<MockState>,
) -> io::Result<(SocketAddr, JoinHandle<()>)> {
    let listener = bind(address).await?;
    let address = listener.local_addr()?;
    shared.listens(address);
    Ok((address, tokio::spawn(accept(listener, shared))))
}

/// The previous owner of the port might be closing it: a mock that was dropped a moment ago.
async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let mut tries = 0_u32;
    loop {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries < 20 => {
                tries = tries.saturating_add(1);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            bound => return bound,
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<MockState>) {
    // Aborted with this task, which owns it.
    let mut tasks = JoinSet::new();
    let mut open: Vec<(AbortHandle, Arc<Connection>)> = Vec::new();
    loop {
        let accepted = listener.accept().await;
        while tasks.try_join_next().is_some() {}
        open.retain(|(task, _)| !task.is_finished());
        match accepted {
            Ok((stream, _)) => {
                if open.len() >= MAX_CONNECTIONS
                    && let Some((task, _)) = open.iter().max_by_key(|(_, it)| it.idle())
                {
                    task.abort();
                }
                let connection = Arc::new(Connection::new());
                let served = serve(stream, Arc::clone(&connection), Arc::clone(&shared));
                open.push((tasks.spawn(served), connection));
            }
            // Most likely too many open files: some of them will be closed.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve(stream: TcpStream, connection: Arc<Connection>, shared: Arc<MockState>) {
    // Responses are sent immediately; delays only slow tests down.
    let _ = stream.set_nodelay(true);
    let socket = ResettableStream::new(stream, Arc::clone(&connection));
    let service = service_fn(move |request| {
        let (shared, connection) = (Arc::clone(&shared), Arc::clone(&connection));
        async move { respond(request, &shared, &connection).await }
    });
    // Without a timer: an idle connection stays open when a test advances time. A client that disconnects is
    // not an error here.
    let _ = http1::Builder::new()
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(socket), service)
        .await;
}

/// The response to a request that is not read completely, followed by the end of its connection.
fn rejected(status: u16, message: &str) -> Response<MockBody> {
    let reply = WireResponse::error(status, message, "https://docs.github.com/rest");
    into_http(reply.header("connection", "close"))
}

async fn respond(
    request: Request<Incoming>,
    shared: &Arc<MockState>,
    connection: &Connection,
) -> io::Result<Response<MockBody>> {
    let (head, body) = request.into_parts();
    if head.uri.path().len() > MAX_PATH_BYTES {
        let message = format!("the mock accepts paths of up to {MAX_PATH_BYTES} bytes");
        return Ok(rejected(414, &message));
    }
    let body = match shared.intake.read(body).await {
        Ok(body) => body,
        Err(BodyRejected::TooLarge) => {
            let message = format!("the mock accepts bodies of up to {MAX_BODY} bytes");
            return Ok(rejected(413, &message));
        }
        Err(BodyRejected::Busy) => {
            return Ok(rejected(503, "the mock has no memory for this body at the moment"));
        }
        Err(BodyRejected::Incomplete(error)) => return Err(io::Error::other(error)),
    };
    let request = RecordedRequest {
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
    let reply = shared.respond(request);
    if !reply.delay.is_zero() {
        tokio::time::sleep(reply.delay).await;
    }
    match reply.fault {
        Some(ConnectionFault::Silent) => std::future::pending().await,
        Some(ConnectionFault::Reset) => {
            connection.reset.store(true, Ordering::Relaxed);
            Err(io::ErrorKind::ConnectionReset.into())
        }
        Some(ConnectionFault::Closed) => Err(io::ErrorKind::ConnectionAborted.into()),
        Some(ConnectionFault::Truncated(_)) | None => Ok(into_http(reply)),
    }
}

fn into_http(reply: WireResponse) -> Response<MockBody> {
    let length = reply.body.len();
    let (body, whole) = match reply.fault {
        Some(ConnectionFault::Truncated(at)) => {
            (reply.body.slice(..at.min(length.saturating_sub(1))), false)
        }
        _ => (reply.body, true),
    };
    let mut response = Response::new(MockBody { body: Some(body), whole, length, turns: 0 });
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or_default();
    *response.headers_mut() = reply.headers;
    if !whole {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}

/// A body, or the beginning of one.
struct MockBody {
    body: Option<Bytes>,
    whole: bool,
    length: usize,
    /// The number of times it returned pending, so that written bytes reach the network.
    turns: u8,
}

/// hyper flushes between two polls.
const FLUSH_TURNS: u8 = 4;

impl Body for MockBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.body.take() {
            Some(body) if !body.is_empty() => Poll::Ready(Some(Ok(Frame::data(body)))),
            _ if self.whole => Poll::Ready(None),
            _ if self.turns < FLUSH_TURNS => {
                self.turns = self.turns.saturating_add(1);
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
