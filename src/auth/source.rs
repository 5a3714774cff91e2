//! The one interface behind which every way to sign in stands.

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderMap;

use super::app::App;
use super::token::AccessToken;
use crate::client::Client;
use crate::error::{Error, Refusal, Result};

/// Something that obtains tokens: an App, an installation, a user, a vault of your own.
///
/// A source only says how one token is had. The client keeps it, renews it ahead of its end, lets
/// one call at a time ask for it however many wait, and goes on with the token at hand while the
/// source fails: see [`TokenPolicy`](super::TokenPolicy).
///
/// ```
/// use std::borrow::Cow;
/// use std::time::Duration;
/// use octowire::Client;
/// use octowire::auth::{AccessToken, MintRequest, TokenFuture, TokenSource};
///
/// #[derive(Debug)]
/// struct Vault;
///
/// impl TokenSource for Vault {
///     fn mint<'a>(&'a self, _: MintRequest<'a>) -> TokenFuture<'a> {
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
pub trait TokenSource: fmt::Debug + Send + Sync + 'static {
    /// Obtains a token now.
    ///
    /// The client runs one of these at a time for one source. Only if the runtime of the first stands still
    /// while a call on another one waits, and the source does not [keep](Self::keep) its tokens as
    /// [`Keep::Must`], a second one runs. An error that is
    /// [retryable](Error::is_retryable) is tried again a few times; an error of the source's own
    /// is made by [`Error::token_source`]. Neither the error nor anything that is logged may
    /// hold a secret.
    fn mint<'a>(&'a self, request: MintRequest<'a>) -> TokenFuture<'a>;

    /// A name for the identity behind the tokens, which stays the same when a token is renewed and
    /// differs where permissions differ, such as `installation:42`.
    ///
    /// Logs and metrics show it, and stores and caches use it as a key: no secret may be in it.
    fn identity(&self) -> Cow<'_, str>;

    /// As whom GitHub counts the calls, where several sources are one for its
    /// [rate limits](https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api):
    /// those of one installation, whatever their permissions. By default it is the
    /// [identity](Self::identity).
    fn limited_as(&self) -> Cow<'_, str> {
        self.identity()
    }

    /// A token that is there before any was minted, such as one that was read when the source was
    /// made. None by default.
    fn at_hand(&self) -> Option<AccessToken> {
        None
    }

    /// What is to be done when GitHub answers 401 to a token of this source. By default, another
    /// is minted.
    fn rejected(&self, rejection: &Rejection<'_>) -> Reaction {
        let _ = rejection;
        Reaction::MintAgain
    }

    /// For how long after its minting a token may be refused although it is good, because it has
    /// not reached all of GitHub's servers. Zero by default.
    fn settles_within(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether the tokens belong in the client's [`TokenStore`](super::TokenStore).
    /// [`Keep::No`] by default.
    fn keep(&self) -> Keep {
        Keep::No
    }

    /// When the credential that the tokens are had by was made: a key, a secret, a personal
    /// token. The client warns when it is old. Unknown by default.
    fn created_at(&self) -> Option<SystemTime> {
        None
    }

    /// The App behind this source, if there is one: [`Client::as_app`] and
    /// [`Client::installation`] are had by it.
    fn app(&self) -> Option<&App> {
        None
    }
}

/// A source that was chosen at run time, or that several clients share, is one as well.
macro_rules! forward {
    ($pointer:ident) => {
        impl<S: TokenSource + ?Sized> TokenSource for $pointer<S> {
            fn mint<'a>(&'a self, request: MintRequest<'a>) -> TokenFuture<'a> {
                (**self).mint(request)
            }

            fn identity(&self) -> Cow<'_, str> {
                (**self).identity()
            }

            fn limited_as(&self) -> Cow<'_, str> {
                (**self).limited_as()
            }

            fn at_hand(&self) -> Option<AccessToken> {
                (**self).at_hand()
            }

            fn rejected(&self, rejection: &Rejection<'_>) -> Reaction {
                (**self).rejected(rejection)
            }

            fn settles_within(&self) -> Duration {
                (**self).settles_within()
            }

            fn keep(&self) -> Keep {
                (**self).keep()
            }

            fn created_at(&self) -> Option<SystemTime> {
                (**self).created_at()
            }

            fn app(&self) -> Option<&App> {
                (**self).app()
            }
        }
    };
}

forward!(Box);
forward!(Arc);

/// What [`TokenSource::mint`] returns.
pub type TokenFuture<'a> = Pin<Box<dyn Future<Output = Result<AccessToken>> + Send + 'a>>;

/// What a source is given to mint a token with.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct MintRequest<'a> {
    /// The client that asks. A source that calls GitHub calls it by one of its handles,
    /// [`Client::as_app`] or [`Client::without_auth`], so that addresses, timeouts and all other
    /// settings are the same. Calling it as it is would wait for this very token.
    pub client: &'a Client,
    /// The token that was had before, from the store or from this client; it may have ended.
    pub previous: Option<&'a AccessToken>,
}

impl<'a> MintRequest<'a> {
    /// A request, for tests of a source.
    #[must_use]
    pub fn new(client: &'a Client, previous: Option<&'a AccessToken>) -> Self {
        Self { client, previous }
    }
}

/// GitHub's refusal of a token.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Rejection<'a> {
    /// GitHub's message, such as `Bad credentials`, without secrets.
    pub message: &'a str,
    /// The headers of the answer.
    pub headers: &'a HeaderMap,
    /// What the message said before secrets were taken out.
    pub(crate) refusal: Refusal,
}

impl<'a> Rejection<'a> {
    /// A refusal, for tests of a source.
    #[must_use]
    pub fn new(message: &'a str, headers: &'a HeaderMap) -> Self {
        Self { message, headers, refusal: Refusal::read(message) }
    }
}

/// What follows when GitHub refuses a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reaction {
    /// Nothing helps: the call fails.
    Fail,
    /// Another token may do. The client mints one and repeats the call; at most once a minute, so
    /// that a credential which GitHub never accepts is not hammered.
    MintAgain,
    /// The source has changed how it makes tokens, by another key or another clock: mint one,
    /// whenever the last one was. The source bounds how often it says so.
    Changed,
}

/// Whether tokens belong in a [`TokenStore`](super::TokenStore).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Keep {
    /// They are had at no cost, or are kept elsewhere.
    No,
    /// Keeping them saves minting them again, in other processes and after a restart. Without
    /// the store it works as well: a failing store is a warning.
    Share,
    /// They can not be had without the one before. A store that can not be read is an error.
    Must,
}

impl Error {
    /// The error of a [`TokenSource`] of the application's own.
    ///
    /// `message` says what happened and must hold no secret; `source` may be what caused it.
    /// The source is asked again only if `retryable` says that this may help.
    pub fn token_source(
        message: impl Into<Cow<'static, str>>,
        retryable: bool,
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        let error = super::AuthFailure::Other
            .error(message, "check the application's token source")
            .with_retryable(retryable);
        match source {
            Some(source) => error.with_own_source(source),
            None => error,
        }
    }
}
