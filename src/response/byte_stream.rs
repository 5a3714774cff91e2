//! A response body as a stream of bytes.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use tokio::time::{Sleep, sleep};

use super::body::{ResponseBody, too_large};
use crate::error::{Error, ErrorKind, OperationName, Result};

/// The body of a response as a stream, such as an archive or a log.
///
/// It is a [`Stream`] of chunks; [`next`](Self::next) and [`try_next`](Self::try_next) read it without an import.
/// Chunks must follow each other within the client's [`attempt_timeout`](crate::ClientBuilder::attempt_timeout). An
/// incomplete body ends with an error of the kind [`ErrorKind::Transport`], never silently: also if an HTTP/2 server
/// resets the stream with `NO_ERROR`. Only an HTTP/1 body with neither a length nor chunks ends with its connection,
/// for any reason.
///
/// ```no_run
/// # async fn example(client: octowire::Client) -> octowire::Result<()> {
/// # use http::Method;
/// let path = "/repos/rust-lang/rust/tarball/master";
/// let mut archive = client.request(Method::GET, path).send_stream().await?;
/// let mut size = 0;
/// while let Some(chunk) = archive.try_next().await? {
///     size += chunk.len();
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "the body is read by polling it"]
pub struct ByteStream {
    source: Source,
    operation: OperationName,
    /// The longest wait for a chunk, and the timer of the current wait.
    read_timeout: Duration,
    read_timer: Option<Pin<Box<Sleep>>>,
}

enum Source {
    Network(ResponseBody),
    Memory(Bytes),
    Done,
}

impl ByteStream {
    pub(crate) fn new(body: ResponseBody, operation: OperationName, patience: Duration) -> Self {
        Self { source: Source::Network(body), operation, read_timeout: patience, read_timer: None }
    }

    pub(crate) fn from_bytes(bytes: Bytes, operation: OperationName) -> Self {
        Self {
            source: Source::Memory(bytes),
            operation,
            read_timeout: Duration::MAX,
            read_timer: None,
        }
    }

    /// Returns the next chunk; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// Returns the next chunk; `None` at the end.
    ///
    /// # Errors
    /// If the body breaks off, or if no chunk arrives in time.
    pub async fn try_next(&mut self) -> Result<Option<Bytes>> {
        self.next().await.transpose()
    }

    /// Reads the rest of the body, if it is not more than `limit` bytes.
    ///
    /// # Errors
    /// If the body is longer ([`ErrorKind::BodyTooLarge`]), breaks off, or stalls.
    pub async fn bytes(&mut self, limit: usize) -> Result<Bytes> {
        let mut all = BytesMut::new();
        while let Some(chunk) = self.try_next().await? {
            if chunk.len() > limit.saturating_sub(all.len()) {
                self.source = Source::Done;
                return Err(too_large(limit).with_operation(&self.operation));
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }

    /// Reads the rest of the body as text, if it is not more than `limit` bytes.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes), and if it is not UTF-8 ([`ErrorKind::Decode`]).
    pub async fn text(&mut self, limit: usize) -> Result<String> {
        let bytes = self.bytes(limit).await?;
        String::from_utf8(bytes.into()).map_err(|error| {
            Error::new(ErrorKind::Decode, "the response body is not UTF-8 text")
                .with_operation(&self.operation)
                .with_advice("read the body as bytes")
                .with_source(error.utf8_error())
        })
    }

    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let body = match &mut self.source {
            Source::Network(body) => body,
            Source::Memory(bytes) => {
                let bytes = std::mem::take(bytes);
                self.source = Source::Done;
                return Poll::Ready((!bytes.is_empty()).then_some(Ok(bytes)));
            }
            Source::Done => return Poll::Ready(None),
        };
        if let Poll::Ready(chunk) = body.poll_chunk(context) {
            self.read_timer = None;
            return Poll::Ready(chunk);
        }
        ready!(self.poll_read_timeout(context));
        let message = format!("response body stalled for {:?}", self.read_timeout);
        let error = Error::new(ErrorKind::Timeout, message);
        Poll::Ready(Some(Err(error.with_advice("try again, or increase attempt_timeout"))))
    }

    /// Polls the timer of the wait. It starts with the first poll that finds nothing, so that a slow reader does not
    /// use up the sender's time.
    fn poll_read_timeout(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let patience = self.read_timeout;
        let waiting = self.read_timer.get_or_insert_with(|| Box::pin(sleep(patience)));
        waiting.as_mut().poll(context)
    }
}

impl Stream for ByteStream {
    type Item = Result<Bytes>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes>>> {
        let chunk = match ready!(self.poll_chunk(context)) {
            Some(Ok(chunk)) => return Poll::Ready(Some(Ok(chunk))),
            Some(Err(error)) => Some(Err(error.with_operation(&self.operation))),
            None => None,
        };
        self.source = Source::Done;
        self.read_timer = None;
        Poll::Ready(chunk)
    }
}

impl fmt::Debug for ByteStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteStream").field("operation", &self.operation).finish_non_exhaustive()
    }
}
