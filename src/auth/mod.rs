//! Where a call's token comes from.
//!
//! A source answers, for each attempt, with the `Authorization` header to send. It does not know
//! where the request goes: whether a server may see the token is decided in `origins.rs`.

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use crate::error::{Error, ErrorKind, Result};

/// A source of tokens.
#[derive(Debug)]
pub(crate) enum Auth {
    /// No token: GitHub allows 60 requests an hour.
    Anonymous,
    /// One token for as long as the client lives.
    Token(HeaderValue),
}

impl Auth {
    /// The source for a token that does not change.
    pub(crate) fn token(token: &SecretString) -> Result<Self> {
        let token = token.expose_secret().trim();
        if token.is_empty() {
            return Err(Error::new(ErrorKind::Configuration, "the token is empty")
                .with_advice("give a token, or none for calls without one"));
        }
        let header = HeaderValue::try_from(format!("Bearer {token}"));
        // The error of `http` is dropped on purpose: nothing of the token may leave.
        let mut header = header.ok().filter(|_| token.bytes().all(|b| b.is_ascii_graphic()));
        match header.take() {
            Some(mut header) => {
                header.set_sensitive(true);
                Ok(Self::Token(header))
            }
            None => Err(Error::new(
                ErrorKind::Configuration,
                "the token contains a line break, a space or another character \
                 that no token of GitHub has",
            )
            .with_advice("check how it is read; it is not shown here")),
        }
    }

    /// The `Authorization` header for one attempt, if calls are authenticated.
    pub(crate) async fn authorization(&self) -> Result<Option<HeaderValue>> {
        match self {
            Self::Anonymous => Ok(None),
            Self::Token(header) => Ok(Some(header.clone())),
        }
    }
}
