//! Metric keys, created once for each set of labels: creating one costs more than using it.
//!
//! The values of labels are bounded, so that the keys can be static: see the table in the documentation of
//! [`observability`](crate::observability).

use std::collections::HashMap;
use std::hash::Hasher;
use std::sync::{Mutex, OnceLock, PoisonError, RwLock};

use metrics::{Key, Label};

use super::catalog::MetricDescription;
use crate::sanitize;
use crate::util::static_str_map::{PtrHasher, StaticStrPtr};

/// Keys, and the name and up to two label values that they belong to.
struct CachedKeys {
    names: [StaticStrPtr; 3],
    keys: &'static [Key],
}

/// A lock-free table: the addresses of the texts determine the few slots where a key can be.
static TABLE: [OnceLock<CachedKeys>; SLOTS] = [const { OnceLock::new() }; SLOTS];
const SLOTS: usize = 2_048;
const PROBES: usize = 8;

/// The keys for which the table has no free slot.
static OVERFLOW: Mutex<Vec<CachedKeys>> = Mutex::new(Vec::new());

/// Returns the key of a metric with these values, in the order of its labels.
pub(super) fn key(metric: &MetricDescription, values: [&'static str; 2]) -> &'static Key {
    let [key] = keys([metric], values) else { return &UNKNOWN_METRIC };
    key
}

/// Returns the keys of metrics with the same labels. The first metric always has to occur in the same group.
pub(super) fn keys<const N: usize>(
    metrics: [&MetricDescription; N],
    values: [&'static str; 2],
) -> &'static [Key] {
    let name = metrics.first().map_or("", |metric| metric.name);
    let of = [StaticStrPtr(name), StaticStrPtr(values[0]), StaticStrPtr(values[1])];
    for slot in slots(&of) {
        match slot.get() {
            Some(entry) if entry.names == of => return entry.keys,
            Some(_) => {}
            // Another thread can have initialized the slot first, with this entry or another one.
            None => match slot
                .get_or_init(|| CachedKeys { names: of, keys: make_keys(metrics, values) })
            {
                entry if entry.names == of => return entry.keys,
                _ => {}
            },
        }
    }
    // A thread that panicked has left a consistent list.
    let mut others = OVERFLOW.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(entry) = others.iter().find(|entry| entry.names == of) {
        return entry.keys;
    }
    let keys = make_keys(metrics, values);
    others.push(CachedKeys { names: of, keys });
    keys
}

fn slots(of: &[StaticStrPtr; 3]) -> impl Iterator<Item = &'static OnceLock<CachedKeys>> {
    let mut mix = PtrHasher::default();
    of.iter().for_each(|storage| mix.write_usize(storage.0.as_ptr() as usize));
    // The high bits are the well-mixed ones.
    let first = (mix.finish() >> 40) as usize;
    (first..first + PROBES).filter_map(|slot| TABLE.get(slot % SLOTS))
}

fn make_keys<const N: usize>(
    metrics: [&MetricDescription; N],
    values: [&'static str; 2],
) -> &'static [Key] {
    let keys = metrics.iter().map(|metric| {
        let labels = metric.labels.iter().zip(values);
        let labels: Vec<Label> =
            labels.map(|(name, value)| Label::from_static_parts(name, value)).collect();
        Key::from_static_parts(metric.name, labels.leak())
    });
    keys.collect::<Vec<_>>().leak()
}

/// A name that no metric has: every metric has exactly one key.
static UNKNOWN_METRIC: Key = Key::from_static_name("octowire_unknown");

/// The maximum number of different names of identities, servers and so on; further ones are `other`.
const MAX_NAMES: usize = 100;

/// The maximum length of such a name, in bytes; longer ones are `other`.
const MAX_NAME_BYTES: usize = 200;

/// The label value that combines further names.
pub(super) const OTHER_LABEL: &str = "other";

/// A bounded set of names that are not known in advance.
#[derive(Default)]
pub(super) struct LabelInterner(RwLock<HashMap<String, &'static str>>);

impl LabelInterner {
    /// Returns whether the set contains the name.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains_key(name)
    }

    /// Returns the name as static text; `other` if there are too many.
    pub(super) fn intern(&self, name: &str) -> &'static str {
        if let Some(known) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return known;
        }
        let mut names = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= MAX_NAMES || name.len() > MAX_NAME_BYTES {
            return OTHER_LABEL;
        }
        names
            .entry(name.to_owned())
            .or_insert_with(|| String::leak(sanitize::text(name, MAX_NAME_BYTES).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::catalog::CALLS;
    use super::*;

    #[test]
    fn equal_labels_have_one_key() {
        // At addresses of its own, since calls have this metric in a group.
        let operation = &*String::leak("issues/get".to_owned());
        let one = key(&CALLS, [operation, "ok"]);
        let again = key(&CALLS, [operation, "ok"]);
        assert!(std::ptr::eq(one, again));
        assert_ne!(one, key(&CALLS, [operation, "404"]));
        let labels: Vec<_> = one.labels().map(|label| (label.key(), label.value())).collect();
        assert_eq!(labels, [("operation", "issues/get"), ("outcome", "ok")]);
    }

    #[test]
    fn more_keys_than_the_table_holds_are_found_again() {
        let values = |number: usize| [String::leak(format!("{number}")) as &'static str, "x"];
        let all: Vec<_> = (0..2 * SLOTS).map(values).collect();
        let made: Vec<_> = all.iter().map(|values| key(&CALLS, *values)).collect();
        for (values, made) in all.into_iter().zip(made) {
            assert!(std::ptr::eq(key(&CALLS, values), made));
            assert_eq!(made.labels().next().map(Label::value), Some(values[0]));
        }
        assert!(!OVERFLOW.lock().unwrap().is_empty());
    }

    #[test]
    fn a_hundred_names_are_distinguished() {
        let names = LabelInterner::default();
        let all: Vec<_> = (0..200).map(|number| names.intern(&format!("name {number}"))).collect();
        assert_eq!((all[99], all[100], all[199]), ("name 99", "other", "other"));
        assert_eq!(names.intern("name 7"), "name 7");
    }
}
