//! The invalidations that this process knows.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::invalidation::{Invalidation, PURGE_ALL};

/// The maximum number of known invalidations; entries from before them must be revalidated.
pub(super) const MAX_LOG_ENTRIES: usize = 1_000;

#[derive(Debug, Default)]
pub(super) struct LogState {
    /// All invalidations after this number are known; earlier invalidations are not.
    pub(super) oldest_known: u64,
    /// The number of the last invalidation that is known.
    pub(super) last_sequence: u64,
    pub(super) known: VecDeque<(u64, Invalidation)>,
    /// The invalidations of this process that are not known to be in the log.
    pub(super) own_invalidations: Vec<OwnInvalidation>,
    /// The number of invalidations that this process has recorded.
    pub(super) recorded_count: u64,
    pub(super) read: Option<Instant>,
}

/// An invalidation of this process.
#[derive(Debug)]
pub(super) struct OwnInvalidation {
    /// Its number among the invalidations that this process recorded. Invalidations can be equal.
    pub(super) id: u64,
    /// The id of the first invalidation that this one replaces.
    pub(super) first_id: u64,
    /// Its number in the log, once the store has accepted it.
    pub(super) sequence: Option<u64>,
    pub(super) invalidation: Invalidation,
}

impl LogState {
    /// Begins the log again: nothing is known of the invalidations before this number.
    pub(super) fn reset(&mut self, hint: u64) {
        self.known.clear();
        (self.oldest_known, self.last_sequence, self.read) = (hint, hint, None);
        // A number far above the others belongs to the earlier log.
        let horizon = self.visible_sequence();
        self.own_invalidations.retain(|own| own.sequence.is_none_or(|number| number <= horizon));
    }

    /// Returns whether the log, which has reached about this number, is another log than the one that was read before.
    /// It can lag behind by the invalidations that others write at the same time.
    pub(super) fn was_replaced(&self, hint: u64) -> bool {
        self.last_sequence > hint.saturating_add(MAX_LOG_ENTRIES as u64)
    }

    /// Returns the largest number that an entry can have: others can know a few invalidations more, and store entries with
    /// them.
    pub(super) fn visible_sequence(&self) -> u64 {
        self.last_sequence.saturating_add(MAX_LOG_ENTRIES as u64)
    }

    pub(super) fn append(&mut self, number: u64, invalidation: Invalidation) {
        self.last_sequence = number;
        self.known.push_back((number, invalidation));
        if self.known.len() > MAX_LOG_ENTRIES
            && let Some((number, _)) = self.known.pop_front()
        {
            self.oldest_known = number;
        }
    }

    /// Holds an invalidation of this process until it is in the log. If there are too many, one replaces them all.
    pub(super) fn hold(&mut self, invalidation: Invalidation) {
        self.recorded_count = self.recorded_count.saturating_add(1);
        let id = self.recorded_count;
        if self.own_invalidations.len() >= MAX_LOG_ENTRIES {
            self.drop_acknowledged();
        }
        let mut own = OwnInvalidation { id, first_id: id, sequence: None, invalidation };
        if self.own_invalidations.len() >= MAX_LOG_ENTRIES {
            own.first_id = self.own_invalidations.first().map_or(id, |first| first.first_id);
            own.invalidation = PURGE_ALL;
            self.own_invalidations.clear();
        }
        self.own_invalidations.push(own);
    }

    /// Drops the invalidations that the store has. The invalidations between them are not known, so that nothing is known any longer
    /// from before the last of them.
    fn drop_acknowledged(&mut self) {
        let written = self.own_invalidations.iter().filter_map(|own| own.sequence).max();
        self.own_invalidations.retain(|own| own.sequence.is_none());
        if let Some(number) = written.filter(|number| *number > self.last_sequence) {
            self.reset(number);
        }
    }
}
