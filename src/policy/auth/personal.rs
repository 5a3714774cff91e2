//! Tokens from outside the client: a personal access token, or that of a GitHub Actions job.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use secrecy::SecretString;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::environment::{Environment, ProcessEnvironment, read_variable};
use super::provider::{Rejection, RejectionAction, TokenFuture, TokenProvider, TokenRequest};
use super::token::AccessToken;
use crate::error::auth::AuthFailure;
use crate::error::{Error, Result};
use crate::runtime::blocking::run_blocking;
use crate::util::ids::hex;

/// A personal access token, classic or fine-grained, or any other token that exists outside the client.
///
/// A token from an environment variable or a file is read again when it might have changed: every few seconds, and at
/// once when GitHub rejects it. So a token is rotated without a restart. If it cannot be read, the client continues
/// with the previous one.
///
/// ```
/// use octowire::Client;
/// use octowire::auth::PersonalToken;
///
/// # fn example() -> octowire::Result<()> {
/// let token = PersonalToken::from_file("/run/secrets/github-token")?;
/// let client = Client::builder().auth(token).build()?;
/// # let _ = client;
/// # Ok(())
/// # }
/// ```
pub struct PersonalToken {
    origin: TokenOrigin,
    /// The token that was read by the constructor.
    initial: AccessToken,
    created_at: Option<SystemTime>,
    name: Option<String>,
    /// The digest of the first token. Calls ask for the identity, so that it is computed once.
    fingerprint: OnceLock<String>,
}

enum TokenOrigin {
    Given,
    Env { variable: String, environment: Arc<dyn Environment> },
    File(PathBuf),
}

/// How long a token from a variable or file is used before it is read again.
const REREAD_INTERVAL: Duration = Duration::from_secs(5);

impl PersonalToken {
    /// Creates a provider of a token that does not change.
    ///
    /// # Errors
    /// If it is not a token: see [`AccessToken::new`].
    pub fn new(token: impl Into<SecretString>) -> Result<Self> {
        let first = AccessToken::new(token)?;
        Ok(Self::with_origin(TokenOrigin::Given, first))
    }

    /// Reads the token from this environment variable.
    ///
    /// # Errors
    /// If the variable is not set, or does not contain a token.
    pub fn from_env(variable: impl Into<String>) -> Result<Self> {
        Self::from_variable(Arc::new(ProcessEnvironment), variable.into())
    }

    /// Reads the token from this variable of an environment.
    pub(super) fn from_variable(
        environment: Arc<dyn Environment>,
        variable: String,
    ) -> Result<Self> {
        let first = read_env(&*environment, &variable)?;
        Ok(Self::with_origin(TokenOrigin::Env { variable, environment }, first))
    }

    /// Reads the token from this file, of 1 MiB at most. The file's modification time is the token's creation time,
    /// unless [`created_at`](Self::created_at) sets another.
    ///
    /// # Errors
    /// If the file cannot be read, or does not contain a token.
    pub fn from_file(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let first = read_file(&path)?;
        Ok(Self::with_origin(TokenOrigin::File(path), first))
    }

    fn with_origin(origin: TokenOrigin, initial: AccessToken) -> Self {
        Self { origin, initial, created_at: None, name: None, fingerprint: OnceLock::new() }
    }

    /// Sets when the token was created, so that the client can warn when it is old.
    #[must_use]
    pub fn created_at(mut self, time: SystemTime) -> Self {
        self.created_at = Some(time);
        self
    }

    /// Names the user of the token: the identity is then `user:NAME`, and stays when the token is replaced. Without it,
    /// the identity is derived from the token's location and the first token that was read.
    #[must_use]
    pub fn with_identity(mut self, name: impl fmt::Display) -> Self {
        self.name = Some(name.to_string());
        self
    }

    /// Returns the token that the constructor read, with which a client starts.
    fn initial(&self) -> AccessToken {
        self.initial.clone()
    }

    fn fingerprint(&self) -> &str {
        self.fingerprint.get_or_init(|| secret_fingerprint(self.initial.expose_secret()))
    }
}

impl TokenProvider for PersonalToken {
    fn fetch_token<'a>(&'a self, _: TokenRequest<'a>) -> TokenFuture<'a> {
        Box::pin(async move {
            match &self.origin {
                TokenOrigin::Given => Ok(self.initial()),
                TokenOrigin::Env { variable, environment } => read_env(&**environment, variable),
                TokenOrigin::File(path) => {
                    let path = path.clone();
                    let read = run_blocking(move || read_file(&path)).await;
                    read.map_err(|error| {
                        Error::token_provider(
                            "reading the token file failed",
                            true,
                            Some(error.into()),
                        )
                    })?
                }
            }
        })
    }

    fn rate_limit_identity(&self) -> Cow<'_, str> {
        match &self.name {
            Some(_) => self.identity(),
            // The location does not matter.
            None => Cow::Owned(format!("token:{}", self.fingerprint())),
        }
    }

    fn identity(&self) -> Cow<'_, str> {
        if let Some(name) = &self.name {
            return Cow::Owned(format!("user:{name}"));
        }
        Cow::Owned(match &self.origin {
            // A token with 100 bits of entropy or more cannot be found from its digest.
            TokenOrigin::Given => format!("token:{}", self.fingerprint()),
            // The same name can stand for another person in another process, or after a restart.
            TokenOrigin::Env { variable, .. } => format!("env:{variable}:{}", self.fingerprint()),
            TokenOrigin::File(path) => format!("file:{}:{}", path.display(), self.fingerprint()),
        })
    }

    fn initial_token(&self) -> Option<AccessToken> {
        Some(self.initial())
    }

    fn on_rejected(&self, _: &Rejection<'_>) -> RejectionAction {
        match self.origin {
            TokenOrigin::Given => RejectionAction::Fail,
            TokenOrigin::Env { .. } | TokenOrigin::File(_) => RejectionAction::Refresh,
        }
    }

    fn credential_created_at(&self) -> Option<SystemTime> {
        self.created_at.or_else(|| match &self.origin {
            TokenOrigin::File(path) => ProcessEnvironment.modified_at(path),
            TokenOrigin::Given | TokenOrigin::Env { .. } => None,
        })
    }
}

impl fmt::Debug for PersonalToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PersonalToken").field("identity", &self.identity()).finish_non_exhaustive()
    }
}

fn read_env(environment: &dyn Environment, variable: &str) -> Result<AccessToken> {
    let token = read_variable(environment, variable)?.ok_or_else(|| {
        let advice = if variable == "GITHUB_TOKEN" {
            "set it to a GitHub token; in a workflow, add env: GITHUB_TOKEN: ${{ github.token }} \
             to the step"
        } else {
            "set it to a GitHub token"
        };
        AuthFailure::Missing
            .error(format!("the environment variable {variable} is not set"), advice)
    })?;
    let token = AccessToken::new(token).map_err(|error| error.with_origin(variable))?;
    Ok(token.recheck_after(REREAD_INTERVAL))
}

fn read_file(path: &Path) -> Result<AccessToken> {
    let shown = path.display().to_string();
    let bytes = ProcessEnvironment.read_file(path).map(Zeroizing::new).map_err(|error| {
        AuthFailure::Missing
            .error(
                format!("cannot read a token from {shown}"),
                "check the path and its read permissions",
            )
            .with_source(error)
    })?;
    // A value that is not text becomes an invalid token, which is rejected with a reason.
    let text = Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned());
    let token = AccessToken::new(text.as_str()).map_err(|error| error.with_origin(&shown))?;
    Ok(token.recheck_after(REREAD_INTERVAL))
}

/// Returns a short digest of a secret, from which the secret cannot be derived.
pub(crate) fn secret_fingerprint(secret: impl AsRef<[u8]>) -> String {
    let digest = Sha256::new_with_prefix("octowire identity\0").chain_update(secret).finalize();
    hex(&digest[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_stable_and_holds_nothing_of_the_token() {
        let identity = |token: &str| PersonalToken::new(token).unwrap().identity().into_owned();
        assert_eq!(identity("ghp_hunter2"), identity("ghp_hunter2\n"));
        assert_ne!(identity("ghp_hunter2"), identity("ghp_hunter3"));
        assert!(!identity("ghp_hunter2").contains("hunter2"));
    }

    #[test]
    fn a_file_of_more_than_a_mebibyte_is_no_token() {
        let path = std::env::temp_dir().join(format!("octowire-token-{}", std::process::id()));
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(1024 * 1024 + 1).unwrap();
        let error = PersonalToken::from_file(&path).unwrap_err();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(error.auth_failure(), Some(AuthFailure::Missing), "{error}");
    }
}
