//! Path parameters for which GitHub accepts an id or a name.

use std::fmt;
use std::str::FromStr;

/// An id or a name, where GitHub accepts either: a workflow's id or the name of its file, a Pages deployment's id or
/// the SHA of its commit.
///
/// See for example
/// [Get a workflow](https://docs.github.com/rest/actions/workflows#get-a-workflow).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum IdOrName {
    /// The id.
    Id(u64),
    /// The name.
    Name(String),
}

impl fmt::Display for IdOrName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl From<u64> for IdOrName {
    fn from(id: u64) -> Self {
        Self::Id(id)
    }
}

impl From<u32> for IdOrName {
    fn from(id: u32) -> Self {
        Self::Id(id.into())
    }
}

/// Ids are `i64` in generated types; a negative number is not an id and stays as it is written, for GitHub to reject.
impl From<i64> for IdOrName {
    fn from(id: i64) -> Self {
        u64::try_from(id).map_or_else(|_| Self::Name(id.to_string()), Self::Id)
    }
}

impl From<i32> for IdOrName {
    fn from(id: i32) -> Self {
        i64::from(id).into()
    }
}

impl From<usize> for IdOrName {
    fn from(id: usize) -> Self {
        u64::try_from(id).map_or_else(|_| Self::Name(id.to_string()), Self::Id)
    }
}

impl From<&str> for IdOrName {
    fn from(name: &str) -> Self {
        match name.parse::<u64>() {
            // `007` and `+5` are not ids, and stay as they are written.
            Ok(id) if id.to_string() == name => Self::Id(id),
            _ => Self::Name(name.to_owned()),
        }
    }
}

impl From<String> for IdOrName {
    fn from(name: String) -> Self {
        name.as_str().into()
    }
}

impl From<&String> for IdOrName {
    fn from(name: &String) -> Self {
        name.as_str().into()
    }
}

impl FromStr for IdOrName {
    type Err = std::convert::Infallible;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Ok(name.into())
    }
}
