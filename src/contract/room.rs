//! Bound on the parts that operations copy from a document.
//!
//! Many operations can refer to the same large component, and each copies it: a small document could exhaust
//! the memory.

use serde_json::Value;

use super::nesting::count_up_to;

/// Maximum number of values of all operations of a document. GitHub's have a million.
const MAX_VALUES: usize = 20_000_000;

/// The remaining number of values for the operations of one document.
pub(super) struct Room {
    values: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { values: MAX_VALUES }
    }
}

impl Room {
    /// Copies a part of the document, if the bound permits.
    pub(super) fn copy(&mut self, part: &Value) -> Option<Value> {
        let count = count_up_to(part, self.values)?;
        self.values = self.values.saturating_sub(count);
        Some(part.clone())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_there_is_no_room_for_is_not_copied() {
        let mut room = Room { values: 5 };
        let part = json!({ "a": [1] });
        assert_eq!(room.copy(&part), Some(part.clone()));
        assert_eq!(room.copy(&part), None);
        assert_eq!(room.copy(&json!([1])), Some(json!([1])));
        assert_eq!(room.copy(&json!(1)), None);
    }
}
