//! The setters of a call: one for each parameter, and those of the body.

use std::fmt::{self, Write};

use super::docs::doc;
use super::operation_table::wire_name;
use super::{
    is_date, is_enum, is_integer, is_object, is_text, is_time, option, render_type, texts,
};
use crate::lower::{ApiModel, Base64Setter, Body, ParameterModel, Property};
use crate::model::Type;
use crate::operations::{Parameter, Text, is_id};

pub(super) fn parameter_setter(
    out: &mut String,
    api: &ApiModel,
    index: usize,
    parameter: &Parameter,
    argument: &ParameterModel,
) -> fmt::Result {
    let fallback = format!("The {} parameter `{}`.", parameter.location, parameter.name);
    let text = if parameter.description.is_empty() { &fallback } else { &parameter.description };
    let default = parameter.default.as_deref();
    doc(out, "    ", &texts::setter(api, parameter.required, text, &argument.ty, default))?;
    let name = &wire_name(parameter);
    let ident = &argument.ident;
    match (parameter.location, &argument.ty, parameter.text) {
        ("path", of, _) if is_integer(of) => {
            scalar_setter(out, ident, INTEGER, &format!("set_path_integer({index}, "))
        }
        ("path", of, Text::Mixed) if is_text(of) => {
            scalar_setter(out, ident, TEXT, &format!("set_path_text({index}, "))
        }
        ("path", of, _) if is_enum(api, of) => {
            let of = render_type(of, "types::");
            scalar_setter(out, ident, &enum_of(&of), &format!("set_path_enum::<{of}>({index}, "))
        }
        ("path", of, _) => {
            let of = render_type(of, "types::");
            scalar_setter(out, ident, &into(&of), &format!("set_path::<{of}>({index}, "))
        }
        ("query", Type::Vec(of), _) if is_integer(of) => {
            list_setter(out, ident, INTEGERS, &format!("set_query_integers({name:?}, "))
        }
        ("query", Type::Vec(of), _) => {
            let of = render_type(of, "types::");
            list_setter(
                out,
                ident,
                &values(&of),
                &format!("set_query_values::<{of}, _>({name:?}, "),
            )
        }
        ("query", of, _) if is_integer(of) => {
            scalar_setter(out, ident, INTEGER, &format!("set_query_integer({name:?}, "))
        }
        ("query", of, _) if is_time(of) => {
            scalar_setter(out, ident, TIME, &format!("set_query_time({name:?}, "))
        }
        ("query", of, _) if is_date(of) => {
            scalar_setter(out, ident, DATE, &format!("set_query_date({name:?}, "))
        }
        ("query", of, Text::Mixed) if is_text(of) => {
            scalar_setter(out, ident, TEXT, &format!("set_query_text({name:?}, "))
        }
        ("query", of, Text::List) if is_text(of) => {
            scalar_setter(out, ident, LIST, &format!("set_query_joined({name:?}, "))
        }
        ("query", of, Text::TimeRange) if is_text(of) => {
            scalar_setter(out, ident, TIME_RANGE, &format!("set_query_time_range({name:?}, "))
        }
        ("query", of, _) if is_enum(api, of) => {
            let of = render_type(of, "types::");
            scalar_setter(out, ident, &enum_of(&of), &format!("set_query_enum::<{of}>({name:?}, "))
        }
        ("query", of, _) => {
            let of = render_type(of, "types::");
            scalar_setter(out, ident, &into(&of), &format!("set_query::<{of}>({name:?}, "))
        }
        (_, of, _) => {
            let of = render_type(of, "types::");
            scalar_setter(out, ident, &into(&of), &format!("set_header::<{of}>({name:?}, "))
        }
    }
}

/// The inputs of setters for types with several forms at GitHub or in Rust.
const INTEGER: &str = "crate::IntoInteger";

const INTEGERS: &str = "crate::IntoIntegers<K>";

const TEXT: &str = "crate::IntoText";

const LIST: &str = "crate::IntoList";

const TIME: &str = "crate::IntoTimestamp";

const DATE: &str = "crate::IntoDate";

const TIME_RANGE: &str = "crate::IntoTimeRange";

/// The input of setters of objects with any properties.
const OBJECT: &str = "::serde::Serialize";

/// The inputs of setters of enums.
pub(super) fn enum_of(of: &str) -> String {
    format!("crate::IntoEnum<{of}>")
}

/// The inputs of setters of other types.
pub(super) fn into(of: &str) -> String {
    format!("::core::convert::TryInto<{of}, Error: ::core::fmt::Display>")
}

/// The inputs of setters of lists.
fn values(of: &str) -> String {
    format!("crate::IntoValues<{of}, K>")
}

/// The inputs of setters of objects whose properties are values of one type: pairs of a name and a value.
pub(super) fn named_values(of: &str) -> String {
    let text = "::core::convert::Into<::std::string::String>";
    format!("::core::iter::IntoIterator<Item = (impl {text}, impl {})>", into(of))
}

pub(super) fn body_setters(out: &mut String, api: &ApiModel, body: &Body) -> fmt::Result {
    match body {
        Body::None => Ok(()),
        Body::Text => writeln!(
            out,
            "    /// The body: text.\n    #[inline] pub fn body(mut self, body: impl ::core::convert::Into<::std::string::String>) -> Self \
             {{ self.0.draft_mut().set_body(\"text/plain\", crate::Body::from(body.into())); self }}"
        ),
        Body::Octets => writeln!(
            out,
            "    /// The body: bytes, or a stream of them.\n    \
             #[inline] pub fn body(mut self, body: impl ::core::convert::Into<crate::Body>) -> Self \
             {{ self.0.draft_mut().set_body(\"application/octet-stream\", body.into()); self }}"
        ),
        Body::Other => writeln!(
            out,
            "    /// The body and its media type, with the boundary if it is `multipart/form-data`.\n    \
             #[inline] pub fn body(self, content_type: impl ::core::convert::TryInto<::http::HeaderValue, Error: ::core::fmt::Display>, \
             body: impl ::core::convert::Into<crate::Body>) -> Self {{ Self(self.0.body(content_type, body)) }}"
        ),
        Body::Json { ty: of, properties } => {
            for property in properties {
                property_setter(out, api, property)?;
            }
            writeln!(
                out,
                "    /// The whole body at once, instead of property by property.\n    \
                 #[inline] pub fn json(mut self, body: impl ::core::convert::Into<{}>) -> Self \
                 {{ self.0.draft_mut().set_json(&body.into()); self }}",
                render_type(of, "types::")
            )
        }
    }
}

fn property_setter(out: &mut String, api: &ApiModel, property: &Property) -> fmt::Result {
    let Property { ident, name, ty: of, .. } = property;
    let fallback = format!("The property `{name}` of the body.");
    let text = if property.doc.is_empty() { &fallback } else { &property.doc };
    let default = property.default.as_deref();
    doc(out, "    ", &texts::setter(api, property.required, text, of, default))?;
    match of {
        Type::Vec(of) if is_integer(of) => {
            list_setter(out, ident, INTEGERS, &format!("set_field_integers({name:?}, "))?;
        }
        Type::Vec(of) => {
            let of = render_type(of, "types::");
            let set = format!("set_field_values::<{of}, _>({name:?}, ");
            list_setter(out, ident, &values(&of), &set)?;
        }
        of if is_object(of) => {
            scalar_setter(out, ident, OBJECT, &format!("set_field_object({name:?}, "))?;
        }
        Type::Map(of) => {
            let of = render_type(of, "types::");
            let set = format!("set_field_map::<{of}>({name:?}, ");
            scalar_setter(out, ident, &named_values(&of), &set)?;
        }
        of if is_integer(of) => {
            scalar_setter(out, ident, INTEGER, &format!("set_field_integer({name:?}, "))?;
        }
        of if is_time(of) => {
            scalar_setter(out, ident, TIME, &format!("set_field_time({name:?}, "))?
        }
        of if is_date(of) => {
            scalar_setter(out, ident, DATE, &format!("set_field_date({name:?}, "))?
        }
        of if is_text(of) && is_id(name) => {
            scalar_setter(out, ident, TEXT, &format!("set_field_text({name:?}, "))?;
        }
        of if is_enum(api, of) => {
            let of = render_type(of, "types::");
            let set = format!("set_field_enum::<{of}>({name:?}, ");
            scalar_setter(out, ident, &enum_of(&of), &set)?;
        }
        of => {
            let of = render_type(of, "types::");
            scalar_setter(out, ident, &into(&of), &format!("set_field::<{of}>({name:?}, "))?;
        }
    }
    if let Some(Base64Setter { ident: setter, encoding }) = &property.base64 {
        let also = encoding.as_ref().map(|name| format!(", and `{name}` to `base64`"));
        let also = also.unwrap_or_default();
        let encoding = option(encoding.as_ref());
        writeln!(
            out,
            "    /// Sets [`{ident}`](Self::{ident}) to the base64 of these bytes{also}.\n    \
             #[inline] pub fn {setter}(mut self, value: impl ::core::convert::AsRef<[u8]>) -> Self \
             {{ self.0.draft_mut().set_field_base64({name:?}, {encoding}, value.as_ref()); self }}"
        )?;
    }
    if property.nullable {
        let clear = &property.clear;
        writeln!(
            out,
            "    /// Sends `null` as [`{ident}`](Self::{ident}).\n    \
             #[inline] pub fn {clear}(mut self) -> Self {{ self.0.draft_mut().set_null({name:?}); self }}"
        )?;
    }
    Ok(())
}

/// A setter of one value, which accepts any `Into`.
fn scalar_setter(out: &mut String, ident: &str, from: &str, set: &str) -> fmt::Result {
    writeln!(
        out,
        "    #[inline] pub fn {ident}(mut self, value: impl {from}) -> Self {{ self.0.draft_mut().{set}value); self }}"
    )
}

/// A setter of a list, whose items accept any `Into`. The compiler infers `K`, the kind of the list.
fn list_setter(out: &mut String, ident: &str, from: &str, set: &str) -> fmt::Result {
    writeln!(
        out,
        "    #[inline] pub fn {ident}<K>(mut self, values: impl {from}) -> Self {{ self.0.draft_mut().{set}values); self }}"
    )
}
