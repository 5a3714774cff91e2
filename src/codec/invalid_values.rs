//! Invalid values of request records.

use std::fmt::{self, DebugStruct, Display};

use serde::ser;

/// The properties of a request record whose values are invalid, each with the reason.
///
/// The setters of a record return the record, so they cannot fail. A record with an invalid value cannot be serialized:
/// the call that sends it fails with the first reason before anything is sent. A valid value that the setter of the
/// same property receives removes its reason. An assignment to the field does not: this type sees only the values that
/// `new` and the setters receive.
#[derive(Clone, Default)]
pub(crate) struct InvalidValues(Vec<(&'static str, Box<str>)>);

impl InvalidValues {
    /// Returns the value of a property, or records why it is invalid.
    pub(crate) fn check<T>(
        &mut self,
        property: &'static str,
        value: Result<T, impl Display>,
    ) -> Option<T> {
        self.remove(property);
        match value {
            Ok(value) => Some(value),
            Err(reason) => {
                self.record(property, &reason);
                None
            }
        }
    }

    fn remove(&mut self, property: &str) {
        self.0.retain(|(other, _)| *other != property);
    }

    #[cold]
    fn record(&mut self, property: &'static str, reason: &dyn Display) {
        self.0.push((property, reason.to_string().into()));
    }

    /// Fails if a value is invalid.
    pub(crate) fn report<E: ser::Error>(&self) -> Result<(), E> {
        match self.0.first() {
            None => Ok(()),
            Some((property, reason)) => Err(E::custom(format_args!("{property}: {reason}"))),
        }
    }

    /// Completes the [`Debug`](fmt::Debug) output of a record: with the invalid values, if there are any.
    pub(crate) fn debug(&self, record: &mut DebugStruct<'_, '_>) -> fmt::Result {
        if !self.0.is_empty() {
            record.field("invalid_values", &self.0);
        }
        record.finish()
    }
}
