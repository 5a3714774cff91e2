//! One place where something is not as the document says.

use std::fmt;

use serde::Serialize;

use crate::sanitize;

/// Maximum lengths, in characters.
const MAX_OPERATION_CHARS: usize = 300;
const MAX_PATH_CHARS: usize = 1_000;
const MAX_MESSAGE_CHARS: usize = 1_000;

/// Something that is not as GitHub's document says.
///
/// It carries no value of a body, which may hold secrets, but for a short word where the document lists
/// the words that are allowed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct Deviation {
    /// The operation's id, such as `issues/get`, or the method and path if the document has no such
    /// operation.
    pub operation: String,
    /// What sort it is.
    pub kind: DeviationKind,
    /// Where it is: `status`, `header link`, `path owner`, `query page`, or the JSON path in the
    /// body, such as `$.labels[0].color`.
    pub path: String,
    /// What is there, and what the document says.
    pub message: String,
}

/// The sorts of [`Deviation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DeviationKind {
    /// The document has no such method and path.
    UnknownOperation,
    /// The document does not list the status.
    UndocumentedStatus,
    /// The document does not list the media type.
    UndocumentedMediaType,
    /// The body is no JSON.
    NotJson,
    /// There is a body where the document has none.
    UnexpectedBody,
    /// There is no body where the document has one.
    MissingBody,
    /// A parameter that the document requires is not there.
    MissingParameter,
    /// The document has no such parameter.
    UnknownParameter,
    /// A property that the document requires is not there.
    MissingProperty,
    /// The document does not name the property. GitHub adds properties all the time.
    UndocumentedProperty,
    /// A value has another type than the document says; `null` is one.
    WrongType,
    /// A value is none of those that the document lists.
    UnknownValue,
    /// A number, a length or a pattern is not as the document says.
    OutOfBounds,
    /// A value fits none of the variants that the document allows.
    NoVariant,
}

impl DeviationKind {
    /// How much it matters, from 0 to 3: what a program fails at matters most, and what it does not
    /// see least.
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
