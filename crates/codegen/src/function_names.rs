//! The names of the functions that progenitor generates, by the operation or webhook that each belongs to.
//!
//! Progenitor names a function after the operation id in its input, in snake case. Two ids of the description
//! can have the same name in snake case (`a/b-c` and `a-b/c`), so the input has ids of our own, which are
//! unique. Each function is found by its name, so its position in progenitor's output has no meaning.

use std::collections::{BTreeMap, BTreeSet};

use crate::names;

/// The names of all functions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FunctionNames {
    operations: BTreeMap<String, String>,
    webhooks: BTreeMap<String, String>,
}

impl FunctionNames {
    /// Chooses a unique name for each operation id and for each webhook key.
    pub fn assign<'a>(
        operations: impl Iterator<Item = &'a str>,
        webhooks: impl Iterator<Item = &'a str>,
    ) -> Self {
        let mut taken = BTreeSet::new();
        let mut unique = |id: &str, name: &str| {
            let base = names::snake(name).unwrap_or_else(|| "operation".to_owned());
            let numbered = (2_usize..).map(|number| format!("{base}_{number}"));
            let mut candidates = std::iter::once(base.clone()).chain(numbered);
            let free = candidates.find(|candidate| taken.insert(function_key(candidate)));
            (id.to_owned(), free.unwrap_or(base))
        };
        Self {
            operations: operations.map(|id| unique(id, id)).collect(),
            webhooks: webhooks.map(|key| unique(key, &format!("webhook-{key}"))).collect(),
        }
    }

    /// The function of an operation, by its id.
    pub fn of_operation(&self, id: &str) -> Option<&str> {
        self.operations.get(id).map(String::as_str)
    }

    /// The function of a webhook, by its key.
    pub fn of_webhook(&self, key: &str) -> Option<&str> {
        self.webhooks.get(key).map(String::as_str)
    }
}

/// The part of a name that progenitor's conversion into an identifier keeps.
pub fn function_key(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}
