//! The stream, the requests and the responses of a connection, which report its progress.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::progress::{Event, Progress};

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

    fn noted<R>(&self, written: Poll<R>) -> Poll<R> {
        if written.is_pending() {
            self.progress.on(Event::WriteBlocked);
        }
        written
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
            self.progress.on(Event::BytesArrived);
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
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.noted(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, parts);
        self.noted(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    /// hyper flushes after it has written all available data.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_flush(context))?;
        self.progress.on(Event::Flushed);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// The body of a request. After its connection was evicted, its end is never reported: an incomplete request does not
/// take effect.
#[derive(Debug)]
pub(crate) struct RequestBody {
    inner: Incoming,
    /// `None` after the end of the body.
    progress: Option<Arc<Progress>>,
}

impl RequestBody {
    /// Records that the headers are complete. Returns `None` if the connection was evicted before.
    pub(super) fn begin(inner: Incoming, progress: &Arc<Progress>) -> Option<Self> {
        if !progress.on(Event::HeadersComplete) {
            return None;
        }
        if !inner.is_end_stream() {
            return Some(Self { inner, progress: Some(Arc::clone(progress)) });
        }
        progress.on(Event::RequestComplete).then_some(Self { inner, progress: None })
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
            && !progress.on(Event::RequestComplete)
        {
            // hyper is about to drop the connection, and this body with it.
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
        self.progress.on(Event::ResponseEnded);
    }
}
