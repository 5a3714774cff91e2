//! Bodies of requests, read within bounds.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::future::poll_fn;
use http_body::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::refusal::Refusal;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// As GitHub caps payloads.
const MOST: usize = 25 * 1024 * 1024;
const HELD: usize = 64 * 1024 * 1024;
/// GitHub waits for 10 s, of which a part is the network's.
pub(super) const WITHIN: Duration = Duration::from_secs(9);
/// What is smaller is copied out of the connection's buffer, which it would keep as a whole.
const COPIED: usize = 64 * 1024;

/// What bodies may take, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyLimits {
    /// One of them.
    pub(super) most: usize,
    /// All that are not verified, together.
    pub(super) held: usize,
}

/// The bodies of all requests.
#[derive(Clone, Debug)]
pub(super) struct Bodies {
    most: usize,
    held: Arc<Semaphore>,
}

/// Holds a body's part of the bound.
pub(super) type Held = Option<OwnedSemaphorePermit>;

impl Default for BodyLimits {
    fn default() -> Self {
        Self { most: MOST, held: HELD }
    }
}

impl BodyLimits {
    pub(super) fn bodies(self) -> Bodies {
        let held = Semaphore::new(self.held.min(Semaphore::MAX_PERMITS));
        Bodies { most: self.most, held: Arc::new(held) }
    }
}

impl Bodies {
    /// Reads a body into one buffer, by this time.
    pub(super) async fn read<B>(&self, body: B, by: Instant) -> Result<(Bytes, Held), Refusal>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        if body.size_hint().lower() > self.most as u64 {
            return Err(Refusal::TooLarge);
        }
        timeout_at(by, self.collect(body)).await.unwrap_or(Err(Refusal::TooSlow))
    }

    async fn collect<B>(&self, body: B) -> Result<(Bytes, Held), Refusal>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        // Not more than the most, which is a usize.
        let expected = usize::try_from(body.size_hint().lower()).unwrap_or_default();
        let mut body = pin!(body);
        let mut held = None;
        let mut first = Bytes::new();
        let mut all = BytesMut::new();
        while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
            let frame = frame.map_err(|_| Refusal::Broken)?;
            let Ok(mut data) = frame.into_data() else { continue };
            let length = data.remaining();
            let total = first.len() + all.len() + length;
            if total > self.most {
                return Err(Refusal::TooLarge);
            }
            self.hold(&mut held, length)?;
            if total == length && total > COPIED {
                // Likely all of it.
                first = data.copy_to_bytes(length);
                continue;
            }
            if all.is_empty() {
                // Of what is said to come, no more than a little is made room for before it does.
                all.reserve(expected.min(COPIED).max(total));
                all.extend_from_slice(&std::mem::take(&mut first));
            }
            while data.has_remaining() {
                let chunk = data.chunk();
                all.extend_from_slice(chunk);
                let length = chunk.len();
                data.advance(length);
            }
        }
        Ok((if all.is_empty() { first } else { all.freeze() }, held))
    }

    /// Takes so many bytes more of what may be held.
    fn hold(&self, held: &mut Held, bytes: usize) -> Result<(), Refusal> {
        let bytes = u32::try_from(bytes).map_err(|_| Refusal::TooLarge)?;
        let more = Arc::clone(&self.held).try_acquire_many_owned(bytes);
        let more = more.map_err(|_| Refusal::Busy)?;
        match held {
            Some(held) => held.merge(more),
            None => *held = Some(more),
        }
        Ok(())
    }
}
