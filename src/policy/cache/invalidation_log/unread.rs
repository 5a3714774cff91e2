//! The part of the invalidation log that the client reads next.

use std::time::SystemTime;

use super::shared_log::{MAX_HEAD_BYTES, MAX_STORED_BYTES, SharedLog};
use crate::time::clock;

/// Which task reads a part of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ReadUrgency {
    /// The call that looks up an entry, while it has time; otherwise a task.
    #[default]
    Now,
    /// The call, if it can return a stored response; otherwise a task.
    IfNeeded,
    /// A task, which first begins the log again: the log has no readable number.
    Lost,
}

/// The values of the log to read: a hint at its end, and consecutive invalidations.
#[derive(Debug, Default)]
pub(crate) struct UnreadRange {
    /// The number before the first invalidation.
    pub(super) after_sequence: u64,
    /// Whether the hint was read before, and is not read again.
    pub(super) is_last: bool,
    pub(crate) urgency: ReadUrgency,
    pub(crate) names: Vec<String>,
}

impl UnreadRange {
    pub(super) fn after(shared: &SharedLog, after: u64, invalidations: u64) -> Self {
        let numbers = (1..=invalidations).map_while(|ahead| after.checked_add(ahead));
        let invalidations = numbers.map(|number| shared.entry_key(number));
        let names = std::iter::once(shared.head_key()).chain(invalidations).collect();
        Self { after_sequence: after, is_last: false, urgency: ReadUrgency::Now, names }
    }

    /// Returns the keys, each with the largest size of its value in bytes.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (&str, usize)> {
        let bounds = std::iter::once(MAX_HEAD_BYTES).chain(std::iter::repeat(MAX_STORED_BYTES));
        self.names.iter().map(String::as_str).zip(bounds)
    }

    /// Returns the number that a log begins with if none might exist: only for a log of which nothing is known.
    pub(crate) fn initial_sequence(&self) -> Option<u64> {
        let start = clock::unix_millis(SystemTime::now());
        (self.after_sequence == 0 && !self.names.is_empty()).then_some(start)
    }
}
