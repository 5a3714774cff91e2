//! Comparison of records and unions.

use std::fmt::Debug;

use serde::Serialize;

/// Returns whether two values have the same JSON. A property that is absent is not the same as one that is `null` where
/// the type distinguishes them, as in requests.
///
/// A request record with an invalid value has no JSON. Two of them are the same if their `Debug` output is, which has
/// all values and the reasons.
pub(crate) fn same<T: Serialize + Debug>(one: &T, other: &T) -> bool {
    match (serde_json::to_value(one), serde_json::to_value(other)) {
        (Ok(one), Ok(other)) => one == other,
        (Err(_), Err(_)) => format!("{one:?}") == format!("{other:?}"),
        _ => false,
    }
}
