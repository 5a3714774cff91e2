//! The level of a permission of a GitHub App.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind};
use crate::sanitize;

/// Maximum length of an invalid level in the error, in characters.
const MAX_SHOWN_CHARS: usize = 50;

/// The level of a permission of a GitHub App: of the tokens of an [`Installation`](super::Installation), and in the
/// manifest of an App that is to be registered. Each level includes those before it.
///
/// Most permissions have `Read` and `Write`, and a few `Admin`, such as `organization_projects`. See GitHub's
/// [list](https://docs.github.com/en/rest/apps/apps#create-an-installation-access-token-for-an-app).
///
/// ```
/// use octowire::auth::PermissionLevel;
///
/// # fn main() -> octowire::Result<()> {
/// assert!(PermissionLevel::Write > PermissionLevel::Read);
/// assert_eq!(PermissionLevel::Write.to_string(), "write");
/// // As it is in a file of settings.
/// assert_eq!("write".parse::<PermissionLevel>()?, PermissionLevel::Write);
/// # Ok(())
/// # }
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
    const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

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

impl FromStr for PermissionLevel {
    type Err = Error;

    /// Parses a level in GitHub's form, as [`as_str`](Self::as_str) returns it.
    ///
    /// # Errors
    /// If it is another text ([`ErrorKind::InvalidRequest`]): the error lists the levels. It has at most 50 characters of
    /// the text, without tokens of GitHub's formats.
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|level| level.as_str() == text).ok_or_else(|| {
            let levels = Self::ALL.map(Self::as_str).join(", ");
            let text = sanitize::text(text, MAX_SHOWN_CHARS);
            Error::new(ErrorKind::InvalidRequest, format!("invalid permission level `{text}`"))
                .with_advice(format!("use one of {levels}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_parsed_as_it_is_written_and_an_error_lists_all() {
        for level in PermissionLevel::ALL {
            assert_eq!(level.to_string().parse::<PermissionLevel>().unwrap(), level);
        }
        for text in ["", "Read", " read", "none", "wirte\n"] {
            let error = text.parse::<PermissionLevel>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRequest);
            assert!(error.to_string().contains("read, write, admin"), "{error}");
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }

    #[test]
    fn an_error_has_no_token_and_only_the_beginning_of_a_long_text() {
        // A token in the wrong line of a file of settings.
        let error = "ghp_0123456789abcdefABCD".parse::<PermissionLevel>().unwrap_err();
        assert!(error.to_string().contains("invalid permission level `[hidden]`"), "{error}");
        assert!(!format!("{error} {error:?}").contains("0123456789"), "{error:?}");
        for end in ["x", "ghp_0123456789abcdefABCD"] {
            let long = format!("{} {end}", "x".repeat(MAX_SHOWN_CHARS));
            let error = long.parse::<PermissionLevel>().unwrap_err();
            let expected = format!("level `{}…`", "x".repeat(MAX_SHOWN_CHARS - 1));
            assert!(error.to_string().contains(&expected), "{error}");
        }
        let longest = "x".repeat(MAX_SHOWN_CHARS);
        let error = longest.parse::<PermissionLevel>().unwrap_err();
        assert!(error.to_string().contains(&format!("`{longest}`")), "{error}");
    }
}
