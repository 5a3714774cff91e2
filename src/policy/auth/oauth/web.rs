//! The web flow: redirect to GitHub's authorization page and callback, with `state` and PKCE.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use url::Url;
use zeroize::Zeroizing;

use super::errors::{self, GrantType};
use super::token_endpoint::GITHUB;
use super::{OAuthApp, web_page};
use crate::endpoints::{origin_of, same_origin};
use crate::error::auth::AuthFailure;
use crate::error::{Error, ErrorKind, OneLine, Result};
use crate::policy::auth::callback::{Callback, random_secret};
use crate::policy::auth::token::AccessToken;
use crate::policy::auth::transport::AuthTransport;
use crate::sanitize;

/// An authorization request; created by [`OAuthApp::web_flow`].
///
/// Its parameters are those of GitHub's
/// [authorize page](https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps#1-request-a-users-github-identity).
#[derive(Clone, Debug)]
#[must_use = "nothing begins before `begin`"]
pub struct AuthorizationRequest {
    app: OAuthApp,
    page: Url,
    scopes: Vec<String>,
    extra: Vec<(&'static str, String)>,
}

impl AuthorizationRequest {
    pub(super) fn new(app: OAuthApp, client: &dyn AuthTransport) -> Self {
        let page = web_page(client, &["login", "oauth", "authorize"]);
        Self { app, page, scopes: Vec::new(), extra: Vec::new() }
    }

    /// Adds requested [scopes](https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps).
    /// Without any, the token has read access to public data. A GitHub App has permissions instead, and uses no scopes.
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes.extend(scopes.into_iter().map(Into::into));
        self
    }

    /// Suggests an account to sign in with. The user can choose another: check the token's user.
    pub fn login(self, login: impl Into<String>) -> Self {
        self.with("login", login.into())
    }

    /// Sets whether users without an account can create one; GitHub's default is yes.
    pub fn allow_signup(self, allow: bool) -> Self {
        self.with("allow_signup", allow.to_string())
    }

    /// Sets the `prompt`: with `select_account`, GitHub always shows the account picker.
    pub fn prompt(self, prompt: impl Into<String>) -> Self {
        self.with("prompt", prompt.into())
    }

    fn with(mut self, name: &'static str, value: String) -> Self {
        self.extra.retain(|(set, _)| *set != name);
        self.extra.push((name, value));
        self
    }

    /// Returns the authorization URL for the user, with a random `state` and PKCE challenge (256 bits each) for single
    /// use.
    ///
    /// # Errors
    /// If the application has no secret, which GitHub requires for the token request, or if the system returns no
    /// random numbers.
    pub fn start(self) -> Result<PendingAuthorization> {
        self.app.secret("to sign a user in with the browser")?;
        let (state, verifier) = (random_secret()?, random_secret()?);
        let mut url = self.page;
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("response_type", "code");
            query.append_pair("client_id", &self.app.client_id);
            if let Some(uri) = &self.app.redirect_uri {
                query.append_pair("redirect_uri", uri);
            }
            if !self.scopes.is_empty() {
                query.append_pair("scope", &self.scopes.join(" "));
            }
            query.append_pair("state", state.expose_secret());
            query.append_pair("code_challenge", &challenge(&verifier));
            query.append_pair("code_challenge_method", "S256");
            for (name, value) in &self.extra {
                query.append_pair(name, value);
            }
        }
        Ok(PendingAuthorization::new(self.app, url, state, verifier))
    }
}

/// An authorization in progress, between GitHub's page and the callback.
///
/// It is valid for one user and one sign-in. Store it where only that user's browser can reach it, such as the user's
/// session, since `state` protects against forged callbacks only there.
pub struct PendingAuthorization {
    app: OAuthApp,
    url: Url,
    state: SecretString,
    /// The code verifier of PKCE (RFC 7636): 43 characters that only this side knows.
    verifier: SecretString,
}

/// The prefix of a stored session, by which a later version can recognize it.
const SESSION: &str = "octowire-sign-in-1";

impl PendingAuthorization {
    fn new(app: OAuthApp, url: Url, state: SecretString, verifier: SecretString) -> Self {
        for secret in [&state, &verifier] {
            sanitize::remember(secret.expose_secret().as_bytes());
        }
        Self { app, url, state, verifier }
    }

    /// Returns the authorization URL for the user.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the state that is needed for the callback, as a text of about 600 letters, digits, `-` and `_`: for the
    /// user's session on the server, or an encrypted cookie.
    #[must_use]
    pub fn into_session(self) -> SecretString {
        let text = Zeroizing::new(format!(
            "{SESSION} {} {}",
            self.verifier.expose_secret(),
            self.url.as_str()
        ));
        URL_SAFE_NO_PAD.encode(text.as_bytes()).into()
    }

    /// Restores the result of [`into_session`](Self::into_session).
    ///
    /// # Errors
    /// If it is invalid, or was created by another application.
    pub fn from_session(app: &OAuthApp, session: impl Into<SecretString>) -> Result<Self> {
        let unusable = || {
            AuthFailure::StateMismatch.error(
                "the session contains no sign-in started by this application",
                "start the sign-in again; an unsolicited callback might be an attack",
            )
        };
        let session = session.into();
        let bytes = URL_SAFE_NO_PAD.decode(session.expose_secret().trim()).map(Zeroizing::new);
        let bytes = bytes.map_err(|_| unusable())?;
        let text = std::str::from_utf8(&bytes).map_err(|_| unusable())?;
        let mut parts = text.split(' ');
        let (Some(SESSION), Some(verifier), Some(url), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(unusable());
        };
        let url = Url::parse(url).map_err(|_| unusable())?;
        let of = |name: &str| {
            let mut pairs = url.query_pairs();
            pairs.find_map(|(set, value)| (set == name).then_some(value))
        };
        let verifier = SecretString::from(verifier);
        let begun_here = of("client_id").as_deref() == Some(app.client_id())
            && of("code_challenge").as_deref() == Some(&*challenge(&verifier));
        let state = of("state").filter(|state| begun_here && !state.is_empty());
        let state = state.ok_or_else(unusable)?.into_owned().into();
        // The code is bound to the redirect URI of its request.
        let mut app = app.clone();
        app.redirect_uri = of("redirect_uri").map(|uri| (&*uri).into());
        Ok(Self::new(app, url, state, verifier))
    }

    /// Extracts the code from the callback and exchanges it for the user's token.
    ///
    /// `callback` is the URL that GitHub redirected the browser to: the whole URL, its path and query, or the query
    /// alone. Afterwards, request the token's user from GitHub: users choose the account themselves.
    ///
    /// # Errors
    /// Before anything is sent, if the callback has another `state` ([`AuthFailure::StateMismatch`]), reports that the
    /// user declined ([`AuthFailure::Denied`]) or another error, or contains no code
    /// ([`AuthFailure::InvalidCallback`]). Then, if GitHub returns no token: [`Error::auth_failure`] has the reason.
    pub async fn exchange(
        self,
        client: &dyn AuthTransport,
        callback: impl AsRef<str>,
    ) -> Result<AccessToken> {
        let code = self.code(callback.as_ref())?;
        if !same_origin(&self.url, client.web_url()) {
            let (began, now) = (origin_of(&self.url), origin_of(client.web_url()));
            return Err(Error::new(
                ErrorKind::UntrustedUrl,
                format!(
                    "the sign-in was started at {began}, but the client is configured for {now}"
                ),
            )
            .with_advice(
                "nothing was sent; finish the sign-in with a client of the same GitHub instance",
            ));
        }
        self.app.secret("to exchange a code")?;
        let mut form = self.app.form().with("grant_type", "authorization_code");
        if let Some(uri) = &self.app.redirect_uri {
            form = form.with("redirect_uri", uri);
        }
        form = form.with_secret("code", &code).with_secret("code_verifier", &self.verifier);
        self.app.token(client, form, GrantType::Code).await
    }

    /// Returns the code in the callback of this sign-in.
    fn code(&self, callback: &str) -> Result<SecretString> {
        let callback = Callback::parse(callback)?;
        if !callback.has_state(&self.state) {
            return Err(AuthFailure::StateMismatch.error(
                "the callback does not match the pending sign-in",
                "abort the sign-in, which might be an attack; a user with several open tabs has to \
                 start again",
            ));
        }
        if let Some(code) = callback.get("error") {
            let description = callback.get("error_description");
            return Err(self.callback_error(code.expose_secret(), description));
        }
        callback.code()
    }

    fn callback_error(&self, code: &str, description: Option<&SecretString>) -> Error {
        let (failure, mut what, advice) =
            errors::from_code(GITHUB, code, Some(OneLine(code).to_string()), GrantType::Code);
        let description = description.map(|text| text.expose_secret());
        if let Some(text) = description.filter(|text| !text.contains(self.state.expose_secret())) {
            what.push_str(&format!(": \"{}\"", OneLine(text)));
        }
        failure.error(what, advice).with_retryable(errors::is_temporary(code))
    }
}

impl fmt::Debug for PendingAuthorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The query contains the state.
        f.debug_struct("PendingAuthorization")
            .field("app", &self.app)
            .field("at", &origin_of(&self.url))
            .finish_non_exhaustive()
    }
}

/// Returns the challenge S256 of RFC 7636, section 4.2.
fn challenge(verifier: &SecretString) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose_secret()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_the_rfc() {
        // RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into();
        assert_eq!(challenge(&verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
