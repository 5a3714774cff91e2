//! The classes of credential failures: one value for each remedy.

use std::borrow::Cow;

use super::{BoxError, Error, ErrorKind};

/// The reason for a missing or rejected token: [`Error::auth_failure`](crate::Error::auth_failure).
///
/// The error's message states the cause and the next step; programs match on this value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthFailure {
    /// A required credential is missing: an environment variable, a file, or the App of an environment.
    Missing,
    /// Several credentials are set, and no setting selects one; or an environment has another App.
    Ambiguous,
    /// A token, key or secret is empty.
    Empty,
    /// A token contains a character that no token has, such as a line break; or an id, a name or the restriction of an
    /// installation's tokens is invalid.
    Malformed,
    /// A credential of the wrong kind, such as a personal access token in place of an App's private key.
    WrongKind,
    /// A private key that is invalid, or not usable for RS256.
    InvalidKey,
    /// A private key that is protected by a passphrase.
    EncryptedKey,
    /// The application's own signer returned no signature.
    Signer,
    /// GitHub rejects the App's JWT: the key is not the App's, or the App was deleted.
    AppRejected,
    /// The installation does not exist, or belongs to another App.
    InstallationNotFound,
    /// The installation is suspended.
    InstallationSuspended,
    /// The installation does not have the requested repositories or permissions.
    NotGranted,
    /// GitHub rejects the refresh token: it was used, revoked, or has expired.
    RefreshTokenRejected,
    /// GitHub rejects the client id or the client secret.
    ClientRejected,
    /// GitHub rejects the code of a sign-in or a registration: it was used, has expired, or belongs to another redirect
    /// URI.
    CodeRejected,
    /// The redirect URI is not registered with the application.
    RedirectUriMismatch,
    /// The callback's `state` differs from the `state` of the authorization request, or of the registration.
    StateMismatch,
    /// The callback contains neither a code nor an error.
    InvalidCallback,
    /// An App was registered, or might have been, and its credentials did not arrive. GitHub issues them once.
    CredentialsLost,
    /// The user declined.
    Denied,
    /// The user did not finish before the device code expired.
    DeviceCodeExpired,
    /// The application's settings do not allow the device flow.
    DeviceFlowDisabled,
    /// GitHub has suspended the application.
    ApplicationSuspended,
    /// The user has no verified primary email address.
    EmailUnverified,
    /// A token has expired, and cannot be refreshed.
    Expired,
    /// An OAuth error without a value of its own.
    OAuth,
    /// The client does not authenticate as an App, so it cannot use an App's installation.
    NotAnApp,
    /// The token store cannot be read or written.
    Store,
    /// The token store was encrypted with another key, or the key is invalid.
    StoreKey,
    /// The token store is truncated.
    StoreTruncated,
    /// Another program has changed the token store.
    StoreTampered,
    /// A later version of this library wrote the token store.
    StoreVersion,
    /// Any failure that the application's own token provider reports.
    Other,
}

impl Error {
    /// Creates the error of the application's own [`TokenStore`](crate::auth::TokenStore), with
    /// [`AuthFailure::Store`].
    ///
    /// `message` states the failure and must not contain a secret; `source` can be the cause. The client logs both. If
    /// a call fails with it, the error is not [retryable](Error::is_retryable).
    pub fn token_store(
        message: impl Into<Cow<'static, str>>,
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        AuthFailure::Store
            .error(message, "check the application's token store")
            .with_optional_caller_source(source)
    }

    /// Creates the error of the application's own [`TokenProvider`](crate::auth::TokenProvider).
    ///
    /// `message` states the failure and must not contain a secret; `source` can be the cause. The client retries only
    /// if `retryable` is `true`.
    pub fn token_provider(
        message: impl Into<Cow<'static, str>>,
        retryable: bool,
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        AuthFailure::Other
            .error(message, "check the application's token source")
            .with_retryable(retryable)
            .with_optional_caller_source(source)
    }

    fn with_optional_caller_source(self, source: Option<BoxError>) -> Self {
        match source {
            Some(source) => self.with_caller_source(source),
            None => self,
        }
    }
}

impl AuthFailure {
    /// Returns the error for this failure; not retryable by default.
    pub(crate) fn error(
        self,
        message: impl Into<Cow<'static, str>>,
        advice: impl Into<Cow<'static, str>>,
    ) -> Error {
        Error::new(ErrorKind::Authentication, message).with_advice(advice).with_auth_failure(self)
    }
}
