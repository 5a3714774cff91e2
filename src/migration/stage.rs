//! The stage of a migration: the side that serves, and the share that is mirrored.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use sha2::{Digest, Sha256};

/// One of the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The legacy side.
    Old,
    /// The new side.
    New,
}

impl Side {
    /// Returns the other side.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Old => Self::New,
            Self::New => Self::Old,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Old => "old",
            Self::New => "new",
        })
    }
}

/// The progress of a migration.
///
/// A `share` is the part of the reads that the non-serving side runs as well, from 0 to 1. Each mirrored read
/// costs GitHub's rate limit twice, if both sides have the same identity.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Stage {
    /// The legacy side serves, and the new one is not called. The default.
    #[default]
    Off,
    /// The legacy side serves, and the new one is compared with it.
    Mirror {
        /// The share of reads that are mirrored.
        share: f64,
    },
    /// The new side serves some of the keys, and the legacy one the others.
    Shift {
        /// The percentage of all keys that the new side serves, from 0 to 100, in steps of a hundredth.
        percent: f64,
        /// The share of reads that are mirrored, on the non-serving side.
        share: f64,
    },
    /// The new side serves, and the legacy one is not called, even if the new one fails.
    Cutover,
}

impl Stage {
    /// Returns the stage with out-of-range values clamped.
    pub(super) fn clamped(self) -> Self {
        let within = |number: f64, most: f64| {
            if number.is_finite() { number.clamp(0.0, most) } else { 0.0 }
        };
        match self {
            Self::Mirror { share } => Self::Mirror { share: within(share, 1.0) },
            Self::Shift { percent, share } => {
                Self::Shift { percent: within(percent, 100.0), share: within(share, 1.0) }
            }
            other => other,
        }
    }

    pub(super) fn share(self) -> f64 {
        match self {
            Self::Mirror { share } | Self::Shift { share, .. } => share,
            Self::Off | Self::Cutover => 0.0,
        }
    }

    /// Returns the side that serves this position.
    pub(super) fn serves(self, place: RolloutBucket) -> Side {
        let new = match self {
            Self::Off | Self::Mirror { .. } => false,
            Self::Shift { percent, .. } => f64::from(place.0) < (percent * 100.0).round(),
            Self::Cutover => true,
        };
        if new { Side::New } else { Side::Old }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => write!(f, "off"),
            Self::Mirror { share } => write!(f, "mirror {} %", percent(*share)),
            Self::Shift { percent: shifted, share } => {
                write!(f, "shift {shifted} %, mirror {} %", percent(*share))
            }
            Self::Cutover => write!(f, "done"),
        }
    }
}

/// A share in percent, with two places at most.
fn percent(share: f64) -> f64 {
    (share * 10_000.0).round() / 100.0
}

/// The position of a key in the order of shifting, from 0 to 9,999. It is constant, so raising the percentage
/// moves no key back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RolloutBucket(u16);

const BUCKETS: u64 = 10_000;

impl RolloutBucket {
    /// Stable across processes, versions and architectures.
    pub(super) fn of_key(salt: &str, key: &[u8]) -> Self {
        let mut hash = Sha256::new();
        // With its length, so that different pairs of salt and key never coincide.
        hash.update((salt.len() as u64).to_be_bytes());
        hash.update(salt);
        hash.update(key);
        let digest = hash.finalize();
        let first = digest.iter().take(8).fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
        Self::at(first)
    }

    fn at(number: u64) -> Self {
        // The remainder is smaller than 10,000.
        Self((number % BUCKETS) as u16)
    }
}

/// Returns a random number, cheaply and without a lock.
#[derive(Debug)]
pub(super) struct Sampler(AtomicU64);

impl Sampler {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(RandomState::new().hash_one(0_u8)))
    }

    /// Returns true with this probability.
    pub(super) fn sample(&self, share: f64) -> bool {
        share >= 1.0 || (self.next() as f64) < share * u64::MAX as f64
    }

    /// The position of a call without a key.
    pub(super) fn random_bucket(&self) -> RolloutBucket {
        RolloutBucket::at(self.next())
    }

    /// [SplitMix64](https://prng.di.unimi.it/splitmix64.c).
    fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_keeps_to_its_share() {
        let chance = Sampler::new();
        for share in [0.0, 0.01, 0.3, 1.0] {
            let hits = (0..100_000).filter(|_| chance.sample(share)).count() as f64;
            assert!((hits / 100_000.0 - share).abs() < 0.01, "{share}: {hits}");
        }
    }

    #[test]
    fn the_place_of_a_key_is_written_down() {
        // Other numbers here would move keys between the sides when the library is updated.
        let places = ["", "octocat", "rust-lang/rust"]
            .map(|key| RolloutBucket::of_key("octowire", key.as_bytes()).0);
        assert_eq!(places, [8665, 6576, 2214]);
        assert_ne!(RolloutBucket::of_key("a", b"bc"), RolloutBucket::of_key("ab", b"c"));
    }

    #[test]
    fn values_out_of_range_are_clamped() {
        let stage = Stage::Shift { percent: 250.0, share: f64::NAN }.clamped();
        assert_eq!(stage, Stage::Shift { percent: 100.0, share: 0.0 });
        assert_eq!(stage.to_string(), "shift 100 %, mirror 0 %");
        assert_eq!(Stage::Mirror { share: -1.0 }.clamped(), Stage::Mirror { share: 0.0 });
    }
}
