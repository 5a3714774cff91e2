//! Selects the entries that a purge or an invalidation concerns.

use super::invalidation_log::Selector;

/// The entries that a purge removes: [`Cache::purge`](crate::Cache::purge).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheSelector(Selector);

impl CacheSelector {
    /// All responses.
    #[must_use]
    pub fn all() -> Self {
        Self(Selector::All)
    }

    /// The responses of an operation, by its id, such as `issues/list-for-repo`, whatever its parameters.
    #[must_use]
    pub fn operation(id: impl Into<String>) -> Self {
        Self(Selector::Operation(id.into()))
    }

    /// The responses at this path and below it. The path is relative to the API's base URL, such as
    /// `/repos/rust-lang/rust`, and is not case-sensitive.
    #[must_use]
    pub fn prefix(path: &str) -> Self {
        Self(Selector::Paths { below: vec![normalize_path(path)], at: Vec::new() })
    }

    /// The responses of one identity, by [its name](crate::Client::identity).
    #[must_use]
    pub fn identity(name: impl Into<String>) -> Self {
        Self(Selector::Identity(name.into()))
    }

    pub(crate) fn into_inner(self) -> Selector {
        self.0
    }
}

/// Normalizes a path as entries have it.
fn normalize_path(path: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let path = path.to_ascii_lowercase();
    if path.starts_with('/') { path } else { format!("/{path}") }
}
