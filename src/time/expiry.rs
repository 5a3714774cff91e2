//! An instant on both clocks.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// An instant that is due as soon as either clock has reached it.
///
/// The monotonic clock stands still while a machine sleeps, and the wall clock can be set back. Being early costs one
/// refresh, being late a failed call.
#[derive(Debug)]
pub(crate) struct Expiry {
    monotonic: Option<Instant>,
    wall: Option<SystemTime>,
}

impl Expiry {
    pub(crate) fn after(time: Duration) -> Self {
        Self {
            monotonic: Instant::now().checked_add(time),
            wall: SystemTime::now().checked_add(time),
        }
    }

    pub(crate) fn has_passed(&self) -> bool {
        self.monotonic.is_some_and(|due| Instant::now() >= due)
            || self.wall.is_some_and(|due| SystemTime::now() >= due)
    }
}
