//! A request body of bytes.

use std::fmt;
use std::fs::File;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use http_body::{Frame, SizeHint};

use super::file_body::FileBody;
use crate::error::LengthMismatch;
use crate::time::deadline::DeadlineExtension;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, BoxError>> + Send>>;

/// A request body: bytes in memory, a stream of them, or a file.
///
/// ```
/// use octowire::Body;
///
/// let text = Body::from("hello");
/// let bytes = Body::from(vec![1_u8, 2, 3]);
/// let file = Body::file("dist/app.zip");
/// # let _ = (text, bytes, file);
/// ```
#[derive(Clone)]
pub struct Body(Content);

#[derive(Clone)]
enum Content {
    Bytes(Bytes),
    /// Taken by the first attempt that sends it.
    Stream(Arc<Mutex<Option<Chunks>>>, Option<u64>),
    File(Arc<FileBody>),
}

/// A streamed body was already sent once, completely or in part, or the file of a body is not open.
#[derive(Debug)]
pub(crate) struct BodyConsumed;

impl Body {
    /// Creates a request body that is read while it is sent.
    ///
    /// Set the length in bytes if it is known: GitHub rejects [release
    /// assets](https://docs.github.com/en/rest/releases/assets#upload-a-release-asset) without a `Content-Length`. If
    /// the stream contains more or fewer bytes, or an error, the call fails: the kind is
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest), and the stream's error is the source.
    ///
    /// A stream can be sent once. If a redirect requires sending it again, the call fails; clones of the body share the
    /// one stream.
    pub fn stream<S, B, E>(stream: S, length: Option<u64>) -> Self
    where
        S: Stream<Item = Result<B, E>> + Send + 'static,
        B: Into<Bytes>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        use futures_util::StreamExt;
        let chunks = stream.map(|chunk| chunk.map(Into::into).map_err(Into::into));
        let chunks: Chunks = Box::pin(chunks);
        Self(Content::Stream(Arc::new(Mutex::new(Some(chunks))), length))
    }

    /// Creates a request body that is read from the file at this path while it is sent.
    ///
    /// Each attempt opens the file, so that the call can be retried and redirected, and a call that waits for a rate limit
    /// before its first attempt has no open file. The length of the file at that time is the `Content-Length`, which
    /// [release assets](https://docs.github.com/en/rest/releases/assets#upload-a-release-asset) need; bytes that are
    /// appended later are not sent. The file is opened and read in tasks that can block, in chunks of 64 KiB. The file that
    /// was opened last stays open until the body and its clones are dropped.
    ///
    /// If the file cannot be opened, is not a regular file, cannot be read, or becomes shorter while it is sent, the call
    /// fails: the kind is [`File`](crate::ErrorKind::File), and the error names the path.
    ///
    /// ```no_run
    /// # #[cfg(feature = "repos")]
    /// # async fn example(github: octowire::Client) -> octowire::Result<()> {
    /// use octowire::Body;
    ///
    /// let asset = github.repos().upload_release_asset().owner("octocat").repo("hello-world")
    ///     .release_id(1).name("app.zip").body(Body::file("dist/app.zip"))
    ///     .send().await?;
    /// println!("{}", asset.browser_download_url);
    /// # Ok(())
    /// # }
    /// ```
    pub fn file(path: impl Into<PathBuf>) -> Self {
        let path: PathBuf = path.into();
        Self(Content::File(Arc::new(FileBody::at(&path))))
    }

    /// Returns the length in bytes, if it is known. That of a [file](Self::file) is known when an attempt has opened it.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match &self.0 {
            Content::Bytes(bytes) => Some(bytes.len() as u64),
            Content::Stream(_, length) => *length,
            Content::File(file) => file.opened().map(|file| file.length()),
        }
    }

    /// Returns the file that each attempt opens before it sends the body, if the body is one.
    pub(crate) fn file_source(&self) -> Option<&FileBody> {
        match &self.0 {
            Content::File(file) => Some(file),
            Content::Bytes(_) | Content::Stream(..) => None,
        }
    }

    /// Returns whether it can be sent again.
    pub(crate) fn is_replayable(&self) -> bool {
        matches!(self.0, Content::Bytes(_) | Content::File(_))
    }

    /// Returns the body for one attempt, which extends `extension` while it makes progress, and reports a failure to
    /// `error_slot`.
    pub(crate) fn send(
        &self,
        extension: &DeadlineExtension,
        error_slot: &UploadErrorSlot,
    ) -> Result<reqwest::Body, BodyConsumed> {
        let (source, length) = match &self.0 {
            Content::Bytes(bytes) if bytes.len() <= CHUNK_BYTES => return Ok(bytes.clone().into()),
            Content::Bytes(bytes) => (Source::Bytes(bytes.clone()), Some(bytes.len() as u64)),
            Content::Stream(stream, length) => {
                let taken = lock(stream).take();
                (Source::Stream(Mutex::new(taken.ok_or(BodyConsumed)?)), *length)
            }
            Content::File(file) => {
                let file = file.opened().ok_or(BodyConsumed)?;
                let length = Some(file.length());
                let chunks: Chunks = Box::pin(file.chunks(CHUNK_BYTES));
                (Source::Stream(Mutex::new(chunks)), length)
            }
        };
        Ok(reqwest::Body::wrap(Upload {
            source,
            length,
            bytes_read: 0,
            final_chunk: None,
            extension: extension.clone(),
            error_slot: error_slot.clone(),
        }))
    }
}

/// Large bodies are sent in pieces of this size, so that progress is visible.
const CHUNK_BYTES: usize = 64 * 1024;

/// A body while it is sent.
struct Upload {
    source: Source,
    length: Option<u64>,
    bytes_read: u64,
    /// The chunk that completes the length.
    final_chunk: Option<Bytes>,
    extension: DeadlineExtension,
    error_slot: UploadErrorSlot,
}

enum Source {
    Bytes(Bytes),
    /// Never locked: the mutex makes the stream `Sync`, which reqwest requires.
    Stream(Mutex<Chunks>),
}

impl Source {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        match self {
            Self::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Bytes(bytes) => {
                Poll::Ready(Some(Ok(bytes.split_to(CHUNK_BYTES.min(bytes.len())))))
            }
            Self::Stream(stream) => {
                stream.get_mut().unwrap_or_else(PoisonError::into_inner).as_mut().poll_next(context)
            }
        }
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            let chunk = ready!(self.source.poll_next(context)).transpose();
            let chunk = chunk.map_err(|reason| self.error_slot.set(reason))?;
            self.extension.progress();
            let Some(chunk) = chunk else {
                return Poll::Ready(self.last_chunk());
            };
            self.bytes_read += chunk.len() as u64;
            match self.length {
                Some(length) if self.bytes_read > length => {
                    return Poll::Ready(Some(self.length_mismatch(length)));
                }
                Some(length) if self.bytes_read == length => {
                    // The HTTP client reads no more than the length: whether the stream is longer has to be known
                    // before the last chunk is returned.
                    if !chunk.is_empty() {
                        self.final_chunk = Some(chunk);
                    }
                }
                _ => return Poll::Ready(Some(Ok(Frame::data(chunk)))),
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.length {
            Some(length) => {
                let last = self.final_chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
                SizeHint::with_exact(length.saturating_sub(self.bytes_read) + last)
            }
            None => SizeHint::new(),
        }
    }
}

impl Upload {
    /// Handles the end of the source.
    fn last_chunk(&mut self) -> Option<Result<Frame<Bytes>, BoxError>> {
        match self.length {
            Some(length) if self.bytes_read < length => Some(self.length_mismatch(length)),
            _ => self.final_chunk.take().map(|chunk| Ok(Frame::data(chunk))),
        }
    }

    fn length_mismatch(&self, length: u64) -> Result<Frame<Bytes>, BoxError> {
        let read = self.bytes_read;
        Err(self.error_slot.set(LengthMismatch { expected: length, actual: read }.into()))
    }
}

/// The error of the caller's own body while it was sent, if there was one.
///
/// It is stored beside the request: over HTTP/2, the resulting error is a stream reset without a reason.
///
/// By default, it is empty, for requests whose body cannot fail.
#[derive(Clone, Debug, Default)]
pub(crate) struct UploadErrorSlot(Option<Arc<Mutex<Option<BoxError>>>>);

impl UploadErrorSlot {
    /// Creates the slot of a request with a body that can fail.
    pub(crate) fn for_upload() -> Self {
        Self(Some(Arc::default()))
    }

    /// Stores the reason, and returns the error for the HTTP client.
    fn set(&self, reason: BoxError) -> BoxError {
        if let Some(slot) = &self.0 {
            *lock(slot) = Some(reason);
        }
        "the request body failed".into()
    }

    pub(crate) fn take(&self) -> Option<BoxError> {
        self.0.as_ref().and_then(|slot| lock(slot).take())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // The guarded value is taken out whole: a panic in other code leaves no partial state.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(Content::Bytes(bytes))
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Self {
        Bytes::from_static(bytes).into()
    }
}

/// The whole content of an open file, from its start, whatever its position; see [`Body::file`]. All attempts read the
/// same file.
///
/// A `tokio::fs::File` converts with its method `into_std`.
///
/// ```no_run
/// # fn example() -> std::io::Result<()> {
/// use octowire::Body;
///
/// let body = Body::from(std::fs::File::open("dist/app.zip")?);
/// # let _ = body;
/// # Ok(())
/// # }
/// ```
impl From<File> for Body {
    fn from(file: File) -> Self {
        Self(Content::File(Arc::new(FileBody::from_handle(file))))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The content might be private.
        let name = match &self.0 {
            Content::Bytes(_) => "Bytes",
            Content::Stream(..) => "Stream",
            Content::File(_) => "File",
        };
        f.debug_struct("Body").field("content", &name).field("length", &self.length()).finish()
    }
}
