//! An HTTP/1.1 server with bounds, for the services that the crate serves itself.
//!
//! `axum::serve` installs no timer, so that hyper's timeout for headers has no effect there, and it bounds neither
//! the number nor the age of connections.
//!
//! # A place for the next sender
//! A client can open connections and send nothing, or little. Timeouts alone would leave all places to such clients
//! for seconds. So when all places are taken, the connection is closed that has waited longest for a complete
//! request, and for a quarter of a second at least. A connection is never closed so while a response to a complete request is prepared or sent.

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
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout};
use tokio_io_timeout::TimeoutStream;
use tower_service::Service;
use tracing::debug;

mod progress;
mod queue;

pub(crate) use progress::RequestBody;
use progress::{Connection, Progress, ResponseBody, TrackedStream};
use queue::{Eviction, EvictionQueue};

/// The bounds of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerLimits {
    /// Connections at a time. For one more, the connection is closed that has waited longest for a complete
    /// request. If there is none, further ones wait in the operating system's backlog.
    pub(crate) max_connections: usize,
    /// The time until a request's headers are complete, from the start of the connection, or from the first byte
    /// of a later request.
    pub(crate) header_timeout: Duration,
    /// The time between a response and the first byte of the next request.
    pub(crate) idle_timeout: Duration,
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
            let accepted = accept(&listener).await;
            (accepted, slot(&slots, &queue).await)
        };
        match select(shutdown.as_mut(), pin!(next)).await {
            Either::Left(_) => break,
            Either::Right((((stream, peer), slot), _)) => {
                let opened = Connection::new(&queue);
                let connection =
                    connection(stream, service(peer), limits, opened, closing.subscribe());
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
    loop {
        if let Ok(slot) = Arc::clone(slots).try_acquire_owned() {
            return Ok(slot);
        }
        let free = pin!(Arc::clone(slots).acquire_owned());
        let eviction = queue.evict_longest();
        let again = pin!(async {
            match eviction {
                Eviction::Done => pending().await,
                Eviction::At(at) => sleep_until(at).await,
                Eviction::Impossible => queue.joined().await,
            }
        });
        if let Either::Left((slot, _)) = select(free, again).await {
            return slot;
        }
    }
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
    opened: Connection,
    mut closing: watch::Receiver<bool>,
) where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>, Data: Send>,
    B: Send + Unpin + 'static,
{
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.write_timeout));
    let progress = opened.progress();
    let stream = TrackedStream::new(Box::pin(stream), progress);
    let of_requests = Arc::clone(progress);
    // hyper has no timer here: its timeout for headers does not tell an idle connection from a slow one.
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
    // First, so that a connection that was evicted is not polled again.
    let overdue = progress.overdue(limits.header_timeout, limits.idle_timeout);
    let _ = select(pin!(overdue), pin!(serve)).await;
}

/// Has a request answered, unless its connection was evicted before the request was complete.
async fn respond<S, B>(
    mut service: S,
    request: Request<hyper::body::Incoming>,
    progress: Arc<Progress>,
) -> Result<Response<ResponseBody<B>>, Infallible>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>,
{
    let (head, body) = request.into_parts();
    let Some(body) = RequestBody::begin(body, &progress) else { return pending().await };
    // The services of this crate are always ready.
    let response = service.call(Request::from_parts(head, body)).await?;
    // The service can respond to a request of which it has not read everything.
    if !progress.request_complete() {
        return pending().await;
    }
    Ok(response.map(|body| ResponseBody::new(body, progress)))
}

#[cfg(test)]
mod tests;
