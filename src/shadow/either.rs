//! Answers of two types.

use serde::Serialize;

/// The answer of one side or the other, where both are of types that are not worth making one.
///
/// As JSON it is the answer alone, so that two of them are compared as such.
///
/// ```
/// use octowire::shadow::Either;
///
/// let (old, new) = (Either::<_, String>::Old(7_u8), Either::<u8, _>::New("7"));
/// assert_eq!(serde_json::to_string(&old).unwrap(), "7");
/// assert_eq!(serde_json::to_string(&new).unwrap(), "\"7\"");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum Either<Old, New> {
    /// The old side's.
    Old(Old),
    /// The new side's.
    New(New),
}
