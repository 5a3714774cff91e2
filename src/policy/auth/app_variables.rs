//! A GitHub App and its installation, read from environment variables with a common prefix.

use secrecy::{ExposeSecret, SecretString};

use super::app::App;
use super::environment::{Environment, read_non_empty};
use super::installation::Installation;
use crate::error::auth::AuthFailure;
use crate::error::{Error, Result};

/// The names of the variable with the path of the key's file. Other tools have one or the other.
const KEY_FILES: [&str; 2] = ["APP_PRIVATE_KEY_PATH", "APP_PRIVATE_KEY_FILE"];
/// The variables that only the configuration of an App has. The client id is not one of them: signing in users requires
/// it as well.
const ONLY_OF_APPS: [&str; 5] = [
    "APP_ID",
    "APP_PRIVATE_KEY",
    "APP_PRIVATE_KEY_OLD",
    "APP_INSTALLATION_ID",
    "APP_INSTALLATION_ORG",
];

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

    /// Returns the first variable that is set of those that only the configuration of an App has.
    pub(super) fn find_set(&self) -> Result<Option<&'static str>> {
        for what in ONLY_OF_APPS.into_iter().chain(KEY_FILES) {
            if self.read(what)?.is_some() {
                return Ok(Some(what));
            }
        }
        Ok(None)
    }

    /// Returns the variable that has the App's id: that of the client id if it alone is set.
    pub(super) fn id_variable(&self) -> Result<&'static str> {
        let has_id = self.read("APP_ID")?.is_some();
        let has_client_id = self.read("APP_CLIENT_ID")?.is_some();
        Ok(if has_client_id && !has_id { "APP_CLIENT_ID" } else { "APP_ID" })
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
                return Err(self.ambiguous("APP_INSTALLATION_ID", "APP_INSTALLATION_ORG"));
            }
        }))
    }

    /// Reads the App. Its id is in [`id_variable`](Self::id_variable), its key in `APP_PRIVATE_KEY`, or in the file whose
    /// path is in one of [`KEY_FILES`], and the older key in `APP_PRIVATE_KEY_OLD`.
    #[cfg(feature = "github-app")]
    pub(super) fn app(&self) -> Result<App> {
        let id = self.id_variable()?;
        let id_name = self.name(id);
        let id = self.read(id)?.ok_or_else(|| {
            let client_id_name = self.name("APP_CLIENT_ID");
            AuthFailure::Missing.error(
                format!("the App's id is missing: neither {id_name} nor {client_id_name} is set"),
                "set one of them to the App id or the client id of the App's settings page",
            )
        })?;
        let id = id.expose_secret();
        // Errors that concern the id name its variable, and not that of the key.
        super::application_id::check("App's id", id, |_| false)
            .map_err(|error| error.with_origin(&id_name))?;
        let name = self.name("APP_PRIVATE_KEY");
        let app = match (self.read("APP_PRIVATE_KEY")?, self.key_file()?) {
            (Some(key), None) => App::new(id, key).map_err(|error| error.with_origin(&name))?,
            (None, Some((file, path))) => {
                let path = std::path::Path::new(path.expose_secret());
                App::from_key_file_of(self.environment, id, path)
                    .map_err(|error| error.with_origin(&self.name(file)))?
            }
            (None, None) => {
                let [path, file] = KEY_FILES.map(|what| self.name(what));
                return Err(AuthFailure::Missing.error(
                    format!(
                        "the App's private key is missing: none of {name}, {path} and {file} is set"
                    ),
                    "set one of them, to the key that the App's settings page generates or to the \
                     path of its file",
                ));
            }
            (Some(_), Some((file, _))) => return Err(self.ambiguous("APP_PRIVATE_KEY", file)),
        };
        match self.read("APP_PRIVATE_KEY_OLD")? {
            Some(key) => app
                .with_previous_key(key)
                .map_err(|error| error.with_origin(&self.name("APP_PRIVATE_KEY_OLD"))),
            None => Ok(app),
        }
    }

    #[cfg(not(feature = "github-app"))]
    pub(super) fn app(&self) -> Result<App> {
        Err(AuthFailure::Signer.error(
            format!(
                "{} or a related variable is set, but octowire is built without github-app",
                self.name(self.id_variable()?),
            ),
            "enable the feature github-app, or sign with App::with_signer",
        ))
    }

    /// Reads the path of the key's file, and returns the variable that has it. Both can be set to the same path.
    #[cfg(feature = "github-app")]
    fn key_file(&self) -> Result<Option<(&'static str, SecretString)>> {
        let [first, second] = KEY_FILES;
        Ok(match (self.read(first)?, self.read(second)?) {
            (Some(path), Some(other)) if path.expose_secret() != other.expose_secret() => {
                return Err(self.ambiguous(first, second));
            }
            (Some(path), _) => Some((first, path)),
            (None, other) => other.map(|path| (second, path)),
        })
    }

    fn ambiguous(&self, one: &str, other: &str) -> Error {
        let (one, other) = (self.name(one), self.name(other));
        AuthFailure::Ambiguous.error(format!("both {one} and {other} are set"), "set one of them")
    }
}
