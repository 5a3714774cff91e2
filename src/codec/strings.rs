//! Enums of strings.

use std::{error::Error, fmt, marker::PhantomData};

use serde::de::{self, Deserializer, Visitor};

use crate::sanitize;

/// Text, or a value of an enum.
// A trait of its own, so that references have it: no implementation for all enums allows another for references.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither text nor a value of an enum",
    note = "pass text or a value of an enum of `octowire::types`, or implement `octowire::IntoEnum`"
)]
pub(crate) trait EnumText {
    /// Returns the value in JSON notation.
    fn text(&self) -> &str;

    /// Returns whether the caller names a value that the description lacks.
    fn is_other(&self) -> bool {
        false
    }
}

impl EnumText for str {
    #[inline]
    fn text(&self) -> &str {
        self
    }
}

impl EnumText for String {
    #[inline]
    fn text(&self) -> &str {
        self
    }
}

impl<T: EnumText + ?Sized> EnumText for &T {
    #[inline]
    fn text(&self) -> &str {
        (**self).text()
    }

    #[inline]
    fn is_other(&self) -> bool {
        (**self).is_other()
    }
}

/// An enum whose values are strings that the description names.
pub(crate) trait NamedStrings: EnumText + Clone + 'static {
    /// The values that the description names.
    const KNOWN: &'static [Self];

    /// Returns the variant for a string that the description does not name.
    fn unnamed(text: String) -> Self;

    /// Returns the variant for such a string of a response, if there is one.
    fn unknown(_text: &str) -> Option<Self> {
        None
    }

    /// Returns a value in place of an invalid one, in a record that is not sent.
    fn placeholder() -> Self {
        Self::unnamed(String::new())
    }

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

/// Finds the value with this name.
///
/// # Errors
/// If the enum has none.
pub(crate) fn parse_name<T: NamedStrings>(text: &str) -> Result<T, UnknownEnumValue> {
    from_name(text).ok_or_else(|| unknown_value::<T>(text))
}

/// Finds the value of an enum by text, or by a value of another enum. One that the caller names explicitly is kept, even
/// if the enum lacks it.
///
/// # Errors
/// If the enum lacks it.
pub(crate) fn convert_name<T: NamedStrings>(value: &impl EnumText) -> Result<T, UnknownEnumValue> {
    let text = value.text();
    match from_name(text) {
        None if value.is_other() => Ok(T::unnamed(text.to_owned())),
        named => named.ok_or_else(|| unknown_value::<T>(text)),
    }
}

/// Lists the values.
#[cold]
fn unknown_value<T: NamedStrings>(text: &str) -> UnknownEnumValue {
    let known: Vec<&str> = T::KNOWN.iter().map(EnumText::text).collect();
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
