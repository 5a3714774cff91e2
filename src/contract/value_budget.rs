//! The bound on the parts that operations copy from a description.
//!
//! Many operations can refer to the same large component, and each copies it: a small document could exhaust
//! the memory.

use serde_json::Value;

use super::nesting::count_up_to;

/// Maximum number of values of all operations of a document. GitHub's have a million.
const MAX_DESCRIPTION_VALUES: usize = 20_000_000;

/// The remaining number of values for the operations of one document.
pub(super) struct ValueBudget {
    remaining: usize,
}

impl Default for ValueBudget {
    fn default() -> Self {
        Self { remaining: MAX_DESCRIPTION_VALUES }
    }
}

impl ValueBudget {
    /// Copies a part of the description, if the bound permits.
    pub(super) fn try_copy(&mut self, part: &Value) -> Option<Value> {
        let count = count_up_to(part, self.remaining)?;
        self.remaining = self.remaining.saturating_sub(count);
        Some(part.clone())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_over_the_bound_are_not_copied() {
        let mut budget = ValueBudget { remaining: 5 };
        let part = json!({ "a": [1] });
        assert_eq!(budget.try_copy(&part), Some(part.clone()));
        assert_eq!(budget.try_copy(&part), None);
        assert_eq!(budget.try_copy(&json!([1])), Some(json!([1])));
        assert_eq!(budget.try_copy(&json!(1)), None);
    }
}
