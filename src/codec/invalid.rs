//! Invalid values of request records.

use std::fmt::Display;

use serde::ser;

/// Why the first invalid value of a request record is invalid, if there is one.
///
/// The setters of a record return the record, so they cannot fail. A record with an invalid value cannot be serialized:
/// the call that sends it fails with the reason before anything is sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct InvalidValue(Option<Box<str>>);

impl InvalidValue {
    /// Returns the value of a property, or records why it is invalid.
    pub(crate) fn check<T>(
        &mut self,
        property: &'static str,
        value: Result<T, impl Display>,
    ) -> Option<T> {
        match value {
            Ok(value) => Some(value),
            Err(reason) => {
                self.record(property, &reason);
                None
            }
        }
    }

    #[cold]
    fn record(&mut self, property: &str, reason: &dyn Display) {
        self.0.get_or_insert_with(|| format!("{property}: {reason}").into());
    }

    /// Fails if a value is invalid.
    pub(crate) fn report<E: ser::Error>(&self) -> Result<(), E> {
        self.0.as_ref().map_or(Ok(()), |reason| Err(E::custom(reason)))
    }
}
