//! Each delivery once, however often it comes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::names;
use crate::store::Store;

/// Remembers deliveries in a [store](crate::store), so that of those who get the same one, one handles
/// it: in a process, on a machine or in a fleet, as far as the store is shared.
///
/// GitHub [names](https://docs.github.com/en/webhooks/webhook-events-and-payloads#delivery-headers)
/// what happened by a GUID in `X-GitHub-Delivery`, and repeats it when it delivers again. All webhooks
/// that are told of it have the same GUID: who has several asks by
/// [`Delivery::key`](super::Delivery::key), which tells them apart.
///
/// A store forgets: [`Memory`](crate::store::Memory) whatever was not asked for longest when it is
/// full (64 MiB are some 280,000 deliveries, and fewer if a cache shares it), and all when the process
/// ends; Redis what its memory policy says.
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

/// The right to handle a delivery: [`Once::claim`].
///
/// Dropped, it lasts until its time is over; then the delivery is accepted again.
#[derive(Clone)]
#[must_use = "a claim that is neither done nor failed keeps its delivery from being accepted again"]
pub struct Claim {
    once: Once,
    key: String,
    token: Bytes,
}

/// What came of asking for a delivery: [`Once::take`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Taken {
    /// It is to be handled.
    Claimed(Claim),
    /// Somebody handles it, or has ended while handling it and is waited for.
    InProgress,
    /// It was handled.
    Done,
}

/// GitHub delivers again for three days.
const KEEP: Duration = Duration::from_secs(3 * 24 * 60 * 60);
const LASTS: Duration = Duration::from_secs(5 * 60);
const SHORTEST_CLAIM: Duration = Duration::from_millis(100);
const DONE: &[u8] = b"done";

impl Once {
    /// In this store.
    pub fn new(store: impl Store) -> Self {
        Self { store: Arc::new(store), keep: KEEP, lasts: LASTS }
    }

    /// How long a delivery is remembered that was handled; three days by default, in which GitHub
    /// [delivers again](https://docs.github.com/en/webhooks/testing-and-troubleshooting-webhooks/redelivering-webhooks)
    /// what it is asked to.
    #[must_use]
    pub fn keep(mut self, time: Duration) -> Self {
        self.keep = time;
        self
    }

    /// How long a claim lasts, five minutes by default and 100 ms at least: after that, whoever has it
    /// is taken to have ended, and the delivery is accepted again. A [`Receiver`](super::Receiver)
    /// renews its claims for as long as deliveries wait and are handled.
    #[must_use]
    pub fn claims_last(mut self, time: Duration) -> Self {
        self.lasts = time.max(SHORTEST_CLAIM);
        self
    }

    /// The right to handle a delivery; `None` if it was handled or somebody does.
    ///
    /// # Errors
    /// If the store fails: nothing is known of the delivery then, and it should be refused so that
    /// GitHub can deliver it again.
    pub async fn claim(&self, delivery: &str) -> Result<Option<Claim>> {
        Ok(match self.take(delivery).await? {
            Taken::Claimed(claim) => Some(claim),
            Taken::InProgress | Taken::Done => None,
        })
    }

    /// The same, telling what was handled from what somebody handles.
    ///
    /// Only the former may be acknowledged: whoever handles the latter may end before it is done, and
    /// then it has to be delivered again.
    ///
    /// # Errors
    /// As for [`claim`](Self::claim).
    pub async fn take(&self, delivery: &str) -> Result<Taken> {
        let claim = self.claim_as(delivery, Bytes::from(names::unique()));
        let taken = self.take_as(claim.clone()).await;
        if taken.is_err() {
            // Should it be in the store, it keeps nobody waiting.
            let _ = claim.failed().await;
        }
        taken
    }

    /// Goes on with the claim of somebody who has ended, or one that may be lost: if it lasts still, or
    /// nobody else has claimed the delivery meanwhile.
    #[cfg(feature = "webhooks-journal")]
    pub(super) async fn resume(&self, delivery: &str, token: Bytes) -> Result<Taken> {
        self.retake(&self.claim_as(delivery, token)).await
    }

    /// The same for a claim that is at hand.
    pub(super) async fn retake(&self, claim: &Claim) -> Result<Taken> {
        match claim.renew().await? {
            true => Ok(Taken::Claimed(claim.clone())),
            false => self.take_as(claim.clone()).await,
        }
    }

    /// Asks with a claim that may be in the store already.
    async fn take_as(&self, claim: Claim) -> Result<Taken> {
        let ask = || self.store.claim(&claim.key, claim.token.clone(), self.lasts);
        let claimed = match ask().await {
            Ok(claimed) => claimed,
            // A connection that was cut in silence fails one command, and that may have been
            // carried out.
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

    /// How long a claim lasts.
    pub(super) fn lasts(&self) -> Duration {
        self.lasts
    }
}

/// A delivery's name as it is, if it looks like GitHub's, else its digest.
fn key(delivery: &str) -> String {
    let plain = delivery.len() <= 64
        && delivery.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if plain {
        return format!("delivery:{delivery}");
    }
    format!("delivery:{}", names::hex(Sha256::digest(delivery)))
}

impl Claim {
    /// What shows that it is this claim, for [`Once::resume`].
    #[cfg(feature = "webhooks-journal")]
    pub(super) fn token(&self) -> &Bytes {
        &self.token
    }

    /// The delivery is handled, and is not accepted again.
    ///
    /// # Errors
    /// If the store fails: the delivery may be accepted again after its time.
    pub async fn done(self) -> Result<()> {
        self.note_done().await
    }

    /// The same, for who may have to do it again.
    pub(super) async fn note_done(&self) -> Result<()> {
        self.once.store.put(&self.key, Bytes::from_static(DONE), self.once.keep).await
    }

    /// It could not be handled, and is accepted again at once.
    ///
    /// # Errors
    /// If the store fails: it is accepted again after its time.
    pub async fn failed(self) -> Result<()> {
        self.once.store.release(&self.key, self.token.clone()).await.map(drop)
    }

    /// Handling it goes on: its time begins anew. Says whether it is still this one's.
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
        // The first one is too late, and takes nothing from the second.
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
