//! Management of user access tokens by the application: check, reset, revoke.

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use http::{Method, StatusCode};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::OAuthApp;
use super::form::{basic, secret_json};
use crate::error::auth::AuthFailure;
use crate::error::{Error, Result};
use crate::policy::auth::token::AccessToken;
use crate::policy::auth::transport::{self, AuthBody, AuthCall, AuthTarget, AuthTransport};
use crate::response::RawResponse;

/// GitHub's data about a valid token: [`OAuthApp::check`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TokenInfo {
    /// The login of the token's user.
    pub login: Option<String>,
    /// The user's id, which does not change with the login.
    pub user_id: Option<u64>,
    /// The scopes; empty for the tokens of a GitHub App.
    pub scopes: Vec<String>,
    /// When the token expires; `None` if it does not.
    pub expires_at: Option<SystemTime>,
}

/// The parts of GitHub's response that are read.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct TokenCheck {
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    token: Option<SecretString>,
    #[serde(default)]
    scopes: Option<Vec<String>>,
    #[serde(default)]
    user: Option<TokenCheckUser>,
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    expires_at: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct TokenCheckUser {
    login: Option<String>,
    id: Option<u64>,
}

/// Management of tokens of this application's users; each method requires the client secret. See GitHub's [REST API for
/// OAuth applications](https://docs.github.com/en/rest/apps/oauth-applications).
impl OAuthApp {
    /// Checks whether a token is valid, which does not count as its use; `None` if it is invalid, or belongs to another
    /// application.
    ///
    /// # Errors
    /// If GitHub rejects the application itself ([`AuthFailure::ClientRejected`]), or does not respond.
    pub async fn check(
        &self,
        client: &dyn AuthTransport,
        token: &AccessToken,
    ) -> Result<Option<TokenInfo>> {
        let call = (Method::POST, "apps/check-token", "token");
        let response = match self.manage(client, call, token, RawResponse::json::<TokenCheck>).await
        {
            Ok(response) => response.into_inner(),
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => return Ok(None),
            Err(error) => return Err(explain(error)),
        };
        let (login, user_id) = response.user.map_or((None, None), |user| (user.login, user.id));
        Ok(Some(TokenInfo {
            login,
            user_id,
            scopes: response.scopes.unwrap_or_default(),
            expires_at: response.expires_at.map(SystemTime::from),
        }))
    }

    /// Replaces a token with a new one; the old token is no longer valid.
    ///
    /// # Errors
    /// As for [`check`](Self::check), and if the token is invalid: the error [is not found](Error::is_not_found).
    pub async fn reset(
        &self,
        client: &dyn AuthTransport,
        token: &AccessToken,
    ) -> Result<AccessToken> {
        let call = (Method::PATCH, "apps/reset-token", "token");
        let response = self.manage(client, call, token, RawResponse::json::<TokenCheck>).await;
        let response = response.map_err(explain)?.into_inner();
        let new = response.token.ok_or_else(|| {
            AuthFailure::OAuth
                .error("token reset failed: GitHub returned no new token", "try again")
        })?;
        let mut new = AccessToken::new(new)?;
        if let Some(scopes) = response.scopes {
            new = new.with_scopes(scopes);
        }
        if let Some(end) = response.expires_at {
            new = new.with_expires_at(end.into());
        }
        Ok(new)
    }

    /// Revokes this token; returns `false` if GitHub knows no such token of this application, such as after an earlier
    /// revocation.
    ///
    /// # Errors
    /// As for [`check`](Self::check).
    pub async fn revoke(&self, client: &dyn AuthTransport, token: &AccessToken) -> Result<bool> {
        self.delete(client, "apps/delete-token", "token", token).await
    }

    /// Revokes all tokens of this token's user for the application, and its authorization by the user; returns `false`
    /// as [`revoke`](Self::revoke) does.
    ///
    /// # Errors
    /// As for [`check`](Self::check).
    pub async fn revoke_grant(
        &self,
        client: &dyn AuthTransport,
        token: &AccessToken,
    ) -> Result<bool> {
        self.delete(client, "apps/delete-authorization", "grant", token).await
    }

    async fn delete(
        &self,
        client: &dyn AuthTransport,
        label: &'static str,
        what: &str,
        token: &AccessToken,
    ) -> Result<bool> {
        match self.manage(client, (Method::DELETE, label, what), token, RawResponse::empty).await {
            Ok(_) => Ok(true),
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => Ok(false),
            Err(error) => Err(explain(error)),
        }
    }

    /// Sends a request with a token in its body, and the application's own credential.
    async fn manage<T: Send>(
        &self,
        client: &dyn AuthTransport,
        (method, name, what): (Method, &'static str, &str),
        token: &AccessToken,
        decode: impl FnOnce(RawResponse) -> Result<T> + Send,
    ) -> Result<T> {
        #[derive(Serialize)]
        struct Body<'a> {
            access_token: &'a str,
        }
        let authorization = basic(&self.client_id, self.secret("to manage user tokens")?)?;
        let body = secret_json(&Body { access_token: token.expose_secret() })?;
        let path: &[_] = &["applications", &self.client_id, what];
        let call = AuthCall {
            name,
            target: AuthTarget::Api { method, path, body: AuthBody::SecretJson(body) },
            authorization: Some(authorization),
            retries: true,
            is_idempotent: false,
        };
        transport::send(client, call, decode).await
    }
}

/// Maps GitHub's rejection to a failure; the error never contains a body with tokens.
fn explain(error: Error) -> Error {
    let error = error.without_body();
    if error.status() != Some(StatusCode::UNAUTHORIZED) {
        return error;
    }
    AuthFailure::ClientRejected
        .error(
            "GitHub rejected the client id or the client secret",
            "compare them with the application's settings page",
        )
        .with_source(error)
}

#[cfg(test)]
mod tests {
    use super::TokenCheck;

    #[test]
    fn tokens_of_users_are_read_as_they_are_documented() {
        use crate::testing::type_coverage::assert_reads;
        assert_reads::<TokenCheck>("apps/check-token", 200);
        assert_reads::<TokenCheck>("apps/reset-token", 200);
        assert_reads::<TokenCheck>("apps/scope-token", 200);
    }
}
