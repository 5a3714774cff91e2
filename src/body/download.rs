//! A body that is received.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use http_body::Body as _;
use tokio::time::{Sleep, sleep};

use crate::error::{Error, ErrorKind, Result};
use crate::operation::Label;

/// The body of an answer while it arrives, such as an archive or a log.
///
/// It is a [`Stream`] of chunks; [`next`](Self::next) and [`try_next`](Self::try_next) read it
/// without an import. Chunks must follow each other within the client's
/// [`attempt_timeout`](crate::ClientBuilder::attempt_timeout). A body that breaks off ends in an
/// error of the kind [`ErrorKind::Transport`], never in a silent end.
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
    operation: Label,
    /// The longest wait for a chunk, and the timer of the wait that is going on.
    patience: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

enum Source {
    Network(reqwest::Body),
    Memory(Bytes),
    Done,
}

impl ByteStream {
    pub(crate) fn new(response: reqwest::Response, operation: Label, patience: Duration) -> Self {
        let body = http::Response::from(response).into_body();
        Self { source: Source::Network(body), operation, patience, waiting: None }
    }

    pub(crate) fn from_bytes(bytes: Bytes, operation: Label) -> Self {
        Self { source: Source::Memory(bytes), operation, patience: Duration::MAX, waiting: None }
    }

    /// The next chunk; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// The next chunk; `None` at the end.
    ///
    /// # Errors
    /// If the body breaks off, or if no chunk arrives in time.
    pub async fn try_next(&mut self) -> Result<Option<Bytes>> {
        self.next().await.transpose()
    }

    /// All that is left, if it is not more than `limit` bytes.
    ///
    /// # Errors
    /// If the body is longer ([`ErrorKind::BodyTooLarge`]), breaks off, or stalls.
    pub async fn bytes(&mut self, limit: usize) -> Result<Bytes> {
        let mut all = BytesMut::new();
        while let Some(chunk) = self.try_next().await? {
            if chunk.len() > limit - all.len() {
                self.source = Source::Done;
                return Err(too_large(limit).with_operation(&self.operation));
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }

    /// All that is left as text, if it is not more than `limit` bytes.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes), and if it is not UTF-8 ([`ErrorKind::Decode`]).
    pub async fn text(&mut self, limit: usize) -> Result<String> {
        let bytes = self.bytes(limit).await?;
        String::from_utf8(bytes.into()).map_err(|error| {
            Error::new(ErrorKind::Decode, "the body is not UTF-8 text")
                .with_operation(&self.operation)
                .with_advice("read it as bytes")
                .with_source(error.utf8_error())
        })
    }

    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        loop {
            let body = match &mut self.source {
                Source::Network(body) => Pin::new(body),
                Source::Memory(bytes) => {
                    let bytes = std::mem::take(bytes);
                    self.source = Source::Done;
                    return Poll::Ready((!bytes.is_empty()).then_some(Ok(bytes)));
                }
                Source::Done => return Poll::Ready(None),
            };
            match body.poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.waiting = None;
                    match frame.into_data() {
                        Ok(data) if !data.is_empty() => return Poll::Ready(Some(Ok(data))),
                        _ => {}
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Some(Err(Error::from_transport(error))));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {
                    ready!(self.poll_patience(context));
                    return Poll::Ready(Some(Err(Error::new(
                        ErrorKind::Timeout,
                        format!("the body stalled for {:?}", self.patience),
                    )
                    .with_advice("try again, or allow more by attempt_timeout"))));
                }
            }
        }
    }

    /// The wait is counted from the first poll that finds nothing, so that a slow reader
    /// does not use up the sender's time.
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let patience = self.patience;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(patience)));
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
        self.waiting = None;
        Poll::Ready(chunk)
    }
}

impl fmt::Debug for ByteStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteStream").field("operation", &self.operation).finish_non_exhaustive()
    }
}

/// The error for a body that is larger than it may be.
pub(crate) fn too_large(limit: usize) -> Error {
    Error::new(
        ErrorKind::BodyTooLarge,
        format!("the body of the answer is larger than {limit} bytes"),
    )
}

/// As much memory as is set aside for a body before it is there.
const MAX_RESERVED: usize = 4 * 1024 * 1024;

/// Collects a body of at most `limit` bytes, and tells whether it was longer.
///
/// A body that arrives in one piece is not copied.
pub(crate) async fn collect(
    response: &mut reqwest::Response,
    limit: usize,
) -> Result<(Bytes, bool)> {
    let expected = response.content_length().unwrap_or(0);
    let Some(first) = response.chunk().await.map_err(Error::from_transport)? else {
        return Ok((Bytes::new(), false));
    };
    let Some(second) = response.chunk().await.map_err(Error::from_transport)? else {
        let too_long = first.len() > limit;
        return Ok((first.slice(..first.len().min(limit)), too_long));
    };
    // The length is what the server says: more is taken only as it comes.
    let expected = usize::try_from(expected).unwrap_or(limit).min(limit).min(MAX_RESERVED);
    let mut all = BytesMut::with_capacity(expected.max(first.len() + second.len()));
    all.extend_from_slice(&first);
    let mut next = Some(second);
    while let Some(chunk) = next {
        all.extend_from_slice(&chunk);
        if all.len() > limit {
            all.truncate(limit);
            return Ok((all.freeze(), true));
        }
        next = response.chunk().await.map_err(Error::from_transport)?;
    }
    Ok((all.freeze(), false))
}
