//! Identities of a client, and handles with another identity.
//!
//! A handle with another identity shares the connections, the settings and the storage of the cache. Its rate limits and
//! its stored responses are those of its own identity.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::Client;
use crate::error::Result;
use crate::policy::auth::{AccessToken, CredentialSource, Identity, Installation, TokenProvider};

/// Handles with another identity.
impl Client {
    /// Returns a handle for another installation of the same App.
    ///
    /// It shares connections, settings, and the App's JWT. Rate limits and stored responses belong to its own identity.
    /// Tokens are kept for [15,000](crate::auth::TokenPolicy::max_cached_installations) installations, so that a repeated
    /// call for the same installation requests no token.
    ///
    /// ```no_run
    /// # async fn example(client: octowire::Client) -> octowire::Result<()> {
    /// use octowire::auth::Installation;
    ///
    /// let id: i64 = 42; // such as `Event::installation` of a webhook
    /// let one = client.installation(id)?;
    /// let narrow = client.installation(Installation::for_org("octo-org").permission("issues", "read"))?;
    /// # let _ = (one, narrow);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the client was not built with an [`App`](crate::policy::auth::App) or one of its installations
    /// ([`AuthFailure::NotAnApp`](crate::auth::AuthFailure::NotAnApp)).
    pub fn installation(&self, installation: impl Into<Installation>) -> Result<Self> {
        self.handle().installation(installation.into()).map(Self::of)
    }

    /// Returns a handle for the App itself, which a few endpoints require, such as [those about its
    /// installations](https://docs.github.com/en/rest/apps/apps).
    ///
    /// # Errors
    /// As for [`installation`](Self::installation).
    pub fn as_app(&self) -> Result<Self> {
        self.handle().as_app().map(Self::of)
    }

    /// Returns a handle with the tokens of another provider. It shares connections and settings; rate limits and stored
    /// responses belong to its own identity.
    #[must_use]
    pub fn with_auth(&self, provider: impl TokenProvider) -> Self {
        let shared = &self.handle().shared;
        let (policy, store) = (Arc::clone(&shared.token_policy), shared.token_store.clone());
        self.as_identity(Identity::new(Arc::new(provider), policy, store))
    }

    /// Returns a handle without a token. It shares connections and settings; rate limits and stored responses belong to
    /// the identity `anonymous`.
    #[must_use]
    pub fn unauthenticated(&self) -> Self {
        self.as_identity(Identity::default())
    }

    /// Returns the token that a call would use now, and requests it if necessary; `None` without a token provider.
    ///
    /// It is for other users of GitHub's tokens: `git` over HTTPS, as the password of the user `x-access-token`, or a
    /// package registry.
    ///
    /// ```no_run
    /// # async fn example(client: octowire::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let token = client.access_token().await?.ok_or("the client has no credential")?;
    /// let mut status = std::process::Command::new("gh");
    /// status.args(["auth", "status"]).env("GH_TOKEN", token.expose_secret());
    /// # let _ = status;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If no token is available.
    pub async fn access_token(&self) -> Result<Option<AccessToken>> {
        match self.handle().identity.token_manager() {
            Some(token_manager) => Ok(Some(token_manager.token(self).await?.token().clone())),
            None => Ok(None),
        }
    }

    /// Removes the token of this handle, from the [token store](crate::ClientBuilder::token_store) as well: after it was
    /// revoked, or when the user has signed in again. The next call starts with the token that the provider then fetches.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn invalidate_token(&self) -> Result<()> {
        match self.handle().identity.token_manager() {
            Some(token_manager) => token_manager.invalidate(self).await,
            None => Ok(()),
        }
    }

    /// Returns the name of the identity, such as `installation:42`; `anonymous` without one. It contains no secret.
    #[must_use]
    pub fn identity(&self) -> Cow<'_, str> {
        self.handle().identity_name()
    }

    /// Returns where the credentials were found, if the client looked for them: see [`Client::from_env`]. Handles of the
    /// same App have the same source.
    ///
    /// It is `None` for credentials that the application passed, and without credentials.
    #[must_use]
    pub fn credential_source(&self) -> Option<&CredentialSource> {
        self.handle().identity.credential_source()
    }

    /// Returns the age of the underlying credential, a key or a personal access token, if it is known: from the file
    /// that it was read from, or from a setting of its provider.
    #[must_use]
    pub fn credential_age(&self) -> Option<Duration> {
        self.handle().identity.token_manager()?.credential_age()
    }

    /// Returns a handle that shares everything except the identity.
    fn as_identity(&self, identity: Identity) -> Self {
        Self::of(self.handle().with_identity(identity))
    }
}
