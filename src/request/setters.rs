//! The setters that generated builders call.
//!
//! The first invalid value is recorded, and fails the call when it is sent.

use std::any::Any;
use std::borrow::Cow;
use std::fmt::Display;

use bytes::Bytes;
use http::HeaderValue;
use http::header::HeaderName;
use serde::Serialize;

use super::body::Body;
use super::{RequestBody, RequestDraft, Target, spec};
use crate::sanitize;

// Some are called only by operations whose feature can be off.
#[allow(dead_code)]
impl RequestDraft {
    /// Sets the path parameter at this position of the template.
    pub(crate) fn set_path<T: Display + 'static>(
        &mut self,
        index: usize,
        value: impl TryInto<T, Error: Display>,
    ) {
        match value.try_into() {
            Ok(value) => self.put_path(index, to_text(value)),
            Err(reason) => self.reject_path(index, &reason),
        }
    }

    /// Records why the path parameter at this position of the template cannot be sent.
    pub(super) fn reject_path(&mut self, index: usize, reason: &dyn Display) {
        let operation = self.operation;
        let name = operation
            .and_then(|operation| operation.path_parameter(index))
            .map_or("?", |parameter| parameter.name);
        self.reject(format_args!("invalid path parameter {name:?}: {reason}"));
    }

    /// Sets a query parameter, and replaces its previous value.
    pub(crate) fn set_query<T: Display + 'static>(
        &mut self,
        name: &'static str,
        value: impl TryInto<T, Error: Display>,
    ) {
        match value.try_into() {
            Ok(value) => self.replace_query(Cow::Borrowed(name), [to_text(value)]),
            Err(reason) => self.reject(format_args!("invalid query parameter {name:?}: {reason}")),
        }
    }

    /// Sets a query parameter to several values, by repeating its name.
    pub(crate) fn set_query_list<T: Display>(
        &mut self,
        name: &'static str,
        values: impl TryInto<Vec<T>, Error: Display>,
    ) {
        match values.try_into() {
            Ok(values) => {
                let values = values.iter().map(T::to_string);
                self.replace_query(Cow::Borrowed(name), values);
            }
            Err(reason) => self.reject(format_args!("invalid query parameter {name:?}: {reason}")),
        }
    }

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

    /// Sets a property of the JSON body, and replaces its previous value.
    pub(crate) fn set_field<T: Serialize>(
        &mut self,
        name: &'static str,
        value: impl TryInto<T, Error: Display>,
    ) {
        let value = match value.try_into() {
            Ok(value) => serde_json::to_vec(&value).map_err(|reason| reason.to_string()),
            Err(reason) => Err(reason.to_string()),
        };
        match value {
            Ok(value) => self.put_field(name, value),
            Err(reason) => self.reject(format_args!("invalid body property {name:?}: {reason}")),
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
}

/// Returns the text of a value. A `String` is returned as it is, and not copied.
pub(super) fn to_text<T: Display + 'static>(value: T) -> String {
    let mut value = Some(value);
    let text = (&mut value as &mut dyn Any).downcast_mut::<Option<String>>();
    match text.and_then(Option::take) {
        Some(text) => text,
        None => value.map(|value| value.to_string()).unwrap_or_default(),
    }
}

impl RequestDraft {
    pub(super) fn reject(&mut self, reason: impl Display) {
        if self.rejected.is_none() {
            self.rejected = Some(reason.to_string().into());
        }
    }

    fn put_path(&mut self, index: usize, value: String) {
        let place = match &mut self.target {
            Target::Template(values) => values.get_mut(index),
            Target::Raw(_) | Target::Url(_) => None,
        };
        match place {
            Some(place) => *place = Some(value),
            None => self.reject(format_args!("the path has no parameter {index}")),
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
