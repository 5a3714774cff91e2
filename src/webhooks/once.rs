//! Deduplication of deliveries.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::names;
use crate::store::Store;

/// Deduplicator: records deliveries in a [store](crate::store), so that only one of several receivers handles each: in
/// a process, on a machine or in a fleet, depending on the scope of the store.
///
/// GitHub [identifies](https://docs.github.com/en/webhooks/webhook-events-and-payloads#delivery-headers) an event with
/// a GUID in `X-GitHub-Delivery`, and repeats it in a redelivery. All webhooks for the same event have the same GUID:
/// with several webhooks, use [`Delivery::key`](super::Delivery::key), which distinguishes them.
///
/// A store can lose values: [`Memory`](crate::store::Memory) evicts the least recently used ones when it is full (64
/// MiB are about 280,000 deliveries, and fewer if a cache shares it), and loses all when the process ends; Redis evicts
/// according to its memory policy.
///
/// ```
/// # async fn example(delivery: &str) -> octowire::Result<()> {
/// use octowire::store::Memory;
/// use octowire::webhooks::Once;
///
/// let once = Once::new(Memory::new());
/// if let Some(claim) = once.claim(delivery).await? {
///     // Handle it, and then:
///     claim.done().await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Once {
    store: Arc<dyn Store>,
    keep: Duration,
    lasts: Duration,
}

/// The exclusive right to handle a delivery: [`Once::claim`].
///
/// A dropped claim lasts until its TTL is over; then the delivery is accepted again.
#[derive(Clone)]
#[must_use = "a claim that is neither done nor failed keeps its delivery from being accepted again"]
pub struct Claim {
    once: Once,
    key: String,
    token: Bytes,
}

/// The outcome of [`Once::take`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Taken {
    /// The caller has to handle it.
    Claimed(Claim),
    /// Another receiver handles it, or has ended while handling it and its claim has not expired.
    InProgress,
    /// The delivery was handled.
    Done,
}

/// GitHub redelivers for three days.
const KEEP: Duration = Duration::from_secs(3 * 24 * 60 * 60);
const LASTS: Duration = Duration::from_secs(5 * 60);
const SHORTEST_CLAIM: Duration = Duration::from_millis(100);
const DONE: &[u8] = b"done";

impl Once {
    /// Creates a deduplicator with this store.
    pub fn new(store: impl Store) -> Self {
        Self { store: Arc::new(store), keep: KEEP, lasts: LASTS }
    }

    /// Sets how long handled deliveries are remembered; three days by default, in which GitHub performs
    /// [redeliveries](https://docs.github.com/en/webhooks/testing-and-troubleshooting-webhooks/redelivering-webhooks)
    /// on request.
    #[must_use]
    pub fn keep(mut self, time: Duration) -> Self {
        self.keep = time;
        self
    }

    /// Sets the TTL of a claim, five minutes by default and 100 ms at least: after that, its holder counts as ended,
    /// and the delivery is accepted again. A [`Receiver`](super::Receiver) renews its claims while deliveries wait and
    /// are handled.
    #[must_use]
    pub fn claims_last(mut self, time: Duration) -> Self {
        self.lasts = time.max(SHORTEST_CLAIM);
        self
    }

    /// Claims a delivery; returns `None` if it was handled or another receiver holds the claim.
    ///
    /// # Errors
    /// If the store fails: the state of the delivery is unknown then, and it should be rejected so that GitHub can
    /// redeliver it.
    pub async fn claim(&self, delivery: &str) -> Result<Option<Claim>> {
        Ok(match self.take(delivery).await? {
            Taken::Claimed(claim) => Some(claim),
            Taken::InProgress | Taken::Done => None,
        })
    }

    /// Claims a delivery, and distinguishes handled deliveries from claimed ones.
    ///
    /// Only a handled delivery may be acknowledged: the holder of a claim might end before it is done, and then the
    /// delivery has to be redelivered.
    ///
    /// # Errors
    /// As for [`claim`](Self::claim).
    pub async fn take(&self, delivery: &str) -> Result<Taken> {
        let claim = self.claim_as(delivery, Bytes::from(names::unique()));
        let taken = self.take_as(claim.clone()).await;
        if taken.is_err() {
            // If the claim is in the store, it is released, so that it does not block another receiver.
            let _ = claim.failed().await;
        }
        taken
    }

    /// Continues the claim of a holder that has ended, or one that might be lost: if it has not expired, or no other
    /// receiver has claimed the delivery meanwhile.
    #[cfg(feature = "webhooks-journal")]
    pub(super) async fn resume(&self, delivery: &str, token: Bytes) -> Result<Taken> {
        self.retake(&self.claim_as(delivery, token)).await
    }

    /// Continues a claim that is available.
    pub(super) async fn retake(&self, claim: &Claim) -> Result<Taken> {
        match claim.renew().await? {
            true => Ok(Taken::Claimed(claim.clone())),
            false => self.take_as(claim.clone()).await,
        }
    }

    /// Claims with a value that might already be in the store.
    async fn take_as(&self, claim: Claim) -> Result<Taken> {
        let ask = || self.store.claim(&claim.key, claim.token.clone(), self.lasts);
        let claimed = match ask().await {
            Ok(claimed) => claimed,
            // After a connection was cut silently, one command fails, and it might have been executed.
            Err(_) => ask().await?,
        };
        if claimed {
            return Ok(Taken::Claimed(claim));
        }
        Ok(match self.store.get(&claim.key).await? {
            Some(held) if held == claim.token => Taken::Claimed(claim),
            Some(held) if held == DONE => Taken::Done,
            _ => Taken::InProgress,
        })
    }

    fn claim_as(&self, delivery: &str, token: Bytes) -> Claim {
        Claim { once: self.clone(), key: key(delivery), token }
    }

    /// Returns the TTL of a claim.
    pub(super) fn lasts(&self) -> Duration {
        self.lasts
    }
}

/// Returns a delivery's id unchanged, if it has GitHub's format, otherwise its digest.
fn key(delivery: &str) -> String {
    let plain = delivery.len() <= 64
        && delivery.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if plain {
        return format!("delivery:{delivery}");
    }
    format!("delivery:{}", names::hex(Sha256::digest(delivery)))
}

impl Claim {
    /// Returns the value that identifies this claim, for [`Once::resume`].
    #[cfg(feature = "webhooks-journal")]
    pub(super) fn token(&self) -> &Bytes {
        &self.token
    }

    /// Records the delivery as handled, so that it is not accepted again.
    ///
    /// # Errors
    /// If the store fails: the delivery might be accepted again after its TTL.
    pub async fn done(self) -> Result<()> {
        self.note_done().await
    }

    /// Records the same by reference, for callers that might have to repeat it.
    pub(super) async fn note_done(&self) -> Result<()> {
        self.once.store.put(&self.key, Bytes::from_static(DONE), self.once.keep).await
    }

    /// Releases the claim after a failure, so that the delivery is accepted again at once.
    ///
    /// # Errors
    /// If the store fails: the delivery is accepted again after the TTL.
    pub async fn failed(self) -> Result<()> {
        self.once.store.release(&self.key, self.token.clone()).await.map(drop)
    }

    /// Renews the claim for its full TTL. Returns whether this claim is still the current one.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn renew(&self) -> Result<bool> {
        self.once.store.renew(&self.key, self.token.clone(), self.once.lasts).await
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once")
            .field("store", &self.store)
            .field("keep", &self.keep)
            .field("lasts", &self.lasts)
            .finish()
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").field("key", &self.key).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Memory;

    #[tokio::test]
    async fn of_many_who_get_a_delivery_one_handles_it() {
        let once = Once::new(Memory::new());
        let claims = futures_util::future::join_all((0..100).map(|_| once.claim("d-1"))).await;
        let mut claims: Vec<_> = claims.into_iter().filter_map(Result::unwrap).collect();
        assert_eq!(claims.len(), 1);
        assert!(matches!(once.take("d-1").await.unwrap(), Taken::InProgress));
        claims.remove(0).done().await.unwrap();
        assert!(matches!(once.take("d-1").await.unwrap(), Taken::Done));
        assert!(once.claim("d-1").await.unwrap().is_none());
        assert!(once.claim("d-2").await.unwrap().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_failed_or_was_left_is_accepted_again_and_what_goes_on_is_not() {
        let once = Once::new(Memory::new()).claims_last(Duration::from_secs(10));
        once.claim("failed").await.unwrap().unwrap().failed().await.unwrap();
        assert!(once.claim("failed").await.unwrap().is_some());
        drop(once.claim("left").await.unwrap());
        assert!(once.claim("left").await.unwrap().is_none());
        let long = once.claim("long").await.unwrap().unwrap();
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(long.renew().await.unwrap());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(once.claim("left").await.unwrap().is_some());
        assert!(once.claim("long").await.unwrap().is_none());
        tokio::time::advance(Duration::from_secs(20)).await;
        let second = once.claim("long").await.unwrap().unwrap();
        // The first claim has expired, and its release does not affect the second.
        assert!(!long.renew().await.unwrap());
        long.failed().await.unwrap();
        assert!(once.claim("long").await.unwrap().is_none());
        second.done().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_done_is_remembered_for_three_days() {
        let once = Once::new(Memory::new());
        once.claim("d").await.unwrap().unwrap().done().await.unwrap();
        tokio::time::advance(KEEP - Duration::from_secs(1)).await;
        assert!(once.claim("d").await.unwrap().is_none());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(once.claim("d").await.unwrap().is_some());
    }

    #[test]
    fn a_name_of_any_length_is_a_short_key() {
        assert_eq!(key("72d3162e-cc78-11e3-81ab-4c9367dc0958").len(), 9 + 36);
        assert!(key(&"x".repeat(10_000)).len() < 80);
        assert_ne!(key("a b"), key("a\nb"));
    }
}
