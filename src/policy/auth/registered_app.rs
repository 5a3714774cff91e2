//! The credentials of a registered App: received from GitHub once, and kept in a token store.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

#[cfg(feature = "github-app")]
use super::app::App;
use super::application_id;
#[cfg(feature = "oauth")]
use super::oauth::OAuthApp;
use super::token::CredentialFormat;
use super::token_store::TokenStore;
use super::transport::AuthTransport;
use crate::error::Result;
use crate::error::auth::AuthFailure;
use crate::sanitize;

mod conversion;
mod stored;

/// The credentials of a GitHub App that was registered from a manifest.
///
/// GitHub issues them once, in exchange for the code of the registration: see `AppRegistration` (feature
/// `app-registration`). They are kept in a [`TokenStore`] under the name of an environment, such as `production`, and
/// loaded from there by each program that needs them. An encrypted store encrypts them as it does tokens. Use one that
/// does not evict values: a file, or a Redis with `noeviction` and persistence. The credentials of an App that exists, such
/// as one that was registered by hand, are kept in the same way: see [`new`](Self::new).
///
/// ```no_run
/// # async fn example() -> octowire::Result<()> {
/// use octowire::Client;
/// use octowire::auth::{EncryptedFileTokenStore, EncryptionKey, RegisteredApp};
///
/// let key = EncryptionKey::from_env("OCTOWIRE_STORE_KEY")?;
/// let store = EncryptedFileTokenStore::open("/var/lib/bot/credentials", key)?;
/// let registered = RegisteredApp::load(&store, "production").await?;
/// let github = Client::builder().auth(registered.app()?.installation(42)).build()?;
/// # let _ = github;
/// # Ok(())
/// # }
/// ```
///
/// An environment has one App. [`save`](Self::save) rejects another one, [`replace`](Self::replace) does not. A process
/// sees a change of the stored credentials when it loads them again.
///
/// The credentials do not expire. To rotate one of them, create the new one on the App's settings page, save it with
/// [`with_private_key`](Self::with_private_key), [`with_client_secret`](Self::with_client_secret) or
/// [`with_webhook_secret`](Self::with_webhook_secret), and delete the old one there once each program has loaded the new
/// one.
///
/// Its `Debug` shows no secret, and the memory of the secrets is overwritten when they are dropped.
#[derive(Clone)]
#[must_use = "GitHub issues the credentials once: save them"]
pub struct RegisteredApp {
    id: u64,
    client_id: String,
    slug: Option<String>,
    owner: Option<String>,
    html_url: Option<Url>,
    private_key: SecretString,
    client_secret: Option<SecretString>,
    webhook_secret: Option<SecretString>,
}

/// The maximum length of the name of an environment, in characters.
const MAX_ENVIRONMENT_CHARS: usize = 64;

/// The registration.
impl RegisteredApp {
    /// Exchanges the code of a registration for the App's credentials, by
    /// [`POST /app-manifests/{code}/conversions`](https://docs.github.com/en/rest/apps/apps#create-a-github-app-from-a-manifest).
    ///
    /// `AppRegistration` (feature `app-registration`) calls this. Call it in an application that serves the
    /// `redirect_url` of the manifest itself, after it has compared the `state` of the callback. A code is valid for one
    /// hour and one use. The request carries no token of the client.
    ///
    /// If a response is lost, the code is sent again, by the client's [`RetryPolicy`](crate::RetryPolicy) for idempotent
    /// calls: GitHub then sends the credentials, or it has used the code and rejects it.
    ///
    /// # Errors
    /// If GitHub does not accept the code ([`AuthFailure::CodeRejected`]). If a response is lost, and no later one has the
    /// credentials, the App might exist without them ([`AuthFailure::CredentialsLost`]): the error says what to do. After
    /// any other error, such as a rate limit, the same code can be used again within the hour.
    pub async fn from_code(
        client: &dyn AuthTransport,
        code: impl Into<SecretString>,
    ) -> Result<Self> {
        conversion::exchange(client, code.into().expose_secret().trim()).await
    }
}

/// The store.
impl RegisteredApp {
    /// Loads the App of this environment. Its name has 1 to 64 letters, digits, `.`, `_` and `-`; case matters.
    ///
    /// # Errors
    /// If the environment has no App ([`AuthFailure::Missing`]), the store fails ([`AuthFailure::Store`]) or is encrypted
    /// with another key ([`AuthFailure::StoreKey`]), the entry cannot be read ([`AuthFailure::StoreTampered`],
    /// [`AuthFailure::StoreTruncated`], [`AuthFailure::StoreVersion`]), or the name is invalid
    /// ([`AuthFailure::Malformed`]).
    pub async fn load(store: &dyn TokenStore, environment: &str) -> Result<Self> {
        let key = store_key(environment)?;
        let stored = store.load(&key).await?.ok_or_else(|| {
            AuthFailure::Missing.error(
                format!("the store has no App for the environment {environment}"),
                "register one, or check the name of the environment and the location of the store",
            )
        })?;
        stored::from_token(&stored, environment)
    }

    /// Saves the App for this environment, also in place of older credentials of the same App.
    ///
    /// If it fails, nothing is lost: call it again, or with another store.
    ///
    /// # Errors
    /// If the environment has another App ([`AuthFailure::Ambiguous`]), or as for [`load`](Self::load): an entry that cannot
    /// be read is not overwritten.
    pub async fn save(&self, store: &dyn TokenStore, environment: &str) -> Result<()> {
        let key = store_key(environment)?;
        let lock = store.lock(&key).await?;
        let outcome = self.save_unless_other(store, &key, environment).await;
        lock.release().await;
        outcome
    }

    /// Saves the App for this environment in place of any other, whose credentials are then lost.
    ///
    /// # Errors
    /// If the store fails, or the name is invalid ([`AuthFailure::Malformed`]).
    pub async fn replace(&self, store: &dyn TokenStore, environment: &str) -> Result<()> {
        let key = store_key(environment)?;
        let lock = store.lock(&key).await?;
        let outcome = self.put(store, &key).await;
        lock.release().await;
        outcome
    }

    /// Removes the App of this environment from the store; on GitHub it remains. A missing App is not an error.
    ///
    /// # Errors
    /// As for [`replace`](Self::replace).
    pub async fn remove(store: &dyn TokenStore, environment: &str) -> Result<()> {
        store.remove(&store_key(environment)?).await
    }

    async fn save_unless_other(
        &self,
        store: &dyn TokenStore,
        key: &str,
        environment: &str,
    ) -> Result<()> {
        if let Some(stored) = store.load(key).await? {
            let stored = stored::from_token(&stored, environment)?;
            if stored.client_id != self.client_id {
                return Err(AuthFailure::Ambiguous.error(
                    format!(
                        "the environment {environment} has the App {}, not {}",
                        stored.client_id, self.client_id
                    ),
                    "save this one for another environment, or call RegisteredApp::replace",
                ));
            }
        }
        self.put(store, key).await
    }

    async fn put(&self, store: &dyn TokenStore, key: &str) -> Result<()> {
        store.save(key, &stored::to_token(self)?).await
    }
}

/// The App and its credentials.
impl RegisteredApp {
    /// Creates the credentials of an App that exists, to [save](Self::save) them: of one that was registered by hand, or
    /// whose credentials were lost ([`AuthFailure::CredentialsLost`]). They are on the App's [settings
    /// page](https://docs.github.com/en/apps/maintaining-github-apps/modifying-a-github-app-registration#navigating-to-your-github-app-settings).
    ///
    /// `id` is the App id, `client_id` the client id, which is next to it there, and `private_key` the PEM file that GitHub
    /// generates, as for [`App::new`]. White space around the client id is dropped. The result has neither a client secret
    /// nor a webhook secret, which [`with_client_secret`](Self::with_client_secret) and
    /// [`with_webhook_secret`](Self::with_webhook_secret) add, and no slug, owner and URL.
    ///
    /// ```no_run
    /// # async fn example(key: String, client_secret: String) -> octowire::Result<()> {
    /// use octowire::auth::{EncryptedFileTokenStore, EncryptionKey, RegisteredApp};
    ///
    /// let app = RegisteredApp::new(12345, "Iv23liABCDEF", key)?.with_client_secret(client_secret)?;
    /// let store_key = EncryptionKey::from_env("OCTOWIRE_STORE_KEY")?;
    /// let store = EncryptedFileTokenStore::open("/var/lib/bot/credentials", store_key)?;
    /// app.save(&store, "production").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the client id is empty, or looks like another value, such as the App id or a token
    /// ([`AuthFailure::WrongKind`]), or if the private key is not usable for RS256: see [`App::new`].
    #[cfg(feature = "github-app")]
    #[cfg_attr(docsrs, doc(cfg(feature = "github-app")))]
    pub fn new(
        id: u64,
        client_id: impl Into<String>,
        private_key: impl Into<SecretString>,
    ) -> Result<Self> {
        let client_id = client_id.into();
        let client_id = client_id.trim();
        application_id::check_client_id(client_id)?;
        let app = Self {
            id,
            client_id: client_id.to_owned(),
            slug: None,
            owner: None,
            html_url: None,
            private_key: private_key.into(),
            client_secret: None,
            webhook_secret: None,
        };
        app.app()?;
        Ok(app.with_secrets_hidden())
    }

    /// Returns the App, which signs its JWTs with the private key and the client id.
    ///
    /// # Errors
    /// If the private key is not usable for RS256.
    #[cfg(feature = "github-app")]
    #[cfg_attr(docsrs, doc(cfg(feature = "github-app")))]
    pub fn app(&self) -> Result<App> {
        App::new(&self.client_id, self.private_key.clone())
    }

    /// Returns the App as an application that signs users in.
    ///
    /// # Errors
    /// If the App has no client secret ([`AuthFailure::Missing`]), or it is invalid.
    #[cfg(feature = "oauth")]
    #[cfg_attr(docsrs, doc(cfg(feature = "oauth")))]
    pub fn oauth_app(&self) -> Result<OAuthApp> {
        let secret = self.client_secret.clone().ok_or_else(|| {
            AuthFailure::Missing.error(
                format!("the App {} has no client secret", self.client_id),
                "generate one on its settings page, and add it with \
                 RegisteredApp::with_client_secret",
            )
        })?;
        OAuthApp::new(self.client_id.clone(), secret)
    }

    /// Returns the App id.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Returns the client id.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Returns the name in the App's URLs; `None` if it is not known. The App's user is called `SLUG[bot]`.
    #[must_use]
    pub fn slug(&self) -> Option<&str> {
        self.slug.as_deref()
    }

    /// Returns the login of the user or organization that owned the App when it was registered; `None` if it is not known.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// Returns the URL of the App's public page; `None` if it is not known.
    #[must_use]
    pub fn html_url(&self) -> Option<&Url> {
        self.html_url.as_ref()
    }

    /// Returns the URL of the page on which accounts
    /// [install](https://docs.github.com/en/apps/sharing-github-apps/sharing-your-github-app) the App; `None` if the App's
    /// [own page](Self::html_url) is not known.
    #[must_use]
    pub fn install_url(&self) -> Option<Url> {
        let mut url = self.html_url.clone()?;
        url.path_segments_mut().ok()?.pop_if_empty().extend(["installations", "new"]);
        Some(url)
    }

    /// Returns the private key, as PEM.
    #[must_use]
    pub fn private_key(&self) -> &SecretString {
        &self.private_key
    }

    /// Returns the client secret; `None` if the App has none.
    #[must_use]
    pub fn client_secret(&self) -> Option<&SecretString> {
        self.client_secret.as_ref()
    }

    /// Returns the secret with which GitHub signs deliveries; `None` if the App has none, such as without a webhook.
    /// `Verifier::from_app` (feature `webhooks`) verifies with it.
    #[must_use]
    pub fn webhook_secret(&self) -> Option<&SecretString> {
        self.webhook_secret.as_ref()
    }

    /// Replaces the private key with another one of the same App.
    ///
    /// # Errors
    /// If it is not usable for RS256: see [`App::new`].
    #[cfg(feature = "github-app")]
    #[cfg_attr(docsrs, doc(cfg(feature = "github-app")))]
    pub fn with_private_key(mut self, private_key: impl Into<SecretString>) -> Result<Self> {
        self.private_key = private_key.into();
        self.app()?;
        Ok(self.with_secrets_hidden())
    }

    /// Replaces the client secret. White space around it is dropped.
    ///
    /// # Errors
    /// If it is empty, or looks like another value, such as a token or a private key.
    pub fn with_client_secret(mut self, secret: impl Into<SecretString>) -> Result<Self> {
        let secret = secret.into();
        let secret = secret.expose_secret().trim();
        application_id::check("client secret", secret, |looks| {
            looks == CredentialFormat::ClientId
        })?;
        self.client_secret = Some(secret.into());
        Ok(self.with_secrets_hidden())
    }

    /// Replaces the webhook secret.
    ///
    /// # Errors
    /// If it is empty: then any sender could sign.
    pub fn with_webhook_secret(mut self, secret: impl Into<SecretString>) -> Result<Self> {
        let secret = secret.into();
        if secret.expose_secret().is_empty() {
            return Err(AuthFailure::Empty.error(
                "the webhook secret is empty",
                "set a random secret of at least 32 bytes, here and on GitHub",
            ));
        }
        self.webhook_secret = Some(secret);
        Ok(self.with_secrets_hidden())
    }

    /// Registers the secrets, so that no text contains them.
    fn with_secrets_hidden(self) -> Self {
        let others = [&self.client_secret, &self.webhook_secret].into_iter().flatten();
        for secret in others.chain([&self.private_key]) {
            sanitize::pin(secret.expose_secret().as_bytes());
        }
        self
    }
}

impl fmt::Debug for RegisteredApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegisteredApp")
            .field("id", &self.id)
            .field("client_id", &self.client_id)
            .field("slug", &self.slug)
            .field("owner", &self.owner)
            .field("has_client_secret", &self.client_secret.is_some())
            .field("has_webhook_secret", &self.webhook_secret.is_some())
            .finish_non_exhaustive()
    }
}

/// Returns the key of an environment in a token store. The keys of tokens contain spaces.
fn store_key(environment: &str) -> Result<String> {
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !(1..=MAX_ENVIRONMENT_CHARS).contains(&environment.len())
        || !environment.bytes().all(is_valid)
    {
        return Err(AuthFailure::Malformed.error(
            "invalid name of an environment",
            "use 1 to 64 letters, digits, periods, underscores and hyphens, such as production",
        ));
    }
    Ok(format!("registered-app:{environment}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn app() -> RegisteredApp {
        RegisteredApp {
            id: 1,
            client_id: "Iv23liABC".to_owned(),
            slug: Some("octo-app".to_owned()),
            owner: Some("octo-org".to_owned()),
            html_url: Some("https://github.com/apps/octo-app".parse().unwrap()),
            private_key: "-----BEGIN RSA PRIVATE KEY-----\nhunter2".into(),
            client_secret: Some("hunter2-client".into()),
            webhook_secret: Some("hunter2-webhook".into()),
        }
    }

    #[test]
    fn an_app_is_installed_on_a_page_below_its_own() {
        let url = app().install_url().unwrap();
        assert_eq!(url.as_str(), "https://github.com/apps/octo-app/installations/new");
    }

    #[test]
    fn debug_shows_the_ids_and_no_secret() {
        let shown = format!("{:?} {:#?}", app(), app());
        assert!(shown.contains("Iv23liABC") && shown.contains("octo-app"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn an_invalid_secret_is_not_accepted_and_not_shown() {
        for (error, failure) in [
            (app().with_client_secret(" \n").unwrap_err(), AuthFailure::Empty),
            (app().with_client_secret("ghs_hunter2").unwrap_err(), AuthFailure::WrongKind),
            (app().with_webhook_secret("").unwrap_err(), AuthFailure::Empty),
            #[cfg(feature = "github-app")]
            (app().with_private_key("hunter2").unwrap_err(), AuthFailure::InvalidKey),
        ] {
            assert_eq!(error.auth_failure(), Some(failure), "{error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
        let app = app().with_client_secret(" other-secret\n").unwrap();
        assert_eq!(app.client_secret().unwrap().expose_secret(), "other-secret");
    }

    #[test]
    fn the_name_of_an_environment_is_short_and_plain() {
        for name in ["production", "eu-west.2_b", "P", &"x".repeat(MAX_ENVIRONMENT_CHARS)] {
            assert_eq!(store_key(name).unwrap(), format!("registered-app:{name}"));
        }
        let long = "x".repeat(MAX_ENVIRONMENT_CHARS + 1);
        for name in ["", "a b", "a/b", "a\n", "é", &long] {
            let error = store_key(name).unwrap_err();
            assert_eq!(error.auth_failure(), Some(AuthFailure::Malformed), "{name}");
        }
    }
}
