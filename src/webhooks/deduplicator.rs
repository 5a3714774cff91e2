//! The deduplication of deliveries.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::store::{Store, ValueFormat};
use crate::util::ids;

/// Deduplicator: records deliveries in a [store](crate::store), so that only one of several receivers handles each: in
/// a process, on a machine or in a fleet, depending on the scope of the store.
///
/// GitHub [identifies](https://docs.github.com/en/webhooks/webhook-events-and-payloads#delivery-headers) an event with
/// a GUID in `X-GitHub-Delivery`, and repeats it in a redelivery. All webhooks for the same event have the same GUID:
/// with several webhooks, use [`Delivery::key`](super::Delivery::key), which distinguishes them.
///
/// A store can lose values: [`MemoryStore`](crate::store::MemoryStore) evicts the least recently used ones when it is full (64
/// MiB are about 280,000 deliveries, and fewer if a cache shares it), and loses all when the process ends; Redis evicts
/// according to its memory policy.
///
/// ```
/// # async fn example(delivery: &str) -> octowire::Result<()> {
/// use octowire::store::MemoryStore;
/// use octowire::webhooks::Deduplicator;
///
/// let once = Deduplicator::new(MemoryStore::new());
/// if let Some(claim) = once.claim(delivery).await? {
///     // Handle it, and then:
///     claim.complete().await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Deduplicator {
    store: Arc<dyn Store>,
    retention: Duration,
    claim_ttl: Duration,
}

/// The exclusive right to handle a delivery: [`Deduplicator::claim`].
///
/// A dropped claim lasts until its TTL ends; then the delivery is accepted again.
#[derive(Clone)]
#[must_use = "a claim that is neither completed nor released keeps its delivery from being accepted again"]
pub struct Claim {
    deduplicator: Deduplicator,
    key: String,
    token: Bytes,
}

/// The outcome of [`Deduplicator::try_claim`].
#[derive(Debug)]
#[non_exhaustive]
pub enum ClaimOutcome {
    /// The caller has to handle it.
    Claimed(Claim),
    /// Another receiver handles it, or has ended while handling it and its claim has not expired.
    InProgress,
    /// The delivery was handled.
    Done,
}

/// GitHub redelivers on request for three days.
const DEFAULT_RETENTION: Duration = Duration::from_secs(3 * 24 * 60 * 60);
const DEFAULT_CLAIM_TTL: Duration = Duration::from_secs(5 * 60);
const MIN_CLAIM_TTL: Duration = Duration::from_millis(100);
/// A claim, or the mark of a handled delivery.
const FORMAT: ValueFormat = ValueFormat::new("claim", 1);
const DONE_MARKER: &[u8] = b"done";
/// The mark of a handled delivery as it is stored.
static DONE: LazyLock<Bytes> = LazyLock::new(|| FORMAT.encode(DONE_MARKER));

impl Deduplicator {
    /// Creates a deduplicator with this store.
    pub fn new(store: impl Store) -> Self {
        Self { store: Arc::new(store), retention: DEFAULT_RETENTION, claim_ttl: DEFAULT_CLAIM_TTL }
    }

    /// Sets how long handled deliveries are remembered; three days by default, in which GitHub performs
    /// [redeliveries](https://docs.github.com/en/webhooks/testing-and-troubleshooting-webhooks/redelivering-webhooks)
    /// on request.
    #[must_use]
    pub fn retention(mut self, time: Duration) -> Self {
        self.retention = time;
        self
    }

    /// Sets the TTL of a claim, five minutes by default and 100 ms at least: after that, its holder counts as ended,
    /// and the delivery is accepted again. A [`WebhookReceiver`](super::WebhookReceiver) renews its claims while deliveries wait and
    /// are handled.
    #[must_use]
    pub fn claim_ttl(mut self, time: Duration) -> Self {
        self.claim_ttl = time.max(MIN_CLAIM_TTL);
        self
    }

    /// Claims a delivery; returns `None` if it was handled or another receiver holds the claim.
    ///
    /// # Errors
    /// If the store fails: the state of the delivery is unknown then, and it should be rejected so that GitHub can
    /// redeliver it.
    pub async fn claim(&self, delivery: &str) -> Result<Option<Claim>> {
        Ok(match self.try_claim(delivery).await? {
            ClaimOutcome::Claimed(claim) => Some(claim),
            ClaimOutcome::InProgress | ClaimOutcome::Done => None,
        })
    }

    /// Claims a delivery, and distinguishes handled deliveries from claimed ones.
    ///
    /// Only a handled delivery may be acknowledged: the holder of a claim might end before it is done, and then the
    /// delivery has to be redelivered.
    ///
    /// # Errors
    /// As for [`claim`](Self::claim).
    pub async fn try_claim(&self, delivery: &str) -> Result<ClaimOutcome> {
        let claim = self.claim_with(delivery, FORMAT.encode(ids::unique_id()));
        match self.try_claim_as(&claim).await {
            Ok(None) => Ok(ClaimOutcome::Claimed(claim)),
            Ok(Some(outcome)) => Ok(outcome),
            Err(error) => {
                // If the claim is in the store, it is released, so that it does not block another receiver.
                let _ = claim.release().await;
                Err(error)
            }
        }
    }

    /// Continues the claim of a holder that has ended, or one that might be lost: if it has not expired, or no other
    /// receiver has claimed the delivery meanwhile.
    #[cfg(feature = "webhooks-journal")]
    pub(super) async fn reclaim_by_token(
        &self,
        delivery: &str,
        token: Bytes,
    ) -> Result<ClaimOutcome> {
        self.reclaim(&self.claim_with(delivery, token)).await
    }

    /// Continues a claim that is available.
    pub(super) async fn reclaim(&self, claim: &Claim) -> Result<ClaimOutcome> {
        if claim.renew().await? {
            return Ok(ClaimOutcome::Claimed(claim.clone()));
        }
        let outcome = self.try_claim_as(claim).await?;
        Ok(outcome.unwrap_or_else(|| ClaimOutcome::Claimed(claim.clone())))
    }

    /// Claims with a value that might already be in the store. Returns `None` if the claim is acquired.
    async fn try_claim_as(&self, claim: &Claim) -> Result<Option<ClaimOutcome>> {
        let put = || self.store.put_if_absent(&claim.key, claim.token.clone(), self.claim_ttl);
        let claimed = match put().await {
            Ok(claimed) => claimed,
            // After a connection was cut silently, one command fails, and it might have been executed.
            Err(_) => put().await?,
        };
        if claimed {
            return Ok(None);
        }
        Ok(match self.store.get(&claim.key).await? {
            Some(held) if held == claim.token => None,
            // A value of a later version is left to its holder: GitHub can redeliver.
            Some(held) if FORMAT.decode(&held) == Ok(DONE_MARKER) => Some(ClaimOutcome::Done),
            _ => Some(ClaimOutcome::InProgress),
        })
    }

    fn claim_with(&self, delivery: &str, token: Bytes) -> Claim {
        Claim { deduplicator: self.clone(), key: key(delivery), token }
    }

    /// Returns the TTL of a claim.
    pub(super) fn effective_claim_ttl(&self) -> Duration {
        self.claim_ttl
    }
}

/// Returns a delivery's id unchanged, if it has GitHub's format, otherwise its digest.
fn key(delivery: &str) -> String {
    let plain = delivery.len() <= 64
        && delivery.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let digest;
    let name = if plain {
        delivery
    } else {
        digest = ids::hex(Sha256::digest(delivery));
        &*digest
    };
    ["delivery:", name].concat()
}

impl Claim {
    /// Returns the value that identifies this claim, for [`Deduplicator::reclaim_by_token`].
    #[cfg(feature = "webhooks-journal")]
    pub(super) fn token(&self) -> &Bytes {
        &self.token
    }

    /// Records the delivery as handled, so that it is not accepted again.
    ///
    /// # Errors
    /// If the store fails: the delivery might be accepted again after its TTL.
    pub async fn complete(self) -> Result<()> {
        self.mark_done().await
    }

    /// Records the same by reference, for callers that might have to repeat it.
    pub(super) async fn mark_done(&self) -> Result<()> {
        self.deduplicator.store.put(&self.key, DONE.clone(), self.deduplicator.retention).await
    }

    /// Releases the claim after a failure, so that the delivery is accepted again at once.
    ///
    /// # Errors
    /// If the store fails: the delivery is accepted again after the TTL.
    pub async fn release(self) -> Result<()> {
        self.deduplicator.store.remove_if_equal(&self.key, self.token.clone()).await.map(drop)
    }

    /// Renews the claim for its full TTL. Returns whether this claim is still the current one.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn renew(&self) -> Result<bool> {
        self.deduplicator
            .store
            .extend_if_equal(&self.key, self.token.clone(), self.deduplicator.claim_ttl)
            .await
    }
}

impl fmt::Debug for Deduplicator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deduplicator")
            .field("store", &self.store)
            .field("retention", &self.retention)
            .field("claim_ttl", &self.claim_ttl)
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
    use crate::store::MemoryStore;

    #[tokio::test]
    async fn concurrent_claims_of_a_delivery_have_one_winner() {
        let once = Deduplicator::new(MemoryStore::new());
        let claims = futures_util::future::join_all((0..100).map(|_| once.claim("d-1"))).await;
        let mut claims: Vec<_> = claims.into_iter().filter_map(Result::unwrap).collect();
        assert_eq!(claims.len(), 1);
        assert!(matches!(once.try_claim("d-1").await.unwrap(), ClaimOutcome::InProgress));
        claims.remove(0).complete().await.unwrap();
        assert!(matches!(once.try_claim("d-1").await.unwrap(), ClaimOutcome::Done));
        assert!(once.claim("d-1").await.unwrap().is_none());
        assert!(once.claim("d-2").await.unwrap().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn released_and_expired_claims_are_accepted_again_and_active_ones_are_not() {
        let once = Deduplicator::new(MemoryStore::new()).claim_ttl(Duration::from_secs(10));
        once.claim("failed").await.unwrap().unwrap().release().await.unwrap();
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
        long.release().await.unwrap();
        assert!(once.claim("long").await.unwrap().is_none());
        second.complete().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn completed_deliveries_are_remembered_for_three_days() {
        let once = Deduplicator::new(MemoryStore::new());
        once.claim("d").await.unwrap().unwrap().complete().await.unwrap();
        tokio::time::advance(DEFAULT_RETENTION - Duration::from_secs(1)).await;
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
