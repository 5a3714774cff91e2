//! What an application may do about its users' tokens: look, replace, revoke.

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use http::header::AUTHORIZATION;
use http::{Method, StatusCode};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::OAuthApp;
use super::form::{basic, secret_json};
use crate::auth::failure::AuthFailure;
use crate::auth::token::AccessToken;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::request::Request;

/// What GitHub says about a token that is valid: [`OAuthApp::check`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CheckedToken {
    /// The user whose token it is.
    pub login: Option<String>,
    /// The user's id, which stays when the login changes.
    pub user_id: Option<u64>,
    /// The scopes; none for the tokens of a GitHub App.
    pub scopes: Vec<String>,
    /// When it ends; `None` if it does not.
    pub expires_at: Option<SystemTime>,
}

/// The parts of GitHub's answer that are read.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Answer {
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    token: Option<SecretString>,
    #[serde(default)]
    scopes: Option<Vec<String>>,
    #[serde(default)]
    user: Option<User>,
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    expires_at: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct User {
    login: Option<String>,
    id: Option<u64>,
}

/// Managing tokens of this application's users; each needs the client secret. See GitHub's
/// [REST API for OAuth applications](https://docs.github.com/en/rest/apps/oauth-applications).
impl OAuthApp {
    /// Asks whether a token is valid, without counting it as used; `None` if it is not, or not
    /// this application's.
    ///
    /// # Errors
    /// If GitHub refuses the application itself ([`AuthFailure::ClientRejected`]), or does not
    /// answer.
    pub async fn check(
        &self,
        client: &Client,
        token: &AccessToken,
    ) -> Result<Option<CheckedToken>> {
        let request = self.managing(client, Method::POST, "apps/check-token", "token", token)?;
        let answer = match request.send::<Answer>().await {
            Ok(answer) => answer.into_inner(),
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => return Ok(None),
            Err(error) => return Err(explain(error)),
        };
        let (login, user_id) = answer.user.map_or((None, None), |user| (user.login, user.id));
        Ok(Some(CheckedToken {
            login,
            user_id,
            scopes: answer.scopes.unwrap_or_default(),
            expires_at: answer.expires_at.map(SystemTime::from),
        }))
    }

    /// Replaces a token by a new one; the old one is valid no more.
    ///
    /// # Errors
    /// As for [`check`](Self::check), and if the token is not valid: the error
    /// [is not found](Error::is_not_found).
    pub async fn reset(&self, client: &Client, token: &AccessToken) -> Result<AccessToken> {
        let request = self.managing(client, Method::PATCH, "apps/reset-token", "token", token)?;
        let answer = request.send::<Answer>().await;
        let answer = answer.map_err(explain)?.into_inner();
        let new = answer.token.ok_or_else(|| {
            AuthFailure::OAuth
                .error("token reset failed: GitHub returned no new token", "try again")
        })?;
        let mut new = AccessToken::new(new)?;
        if let Some(scopes) = answer.scopes {
            new = new.with_scopes(scopes);
        }
        if let Some(end) = answer.expires_at {
            new = new.with_expires_at(end.into());
        }
        Ok(new)
    }

    /// Revokes this token; `false` if GitHub knows no such token of this application, as when it
    /// was revoked before.
    ///
    /// # Errors
    /// As for [`check`](Self::check).
    pub async fn revoke(&self, client: &Client, token: &AccessToken) -> Result<bool> {
        self.delete(client, "apps/delete-token", "token", token).await
    }

    /// Revokes all tokens of this token's user for the application, and its place among the user's
    /// authorized applications; `false` as for [`revoke`](Self::revoke).
    ///
    /// # Errors
    /// As for [`check`](Self::check).
    pub async fn revoke_grant(&self, client: &Client, token: &AccessToken) -> Result<bool> {
        self.delete(client, "apps/delete-authorization", "grant", token).await
    }

    async fn delete(
        &self,
        client: &Client,
        label: &'static str,
        what: &str,
        token: &AccessToken,
    ) -> Result<bool> {
        let request = self.managing(client, Method::DELETE, label, what, token)?;
        match request.send_empty().await {
            Ok(_) => Ok(true),
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => Ok(false),
            Err(error) => Err(explain(error)),
        }
    }

    /// A request that carries a token in its body, and the application's own authorization.
    fn managing(
        &self,
        client: &Client,
        method: Method,
        label: &'static str,
        what: &str,
        token: &AccessToken,
    ) -> Result<Request> {
        #[derive(Serialize)]
        struct Body<'a> {
            access_token: &'a str,
        }
        let authorization = basic(&self.client_id, self.secret("to manage user tokens")?)?;
        let body = secret_json(&Body { access_token: token.expose_secret() })?;
        let request =
            Request::known(client, method, label, &["applications", &self.client_id, what]);
        let request = request?.header(AUTHORIZATION, authorization);
        Ok(request.body("application/json", body))
    }
}

/// What GitHub's refusal means; and an error never has a body with tokens in it.
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
    use super::Answer;

    #[test]
    fn tokens_of_users_are_read_as_they_are_documented() {
        use crate::contract::mirrors::assert_reads;
        assert_reads::<Answer>("apps/check-token", 200);
        assert_reads::<Answer>("apps/reset-token", 200);
        assert_reads::<Answer>("apps/scope-token", 200);
    }
}
