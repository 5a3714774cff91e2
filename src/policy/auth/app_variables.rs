//! A GitHub App and its installation, read from environment variables with a common prefix.

use secrecy::{ExposeSecret, SecretString};

use super::app::App;
use super::environment::{Environment, read_non_empty};
use super::installation::Installation;
use crate::error::Result;
use crate::error::auth::AuthFailure;

/// The variables of one App: their names begin with a prefix, such as `PROD_GITHUB_`.
pub(super) struct AppVariables<'a> {
    prefix: &'a str,
    environment: &'a dyn Environment,
}

impl<'a> AppVariables<'a> {
    pub(super) fn new(prefix: &'a str, environment: &'a dyn Environment) -> Self {
        Self { prefix, environment }
    }

    /// Returns the name of a variable.
    pub(super) fn name(&self, what: &str) -> String {
        format!("{}{what}", self.prefix)
    }

    /// Returns the value of a variable without white space around it; an empty value counts as not set.
    pub(super) fn read(&self, what: &str) -> Result<Option<SecretString>> {
        read_non_empty(self.environment, &self.name(what))
    }

    /// Reads the selection of the installation, if there is one.
    pub(super) fn installation(&self) -> Result<Option<Installation>> {
        let id = self.read("APP_INSTALLATION_ID")?;
        let org = self.read("APP_INSTALLATION_ORG")?;
        Ok(Some(match (id, org) {
            (None, None) => return Ok(None),
            (None, Some(org)) => Installation::for_org(org.expose_secret()),
            (Some(id), None) => {
                let id = id.expose_secret().parse::<u64>().map_err(|_| {
                    let name = self.name("APP_INSTALLATION_ID");
                    AuthFailure::Malformed.error(
                        format!("{name} is not a number"),
                        "use the last path segment of the installation's settings URL",
                    )
                })?;
                Installation::id(id)
            }
            (Some(_), Some(_)) => {
                return Err(AuthFailure::Ambiguous.error(
                    format!(
                        "both {} and {} are set",
                        self.name("APP_INSTALLATION_ID"),
                        self.name("APP_INSTALLATION_ORG"),
                    ),
                    "set one of them",
                ));
            }
        }))
    }

    /// Reads the App whose id, or client id, is in the variable `id`. Its key is in `APP_PRIVATE_KEY`, or in the file
    /// whose path is in the variable `key_file`, and the older one in `APP_PRIVATE_KEY_OLD`.
    #[cfg(feature = "github-app")]
    pub(super) fn app(&self, id: &str, key_file: &str) -> Result<App> {
        let id_name = self.name(id);
        let id = self.read(id)?.ok_or_else(|| {
            AuthFailure::Missing.error(
                format!("the App's id is missing: {id_name} is not set"),
                "set it to the client id or the App id of the App's settings page",
            )
        })?;
        let id = id.expose_secret();
        // Errors that concern the id name its variable, and not that of the key.
        super::application_id::check("App's id", id, |_| false)
            .map_err(|error| error.with_origin(&id_name))?;
        let (name, file) = (self.name("APP_PRIVATE_KEY"), self.name(key_file));
        let app = match (self.read("APP_PRIVATE_KEY")?, self.read(key_file)?) {
            (Some(key), None) => App::new(id, key).map_err(|error| error.with_origin(&name))?,
            (None, Some(path)) => {
                let path = std::path::Path::new(path.expose_secret());
                App::from_key_file_of(self.environment, id, path)
                    .map_err(|error| error.with_origin(&file))?
            }
            (None, None) => {
                return Err(AuthFailure::Missing.error(
                    format!("the App's private key is missing: neither {name} nor {file} is set"),
                    "set one of them to the key that the App's settings page generates",
                ));
            }
            (Some(_), Some(_)) => {
                return Err(AuthFailure::Ambiguous
                    .error(format!("both {name} and {file} are set"), "set one of them"));
            }
        };
        match self.read("APP_PRIVATE_KEY_OLD")? {
            Some(key) => app
                .with_previous_key(key)
                .map_err(|error| error.with_origin(&self.name("APP_PRIVATE_KEY_OLD"))),
            None => Ok(app),
        }
    }

    #[cfg(not(feature = "github-app"))]
    pub(super) fn app(&self, id: &str, _: &str) -> Result<App> {
        Err(AuthFailure::Signer.error(
            format!(
                "{} or a related variable is set, but octowire is built without github-app",
                self.name(id),
            ),
            "enable the feature github-app, or sign with App::with_signer",
        ))
    }
}
