//! A file as a request body: opened for each attempt, and read in tasks that can block.

use std::fs::{self, File};
use std::io;
#[cfg(not(unix))]
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::stream::try_unfold;

use crate::error::{Error, FileError, Result};
use crate::runtime::blocking::run_blocking;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A file whose content is a body.
pub(crate) struct FileBody {
    source: FileSource,
    /// The file as the attempt has opened it that began last.
    opened: Mutex<Option<OpenFile>>,
}

#[derive(Clone)]
enum FileSource {
    Path(Arc<Path>),
    /// A file that the application has opened.
    Handle(Arc<Mutex<File>>),
}

/// A file, with the length that it had when it was opened.
#[derive(Clone)]
pub(super) struct OpenFile {
    /// Locked for the time of a read, since two requests can read the same file, and not every system reads without the
    /// position of the file.
    file: Arc<Mutex<File>>,
    path: Option<Arc<Path>>,
    length: u64,
}

impl FileBody {
    /// Creates the body of the file at this path.
    pub(super) fn at(path: &Path) -> Self {
        Self::new(FileSource::Path(path.into()))
    }

    /// Creates the body of a file that is open.
    pub(super) fn from_handle(file: File) -> Self {
        Self::new(FileSource::Handle(Arc::new(Mutex::new(file))))
    }

    fn new(source: FileSource) -> Self {
        Self { source, opened: Mutex::new(None) }
    }

    /// Opens the file, for one attempt and its redirects.
    ///
    /// # Errors
    /// If it cannot be opened, or is not a regular file.
    pub(crate) async fn open(&self) -> Result<()> {
        let source = self.source.clone();
        let opened = run_blocking(move || source.open()).await;
        let opened = opened.map_err(Error::file_task_ended)?;
        *lock(&self.opened) = Some(opened.map_err(Error::from_file)?);
        Ok(())
    }

    /// Returns the file; `None` if no attempt has opened it.
    pub(super) fn opened(&self) -> Option<OpenFile> {
        lock(&self.opened).clone()
    }
}

impl FileSource {
    fn open(&self) -> Result<OpenFile, FileError> {
        let path = match self {
            Self::Path(path) => Some(Arc::clone(path)),
            Self::Handle(_) => None,
        };
        let opened = match self {
            Self::Path(path) => open_regular(path).map(|file| Arc::new(Mutex::new(file))),
            Self::Handle(file) => Ok(Arc::clone(file)),
        };
        let opened = opened.and_then(|file| {
            let metadata = lock(&file).metadata()?;
            require_regular(&metadata).map(|()| (file, metadata.len()))
        });
        match opened {
            Ok((file, length)) => Ok(OpenFile { file, path, length }),
            Err(reason) => Err(file_error("open", path.as_deref(), reason)),
        }
    }
}

/// Opens a file. Opening a pipe would block until another process writes to it.
fn open_regular(path: &Path) -> io::Result<File> {
    require_regular(&fs::metadata(path)?)?;
    File::open(path)
}

fn require_regular(metadata: &fs::Metadata) -> io::Result<()> {
    match metadata.is_file() {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")),
    }
}

fn file_error(action: &'static str, path: Option<&Path>, reason: io::Error) -> FileError {
    FileError { action, path: path.map(Path::to_owned), reason }
}

impl OpenFile {
    /// Returns the length in bytes.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Returns the content from its start, in chunks of at most this many bytes. It has the length of the file when it
    /// was opened: bytes that are appended meanwhile are not read.
    pub(super) fn chunks(
        self,
        max_bytes: usize,
    ) -> impl Stream<Item = Result<Bytes, BoxError>> + Send + 'static {
        try_unfold((self, 0_u64), move |(file, offset)| async move {
            if offset >= file.length {
                return Ok::<_, BoxError>(None);
            }
            let path = file.path.clone();
            let read = run_blocking(move || {
                let chunk = file.read_at(offset, max_bytes);
                (file, chunk)
            });
            let (file, chunk) = read
                .await
                .map_err(|ended| file_error("read", path.as_deref(), io::Error::other(ended)))?;
            let chunk = chunk?;
            let next = offset.saturating_add(chunk.len() as u64);
            Ok(Some((chunk, (file, next))))
        })
    }

    fn read_at(&self, offset: u64, max_bytes: usize) -> Result<Bytes, FileError> {
        let remaining = self.length.saturating_sub(offset);
        let mut chunk = vec![0_u8; usize::try_from(remaining).unwrap_or(usize::MAX).min(max_bytes)];
        match read_exact_at(&lock(&self.file), &mut chunk, offset) {
            Ok(()) => Ok(chunk.into()),
            Err(reason) if reason.kind() == io::ErrorKind::UnexpectedEof => {
                let length = self.length;
                let message = format!("it no longer has the {length} bytes that it had at first");
                let reason = io::Error::new(io::ErrorKind::UnexpectedEof, message);
                Err(file_error("read", self.path.as_deref(), reason))
            }
            Err(reason) => Err(file_error("read", self.path.as_deref(), reason)),
        }
    }
}

/// Fills the buffer from this offset. It does not use the position of the file, which other handles of the application can
/// share.
#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

/// Fills the buffer from this offset.
#[cfg(not(unix))]
fn read_exact_at(mut file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(buffer)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic of another thread leaves no partial state: each read has its own offset.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom};
    use std::path::PathBuf;

    use futures_util::TryStreamExt;

    use super::*;
    use crate::error::ErrorKind;

    struct Temporary(PathBuf);

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("octowire-body-{name}-{}", std::process::id()))
    }

    impl Temporary {
        fn with(name: &str, content: &[u8]) -> Self {
            let path = path(name);
            fs::write(&path, content).unwrap();
            Self(path)
        }
    }

    impl Drop for Temporary {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    async fn read(body: &FileBody, max_bytes: usize) -> Result<Vec<Bytes>, BoxError> {
        let Some(file) = body.opened() else { panic!("the file is not open") };
        file.chunks(max_bytes).try_collect().await
    }

    #[tokio::test]
    async fn a_file_is_read_from_its_start_in_chunks_and_again() {
        let file = Temporary::with("chunks", b"abcdefg");
        let mut handle = File::open(&file.0).unwrap();
        handle.seek(SeekFrom::End(0)).unwrap();
        for body in [FileBody::at(&file.0), FileBody::from_handle(handle)] {
            assert!(body.opened().is_none());
            for _ in 0..2 {
                body.open().await.unwrap();
                assert_eq!(body.opened().unwrap().length(), 7);
                assert_eq!(read(&body, 3).await.unwrap(), ["abc", "def", "g"]);
                assert_eq!(read(&body, 7).await.unwrap(), ["abcdefg"]);
            }
        }
        let empty = Temporary::with("empty", b"");
        let body = FileBody::at(&empty.0);
        body.open().await.unwrap();
        assert!(read(&body, 3).await.unwrap().is_empty());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn the_position_that_other_handles_share_stays() {
        let file = Temporary::with("position", b"abcdef");
        let mut handle = File::open(&file.0).unwrap();
        handle.seek(SeekFrom::Start(2)).unwrap();
        let body = FileBody::from_handle(handle.try_clone().unwrap());
        body.open().await.unwrap();
        assert_eq!(read(&body, 4).await.unwrap(), ["abcd", "ef"]);
        assert_eq!(handle.stream_position().unwrap(), 2);
    }

    #[tokio::test]
    async fn a_file_that_changes_while_it_is_sent_keeps_its_length_or_fails() {
        let file = Temporary::with("changed", b"abcdef");
        let body = FileBody::at(&file.0);
        body.open().await.unwrap();
        fs::write(&file.0, b"abcdefgh").unwrap();
        assert_eq!(read(&body, 4).await.unwrap(), ["abcd", "ef"]);
        fs::write(&file.0, b"ab").unwrap();
        let error = read(&body, 4).await.unwrap_err().downcast::<FileError>().unwrap();
        assert_eq!(error.reason.kind(), io::ErrorKind::UnexpectedEof);
        let shown = error.to_string();
        assert!(
            shown.starts_with("cannot read the file \"") && shown.contains("6 bytes"),
            "{shown}"
        );
    }

    #[tokio::test]
    async fn a_path_that_is_no_regular_file_is_rejected() {
        for (path, cause) in [
            (path("missing"), io::ErrorKind::NotFound),
            (std::env::temp_dir(), io::ErrorKind::InvalidInput),
        ] {
            let error = FileBody::at(&path).open().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::File);
            assert!(
                error.to_string().contains(&format!("cannot open the file {path:?}")),
                "{error}"
            );
            let source = std::error::Error::source(&error);
            let source = source.and_then(|source| source.downcast_ref::<io::Error>());
            assert_eq!(source.map(io::Error::kind), Some(cause));
        }
    }
}
