//! A connection of the mock: its end, and the time of its last use.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Maximum number of bytes that are read and discarded after the last response. A client that sends its whole
/// body before it reads gets its response; a client that sends without end is disconnected.
const MAX_DISCARDED: usize = 256 * 1024 * 1024;

/// State that the connection's task and the server share.
#[derive(Debug)]
pub(super) struct Connection {
    /// Whether it ends with a reset, so that the other side gets an error instead of an end of stream.
    pub(super) reset: AtomicBool,
    opened: Instant,
    /// The time of the last read or write, in microseconds after the connection was opened.
    used: AtomicU64,
}

impl Connection {
    pub(super) fn new() -> Self {
        Self { reset: AtomicBool::new(false), opened: Instant::now(), used: AtomicU64::new(0) }
    }

    /// Returns the microseconds without a read or write, by the machine's clock, since a test can pause
    /// tokio's.
    pub(super) fn idle(&self) -> u64 {
        self.age().saturating_sub(self.used.load(Ordering::Relaxed))
    }

    fn age(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn note_use(&self) {
        self.used.store(self.age(), Ordering::Relaxed);
    }
}

pub(super) struct ResettableStream {
    stream: TcpStream,
    connection: Arc<Connection>,
    /// Returns whether its own side is closed.
    closed: bool,
    discarded: usize,
}

impl ResettableStream {
    pub(super) fn new(stream: TcpStream, connection: Arc<Connection>) -> Self {
        Self { stream, connection, closed: false, discarded: 0 }
    }
}

impl Drop for ResettableStream {
    fn drop(&mut self) {
        if self.connection.reset.load(Ordering::Relaxed) {
            // Without it, the connection is closed normally, which is the next best.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for ResettableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        self.connection.note_use();
        Poll::Ready(read)
    }
}

impl AsyncWrite for ResettableStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, buffer));
        self.connection.note_use();
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// Closes its own side, and reads the remaining bytes until the other side closes as well. Closing a
    /// socket with unread bytes resets it, and the other side could lose the response.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.connection.reset.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        if !self.closed {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
            self.closed = true;
        }
        let mut space = [0; 16 * 1024];
        while self.discarded < MAX_DISCARDED {
            let mut buffer = ReadBuf::new(&mut space);
            // A failure from here on does not matter, since the response was sent.
            let read = ready!(self.as_mut().poll_read(context, &mut buffer));
            match buffer.filled().len() {
                length if length > 0 && read.is_ok() => {
                    self.discarded = self.discarded.saturating_add(length);
                }
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
