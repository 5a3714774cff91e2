//! The device flow (RFC 8628): the user types a code into a browser on another device, while the client polls for the
//! token.

use std::fmt;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::debug;
use url::Url;

use super::answer::{Ask, Fields, GITHUB, Heard};
use super::refusal::Grant;
use super::{Form, OAuthApp, ask_for_token, page};
use crate::auth::failure::AuthFailure;
use crate::auth::token::AccessToken;
use crate::client::Client;
use crate::clock::after;
use crate::error::{Error, Result};
use crate::sanitize;

/// A device authorization request; created by [`OAuthApp::device`].
///
/// The flow has to be enabled in the application's settings. It is described on GitHub's page [Authorizing OAuth
/// apps](https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps#device-flow).
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `start`"]
pub struct DeviceRequest {
    app: OAuthApp,
    client: Client,
    scopes: Vec<String>,
}

/// The lifetime of a code if GitHub sends none (the value in its documentation), and the longest one.
const LIFE: Duration = Duration::from_secs(15 * 60);
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// The polling interval if GitHub sends none (RFC 8628 section 3.2), and the shortest one.
const INTERVAL: Duration = Duration::from_secs(5);
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
/// The increment of `slow_down` (RFC 8628 section 3.5).
const SLOWER: Duration = Duration::from_secs(5);
/// The longest delay after network failures; the interval, if that is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

impl DeviceRequest {
    pub(super) fn new(app: OAuthApp, client: &Client) -> Self {
        Self { app, client: client.clone(), scopes: Vec::new() }
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
    pub async fn start(self) -> Result<DeviceCode> {
        let mut form = Form::new().with("client_id", &self.app.client_id);
        if !self.scopes.is_empty() {
            form = form.with("scope", &self.scopes.join(" "));
        }
        let url = page(&self.client, &["login", "device", "code"]);
        let ask = Ask { who: GITHUB, label: "oauth/device-code", url, form, authorization: None };
        let heard = ask.send(&self.client).await?;
        if heard.code().is_none()
            && let Some(code) = Code::read(heard.fields())
        {
            return Ok(DeviceCode { app: self.app, client: self.client, code });
        }
        Err(heard.refused(Grant::Device))
    }
}

/// A code that the user types in, with the wait for the token.
pub struct DeviceCode {
    app: OAuthApp,
    client: Client,
    code: Code,
}

struct Code {
    device_code: SecretString,
    user_code: String,
    verification_uri: Url,
    verification_uri_complete: Option<Url>,
    expires_in: Duration,
    interval: Duration,
    end: Instant,
}

impl Code {
    fn read(fields: &Fields) -> Option<Self> {
        // An application might open it: only a web page is accepted.
        let page = |name| {
            let url = Url::parse(fields.text(name)?).ok()?;
            matches!(url.scheme(), "https" | "http").then_some(url)
        };
        let device_code = fields.secret("device_code")?.clone();
        sanitize::remember(device_code.expose_secret().as_bytes());
        let expires_in = fields.seconds("expires_in").unwrap_or(LIFE).min(LONGEST_LIFE);
        let interval = fields.seconds("interval").unwrap_or(INTERVAL);
        Some(Self {
            device_code,
            user_code: fields.text("user_code").filter(|code| !code.is_empty())?.to_owned(),
            verification_uri: page("verification_uri")?,
            verification_uri_complete: page("verification_uri_complete"),
            expires_in,
            interval: interval.clamp(SHORTEST_INTERVAL, LONGEST_LIFE),
            end: after(Instant::now(), expires_in),
        })
    }
}

impl DeviceCode {
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
            let rest = self.code.end.saturating_duration_since(Instant::now());
            if pause >= rest {
                sleep(rest).await;
                return Err(expired(last));
            }
            sleep(pause).await;
            let Ok(heard) = timeout_at(self.code.end, self.poll()).await else {
                return Err(expired(last));
            };
            let mut asked_to_wait = Duration::ZERO;
            match heard {
                Ok(heard) => match heard.code() {
                    Some("authorization_pending") => failures = 0,
                    Some("slow_down") => {
                        failures = 0;
                        let given = heard.fields().seconds("interval");
                        let given = given.filter(|given| *given > interval);
                        interval =
                            given.unwrap_or(interval.saturating_add(SLOWER)).min(LONGEST_LIFE);
                        debug!(?interval, "slow_down received; polling interval increased");
                    }
                    _ if heard.is_temporary() => {
                        failures = failures.saturating_add(1);
                        asked_to_wait = heard.retry_after().unwrap_or_default();
                        last = Some(heard.refused(Grant::Device));
                    }
                    _ => return heard.token(Grant::Device),
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
            let backoff = interval.saturating_mul(factor).min(LONGEST_WAIT);
            pause = interval.max(backoff).max(asked_to_wait);
        }
    }

    async fn poll(&self) -> Result<Heard> {
        let form = Form::new()
            .with("client_id", &self.app.client_id)
            .with("grant_type", "urn:ietf:params:oauth:grant-type:device_code")
            .with_secret("device_code", &self.code.device_code);
        ask_for_token(&self.client, form).send(&self.client).await
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

impl fmt::Debug for DeviceCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The code that the user types in is not a secret to the user, but it is to a log.
        f.debug_struct("DeviceCode")
            .field("app", &self.app)
            .field("verification_uri", &self.code.verification_uri.as_str())
            .field("expires_in", &self.code.expires_in)
            .field("interval", &self.code.interval)
            .finish_non_exhaustive()
    }
}
