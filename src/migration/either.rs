//! Results of two types.

use serde::Serialize;

/// The result of one side or the other, if both have types that are not worth unifying.
///
/// It serializes as the result alone, so that two of them are compared as such.
///
/// ```
/// use octowire::migration::Either;
///
/// let (old, new) = (Either::<_, String>::Old(7_u8), Either::<u8, _>::New("7"));
/// assert_eq!(serde_json::to_string(&old).unwrap(), "7");
/// assert_eq!(serde_json::to_string(&new).unwrap(), "\"7\"");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum Either<Old, New> {
    /// The result of the legacy side.
    Old(Old),
    /// The result of the new side.
    New(New),
}
