//! Setters of generated calls for lists and times.

use std::fmt::Display;

use serde::Serialize;

use super::RequestDraft;
use crate::api::timestamps::IntoTimestamp;
use crate::time::rfc3339;

// The features determine which of them are used.
#[allow(dead_code)]
impl RequestDraft {
    /// Sets a query parameter to several values, by repeating its name.
    pub(crate) fn set_query_values<T: Display>(
        &mut self,
        name: &'static str,
        values: impl IntoIterator<Item: TryInto<T, Error: Display>>,
    ) {
        match converted::<T>(values) {
            Ok(values) => self.set_query_list(name, values),
            Err(reason) => self.reject(format_args!("invalid query parameter {name:?}: {reason}")),
        }
    }

    /// Sets a property of the JSON body to a list.
    pub(crate) fn set_field_values<T: Serialize>(
        &mut self,
        name: &'static str,
        values: impl IntoIterator<Item: TryInto<T, Error: Display>>,
    ) {
        match converted::<T>(values) {
            Ok(values) => self.set_field::<Vec<T>>(name, values),
            Err(reason) => self.reject(format_args!("invalid body property {name:?}: {reason}")),
        }
    }

    /// Sets a query parameter to a time.
    pub(crate) fn set_query_time(&mut self, name: &'static str, value: impl IntoTimestamp) {
        match value.time() {
            Ok(time) => self.set_query::<String>(name, rfc3339::format(&time)),
            Err(reason) => self.reject(format_args!("invalid query parameter {name:?}: {reason}")),
        }
    }

    /// Sets a property of the JSON body to a time.
    pub(crate) fn set_field_time(&mut self, name: &'static str, value: impl IntoTimestamp) {
        match value.time() {
            Ok(time) => self.set_field::<String>(name, rfc3339::format(&time)),
            Err(reason) => self.reject(format_args!("invalid body property {name:?}: {reason}")),
        }
    }
}

/// Collects the values, or returns why the first invalid one is invalid.
fn converted<T>(
    values: impl IntoIterator<Item: TryInto<T, Error: Display>>,
) -> Result<Vec<T>, String> {
    values
        .into_iter()
        .enumerate()
        .map(|(index, value)| value.try_into().map_err(|reason| format!("value {index}: {reason}")))
        .collect()
}
