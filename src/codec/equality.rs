//! Comparison of records and unions.

use serde::Serialize;

/// Returns whether two values have the same JSON. A property that is absent is not the same as one that is `null` where
/// the type distinguishes them, as in requests.
pub(crate) fn same<T: Serialize>(one: &T, other: &T) -> bool {
    match (serde_json::to_value(one), serde_json::to_value(other)) {
        (Ok(one), Ok(other)) => one == other,
        // A request record with an invalid value, which has no JSON.
        _ => false,
    }
}
