//! The place in which a client found its credentials.

use std::fmt;
use std::path::PathBuf;

/// The place in which a client found its credentials, when it looked for them in an
/// [environment](crate::ClientBuilder::credentials_from): see
/// [`Client::credential_source`](crate::Client::credential_source).
///
/// It contains no secret; its text is a name or a path, such as `GITHUB_TOKEN`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CredentialSource {
    /// A GitHub App, whose id is in the environment variable of this name: `GITHUB_APP_ID` or `GITHUB_APP_CLIENT_ID`.
    AppVariables(&'static str),
    /// A token in the environment variable of this name.
    Variable(&'static str),
    /// A token in this file, in which `gh auth login` stores tokens if the system has no keyring.
    GhHostsFile(PathBuf),
    /// A token that `gh auth token` returned, such as from the keyring of the system.
    GhProgram,
}

impl fmt::Display for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AppVariables(name) | Self::Variable(name) => f.write_str(name),
            Self::GhHostsFile(path) => path.display().fmt(f),
            Self::GhProgram => f.write_str("gh auth token"),
        }
    }
}
