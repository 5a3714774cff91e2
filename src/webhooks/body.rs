//! Bounded reading of request bodies.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::future::{poll_fn, poll_immediate};
use http_body::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::rejection::RejectionReason;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Reserves memory for this many more bytes of a body of `expected` bytes in total. The buffer grows by half, so that
/// it is never more than half again as large as needed.
fn reserve(all: &mut Vec<u8>, more: usize, expected: usize) {
    let needed = all.len().saturating_add(more);
    if needed > all.capacity() {
        let grown = all.len().saturating_add(all.len() / 2).max(MAX_RESERVED);
        // The actual length can differ from the stated one.
        let wanted = if needed <= expected { grown.min(expected) } else { grown }.max(needed);
        all.reserve_exact(wanted - all.len());
    }
}

/// GitHub's maximum size of payloads.
const MAX_BODY_BYTES: usize = 25 * 1024 * 1024;
const MAX_UNVERIFIED_BYTES: usize = 64 * 1024 * 1024;
/// GitHub waits for 10 s, which includes network time.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(9);
/// Maximum memory that is reserved by the stated length before the body arrives.
const MAX_RESERVED: usize = 64 * 1024;

/// The limits of body sizes, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyLimits {
    /// The limit of one body.
    pub(super) max_body_bytes: usize,
    /// The limit of all bodies that are not verified yet, in total.
    pub(super) max_unverified_bytes: usize,
}

/// The bodies of all requests.
#[derive(Clone, Debug)]
pub(super) struct BodyReader {
    max_body_bytes: usize,
    memory: Arc<Semaphore>,
}

/// Holds a body's part of the limit.
pub(super) type MemoryPermit = Option<OwnedSemaphorePermit>;

impl Default for BodyLimits {
    fn default() -> Self {
        Self { max_body_bytes: MAX_BODY_BYTES, max_unverified_bytes: MAX_UNVERIFIED_BYTES }
    }
}

impl BodyLimits {
    pub(super) fn into_reader(self) -> BodyReader {
        let held = Semaphore::new(self.max_unverified_bytes.min(Semaphore::MAX_PERMITS));
        BodyReader { max_body_bytes: self.max_body_bytes, memory: Arc::new(held) }
    }
}

impl BodyReader {
    /// Reads a body into one buffer, until this deadline.
    pub(super) async fn read<B>(
        &self,
        body: B,
        by: Instant,
    ) -> Result<(Bytes, MemoryPermit), RejectionReason>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        if body.size_hint().lower() > self.max_body_bytes as u64 {
            return Err(RejectionReason::TooLarge);
        }
        let mut collected = pin!(self.collect(body));
        // A body that has arrived needs no timer.
        if let Some(body) = poll_immediate(collected.as_mut()).await {
            return body;
        }
        timeout_at(by, collected).await.unwrap_or(Err(RejectionReason::TooSlow))
    }

    /// Copies a body out of the connection's buffer, which a slice would keep as a whole, into memory of its own
    /// length: a delivery can wait for long.
    async fn collect<B>(&self, body: B) -> Result<(Bytes, MemoryPermit), RejectionReason>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        // At most the limit, which is a usize.
        let expected = usize::try_from(body.size_hint().lower()).unwrap_or_default();
        let mut body = pin!(body);
        let mut held = None;
        let mut all = Vec::new();
        while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
            let frame = frame.map_err(|_| RejectionReason::Incomplete)?;
            let Ok(mut data) = frame.into_data() else { continue };
            let length = data.remaining();
            if length > self.max_body_bytes - all.len() {
                return Err(RejectionReason::TooLarge);
            }
            self.acquire(&mut held, length)?;
            reserve(&mut all, length, expected);
            while data.has_remaining() {
                let chunk = data.chunk();
                all.extend_from_slice(chunk);
                let length = chunk.len();
                data.advance(length);
            }
        }
        all.shrink_to_fit();
        Ok((Bytes::from(all), held))
    }

    /// Acquires this many more bytes of the limit.
    fn acquire(&self, held: &mut MemoryPermit, bytes: usize) -> Result<(), RejectionReason> {
        let bytes = u32::try_from(bytes).map_err(|_| RejectionReason::TooLarge)?;
        let more = Arc::clone(&self.memory).try_acquire_many_owned(bytes);
        let more = more.map_err(|_| RejectionReason::Busy)?;
        match held {
            Some(held) => held.merge(more),
            None => *held = Some(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_body_takes_no_more_memory_than_half_as_much_again(
            chunks in prop::collection::vec(1..300_000_usize, 1..40),
            said in prop_oneof![Just(0), Just(usize::MAX), 0..4_000_000_usize],
            is_accurate in any::<bool>(),
        ) {
            let total = chunks.iter().sum();
            let expected = if is_accurate { total } else { said };
            let mut all = Vec::new();
            for chunk in chunks {
                reserve(&mut all, chunk, expected);
                all.resize(all.len() + chunk, 0);
                let most = (all.len() + all.len() / 2).max(MAX_RESERVED);
                prop_assert!(all.capacity() <= most, "{} for {}", all.capacity(), all.len());
            }
            if is_accurate && total > MAX_RESERVED {
                prop_assert_eq!(all.capacity(), total);
            }
        }
    }
}
