//! The keys of counts and budgets in a store.

use super::period::CalendarWindow;
use crate::store::COUNTER_VERSION;

/// The parts of keys that all identities of a client share.
pub(super) struct UsageKeys {
    /// The address of the API.
    pub(super) github: String,
    pub(super) environment: String,
}

impl UsageKeys {
    /// Returns the key of the counts of an identity in a window.
    pub(super) fn counts(&self, identity: &str, window: CalendarWindow) -> String {
        let Self { github, environment } = self;
        format!("{}:{window}", key("usage", [github, "of", environment, identity]))
    }

    /// Returns the key of the list of all identities in a month.
    pub(super) fn identities(&self, month: CalendarWindow) -> String {
        format!("{}:{month}", key("usage", [&self.github, "all"]))
    }

    /// Returns the name of an identity in that list.
    pub(super) fn listed_name(&self, identity: &str) -> String {
        format!("{}\n{identity}", self.environment)
    }

    /// Returns the prefix of the keys of a budget that all identities share.
    pub(super) fn shared_budget(&self, budget: &str) -> String {
        let Self { github, environment } = self;
        key("budget", [github, environment, budget, "all"])
    }

    /// Returns the prefix of the keys of a budget of one identity.
    pub(super) fn budget(&self, budget: &str, identity: &str) -> String {
        let Self { github, environment } = self;
        key("budget", [github, environment, budget, "of", identity])
    }
}

/// Returns the beginning of a key of this kind from its parts, so that different parts never produce the same text. The
/// key carries the version, since a number has no place for it.
fn key<const N: usize>(kind: &str, parts: [&str; N]) -> String {
    let parts = parts.map(|part| part.replace('%', "%25").replace(':', "%3A")).join(":");
    format!("{kind}:{COUNTER_VERSION}:{parts}")
}
