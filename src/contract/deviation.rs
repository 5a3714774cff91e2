//! A deviation: one difference between a message and the OpenAPI description.

use std::fmt;

use serde::Serialize;

use crate::sanitize;

/// Maximum lengths, in characters.
const MAX_OPERATION_CHARS: usize = 300;
const MAX_PATH_CHARS: usize = 1_000;
const MAX_MESSAGE_CHARS: usize = 1_000;

/// A difference between a message and GitHub's OpenAPI description.
///
/// It carries no value of a body, since that might be a secret. The only exception is a short word where the
/// description lists the allowed words.
/// the words that are allowed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct Deviation {
    /// The operation's id, such as `issues/get`, or the method and path if the description has no such
    /// operation.
    pub operation: String,
    /// The kind of the deviation.
    pub kind: DeviationKind,
    /// The location: `status`, `header link`, `path owner`, `query page`, or the JSON path in the body, such
    /// as `$.labels[0].color`.
    pub path: String,
    /// The actual content, and what the description requires.
    pub message: String,
}

/// The kinds of [`Deviation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DeviationKind {
    /// The description has no such method and path.
    UnknownOperation,
    /// The description does not list the status.
    UndocumentedStatus,
    /// The description does not list the media type.
    UndocumentedMediaType,
    /// The body is not JSON.
    NotJson,
    /// There is a body where the description has none.
    UnexpectedBody,
    /// There is no body where the description has one.
    MissingBody,
    /// A parameter that the description requires is missing.
    MissingParameter,
    /// The description has no such parameter.
    UnknownParameter,
    /// A property that the description requires is missing.
    MissingProperty,
    /// The description does not name the property. GitHub adds properties frequently.
    UndocumentedProperty,
    /// A value has another type than the description says; `null` counts as a type.
    WrongType,
    /// A value is not one of those that the description lists.
    UnknownValue,
    /// A number, a length or a text violates a bound or pattern of the description.
    OutOfBounds,
    /// A value fits none of the variants that the description allows.
    NoVariant,
}

impl DeviationKind {
    /// The severity, from 0 to 3: a deviation that makes a program fail has the highest, and one that a
    /// program does not notice the lowest.
    pub(super) fn severity(self) -> u8 {
        match self {
            Self::NotJson
            | Self::MissingBody
            | Self::MissingParameter
            | Self::MissingProperty
            | Self::WrongType
            | Self::NoVariant => 3,
            Self::UnknownOperation | Self::UndocumentedStatus | Self::UndocumentedMediaType => 2,
            Self::UnexpectedBody
            | Self::UnknownParameter
            | Self::UnknownValue
            | Self::OutOfBounds => 1,
            Self::UndocumentedProperty => 0,
        }
    }
}

impl Deviation {
    pub(super) fn new(
        operation: &str,
        kind: DeviationKind,
        path: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        let shown = |text: String, max| sanitize::text(&text, max).into_owned();
        Self {
            operation: shown(operation.to_owned(), MAX_OPERATION_CHARS),
            kind,
            path: shown(path.into(), MAX_PATH_CHARS),
            message: shown(message.into(), MAX_MESSAGE_CHARS),
        }
    }
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, at {}: {}", self.operation, self.path, self.message)
    }
}
