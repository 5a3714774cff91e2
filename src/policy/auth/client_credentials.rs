//! The client credentials grant: tokens of an application from any OAuth server, such as a gateway's.

use std::borrow::Cow;
use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::oauth::{Form, GrantType, TokenEndpointRequest, basic_encoded};
use super::personal::secret_fingerprint;
use super::provider::{Persistence, TokenFuture, TokenProvider, TokenRequest};
use super::token::AccessToken;
use super::transport::AuthTransport;
use crate::endpoints::{has_credentials, is_loopback, origin_of};
use crate::error::auth::AuthFailure;
use crate::error::{Error, ErrorKind, Result};
use crate::sanitize;

/// The client credentials grant of OAuth
/// ([RFC 6749, section 4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4)).
///
/// GitHub does not support this grant; gateways in front of GitHub do. A token's lifetime is the server's `expires_in`,
/// and the client refreshes it before it expires. If the server sends none, the client uses the token until it is
/// rejected.
///
/// ```
/// use octowire::Client;
/// use octowire::auth::ClientCredentials;
///
/// # fn example() -> octowire::Result<()> {
/// let gateway = ClientCredentials::new("https://login.example.com/token", "ci-bot", "secret")?
///     .scope("github")
///     .audience("https://gateway.example.com");
/// let github = Client::builder()
///     .base_url("https://gateway.example.com/github")
///     .token("ghp_…")
///     .gateway("x-gateway-authorization", gateway)
///     .build()?;
/// # let _ = github;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ClientCredentials {
    token_url: Url,
    client_id: String,
    client_secret: SecretString,
    scope: Option<String>,
    audience: Option<String>,
    in_body: bool,
}

const LABEL: &str = "oauth/client-credentials";

impl ClientCredentials {
    /// Creates a client of the OAuth server with this token endpoint.
    ///
    /// # Errors
    /// If the id or the secret is empty, or if the URL is not `https` (except for a loopback address), contains a user
    /// name or password, or has a fragment.
    pub fn new(
        token_url: impl AsRef<str>,
        client_id: impl Into<String>,
        client_secret: impl Into<SecretString>,
    ) -> Result<Self> {
        let token_url = parse(token_url.as_ref())?;
        let (client_id, client_secret) = (client_id.into(), client_secret.into());
        for (what, text) in
            [("client id", client_id.as_str()), ("client secret", client_secret.expose_secret())]
        {
            if text.trim().is_empty() {
                return Err(AuthFailure::Empty.error(
                    format!("the {what} for {} is empty", origin_of(&token_url)),
                    "get the client id and the secret from the operator of that server",
                ));
            }
        }
        sanitize::pin(client_secret.expose_secret().trim().as_bytes());
        Ok(Self {
            token_url,
            client_id: client_id.trim().to_owned(),
            client_secret: client_secret.expose_secret().trim().into(),
            scope: None,
            audience: None,
            in_body: false,
        })
    }

    /// Sets the requested scope: names that are separated by spaces. By default the server decides.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// Sets the requested audience, which some servers require; none by default.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Sends id and secret in the body. By default the client sends them in a Basic header, which RFC 6749 (section
    /// 2.3.1) recommends and every server has to support.
    #[must_use]
    pub fn credentials_in_body(mut self) -> Self {
        self.in_body = true;
        self
    }

    async fn fetch(&self, client: &dyn AuthTransport) -> Result<AccessToken> {
        let mut form = Form::new().with("grant_type", "client_credentials");
        let parameters = [("scope", &self.scope), ("audience", &self.audience)];
        for (name, value) in parameters {
            if let Some(value) = value {
                form = form.with(name, value);
            }
        }
        let mut authorization = None;
        if self.in_body {
            form = form.with("client_id", &self.client_id);
            form = form.with_secret("client_secret", &self.client_secret);
        } else {
            form = form.with_redacted(&self.client_secret);
            authorization = Some(basic_encoded(&self.client_id, &self.client_secret)?);
        }
        let (server_name, url) = ("the token server", self.token_url.clone());
        let ask = TokenEndpointRequest { server_name, label: LABEL, url, form, authorization };
        ask.send(client).await?.token(GrantType::Client)
    }
}

impl TokenProvider for ClientCredentials {
    fn fetch_token<'a>(&'a self, request: TokenRequest<'a>) -> TokenFuture<'a> {
        Box::pin(self.fetch(request.client))
    }

    fn identity(&self) -> Cow<'_, str> {
        let (origin, path) = (origin_of(&self.token_url), self.token_url.path());
        let mut identity = format!("client:{}@{origin}{path}", self.client_id);
        if let Some(query) = self.token_url.query() {
            // The URL might be private.
            identity.push_str(&format!("?{}", secret_fingerprint(query)));
        }
        for (name, value) in [("scope", &self.scope), ("audience", &self.audience)] {
            if let Some(value) = value {
                identity.push_str(&format!(";{name}={value}"));
            }
        }
        Cow::Owned(identity)
    }

    fn persistence(&self) -> Persistence {
        Persistence::BestEffort
    }
}

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredentials")
            .field("identity", &self.identity())
            .field("in_body", &self.in_body)
            .finish_non_exhaustive()
    }
}

/// Parses the token endpoint's URL. Errors do not repeat it, since it might contain a password.
fn parse(text: &str) -> Result<Url> {
    let invalid = |reason: &str| {
        Error::new(ErrorKind::Configuration, format!("invalid token URL: {reason}"))
            .with_advice("pass the https:// URL of the server's token endpoint")
    };
    let url = Url::parse(text.trim()).map_err(|error| invalid(&error.to_string()))?;
    if has_credentials(&url) {
        return Err(invalid(
            "it contains a user name or password; pass the client id and secret instead",
        ));
    }
    // RFC 6749, section 3.2.
    if url.fragment().is_some() {
        return Err(invalid("it has a fragment"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(invalid("plain http would expose the secret to the network")),
        _ => Err(invalid("its scheme is not https")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_goes_nowhere_unencrypted() {
        for (url, good) in [
            ("https://login.example.com/token?tenant=1", true),
            ("http://127.0.0.1:8080/token", true),
            ("http://[::1]/token", true),
            ("http://localhost/token", true),
            ("http://login.example.com/token", false),
            ("http://localhost.evil.example/token", false),
            ("http://10.0.0.1/token", false),
            ("https://user:hunter2@login.example.com/token", false),
            ("https://login.example.com/token#hunter2", false),
            ("ftp://login.example.com/hunter2", false),
            ("hunter2", false),
        ] {
            let made = ClientCredentials::new(url, "id", "secret");
            assert_eq!(made.is_ok(), good, "{url}");
            if let Err(error) = made {
                assert_eq!(error.kind(), ErrorKind::Configuration);
                assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
            }
        }
    }

    #[test]
    fn an_empty_id_or_secret_is_rejected() {
        for (id, secret) in [("", "x"), ("x", " \n")] {
            let error = ClientCredentials::new("https://a.example", id, secret).unwrap_err();
            assert_eq!(error.auth_failure(), Some(AuthFailure::Empty));
        }
    }

    #[test]
    fn identities_differ_where_permissions_do() {
        let plain = ClientCredentials::new("https://a.example/t", "id", "hunter2").unwrap();
        assert_eq!(plain.identity(), "client:id@https://a.example/t");
        let other = ClientCredentials::new("https://a.example/t?realm=hunter2", "id", "x").unwrap();
        assert_ne!(plain.identity(), other.identity());
        assert!(!other.identity().contains("hunter2"));
        let narrow = plain.scope("read").audience("github");
        assert_eq!(narrow.identity(), "client:id@https://a.example/t;scope=read;audience=github");
        assert!(!format!("{narrow:?}").contains("hunter2"));
    }
}
