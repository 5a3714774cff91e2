//! The credentials of one environment, read from environment variables.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use secrecy::ExposeSecret;

use super::app::App;
use super::app_variables::AppVariables;
use super::environment::ProcessEnvironment;
use super::installation::AppInstallation;
use super::personal::PersonalToken;
use super::provider::{
    Persistence, Rejection, RejectionAction, TokenFuture, TokenProvider, TokenRequest,
};
use super::token::AccessToken;
use crate::error::Result;
use crate::error::auth::AuthFailure;

/// The credentials of one environment, such as `PROD` or `STAGING`, each with variables of its own.
///
/// For the environment `PROD`, one of these has to be set:
///
/// | variables | identity |
/// |---|---|
/// | `PROD_GITHUB_TOKEN`, or the path of a file in `PROD_GITHUB_TOKEN_FILE` | the token's owner; read again when it changes |
/// | `PROD_GITHUB_APP_ID` or `PROD_GITHUB_APP_CLIENT_ID`, and the key in `PROD_GITHUB_APP_PRIVATE_KEY` or the path of its file in `PROD_GITHUB_APP_PRIVATE_KEY_PATH` or `PROD_GITHUB_APP_PRIVATE_KEY_FILE` | the App itself |
/// | the App's variables, and `PROD_GITHUB_APP_INSTALLATION_ID` or `PROD_GITHUB_APP_INSTALLATION_ORG` | the App's installation |
///
/// While a key is replaced, `PROD_GITHUB_APP_PRIVATE_KEY_OLD` contains the older one: see [`App::with_previous_key`].
///
/// An App is configured if any of its variables is set, except for the client id, which signing users in requires too. If a
/// part of them is missing, that is an error, also beside a token: the token could be another identity. If both ids are
/// set, `PROD_GITHUB_APP_ID` is used.
///
/// No variable of another environment and no plain `GITHUB_TOKEN` is read. The [identity](TokenProvider::identity) begins
/// with the environment's name, so that two environments that share a token store or a cache are kept apart.
///
/// ```no_run
/// # fn example() -> octowire::Result<()> {
/// use octowire::Client;
/// use octowire::auth::Credentials;
///
/// let client = Client::builder().auth(Credentials::from_env("PROD")?).build()?;
/// # let _ = client;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Credentials {
    environment: String,
    source: CredentialKind,
}

#[derive(Debug)]
enum CredentialKind {
    Personal(PersonalToken),
    App(App),
    Installation(AppInstallation),
}

impl Credentials {
    /// Reads the credentials of this environment.
    ///
    /// # Errors
    /// If none of the variables is set, or a variable of the App is missing ([`AuthFailure::Missing`]); if a token and any
    /// variable of an App are set ([`AuthFailure::Ambiguous`]); or if one of them contains another kind of value: the error
    /// names a token that is set in place of a key.
    pub fn from_env(environment: &str) -> Result<Self> {
        let prefix = format!("{environment}_GITHUB_");
        let variables = AppVariables::new(&prefix, &ProcessEnvironment);
        let token = variables.read("TOKEN")?;
        let token_file = variables.read("TOKEN_FILE")?;
        let app = variables.find_set()?;
        let source = match (token, token_file, app) {
            (Some(_), None, None) => {
                CredentialKind::Personal(PersonalToken::from_env(variables.name("TOKEN"))?)
            }
            (None, Some(path), None) => {
                CredentialKind::Personal(PersonalToken::from_file(path.expose_secret())?)
            }
            (None, None, Some(_)) => {
                let app = variables.app()?.in_environment(environment);
                match variables.installation()? {
                    Some(installation) => {
                        CredentialKind::Installation(app.installation(installation))
                    }
                    None => CredentialKind::App(app),
                }
            }
            (None, None, None) => {
                return Err(AuthFailure::Missing.error(
                    format!(
                        "there are no credentials for {environment}: neither {} nor {} is set",
                        variables.name("TOKEN"),
                        variables.name("APP_ID"),
                    ),
                    "set the variables of one authentication method; see Credentials",
                ));
            }
            (token, token_file, app) => {
                let found = [token.map(|_| "TOKEN"), token_file.map(|_| "TOKEN_FILE"), app];
                let names = found.into_iter().flatten().map(|what| variables.name(what));
                let names = names.collect::<Vec<_>>().join(" and ");
                return Err(AuthFailure::Ambiguous.error(
                    format!("there is more than one credential for {environment}: {names} are set"),
                    "set the variables of one authentication method only",
                ));
            }
        };
        Ok(Self { environment: environment.to_owned(), source })
    }

    fn inner(&self) -> &dyn TokenProvider {
        match &self.source {
            CredentialKind::Personal(token) => token,
            CredentialKind::App(app) => app,
            CredentialKind::Installation(installation) => installation,
        }
    }
}

impl TokenProvider for Credentials {
    fn fetch_token<'a>(&'a self, request: TokenRequest<'a>) -> TokenFuture<'a> {
        self.inner().fetch_token(request)
    }

    fn identity(&self) -> Cow<'_, str> {
        match &self.source {
            CredentialKind::Personal(token) => {
                Cow::Owned(format!("{}/{}", self.environment, token.identity()))
            }
            // The providers share the App, so that their other handles do too.
            CredentialKind::App(app) => app.identity(),
            CredentialKind::Installation(installation) => installation.identity(),
        }
    }

    fn initial_token(&self) -> Option<AccessToken> {
        self.inner().initial_token()
    }

    fn on_rejected(&self, rejection: &Rejection<'_>) -> RejectionAction {
        self.inner().on_rejected(rejection)
    }

    fn propagation_delay(&self) -> Duration {
        self.inner().propagation_delay()
    }

    fn persistence(&self) -> Persistence {
        self.inner().persistence()
    }

    fn credential_created_at(&self) -> Option<SystemTime> {
        self.inner().credential_created_at()
    }

    fn app(&self) -> Option<&App> {
        self.inner().app()
    }
}
