//! The request headers by which responses vary, as their `Vary` headers say.

use std::sync::{Arc, PoisonError, RwLock};

use http::HeaderName;
use http::header::{ACCEPT, ACCEPT_LANGUAGE};

/// The headers that are always a part of the key: a client sends them with each call, and they change the response.
static VARYING_HEADERS: [HeaderName; 3] =
    [ACCEPT, ACCEPT_LANGUAGE, HeaderName::from_static("x-github-api-version")];
/// Headers that GitHub's `Vary` names: they are a part of the key of a call that sends them. The client does not send
/// them by itself, except for the credential, which the identity in the key represents.
const CALL_HEADERS: [&str; 5] =
    ["accept-encoding", "authorization", "origin", "x-github-otp", "x-requested-with"];

/// Returns the headers that are a part of every key.
pub(super) fn fixed() -> &'static [HeaderName] {
    &VARYING_HEADERS
}

/// Returns whether a header of this name, in lower case, is a part of the key of each call that sends it.
pub(super) fn is_part(name: &str) -> bool {
    CALL_HEADERS.contains(&name) || VARYING_HEADERS.iter().any(|known| known.as_str() == name)
}

/// The maximum number of names that are learned. Responses that vary by further ones are not stored.
const MAX_LEARNED: usize = 32;

/// The names of further headers that `Vary` headers contained. From then on, they are a part of the keys of calls that
/// send them.
#[derive(Debug, Default)]
pub(crate) struct LearnedVary(RwLock<Arc<[HeaderName]>>);

impl LearnedVary {
    /// Returns the names that are known now.
    pub(super) fn names(&self) -> Arc<[HeaderName]> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds the names in a `Vary` header, as far as there is space.
    pub(super) fn learn(&self, names: impl Iterator<Item = String>) {
        // A call that sends a cookie bypasses the cache.
        let further = names.filter(|name| !is_part(name) && name != "cookie");
        for name in further.filter_map(|name| HeaderName::try_from(name).ok()) {
            if self.names().contains(&name) {
                continue;
            }
            let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
            if known.len() < MAX_LEARNED && !known.contains(&name) {
                *known = known.iter().cloned().chain([name]).collect();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_learned_names_is_bounded() {
        let learned = LearnedVary::default();
        let many = || (0..100).map(|number| format!("x-{number}"));
        learned.learn(many().chain(["accept".to_owned(), "cookie".to_owned()]));
        learned.learn(many());
        assert_eq!(learned.names().len(), MAX_LEARNED);
        assert!(learned.names().iter().all(|name| name.as_str().starts_with("x-")));
    }
}
