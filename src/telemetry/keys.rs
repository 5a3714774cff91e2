//! Keys of metrics, made once for each set of labels: to make one costs more than what it is for.
//!
//! The values of labels are bounded, so that the keys may stay for good: see the table in the
//! documentation of [`telemetry`](crate::telemetry).

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{LazyLock, PoisonError, RwLock};

use metrics::{Key, Label};

use super::table::Metric;

/// A name and up to two values, by where they lie in memory: all of them are for good.
type Place = [(usize, usize); 3];

type Map = RwLock<HashMap<Place, &'static [Key], BuildHasherDefault<Mix>>>;

static KEYS: LazyLock<Map> = LazyLock::new(RwLock::default);

/// The key of a metric with these values, in the order of its labels.
pub(super) fn key(metric: &Metric, values: [&'static str; 2]) -> &'static Key {
    let [key] = keys([metric], values) else { return &UNKNOWN };
    key
}

/// The keys of metrics with the same labels, of which the first is found in no other company.
pub(super) fn keys<const N: usize>(
    metrics: [&Metric; N],
    values: [&'static str; 2],
) -> &'static [Key] {
    let name = metrics.first().map_or("", |metric| metric.name);
    let place = [name, values[0], values[1]].map(|text| (text.as_ptr() as usize, text.len()));
    // Whoever panicked left a map that is still whole.
    if let Some(keys) = KEYS.read().unwrap_or_else(PoisonError::into_inner).get(&place) {
        return keys;
    }
    let keys: Vec<Key> = metrics
        .iter()
        .map(|metric| {
            let labels = metric.labels.iter().zip(values);
            let labels: Vec<Label> =
                labels.map(|(name, value)| Label::from_static_parts(name, value)).collect();
            Key::from_static_parts(metric.name, labels.leak())
        })
        .collect();
    KEYS.write().unwrap_or_else(PoisonError::into_inner).entry(place).or_insert(keys.leak())
}

/// What no metric is called: one metric has one key.
static UNKNOWN: Key = Key::from_static_name("octowire_unknown");

/// As many names of identities, servers and so on are told apart; the others are `other`.
const MAX_NAMES: usize = 100;

/// What the others are called.
pub(super) const OTHER: &str = "other";

/// A set of names that is not known before, and bounded.
#[derive(Default)]
pub(super) struct Names(RwLock<HashMap<String, &'static str>>);

impl Names {
    /// Whether the name was given before.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains_key(name)
    }

    /// The name, for good; `other` if there are too many.
    pub(super) fn name(&self, name: &str) -> &'static str {
        if let Some(known) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return known;
        }
        let mut names = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= MAX_NAMES {
            return OTHER;
        }
        names.entry(name.to_owned()).or_insert_with(|| String::leak(name.to_owned()))
    }
}

/// A hasher of addresses, which are far apart already.
#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_u64(&mut self, value: u64) {
        // Knuth's multiplicative hash; the high bits are what a map looks at.
        self.0 = (self.0.rotate_left(26) ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::CALLS;
    use super::*;

    #[test]
    fn equal_labels_have_one_key() {
        let one = key(&CALLS, ["issues/get", "ok"]);
        let again = key(&CALLS, ["issues/get", "ok"]);
        assert!(std::ptr::eq(one, again));
        assert_ne!(one, key(&CALLS, ["issues/get", "404"]));
        let labels: Vec<_> = one.labels().map(|label| (label.key(), label.value())).collect();
        assert_eq!(labels, [("operation", "issues/get"), ("outcome", "ok")]);
    }

    #[test]
    fn a_hundred_names_are_told_apart() {
        let names = Names::default();
        let all: Vec<_> = (0..200).map(|number| names.name(&format!("name {number}"))).collect();
        assert_eq!((all[99], all[100], all[199]), ("name 99", "other", "other"));
        assert_eq!(names.name("name 7"), "name 7");
    }
}
