//! Nesting depth of a description.

use serde_json::Value;

/// Maximum nesting of a description or of a checked value: the limit of serde_json.
pub(crate) const MAX_NESTING: usize = 127;

/// Returns whether objects and lists nest more deeply than [`MAX_NESTING`], without recursion.
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
