//! The level of a permission of a GitHub App.

use std::fmt;

/// The level of a permission of a GitHub App: of the tokens of an [`Installation`](super::Installation), and in the
/// manifest of an App that is to be registered. Each level includes those before it.
///
/// Most permissions have `Read` and `Write`, and a few `Admin`, such as `organization_projects`. See GitHub's
/// [list](https://docs.github.com/en/rest/apps/apps#create-an-installation-access-token-for-an-app).
///
/// ```
/// use octowire::auth::PermissionLevel;
///
/// assert!(PermissionLevel::Write > PermissionLevel::Read);
/// assert_eq!(PermissionLevel::Write.to_string(), "write");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum PermissionLevel {
    /// `read`
    Read,
    /// `write`
    Write,
    /// `admin`
    Admin,
}

impl PermissionLevel {
    /// Returns the level in GitHub's form.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for PermissionLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<PermissionLevel> for String {
    fn from(level: PermissionLevel) -> Self {
        level.as_str().to_owned()
    }
}
