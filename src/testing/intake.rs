//! Request bodies while the mock receives them.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Buf, Bytes};
use http_body::Body;

/// Maximum size of an accepted body: GitHub's webhooks and blobs are smaller.
pub(super) const MAX_BODY: usize = 100 * 1024 * 1024;

/// Maximum number of bytes of the bodies that are received concurrently.
const MAX_TOTAL_BYTES: usize = 512 * 1024 * 1024;

/// Why a body was rejected.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BodyRejected<E> {
    /// It is larger than [`MAX_BODY`].
    TooLarge,
    /// Other bodies use the whole capacity.
    Busy,
    /// The client closed the connection early.
    Incomplete(E),
}

/// The capacity for bodies, shared by all connections.
#[derive(Debug, Default)]
pub(super) struct BodyReader(Arc<AtomicUsize>);

/// A part of the capacity, held until it is dropped.
struct BodyPermit {
    capacity: Arc<AtomicUsize>,
    bytes: usize,
}

impl BodyReader {
    /// Receives a complete body.
    ///
    /// It is copied: a body can arrive in parts of one byte, each of which would keep its read buffer alive.
    pub(super) async fn read<B>(&self, body: B) -> Result<Bytes, BodyRejected<B::Error>>
    where
        B: Body + Unpin,
    {
        let mut body = body;
        // Rejected by its declared length, so that the client need not send it.
        if body.size_hint().lower() > MAX_BODY as u64 {
            return Err(BodyRejected::TooLarge);
        }
        let mut held = BodyPermit { capacity: Arc::clone(&self.0), bytes: 0 };
        let mut taken = Vec::new();
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            let Ok(mut data) = frame.map_err(BodyRejected::Incomplete)?.into_data() else {
                continue;
            };
            if data.remaining() > MAX_BODY.saturating_sub(taken.len()) {
                return Err(BodyRejected::TooLarge);
            }
            if !held.grow(data.remaining()) {
                return Err(BodyRejected::Busy);
            }
            while data.has_remaining() {
                let length = data.chunk().len();
                taken.extend_from_slice(data.chunk());
                data.advance(length);
            }
        }
        Ok(taken.into())
    }
}

impl BodyPermit {
    fn grow(&mut self, more: usize) -> bool {
        let fits = |bytes: usize| bytes.checked_add(more).filter(|bytes| *bytes <= MAX_TOTAL_BYTES);
        let fits = self.capacity.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok();
        if fits {
            self.bytes = self.bytes.saturating_add(more);
        }
        fits
    }
}

impl Drop for BodyPermit {
    fn drop(&mut self) {
        self.capacity.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll};

    use http_body::{Frame, SizeHint};

    use super::*;

    /// A number of parts of one size, and their state.
    struct Parts {
        left: usize,
        part: Bytes,
        known: u64,
        breaks: bool,
    }

    impl Body for Parts {
        type Data = Bytes;
        type Error = &'static str;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
            match self.left.checked_sub(1) {
                Some(left) => {
                    self.left = left;
                    Poll::Ready(Some(Ok(Frame::data(self.part.clone()))))
                }
                None if self.breaks => Poll::Ready(Some(Err("broken"))),
                None => Poll::Ready(None),
            }
        }

        fn size_hint(&self) -> SizeHint {
            let mut hint = SizeHint::new();
            hint.set_lower(self.known);
            hint
        }
    }

    fn parts(left: usize, size: usize) -> Parts {
        Parts { left, part: vec![b'x'; size].into(), known: 0, breaks: false }
    }

    #[tokio::test]
    async fn a_body_is_taken_up_to_its_bound() {
        let (intake, mebibyte) = (BodyReader::default(), 1024 * 1024);
        let taken = intake.read(parts(100, mebibyte)).await.unwrap();
        assert_eq!(taken.len(), MAX_BODY);
        assert_eq!(intake.0.load(Ordering::Relaxed), 0);
        // It never ends.
        let endless = parts(usize::MAX, mebibyte);
        assert_eq!(intake.read(endless).await, Err(BodyRejected::TooLarge));
        assert_eq!(intake.read(parts(1, MAX_BODY + 1)).await, Err(BodyRejected::TooLarge));
        let known = Parts { known: MAX_BODY as u64 + 1, breaks: true, ..parts(0, 1) };
        assert_eq!(intake.read(known).await, Err(BodyRejected::TooLarge));
        let known = Parts { known: u64::MAX, ..parts(0, 1) };
        assert_eq!(intake.read(known).await, Err(BodyRejected::TooLarge));
        let broken = Parts { breaks: true, ..parts(3, 1) };
        assert_eq!(intake.read(broken).await, Err(BodyRejected::Incomplete("broken")));
        assert_eq!(intake.0.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn bodies_share_their_capacity() {
        let intake = BodyReader::default();
        intake.0.store(MAX_TOTAL_BYTES - 10, Ordering::Relaxed);
        assert_eq!(intake.read(parts(10, 1)).await.unwrap().len(), 10);
        assert_eq!(intake.read(parts(11, 1)).await, Err(BodyRejected::Busy));
        assert_eq!(intake.0.load(Ordering::Relaxed), MAX_TOTAL_BYTES - 10);
    }
}
