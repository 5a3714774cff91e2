//! The deviations that a checker keeps: bounded, the most severe and most frequent ones.

use std::cmp::Reverse;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, HashMap};
use std::hash::{Hash, Hasher};

use super::checker::ObservedDeviation;
use super::deviation::{Deviation, DeviationKind};

/// Deviations by operation, kind and location, up to a maximum number.
///
/// If another one arrives, the table drops the least severe; of those the least frequent, and of those the
/// latest. It still counts the dropped ones, by a digest, so that one returns as soon as it is more frequent
/// than a kept one. These counts are bounded as well: if there are too many, the less relevant half is
/// discarded.
#[derive(Debug)]
pub(super) struct DeviationTable {
    capacity: usize,
    entries: HashMap<Key, TableEntry>,
    /// The ranks of all kept deviations, the lowest first.
    ranks: BTreeSet<Rank>,
    candidates: HashMap<u64, Candidate>,
    /// The number of entries made so far, which numbers them.
    next_number: u64,
    dropped: u64,
}

type Key = (String, DeviationKind, String);

/// The severity, the count, and the number of the entry, of which a later one ranks lower.
type Rank = (u8, u64, Reverse<u64>, Key);

#[derive(Debug)]
struct TableEntry {
    deviation: ObservedDeviation,
    number: u64,
}

/// The counts of a dropped deviation.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    severity: u8,
    times: u64,
    logged: bool,
}

/// Maximum number of counts of dropped deviations, for each kept one.
const CANDIDATES: usize = 8;

impl DeviationTable {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            entries: HashMap::new(),
            ranks: BTreeSet::new(),
            candidates: HashMap::new(),
            next_number: 0,
            dropped: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn deviations(&self) -> impl Iterator<Item = &ObservedDeviation> {
        self.entries.values().map(|kept| &kept.deviation)
    }

    /// Returns the number of occurrences of deviations that are not kept.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Counts a deviation. Returns whether it is kept for the first time, and should be logged.
    pub(super) fn record(&mut self, deviation: &Deviation, request_id: Option<&str>) -> bool {
        let place = without_indices(&deviation.path);
        let key: Key = (deviation.operation.clone(), deviation.kind, place);
        let severity = deviation.kind.severity();
        if let Some(kept) = self.entries.get_mut(&key) {
            let number = Reverse(kept.number);
            let mut rank = (severity, kept.deviation.count, number, key);
            self.ranks.remove(&rank);
            kept.deviation.count = kept.deviation.count.saturating_add(1);
            rank.1 = rank.1.saturating_add(1);
            self.ranks.insert(rank);
            return false;
        }
        let digest = digest(&key);
        let known = self.candidates.get(&digest).copied();
        let times = known.map_or(0, |known| known.times).saturating_add(1);
        if self.entries.len() >= self.capacity {
            let lowest = self.ranks.first().map(|(severity, times, ..)| (*severity, *times));
            if lowest.is_some_and(|lowest| (severity, times) <= lowest) {
                self.dropped = self.dropped.saturating_add(1);
                let logged = known.is_some_and(|known| known.logged);
                self.insert(digest, Candidate { severity, times, logged });
                return false;
            }
            self.drop_lowest();
        }
        self.candidates.remove(&digest);
        // All earlier occurrences were dropped until now.
        self.dropped = self.dropped.saturating_sub(times.saturating_sub(1));
        self.next_number = self.next_number.saturating_add(1);
        self.ranks.insert((severity, times, Reverse(self.next_number), key.clone()));
        let seen = ObservedDeviation {
            deviation: deviation.clone(),
            request_id: request_id.map(str::to_owned),
            count: times,
        };
        self.entries.insert(key, TableEntry { deviation: seen, number: self.next_number });
        !known.is_some_and(|known| known.logged)
    }

    fn drop_lowest(&mut self) {
        let Some((severity, times, _, key)) = self.ranks.pop_first() else { return };
        self.entries.remove(&key);
        self.dropped = self.dropped.saturating_add(times);
        self.insert(digest(&key), Candidate { severity, times, logged: true });
    }

    fn insert(&mut self, digest: u64, candidate: Candidate) {
        let most = self.capacity.saturating_mul(CANDIDATES);
        if self.candidates.len() >= most && !self.candidates.contains_key(&digest) {
            let mut all: Vec<_> = self.candidates.drain().collect();
            all.sort_unstable_by_key(|(digest, known)| {
                Reverse((known.severity, known.times, *digest))
            });
            all.truncate(most / 2);
            self.candidates.extend(all);
        }
        self.candidates.insert(digest, candidate);
    }
}

/// Stable across runs, unlike the hash of a map.
fn digest(key: &Key) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// A path with `[]` for each index, so that all items of a list are one place.
fn without_indices(path: &str) -> String {
    let mut place = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('[') {
        place.push_str(before);
        place.push('[');
        rest = after.trim_start_matches(|character: char| character.is_ascii_digit());
    }
    place.push_str(rest);
    place
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KINDS: [DeviationKind; 4] = [
        DeviationKind::UndocumentedProperty,
        DeviationKind::UnknownValue,
        DeviationKind::UndocumentedStatus,
        DeviationKind::WrongType,
    ];

    fn deviation(kind: DeviationKind, place: usize) -> Deviation {
        Deviation::new("issues/get", kind, format!("$.p{place}"), "it differs")
    }

    fn kept(table: &DeviationTable) -> Vec<(u8, u64)> {
        let mut kept: Vec<_> =
            table.deviations().map(|seen| (seen.deviation.kind.severity(), seen.count)).collect();
        kept.sort_unstable();
        kept
    }

    #[test]
    fn a_severe_deviation_that_comes_late_replaces_the_least_severe_and_least_frequent() {
        let mut table = DeviationTable::new(3);
        for (place, times) in [(1, 5), (2, 2), (3, 9), (4, 1)] {
            for _ in 0..times {
                table.record(&deviation(DeviationKind::UndocumentedProperty, place), None);
            }
        }
        assert_eq!((kept(&table), table.dropped()), (vec![(0, 2), (0, 5), (0, 9)], 1));
        assert!(table.record(&deviation(DeviationKind::WrongType, 9), Some("AB:1")));
        assert_eq!((kept(&table), table.dropped()), (vec![(0, 5), (0, 9), (3, 1)], 3));
        // A dropped deviation returns when it is more frequent, with its full count.
        for _ in 0..3 {
            table.record(&deviation(DeviationKind::UndocumentedProperty, 2), None);
        }
        assert_eq!((kept(&table), table.dropped()), (vec![(0, 5), (0, 9), (3, 1)], 6));
        assert!(!table.record(&deviation(DeviationKind::UndocumentedProperty, 2), None));
        assert_eq!((kept(&table), table.dropped()), (vec![(0, 6), (0, 9), (3, 1)], 6));
    }

    #[test]
    fn breaking_deviations_are_more_severe_than_additions() {
        use DeviationKind as Kind;
        for (severe, mild) in [
            (Kind::WrongType, Kind::UndocumentedProperty),
            (Kind::MissingProperty, Kind::UnknownValue),
            (Kind::NotJson, Kind::UndocumentedStatus),
            (Kind::UnknownOperation, Kind::UnknownParameter),
        ] {
            assert!(severe.severity() > mild.severity(), "{severe:?} {mild:?}");
        }
    }

    proptest! {
        /// For any sequence, the most severe and most frequent deviations are kept, none is counted twice or
        /// lost, and the same sequence gives the same result.
        #[test]
        fn the_most_severe_and_most_frequent_are_kept(
            notes in proptest::collection::vec((0..4_usize, 0..12_usize), 0..300),
            capacity in 1..10_usize,
        ) {
            let mut table = DeviationTable::new(capacity);
            let mut again = DeviationTable::new(capacity);
            let mut exact = HashMap::<(usize, usize), u64>::new();
            let mut logged = 0;
            for (kind, place) in &notes {
                let deviation = deviation(KINDS[*kind], *place);
                logged += usize::from(table.record(&deviation, None));
                again.record(&deviation, None);
                *exact.entry((*kind, *place)).or_default() += 1;
                prop_assert!(table.len() <= capacity);
                prop_assert!(table.candidates.len() <= capacity * CANDIDATES);
                prop_assert_eq!(table.ranks.len(), table.len());
            }
            let total: u64 = table.deviations().map(|seen| seen.count).sum();
            prop_assert_eq!(total + table.dropped(), notes.len() as u64);
            let paths = |table: &DeviationTable| {
                let mut all: Vec<_> = table.deviations().map(|seen| seen.deviation.clone()).collect();
                all.sort();
                all
            };
            prop_assert_eq!(paths(&table), paths(&again));
            prop_assert!(logged >= table.len());
            // As long as all dropped deviations are counted, the kept ones are exact.
            if exact.len() <= capacity * CANDIDATES {
                let mut expected: Vec<_> =
                    exact.iter().map(|((kind, _), times)| (KINDS[*kind].severity(), *times)).collect();
                expected.sort_unstable();
                let expected = expected.split_off(expected.len().saturating_sub(capacity));
                prop_assert_eq!(kept(&table), expected);
            }
        }
    }
}
