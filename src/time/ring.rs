//! Values of the last minutes or seconds, one for each.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::VecDeque;

/// The values of the last intervals. Intervals without events take no memory.
#[derive(Debug)]
pub(crate) struct TimeRing<T> {
    buckets: VecDeque<(u64, T)>,
    capacity: u64,
}

impl<T: Default> TimeRing<T> {
    /// Creates a ring of at most this number of intervals, including the current one.
    pub(crate) fn new(most: u64) -> Self {
        Self { buckets: VecDeque::new(), capacity: most.max(1) }
    }

    /// Returns the value of the interval with this number. Numbers do not decrease: an earlier number counts in the
    /// latest interval.
    pub(crate) fn bucket_mut(&mut self, part: u64) -> &mut T {
        if self.buckets.back().is_none_or(|(last, _)| *last < part) {
            self.buckets.push_back((part, T::default()));
            while self
                .buckets
                .front()
                .is_some_and(|(first, _)| first.saturating_add(self.capacity) <= part)
            {
                self.buckets.pop_front();
            }
        }
        let last = self.buckets.len().saturating_sub(1);
        // The ring contains at least one interval, which was added above or existed before.
        &mut self.buckets[last].1
    }

    /// Returns the intervals from this number on.
    pub(crate) fn since(&self, part: u64) -> impl DoubleEndedIterator<Item = (u64, &T)> {
        let from = self.buckets.partition_point(|(at, _)| *at < part);
        self.buckets.range(from..).map(|(at, value)| (*at, value))
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
            let (mut ring, mut now, mut all) = (TimeRing::<u64>::new(most), 0, Vec::new());
            for step in steps {
                now += step;
                *ring.bucket_mut(now) += 1;
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
