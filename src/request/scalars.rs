//! Setters of generated calls for values that Rust or GitHub writes in several ways: integers,
//! dates, ranges of dates, lists in one text, and text that is an id or a flag.

use std::borrow::Cow;
use std::fmt::Display;

use super::RequestDraft;
use super::setters::to_text;
use crate::api::integers::{IntoInteger, InvalidInteger};
use crate::api::into_text::{IntoList, IntoText};
use crate::api::timestamps::{IntoDate, IntoTimeRange};

// The features determine which of them are used.
#[allow(dead_code)]
impl RequestDraft {
    /// Sets the path parameter at this position of the template to an integer.
    pub(crate) fn set_path_integer(&mut self, index: usize, value: impl IntoInteger) {
        self.path_value(index, value.into_integer());
    }

    /// Sets the path parameter at this position of the template to text.
    pub(crate) fn set_path_text(&mut self, index: usize, value: impl IntoText) {
        self.set_path::<String>(index, value.into_text());
    }

    /// Sets a query parameter to an integer.
    pub(crate) fn set_query_integer(&mut self, name: &'static str, value: impl IntoInteger) {
        self.query_value(name, value.into_integer());
    }

    /// Sets a query parameter to several integers, by repeating its name.
    pub(crate) fn set_query_integers(
        &mut self,
        name: &'static str,
        values: impl IntoIterator<Item: IntoInteger>,
    ) {
        match integers(values) {
            Ok(values) => self.set_query_list::<i64>(name, values),
            Err(reason) => self.reject(format_args!("invalid query parameter {name:?}: {reason}")),
        }
    }

    /// Sets a query parameter to text.
    pub(crate) fn set_query_text(&mut self, name: &'static str, value: impl IntoText) {
        self.query_value(name, Ok::<_, String>(value.into_text()));
    }

    /// Sets a query parameter to a list that is written as one text.
    pub(crate) fn set_query_joined(&mut self, name: &'static str, values: impl IntoList) {
        self.query_value(name, values.list());
    }

    /// Sets a query parameter to a date.
    pub(crate) fn set_query_date(&mut self, name: &'static str, value: impl IntoDate) {
        self.query_value(name, value.date());
    }

    /// Sets a query parameter to a date or a range of dates.
    pub(crate) fn set_query_time_range(&mut self, name: &'static str, value: impl IntoTimeRange) {
        self.query_value(name, value.range());
    }

    /// Sets a property of the JSON body to an integer.
    pub(crate) fn set_field_integer(&mut self, name: &'static str, value: impl IntoInteger) {
        match value.into_integer() {
            Ok(value) => self.set_field::<i64>(name, value),
            Err(reason) => self.reject(format_args!("invalid body property {name:?}: {reason}")),
        }
    }

    /// Sets a property of the JSON body to a list of integers.
    pub(crate) fn set_field_integers(
        &mut self,
        name: &'static str,
        values: impl IntoIterator<Item: IntoInteger>,
    ) {
        match integers(values) {
            Ok(values) => self.set_field::<Vec<i64>>(name, values),
            Err(reason) => self.reject(format_args!("invalid body property {name:?}: {reason}")),
        }
    }

    /// Sets a property of the JSON body to text.
    pub(crate) fn set_field_text(&mut self, name: &'static str, value: impl IntoText) {
        self.set_field::<String>(name, value.into_text());
    }

    /// Sets a property of the JSON body to a date.
    pub(crate) fn set_field_date(&mut self, name: &'static str, value: impl IntoDate) {
        match value.date() {
            Ok(date) => self.set_field::<String>(name, date.to_string()),
            Err(reason) => self.reject(format_args!("invalid body property {name:?}: {reason}")),
        }
    }

    fn path_value(&mut self, index: usize, value: Result<i64, InvalidInteger>) {
        match value {
            Ok(value) => self.set_path::<i64>(index, value),
            Err(reason) => self.reject_path(index, &reason),
        }
    }

    fn query_value<T: Display + 'static, E: Display>(
        &mut self,
        name: &'static str,
        value: Result<T, E>,
    ) {
        match value {
            Ok(value) => self.replace_query(Cow::Borrowed(name), [to_text(value)]),
            Err(reason) => self.reject(format_args!("invalid query parameter {name:?}: {reason}")),
        }
    }
}

/// Collects the integers, or returns why the first invalid one is not an integer.
fn integers(values: impl IntoIterator<Item: IntoInteger>) -> Result<Vec<i64>, String> {
    let values = values.into_iter().enumerate().map(|(index, value)| {
        value.into_integer().map_err(|reason| format!("value {index}: {reason}"))
    });
    values.collect()
}
