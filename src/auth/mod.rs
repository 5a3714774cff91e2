//! Authentication with GitHub, and the management of tokens.
//!
//! | credential | type | lifetime |
//! |---|---|---|
//! | a GitHub App | [`App::installation`](App::installation) | an hour, refreshed |
//! | a personal access token | [`PersonalToken`] | until it is revoked; read again when it changes |
//! | a user, through the browser or a device | [`OAuthApp`], then [`UserToken`] | 8 hours, refreshed |
//! | a job of GitHub Actions | [`Client::from_env`](crate::Client::from_env) | as long as the job |
//! | a bearer token for a gateway | [`ClientCredentials`] | set by the server, refreshed |
//! | a vault, or any other source | your own [`TokenProvider`] | set by the provider |
//!
//! A [`TokenProvider`] fetches one token; the client keeps and refreshes it ([`TokenPolicy`]). Neither decides which
//! server receives a token: the client sends it to its own GitHub server only. The response cache is separate:
//! [`cache`](crate::cache).

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod app;
mod client_credentials;
mod credentials;
mod failure;
#[cfg(any(test, feature = "__fuzz"))]
pub(crate) mod fuzzing;
mod health;
mod installation;
mod keeper;
mod oauth;
mod pass;
mod personal;
mod policy;
mod source;
mod store;
mod token;

pub use app::{App, AppSigner, SignatureFuture};
pub use client_credentials::ClientCredentials;
pub use credentials::Credentials;
pub use failure::AuthFailure;
pub use health::TokenHealth;
pub use installation::{AppInstallation, Installation};
pub use oauth::{
    AuthorizationRequest, DeviceAuthorization, DeviceFlow, OAuthApp, PendingAuthorization,
    TokenInfo, UserToken,
};
pub use personal::PersonalToken;
pub use policy::TokenPolicy;
pub use source::{
    Persistence, Rejection, RejectionAction, TokenFuture, TokenProvider, TokenRequest,
};
#[cfg(feature = "token-store")]
#[cfg_attr(docsrs, doc(cfg(feature = "token-store")))]
pub use store::{
    EncryptedFileTokenStore, EncryptedFileTokenStoreBuilder, EncryptedTokenStore, EncryptionKey,
};
pub use store::{MemoryTokenStore, TokenStore, TokenStoreFuture, TokenStoreLock};
pub use token::AccessToken;

pub(crate) use keeper::{TokenManager, with_refresh_stack};
pub(crate) use pass::{Gateway, Identity, RequestCredentials};
pub(crate) use personal::secret_fingerprint;

#[cfg(test)]
mod tests;
