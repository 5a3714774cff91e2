//! The connections that wait for a complete request, in the order in which they began to wait.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::progress::Stage;

/// A connection is not evicted before it has waited so long: its request can be on the way, or in the socket's
/// buffer. It covers a round trip to the other side of the world.
pub(super) const MIN_WAIT: Duration = Duration::from_millis(250);

/// Whether a connection was evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Eviction {
    Done,
    /// The connection that has waited longest can be evicted at this time.
    At(Instant),
    /// No connection waits.
    Impossible,
}

#[derive(Debug, Default)]
pub(super) struct EvictionQueue {
    members: Mutex<Members>,
    /// Told when a connection joins: it can be evicted.
    joined: Notify,
}

#[derive(Debug, Default)]
struct Members {
    next: u64,
    by_number: BTreeMap<u64, (Instant, watch::Sender<Stage>)>,
}

impl EvictionQueue {
    /// Adds a connection at the end, and returns its number.
    pub(super) fn join(&self, stage: &watch::Sender<Stage>) -> u64 {
        let mut members = self.members();
        let number = members.next;
        members.next = number.wrapping_add(1);
        members.by_number.insert(number, (Instant::now(), stage.clone()));
        self.joined.notify_one();
        number
    }

    /// Removes a connection. Returns `false` if it was evicted before.
    pub(super) fn leave(&self, number: u64) -> bool {
        self.members().by_number.remove(&number).is_some()
    }

    /// Evicts the connection that has waited longest, if it has waited for [`MIN_WAIT`].
    pub(super) fn evict_longest(&self) -> Eviction {
        let mut members = self.members();
        let Some(first) = members.by_number.first_entry() else { return Eviction::Impossible };
        let (since, _) = first.get();
        match since.checked_add(MIN_WAIT) {
            Some(at) if at > Instant::now() => Eviction::At(at),
            _ => {
                let (_, stage) = first.remove();
                stage.send_replace(Stage::Evicted);
                Eviction::Done
            }
        }
    }

    /// Waits until a connection joins. There is one caller at a time.
    pub(super) async fn joined(&self) {
        self.joined.notified().await;
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
