//! Which numbers of the description are integers.

use serde_json::Value;

use crate::document;

/// Ends of the names of properties that count or identify something.
const INTEGER_SUFFIXES: [&str; 7] = ["id", "ids", "number", "count", "size", "line", "column"];

/// Returns whether a `number` is an integer: its name is that of an id, a count or an index, and the
/// description has no fraction for it.
pub fn is_integer(raw: &Value, at: &str) -> bool {
    let name = at.strip_suffix("/items").unwrap_or(at);
    let Some((_, name)) = name.rsplit_once("/properties/") else { return false };
    let last = name.rsplit('_').next().unwrap_or(name);
    let values = ["example", "default", "minimum", "maximum", "multipleOf"]
        .into_iter()
        .filter_map(|key| raw.get(key))
        .chain(document::array(raw, "enum"))
        .chain(document::array(raw, "examples"));
    let mut fractions = values.filter_map(Value::as_f64).filter(|value| value.fract() != 0.0);
    INTEGER_SUFFIXES.contains(&last) && fractions.next().is_none()
}
