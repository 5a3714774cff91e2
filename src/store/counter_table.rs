//! Numbers by name, as stores without native support encode them.

use std::collections::BTreeMap;

use super::counter::MAX_SUM;
use super::unreadable::report;

/// The maximum number of names under one key.
pub(super) const MAX_NAMES: usize = 10_000;
/// The name that collects all further names.
pub(super) const OVERFLOW_NAME: &str = "other";
/// The longest name that is read, in bytes.
pub(super) const MAX_NAME: usize = 1_024;
/// The largest number: the same as for [sums](super::counter).
pub(super) const MAX_NUMBER: u64 = MAX_SUM.unsigned_abs();

/// Returns the sums under a key from a stored value; none from an invalid value, which is reported.
pub(super) fn read_reporting(key: &str, held: &[u8]) -> BTreeMap<String, u64> {
    read(held).unwrap_or_else(|| {
        report(key, "not a table of counters", "reset");
        BTreeMap::new()
    })
}

/// Reads the numbers by name; `None` if [`increment`] cannot have written them.
pub(super) fn read(held: &[u8]) -> Option<BTreeMap<String, u64>> {
    let numbers: BTreeMap<String, u64> = serde_json::from_slice(held).ok()?;
    let sound = numbers.iter().all(|(name, number)| is_sound(name, *number));
    (numbers.len() <= MAX_NAMES + 1 && sound).then_some(numbers)
}

/// Returns whether a name and its number are within bounds.
pub(super) fn is_sound(name: &str, number: u64) -> bool {
    name.len() <= MAX_NAME && number <= MAX_NUMBER
}

/// Returns the encoded numbers after adding these amounts.
#[cfg(any(test, feature = "__fuzz", feature = "disk-store"))]
pub(super) fn increment(mut numbers: BTreeMap<String, u64>, amounts: &[(String, u64)]) -> Vec<u8> {
    add(&mut numbers, amounts, |_| ());
    encode(&numbers)
}

/// Adds amounts, and calls `added` for each new name.
pub(super) fn add(
    numbers: &mut BTreeMap<String, u64>,
    amounts: &[(String, u64)],
    mut added: impl FnMut(&str),
) {
    for (name, amount) in amounts {
        let has_space = numbers.len() < MAX_NAMES || numbers.contains_key(name);
        let name = if has_space && name.len() <= MAX_NAME { name } else { OVERFLOW_NAME };
        let number = match numbers.get_mut(name) {
            Some(number) => number,
            None => {
                added(name);
                numbers.entry(name.to_owned()).or_default()
            }
        };
        *number = number.saturating_add(*amount).min(MAX_NUMBER);
    }
}

/// Returns the numbers as they are stored.
pub(super) fn encode(numbers: &BTreeMap<String, u64>) -> Vec<u8> {
    // Any text and number can be encoded as JSON.
    serde_json::to_vec(numbers).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn garbage_is_not_read() {
        let many = (0..=MAX_NAMES + 1).map(|name| (name.to_string(), 1)).collect();
        let long = BTreeMap::from([("n".repeat(MAX_NAME + 1), 1)]);
        for numbers in [many, long, BTreeMap::from([("n".to_owned(), MAX_NUMBER + 1)])] {
            assert_eq!(read(&serde_json::to_vec::<BTreeMap<String, u64>>(&numbers).unwrap()), None);
        }
        for held in ["", "[]", "1", r#"{"a":-1}"#, r#"{"a":1e300}"#, r#"{"a":"1"}"#, "\u{fffd}"] {
            assert_eq!(read(held.as_bytes()), None, "{held}");
        }
    }

    proptest! {
        /// Whatever is added, the encoded value can be read again.
        #[test]
        fn counters_round_trip(
            amounts in prop::collection::vec((".{0,9}", any::<u64>()), 0..20),
        ) {
            let amounts: Vec<_> = amounts.into_iter().collect();
            let once = increment(BTreeMap::new(), &amounts);
            let twice = increment(read(&once).unwrap(), &amounts);
            prop_assert!(read(&twice).is_some());
        }
    }
}
