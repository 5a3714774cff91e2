//! One token: the `Authorization` header that it makes, and how long it lasts.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::failure::AuthFailure;
use crate::error::Result;
use crate::sanitize;

/// A token, when it ends, and what renews it.
///
/// Its `Debug` shows no secret, and its memory is overwritten when the last copy is dropped.
///
/// ```
/// use std::time::Duration;
/// use octowire::auth::AccessToken;
///
/// # fn example() -> octowire::Result<()> {
/// let token = AccessToken::new("ghs_…")?.expires_in(Duration::from_secs(3600));
/// assert!(!format!("{token:?}").contains("ghs_…"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct AccessToken {
    /// `Bearer` and the token, made once: a call clones a reference to it.
    header: HeaderValue,
    minted_at: SystemTime,
    expires_at: Option<SystemTime>,
    ask_again_after: Option<Duration>,
    renewal: Option<Renewal>,
    scopes: Option<Arc<[String]>>,
}

/// What a user's token is refreshed with.
#[derive(Clone)]
struct Renewal {
    refresh_token: SecretString,
    expires_at: Option<SystemTime>,
}

/// The scheme of RFC 6750, which GitHub takes for every kind of token.
const BEARER: &str = "Bearer ";

impl AccessToken {
    /// A token that lasts until it is revoked. White space around it is dropped, since a line
    /// break at the end comes with reading a file.
    ///
    /// # Errors
    /// If it is empty, holds a character that no token has, or is something else by its look:
    /// a private key or a refresh token.
    pub fn new(token: impl Into<SecretString>) -> Result<Self> {
        let token = token.into();
        let token = token.expose_secret().trim();
        if token.is_empty() {
            return Err(AuthFailure::Empty.error(
                "the token is empty",
                "pass a token, or use a client without authentication",
            ));
        }
        if let Some(kind) = Looks::of(token).no_access_token() {
            return Err(AuthFailure::WrongKind
                .error(format!("invalid token: the value looks like {}", kind.0), kind.1));
        }
        let mut bytes =
            Zeroizing::new(Vec::with_capacity(BEARER.len().saturating_add(token.len())));
        bytes.extend_from_slice(BEARER.as_bytes());
        bytes.extend_from_slice(token.as_bytes());
        // The error of `http` is dropped on purpose: nothing of the token may leave.
        let header = HeaderValue::from_maybe_shared(Bytes::from_owner(bytes)).ok();
        let header = header.filter(|_| token.bytes().all(|byte| byte.is_ascii_graphic()));
        let mut header = header.ok_or_else(|| {
            AuthFailure::Malformed.error(
                "the token contains a line break, a space or another invalid character",
                "check how the value is loaded; it is not shown here",
            )
        })?;
        header.set_sensitive(true);
        sanitize::remember(token.as_bytes());
        Ok(Self {
            header,
            minted_at: SystemTime::now(),
            expires_at: None,
            ask_again_after: None,
            renewal: None,
            scopes: None,
        })
    }

    /// Says when the token ends, by this machine's clock.
    #[must_use]
    pub fn with_expires_at(mut self, time: SystemTime) -> Self {
        self.expires_at = Some(time);
        self
    }

    /// Says how long the token still lasts. Prefer it to
    /// [`with_expires_at`](Self::with_expires_at) where both are known: it does not depend on
    /// whose clock is right.
    #[must_use]
    pub fn expires_in(self, time: Duration) -> Self {
        match SystemTime::now().checked_add(time) {
            Some(end) => self.with_expires_at(end),
            None => self,
        }
    }

    /// Says after how long the source is to be asked again although the token has not ended, as
    /// for a file that may have changed. By default it is not.
    #[must_use]
    pub fn ask_again_after(mut self, time: Duration) -> Self {
        self.ask_again_after = Some(time);
        self
    }

    /// Adds the token that renews this one, and when that one ends.
    #[must_use]
    pub fn with_refresh_token(
        mut self,
        token: impl Into<SecretString>,
        expires_at: Option<SystemTime>,
    ) -> Self {
        let refresh_token = token.into();
        sanitize::remember(refresh_token.expose_secret().as_bytes());
        self.renewal = Some(Renewal { refresh_token, expires_at });
        self
    }

    /// Says which [scopes](https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps)
    /// it has.
    #[must_use]
    pub fn with_scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = Some(scopes.into_iter().map(Into::into).collect());
        self
    }

    /// The token itself, for whatever else needs it, such as `git clone` over HTTPS.
    ///
    /// Keep it out of logs.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        let bytes = self.header.as_bytes().get(BEARER.len()..).unwrap_or_default();
        // ASCII, as `new` has checked.
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// When the token ends, by this machine's clock; `None` if nobody said so.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.expires_at
    }

    /// The token that renews this one.
    #[must_use]
    pub fn refresh_token(&self) -> Option<&SecretString> {
        self.renewal.as_ref().map(|renewal| &renewal.refresh_token)
    }

    /// When the refresh token ends.
    #[must_use]
    pub fn refresh_token_expires_at(&self) -> Option<SystemTime> {
        self.renewal.as_ref()?.expires_at
    }

    /// The scopes that it was given with, which may be fewer than were asked for; `None` if nobody
    /// said so, and empty for the tokens of a GitHub App.
    #[must_use]
    pub fn scopes(&self) -> Option<&[String]> {
        self.scopes.as_deref()
    }

    /// Says when the token was minted, for a store that takes its parts back; by default it is
    /// when the value was made.
    #[must_use]
    pub fn with_minted_at(mut self, time: SystemTime) -> Self {
        self.minted_at = time;
        self
    }

    /// When the token was minted.
    #[must_use]
    pub fn minted_at(&self) -> SystemTime {
        self.minted_at
    }

    /// After which time its source is [asked again](Self::ask_again_after).
    #[must_use]
    pub fn asks_again_after(&self) -> Option<Duration> {
        self.ask_again_after
    }

    /// How long from now until the token ends; zero if it has.
    pub(crate) fn lifetime(&self) -> Option<Duration> {
        Some(self.expires_at?.duration_since(SystemTime::now()).unwrap_or_default())
    }

    pub(crate) fn header(&self) -> &HeaderValue {
        &self.header
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("looks_like", &Looks::of(self.expose_secret()))
            .field("expires_at", &self.expires_at)
            .field("renewable", &self.renewal.is_some())
            .finish_non_exhaustive()
    }
}

/// What a credential looks like, by the prefixes that GitHub
/// [documents](https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/about-authentication-to-github#githubs-token-formats).
///
/// Good for hints only: formats change, and an unknown one is never refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Looks {
    ClassicToken,
    FineGrainedToken,
    OAuthToken,
    UserToken,
    InstallationToken,
    RefreshToken,
    PrivateKey,
    ClientId,
    Unknown,
}

impl Looks {
    pub(crate) fn of(text: &str) -> Self {
        let text = text.trim_start();
        for (prefix, looks) in [
            ("ghp_", Self::ClassicToken),
            ("github_pat_", Self::FineGrainedToken),
            ("gho_", Self::OAuthToken),
            ("ghu_", Self::UserToken),
            ("ghs_", Self::InstallationToken),
            ("ghr_", Self::RefreshToken),
            ("-----BEGIN ", Self::PrivateKey),
            ("Iv1.", Self::ClientId),
            ("Iv23", Self::ClientId),
        ] {
            if text.starts_with(prefix) {
                return looks;
            }
        }
        Self::Unknown
    }

    /// What it is, if it is a token that calls can be made with.
    pub(crate) fn access_token(self) -> Option<&'static str> {
        match self {
            Self::ClassicToken => Some("a personal access token (ghp_)"),
            Self::FineGrainedToken => Some("a fine-grained personal access token (github_pat_)"),
            Self::OAuthToken => Some("an OAuth token (gho_)"),
            Self::UserToken => Some("a user's token (ghu_)"),
            Self::InstallationToken => Some("an installation token (ghs_)"),
            Self::RefreshToken | Self::PrivateKey | Self::ClientId | Self::Unknown => None,
        }
    }

    /// What it is and what to do with it, if it is no token that calls can be made with.
    fn no_access_token(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::RefreshToken => Some((
                "a refresh token (ghr_)",
                "pass the access token that was issued with it, or use UserToken, which refreshes \
                 itself",
            )),
            Self::PrivateKey => Some((
                "a private key",
                "sign in as a GitHub App with it: App::new(app_id, private_key)",
            )),
            Self::ClientId => Some((
                "a client id (Iv…)",
                "a client id only identifies the application: pass a token, or sign in with \
                 OAuthApp or App",
            )),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_made_once_and_shared() {
        let token = AccessToken::new("ghs_abc\n").unwrap();
        assert_eq!(token.header(), "Bearer ghs_abc");
        assert_eq!(token.expose_secret(), "ghs_abc");
        assert!(token.header().is_sensitive());
        let copy = token.header().clone();
        assert_eq!(copy.as_bytes().as_ptr(), token.header().as_bytes().as_ptr());
    }

    #[test]
    fn what_is_no_token_is_refused_with_its_reason() {
        for (text, failure) in [
            ("", AuthFailure::Empty),
            (" \n", AuthFailure::Empty),
            ("ghp_a\nb", AuthFailure::Malformed),
            ("ghp_a b", AuthFailure::Malformed),
            ("ghp_\u{e9}", AuthFailure::Malformed),
            ("ghr_hunter2", AuthFailure::WrongKind),
            ("-----BEGIN RSA PRIVATE KEY-----\nhunter2", AuthFailure::WrongKind),
            ("Iv23lihunter2", AuthFailure::WrongKind),
        ] {
            let error = AccessToken::new(text).unwrap_err();
            assert_eq!(error.auth_failure(), Some(failure), "{text:?}");
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
    }

    #[test]
    fn a_token_of_an_unknown_format_is_taken() {
        for text in ["0123456789abcdef0123456789abcdef01234567", "v1.abc", "eyJ.eyJ.abc"] {
            assert_eq!(AccessToken::new(text).unwrap().expose_secret(), text);
        }
    }

    #[test]
    fn debug_shows_what_it_is_and_not_the_token() {
        let token =
            AccessToken::new("ghs_hunter2").unwrap().with_refresh_token("ghr_hunter2", None);
        let shown = format!("{token:?}");
        assert!(
            shown.contains("InstallationToken") && shown.contains("renewable: true"),
            "{shown}"
        );
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
