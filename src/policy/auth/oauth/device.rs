//! The device flow (RFC 8628): the user types a code into a browser on another device, while the client polls for the
//! token.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::debug;
use url::Url;

use super::errors::GrantType;
use super::token_endpoint::{GITHUB, ResponseFields, TokenEndpointRequest, TokenEndpointResponse};
use super::{Form, OAuthApp, token_request, web_page};
use crate::error::auth::AuthFailure;
use crate::error::{Error, Result};
use crate::policy::auth::token::AccessToken;
use crate::policy::auth::transport::AuthTransport;
use crate::sanitize;
use crate::time::clock::saturating_after;

/// A device authorization request; created by [`OAuthApp::device_flow`].
///
/// The flow has to be enabled in the application's settings. It is described on GitHub's page [Authorizing OAuth
/// apps](https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps#device-flow).
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `start`"]
pub struct DeviceFlow {
    app: OAuthApp,
    client: Arc<dyn AuthTransport>,
    scopes: Vec<String>,
}

/// The lifetime of a code if GitHub sends none (the value in its documentation), and the longest one.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(15 * 60);
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// The polling interval if GitHub sends none (RFC 8628 section 3.2), and the shortest one.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// The increment of `slow_down` (RFC 8628 section 3.5).
const SLOW_DOWN_INCREMENT: Duration = Duration::from_secs(5);
/// The longest delay after network failures; the interval, if that is longer.
const MAX_BACKOFF: Duration = Duration::from_secs(60);

impl DeviceFlow {
    pub(super) fn new(app: OAuthApp, client: &dyn AuthTransport) -> Self {
        Self { app, client: client.shared(), scopes: Vec::new() }
    }

    /// Adds requested [scopes](https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps). A
    /// GitHub App uses none.
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes.extend(scopes.into_iter().map(Into::into));
        self
    }

    /// Requests a code to show the user.
    ///
    /// # Errors
    /// If GitHub returns none: [`Error::auth_failure`] has the reason.
    pub async fn start(self) -> Result<DeviceAuthorization> {
        let mut form = Form::new().with("client_id", &self.app.client_id);
        if !self.scopes.is_empty() {
            form = form.with("scope", &self.scopes.join(" "));
        }
        let url = web_page(&*self.client, &["login", "device", "code"]);
        let ask = TokenEndpointRequest {
            server_name: GITHUB,
            label: "oauth/device-code",
            url,
            form,
            authorization: None,
        };
        let reply = ask.send(&*self.client).await?;
        if reply.code().is_none()
            && let Some(code) = CodeResponse::read(reply.fields())
        {
            return Ok(DeviceAuthorization { app: self.app, client: self.client, code });
        }
        Err(reply.unexpected_response(GrantType::Device))
    }
}

/// A code that the user types in, with the wait for the token.
pub struct DeviceAuthorization {
    app: OAuthApp,
    client: Arc<dyn AuthTransport>,
    code: CodeResponse,
}

struct CodeResponse {
    device_code: SecretString,
    user_code: String,
    verification_uri: Url,
    verification_uri_complete: Option<Url>,
    expires_in: Duration,
    interval: Duration,
    expires_at: Instant,
}

impl CodeResponse {
    fn read(fields: &ResponseFields) -> Option<Self> {
        // An application might open it: only a web page is accepted.
        let page = |name| {
            let url = Url::parse(fields.text(name)?).ok()?;
            matches!(url.scheme(), "https" | "http").then_some(url)
        };
        let device_code = fields.secret("device_code")?.clone();
        sanitize::remember(device_code.expose_secret().as_bytes());
        let expires_in = fields.seconds("expires_in").unwrap_or(DEFAULT_LIFETIME).min(MAX_LIFETIME);
        let interval = fields.seconds("interval").unwrap_or(DEFAULT_INTERVAL);
        Some(Self {
            device_code,
            user_code: fields.text("user_code").filter(|code| !code.is_empty())?.to_owned(),
            verification_uri: page("verification_uri")?,
            verification_uri_complete: page("verification_uri_complete"),
            expires_in,
            interval: interval.clamp(MIN_INTERVAL, MAX_LIFETIME),
            expires_at: saturating_after(Instant::now(), expires_in),
        })
    }
}

impl DeviceAuthorization {
    /// Returns the code for the user to type in, such as `WDJB-MJHT`.
    #[must_use]
    pub fn user_code(&self) -> &str {
        &self.code.user_code
    }

    /// Returns the page on which the user types it in.
    #[must_use]
    pub fn verification_uri(&self) -> &Url {
        &self.code.verification_uri
    }

    /// Returns the same page with the code filled in, for a link or a QR code, if GitHub sends one.
    #[must_use]
    pub fn verification_uri_complete(&self) -> Option<&Url> {
        self.code.verification_uri_complete.as_ref()
    }

    /// Returns the lifetime of the code, from its issue by GitHub; a day at most.
    #[must_use]
    pub fn expires_in(&self) -> Duration {
        self.code.expires_in
    }

    /// Returns the polling interval.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.code.interval
    }

    /// Waits until the user has agreed, and returns the token.
    ///
    /// It polls no more often than GitHub allows, and continues after network failures, with longer delays, for the
    /// lifetime of the code. Dropping the future ends it.
    ///
    /// # Errors
    /// If the user declines ([`AuthFailure::Denied`]), the code expires ([`AuthFailure::DeviceCodeExpired`]), or GitHub
    /// returns no token for another reason.
    pub async fn wait(self) -> Result<AccessToken> {
        let mut interval = self.code.interval;
        let mut failures: u32 = 0;
        let mut last = None;
        let mut pause = interval;
        loop {
            let rest = self.code.expires_at.saturating_duration_since(Instant::now());
            if pause >= rest {
                sleep(rest).await;
                return Err(expired(last));
            }
            sleep(pause).await;
            let Ok(reply) = timeout_at(self.code.expires_at, self.poll()).await else {
                return Err(expired(last));
            };
            let mut asked_to_wait = Duration::ZERO;
            match reply {
                Ok(reply) => match reply.code() {
                    Some("authorization_pending") => failures = 0,
                    Some("slow_down") => {
                        failures = 0;
                        let given = reply.fields().seconds("interval");
                        let given = given.filter(|given| *given > interval);
                        interval = given
                            .unwrap_or(interval.saturating_add(SLOW_DOWN_INCREMENT))
                            .min(MAX_LIFETIME);
                        debug!(?interval, "slow_down received; polling interval increased");
                    }
                    _ if reply.is_transient() => {
                        failures = failures.saturating_add(1);
                        asked_to_wait = reply.retry_after().unwrap_or_default();
                        last = Some(reply.unexpected_response(GrantType::Device));
                    }
                    _ => return reply.token(GrantType::Device),
                },
                Err(error) if error.is_retryable() => {
                    failures = failures.saturating_add(1);
                    debug!(%error, "device token poll failed; retrying");
                    last = Some(error);
                }
                Err(error) => return Err(error),
            }
            // RFC 8628 (section 3.5) requires slower polling after a failure, doubling the delay.
            let factor = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
            let backoff = interval.saturating_mul(factor).min(MAX_BACKOFF);
            pause = interval.max(backoff).max(asked_to_wait);
        }
    }

    async fn poll(&self) -> Result<TokenEndpointResponse> {
        let form = Form::new()
            .with("client_id", &self.app.client_id)
            .with("grant_type", "urn:ietf:params:oauth:grant-type:device_code")
            .with_secret("device_code", &self.code.device_code);
        token_request(&*self.client, form).send(&*self.client).await
    }
}

fn expired(last: Option<Error>) -> Error {
    let error = AuthFailure::DeviceCodeExpired.error(
        "the device code expired before the user authorized the application",
        "restart the device flow and show the user the new code",
    );
    match last {
        Some(last) => error.with_source(last),
        None => error,
    }
}

impl fmt::Debug for DeviceAuthorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The code that the user types in is not a secret to the user, but it is to a log.
        f.debug_struct("DeviceAuthorization")
            .field("app", &self.app)
            .field("verification_uri", &self.code.verification_uri.as_str())
            .field("expires_in", &self.code.expires_in)
            .field("interval", &self.code.interval)
            .finish_non_exhaustive()
    }
}
