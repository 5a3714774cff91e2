//! A bounded HTTP/1.1 server, for the services that the crate serves itself.
//!
//! `axum::serve` installs no timer, so that hyper's timeout for headers has no effect there, and it bounds neither
//! the number nor the age of connections.
//!
//! # Eviction
//! A client can open connections and send nothing, or little, or leave responses unread. With timeouts alone, such
//! clients could occupy all slots for seconds. So when all slots are taken, or the system has no file descriptor left,
//! the server closes a connection that waits for its client: see [`progress`] for the stages of a connection, and
//! [`queue`] for the order. A connection is never evicted while a response to a complete request is prepared.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use http::{Request, Response};
use http_body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tower_service::Service;
use tracing::debug;

mod progress;
mod queue;
#[cfg(any(feature = "app-registration", feature = "dashboard"))]
mod security_headers;
mod socket;
mod tracked;

use progress::{Connection, Event, Progress};
use queue::{Eviction, EvictionQueue};
#[cfg(any(feature = "app-registration", feature = "dashboard"))]
pub(crate) use security_headers::add_security_headers;
use socket::Socket;
pub(crate) use tracked::RequestBody;
use tracked::{ResponseBody, TrackedStream};

/// The limits of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerLimits {
    /// Maximum number of concurrent connections. To accept another one, the server closes a connection that waits for
    /// its client. If there is none, further ones wait in the operating system's backlog.
    pub(crate) max_connections: usize,
    /// Maximum time until a request's headers are complete, from the start of the connection, or from the first byte of
    /// a later request.
    pub(crate) header_timeout: Duration,
    /// Maximum time between a response and the first byte of the next request.
    pub(crate) idle_timeout: Duration,
    /// Maximum time from when the socket accepts no more of a response until the available part is written. It is for
    /// small responses: a client that reads one byte now and then does not prolong it.
    pub(crate) write_timeout: Duration,
    /// The age after which a connection accepts no more requests.
    pub(crate) max_age: Duration,
}

/// The size of a connection's buffers, and of the headers of a request (431 beyond that).
const MAX_BUFFER: usize = 32 * 1024;
/// The time for requests in progress when a connection or the server ends.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause after the system rejects a connection, most likely for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves connections until `shutdown` completes and the requests in progress are finished. If the future is
/// dropped, all connections end.
pub(crate) async fn serve<S, B>(
    listener: TcpListener,
    service: impl Fn(SocketAddr) -> S,
    limits: ServerLimits,
    shutdown: impl Future<Output = ()>,
) where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>, Data: Send>,
    B: Send + Unpin + 'static,
{
    let slots = Arc::new(Semaphore::new(limits.max_connections));
    let queue = Arc::new(EvictionQueue::default());
    let closing = watch::Sender::new(false);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        while connections.try_join_next().is_some() {}
        let next = async {
            let accepted = accept(|| listener.accept(), &queue).await;
            (accepted, slot(&slots, &queue).await)
        };
        match select(shutdown.as_mut(), pin!(next)).await {
            Either::Left(_) => break,
            Either::Right((((stream, peer), slot), _)) => {
                let _ = stream.set_nodelay(true);
                let socket = Socket::new(stream);
                let opened = Connection::new(&queue, limits, socket.probe());
                let connection =
                    connection(socket, service(peer), limits, opened, closing.subscribe());
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

/// Waits for a slot for one more connection, and closes another connection for it if necessary. The semaphore is
/// never closed.
async fn slot(
    slots: &Arc<Semaphore>,
    queue: &EvictionQueue,
) -> Result<OwnedSemaphorePermit, AcquireError> {
    let waiting_since = Instant::now();
    loop {
        if let Ok(slot) = Arc::clone(slots).try_acquire_owned() {
            return Ok(slot);
        }
        let free = pin!(Arc::clone(slots).acquire_owned());
        let eviction = queue.evict(waiting_since);
        let again = pin!(async {
            match eviction {
                Eviction::Done => pending().await,
                // A connection that moves to another tier can be evicted earlier.
                Eviction::At(at) => drop(timeout_at(at, queue.joined()).await),
                Eviction::Impossible => queue.joined().await,
            }
        });
        if let Either::Left((slot, _)) = select(free, again).await {
            return slot;
        }
    }
}

/// Accepts the next connection. If the system rejects it, most likely for lack of file descriptors, another connection
/// is closed.
async fn accept<T, F>(mut next: impl FnMut() -> F, queue: &EvictionQueue) -> T
where
    F: Future<Output = io::Result<T>>,
{
    let mut waiting_since = None;
    loop {
        match next().await {
            Ok(accepted) => return accepted,
            // The client has already closed it.
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                let since = *waiting_since.get_or_insert_with(Instant::now);
                let eviction = queue.evict(since);
                if eviction == Eviction::Done {
                    waiting_since = None;
                }
                debug!(%error, ?eviction, "connection not accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn connection<T, S, B>(
    stream: T,
    service: S,
    limits: ServerLimits,
    opened: Connection,
    mut closing: watch::Receiver<bool>,
) where
    T: AsyncRead + AsyncWrite + Unpin,
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>, Data: Send>,
    B: Send + Unpin + 'static,
{
    let progress = opened.progress();
    let stream = TrackedStream::new(stream, progress);
    let of_requests = Arc::clone(progress);
    // hyper has no timer here: its timeout for headers does not distinguish an idle connection from a slow one.
    let connection = http1::Builder::new().max_buf_size(MAX_BUFFER).serve_connection(
        TokioIo::new(stream),
        service_fn(move |request| respond(service.clone(), request, Arc::clone(&of_requests))),
    );
    let mut connection = pin!(connection);
    let ends = async {
        let _ = timeout(limits.max_age, closing.wait_for(|closing| *closing)).await;
    };
    let serve = async {
        let is_open = matches!(select(connection.as_mut(), pin!(ends)).await, Either::Right(_));
        if is_open {
            connection.as_mut().graceful_shutdown();
            let _ = timeout(DRAIN_TIMEOUT, connection).await;
        }
    };
    // Checked first, so that an evicted connection is not polled again.
    let _ = select(pin!(progress.overdue()), pin!(serve)).await;
}

/// Calls the service for a request, unless its connection was evicted before the request was complete.
async fn respond<S, B>(
    mut service: S,
    request: Request<hyper::body::Incoming>,
    progress: Arc<Progress>,
) -> Result<Response<ResponseBody<B>>, Infallible>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>,
{
    // It might have arrived together with the previous request.
    progress.written().await;
    let (head, body) = request.into_parts();
    let Some(body) = RequestBody::begin(body, &progress) else { return pending().await };
    // The services of this crate are always ready.
    let response = service.call(Request::from_parts(head, body)).await?;
    // The service can respond to a request before it has read the whole body.
    if !progress.on(Event::RequestComplete) {
        return pending().await;
    }
    Ok(response.map(|body| ResponseBody::new(body, progress)))
}

#[cfg(test)]
mod tests;
