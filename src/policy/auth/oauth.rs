//! User authorization: the web flow, the device flow, refresh tokens, and token management.
//!
//! It follows RFC 6749, 7636 (PKCE) and 8628 (devices) as far as GitHub does; see its page [Authorizing OAuth
//! apps](https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps).

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::application_id::{check, check_client_id};
use super::token::{AccessToken, CredentialFormat};
use super::transport::AuthTransport;
use crate::error::Result;
use crate::error::auth::AuthFailure;
use crate::sanitize;

mod device;
mod errors;
mod form;
#[cfg(any(test, feature = "__fuzz"))]
pub(super) mod fuzzing;
mod manage;
mod token_endpoint;
mod user;
mod web;

pub use device::{DeviceAuthorization, DeviceFlow};
pub(crate) use errors::GrantType;
pub(crate) use form::{Form, basic_encoded};
pub use manage::TokenInfo;
pub(crate) use token_endpoint::TokenEndpointRequest;
pub use user::UserToken;
pub use web::{AuthorizationRequest, PendingAuthorization};

/// An OAuth app, or a GitHub App that acts on behalf of users.
///
/// [`web_flow`](Self::web_flow) signs a user in with the browser, [`device`](Self::device_flow) on a machine
/// without one. A [`UserToken`] then refreshes the resulting token.
///
/// The application has no setting for the GitHub server: every call takes a [`Client`](crate::Client), whose base URL
/// and timeouts apply, and which needs no token of its own.
///
/// ```no_run
/// # async fn example(callback: &str) -> octowire::Result<()> {
/// use octowire::Client;
/// use octowire::auth::{OAuthApp, UserToken};
///
/// let github = Client::builder().build()?;
/// let oauth = OAuthApp::new("Iv23liABCDEF", "client secret")?
///     .redirect_uri("https://example.com/callback")?;
///
/// let sign_in = oauth.web_flow(&github).start()?;
/// println!("send the user to {}", sign_in.url());
/// // After the callback:
/// let token = sign_in.exchange(&github, callback).await?;
///
/// let github = github.with_auth(UserToken::new(oauth, token).with_identity("octocat"));
/// # let _ = github;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct OAuthApp {
    client_id: Arc<str>,
    client_secret: Option<SecretString>,
    redirect_uri: Option<Arc<str>>,
}

impl OAuthApp {
    /// Creates an application with its client id and one of its client secrets, which are on its settings page.
    ///
    /// # Errors
    /// If one of them is empty, or looks like another value, such as a token or a private key.
    pub fn new(
        client_id: impl Into<String>,
        client_secret: impl Into<SecretString>,
    ) -> Result<Self> {
        let mut app = Self::public_client(client_id)?;
        let secret = client_secret.into();
        check("client secret", secret.expose_secret().trim(), |looks| {
            looks == CredentialFormat::ClientId
        })?;
        sanitize::pin(secret.expose_secret().trim().as_bytes());
        app.client_secret = Some(secret.expose_secret().trim().into());
        Ok(app)
    }

    /// Creates an application without a secret (a public client), such as a command line tool. GitHub requires no
    /// secret in the device flow, nor to refresh the tokens of that flow.
    ///
    /// # Errors
    /// If the id is empty, or looks like another value.
    pub fn public_client(client_id: impl Into<String>) -> Result<Self> {
        let client_id = client_id.into();
        let client_id = client_id.trim();
        check_client_id(client_id)?;
        Ok(Self { client_id: client_id.into(), client_secret: None, redirect_uri: None })
    }

    /// Sets the redirect URI: one of the callback URLs on the application's settings page. By default GitHub uses the
    /// first of them.
    ///
    /// # Errors
    /// If it is not an absolute URL, or has a fragment.
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Result<Self> {
        let uri = uri.into();
        let good = Url::parse(&uri).is_ok_and(|url| url.fragment().is_none());
        if !good {
            return Err(AuthFailure::RedirectUriMismatch.error(
                "invalid redirect URI: expected an absolute URL without a fragment",
                "use a callback URL exactly as registered on the application's settings page",
            ));
        }
        self.redirect_uri = Some(uri.into());
        Ok(self)
    }

    /// Returns the client id.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Starts the web flow at the GitHub server that this client calls. Nothing is sent before the user returns.
    pub fn web_flow(&self, client: &dyn AuthTransport) -> AuthorizationRequest {
        AuthorizationRequest::new(self.clone(), client)
    }

    /// Starts the device flow: the user types a code into a browser on another device.
    pub fn device_flow(&self, client: &dyn AuthTransport) -> DeviceFlow {
        DeviceFlow::new(self.clone(), client)
    }

    /// Returns the secret, for requests that GitHub does not accept without one.
    fn secret(&self, what: &str) -> Result<&SecretString> {
        self.client_secret.as_ref().ok_or_else(|| {
            AuthFailure::Missing.error(
                format!("the client secret is required {what}, but the application has none"),
                "construct the application with OAuthApp::new, or use OAuthApp::device_flow, which \
                 needs no secret",
            )
        })
    }

    /// Returns a form with the parameters that identify the application.
    fn form(&self) -> Form {
        let form = Form::new().with("client_id", &self.client_id);
        match &self.client_secret {
            Some(secret) => form.with_secret("client_secret", secret),
            None => form,
        }
    }

    /// Sends a token request: <https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps>.
    async fn token(
        &self,
        client: &dyn AuthTransport,
        form: Form,
        grant: GrantType,
    ) -> Result<AccessToken> {
        token_request(client, form).send(client).await?.token(grant)
    }
}

/// Returns the token request to GitHub.
fn token_request(client: &dyn AuthTransport, form: Form) -> TokenEndpointRequest {
    TokenEndpointRequest {
        server_name: token_endpoint::GITHUB,
        label: "oauth/access-token",
        url: web_page(client, &["login", "oauth", "access_token"]),
        form,
        authorization: None,
    }
}

/// Returns the URL of a GitHub web page.
fn web_page(client: &dyn AuthTransport, path: &[&str]) -> Url {
    let mut url = client.web_url().clone();
    // An http URL always has a path.
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    url
}

impl fmt::Debug for OAuthApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthApp")
            .field("client_id", &self.client_id)
            .field("has_secret", &self.client_secret.is_some())
            .field("redirect_uri", &self.redirect_uri)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_client_id_or_secret_is_rejected_with_the_reason() {
        for (id, failure) in [
            ("", AuthFailure::Empty),
            (" \n", AuthFailure::Empty),
            ("1234567", AuthFailure::WrongKind),
            ("ghp_hunter2", AuthFailure::WrongKind),
            ("ghr_hunter2", AuthFailure::WrongKind),
            ("-----BEGIN RSA PRIVATE KEY-----\nhunter2", AuthFailure::WrongKind),
            ("hunter2 hunter2", AuthFailure::Malformed),
        ] {
            let error = OAuthApp::public_client(id).unwrap_err();
            assert_eq!(error.auth_failure(), Some(failure), "{id:?}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
        for (secret, failure) in [
            ("", AuthFailure::Empty),
            ("Iv23lihunter2", AuthFailure::WrongKind),
            ("ghs_hunter2", AuthFailure::WrongKind),
            ("-----BEGIN RSA PRIVATE KEY-----\nhunter2", AuthFailure::WrongKind),
            ("hunter2\nhunter2", AuthFailure::Malformed),
        ] {
            let error = OAuthApp::new("Iv23liABC", secret).unwrap_err();
            assert_eq!(error.auth_failure(), Some(failure), "{secret:?}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn ids_and_secrets_of_every_age_are_taken() {
        for id in ["Iv1.abc", "Iv23liABC", "0123456789abcdef0123", "Ov23liABC"] {
            assert_eq!(OAuthApp::new(id, "hunter2\n").unwrap().client_id(), id);
        }
    }

    #[test]
    fn a_redirect_uri_is_absolute_and_has_no_fragment() {
        let app = OAuthApp::public_client("Iv23liABC").unwrap();
        for uri in ["/callback", "example.com", "https://example.com/#x", ""] {
            let error = app.clone().redirect_uri(uri).unwrap_err();
            assert_eq!(error.auth_failure(), Some(AuthFailure::RedirectUriMismatch), "{uri}");
        }
        for uri in ["http://127.0.0.1:1234/callback", "https://example.com?a=b", "myapp://back"] {
            assert!(app.clone().redirect_uri(uri).is_ok(), "{uri}");
        }
    }
}
