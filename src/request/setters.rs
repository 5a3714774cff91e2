//! The setters that generated builders call: for path parameters, query parameters, headers, and the body.
//!
//! Each converts its value, which Rust or GitHub writes in several ways. The first invalid value is recorded, and fails
//! the call when it is sent.

use std::any::Any;
use std::borrow::Cow;
use std::fmt::Display;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderValue;
use http::header::HeaderName;
use serde::Serialize;

use super::body::Body;
use super::path_values::PathValue;
use super::{RequestBody, RequestDraft, Target, spec};
use crate::api::integers::IntoInteger;
use crate::api::into_enum::IntoEnum;
use crate::api::into_text::{IntoList, IntoText};
use crate::api::into_values::{IntoIntegers, IntoValues};
use crate::api::timestamps::{IntoDate, IntoTimeRange, IntoTimestamp};
use crate::time::rfc3339;
use crate::{codec, sanitize};

/// Path parameters, by their position in the template.
// The features determine which of the setters are used, here and below.
#[allow(dead_code)]
impl RequestDraft {
    /// Sets a path parameter.
    pub(crate) fn set_path<T: Display + 'static>(
        &mut self,
        index: usize,
        value: impl TryInto<T, Error: Display>,
    ) {
        let value = TryInto::<T>::try_into(value);
        self.path_value(index, value.map(|value| PathValue::Text(to_text(value))));
    }

    /// Sets a path parameter to an integer.
    pub(crate) fn set_path_integer(&mut self, index: usize, value: impl IntoInteger) {
        self.path_value(index, value.into_integer().map(PathValue::Integer));
    }

    /// Sets a path parameter to the value of an enum.
    pub(crate) fn set_path_enum<T: Display>(&mut self, index: usize, value: impl IntoEnum<T>) {
        let value = value.into_enum();
        self.path_value(index, value.map(|value| PathValue::Text(value.to_string())));
    }

    /// Sets a path parameter to text.
    pub(crate) fn set_path_text(&mut self, index: usize, value: impl IntoText) {
        self.set_path::<String>(index, value.into_text());
    }

    /// Sets the path parameter of this name to text.
    pub(crate) fn set_path_by_name(&mut self, name: &str, value: &str) {
        match self.operation.and_then(|operation| operation.path_position(name)) {
            Some(index) => self.set_path_text(index, value),
            None => self.reject(format_args!("the path has no parameter {name:?}")),
        }
    }

    fn path_value<E: Display>(&mut self, index: usize, value: Result<PathValue, E>) {
        let place = match &mut self.target {
            Target::Template(values) => values.get_mut(index),
            Target::Raw(_) | Target::Url(_) => None,
        };
        match (value, place) {
            (Ok(value), Some(place)) => *place = Some(value),
            (Ok(_), None) => self.reject(format_args!("the path has no parameter {index}")),
            (Err(reason), _) => {
                let parameter =
                    self.operation.and_then(|operation| operation.path_parameter(index));
                let name = parameter.map_or("?", |parameter| parameter.name);
                self.reject(format_args!("invalid path parameter {name:?}: {reason}"));
            }
        }
    }
}

/// Query parameters. Each setter replaces the previous value.
#[allow(dead_code)]
impl RequestDraft {
    /// Sets a query parameter.
    pub(crate) fn set_query<T: Display + 'static>(
        &mut self,
        name: &'static str,
        value: impl TryInto<T, Error: Display>,
    ) {
        self.query_value(name, value.try_into());
    }

    /// Sets a query parameter to an integer.
    pub(crate) fn set_query_integer(&mut self, name: &'static str, value: impl IntoInteger) {
        self.query_value(name, value.into_integer());
    }

    /// Sets a query parameter to the value of an enum.
    pub(crate) fn set_query_enum<T: Display + 'static>(
        &mut self,
        name: &'static str,
        value: impl IntoEnum<T>,
    ) {
        self.query_value(name, value.into_enum());
    }

    /// Sets a query parameter to text.
    pub(crate) fn set_query_text(&mut self, name: &'static str, value: impl IntoText) {
        self.query_value(name, Ok::<_, String>(value.into_text()));
    }

    /// Sets a query parameter to a time.
    pub(crate) fn set_query_time(&mut self, name: &'static str, value: impl IntoTimestamp) {
        self.query_value(name, value.time().map(|time| rfc3339::format(&time)));
    }

    /// Sets a query parameter to a date.
    pub(crate) fn set_query_date(&mut self, name: &'static str, value: impl IntoDate) {
        self.query_value(name, value.date());
    }

    /// Sets a query parameter to a date or a range of dates.
    pub(crate) fn set_query_time_range(&mut self, name: &'static str, value: impl IntoTimeRange) {
        self.query_value(name, value.range());
    }

    /// Sets a query parameter to a list that is written as one text.
    pub(crate) fn set_query_joined(&mut self, name: &'static str, values: impl IntoList) {
        self.query_value(name, values.list());
    }

    /// Sets a query parameter to the values of a list, by repeating its name.
    pub(crate) fn set_query_list<T: Display>(
        &mut self,
        name: &'static str,
        values: impl TryInto<Vec<T>, Error: Display>,
    ) {
        self.query_values(name, values.try_into());
    }

    /// Sets a query parameter to several values, by repeating its name.
    pub(crate) fn set_query_values<T: Display, K>(
        &mut self,
        name: &'static str,
        values: impl IntoValues<T, K>,
    ) {
        self.query_values(name, values.values());
    }

    /// Sets a query parameter to several integers, by repeating its name.
    pub(crate) fn set_query_integers<K>(
        &mut self,
        name: &'static str,
        values: impl IntoIntegers<K>,
    ) {
        self.query_values(name, values.integers());
    }

    fn query_value<T: Display + 'static, E: Display>(
        &mut self,
        name: &'static str,
        value: Result<T, E>,
    ) {
        match value {
            Ok(value) => self.replace_query(Cow::Borrowed(name), [to_text(value)]),
            Err(reason) => self.reject_query(name, reason),
        }
    }

    fn query_values<T: Display, E: Display>(
        &mut self,
        name: &'static str,
        values: Result<Vec<T>, E>,
    ) {
        match values {
            Ok(values) => {
                self.replace_query(Cow::Borrowed(name), values.iter().map(T::to_string));
            }
            Err(reason) => self.reject_query(name, reason),
        }
    }

    fn reject_query(&mut self, name: &str, reason: impl Display) {
        self.reject(format_args!("invalid query parameter {name:?}: {reason}"));
    }
}

/// Headers.
#[allow(dead_code)]
impl RequestDraft {
    /// Sets a parameter that is a header.
    pub(crate) fn set_header<T: Display>(
        &mut self,
        name: &'static str,
        value: impl TryInto<T, Error: Display>,
    ) {
        let rejection = match value.try_into() {
            Ok(value) => {
                match (HeaderName::try_from(name), HeaderValue::try_from(value.to_string())) {
                    (Ok(name), Ok(value)) => return self.insert_header(name, value),
                    (Err(reason), _) => reason.to_string(),
                    (_, Err(reason)) => reason.to_string(),
                }
            }
            Err(reason) => reason.to_string(),
        };
        self.reject(format_args!("invalid header {name:?}: {rejection}"));
    }
}

/// The body: properties of a JSON object, each of which replaces its previous value, or a whole body.
#[allow(dead_code)]
impl RequestDraft {
    /// Sets a property of the JSON body.
    pub(crate) fn set_field<T: Serialize>(
        &mut self,
        name: &'static str,
        value: impl TryInto<T, Error: Display>,
    ) {
        self.field_value(name, value.try_into());
    }

    /// Sets a property of the JSON body to an integer.
    pub(crate) fn set_field_integer(&mut self, name: &'static str, value: impl IntoInteger) {
        self.field_value(name, value.into_integer());
    }

    /// Sets a property of the JSON body to the value of an enum.
    pub(crate) fn set_field_enum<T: Serialize>(
        &mut self,
        name: &'static str,
        value: impl IntoEnum<T>,
    ) {
        self.field_value(name, value.into_enum());
    }

    /// Sets a property of the JSON body to text.
    pub(crate) fn set_field_text(&mut self, name: &'static str, value: impl IntoText) {
        self.field_value(name, Ok::<_, String>(value.into_text()));
    }

    /// Sets a property of the JSON body to a time.
    pub(crate) fn set_field_time(&mut self, name: &'static str, value: impl IntoTimestamp) {
        self.field_value(name, value.time().map(|time| rfc3339::format(&time)));
    }

    /// Sets a property of the JSON body to a date.
    pub(crate) fn set_field_date(&mut self, name: &'static str, value: impl IntoDate) {
        self.field_value(name, value.date().map(|date| date.to_string()));
    }

    /// Sets a property of the JSON body to a list.
    pub(crate) fn set_field_values<T: Serialize, K>(
        &mut self,
        name: &'static str,
        values: impl IntoValues<T, K>,
    ) {
        self.field_value(name, values.values());
    }

    /// Sets a property of the JSON body to a list of integers.
    pub(crate) fn set_field_integers<K>(
        &mut self,
        name: &'static str,
        values: impl IntoIntegers<K>,
    ) {
        self.field_value(name, values.integers());
    }

    /// Sets a property of the JSON body to an object with any properties.
    pub(crate) fn set_field_object(&mut self, name: &'static str, value: impl Serialize) {
        self.field_value(name, codec::to_object(value));
    }

    /// Sets a property of the JSON body to an object with these properties.
    pub(crate) fn set_field_map<T: Serialize>(
        &mut self,
        name: &'static str,
        values: impl IntoIterator<Item = (impl Into<String>, impl TryInto<T, Error: Display>)>,
    ) {
        self.field_value(name, codec::to_map::<T>(values));
    }

    /// Sets a property of the JSON body to the base64 of these bytes, and the property that names the encoding, if there
    /// is one.
    pub(crate) fn set_field_base64(
        &mut self,
        name: &'static str,
        encoding: Option<&'static str>,
        value: &[u8],
    ) {
        // Base64 has no characters that JSON escapes.
        let mut json = String::with_capacity(value.len() / 3 * 4 + 6);
        json.push('"');
        STANDARD.encode_string(value, &mut json);
        json.push('"');
        self.put_field(name, json.into_bytes());
        if let Some(encoding) = encoding {
            self.put_field(encoding, b"\"base64\"".to_vec());
        }
    }

    /// Sets a property of the JSON body to `null`, which clears it at GitHub.
    pub(crate) fn set_null(&mut self, name: &'static str) {
        self.put_field(name, b"null".to_vec());
    }

    /// Sets the whole JSON body, and drops the properties set before.
    pub(crate) fn set_json<T: Serialize + ?Sized>(&mut self, body: &T) {
        match serde_json::to_vec(body) {
            Ok(body) => self.body = RequestBody::Json(body.into()),
            Err(reason) => self.reject(format_args!("body: {reason}")),
        }
    }

    /// Sets a JSON body that is already serialized.
    pub(crate) fn set_serialized(&mut self, json: Bytes) {
        self.body = RequestBody::Json(json);
    }

    /// Sets a body that is not JSON.
    pub(crate) fn set_body(&mut self, content_type: &'static str, body: Body) {
        self.raw_body(content_type, body);
    }

    fn field_value<T: Serialize, E: Display>(&mut self, name: &'static str, value: Result<T, E>) {
        let value = match value {
            Ok(value) => serde_json::to_vec(&value).map_err(|reason| reason.to_string()),
            Err(reason) => Err(reason.to_string()),
        };
        match value {
            Ok(value) => self.put_field(name, value),
            Err(reason) => self.reject(format_args!("invalid body property {name:?}: {reason}")),
        }
    }

    fn put_field(&mut self, name: &'static str, value: Vec<u8>) {
        if let RequestBody::Json(whole) = &self.body {
            match spec::from_json_object(whole) {
                Ok(fields) => self.body = RequestBody::Fields(fields),
                Err(reason) => {
                    return self.reject(format_args!("invalid body property {name:?}: {reason}"));
                }
            }
        }
        if let RequestBody::Fields(fields) = &mut self.body {
            match fields.iter_mut().find(|(existing, _)| existing == name) {
                Some((_, existing)) => *existing = value,
                None => fields.push((Cow::Borrowed(name), value)),
            }
        } else {
            self.body = RequestBody::Fields(vec![(Cow::Borrowed(name), value)]);
        }
    }
}

/// What the setters of generated code and of [`Request`](crate::Request) share.
impl RequestDraft {
    /// Records why the request cannot be sent, unless an earlier reason is recorded.
    pub(super) fn reject(&mut self, reason: impl Display) {
        if self.rejected.is_none() {
            self.rejected = Some(reason.to_string().into());
        }
    }

    pub(super) fn replace_query(
        &mut self,
        name: Cow<'static, str>,
        values: impl IntoIterator<Item = String>,
    ) {
        self.query.retain(|(existing, _)| *existing != name);
        let entries = values.into_iter().map(|value| (name.clone(), value));
        self.query.extend(entries);
    }

    pub(super) fn insert_header(&mut self, name: HeaderName, mut value: HeaderValue) {
        if sanitize::is_secret_header(&name, &value) {
            value.set_sensitive(true);
        }
        self.headers.insert(name, value);
    }
}

/// Returns the text of a value. A `String` is returned as it is, and not copied.
fn to_text<T: Display + 'static>(value: T) -> String {
    let mut value = Some(value);
    let text = (&mut value as &mut dyn Any).downcast_mut::<Option<String>>();
    match text.and_then(Option::take) {
        Some(text) => text,
        None => value.map(|value| value.to_string()).unwrap_or_default(),
    }
}
