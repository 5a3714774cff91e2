//! A user access token, refreshed before it expires.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use secrecy::{ExposeSecret, SecretString};
use tracing::{debug, warn};

use super::OAuthApp;
use super::errors::GrantType;
use crate::error::auth::AuthFailure;
use crate::error::{Error, Result};
use crate::policy::auth::personal::secret_fingerprint;
use crate::policy::auth::provider::{
    Persistence, Rejection, RejectionAction, TokenFuture, TokenProvider, TokenRequest,
};
use crate::policy::auth::token::AccessToken;
use crate::policy::auth::transport::AuthTransport;

/// The token of a user, after sign-in through an [`OAuthApp`].
///
/// A token of a GitHub App is valid for 8 hours and is
/// [refreshed](https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/refreshing-user-access-tokens)
/// before it expires, with a single-use refresh token. Only the client has the new pair: give the client a
/// [`TokenStore`](crate::policy::auth::TokenStore), otherwise the user has to sign in again after a restart. A stored token
/// takes precedence over the token in the constructor; when GitHub rejects the stored one, the client tries the other.
/// So after a new sign-in, a new `UserToken` is sufficient, and nothing has to be deleted.
///
/// After a new sign-in under the same name, as for more scopes, let the client [forget](crate::Client::invalidate_token)
/// the token of the previous sign-in.
///
/// A token without a refresh token, such as an OAuth app's, is used as it is.
pub struct UserToken {
    app: OAuthApp,
    initial: AccessToken,
    identity: String,
    consumed: Mutex<ConsumedRefreshTokens>,
}

/// The tokens that are used up, as far as this process knows.
#[derive(Default)]
struct ConsumedRefreshTokens {
    /// Whether the initial token is used up.
    initial: bool,
    /// The refresh token of the last pair, and the pair that replaced it.
    last: Option<(SecretString, AccessToken)>,
}

impl UserToken {
    /// Creates a provider from the token of a sign-in.
    #[must_use]
    pub fn new(app: OAuthApp, token: AccessToken) -> Self {
        let secret =
            token.refresh_token().map_or(token.expose_secret(), |secret| secret.expose_secret());
        let identity = format!("user:token-{}", secret_fingerprint(secret));
        Self { app, initial: token, identity, consumed: Mutex::default() }
    }

    /// Sets the user name: the identity is then `user:NAME`. It is the key in a store, so it has to be the same after a
    /// restart and differ between users, and between applications that share a store. Without it, the token itself
    /// identifies the user, within one process.
    #[must_use]
    pub fn with_identity(mut self, name: impl fmt::Display) -> Self {
        self.identity = format!("user:{name}");
        self
    }

    async fn fetch(
        &self,
        client: &dyn AuthTransport,
        previous: Option<&AccessToken>,
    ) -> Result<AccessToken> {
        let Some(previous) = previous else {
            return self.initial_or_refreshed(client).await;
        };
        // The token was rejected, or expires, and cannot be refreshed.
        if previous.refresh_token().is_none() && !is_same_token(previous, &self.initial) {
            return self.initial_or_refreshed(client).await;
        }
        let error = match self.renew(client, previous).await {
            Err(error) if requires_sign_in(&error) => error,
            outcome => return outcome,
        };
        if is_same_token(previous, &self.initial) || self.consumed().initial {
            return Err(error);
        }
        warn!(%error, "stored user token is unusable; using the token from the sign-in");
        // Both failures have the same remedy, a new sign-in; the first concerns the user's last token.
        self.initial_or_refreshed(client)
            .await
            .map_err(|other| if requires_sign_in(&other) { error } else { other })
    }

    /// Returns the initial token, or its successor if it has expired.
    async fn initial_or_refreshed(&self, client: &dyn AuthTransport) -> Result<AccessToken> {
        let ended = has_passed(self.initial.expires_at());
        if ended { self.renew(client, &self.initial).await } else { Ok(self.initial.clone()) }
    }

    /// Returns the successor of this token, or of its latest successor in this process: a store that cannot be written
    /// still contains the used pair.
    async fn renew(&self, client: &dyn AuthTransport, token: &AccessToken) -> Result<AccessToken> {
        let newest = self.consumed().newest_of(token);
        let fresh = self.refresh(client, newest.as_ref().unwrap_or(token)).await?;
        let mut spent = self.consumed();
        spent.initial |= is_same_token(token, &self.initial);
        spent.last = token.refresh_token().cloned().map(|known| (known, fresh.clone()));
        Ok(fresh)
    }

    async fn refresh(
        &self,
        client: &dyn AuthTransport,
        token: &AccessToken,
    ) -> Result<AccessToken> {
        let Some(refresh_token) = token.refresh_token() else {
            if has_passed(token.expires_at()) {
                return Err(AuthFailure::Expired.error(
                    "the user's token has expired, and there is no refresh token",
                    "let the user sign in again",
                ));
            }
            return Ok(token.clone());
        };
        if has_passed(token.refresh_token_expires_at()) {
            return Err(AuthFailure::RefreshTokenRejected.error(
                "the user's refresh token has expired",
                "let the user sign in again; a refresh token is valid for six months after the \
                 last refresh",
            ));
        }
        let form = self.app.form().with("grant_type", "refresh_token");
        let form = form.with_secret("refresh_token", refresh_token);
        let mut fresh = self.app.token(client, form, GrantType::Refresh).await?;
        if fresh.refresh_token().is_none() {
            // RFC 6749, section 6: then the old refresh token remains valid.
            fresh =
                fresh.with_refresh_token(refresh_token.clone(), token.refresh_token_expires_at());
        }
        debug!(expires_at = ?fresh.expires_at(), "user token refreshed");
        Ok(fresh)
    }

    fn consumed(&self) -> MutexGuard<'_, ConsumedRefreshTokens> {
        self.consumed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConsumedRefreshTokens {
    /// Returns the last pair in this process that replaced this one.
    fn newest_of(&self, token: &AccessToken) -> Option<AccessToken> {
        let (known, newest) = self.last.as_ref()?;
        let is_known = token.refresh_token()?.expose_secret() == known.expose_secret();
        is_known.then(|| newest.clone())
    }
}

impl TokenProvider for UserToken {
    fn fetch_token<'a>(&'a self, request: TokenRequest<'a>) -> TokenFuture<'a> {
        Box::pin(self.fetch(request.client, request.previous))
    }

    fn identity(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.identity)
    }

    fn on_rejected(&self, _: &Rejection<'_>) -> RejectionAction {
        // The store might contain a token that can be refreshed, or one from a newer sign-in.
        RejectionAction::Refresh
    }

    fn persistence(&self) -> Persistence {
        Persistence::Required
    }
}

impl fmt::Debug for UserToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserToken")
            .field("identity", &self.identity)
            .field("app", &self.app)
            .finish_non_exhaustive()
    }
}

/// Returns whether only a new sign-in helps.
fn requires_sign_in(error: &Error) -> bool {
    matches!(error.auth_failure(), Some(AuthFailure::RefreshTokenRejected | AuthFailure::Expired))
}

fn is_same_token(one: &AccessToken, other: &AccessToken) -> bool {
    one.expose_secret() == other.expose_secret()
}

fn has_passed(time: Option<SystemTime>) -> bool {
    time.is_some_and(|time| time <= SystemTime::now())
}
