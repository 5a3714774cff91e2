//! The credentials that are attached to one attempt.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use lru::LruCache;

use super::app::App;
use super::installation::Installation;
use super::keeper::{Held, Keeper};
use super::policy::TokenPolicy;
use super::source::{Rejection, TokenSource};
use super::store::TokenStore;
use crate::client::Client;
use crate::error::Result;
use crate::request::Prepared;

/// The authentication of a client. The handles of one client share its parts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Auth {
    keeper: Option<Arc<Keeper>>,
    app: Option<Arc<AppRoom>>,
}

/// The state that the handles of one App share.
#[derive(Debug)]
struct AppRoom {
    app: App,
    jwt: Arc<Keeper>,
    installations: Mutex<LruCache<String, Arc<Keeper>>>,
    policy: TokenPolicy,
    store: Option<Arc<dyn TokenStore>>,
}

impl Auth {
    /// Creates the authentication of a source.
    pub(crate) fn new(
        source: Arc<dyn TokenSource>,
        policy: TokenPolicy,
        store: Option<Arc<dyn TokenStore>>,
    ) -> Self {
        let app = source.app().cloned().map(|app| AppRoom::new(app, &policy, store.clone()));
        let keeper = Keeper::new(source, policy, store);
        if let Some(app) = &app {
            // Handles of the same installation share one token.
            app.keep(keeper.source().identity().into_owned(), &keeper);
        }
        Self { keeper: Some(keeper), app }
    }

    /// Returns the state of the tokens of this source and of the App's installations, up to a maximum: this source's
    /// first, then those of the newest handles.
    #[cfg(feature = "dashboard")]
    pub(crate) fn health(&self, most: usize) -> Vec<super::TokenHealth> {
        let mut keepers: Vec<_> = self.keeper.iter().cloned().collect();
        if let Some(app) = &self.app {
            let known = app.known();
            keepers.extend(known.iter().map(|(_, keeper)| keeper).take(most).cloned());
            keepers.push(Arc::clone(&app.jwt));
        }
        let mut all: Vec<super::TokenHealth> = Vec::new();
        for token in keepers.into_iter().map(|keeper| keeper.health()) {
            // An App that calls as itself has two managers of its JWT.
            if let Some(known) = all.iter_mut().find(|known| known.identity == token.identity) {
                if !known.is_good && token.is_good {
                    *known = token;
                }
            } else if all.len() < most {
                all.push(token);
            }
        }
        all
    }

    pub(crate) fn keeper(&self) -> Option<&Arc<Keeper>> {
        self.keeper.as_ref()
    }

    /// Returns the authentication of the App itself, if there is one.
    pub(crate) fn as_app(&self) -> Option<Self> {
        let app = self.app.clone()?;
        Some(Self { keeper: Some(Arc::clone(&app.jwt)), app: Some(app) })
    }

    /// Returns the authentication of another of the App's installations, if there is an App.
    pub(crate) fn installation(&self, installation: Installation) -> Option<Self> {
        let app = self.app.clone()?;
        Some(Self { keeper: Some(app.installation(installation)), app: Some(app) })
    }
}

impl AppRoom {
    fn new(app: App, policy: &TokenPolicy, store: Option<Arc<dyn TokenStore>>) -> Arc<Self> {
        Arc::new(Self {
            jwt: Keeper::new(Arc::new(app.clone()), policy.clone(), None),
            app,
            // The map grows on demand; `keep` enforces the bound.
            installations: Mutex::new(LruCache::unbounded()),
            policy: policy.clone(),
            store,
        })
    }

    /// Returns the installation's token manager: the existing one, or a new one. A manager that is evicted continues
    /// for the handles that hold it.
    fn installation(&self, installation: Installation) -> Arc<Keeper> {
        let key = installation.identity(&self.app);
        if let Some(keeper) = self.known().get(&key) {
            return Arc::clone(keeper);
        }
        let source = Arc::new(self.app.installation(installation));
        let keeper = Keeper::new(source, self.policy.clone(), self.store.clone());
        self.keep(key, &keeper)
    }

    /// Inserts a token manager under its identity, unless one exists, and returns the stored one.
    fn keep(&self, key: String, keeper: &Arc<Keeper>) -> Arc<Keeper> {
        let mut known = self.known();
        let keeper = Arc::clone(known.get_or_insert(key, || Arc::clone(keeper)));
        if known.len() > self.policy.max_installations.max(1) {
            known.pop_lru();
        }
        keeper
    }

    fn known(&self) -> MutexGuard<'_, LruCache<String, Arc<Keeper>>> {
        self.installations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A second token, in another header, for a gateway in front of GitHub.
#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    pub(crate) header: HeaderName,
    pub(crate) keeper: Arc<Keeper>,
}

/// The tokens of one attempt.
#[derive(Debug, Default)]
pub(crate) struct Passes {
    github: Option<Arc<Held>>,
    gateway: Option<(HeaderName, Arc<Held>)>,
}

/// How often a call is repeated after a rejected token: while a new token propagates, once with another token, and for
/// an App once per key and once after a clock correction.
pub(crate) const MAX_REFUSALS: u32 = 8;

impl Passes {
    /// Returns the tokens of an attempt: none for a server other than GitHub's API, and only the gateway's for a call
    /// with a request credential.
    pub(crate) async fn of(prepared: &Prepared) -> Result<Self> {
        let client = prepared.client();
        let inner = client.inner();
        let mut passes = Self::default();
        if prepared.is_elsewhere() {
            return Ok(passes);
        }
        if let Some(keeper) = inner.auth.keeper().filter(|_| prepared.own_authorization().is_none())
        {
            passes.github = Some(keeper.pass(client).await?);
        }
        if let Some(gateway) = inner.gateway.as_ref().filter(|_| inner.through_gateway) {
            let client = client.without_tokens();
            passes.gateway = Some((gateway.header.clone(), gateway.keeper.pass(&client).await?));
        }
        Ok(passes)
    }

    /// Adds the tokens to the headers of a request to GitHub.
    pub(crate) fn sign(&self, headers: &mut HeaderMap) {
        if let Some(held) = &self.github {
            headers.insert(AUTHORIZATION, held.header());
        }
        if let Some((name, held)) = &self.gateway {
            headers.insert(name.clone(), held.header());
        }
    }

    /// Removes a partial token of this attempt from the end of a truncated body: elsewhere, only whole tokens are
    /// recognized.
    pub(crate) fn without_cut_token(&self, prepared: &Prepared, mut body: Bytes) -> Bytes {
        let github = self.github.iter().map(|held| held.header());
        let gateway = self.gateway.iter().map(|(_, held)| held.header());
        for header in github.chain(gateway).chain(prepared.own_authorization().cloned()) {
            // Without the scheme, such as `Bearer`.
            let token = header.as_bytes().rsplit(|byte| *byte == b' ').next();
            body = without_beginning_at_end(body, token.unwrap_or_default());
        }
        body
    }

    /// Returns the next step after a 401: send again after this delay, or fail.
    pub(crate) fn refused(
        &self,
        client: &Client,
        times: u32,
        rejection: &Rejection<'_>,
    ) -> Option<Duration> {
        if times >= MAX_REFUSALS {
            return None;
        }
        let inner = client.inner();
        let ask = |keeper: &Arc<Keeper>, held: &Held| keeper.refused(held, times, rejection);
        // GitHub's responses have a request id; a response without one might be the gateway's own rejection.
        let by_github = rejection.headers.contains_key("x-github-request-id");
        let gateway = self.gateway.as_ref().zip(inner.gateway.as_ref()).filter(|_| !by_github);
        let gateway = gateway.and_then(|((_, held), gateway)| ask(&gateway.keeper, held));
        gateway.or_else(|| {
            let (held, keeper) = self.github.as_ref().zip(inner.auth.keeper())?;
            ask(keeper, held)
        })
    }
}

/// Returns the text without a prefix of the secret at its end.
fn without_beginning_at_end(mut text: Bytes, secret: &[u8]) -> Bytes {
    // A few bytes disclose nothing.
    const TELLING: usize = 4;
    let longest = secret.len().min(text.len());
    let found = (TELLING..=longest).rev().find(|length| text.ends_with(&secret[..*length]));
    text.truncate(text.len().saturating_sub(found.unwrap_or(0)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_secret_is_taken_off_the_end() {
        for (text, expected) in [
            ("", ""),
            ("x: secret-", "x: "),
            ("x: secr", "x: "),
            ("secret-1", ""),
            ("x: sec", "x: sec"),
            ("x: secret-2", "x: secret-2"),
        ] {
            let text = Bytes::from(text);
            assert_eq!(without_beginning_at_end(text, b"secret-1"), expected);
        }
    }
}
