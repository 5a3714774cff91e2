//! Enums of strings.

use std::{error::Error, fmt, marker::PhantomData};

use serde::de::{self, Deserializer, Visitor};

use crate::sanitize;

/// An enum whose values are strings that the description names.
pub(crate) trait NamedStrings: Clone + 'static {
    /// The values that the description names.
    const KNOWN: &'static [Self];

    /// Returns the value in JSON notation.
    fn text(&self) -> &str;

    /// Returns the variant for a string that the description does not name, if there is one.
    fn unknown(_text: &str) -> Option<Self> {
        None
    }

    /// Returns a value in place of an invalid one, in a record that is not sent.
    fn placeholder() -> Self;

    /// Reads any string.
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(Strings(PhantomData))
    }
}

/// Maximum length of a value in a message, in characters.
const MAX_VALUE_CHARS: usize = 200;

/// Finds the value with this name.
pub(crate) fn from_name<T: NamedStrings>(text: &str) -> Option<T> {
    T::KNOWN.iter().find(|known| known.text() == text).cloned()
}

/// Lists the values.
#[cold]
pub(crate) fn unknown_value<T: NamedStrings>(text: &str) -> UnknownEnumValue {
    let known: Vec<&str> = T::KNOWN.iter().map(NamedStrings::text).collect();
    let text = sanitize::text(text, MAX_VALUE_CHARS);
    UnknownEnumValue { message: format!("`{text}` is not one of `{}`", known.join("`, `")) }
}

struct Strings<T>(PhantomData<T>);

impl<T: NamedStrings> Visitor<'_> for Strings<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        from_name(text)
            .or_else(|| T::unknown(text))
            .ok_or_else(|| E::custom(unknown_value::<T>(text)))
    }
}

/// A string that is not one of the values that GitHub's description allows.
///
/// Its message names the allowed values. To send a value that the description does not name, use the variant
/// `Other` of its enum, such as `ReposCreateInOrgBodyVisibility::Other("internal".into())`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownEnumValue {
    message: String,
}

impl fmt::Display for UnknownEnumValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for UnknownEnumValue {}
