//! Numbers of the last minutes or seconds, each of its own.

use std::collections::VecDeque;

/// What happened in each of the last parts of time. Parts in which nothing happened take no room.
#[derive(Debug)]
pub(super) struct Ring<T> {
    parts: VecDeque<(u64, T)>,
    most: u64,
}

impl<T: Default> Ring<T> {
    /// Keeps so many parts at most, with the one that goes on.
    pub(super) fn new(most: u64) -> Self {
        Self { parts: VecDeque::new(), most: most.max(1) }
    }

    /// The part of this number, which does not go back; what is earlier counts in the latest.
    pub(super) fn at(&mut self, part: u64) -> &mut T {
        if self.parts.back().is_none_or(|(last, _)| *last < part) {
            self.parts.push_back((part, T::default()));
            while self.parts.front().is_some_and(|(first, _)| part - first >= self.most) {
                self.parts.pop_front();
            }
        }
        let last = self.parts.len() - 1;
        // It holds one at least, which was just put there or was there before.
        &mut self.parts[last].1
    }

    /// The parts from this number on.
    pub(super) fn since(&self, part: u64) -> impl DoubleEndedIterator<Item = (u64, &T)> {
        let from = self.parts.partition_point(|(at, _)| *at < part);
        self.parts.range(from..).map(|(at, value)| (*at, value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_more_parts_are_kept_and_each_has_its_own(
            most in 1_u64..20,
            steps in prop::collection::vec(0_u64..5, 1..100),
            since in 0_u64..200,
        ) {
            let (mut ring, mut now, mut all) = (Ring::<u64>::new(most), 0, Vec::new());
            for step in steps {
                now += step;
                *ring.at(now) += 1;
                all.push(now);
            }
            let kept: Vec<_> = ring.since(0).collect();
            prop_assert!(kept.len() as u64 <= most);
            for (at, count) in kept {
                prop_assert!(at + most > now);
                prop_assert_eq!(*count, all.iter().filter(|it| **it == at).count() as u64);
            }
            let expected = all.iter().filter(|at| **at >= since && **at + most > now).count() as u64;
            prop_assert_eq!(ring.since(since).map(|(_, count)| *count).sum::<u64>(), expected);
        }
    }
}
