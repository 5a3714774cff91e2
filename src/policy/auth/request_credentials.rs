//! The credentials that are attached to one attempt.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use lru::LruCache;

use super::app::App;
use super::installation::Installation;
use super::policy::TokenPolicy;
use super::provider::{Rejection, TokenProvider};
use super::token_manager::{CachedToken, TokenManager};
use super::token_store::TokenStore;
use crate::client::Client;
use crate::error::Result;
use crate::request::Prepared;

/// The authentication of a client. The handles of one client share its parts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity {
    token_manager: Option<Arc<TokenManager>>,
    app: Option<Arc<AppTokenCache>>,
}

/// The state that the handles of one App share.
#[derive(Debug)]
struct AppTokenCache {
    app: App,
    jwt: Arc<TokenManager>,
    installations: Mutex<LruCache<String, Arc<TokenManager>>>,
    policy: TokenPolicy,
    store: Option<Arc<dyn TokenStore>>,
}

impl Identity {
    /// Creates the authentication of a source.
    pub(crate) fn new(
        source: Arc<dyn TokenProvider>,
        policy: TokenPolicy,
        store: Option<Arc<dyn TokenStore>>,
    ) -> Self {
        let app = source.app().cloned().map(|app| AppTokenCache::new(app, &policy, store.clone()));
        let token_manager = TokenManager::new(source, policy, store);
        if let Some(app) = &app {
            // Handles of the same installation share one token.
            app.insert(token_manager.provider().identity().into_owned(), &token_manager);
        }
        Self { token_manager: Some(token_manager), app }
    }

    /// Returns the state of the tokens of this source and of the App's installations, up to a maximum: this source's
    /// first, then those of the newest handles.
    #[cfg(feature = "dashboard")]
    pub(crate) fn health(&self, most: usize) -> Vec<super::TokenHealth> {
        let mut keepers: Vec<_> = self.token_manager.iter().cloned().collect();
        if let Some(app) = &self.app {
            let known = app.entries();
            keepers
                .extend(known.iter().map(|(_, token_manager)| token_manager).take(most).cloned());
            keepers.push(Arc::clone(&app.jwt));
        }
        let mut all: Vec<super::TokenHealth> = Vec::new();
        for token in keepers.into_iter().map(|token_manager| token_manager.health()) {
            // An App that calls as itself has two managers of its JWT.
            if let Some(known) = all.iter_mut().find(|known| known.identity == token.identity) {
                if !known.is_valid && token.is_valid {
                    *known = token;
                }
            } else if all.len() < most {
                all.push(token);
            }
        }
        all
    }

    pub(crate) fn token_manager(&self) -> Option<&Arc<TokenManager>> {
        self.token_manager.as_ref()
    }

    /// Returns the authentication of the App itself, if there is one.
    pub(crate) fn as_app(&self) -> Option<Self> {
        let app = self.app.clone()?;
        Some(Self { token_manager: Some(Arc::clone(&app.jwt)), app: Some(app) })
    }

    /// Returns the authentication of another of the App's installations, if there is an App.
    pub(crate) fn installation(&self, installation: Installation) -> Option<Self> {
        let app = self.app.clone()?;
        Some(Self { token_manager: Some(app.installation(installation)), app: Some(app) })
    }
}

impl AppTokenCache {
    fn new(app: App, policy: &TokenPolicy, store: Option<Arc<dyn TokenStore>>) -> Arc<Self> {
        Arc::new(Self {
            jwt: TokenManager::new(Arc::new(app.clone()), policy.clone(), None),
            app,
            // The map grows on demand; `insert` enforces the bound.
            installations: Mutex::new(LruCache::unbounded()),
            policy: policy.clone(),
            store,
        })
    }

    /// Returns the installation's token manager: the existing one, or a new one. A manager that is evicted continues
    /// for the handles that hold it.
    fn installation(&self, installation: Installation) -> Arc<TokenManager> {
        let key = installation.identity(&self.app);
        if let Some(token_manager) = self.entries().get(&key) {
            return Arc::clone(token_manager);
        }
        let source = Arc::new(self.app.installation(installation));
        let token_manager = TokenManager::new(source, self.policy.clone(), self.store.clone());
        self.insert(key, &token_manager)
    }

    /// Inserts a token manager under its identity, unless one exists, and returns the stored one.
    fn insert(&self, key: String, token_manager: &Arc<TokenManager>) -> Arc<TokenManager> {
        let mut known = self.entries();
        let token_manager = Arc::clone(known.get_or_insert(key, || Arc::clone(token_manager)));
        if known.len() > self.policy.max_cached_installations.max(1) {
            known.pop_lru();
        }
        token_manager
    }

    fn entries(&self) -> MutexGuard<'_, LruCache<String, Arc<TokenManager>>> {
        self.installations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A second token, in another header, for a gateway in front of GitHub.
#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    pub(crate) header: HeaderName,
    pub(crate) token_manager: Arc<TokenManager>,
}

/// The tokens of one attempt.
#[derive(Debug, Default)]
pub(crate) struct RequestCredentials {
    github: Option<Arc<CachedToken>>,
    gateway: Option<(HeaderName, Arc<CachedToken>)>,
}

/// How often a call is repeated after a rejected token: while a new token propagates, once with another token, and for
/// an App once per key and once after a clock correction.
pub(crate) const MAX_REJECTIONS: u32 = 8;

impl RequestCredentials {
    /// Returns the tokens of an attempt: none for a server other than GitHub's API, and only the gateway's for a call
    /// with a request credential.
    pub(crate) async fn resolve(prepared: &Prepared) -> Result<Self> {
        let client = prepared.client();
        let inner = client.handle();
        let mut credentials = Self::default();
        if prepared.is_external() {
            return Ok(credentials);
        }
        if let Some(token_manager) =
            inner.identity.token_manager().filter(|_| prepared.request_authorization().is_none())
        {
            credentials.github = Some(token_manager.token(client).await?);
        }
        if let Some(gateway) = inner.gateway.as_ref().filter(|_| inner.uses_gateway) {
            let client = client.without_tokens();
            credentials.gateway =
                Some((gateway.header.clone(), gateway.token_manager.token(&client).await?));
        }
        Ok(credentials)
    }

    /// Adds the tokens to the headers of a request to GitHub.
    pub(crate) fn apply(&self, headers: &mut HeaderMap) {
        if let Some(cached) = &self.github {
            headers.insert(AUTHORIZATION, cached.header());
        }
        if let Some((name, cached)) = &self.gateway {
            headers.insert(name.clone(), cached.header());
        }
    }

    /// Removes a partial token of this attempt from the end of a truncated body: elsewhere, only whole tokens are
    /// recognized.
    pub(crate) fn redact_cut_token(&self, prepared: &Prepared, mut body: Bytes) -> Bytes {
        let github = self.github.iter().map(|cached| cached.header());
        let gateway = self.gateway.iter().map(|(_, cached)| cached.header());
        for header in github.chain(gateway).chain(prepared.request_authorization().cloned()) {
            // Without the scheme, such as `Bearer`.
            let token = header.as_bytes().rsplit(|byte| *byte == b' ').next();
            body = without_beginning_at_end(body, token.unwrap_or_default());
        }
        body
    }

    /// Returns the next step after a 401: send again after this delay, or fail.
    pub(crate) fn on_unauthorized(
        &self,
        client: &Client,
        times: u32,
        rejection: &Rejection<'_>,
    ) -> Option<Duration> {
        if times >= MAX_REJECTIONS {
            return None;
        }
        let inner = client.handle();
        let ask = |token_manager: &Arc<TokenManager>, cached: &CachedToken| {
            token_manager.on_rejected(cached, times, rejection)
        };
        // GitHub's responses have a request id; a response without one might be the gateway's own rejection.
        let by_github = rejection.headers.contains_key("x-github-request-id");
        let gateway = self.gateway.as_ref().zip(inner.gateway.as_ref()).filter(|_| !by_github);
        let gateway =
            gateway.and_then(|((_, cached), gateway)| ask(&gateway.token_manager, cached));
        gateway.or_else(|| {
            let (cached, token_manager) =
                self.github.as_ref().zip(inner.identity.token_manager())?;
            ask(token_manager, cached)
        })
    }
}

/// Returns the text without a prefix of the secret at its end.
fn without_beginning_at_end(mut text: Bytes, secret: &[u8]) -> Bytes {
    // A few bytes disclose nothing.
    const MIN_REDACTED_PREFIX: usize = 4;
    let longest = secret.len().min(text.len());
    let found =
        (MIN_REDACTED_PREFIX..=longest).rev().find(|length| text.ends_with(&secret[..*length]));
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
