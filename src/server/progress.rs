//! How far a connection is with its present request, as its stream, its requests and its responses tell.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::queue::EvictionQueue;

#[derive(Clone, Copy, Debug)]
pub(super) enum Stage {
    /// The headers of a request are not complete. The time is the start of the connection, or that of the first byte
    /// of a later request.
    Headers(Instant),
    /// The headers are complete, and the body is not.
    Body,
    /// The request is complete, or its response does not depend on the rest of it.
    Response,
    /// The body of the response has ended, but is not sent yet.
    Flushing,
    /// A response was sent at this time, and nothing has arrived since.
    Idle(Instant),
    /// The connection has to make room for another one.
    Evicted,
}

/// The progress of one connection.
#[derive(Debug)]
pub(super) struct Progress {
    stage: watch::Sender<Stage>,
    queue: Arc<EvictionQueue>,
    /// The connection's number in the queue, while it waits for a complete request.
    number: Mutex<Option<u64>>,
}

impl Progress {
    /// Waits until a timeout has passed, or the connection is evicted.
    pub(super) async fn overdue(&self, header_timeout: Duration, idle_timeout: Duration) {
        let mut stage = self.stage.subscribe();
        loop {
            let deadline = match *stage.borrow_and_update() {
                Stage::Headers(since) => since.checked_add(header_timeout),
                Stage::Idle(since) => since.checked_add(idle_timeout),
                Stage::Evicted => return,
                Stage::Body | Stage::Response | Stage::Flushing => None,
            };
            // The sender lives as long as this.
            let changed = stage.changed();
            match deadline {
                Some(deadline) => match timeout_at(deadline, changed).await {
                    Ok(_) => {}
                    Err(_) => return,
                },
                None => drop(changed.await),
            }
        }
    }

    /// Notes that the request is complete. Returns `false` if the connection was evicted before.
    pub(super) fn request_complete(&self) -> bool {
        if !self.leave_queue() {
            return false;
        }
        self.change(|stage| {
            matches!(stage, Stage::Headers(_) | Stage::Body).then_some(Stage::Response)
        });
        true
    }

    fn headers_complete(&self) -> bool {
        // The headers can have come together with the request before, whose response is not flushed.
        let mut number = self.number();
        if number.is_none() {
            *number = Some(self.queue.join(&self.stage));
        }
        drop(number);
        self.change(|stage| (!matches!(stage, Stage::Evicted)).then_some(Stage::Body))
    }

    fn response_ended(&self) {
        self.change(|stage| matches!(stage, Stage::Response).then_some(Stage::Flushing));
    }

    fn bytes_arrived(&self) {
        self.change(|stage| {
            matches!(stage, Stage::Idle(_)).then(|| Stage::Headers(Instant::now()))
        });
    }

    fn flushed(&self) {
        if matches!(*self.stage.borrow(), Stage::Flushing) {
            self.stage.send_replace(Stage::Idle(Instant::now()));
            *self.number() = Some(self.queue.join(&self.stage));
        }
    }

    /// Returns `false` if the connection was evicted.
    fn leave_queue(&self) -> bool {
        let mut number = self.number();
        match *number {
            Some(waiting) if !self.queue.leave(waiting) => false,
            _ => {
                *number = None;
                true
            }
        }
    }

    /// Changes the stage if `next` returns another one; returns whether it did.
    fn change(&self, next: impl FnOnce(&Stage) -> Option<Stage>) -> bool {
        self.stage.send_if_modified(|stage| {
            let next = next(stage);
            next.is_some_and(|next| {
                *stage = next;
                true
            })
        })
    }

    fn number(&self) -> MutexGuard<'_, Option<u64>> {
        self.number.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The progress of a connection that is open: it leaves the queue when this is dropped.
#[derive(Debug)]
pub(super) struct Connection(Arc<Progress>);

impl Connection {
    /// A connection that was opened now.
    pub(super) fn new(queue: &Arc<EvictionQueue>) -> Self {
        let stage = watch::Sender::new(Stage::Headers(Instant::now()));
        let number = Mutex::new(Some(queue.join(&stage)));
        Self(Arc::new(Progress { stage, queue: Arc::clone(queue), number }))
    }

    pub(super) fn progress(&self) -> &Arc<Progress> {
        &self.0
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.leave_queue();
        self.0.stage.send_replace(Stage::Evicted);
    }
}

/// The stream of a connection.
#[derive(Debug)]
pub(super) struct TrackedStream<T> {
    inner: T,
    progress: Arc<Progress>,
}

impl<T> TrackedStream<T> {
    pub(super) fn new(inner: T, progress: &Arc<Progress>) -> Self {
        Self { inner, progress: Arc::clone(progress) }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for TrackedStream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.progress.bytes_arrived();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for TrackedStream<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    /// hyper flushes after it has written all that it has.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_flush(context))?;
        self.progress.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// The body of a request. After its connection was evicted, its end is never reported: a request that was not complete
/// then does not take effect.
#[derive(Debug)]
pub(crate) struct RequestBody {
    inner: Incoming,
    /// `None` after the end.
    progress: Option<Arc<Progress>>,
}

impl RequestBody {
    /// The headers are complete. Returns `None` if the connection was evicted before.
    pub(super) fn begin(inner: Incoming, progress: &Arc<Progress>) -> Option<Self> {
        if !progress.headers_complete() {
            return None;
        }
        if !inner.is_end_stream() {
            return Some(Self { inner, progress: Some(Arc::clone(progress)) });
        }
        progress.request_complete().then_some(Self { inner, progress: None })
    }
}

impl Body for RequestBody {
    type Data = <Incoming as Body>::Data;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        let has_ended = !matches!(frame, Some(Ok(_))) || self.inner.is_end_stream();
        if has_ended
            && let Some(progress) = self.progress.take()
            && !progress.request_complete()
        {
            // The connection is about to be dropped, and this body with it.
            return Poll::Pending;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The body of a response.
#[derive(Debug)]
pub(super) struct ResponseBody<B> {
    inner: B,
    progress: Arc<Progress>,
}

impl<B> ResponseBody<B> {
    pub(super) fn new(inner: B, progress: Arc<Progress>) -> Self {
        Self { inner, progress }
    }
}

impl<B: Body + Unpin> Body for ResponseBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B> Drop for ResponseBody<B> {
    fn drop(&mut self) {
        self.progress.response_ended();
    }
}
