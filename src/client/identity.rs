//! As whom a client calls, and handles that call as another.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::Client;
use crate::auth::{AccessToken, Auth, AuthFailure, Installation, TokenSource};
use crate::error::{Error, Result};

/// Identities.
impl Client {
    /// A handle that calls as another installation of the same App.
    ///
    /// It shares everything else: connections, settings, and the App's JWT. Tokens are kept for
    /// [15,000](crate::auth::TokenPolicy::max_installations) installations, so that asking for the
    /// same one again costs no token.
    ///
    /// ```no_run
    /// # async fn example(client: octowire::Client) -> octowire::Result<()> {
    /// use octowire::auth::Installation;
    ///
    /// let id: i64 = 42; // such as `Event::installation` of a webhook
    /// let one = client.installation(id)?;
    /// let narrow = client.installation(Installation::of_org("octo-org").permission("issues", "read"))?;
    /// # let _ = (one, narrow);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the client was not built with an [`App`](crate::auth::App) or one of its installations
    /// ([`AuthFailure::NotAnApp`]).
    pub fn installation(&self, installation: impl Into<Installation>) -> Result<Self> {
        let auth = self.inner().auth.installation(installation.into());
        auth.map(|auth| self.with(auth)).ok_or_else(not_an_app)
    }

    /// A handle that calls as the App itself, which a few endpoints ask for, such as
    /// [those about its installations](https://docs.github.com/en/rest/apps/apps).
    ///
    /// # Errors
    /// As for [`installation`](Self::installation).
    pub fn as_app(&self) -> Result<Self> {
        self.inner().auth.as_app().map(|auth| self.with(auth)).ok_or_else(not_an_app)
    }

    /// A handle that calls with the tokens of another source, and shares everything else.
    #[must_use]
    pub fn with_auth(&self, source: impl TokenSource) -> Self {
        let (policy, store) = (self.inner().token_policy.clone(), self.inner().token_store.clone());
        self.with(Auth::new(Arc::new(source), policy, store))
    }

    /// A handle that calls without a token, and shares everything else.
    #[must_use]
    pub fn without_auth(&self) -> Self {
        self.with(Auth::default())
    }

    /// The token that a call would be made with now, minted if need be; `None` without one.
    ///
    /// It is for what else takes GitHub's tokens: `git` over HTTPS as the password of the user
    /// `x-access-token`, or a registry of packages.
    ///
    /// # Errors
    /// If there is no token to be had.
    pub async fn access_token(&self) -> Result<Option<AccessToken>> {
        match self.inner().auth.keeper() {
            Some(keeper) => Ok(Some(keeper.pass(self).await?.token().clone())),
            None => Ok(None),
        }
    }

    /// Forgets the token that is at hand, in the [store](crate::ClientBuilder::token_store) as well:
    /// after it was revoked, or when the user has signed in anew. The next call begins with
    /// what the source gives then.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn forget_token(&self) -> Result<()> {
        match self.inner().auth.keeper() {
            Some(keeper) => keeper.forget(self).await,
            None => Ok(()),
        }
    }

    /// The name of the identity that calls, such as `installation:42`; `anonymous` without one. It
    /// holds no secret.
    #[must_use]
    pub fn identity(&self) -> Cow<'_, str> {
        match self.inner().auth.keeper() {
            Some(keeper) => keeper.source().identity(),
            None => Cow::Borrowed("anonymous"),
        }
    }

    /// The age of the credential behind the tokens, a key or a personal token, if it is known: from
    /// the file that it was read from, or because its source was told.
    #[must_use]
    pub fn credential_age(&self) -> Option<Duration> {
        self.inner().auth.keeper()?.age()
    }
}

fn not_an_app() -> Error {
    AuthFailure::NotAnApp.error(
        "the client is not authenticated as a GitHub App and has no installations",
        "build it with App::new(…), or with one of the App's installations",
    )
}
