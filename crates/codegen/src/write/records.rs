//! The generated records: their fields, how requests are built, and how they are written and read.

use std::borrow::Cow;
use std::fmt::{self, Write};

use super::docs::doc;
use super::{is_integer, is_time, render_type, texts, unions};
use crate::hints::Discriminator;
use crate::lower::ApiModel;
use crate::model::{Field, Type};

pub(super) fn write(
    out: &mut String,
    api: &ApiModel,
    name: &str,
    fields: &[Cow<Field>],
    is_read: bool,
) -> fmt::Result {
    let default =
        if is_read || fields.iter().all(|field| !field.required) { ", Default" } else { "" };
    writeln!(out, "#[derive(Clone, Debug{default})]\n#[non_exhaustive]\npub struct {name} {{")?;
    for field in fields {
        let text = if field.doc.is_empty() { texts::field(field) } else { field.doc.clone() };
        doc(out, "    ", &text)?;
        writeln!(out, "    pub {}: {},", field.ident, render_type(&field.ty, ""))?;
    }
    if is_read && rest_of(fields).is_none() {
        writeln!(out, "    unknown_properties: codec::UnknownFields,")?;
    }
    writeln!(out, "}}")?;
    if !is_read {
        constructor(out, name, fields)?;
    }
    write_fields(out, name, fields, is_read)?;
    if is_read { read_fields(out, api, name, fields) } else { Ok(()) }
}

/// `new(…)` with the required properties, and a setter for each other one.
fn constructor(out: &mut String, name: &str, fields: &[Cow<Field>]) -> fmt::Result {
    let required: Vec<&Cow<Field>> = fields.iter().filter(|field| field.required).collect();
    let parameters: Vec<String> = required
        .iter()
        .map(|field| {
            format!("{}: impl ::core::convert::Into<{}>", field.ident, render_type(&field.ty, ""))
        })
        .collect();
    writeln!(out, "impl {name} {{\n    /// With all that GitHub requires.")?;
    writeln!(
        out,
        "    #[inline] pub fn new({}) -> Self {{\n        Self {{",
        parameters.join(", ")
    )?;
    for field in fields {
        match field.required {
            true => write!(out, " {0}: {0}.into(),", field.ident)?,
            false => write!(out, " {}: ::core::default::Default::default(),", field.ident)?,
        }
    }
    writeln!(out, " }}\n    }}")?;
    for field in fields.iter().filter(|field| !field.required && !field.catch_all) {
        let inner = field.ty.unwrapped();
        writeln!(out, "    /// Sets [`{0}`](Self::{0}).", field.ident)?;
        let (open, close) =
            if inner == &field.ty { ("", "") } else { ("::core::option::Option::Some(", ")") };
        writeln!(
            out,
            "    #[inline] #[must_use] pub fn {0}(mut self, value: impl ::core::convert::Into<{1}>) -> Self {{ \
             self.{0} = {open}value.into(){close}; self }}",
            field.ident,
            render_type(inner, "")
        )?;
    }
    writeln!(out, "}}")
}

fn write_fields(out: &mut String, name: &str, fields: &[Cow<Field>], is_read: bool) -> fmt::Result {
    writeln!(
        out,
        "impl codec::WriteRecord for {name} {{ fn write<M: ::serde::ser::SerializeMap>(&self, _to: &mut M) \
         -> ::core::result::Result<(), M::Error> {{"
    )?;
    for field in fields {
        let Field { ident, name, ty: of, required, catch_all: rest, .. } = &**field;
        if *rest {
            writeln!(
                out,
                "for (name, value) in &self.{ident} {{ _to.serialize_entry(name, value)?; }}"
            )?;
        } else if !is_read && is_time(of.unwrapped().unwrapped()) {
            // In the same way as the setters of calls send times.
            match of {
                Type::Option(of) if matches!(**of, Type::Option(_)) => writeln!(
                    out,
                    "codec::write_optional_field(_to, {name:?}, &self.{ident}.as_ref().map(|time| time.as_ref().map(codec::time)))?;"
                )?,
                Type::Option(_) if !required => writeln!(
                    out,
                    "codec::write_optional_field(_to, {name:?}, &self.{ident}.as_ref().map(codec::time))?;"
                )?,
                Type::Option(_) => writeln!(
                    out,
                    "codec::write_field(_to, {name:?}, &self.{ident}.as_ref().map(codec::time))?;"
                )?,
                _ => writeln!(
                    out,
                    "codec::write_field(_to, {name:?}, &codec::time(&self.{ident}))?;"
                )?,
            }
        } else if !required && matches!(of, Type::Option(_)) {
            writeln!(out, "codec::write_optional_field(_to, {name:?}, &self.{ident})?;")?;
        } else {
            writeln!(out, "codec::write_field(_to, {name:?}, &self.{ident})?;")?;
        }
    }
    let keeps_unknown = is_read && rest_of(fields).is_none();
    let end = if keeps_unknown { "self.unknown_properties.write(_to)" } else { "Ok(())" };
    writeln!(out, "{end} }} }}")
}

fn read_fields(out: &mut String, api: &ApiModel, name: &str, fields: &[Cow<Field>]) -> fmt::Result {
    let named: Vec<&Cow<Field>> = fields.iter().filter(|field| !field.catch_all).collect();
    let names: Vec<String> = named.iter().map(|field| format!("{:?}", field.name)).collect();
    let lenient = |field: &Field| matches!(field.ty, Type::Option(_) | Type::Vec(_) | Type::Map(_));
    let required: Vec<String> = named
        .iter()
        .enumerate()
        .filter(|(_, field)| field.required && !lenient(field))
        .map(|(index, _)| index.to_string())
        .collect();
    writeln!(
        out,
        "impl codec::ReadRecord for {name} {{\n\
         const FIELDS: &'static [&'static str] = &[{}];\n\
         const REQUIRED: &'static [u16] = &[{}];",
        names.join(", "),
        required.join(", ")
    )?;
    let rest = match rest_of(fields) {
        Some(rest) => format!("self.{}.insert(name, from.next_value()?); Ok(())", rest.ident),
        None => "self.unknown_properties.read(name, from)".to_owned(),
    };
    writeln!(
        out,
        "fn read_catch_all<'de, A: ::serde::de::MapAccess<'de>>(&mut self, name: ::std::string::String, from: &mut A) \
         -> ::core::result::Result<(), A::Error> {{ {rest} }}"
    )?;
    writeln!(
        out,
        "fn read<'de, A: ::serde::de::MapAccess<'de>>(&mut self, index: usize, from: &mut A) \
         -> ::core::result::Result<(), A::Error> {{ match index {{"
    )?;
    for (index, field) in named.iter().enumerate() {
        let how = match &field.ty {
            _ if field.discriminator.is_some() => "undecided",
            Type::Vec(of) if is_integer(of) => "read_integers",
            Type::Vec(of) if !takes_null(of) => "read_list",
            Type::Vec(_) | Type::Map(_) => "read_map",
            of if is_time(of.unwrapped()) => "read_timestamp",
            of if is_integer(of.unwrapped()) => "read_integer",
            _ => "read_value",
        };
        writeln!(out, "{index} => codec::{how}(from, &mut self.{}),", field.ident)?;
    }
    writeln!(out, "_ => from.next_value::<::serde::de::IgnoredAny>().map(drop) }} }}")?;
    complete(out, api, fields)?;
    writeln!(out, "}}")
}

/// The map of all properties without a field, if a record has one. A response record without one keeps them
/// as unknown properties.
pub(super) fn rest_of<'a>(fields: &'a [Cow<'_, Field>]) -> Option<&'a Field> {
    fields.iter().map(|field| &**field).find(|field| field.catch_all)
}

/// Returns whether `null` is a value of the type.
fn takes_null(of: &Type) -> bool {
    matches!(of, Type::Option(_)) || *of == Type::path("::serde_json::Value")
}

/// Chooses the variants of unions that another property determines.
fn complete(out: &mut String, api: &ApiModel, fields: &[Cow<Field>]) -> fmt::Result {
    let decided = fields.iter().filter_map(|field| Some((field, field.discriminator.as_ref()?)));
    let mut lines = String::new();
    for (field, Discriminator { property, variants }) in decided {
        let Some(deciding) = fields.iter().find(|field| field.name == *property) else { continue };
        let places: Vec<String> = variants
            .iter()
            .filter_map(|(constant, target)| {
                let index = unions::variant_index(api, &field.ty, target)?;
                Some(format!("({constant:?}, {index})"))
            })
            .collect();
        writeln!(
            lines,
            "codec::DecideVariant::decide(&mut self.{}, codec::Discriminant::constant(&self.{}), &[{}]);",
            field.ident,
            deciding.ident,
            places.join(", ")
        )?;
    }
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(out, "#[inline] fn finish(&mut self) {{\n{lines}}}")
}
