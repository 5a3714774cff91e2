//! Authentication with GitHub, and the management of tokens.
//!
//! | credential | type | lifetime |
//! |---|---|---|
//! | a GitHub App | [`App::installation`](App::installation) | an hour, refreshed |
//! | a GitHub App that was registered from a manifest | `RegisteredApp` (feature `encrypted-token-store`) | an hour, refreshed |
//! | a personal access token | [`PersonalToken`] | until it is revoked; read again when it changes |
//! | a user, through the browser or a device | `OAuthApp`, then `UserToken` (feature `oauth`) | 8 hours, refreshed |
//! | the environment: variables, a job of GitHub Actions, a login of the `gh` program | [`Client::from_env`](crate::Client::from_env) | that of the credential that is found |
//! | a bearer token for a gateway | `ClientCredentials` (feature `oauth`) | set by the server, refreshed |
//! | a vault, or any other source | your own [`TokenProvider`] | set by the provider |
//!
//! A [`TokenProvider`] fetches one token; the client keeps and refreshes it ([`TokenPolicy`]). Neither decides which
//! server receives a token: the client sends it to its own GitHub server only. The response cache is separate:
//! [`cache`](crate::cache).

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod app;
mod app_variables;
mod application_id;
#[cfg(any(feature = "app-registration", feature = "oauth"))]
mod callback;
#[cfg(feature = "oauth")]
mod client_credentials;
mod credential_chain;
mod credential_source;
mod credentials;
mod environment;
#[cfg(any(test, feature = "__fuzz"))]
pub(crate) mod fuzzing;
mod health;
mod identity;
mod installation;
#[cfg(feature = "oauth")]
mod oauth;
mod permission_level;
mod personal;
mod policy;
mod provider;
#[cfg(feature = "encrypted-token-store")]
mod registered_app;
mod request_credentials;
mod token;
mod token_manager;
mod token_store;
mod transport;

pub use crate::error::auth::AuthFailure;
pub use app::{App, AppSigner, SignatureFuture};
#[cfg(feature = "oauth")]
#[cfg_attr(docsrs, doc(cfg(feature = "oauth")))]
pub use client_credentials::ClientCredentials;
pub use credential_source::CredentialSource;
pub use credentials::Credentials;
pub use environment::{Environment, ProcessEnvironment};
pub use health::TokenHealth;
pub use installation::{AppInstallation, Installation};
#[cfg(feature = "oauth")]
#[cfg_attr(docsrs, doc(cfg(feature = "oauth")))]
pub use oauth::{
    AuthorizationRequest, DeviceAuthorization, DeviceFlow, OAuthApp, PendingAuthorization,
    TokenInfo, UserToken,
};
pub use permission_level::PermissionLevel;
pub use personal::PersonalToken;
pub use policy::TokenPolicy;
pub use provider::{
    Persistence, Rejection, RejectionAction, TokenFuture, TokenProvider, TokenRequest,
};
#[cfg(feature = "encrypted-token-store")]
#[cfg_attr(docsrs, doc(cfg(feature = "encrypted-token-store")))]
pub use registered_app::RegisteredApp;
pub use token::AccessToken;
#[cfg(feature = "encrypted-token-store")]
#[cfg_attr(docsrs, doc(cfg(feature = "encrypted-token-store")))]
pub use token_store::{
    EncryptedFileTokenStore, EncryptedFileTokenStoreBuilder, EncryptedTokenStore, EncryptionKey,
};
pub use token_store::{MemoryTokenStore, TokenStore, TokenStoreFuture, TokenStoreLock};
pub use transport::AuthTransport;

#[cfg(feature = "app-registration")]
pub(crate) use callback::{Callback, is_secret, random_secret};
pub(crate) use credential_chain::resolve_credentials;
pub(crate) use identity::{Gateway, Identity};
pub(crate) use personal::secret_fingerprint;
pub(crate) use request_credentials::RequestCredentials;
pub(crate) use token_manager::{TokenManager, with_refresh_stack};
#[cfg(feature = "testing")]
pub(crate) use token_store::conformance;
pub(crate) use transport::{AuthBody, AuthCall, AuthTarget, sealed};

#[cfg(test)]
mod tests;
