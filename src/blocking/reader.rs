//! Response bodies as readers.

use std::fmt;
use std::io::{self, BufRead, Read};

use bytes::{Buf, Bytes};

use super::executor::block_on;
use crate::error::{Error, ErrorKind};
use crate::response::ByteStream;
use crate::runtime::dedicated::drop_in_context;

/// The body of a response as a reader, made by [`Wait::wait`](crate::blocking::Wait::wait) from a [`ByteStream`].
///
/// It is a [`Read`] and, without a further buffer, a [`BufRead`]: a log is read by [lines](BufRead::lines). At most one
/// chunk of the body is in memory. To save a body in a file, wait for [`ByteStream::save_to`] in place of the body.
///
/// ```no_run
/// # #[cfg(feature = "repos")]
/// # fn example(github: octowire::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use std::io::BufRead;
/// use octowire::blocking::Wait;
///
/// let readme = github.repos().get_readme().owner("rust-lang").repo("rust").into_request().raw();
/// for line in readme.send_stream().wait()?.wait().lines() {
///     println!("{}", line?);
/// }
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
    fn debug_shows_no_byte_of_the_body() {
        let mut body = reader(b"secret");
        body.fill_buf().unwrap();
        assert!(!format!("{body:?}").contains("secret"));
    }
}
