//! The search for credentials in an environment. The first place that has a credential decides.
//!
//! | place | credential |
//! |---|---|
//! | `GITHUB_APP_…` | a GitHub App, and its installation |
//! | the variables of the [server] | a token, which is read again when it changes |
//! | gh's [file of hosts](hosts_file) | a token, which is read once |
//! | `gh auth token` | a token, which is read once |
//!
//! A place that has a credential which is invalid ends the search with an error that names it: another credential could
//! belong to another user. A place that is absent, or that cannot be read, is listed in the error if there is none at
//! all.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use secrecy::ExposeSecret;
use tracing::debug;
use zeroize::Zeroizing;

use super::app_variables::AppVariables;
use super::credential_source::CredentialSource;
use super::environment::{Environment, read_non_empty};
use super::personal::PersonalToken;
use super::provider::TokenProvider;
use crate::error::auth::AuthFailure;
use crate::error::{Error, Result};

mod hosts_file;
mod server;

use server::Server;

/// The credentials that were found, and the server that they are for.
pub(crate) struct ResolvedCredentials {
    pub(crate) provider: Arc<dyn TokenProvider>,
    pub(crate) source: CredentialSource,
    pub(crate) base_url: Cow<'static, str>,
}

/// Looks for credentials of the server with this base URL, or of the server that the environment selects.
///
/// # Errors
/// If there are none, or the first that is found is invalid.
pub(crate) fn resolve_credentials(
    environment: Arc<dyn Environment>,
    base_url: Option<&str>,
) -> Result<ResolvedCredentials> {
    /// The places, in their order.
    const PLACES: [LookUp; 4] =
        [Search::app, Search::token_variable, Search::hosts_file, Search::gh_program];
    let server = Server::select(&*environment, base_url)?;
    let mut search = Search { environment, server, absent: Vec::new() };
    for place in PLACES {
        let Some(Candidate { provider, source }) = place(&mut search)? else { continue };
        let server = search.server;
        debug!(%source, server = %server.name, "credentials found");
        return Ok(ResolvedCredentials { provider, source, base_url: server.base_url });
    }
    Err(search.not_found())
}

/// Looks in one place; `None` if it has no credential.
type LookUp = fn(&mut Search) -> Result<Option<Candidate>>;

/// A credential, and the place that has it.
struct Candidate {
    provider: Arc<dyn TokenProvider>,
    source: CredentialSource,
}

struct Search {
    environment: Arc<dyn Environment>,
    server: Server,
    /// Why each place that was searched has no credential.
    absent: Vec<String>,
}

/// The prefix of the variables of an App.
const APP_PREFIX: &str = "GITHUB_";

impl Search {
    /// Looks for an App. If only a part of its variables is set, that is an error, since any other credential would be
    /// another identity. So is an App without the feature `github-app`.
    fn app(&mut self) -> Result<Option<Candidate>> {
        let variables = AppVariables::new(APP_PREFIX, &*self.environment);
        if variables.find_set()?.is_some() {
            return Candidate::app(&variables).map(Some);
        }
        self.absent.push("GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY are not set".to_owned());
        Ok(None)
    }

    fn token_variable(&mut self) -> Result<Option<Candidate>> {
        let names = self.server.token_variables();
        for name in names.iter().copied() {
            if read_non_empty(&*self.environment, name)?.is_some() {
                let environment = Arc::clone(&self.environment);
                let token = PersonalToken::from_variable(environment, name.to_owned())?;
                return Ok(Some(Candidate::token(token, CredentialSource::Variable(name))));
            }
        }
        self.absent.push(format!("{} are not set", names.join(", ")));
        Ok(None)
    }

    fn hosts_file(&mut self) -> Result<Option<Candidate>> {
        let Some(path) = hosts_file::path(&*self.environment, cfg!(windows)) else {
            self.absent.push("the folder of gh's hosts.yml is unknown".to_owned());
            return Ok(None);
        };
        let shown = path.display();
        let reason = match self.environment.read_file(&path).map(Zeroizing::new) {
            Ok(bytes) => match hosts_file::find_token(&bytes, &self.server.name) {
                Ok(Some(token)) => {
                    let token = PersonalToken::new(token);
                    let token = token.map_err(|error| error.with_origin(&shown.to_string()))?;
                    return Ok(Some(Candidate::token(token, CredentialSource::GhHostsFile(path))));
                }
                Ok(None) => format!("{shown} has no token of {}", self.server.name),
                Err(line) => format!("{shown} is not as gh writes it in line {line}"),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                format!("{shown} does not exist")
            }
            Err(error) => format!("{shown} cannot be read: {error}"),
        };
        self.absent.push(reason);
        Ok(None)
    }

    fn gh_program(&mut self) -> Result<Option<Candidate>> {
        const NAME: &str = "gh auth token";
        let program = self.environment.variable("GH_PATH").filter(|path| !path.is_empty());
        let program = program.unwrap_or_else(|| "gh".into());
        let reason = match self.environment.gh_auth_token(&program, &self.server.name) {
            Ok(token) if token.expose_secret().trim().is_empty() => {
                format!("{NAME} returned no token")
            }
            Ok(token) => {
                let token = PersonalToken::new(token);
                let token = token.map_err(|error| error.with_origin(NAME))?;
                return Ok(Some(Candidate::token(token, CredentialSource::GhProgram)));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                "the program gh was not found".to_owned()
            }
            Err(error) => format!("{NAME} failed: {error}"),
        };
        self.absent.push(reason);
        Ok(None)
    }

    fn not_found(&self) -> Error {
        let Server { name, .. } = &self.server;
        let variable = self.server.token_variables().first().copied().unwrap_or_default();
        AuthFailure::Missing.error(
            format!("no credentials for {name} were found: {}", self.absent.join("; ")),
            format!(
                "set {variable}, or run gh auth login --hostname {name}; for a client without \
                 credentials, call Client::builder"
            ),
        )
    }
}

impl Candidate {
    fn app(variables: &AppVariables<'_>) -> Result<Self> {
        let name = match variables.id_variable()? {
            "APP_CLIENT_ID" => "GITHUB_APP_CLIENT_ID",
            _ => "GITHUB_APP_ID",
        };
        let app = variables.app()?;
        let provider: Arc<dyn TokenProvider> = match variables.installation()? {
            Some(installation) => Arc::new(app.installation(installation)),
            None => Arc::new(app),
        };
        Ok(Self { provider, source: CredentialSource::AppVariables(name) })
    }

    fn token(token: PersonalToken, source: CredentialSource) -> Self {
        Self { provider: Arc::new(token), source }
    }
}

#[cfg(test)]
mod tests;
