//! Recorded changes, and the stored responses that they concern.

use serde::{Deserialize, Serialize};

use crate::policy::cache::entry::EntryMetadata;

/// A recorded change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Invalidation {
    /// Whether the entries that it concerns are removed; otherwise they have to be revalidated.
    pub(crate) purge: bool,
    pub(crate) selector: Selector,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Selector {
    All,
    Operation(String),
    Identity(String),
    /// Paths below the API's base URL, in lower case: the exact paths in `at`, and all paths below those in `below`.
    Paths {
        below: Vec<String>,
        at: Vec<String>,
    },
}

/// An invalidation that removes all entries, in place of invalidations that are unreadable or too many.
pub(super) const PURGE_ALL: Invalidation = Invalidation { purge: true, selector: Selector::All };

/// The maximum size of an invalidation in bytes. A larger one is replaced by an invalidation that concerns all entries.
pub(super) const MAX_ENTRY_BYTES: usize = 4 * 1024;

impl Invalidation {
    /// Returns the invalidation, or one that concerns all entries if the invalidation is too large to be stored.
    pub(super) fn bounded(self) -> Self {
        let size = match &self.selector {
            Selector::All => 0,
            Selector::Operation(name) | Selector::Identity(name) => name.len(),
            Selector::Paths { below, at } => {
                below.iter().chain(at).map(|path| path.len() + size_of::<String>()).sum()
            }
        };
        if size > MAX_ENTRY_BYTES { Self { selector: Selector::All, ..self } } else { self }
    }

    pub(super) fn applies_to(&self, about: &EntryMetadata) -> bool {
        match &self.selector {
            Selector::All => true,
            Selector::Operation(operation) => about.operation == *operation,
            Selector::Identity(identity) => about.identity == *identity,
            Selector::Paths { below, at } => {
                let is_below = |path: &String| {
                    about.path.strip_prefix(path.as_str()).is_some_and(|rest| {
                        rest.is_empty() || rest.starts_with('/') || path.ends_with('/')
                    })
                };
                at.contains(&about.path) || below.iter().any(is_below)
            }
        }
    }
}
