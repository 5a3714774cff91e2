//! The connections that can be closed to make room for others.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::progress::Stage;

/// A connection is not evicted before it has waited so long: its next bytes can be on the way, or in the socket's
/// buffer. It covers a round trip to the other side of the world.
pub(super) const MIN_WAIT: Duration = Duration::from_millis(250);
/// A response is not cut before it was left unread for so long.
pub(super) const MIN_UNREAD: Duration = Duration::from_secs(5);

/// The kinds of connections, in the order in which they are evicted: the less a client has done, the earlier. A body
/// that is in transfer comes last, since a delivery that is cut is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tier {
    /// No byte of a request has arrived.
    Idle,
    /// The headers are not complete.
    Headers,
    /// The response is not read.
    Unread,
    /// The body is not complete.
    Body,
}

impl Tier {
    pub(super) const ALL: [Self; 4] = [Self::Idle, Self::Headers, Self::Unread, Self::Body];

    /// A connection is not evicted before it has had its place for so long.
    pub(super) fn min_wait(self) -> Duration {
        match self {
            Self::Unread => MIN_UNREAD,
            Self::Idle | Self::Headers | Self::Body => MIN_WAIT,
        }
    }
}

/// The place of a connection: its tier, and since when it waits there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) tier: Tier,
    pub(super) since: Instant,
}

/// Whether a connection was evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Eviction {
    Done,
    /// None can be evicted before this time.
    At(Instant),
    /// No connection waits.
    Impossible,
}

/// Connections in the order in which they are evicted: by tier, and by the time of their place. Those that have waited
/// for too short a time are passed over.
#[derive(Debug, Default)]
pub(super) struct EvictionQueue {
    members: Mutex<Members>,
    /// Told when a connection joins: it can be evicted.
    joined: Notify,
}

#[derive(Debug, Default)]
struct Members {
    next: u64,
    waiting: BTreeMap<Ticket, watch::Sender<Stage>>,
}

/// The place of a connection, and a number by which those that came at the same time are in order.
pub(super) type Ticket = (Place, u64);

impl EvictionQueue {
    /// Adds a connection.
    pub(super) fn join(&self, place: Place, stage: &watch::Sender<Stage>) -> Ticket {
        let mut members = self.members();
        let ticket = (place, members.next);
        members.next = members.next.wrapping_add(1);
        members.waiting.insert(ticket, stage.clone());
        self.joined.notify_one();
        ticket
    }

    /// Removes a connection. Returns `false` if it was evicted before.
    pub(super) fn leave(&self, ticket: Ticket) -> bool {
        self.members().waiting.remove(&ticket).is_some()
    }

    /// Evicts the first connection that has waited long enough.
    pub(super) fn evict(&self) -> Eviction {
        let mut members = self.members();
        let now = Instant::now();
        let mut earliest = None;
        for tier in Tier::ALL {
            let mut of_tier = members.waiting.keys().skip_while(|(place, _)| place.tier < tier);
            let first = of_tier.next().copied().filter(|(place, _)| place.tier == tier);
            let Some(key) = first else { continue };
            match key.0.since.checked_add(tier.min_wait()) {
                Some(at) if at > now => {
                    earliest = Some(earliest.map_or(at, |earliest: Instant| earliest.min(at)));
                }
                _ => {
                    if let Some(stage) = members.waiting.remove(&key) {
                        stage.send_replace(Stage::Evicted);
                    }
                    return Eviction::Done;
                }
            }
        }
        earliest.map_or(Eviction::Impossible, Eviction::At)
    }

    /// Waits until a connection joins. There is one caller at a time.
    pub(super) async fn joined(&self) {
        self.joined.notified().await;
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
