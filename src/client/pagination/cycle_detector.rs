//! The fetched pages of a list, in constant memory, to detect links that form a cycle and pages that repeat.

use std::collections::VecDeque;

/// Remembers the latest pages exactly, and samples older ones. A page is identified by a digest of its URL or of its
/// body.
///
/// A cycle of up to [`MAX_REMEMBERED`] pages is detected at once. A longer one is detected after one pass, by Brent's
/// algorithm: one older page is kept, each time twice as far along, and the cycle reaches it again.
#[derive(Debug, Default)]
pub(super) struct CycleDetector {
    recent: VecDeque<u64>,
    checkpoint: Option<u64>,
    count: u64,
    next_checkpoint: u64,
}

/// 8 KiB for each list; more pages than nearly any list has.
const MAX_REMEMBERED: usize = 1024;

impl CycleDetector {
    pub(super) fn insert(&mut self, page: u64) {
        if self.recent.len() == MAX_REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(page);
        if self.count >= self.next_checkpoint {
            self.checkpoint = Some(page);
            self.next_checkpoint = self.count.saturating_mul(2).max(1);
        }
        self.count = self.count.saturating_add(1);
    }

    pub(super) fn contains(&self, page: u64) -> bool {
        self.checkpoint == Some(page) || self.recent.contains(&page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the step at which a walk of this tail and cycle is stopped.
    fn stopped_at(tail: u64, circle: u64) -> u64 {
        let mut visited = CycleDetector::default();
        let page = |step: u64| if step < tail { step } else { tail + (step - tail) % circle };
        let mut steps = 0..10 * (tail + circle);
        steps
            .find(|step| {
                visited.insert(page(*step));
                visited.contains(page(step + 1))
            })
            .unwrap()
    }

    #[test]
    fn a_small_circle_is_noticed_at_once() {
        for (tail, circle) in [(0, 1), (0, 2), (5, 3), (3000, 7), (10, 1024)] {
            assert_eq!(stopped_at(tail, circle), tail + circle - 1);
        }
    }

    #[test]
    fn a_large_circle_is_noticed() {
        assert!(stopped_at(100, 5000) < 4 * 5100);
    }

    #[test]
    fn memory_is_constant() {
        let mut visited = CycleDetector::default();
        for page in 0..5000 {
            visited.insert(page);
        }
        assert_eq!(visited.recent.len(), MAX_REMEMBERED);
    }
}
