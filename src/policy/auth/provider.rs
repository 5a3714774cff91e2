//! The trait of all token providers.

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderMap;

use super::app::App;
use super::token::AccessToken;
use super::transport::AuthTransport;
use crate::error::{FailureDetails, Result};

/// Obtains tokens: an App, an installation, a user, or your own vault.
///
/// A provider only obtains one token. The client caches it, refreshes it before it expires, sends one request at a time
/// for all waiting calls, and continues with the cached token while the provider fails: see
/// [`TokenPolicy`](super::TokenPolicy).
///
/// # Contract
/// - **Calls**: a client calls [`fetch_token`](Self::fetch_token) once at a time, with one exception that is stated
///   there; clients that share a provider call it concurrently. All other methods can be called at any time, also
///   during `fetch_token`, from several threads, and while the client holds a lock: they return at once, do not block,
///   and do not call the client.
/// - **Constant values**: [`identity`](Self::identity), [`rate_limit_identity`](Self::rate_limit_identity),
///   [`persistence`](Self::persistence) and [`app`](Self::app) do not change.
///   [`initial_token`](Self::initial_token) and `app` are read once, when the client is built.
/// - **Secrets**: neither `Debug`, nor the identities, nor an error, nor a log event contains a token, a key or a
///   password. The client logs the identity and the error, and its metrics, health report, cache keys and store keys
///   contain the identity.
///
/// # Errors
/// Create them with [`Error::token_provider`](crate::Error::token_provider).
///
/// | error | consequence |
/// |---|---|
/// | [retryable](crate::Error::is_retryable) | another attempt after a delay, up to [`TokenPolicy::max_attempts`](super::TokenPolicy::max_attempts) |
/// | any other, and the last attempt's | all calls that wait for the token fail with it; calls with a token that is still valid continue |
///
/// Until the [backoff](super::TokenPolicy::backoff) has passed, later calls fail with the same error, and the provider
/// is not called. A panic counts as an error that is not retryable.
///
/// ```
/// use std::borrow::Cow;
/// use std::time::Duration;
/// use octowire::Client;
/// use octowire::auth::{AccessToken, TokenRequest, TokenFuture, TokenProvider};
///
/// #[derive(Debug)]
/// struct Vault;
///
/// impl TokenProvider for Vault {
///     fn fetch_token<'a>(&'a self, _: TokenRequest<'a>) -> TokenFuture<'a> {
///         Box::pin(async {
///             let lease = "ghs_…"; // read it from the vault
///             Ok(AccessToken::new(lease)?.expires_in(Duration::from_secs(600)))
///         })
///     }
///
///     fn identity(&self) -> Cow<'_, str> {
///         Cow::Borrowed("vault:release-bot")
///     }
/// }
///
/// # fn example() -> octowire::Result<()> {
/// let client = Client::builder().auth(Vault).build()?;
/// # let _ = client;
/// # Ok(())
/// # }
/// ```
pub trait TokenProvider: fmt::Debug + Send + Sync + 'static {
    /// Obtains a token now.
    ///
    /// The client runs one of these at a time, with one exception. A second one runs if the runtime of the first is not
    /// polled while a call on another runtime waits, and the provider does not [keep](Self::persistence) its tokens as
    /// [`Persistence::Required`].
    ///
    /// It runs in a task of its own, on the runtime of the call that needs the token first: a call that is dropped does
    /// not end it. After five minutes, for all attempts and the store together, the client drops the future. Set a
    /// shorter timeout for requests of your own.
    fn fetch_token<'a>(&'a self, request: TokenRequest<'a>) -> TokenFuture<'a>;

    /// Returns a name for the identity of the tokens, such as `installation:42`. It stays when a token is refreshed,
    /// and differs where permissions differ.
    ///
    /// Logs and metrics show it, and stores and caches use it as a key: it must not contain a secret. Each call can
    /// read it, so it has to be cheap.
    fn identity(&self) -> Cow<'_, str>;

    /// Returns the identity under which GitHub counts the calls, where several providers share one for its [rate
    /// limits](https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api): those of one
    /// installation, whatever their permissions. By default it is the [identity](Self::identity).
    fn rate_limit_identity(&self) -> Cow<'_, str> {
        self.identity()
    }

    /// Returns a token that is available before the first request, such as one that the constructor has read. None by
    /// default.
    fn initial_token(&self) -> Option<AccessToken> {
        None
    }

    /// Returns the next step when GitHub responds with 401 to the current token of this provider. By default, the
    /// client obtains another token.
    ///
    /// The client calls it once for each such response, after the [propagation delay](Self::propagation_delay) of a new
    /// token, and not for a token that was replaced meanwhile.
    fn on_rejected(&self, rejection: &Rejection<'_>) -> RejectionAction {
        let _ = rejection;
        RejectionAction::Refresh
    }

    /// Returns the propagation delay: for how long GitHub can reject a new token that has not reached all its servers.
    /// Zero by default.
    fn propagation_delay(&self) -> Duration {
        Duration::ZERO
    }

    /// Returns whether the tokens belong in the client's [`TokenStore`](super::TokenStore). [`Persistence::None`] by default.
    fn persistence(&self) -> Persistence {
        Persistence::None
    }

    /// Returns when the underlying credential was created: a key, a secret, a personal access token. The client warns
    /// when it is old. Unknown by default.
    fn credential_created_at(&self) -> Option<SystemTime> {
        None
    }

    /// Returns the App of this source, if there is one, for [`Client::as_app`](crate::Client::as_app) and
    /// [`Client::installation`](crate::Client::installation).
    fn app(&self) -> Option<&App> {
        None
    }
}

/// A provider that was chosen at run time, or that several clients share.
macro_rules! forward {
    ($pointer:ident) => {
        impl<S: TokenProvider + ?Sized> TokenProvider for $pointer<S> {
            fn fetch_token<'a>(&'a self, request: TokenRequest<'a>) -> TokenFuture<'a> {
                (**self).fetch_token(request)
            }

            fn identity(&self) -> Cow<'_, str> {
                (**self).identity()
            }

            fn rate_limit_identity(&self) -> Cow<'_, str> {
                (**self).rate_limit_identity()
            }

            fn initial_token(&self) -> Option<AccessToken> {
                (**self).initial_token()
            }

            fn on_rejected(&self, rejection: &Rejection<'_>) -> RejectionAction {
                (**self).on_rejected(rejection)
            }

            fn propagation_delay(&self) -> Duration {
                (**self).propagation_delay()
            }

            fn persistence(&self) -> Persistence {
                (**self).persistence()
            }

            fn credential_created_at(&self) -> Option<SystemTime> {
                (**self).credential_created_at()
            }

            fn app(&self) -> Option<&App> {
                (**self).app()
            }
        }
    };
}

forward!(Box);
forward!(Arc);

/// The future that [`TokenProvider::fetch_token`] returns.
pub type TokenFuture<'a> = Pin<Box<dyn Future<Output = Result<AccessToken>> + Send + 'a>>;

/// The input of a source's request for a token.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TokenRequest<'a> {
    /// The transport of the client that requests the token. The providers of this crate send their requests through it,
    /// so that base URL, timeouts and all other settings are the same.
    ///
    /// A provider of the application that calls GitHub gets the client from
    /// [`Client::from_token_request`](crate::Client::from_token_request), and uses one of its handles,
    /// [`Client::as_app`](crate::Client::as_app) or [`Client::unauthenticated`](crate::Client::unauthenticated). A call
    /// of the client itself would wait for the token that is being obtained, and fails.
    pub client: &'a dyn AuthTransport,
    /// The previous token, from the store or from this client; it might have expired.
    pub previous: Option<&'a AccessToken>,
}

impl<'a> TokenRequest<'a> {
    /// Creates a request, for tests of a source.
    #[must_use]
    pub fn new(client: &'a dyn AuthTransport, previous: Option<&'a AccessToken>) -> Self {
        Self { client, previous }
    }
}

/// GitHub's rejection of a token.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Rejection<'a> {
    /// GitHub's message, such as `Bad credentials`, without secrets.
    pub message: &'a str,
    /// The headers of the response.
    pub headers: &'a HeaderMap,
    /// The message before secrets were redacted.
    pub(crate) failure_details: FailureDetails,
}

impl<'a> Rejection<'a> {
    /// Creates a rejection, for tests of a provider.
    #[must_use]
    pub fn new(message: &'a str, headers: &'a HeaderMap) -> Self {
        Self { message, headers, failure_details: FailureDetails::read(message) }
    }
}

/// The next step after GitHub rejects a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RejectionAction {
    /// No remedy exists: the call fails.
    Fail,
    /// Another token might be accepted. The client obtains one and repeats the call; at most once a minute, so that a
    /// credential that GitHub never accepts does not cause a flood of requests.
    Refresh,
    /// The provider now makes tokens with another key or clock: the client obtains one, however recent the last one is.
    /// The provider bounds how often it returns this value.
    RefreshNow,
}

/// Whether tokens are saved in a [`TokenStore`](super::TokenStore).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Persistence {
    /// Tokens cost nothing to obtain, or are kept outside of the store.
    None,
    /// The store saves requests for tokens in other processes and after a restart. Tokens can be obtained without it: a
    /// failure of the store is a warning.
    BestEffort,
    /// Tokens cannot be obtained without the previous one. A store that cannot be read is an error.
    Required,
}
