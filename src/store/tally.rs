//! Numbers by name, as stores keep them that have no such thing themselves.

use std::collections::BTreeMap;

/// As many names may be under one key.
pub(super) const MAX_NAMES: usize = 10_000;
/// What the others are called.
pub(super) const OTHER: &str = "other";

/// What was added up under one key, from what a store holds; nothing from nonsense.
pub(super) fn read(held: Option<&[u8]>) -> BTreeMap<String, u64> {
    held.and_then(|held| serde_json::from_slice(held).ok()).unwrap_or_default()
}

/// The same with more added, as a store holds it.
pub(super) fn add(held: Option<&[u8]>, amounts: &[(String, u64)]) -> Vec<u8> {
    let mut numbers = read(held);
    for (name, amount) in amounts {
        let room = numbers.len() < MAX_NAMES || numbers.contains_key(name);
        let name = if room { name } else { OTHER };
        let number = numbers.entry(name.to_owned()).or_default();
        *number = number.saturating_add(*amount);
    }
    // Text and numbers are JSON whatever they are.
    serde_json::to_vec(&numbers).unwrap_or_default()
}
