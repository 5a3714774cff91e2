//! The errors of GitHub's GraphQL API.

use std::borrow::Cow;
use std::fmt;

use http::HeaderMap;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{OneLine, indicates_rate_limit};
use crate::sanitize;

/// The errors of a GraphQL response, and the data that it contains nevertheless.
#[derive(Clone)]
#[non_exhaustive]
pub struct GraphQlErrors {
    /// GitHub's errors; at least one. Secrets of this process are replaced by `[hidden]`.
    pub errors: Vec<GraphQlError>,
    /// The part of the data that is available, as it was sent. `Debug` shows the beginning of it, without secrets.
    pub data: Option<Value>,
}

/// Maximum length of the data that `Debug` shows, in characters.
const MAX_SHOWN_DATA: usize = 1_000;
/// Maximum number of errors that `Debug` shows.
const MAX_SHOWN_ERRORS: usize = 20;

impl fmt::Debug for GraphQlErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.data.as_ref().map_or(Cow::Borrowed("none"), |data| {
            Cow::Owned(sanitize::display(data, MAX_SHOWN_DATA))
        });
        let shown_errors = &self.errors[..self.errors.len().min(MAX_SHOWN_ERRORS)];
        f.debug_struct("GraphQlErrors")
            .field("count", &self.errors.len())
            .field("errors", &shown_errors)
            .field("data", &format_args!("{shown}"))
            .finish()
    }
}

/// One [error](https://spec.graphql.org/October2021/#sec-Errors) of a GraphQL response.
///
/// It is read from any JSON: a missing or `null` value is empty. `Debug` and `Display` show the beginning of each part
/// on one line, without secrets.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct GraphQlError {
    /// The error message.
    pub message: String,
    /// GitHub's error type, such as `NOT_FOUND`, `FORBIDDEN` or `RATE_LIMITED`: the property `type`.
    pub kind: Option<String>,
    /// The path of the field at which the error occurred: names, and indices into lists.
    pub path: Vec<Value>,
    /// The places in the query that the error concerns.
    pub locations: Vec<GraphQlLocation>,
    /// All other properties that GitHub adds.
    pub extensions: Value,
}

/// A place in the text of a query; both values count from 1.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[non_exhaustive]
pub struct GraphQlLocation {
    /// The line, from 1.
    pub line: u64,
    /// The column, from 1.
    pub column: u64,
}

/// Maximum length of each part of an error that `Debug` shows, in characters.
const MAX_SHOWN_PART: usize = 1_000;
/// Maximum length of one step of a path that is shown, in characters.
const MAX_SHOWN_STEP: usize = 100;
/// Maximum number of path steps, and of places, that are shown.
const MAX_SHOWN_STEPS: usize = 32;

impl fmt::Debug for GraphQlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &str| sanitize::text(text, MAX_SHOWN_PART).into_owned();
        let kind = self.kind.as_deref().map(shown);
        let locations = &self.locations[..self.locations.len().min(MAX_SHOWN_STEPS)];
        f.debug_struct("GraphQlError")
            .field("message", &shown(&self.message))
            .field("kind", &kind)
            .field("path", &self.shown_path())
            .field("locations", &locations)
            .field(
                "extensions",
                &format_args!("{}", sanitize::display(&self.extensions, MAX_SHOWN_PART)),
            )
            .finish()
    }
}

impl<'de> Deserialize<'de> for GraphQlError {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Value::deserialize(from).map(Self::read)
    }
}

impl GraphQlError {
    /// Parses an error. Every error is reported, whatever its form.
    pub(crate) fn read(value: Value) -> Self {
        let Value::Object(mut error) = value else {
            return Self { message: text(value).unwrap_or_default(), ..Self::default() };
        };
        let mut take = |name| error.remove(name).unwrap_or_default();
        let locations = list(take("locations")).into_iter();
        Self {
            message: text(take("message")).unwrap_or_default(),
            kind: text(take("type")),
            path: list(take("path")),
            locations: locations.filter_map(|place| serde_json::from_value(place).ok()).collect(),
            extensions: take("extensions"),
        }
    }

    /// Returns the path on one line, such as `user.repositories.0`.
    fn shown_path(&self) -> String {
        let more = if self.path.len() > MAX_SHOWN_STEPS { ".…" } else { "" };
        let steps = self.path.iter().take(MAX_SHOWN_STEPS).map(|step| match step.as_str() {
            Some(name) => sanitize::text(name, MAX_SHOWN_STEP).into_owned(),
            None => sanitize::display(step, MAX_SHOWN_STEP),
        });
        steps.collect::<Vec<_>>().join(".") + more
    }

    pub(crate) fn redact_secrets(&mut self) {
        sanitize::hide(&mut self.message);
        if let Some(kind) = &mut self.kind {
            sanitize::hide(kind);
        }
        self.path.iter_mut().for_each(sanitize::json);
        sanitize::json(&mut self.extensions);
    }

    /// Returns whether it is a rate limit. GitHub's [rate
    /// limits](https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api) have a
    /// type, or are an error about no part of the query; then the message and the headers decide.
    pub(crate) fn is_rate_limit(&self, headers: &HeaderMap) -> bool {
        match self.kind.as_deref() {
            Some(kind) => matches!(kind, "RATE_LIMITED" | "RATE_LIMIT"),
            None => {
                self.path.is_empty()
                    && self.locations.is_empty()
                    && indicates_rate_limit(&self.message, headers)
            }
        }
    }
}

/// Reads the `errors` of a response, in whatever form they are.
pub(crate) fn read_errors<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Vec<GraphQlError>, D::Error> {
    let errors = list(Value::deserialize(from)?);
    Ok(errors.into_iter().map(GraphQlError::read).collect())
}

/// Reads a single value as a list of one; `null` is empty.
fn list(value: Value) -> Vec<Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(values) => values,
        value => vec![value],
    }
}

/// Returns a value as text: a string itself, and the JSON of any other value; `None` for `null`.
pub(crate) fn text(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        value => Some(value.to_string()),
    }
}

impl fmt::Display for GraphQlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(kind) = &self.kind {
            write!(f, "{}: ", OneLine(kind))?;
        }
        write!(f, "\"{}\"", OneLine(&self.message))?;
        if !self.path.is_empty() {
            f.write_str(" at ")?;
        }
        f.write_str(&self.shown_path())?;
        Ok(())
    }
}
