//! One token: its `Authorization` header and its lifetime.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::error::Result;
use crate::error::auth::AuthFailure;
use crate::sanitize::{self, SecretHeader};

/// A token, its expiry, and its refresh token.
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
    /// `Bearer` and the token, created once: a call clones a reference to it.
    header: SecretHeader,
    issued_at: SystemTime,
    expires_at: Option<SystemTime>,
    /// In a box, since installation access tokens have none.
    details: Option<Box<TokenDetails>>,
}

/// Properties that few tokens have.
#[derive(Clone, Default)]
struct TokenDetails {
    recheck_after: Option<Duration>,
    refresh_info: Option<RefreshInfo>,
    scopes: Option<Arc<[String]>>,
}

/// The refresh token of a user access token.
#[derive(Clone)]
struct RefreshInfo {
    refresh_token: SecretString,
    expires_at: Option<SystemTime>,
}

/// The scheme of RFC 6750, which GitHub accepts for every kind of token.
const BEARER: &str = "Bearer ";

impl AccessToken {
    /// Creates a token that does not expire. White space around it is dropped, since a file often ends with a line
    /// break.
    ///
    /// # Errors
    /// If it is empty, contains a character that no token has, or looks like another credential: a private key or a
    /// refresh token.
    pub fn new(token: impl Into<SecretString>) -> Result<Self> {
        let token = token.into();
        let token = token.expose_secret().trim();
        if token.is_empty() {
            return Err(AuthFailure::Empty.error(
                "the token is empty",
                "pass a token, or use a client without authentication",
            ));
        }
        if let Some(kind) = CredentialFormat::detect(token).wrong_kind() {
            return Err(AuthFailure::WrongKind
                .error(format!("invalid token: the value looks like {}", kind.0), kind.1));
        }
        let mut bytes =
            Zeroizing::new(Vec::with_capacity(BEARER.len().saturating_add(token.len())));
        bytes.extend_from_slice(BEARER.as_bytes());
        bytes.extend_from_slice(token.as_bytes());
        // The error of `http` is dropped on purpose: it must not disclose any part of the token.
        let header = HeaderValue::from_maybe_shared(Bytes::from_owner(bytes)).ok();
        let header = header.filter(|_| token.bytes().all(|byte| byte.is_ascii_graphic()));
        let header = header.ok_or_else(|| {
            AuthFailure::Malformed.error(
                "the token contains a line break, a space or another invalid character",
                "check how the value is loaded; it is not shown here",
            )
        })?;
        Ok(Self {
            header: SecretHeader::new(header),
            issued_at: SystemTime::now(),
            expires_at: None,
            details: None,
        })
    }

    /// Sets when the token expires, by the local clock.
    #[must_use]
    pub fn with_expires_at(mut self, time: SystemTime) -> Self {
        self.expires_at = Some(time);
        self
    }

    /// Sets the remaining lifetime. Prefer it to [`with_expires_at`](Self::with_expires_at) if both are known: it does
    /// not depend on a correct clock.
    #[must_use]
    pub fn expires_in(self, time: Duration) -> Self {
        match SystemTime::now().checked_add(time) {
            Some(end) => self.with_expires_at(end),
            None => self,
        }
    }

    /// Sets after how long the provider is called again before the token expires, such as for a file that might
    /// have changed. Never by default.
    #[must_use]
    pub fn recheck_after(mut self, time: Duration) -> Self {
        self.details_mut().recheck_after = Some(time);
        self
    }

    /// Adds the refresh token, and its expiry.
    #[must_use]
    pub fn with_refresh_token(
        mut self,
        token: impl Into<SecretString>,
        expires_at: Option<SystemTime>,
    ) -> Self {
        let refresh_token = token.into();
        sanitize::remember(refresh_token.expose_secret().as_bytes());
        self.details_mut().refresh_info = Some(RefreshInfo { refresh_token, expires_at });
        self
    }

    /// Sets the token's [scopes](https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps).
    #[must_use]
    pub fn with_scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.details_mut().scopes = Some(scopes.into_iter().map(Into::into).collect());
        self
    }

    /// Returns the token itself, for other uses, such as `git clone` over HTTPS.
    ///
    /// It must not be logged.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        let bytes = self.header().as_bytes().get(BEARER.len()..).unwrap_or_default();
        // It is ASCII, which `new` has checked.
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// Returns when the token expires, by the local clock; `None` if unknown.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.expires_at
    }

    /// Returns the refresh token.
    #[must_use]
    pub fn refresh_token(&self) -> Option<&SecretString> {
        self.refresh_info().map(|renewal| &renewal.refresh_token)
    }

    /// Returns when the refresh token expires.
    #[must_use]
    pub fn refresh_token_expires_at(&self) -> Option<SystemTime> {
        self.refresh_info()?.expires_at
    }

    /// Returns the granted scopes, which can be fewer than requested; `None` if unknown, and empty for the tokens of a
    /// GitHub App.
    #[must_use]
    pub fn scopes(&self) -> Option<&[String]> {
        self.details.as_ref()?.scopes.as_deref()
    }

    /// Sets when the token was issued, for a store that restores its parts; by default the time of construction.
    #[must_use]
    pub fn with_issued_at(mut self, time: SystemTime) -> Self {
        self.issued_at = time;
        self
    }

    /// Returns when the token was issued.
    #[must_use]
    pub fn issued_at(&self) -> SystemTime {
        self.issued_at
    }

    /// Returns after how long its provider is [called again](Self::recheck_after).
    #[must_use]
    pub fn rechecked_after(&self) -> Option<Duration> {
        self.details.as_ref()?.recheck_after
    }

    fn refresh_info(&self) -> Option<&RefreshInfo> {
        self.details.as_ref()?.refresh_info.as_ref()
    }

    fn details_mut(&mut self) -> &mut TokenDetails {
        self.details.get_or_insert_default()
    }

    /// Returns the remaining lifetime; zero if the token has expired.
    pub(crate) fn remaining_lifetime(&self) -> Option<Duration> {
        Some(self.expires_at?.duration_since(SystemTime::now()).unwrap_or_default())
    }

    pub(crate) fn header(&self) -> &HeaderValue {
        self.header.value()
    }

    pub(crate) fn secret_header(&self) -> &SecretHeader {
        &self.header
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("looks_like", &CredentialFormat::detect(self.expose_secret()))
            .field("expires_at", &self.expires_at)
            .field("renewable", &self.refresh_info().is_some())
            .finish_non_exhaustive()
    }
}

/// The kind of a credential, by the prefixes that GitHub
/// [defines](https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/about-authentication-to-github#githubs-token-formats).
///
/// For hints only: formats change, and an unknown one is never rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CredentialFormat {
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

impl CredentialFormat {
    pub(crate) fn detect(text: &str) -> Self {
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

    /// Returns its kind, if it is a token for calls.
    pub(crate) fn access_token_kind(self) -> Option<&'static str> {
        match self {
            Self::ClassicToken => Some("a personal access token (ghp_)"),
            Self::FineGrainedToken => Some("a fine-grained personal access token (github_pat_)"),
            Self::OAuthToken => Some("an OAuth token (gho_)"),
            Self::UserToken => Some("a user's token (ghu_)"),
            Self::InstallationToken => Some("an installation token (ghs_)"),
            Self::RefreshToken | Self::PrivateKey | Self::ClientId | Self::Unknown => None,
        }
    }

    /// Returns its kind and the advice, if it is not a token for calls.
    fn wrong_kind(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::RefreshToken => Some((
                "a refresh token (ghr_)",
                "pass the access token that was issued with it, or use UserToken (feature \
                 oauth), which refreshes itself",
            )),
            Self::PrivateKey => Some((
                "a private key",
                "sign in as a GitHub App with it: App::new(app_id, private_key)",
            )),
            Self::ClientId => Some((
                "a client id (Iv…)",
                "a client id only identifies the application: pass a token, or sign in with \
                 OAuthApp (feature oauth) or App",
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
    fn an_invalid_token_is_rejected_with_the_reason() {
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
    fn debug_shows_the_kind_and_not_the_token() {
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
