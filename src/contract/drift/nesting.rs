//! How deep a document nests.

use serde_json::Value;

/// The deepest nesting of a document or of a value that is checked: what serde_json reads.
pub(crate) const MAX_NESTING: usize = 127;

/// Whether objects and lists nest more deeply than [`MAX_NESTING`]. It does not recurse itself.
pub(crate) fn is_too_deep(value: &Value) -> bool {
    let mut open = vec![(value, 1_usize)];
    while let Some((value, depth)) = open.pop() {
        let (items, properties) = match value {
            Value::Array(items) => (Some(items.iter()), None),
            Value::Object(properties) => (None, Some(properties.values())),
            _ => continue,
        };
        if depth > MAX_NESTING {
            return true;
        }
        let below = items.into_iter().flatten().chain(properties.into_iter().flatten());
        open.extend(below.map(|value| (value, depth.saturating_add(1))));
    }
    false
}
