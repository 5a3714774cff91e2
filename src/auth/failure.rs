//! What can be wrong with a credential: one value for each thing that a person does about it.

use std::borrow::Cow;

use crate::error::{Error, ErrorKind};

/// Why there is no token, or why one is refused: [`Error::auth_failure`](crate::Error::auth_failure).
///
/// The error's message says what happened and its end what to do next; this value is for programs
/// that decide by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthFailure {
    /// A credential that was asked for is not there: an environment variable or a file.
    Missing,
    /// More than one credential is there, and nothing says which to use.
    Ambiguous,
    /// A token, key or secret is empty.
    Empty,
    /// A token holds what no token does, such as a line break.
    Malformed,
    /// A credential of another kind than the place asks for, such as a personal access token
    /// where an App's private key belongs.
    WrongKind,
    /// A private key that is none, or none that RS256 can use.
    InvalidKey,
    /// A private key that is protected by a passphrase.
    EncryptedKey,
    /// A signer of the application's own gave no signature.
    Signer,
    /// GitHub refuses the App's JWT: the key is not the App's, or the App is gone.
    AppRejected,
    /// There is no such installation, or it is not this App's.
    InstallationNotFound,
    /// The installation is suspended.
    InstallationSuspended,
    /// The installation does not have the repositories or permissions that were asked for.
    NotGranted,
    /// GitHub refuses the refresh token: it was used, revoked, or is too old.
    RefreshTokenRejected,
    /// GitHub refuses the client id or the client secret.
    ClientRejected,
    /// GitHub refuses the code: it was used, is too old, or belongs to another redirect.
    CodeRejected,
    /// The redirect URI is not one of those that are registered with the application.
    RedirectUriMismatch,
    /// The callback's `state` is not the one that the authorization began with.
    StateMismatch,
    /// The callback carries neither a code nor an error.
    InvalidCallback,
    /// The user said no.
    Denied,
    /// The user took longer than the device code is valid.
    DeviceCodeExpired,
    /// The application's settings do not allow the device flow.
    DeviceFlowDisabled,
    /// The application is suspended by GitHub.
    ApplicationSuspended,
    /// The user has no verified primary email address.
    EmailUnverified,
    /// A token has ended, and nothing renews it.
    Expired,
    /// An OAuth error beside those that have a value of their own.
    OAuth,
    /// A client is asked for an App's installation, but does not sign in as an App.
    NotAnApp,
    /// The token store can not be read or written.
    Store,
    /// The token store was encrypted with another key, or the key is none.
    StoreKey,
    /// The token store ends too early.
    StoreTruncated,
    /// The token store was changed by something else than this library.
    StoreTampered,
    /// The token store was written by a later version of this library.
    StoreVersion,
    /// Whatever a token source of the application's own reports.
    Other,
}

impl AuthFailure {
    /// The error for this failure; never retryable unless said otherwise.
    pub(crate) fn error(
        self,
        message: impl Into<Cow<'static, str>>,
        advice: impl Into<Cow<'static, str>>,
    ) -> Error {
        Error::new(ErrorKind::Authentication, message).with_advice(advice).with_auth_failure(self)
    }
}
