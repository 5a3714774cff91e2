//! Parsing of the bytes of a payload into its event, in one pass.

#![allow(dead_code, reason = "without events there is nothing to read")]

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeOwned, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use tracing::warn;

use super::generated::EventPayload;
use super::{Event, Mismatch, UnknownEvent};
use crate::codec::json_path;
use crate::error::{Error, ErrorKind, Result};
use crate::meter;
use crate::sanitize;

/// Maximum length of the reason of a mismatch, in characters.
const MAX_REASON_CHARS: usize = 500;

/// A parsed payload.
pub(crate) struct PayloadSource<'a> {
    text: &'a str,
}

/// The result of parsing a payload with a type.
pub(crate) enum DecodeOutcome<T> {
    Decoded(T),
    /// There is no type for it.
    Unknown,
    /// The type does not match.
    Mismatch(TypeMismatch),
}

/// A type that a payload does not match.
pub(crate) struct TypeMismatch {
    expected: &'static str,
    action: Option<&'static str>,
    error: serde_json::Error,
}

impl<T> DecodeOutcome<T> {
    pub(crate) fn map<U>(self, wrap: impl FnOnce(T) -> U) -> DecodeOutcome<U> {
        match self {
            Self::Decoded(value) => DecodeOutcome::Decoded(wrap(value)),
            Self::Unknown => DecodeOutcome::Unknown,
            Self::Mismatch(misfit) => DecodeOutcome::Mismatch(misfit),
        }
    }
}

pub(crate) fn decode(name: &str, payload: &[u8]) -> Result<Event> {
    let text = std::str::from_utf8(payload).map_err(|error| {
        Error::new(
            ErrorKind::Decode,
            format!("the payload of `{name}` is not valid UTF-8: {error}"),
        )
    })?;
    let mismatch = match Event::read_known(name, &PayloadSource { text }) {
        DecodeOutcome::Decoded(event) => return Ok(event),
        DecodeOutcome::Unknown => None,
        DecodeOutcome::Mismatch(misfit) => Some(misfit),
    };
    let json: Value = serde_json::from_str(text)
        .map_err(|error| self::decode_error(name, payload, &error, "is not valid JSON"))?;
    let mismatch = mismatch.map(|misfit| Box::new(to_mismatch(name, payload, misfit)));
    Ok(Event::from_unknown(UnknownEvent { event: name.to_owned(), payload: json, mismatch }))
}

fn to_mismatch(name: &str, payload: &[u8], misfit: TypeMismatch) -> Mismatch {
    let TypeMismatch { expected, action, error } = misfit;
    Mismatch {
        event: Event::KNOWN.iter().find(|known| **known == name).copied().unwrap_or_default(),
        action,
        expected,
        error: self::decode_error(name, payload, &error, "does not match the OpenAPI description"),
        reason: sanitize::display(&error, MAX_REASON_CHARS),
    }
}

/// Logs and counts a payload that does not match its type. The payload's content is not logged.
pub(crate) fn report_mismatch(mismatch: &Mismatch) {
    warn!(
        event = mismatch.event,
        action = mismatch.action,
        expected = mismatch.expected,
        json_path = mismatch.json_path(),
        "webhook payload does not fit its type"
    );
    meter::undecoded(mismatch.event, mismatch.action);
}

/// Returns the mismatch of the payload of an event, with the JSON path.
pub(crate) fn decode_error(
    name: &str,
    payload: &[u8],
    error: &serde_json::Error,
    what: &str,
) -> Error {
    let path = json_path::locate(payload, error.line(), error.column());
    let message = format!("the payload of `{name}` {what}: {error}, at {path}");
    Error::new(ErrorKind::Decode, message).with_json_path(path)
}

impl<'a> PayloadSource<'a> {
    /// Parses the payload as the expected type: a type of this name, for this action.
    pub(crate) fn read<T: DeserializeOwned + EventPayload>(
        &self,
        expected: &'static str,
        action: Option<&'static str>,
    ) -> DecodeOutcome<Box<T>> {
        let error = match serde_json::from_str::<Box<T>>(self.text) {
            Ok(payload) if payload.fits() => return DecodeOutcome::Decoded(payload),
            Ok(_) => serde_json::Error::custom("it matches no documented shape"),
            Err(error) => error,
        };
        DecodeOutcome::Mismatch(TypeMismatch { expected, action, error })
    }

    /// Handles a payload without an action, for an event with actions.
    pub(crate) fn without_action<T>(&self, expected: &'static str) -> DecodeOutcome<T> {
        let error = serde_json::Error::custom("`action` is missing, or is not a string");
        DecodeOutcome::Mismatch(TypeMismatch { expected, action: None, error })
    }

    /// Returns the payload's `action`. GitHub writes it first, so that hardly more than it is read.
    pub(crate) fn action(&self) -> Option<Cow<'a, str>> {
        let mut action = None;
        // The rest is not read; the code that reads it checks whether it is valid.
        let _ = serde_json::Deserializer::from_str(self.text).deserialize_map(Action(&mut action));
        action
    }
}

/// A visitor that stores the value of `action`, and skips the rest.
struct Action<'s, 'a>(&'s mut Option<Cow<'a, str>>);

impl<'a> Visitor<'a> for Action<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(key)) = map.next_key()? {
            if key == "action" {
                *self.0 = Some(map.next_value::<Text<'_>>()?.0);
                return Ok(());
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// A string, borrowed unless it contains an escape.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
