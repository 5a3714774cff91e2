//! A response body as a stream of bytes.

use std::fmt;
use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use tokio::time::{Sleep, sleep};

use super::body::{ResponseBody, too_large};
use super::content::not_utf8;
use super::draft_file::DraftFile;
use crate::error::{Error, ErrorKind, FileError, OperationName, Result};
use crate::runtime::blocking::run_blocking;

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
    progress: DownloadProgress,
    on_progress: Option<OnProgress>,
}

/// Never locked: the mutex makes the stream `Sync`, though not every function is.
type OnProgress = Mutex<Box<dyn FnMut(DownloadProgress) + Send>>;

enum Source {
    Network(ResponseBody),
    Memory(Bytes),
    Done,
}

/// The progress of a [`ByteStream`], for [`ByteStream::on_progress`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DownloadProgress {
    /// The bytes that were read.
    pub received: u64,
    /// The bytes of the whole body: [`ByteStream::length`].
    pub total: Option<u64>,
}

/// The bytes that [`ByteStream::save_to`] collects before it writes them to the file.
const WRITE_BYTES: usize = 256 * 1024;

impl ByteStream {
    pub(crate) fn new(body: ResponseBody, operation: OperationName, patience: Duration) -> Self {
        let length = body.length();
        Self::with_source(Source::Network(body), length, operation, patience)
    }

    pub(crate) fn from_bytes(bytes: Bytes, operation: OperationName) -> Self {
        let length = Some(bytes.len() as u64);
        Self::with_source(Source::Memory(bytes), length, operation, Duration::MAX)
    }

    fn with_source(
        source: Source,
        total: Option<u64>,
        operation: OperationName,
        read_timeout: Duration,
    ) -> Self {
        Self {
            source,
            operation,
            read_timeout,
            read_timer: None,
            progress: DownloadProgress { received: 0, total },
            on_progress: None,
        }
    }

    /// Returns the length of the whole body in bytes; `None` if the server has not stated it in a `Content-Length`, or if
    /// the body is compressed.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.progress.total
    }

    /// Calls this function after each chunk that is read, by any method. It runs between the chunks: it should return
    /// soon. It replaces an earlier function.
    ///
    /// ```no_run
    /// # async fn example(client: octowire::Client) -> octowire::Result<()> {
    /// # use http::Method;
    /// let path = "/repos/rust-lang/rust/tarball/master";
    /// let mut archive = client.request(Method::GET, path).send_stream().await?;
    /// archive.on_progress(|progress| match progress.total {
    ///     Some(total) => println!("{} of {total} bytes", progress.received),
    ///     None => println!("{} bytes", progress.received),
    /// });
    /// archive.save_to("rust.tar.gz", 1 << 30).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_progress(&mut self, on_progress: impl FnMut(DownloadProgress) + Send + 'static) {
        self.on_progress = Some(Mutex::new(Box::new(on_progress)));
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
                return Err(self.exceeds(limit as u64));
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
        String::from_utf8(bytes.into())
            .map_err(|error| not_utf8(error.utf8_error()).with_operation(&self.operation))
    }

    /// Reads the rest of the body into a file, if it is not more than `limit` bytes, and returns the length of the file.
    ///
    /// The file is complete, or it is not there: the bytes are written to a file with another name in the same folder,
    /// which is written to the disk and then moved to `path`. If the download fails, or its future is dropped before the
    /// last part is written, that file is removed, and a former file at `path` stays. A former file, or a link to one, is
    /// replaced, and the new file has the mode of new files of the process. A `path` of a folder, a device or a pipe is
    /// an error. If the process ends during the download, a file `.octowire-….part` can remain.
    ///
    /// The file is written in tasks that can block, 256 KiB at a time. [`on_progress`](Self::on_progress) reports the
    /// progress.
    ///
    /// ```no_run
    /// # #[cfg(feature = "repos")]
    /// # async fn example(github: octowire::Client) -> octowire::Result<()> {
    /// let archive = github.repos().download_tarball_archive();
    /// let mut archive = archive.owner("rust-lang").repo("rust").ref_("master").send().await?;
    /// let length = archive.save_to("rust.tar.gz", 1 << 30).await?; // at most 1 GiB
    /// println!("{length} bytes");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the body is longer ([`ErrorKind::BodyTooLarge`]), breaks off, or stalls; and if the file cannot be written
    /// ([`ErrorKind::File`]), such as in a folder that does not exist. The error names the path. Nothing is written if
    /// the `Content-Length` exceeds the limit.
    pub async fn save_to(&mut self, path: impl Into<PathBuf>, limit: u64) -> Result<u64> {
        let saved = self.write_file(path.into(), limit).await;
        saved.map_err(|error| error.with_operation(&self.operation))
    }

    async fn write_file(&mut self, path: PathBuf, limit: u64) -> Result<u64> {
        let DownloadProgress { received, total } = self.progress;
        if total.is_some_and(|total| total.saturating_sub(received) > limit) {
            return Err(self.exceeds(limit));
        }
        let mut draft = act_on_file(move || DraftFile::create(path)).await?;
        let (mut pending, mut length) = (Vec::new(), 0_u64);
        while let Some(chunk) = self.try_next().await? {
            length = length.saturating_add(chunk.len() as u64);
            if length > limit {
                return Err(self.exceeds(limit));
            }
            pending.extend_from_slice(&chunk);
            if pending.len() >= WRITE_BYTES {
                (draft, pending) = act_on_file(move || {
                    draft.write(&pending)?;
                    pending.clear();
                    Ok((draft, pending))
                })
                .await?;
            }
        }
        act_on_file(move || {
            draft.write(&pending)?;
            draft.finish()
        })
        .await?;
        Ok(length)
    }

    /// Ends the stream, whose body is longer than the limit.
    fn exceeds(&mut self, limit: u64) -> Error {
        self.source = Source::Done;
        too_large(limit).with_advice("raise the limit").with_operation(&self.operation)
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

    /// Records a chunk of this length.
    fn record_chunk(&mut self, bytes: usize) {
        let progress = &mut self.progress;
        progress.received = progress.received.saturating_add(bytes as u64);
        if let Some(on_progress) = &mut self.on_progress {
            let on_progress = on_progress.get_mut().unwrap_or_else(PoisonError::into_inner);
            on_progress(*progress);
        }
    }
}

/// Runs a part of writing a file in a task that can block.
async fn act_on_file<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, FileError> + Send + 'static,
) -> Result<T> {
    let done = run_blocking(act).await.map_err(Error::file_task_ended)?;
    done.map_err(Error::from_file)
}

impl Stream for ByteStream {
    type Item = Result<Bytes>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes>>> {
        let chunk = match ready!(self.poll_chunk(context)) {
            Some(Ok(chunk)) => {
                self.record_chunk(chunk.len());
                return Poll::Ready(Some(Ok(chunk)));
            }
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
        f.debug_struct("ByteStream")
            .field("operation", &self.operation)
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}
