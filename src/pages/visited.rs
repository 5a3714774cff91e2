//! Which pages were fetched, in constant memory, to notice links that run in a circle.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};

use url::Url;

/// Remembers the latest pages exactly, and older ones well enough.
///
/// A circle of up to [`REMEMBERED`] pages is noticed at once. A larger one is noticed after it
/// was gone round, by Brent's algorithm: of the older pages one is kept, each time twice as far
/// along, and a circle comes by it again.
#[derive(Debug, Default)]
pub(super) struct Visited {
    hasher: RandomState,
    latest: VecDeque<u64>,
    landmark: Option<u64>,
    count: u64,
    next_landmark: u64,
}

/// 8 KiB a list; more pages than nearly any list has.
const REMEMBERED: usize = 1024;

impl Visited {
    pub(super) fn insert(&mut self, url: &Url) {
        let hash = self.hasher.hash_one(url.as_str());
        if self.latest.len() == REMEMBERED {
            self.latest.pop_front();
        }
        self.latest.push_back(hash);
        if self.count >= self.next_landmark {
            self.landmark = Some(hash);
            self.next_landmark = (2 * self.count).max(1);
        }
        self.count += 1;
    }

    pub(super) fn contains(&self, url: &Url) -> bool {
        let hash = self.hasher.hash_one(url.as_str());
        self.landmark == Some(hash) || self.latest.contains(&hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The step at which a walk of this tail and circle is stopped.
    fn stopped_at(tail: u64, circle: u64) -> u64 {
        let mut visited = Visited::default();
        let url = |step: u64| {
            let page = if step < tail { step } else { tail + (step - tail) % circle };
            Url::parse(&format!("https://a/?page={page}")).unwrap()
        };
        let mut steps = 0..10 * (tail + circle);
        steps
            .find(|step| {
                visited.insert(&url(*step));
                visited.contains(&url(step + 1))
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
        let mut visited = Visited::default();
        for page in 0..5000 {
            visited.insert(&Url::parse(&format!("https://a/?page={page}")).unwrap());
        }
        assert_eq!(visited.latest.len(), REMEMBERED);
    }
}
