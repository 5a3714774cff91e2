//! Response bodies as readers.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};

use bytes::{Buf, Bytes};

use super::executor::block_on;
use crate::error::{Error, ErrorKind};
use crate::response::ByteStream;
use crate::runtime::dedicated::drop_in_context;
use crate::util::ids::unique_id;

/// The body of a response as a reader, made by [`Wait::wait`](crate::blocking::Wait::wait) from a [`ByteStream`].
///
/// It is a [`Read`] and, without a further buffer, a [`BufRead`]: a log is read by [lines](BufRead::lines). At most one
/// chunk of the body is in memory. [`save`](Self::save) writes the body to a file.
///
/// ```no_run
/// # #[cfg(feature = "repos")]
/// # fn example(github: octowire::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use octowire::blocking::Wait;
///
/// let archive = github.repos().download_tarball_archive().owner("rust-lang").repo("rust").ref_("master");
/// let bytes = archive.send().wait()?.wait().save("rust.tar.gz")?;
/// println!("{bytes} bytes");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// An [`io::Error`] contains the [`Error`], which [`io::Error::get_ref`] returns. Its kind is
/// [`TimedOut`](io::ErrorKind::TimedOut) if a chunk does not arrive within the client's
/// [`attempt_timeout`](crate::ClientBuilder::attempt_timeout), and otherwise [`Other`](io::ErrorKind::Other). A body that
/// breaks off is an error; a read after that error returns the end.
///
/// On a thread of a [Tokio runtime](crate::blocking#inside-a-runtime), a read that has to wait fails, and nothing of the
/// body is lost.
#[must_use = "the body is read by reading from it"]
pub struct Reader {
    /// `None` at the end.
    body: Option<ByteStream>,
    chunk: Bytes,
}

impl Reader {
    pub(super) fn new(body: ByteStream) -> Self {
        Self { body: Some(body), chunk: Bytes::new() }
    }

    /// Writes the rest of the body to a file, however long it is, and returns its length in bytes.
    ///
    /// The file is replaced as a whole, or not at all: the body is written to a hidden file in the same folder, which is
    /// renamed at the end, and removed after a failure. An end of the process leaves it there, with the ending `.part`.
    /// To bound the length, copy from [`Read::take`] instead.
    ///
    /// # Errors
    /// If the body cannot be [read](Self#errors), or the file cannot be written.
    pub fn save(mut self, path: impl AsRef<Path>) -> io::Result<u64> {
        save(&mut self, path.as_ref())
    }

    fn end(&mut self) {
        drop_in_context(self.body.take());
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let mut available = self.fill_buf()?;
        let read = available.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Reader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        // An empty chunk is not the end.
        while self.chunk.is_empty() {
            let Some(body) = &mut self.body else { break };
            match block_on(body.try_next()) {
                Ok(Ok(Some(chunk))) => self.chunk = chunk,
                Ok(Ok(None)) => self.end(),
                Ok(Err(error)) => {
                    self.end();
                    return Err(io_error(error));
                }
                // Another thread can read the rest.
                Err(error) => return Err(io_error(error)),
            }
        }
        Ok(&self.chunk)
    }

    fn consume(&mut self, amount: usize) {
        self.chunk.advance(amount.min(self.chunk.len()));
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("body", &self.body).finish_non_exhaustive()
    }
}

fn io_error(error: Error) -> io::Error {
    let kind = match error.kind() {
        ErrorKind::Timeout => io::ErrorKind::TimedOut,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

fn save(body: &mut Reader, path: &Path) -> io::Result<u64> {
    let not_saved = |error: io::Error| {
        io::Error::new(error.kind(), format!("{} was not saved: {error}", path.display()))
    };
    let partial = partial_path(path).map_err(not_saved)?;
    let mut file = File::create_new(&partial).map_err(not_saved)?;
    let written = io::copy(body, &mut file).and_then(|bytes| file.sync_all().map(|()| bytes));
    // Windows renames closed files only.
    drop(file);
    let saved =
        written.and_then(|bytes| fs::rename(&partial, path).map(|()| bytes).map_err(not_saved));
    if saved.is_err() {
        // The first failure is the cause.
        let _ = fs::remove_file(&partial);
    }
    saved
}

/// Returns the path of the file that is written before it replaces the one at `path`.
fn partial_path(path: &Path) -> io::Result<PathBuf> {
    let Some(name) = path.file_name() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"));
    };
    let mut partial = OsString::from(".");
    partial.push(name);
    partial.push(format!(".{}.part", unique_id()));
    Ok(path.with_file_name(partial))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(body: &'static [u8]) -> Reader {
        Reader::new(ByteStream::from_bytes(Bytes::from_static(body), "a test".into()))
    }

    #[test]
    fn it_is_read_by_bytes_and_by_lines() {
        let mut body = reader(b"one\ntwo\nthree");
        let mut two = [0; 2];
        assert_eq!(body.read(&mut []).unwrap(), 0);
        body.read_exact(&mut two).unwrap();
        assert_eq!(&two, b"on");
        let lines: io::Result<Vec<_>> = body.by_ref().lines().collect();
        assert_eq!(lines.unwrap(), ["e", "two", "three"]);
        assert_eq!(body.read(&mut two).unwrap(), 0);
        assert!(body.fill_buf().unwrap().is_empty());
    }

    #[test]
    fn a_caller_that_consumes_too_much_reads_the_end() {
        let mut body = reader(b"abc");
        assert_eq!(body.fill_buf().unwrap(), b"abc");
        body.consume(usize::MAX);
        assert!(body.fill_buf().unwrap().is_empty());
    }

    #[test]
    fn a_stalled_body_is_distinct_from_other_failures() {
        let kind = |kind| io_error(Error::new(kind, "failed")).kind();
        assert_eq!(kind(ErrorKind::Timeout), io::ErrorKind::TimedOut);
        assert_eq!(kind(ErrorKind::Transport), io::ErrorKind::Other);
    }

    #[test]
    fn a_path_without_a_file_name_is_an_error() {
        let error = reader(b"abc").save("..").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert_eq!(error.to_string(), ".. was not saved: the path names no file");
    }

    #[test]
    fn debug_shows_no_byte_of_the_body() {
        let mut body = reader(b"secret");
        body.fill_buf().unwrap();
        assert!(!format!("{body:?}").contains("secret"));
    }
}
