//! The building blocks of generated types: serialization of records, string enums and unions.
//!
//! The deserialization rules are in one place, so that a generated type is little more than a table of its properties.
//! This is why they compile quickly: `serde_derive` would generate about forty lines for each property.
//!
//! Deserialization is tolerant where GitHub deviates: unknown properties are kept, an absent or `null` list is empty, a
//! `null` item is omitted, an unknown enum value is kept, a time can be a number of seconds, an integer can be written
//! `1.0`, and a union without a matching variant keeps the JSON.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]
#![allow(dead_code, unused_imports, unused_macros, reason = "what is used depends on the tags")]

mod content;
mod equality;
mod field_table;
mod integer;
mod invalid_values;
mod json;
pub(crate) mod json_path;
mod record;
mod strings;
#[cfg(test)]
mod tests;
mod time;
mod union;
mod unknown;

pub(crate) use crate::time::rfc3339::format as time;
pub(crate) use content::{FileContent, file_content, file_variant, not_a_file};
pub(crate) use equality::same;
pub(crate) use integer::{read_integer, read_integers};
pub(crate) use invalid_values::InvalidValues;
pub(crate) use json::{from_json, to_map, to_object};
pub(crate) use record::{
    ReadRecord, WriteRecord, read_list, read_map, read_record, read_value, write_field,
    write_optional_field,
};
pub use strings::UnknownEnumValue;
pub(crate) use strings::{EnumText, NamedStrings, convert_name, from_name, parse_name};
pub(crate) use time::read_timestamp;
pub(crate) use union::{DecideVariant, Discriminant, Shape, Union, decide, undecided};
pub use unknown::UnknownProperties;
pub(crate) use unknown::{EmptyBody, UnknownFields};

/// Implements serde's traits for generated records in responses.
macro_rules! impl_read {
    ($($name:ident)*) => {$(
        $crate::codec::impl_read_with_catch_all! { $name }
        impl $crate::codec::UnknownProperties for $name {
            fn unknown_properties(&self) -> &::std::collections::BTreeMap<::std::string::String, ::serde_json::Value> {
                self.unknown_properties.properties()
            }
        }
    )*};
}

/// The same for records with a map for all properties without a field.
macro_rules! impl_read_with_catch_all {
    ($($name:ident)*) => {$(
        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(from: D) -> ::core::result::Result<Self, D::Error> {
                $crate::codec::read_record(from)
            }
        }
        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, to: S) -> ::core::result::Result<S::Ok, S::Error> {
                $crate::codec::WriteRecord::serialize(self, to)
            }
        }
        $crate::codec::impl_equality! { $name }
    )*};
}

/// Implements serde's trait for generated records in requests.
macro_rules! impl_write {
    ($($name:ident)*) => {$(
        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, to: S) -> ::core::result::Result<S::Ok, S::Error> {
                $crate::codec::WriteRecord::serialize(self, to)
            }
        }
        $crate::codec::impl_equality! { $name }
    )*};
}

/// Compares records and unions by their JSON.
macro_rules! impl_equality {
    ($name:ident) => {
        impl ::core::cmp::PartialEq for $name {
            // Inlined, so that only the crates that compare the type compile its comparison.
            #[inline]
            fn eq(&self, other: &Self) -> bool {
                $crate::codec::same(self, other)
            }
        }
    };
}

/// An enum in responses: it keeps values that the description does not name.
macro_rules! open_enum {
    ($(#[$meta:meta])* $name:ident { $($ident:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub enum $name {
            $(#[doc = concat!("`", $text, "`")] $ident,)*
            /// A value that GitHub's description does not name, as it was sent.
            Unknown(String),
        }
        impl $name {
            /// The values that GitHub's description names.
            pub const KNOWN: &'static [Self] = &[$(Self::$ident,)*];

            /// Returns the value in GitHub's form.
            #[must_use]
            #[inline]
            pub fn as_str(&self) -> &str {
                match self { $(Self::$ident => $text,)* Self::Unknown(other) => other }
            }
        }
        impl $crate::codec::EnumText for $name {
            #[inline] fn text(&self) -> &str { self.as_str() }
        }
        impl $crate::codec::NamedStrings for $name {
            const KNOWN: &'static [Self] = Self::KNOWN;
            #[inline] fn unnamed(text: String) -> Self { Self::Unknown(text) }
            #[inline] fn unknown(text: &str) -> Option<Self> { Some(Self::Unknown(text.to_owned())) }
        }
        impl Default for $name {
            #[inline] fn default() -> Self { Self::Unknown(String::new()) }
        }
        impl From<&str> for $name {
            #[inline] fn from(text: &str) -> Self {
                $crate::codec::from_name(text).unwrap_or_else(|| Self::Unknown(text.to_owned()))
            }
        }
        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(from: D) -> ::core::result::Result<Self, D::Error> {
                $crate::codec::NamedStrings::read(from)
            }
        }
        $crate::codec::string_enum!($name);
    };
}

/// An enum in requests: the values that the description names, and others only by name.
macro_rules! closed_enum {
    ($(#[$meta:meta])* $name:ident { $($ident:ident = $text:literal,)* }) => {
        $(#[$meta])*
        ///
        /// Text is converted only if it is one of [`KNOWN`](Self::KNOWN). To send another value, use
        /// [`Other`](Self::Other).
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub enum $name {
            $(#[doc = concat!("`", $text, "`")] $ident,)*
            /// A value that GitHub's description does not name, sent as it is, such as for GitHub Enterprise and for
            /// previews.
            Other(String),
        }
        impl $name {
            /// The values that GitHub's description names.
            pub const KNOWN: &'static [Self] = &[$(Self::$ident,)*];

            /// Returns the value in GitHub's form.
            #[must_use]
            #[inline]
            pub fn as_str(&self) -> &str {
                match self { $(Self::$ident => $text,)* Self::Other(other) => other }
            }
        }
        impl $crate::codec::EnumText for $name {
            #[inline] fn text(&self) -> &str { self.as_str() }
            #[inline] fn is_other(&self) -> bool { matches!(self, Self::Other(_)) }
        }
        impl $crate::codec::NamedStrings for $name {
            const KNOWN: &'static [Self] = Self::KNOWN;
            #[inline] fn unnamed(text: String) -> Self { Self::Other(text) }
        }
        impl TryFrom<&str> for $name {
            type Error = $crate::codec::UnknownEnumValue;
            #[inline] fn try_from(text: &str) -> ::core::result::Result<Self, $crate::codec::UnknownEnumValue> {
                $crate::codec::parse_name(text)
            }
        }
        impl TryFrom<String> for $name {
            type Error = $crate::codec::UnknownEnumValue;
            #[inline] fn try_from(text: String) -> ::core::result::Result<Self, $crate::codec::UnknownEnumValue> {
                Self::try_from(text.as_str())
            }
        }
        impl TryFrom<&String> for $name {
            type Error = $crate::codec::UnknownEnumValue;
            #[inline] fn try_from(text: &String) -> ::core::result::Result<Self, $crate::codec::UnknownEnumValue> {
                Self::try_from(text.as_str())
            }
        }
        impl ::core::str::FromStr for $name {
            type Err = $crate::codec::UnknownEnumValue;
            #[inline] fn from_str(text: &str) -> ::core::result::Result<Self, $crate::codec::UnknownEnumValue> {
                Self::try_from(text)
            }
        }
        $crate::codec::string_enum!($name);
    };
}

/// Common parts of open and closed enums. They are equal if their texts are, whichever of the variants has the text, so
/// that comparisons with one another and with text agree.
macro_rules! string_enum {
    ($name:ident) => {
        impl ::core::cmp::PartialEq for $name {
            #[inline]
            fn eq(&self, other: &Self) -> bool {
                self.as_str() == other.as_str()
            }
        }
        impl ::core::cmp::Eq for $name {}
        impl ::core::hash::Hash for $name {
            #[inline]
            fn hash<H: ::core::hash::Hasher>(&self, state: &mut H) {
                ::core::hash::Hash::hash(self.as_str(), state);
            }
        }
        impl<T: ::core::convert::AsRef<str> + ?Sized> ::core::cmp::PartialEq<T> for $name {
            #[inline]
            fn eq(&self, other: &T) -> bool {
                self.as_str() == ::core::convert::AsRef::<str>::as_ref(other)
            }
        }
        impl ::core::cmp::PartialEq<$name> for str {
            #[inline]
            fn eq(&self, other: &$name) -> bool {
                self == other.as_str()
            }
        }
        impl ::core::cmp::PartialEq<$name> for &str {
            #[inline]
            fn eq(&self, other: &$name) -> bool {
                *self == other.as_str()
            }
        }
        impl ::core::cmp::PartialEq<$name> for ::std::string::String {
            #[inline]
            fn eq(&self, other: &$name) -> bool {
                self.as_str() == other.as_str()
            }
        }
        impl ::core::fmt::Display for $name {
            #[inline]
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl ::serde::Serialize for $name {
            #[inline]
            fn serialize<S: ::serde::Serializer>(
                &self,
                to: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }
    };
}

/// A union in responses: the matching variant, or the JSON as it is. [`Union`] has the rules.
///
/// A variant can have two accessors, `[as_name into_name &str]`: that by reference returns this type, to which the reference
/// is coerced. With ` = *`, it returns a copy.
macro_rules! read_union {
    ($(#[$meta:meta])* $name:ident { $($ident:ident($of:ty) $([$by_ref:ident $owned:ident $view:ty $(= $copied:tt)?])? $shape:ident $({ $named:ident $(; $($required:literal)* ; $($key:literal: $values:expr),*)? })?;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub enum $name {
            $(#[allow(missing_docs, reason = "named after its type")] $ident($of),)*
            /// No variant matches: the JSON as it was sent.
            Other(::serde_json::Value),
        }
        impl $name {
            $($(
                #[doc = concat!("Returns the value if it is a [`", stringify!($ident), "`](Self::", stringify!($ident), ").")]
                #[must_use]
                #[inline]
                pub fn $by_ref(&self) -> Option<$view> {
                    match self { Self::$ident(value) => Some($($copied)? value), _ => None }
                }

                #[doc = concat!("Converts to the value if it is a [`", stringify!($ident), "`](Self::", stringify!($ident), ").")]
                ///
                /// # Errors
                /// The union itself, if it is another variant. `.ok()` drops it.
                #[inline]
                pub fn $owned(self) -> ::core::result::Result<$of, Self> {
                    match self { Self::$ident(value) => Ok(value), other => Err(other) }
                }
            )?)*
        }
        impl Default for $name {
            #[inline] fn default() -> Self { Self::Other(::serde_json::Value::Null) }
        }
        impl $crate::codec::Union for $name {
            const SHAPES: &'static [$crate::codec::Shape] =
                &[$($crate::codec::shape!($shape $({ $named $(; $($required)*; $($key: $values),*)? })?),)*];
            const READERS: &'static [fn(&::serde_json::Value) -> Option<Self>] =
                &[$(|value| $crate::codec::read_variant!($shape $of, value $(, $named)?).map(Self::$ident),)*];
            #[inline] fn raw(value: ::serde_json::Value) -> Self { Self::Other(value) }
        }
        impl $crate::codec::DecideVariant for $name {
            #[inline] fn undecided(value: ::serde_json::Value) -> Self { Self::Other(value) }
            // Inlined, so that only the crates that read the union compile its variants.
            #[inline] fn decide(&mut self, constant: Option<&str>, variants: &[(&str, usize)]) {
                if let Self::Other(value) = self {
                    *self = $crate::codec::decide(::core::mem::take(value), constant, variants);
                }
            }
        }
        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(from: D) -> ::core::result::Result<Self, D::Error> {
                $crate::codec::Union::read(from)
            }
        }
        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, to: S) -> ::core::result::Result<S::Ok, S::Error> {
                match self {
                    $(Self::$ident(value) => ::serde::Serialize::serialize(value, to),)*
                    Self::Other(value) => ::serde::Serialize::serialize(value, to),
                }
            }
        }
        $crate::codec::impl_equality! { $name }
    };
}

/// The values that match a variant of a union.
macro_rules! shape {
    (Record { $record:ident ; $($required:literal)* ; $($key:literal: $values:expr),* }) => {
        $crate::codec::Shape::Record {
            fields: <$record as $crate::codec::ReadRecord>::FIELDS,
            required: &[$($required),*],
            constants: &[$(($key, $values)),*],
        }
    };
    ($shape:ident $({ $named:ident })?) => { $crate::codec::Shape::$shape };
}

/// Converts a value to a variant of a union; `None` if it does not match.
macro_rules! read_variant {
    (Union $of:ty, $value:ident, $union:ident) => {
        <$union as $crate::codec::Union>::choose($value).map(::core::convert::Into::into)
    };
    ($shape:ident $of:ty, $value:ident $(, $named:ident)?) => {
        <$of as ::serde::Deserialize>::deserialize($value).ok()
    };
}

/// A union in requests.
macro_rules! sent_union {
    ($(#[$meta:meta])* $name:ident { $($ident:ident($of:ty),)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub enum $name {
            $(#[allow(missing_docs, reason = "named after its type")] $ident($of),)*
        }
        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, to: S) -> ::core::result::Result<S::Ok, S::Error> {
                match self { $(Self::$ident(value) => ::serde::Serialize::serialize(value, to),)* }
            }
        }
        $crate::codec::impl_equality! { $name }
    };
}

pub(crate) use {
    closed_enum, impl_equality, impl_read, impl_read_with_catch_all, impl_write, open_enum,
    read_union, read_variant, sent_union, shape, string_enum,
};
