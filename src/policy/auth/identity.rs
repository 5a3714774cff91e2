//! The identity of a client handle: its token manager, and those of its App.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderName;
use lru::LruCache;

use super::app::App;
use super::credential_source::CredentialSource;
use super::installation::{AppInstallation, Installation};
use super::policy::TokenPolicy;
use super::provider::TokenProvider;
use super::token_manager::TokenManager;
use super::token_store::TokenStore;

/// The authentication of a client. The handles of one client share its parts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity {
    token_manager: Option<Arc<TokenManager>>,
    app: Option<Arc<AppTokenCache>>,
    /// Where the credentials of these tokens were found, if the client looked for them.
    credential_source: Option<Arc<CredentialSource>>,
}

/// The state that the handles of one App share.
#[derive(Debug)]
struct AppTokenCache {
    app: Arc<App>,
    jwt: Arc<TokenManager>,
    installations: Mutex<LruCache<Arc<str>, Arc<TokenManager>>>,
    policy: Arc<TokenPolicy>,
    store: Option<Arc<dyn TokenStore>>,
}

impl Identity {
    /// Creates the authentication of a source.
    pub(crate) fn new(
        source: Arc<dyn TokenProvider>,
        policy: Arc<TokenPolicy>,
        store: Option<Arc<dyn TokenStore>>,
    ) -> Self {
        let app = source.app().cloned().map(|app| AppTokenCache::new(app, &policy, store.clone()));
        let token_manager = TokenManager::new(source, policy, store);
        if let Some(app) = &app {
            // Handles of the same installation share one token.
            app.insert(token_manager.provider().identity().into(), &token_manager);
        }
        Self { token_manager: Some(token_manager), app, credential_source: None }
    }

    /// Sets where the credentials were found.
    pub(crate) fn with_credential_source(mut self, source: Option<CredentialSource>) -> Self {
        self.credential_source = source.map(Arc::new);
        self
    }

    /// Returns where the credentials were found, if the client looked for them.
    pub(crate) fn credential_source(&self) -> Option<&CredentialSource> {
        self.credential_source.as_deref()
    }

    /// Returns the state of the tokens of this source and of the App's installations, up to a maximum: this source's
    /// first, then those of the newest handles.
    #[cfg(feature = "dashboard")]
    pub(crate) fn health(&self, most: usize) -> Vec<super::TokenHealth> {
        let mut managers: Vec<_> = self.token_manager.iter().cloned().collect();
        if let Some(app) = &self.app {
            let known = app.entries();
            managers
                .extend(known.iter().map(|(_, token_manager)| token_manager).take(most).cloned());
            managers.push(Arc::clone(&app.jwt));
        }
        let mut all: Vec<super::TokenHealth> = Vec::new();
        for token in managers.into_iter().map(|token_manager| token_manager.health()) {
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
        let token_manager = Arc::clone(&self.app.as_ref()?.jwt);
        Some(self.with_token_manager(token_manager))
    }

    /// Returns the authentication of another of the App's installations, if there is an App.
    pub(crate) fn installation(&self, installation: Installation) -> Option<Self> {
        let token_manager = self.app.as_ref()?.installation(installation);
        Some(self.with_token_manager(token_manager))
    }

    /// Returns the authentication by other tokens of the same App.
    fn with_token_manager(&self, token_manager: Arc<TokenManager>) -> Self {
        Self { token_manager: Some(token_manager), ..self.clone() }
    }
}

impl AppTokenCache {
    fn new(app: App, policy: &Arc<TokenPolicy>, store: Option<Arc<dyn TokenStore>>) -> Arc<Self> {
        let app = Arc::new(app);
        let source: Arc<dyn TokenProvider> = Arc::<App>::clone(&app);
        Arc::new(Self {
            jwt: TokenManager::new(source, Arc::clone(policy), None),
            app,
            // The map grows on demand; `insert` enforces the bound.
            installations: Mutex::new(LruCache::unbounded()),
            policy: Arc::clone(policy),
            store,
        })
    }

    /// Returns the installation's token manager: the existing one, or a new one. A manager that is evicted continues
    /// for the handles that hold it.
    fn installation(&self, installation: Installation) -> Arc<TokenManager> {
        let key: Arc<str> = installation.identity(&self.app).into();
        if let Some(token_manager) = self.entries().get(&key) {
            return Arc::clone(token_manager);
        }
        let (app, policy) = (Arc::clone(&self.app), Arc::clone(&self.policy));
        let source = Arc::new(AppInstallation::new(app, installation, Arc::clone(&key)));
        let token_manager = TokenManager::new(source, policy, self.store.clone());
        self.insert(key, &token_manager)
    }

    /// Inserts a token manager under its identity, unless one exists, and returns the stored one.
    fn insert(&self, key: Arc<str>, token_manager: &Arc<TokenManager>) -> Arc<TokenManager> {
        let mut known = self.entries();
        let token_manager = Arc::clone(known.get_or_insert(key, || Arc::clone(token_manager)));
        if known.len() > self.policy.max_cached_installations.max(1) {
            known.pop_lru();
        }
        token_manager
    }

    fn entries(&self) -> MutexGuard<'_, LruCache<Arc<str>, Arc<TokenManager>>> {
        self.installations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A second token, in another header, for a gateway in front of GitHub.
#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    pub(crate) header: HeaderName,
    pub(crate) token_manager: Arc<TokenManager>,
}
