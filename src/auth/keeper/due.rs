//! A moment by both clocks.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// A moment that has come as soon as either clock says so.
///
/// The monotonic clock stands still while a machine sleeps, and the wall clock may be set back.
/// Coming too early costs one renewal, coming too late a failed call.
#[derive(Debug)]
pub(super) struct Due {
    monotonic: Option<Instant>,
    wall: Option<SystemTime>,
}

impl Due {
    pub(super) fn after(time: Duration) -> Self {
        Self {
            monotonic: Instant::now().checked_add(time),
            wall: SystemTime::now().checked_add(time),
        }
    }

    pub(super) fn has_come(&self) -> bool {
        self.monotonic.is_some_and(|due| Instant::now() >= due)
            || self.wall.is_some_and(|due| SystemTime::now() >= due)
    }
}
