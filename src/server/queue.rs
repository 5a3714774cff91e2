//! The connections that can be closed to accept others.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::progress::Stage;
use super::socket::SocketProbe;

/// The minimum wait before a connection is evicted: its next bytes might be on the way. It covers a round trip around
/// the world. A new connection waits for as long, so that no transfer is cut for it.
pub(super) const MIN_WAIT: Duration = Duration::from_millis(250);
/// The minimum time for which a response is unread before it is cut.
pub(super) const MIN_UNREAD: Duration = Duration::from_secs(5);

/// The kinds of connections, in the order in which they are evicted: the less progress a client has made, the earlier.
/// A body in transfer comes last, since an interrupted delivery is lost.
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

    /// Returns the minimum time in this tier before eviction.
    pub(super) fn min_wait(self) -> Duration {
        match self {
            Self::Unread => MIN_UNREAD,
            Self::Idle | Self::Headers | Self::Body => MIN_WAIT,
        }
    }

    /// Returns whether the client is in the middle of a request that is served, or of its response.
    fn is_transfer(self) -> bool {
        matches!(self, Self::Unread | Self::Body)
    }

    /// Returns whether the server reads the client's bytes. While a response is written, it does not.
    fn is_read(self) -> bool {
        self != Self::Unread
    }
}

/// The position of a connection: its tier, and since when it waits there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EvictionPosition {
    pub(super) tier: Tier,
    pub(super) since: Instant,
}

/// The outcome of an eviction attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Eviction {
    Done,
    /// No connection can be evicted before this time.
    At(Instant),
    /// No connection waits.
    Impossible,
}

/// Connections in eviction order: by tier, and by the start of their wait. The queue skips connections that have waited
/// for too short a time, and those with unread bytes in the socket.
#[derive(Debug, Default)]
pub(super) struct EvictionQueue {
    members: Mutex<Members>,
    /// Notified when a connection joins: it can be evicted.
    joined: Notify,
}

#[derive(Debug, Default)]
struct Members {
    next: u64,
    waiting: BTreeMap<Ticket, Member>,
}

/// A connection in the queue.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) stage: watch::Sender<Stage>,
    pub(super) probe: SocketProbe,
}

/// The position of a connection, and a sequence number that orders connections of the same instant.
pub(super) type Ticket = (EvictionPosition, u64);

impl EvictionQueue {
    /// Adds a connection.
    pub(super) fn join(&self, place: EvictionPosition, member: Member) -> Ticket {
        let mut members = self.members();
        let ticket = (place, members.next);
        members.next = members.next.wrapping_add(1);
        members.waiting.insert(ticket, member);
        self.joined.notify_one();
        ticket
    }

    /// Removes a connection. Returns `false` if it was evicted before.
    pub(super) fn leave(&self, ticket: Ticket) -> bool {
        self.members().waiting.remove(&ticket).is_some()
    }

    /// Evicts the first connection that has waited long enough, for a new one that has waited since `waiting_since`.
    ///
    /// While a lower tier has a connection, no transfer is cut for a new connection that has waited for less than
    /// [`MIN_WAIT`]: most likely, the connection of the lower tier can be evicted before that time has passed.
    pub(super) fn evict(&self, waiting_since: Instant) -> Eviction {
        let mut members = self.members();
        let now = Instant::now();
        let spare_until = waiting_since.checked_add(MIN_WAIT).filter(|until| *until > now);
        // The server reads the waiting bytes of a socket until then.
        let next_look = spare_until.or_else(|| now.checked_add(MIN_WAIT));
        let mut earliest: Option<Instant> = None;
        let mut evicted = None;
        'tiers: for tier in Tier::ALL {
            // A lower tier has a connection if one was skipped.
            let spare_until = spare_until.filter(|_| tier.is_transfer() && earliest.is_some());
            let of_tier = members.waiting.iter().skip_while(|((place, _), _)| place.tier < tier);
            for (ticket, member) in of_tier.take_while(|((place, _), _)| place.tier == tier) {
                let ripe = ticket.0.since.checked_add(tier.min_wait()).max(spare_until);
                let is_ripe = ripe.is_none_or(|at| at <= now);
                if is_ripe && !(tier.is_read() && member.probe.has_bytes()) {
                    evicted = Some(*ticket);
                    break 'tiers;
                }
                let at = if is_ripe { next_look } else { ripe };
                earliest = earliest.into_iter().chain(at).min();
                if !is_ripe {
                    // The others of this tier joined later.
                    break;
                }
            }
        }
        match evicted.and_then(|ticket| members.waiting.remove(&ticket)) {
            Some(member) => {
                member.stage.send_replace(Stage::Evicted);
                Eviction::Done
            }
            None => earliest.map_or(Eviction::Impossible, Eviction::At),
        }
    }

    /// Waits until a connection joins. There is only one caller at a time.
    pub(super) async fn joined(&self) {
        self.joined.notified().await;
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
