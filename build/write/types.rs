//! The generated types.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};

use super::{STAGE, docs::doc, is_integer, is_time, render_type};
use crate::build::error::{Error, Result};
use crate::build::model::{Definition, EnumValue, Field, Kind, Type, Variant, resolved};
use crate::build::names::squashed;
use crate::build::refine::ApiModel;
use crate::build::tolerate::{Discriminator, OBJECT};

/// An optional response record that is larger than this, in bytes as [`Sizes`] counts them, is boxed.
///
/// A user is half as large, and is not boxed. A repository, an app or a comment, which few responses contain,
/// would make each record with such a field several kilobytes large.
const LARGE: usize = 1024;

pub fn write(out: &mut String, refined: &ApiModel) -> fmt::Result {
    writeln!(
        out,
        "/// The types of requests and responses, named as GitHub's document names them.\n\
         #[allow(rustdoc::bare_urls, rustdoc::broken_intra_doc_links, rustdoc::invalid_html_tags)]\n\
         #[allow(clippy::all, clippy::pedantic, deprecated)]\n\
         pub mod types {{\n\
         #[allow(unused_imports)] use crate::codec as wire;"
    )?;
    let (mut read, mut with_rest) = (Vec::new(), Vec::new());
    let mut sent = Vec::new();
    let mut sizes = Sizes { refined, known: BTreeMap::new() };
    for (name, definition) in &refined.types {
        let is_read = refined.read.contains(name);
        doc(out, "", if definition.doc.is_empty() { name } else { &definition.doc })?;
        match &definition.kind {
            Kind::Alias(of) => writeln!(out, "pub type {name} = {};", render_type(of, ""))?,
            Kind::Enum(values) => string_enum(out, name, definition, values, is_read)?,
            Kind::Union(variants) => union(out, refined, name, definition, variants, is_read)?,
            Kind::Struct(fields) => {
                let fields = if is_read {
                    sizes.boxed(fields)
                } else {
                    fields.iter().map(Cow::Borrowed).collect()
                };
                record(out, refined, name, &fields, is_read)?;
                match (is_read, rest_of(&fields)) {
                    (true, None) => read.push(name.as_str()),
                    (true, Some(_)) => with_rest.push(name.as_str()),
                    (false, _) => sent.push(name.as_str()),
                }
            }
        }
    }
    writeln!(out, "wire::impl_read! {{ {} }}", read.join(" "))?;
    writeln!(out, "wire::impl_read_with_catch_all! {{ {} }}", with_rest.join(" "))?;
    writeln!(out, "wire::impl_write! {{ {} }}", sent.join(" "))?;
    writeln!(out, "}}")
}

/// Rejects a discriminator without effect: otherwise the build would continue, and every value would be raw
/// JSON.
pub fn check(refined: &ApiModel) -> Result<()> {
    let read = refined.types.iter().filter(|(name, _)| refined.read.contains(*name));
    for (name, definition) in read {
        let Kind::Struct(fields) = &definition.kind else { continue };
        for field in fields {
            let Some(Discriminator { property, variants }) = &field.decided_by else { continue };
            let undefined = variants
                .iter()
                .find(|(_, target)| variant_index(refined, &field.ty, target).is_none());
            let message = if let Some((constant, target)) = undefined {
                format!("`{constant}` maps to `{target}`, which is not a variant")
            } else if fields.iter().any(|other| other.name == *property) {
                continue;
            } else {
                format!("the discriminator `{property}` is missing")
            };
            return Err(Error::new(STAGE, "", format!("{name}.{}: {message}", field.ident)));
        }
    }
    Ok(())
}

/// The approximate size of a value in bytes, on a 64-bit machine.
///
/// It is calculated from the description instead of the compiler's layout, so that a type is the same in
/// every build.
struct Sizes<'a> {
    refined: &'a ApiModel,
    known: BTreeMap<&'a str, usize>,
}

impl<'a> Sizes<'a> {
    /// The fields, with large and often absent ones in a `Box`.
    fn boxed(&mut self, fields: &'a [Field]) -> Vec<Cow<'a, Field>> {
        let boxed = |field: &'a Field| match &field.ty {
            Type::Option(of) if self.of(of) > LARGE => {
                let of = Type::Option(Box::new(Type::Boxed(of.clone())));
                Cow::Owned(Field { ty: of, ..field.clone() })
            }
            _ => Cow::Borrowed(field),
        };
        fields.iter().map(boxed).collect()
    }

    fn of(&mut self, of: &'a Type) -> usize {
        match of {
            Type::Named(name) => self.of_named(name),
            // Most are strings and numbers.
            Type::Path(_) | Type::Vec(_) | Type::Map(_) => 24,
            Type::Option(of) => self.of(of),
            Type::Boxed(_) => 8,
        }
    }

    fn of_named(&mut self, name: &'a str) -> usize {
        if let Some(known) = self.known.get(name) {
            return *known;
        }
        // A type can contain itself only behind a pointer; the bound also handles a defect.
        self.known.insert(name, 0);
        let size = match self.refined.types.get(name).map(|definition| &definition.kind) {
            Some(Kind::Alias(of)) => self.of(of),
            Some(Kind::Union(variants)) => {
                variants.iter().map(|variant| self.of(&variant.ty)).max().unwrap_or(0)
            }
            Some(Kind::Struct(fields)) => fields
                .iter()
                .map(|field| match (&field.ty, self.of(&field.ty)) {
                    (Type::Option(_), size) if size > LARGE => 8,
                    (_, size) => size,
                })
                .sum(),
            Some(Kind::Enum(_)) | None => 24,
        };
        self.known.insert(name, size);
        size
    }
}

/// The macros take documentation as an attribute inside their braces, so the existing doc comment moves
/// there.
fn inner_type(out: &mut String, definition: &Definition, name: &str) -> String {
    let mut comment = String::new();
    // Writing to a string cannot fail.
    let _ = doc(&mut comment, "", if definition.doc.is_empty() { name } else { &definition.doc });
    out.truncate(out.len() - comment.len());
    comment
}

fn string_enum(
    out: &mut String,
    name: &str,
    definition: &Definition,
    values: &[EnumValue],
    is_read: bool,
) -> fmt::Result {
    let comment = inner_type(out, definition, name);
    let kind = if is_read { "open_enum" } else { "closed_enum" };
    writeln!(out, "wire::{kind}! {{\n{comment}{name} {{")?;
    // The enum has a variant with this name for unknown values.
    let reserved = if is_read { "Unknown" } else { "Other" };
    for EnumValue { ident, name } in values {
        let ident = if ident == reserved { renamed(ident, values) } else { ident.clone() };
        writeln!(out, "    {ident} = {name:?},")?;
    }
    writeln!(out, "}}\n}}")
}

/// `OtherValue` for `Other`, or longer if another value has that name.
fn renamed(ident: &str, values: &[EnumValue]) -> String {
    let mut renamed = format!("{ident}Value");
    while values.iter().any(|value| value.ident == renamed) {
        renamed.push_str("Value");
    }
    renamed
}

fn union(
    out: &mut String,
    refined: &ApiModel,
    name: &str,
    definition: &Definition,
    variants: &[Variant],
    is_read: bool,
) -> fmt::Result {
    let comment = inner_type(out, definition, name);
    let kind = if is_read { "read_union" } else { "sent_union" };
    writeln!(out, "wire::{kind}! {{\n{comment}{name} {{")?;
    let constants = constants(refined, variants);
    for (Variant { ident, ty: of }, constants) in variants.iter().zip(&constants) {
        write!(out, "    {ident}({})", render_type(of, ""))?;
        if is_read {
            writeln!(out, " {};", shape(refined, of, constants))?;
        } else {
            writeln!(out, ",")?;
        }
    }
    writeln!(out, "}}\n}}")?;
    conversions(out, refined, name, variants)
}

/// The values that a variant fits, in the syntax of `wire::read_union!`.
fn shape(refined: &ApiModel, of: &Type, constants: &[Constant]) -> String {
    if let Some((record, fields)) = record_of(refined, of) {
        let required: Vec<String> = fields
            .iter()
            .filter(|field| !field.catch_all)
            .enumerate()
            .filter(|(_, field)| field.required)
            .map(|(index, _)| index.to_string())
            .collect();
        let constants: Vec<String> = constants
            .iter()
            .map(|(name, values)| format!("{name:?}: &[{}]", quoted(values).join(", ")))
            .collect();
        return format!("Record {{ {record}; {}; {} }}", required.join(" "), constants.join(", "));
    }
    let simple = match of.unboxed() {
        Type::Path(path) if path == "i64" => "Integer",
        Type::Path(path) if path == "f64" => "Number",
        Type::Path(path) if path == "bool" => "Boolean",
        Type::Path(path) if path == "::serde_json::Value" => "Anything",
        Type::Map(_) => "Map",
        Type::Vec(_) => "Array",
        Type::Named(name) => match resolved(name, &refined.types) {
            Some((name, Kind::Union(_))) => return format!("Union {{ {name} }}"),
            _ => "String",
        },
        // Times, and all other types that are strings in JSON.
        _ => "String",
    };
    simple.to_owned()
}

/// A property, and the values that a record has for it.
type Constant<'a> = (&'a str, Vec<&'a str>);

/// The properties of each variant whose values distinguish it from others: those that are an enum in at least
/// two variants, without a common value.
fn constants<'a>(refined: &'a ApiModel, variants: &'a [Variant]) -> Vec<Vec<Constant<'a>>> {
    let all: Vec<Vec<Constant<'a>>> =
        variants.iter().map(|variant| enums_of(refined, &variant.ty)).collect();
    let tells = |property: &str| {
        let sets: Vec<&Vec<&str>> = all
            .iter()
            .flatten()
            .filter(|(name, _)| *name == property)
            .map(|(_, values)| values)
            .collect();
        sets.iter().enumerate().any(|(index, one)| {
            sets[index + 1..].iter().any(|other| !one.iter().any(|value| other.contains(value)))
        })
    };
    let telling: BTreeSet<&str> =
        all.iter().flatten().map(|(name, _)| *name).filter(|name| tells(name)).collect();
    let mut constants = all;
    constants.iter_mut().for_each(|own| own.retain(|(name, _)| telling.contains(name)));
    constants
}

/// The properties of a record that are enums, with their values.
fn enums_of<'a>(refined: &'a ApiModel, of: &'a Type) -> Vec<Constant<'a>> {
    let Some((_, fields)) = record_of(refined, of) else { return Vec::new() };
    let values = |field: &'a Field| {
        let Type::Named(name) = field.ty.unwrapped().unboxed() else { return None };
        match resolved(name, &refined.types)?.1 {
            Kind::Enum(values) => {
                let values = values.iter().map(|value| value.name.as_str()).collect();
                Some((field.name.as_str(), values))
            }
            _ => None,
        }
    };
    fields.iter().filter_map(values).collect()
}

fn quoted(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| format!("{text:?}")).collect()
}

fn record_of<'a>(refined: &'a ApiModel, of: &'a Type) -> Option<(&'a str, &'a [Field])> {
    let Type::Named(name) = of.unboxed() else { return None };
    match resolved(name, &refined.types)?.1 {
        Kind::Struct(fields) => Some((name, fields)),
        _ => None,
    }
}

/// `From` for each variant that its type identifies.
fn conversions(
    out: &mut String,
    refined: &ApiModel,
    name: &str,
    variants: &[Variant],
) -> fmt::Result {
    let mut seen = BTreeSet::new();
    let repeated: BTreeSet<String> = variants
        .iter()
        .map(|variant| doc_meaning(refined, &variant.ty))
        .filter(|of| !seen.insert(of.clone()))
        .collect();
    let alone = |variant: &&Variant| !repeated.contains(&doc_meaning(refined, &variant.ty));
    for Variant { ident, ty: of } in variants.iter().filter(alone) {
        let shown = render_type(of, "");
        writeln!(
            out,
            "impl ::core::convert::From<{shown}> for {name} {{\n\
             #[inline] fn from(value: {shown}) -> Self {{ Self::{ident}(value) }}\n}}"
        )?;
        if *of == Type::path("String") {
            writeln!(
                out,
                "impl ::core::convert::From<&str> for {name} {{\n\
                 #[inline] fn from(value: &str) -> Self {{ Self::{ident}(value.to_owned()) }}\n}}"
            )?;
        }
    }
    Ok(())
}

/// A type in source form, by the name of its definition.
fn doc_meaning(refined: &ApiModel, of: &Type) -> String {
    match of {
        Type::Named(name) => match &refined.types.get(name).map(|definition| &definition.kind) {
            Some(Kind::Alias(of)) => doc_meaning(refined, of),
            _ => name.clone(),
        },
        Type::Vec(of) => format!("Vec<{}>", doc_meaning(refined, of)),
        other => render_type(other, ""),
    }
}

fn record(
    out: &mut String,
    refined: &ApiModel,
    name: &str,
    fields: &[Cow<Field>],
    is_read: bool,
) -> fmt::Result {
    let default =
        if is_read || fields.iter().all(|field| !field.required) { ", Default" } else { "" };
    writeln!(out, "#[derive(Clone, Debug{default})]\n#[non_exhaustive]\npub struct {name} {{")?;
    for field in fields {
        let text =
            if field.doc.is_empty() { format!("`{}`", field.name) } else { field.doc.clone() };
        doc(out, "    ", &text)?;
        writeln!(out, "    pub {}: {},", field.ident, render_type(&field.ty, ""))?;
    }
    if is_read && rest_of(fields).is_none() {
        writeln!(out, "    unknown_properties: wire::UnknownFields,")?;
    }
    writeln!(out, "}}")?;
    if !is_read {
        constructor(out, name, fields)?;
    }
    write_fields(out, name, fields, is_read)?;
    if is_read { read_fields(out, refined, name, fields) } else { Ok(()) }
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
        "impl wire::WriteRecord for {name} {{ fn write<M: ::serde::ser::SerializeMap>(&self, _to: &mut M) \
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
                    "wire::write_optional_field(_to, {name:?}, &self.{ident}.as_ref().map(|time| time.as_ref().map(wire::time)))?;"
                )?,
                Type::Option(_) if !required => writeln!(
                    out,
                    "wire::write_optional_field(_to, {name:?}, &self.{ident}.as_ref().map(wire::time))?;"
                )?,
                Type::Option(_) => writeln!(
                    out,
                    "wire::write_field(_to, {name:?}, &self.{ident}.as_ref().map(wire::time))?;"
                )?,
                _ => {
                    writeln!(out, "wire::write_field(_to, {name:?}, &wire::time(&self.{ident}))?;")?
                }
            }
        } else if !required && matches!(of, Type::Option(_)) {
            writeln!(out, "wire::write_optional_field(_to, {name:?}, &self.{ident})?;")?;
        } else {
            writeln!(out, "wire::write_field(_to, {name:?}, &self.{ident})?;")?;
        }
    }
    let keeps_unknown = is_read && rest_of(fields).is_none();
    let end = if keeps_unknown { "self.unknown_properties.write(_to)" } else { "Ok(())" };
    writeln!(out, "{end} }} }}")
}

fn read_fields(
    out: &mut String,
    refined: &ApiModel,
    name: &str,
    fields: &[Cow<Field>],
) -> fmt::Result {
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
        "impl wire::ReadRecord for {name} {{\n\
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
            _ if field.decided_by.is_some() => "undecided",
            Type::Vec(of) if is_integer(of) => "read_integers",
            Type::Vec(of) if !takes_null(of) => "read_list",
            Type::Vec(_) | Type::Map(_) => "read_map",
            of if is_time(of.unwrapped()) => "read_timestamp",
            of if is_integer(of.unwrapped()) => "read_integer",
            _ => "read_value",
        };
        writeln!(out, "{index} => wire::{how}(from, &mut self.{}),", field.ident)?;
    }
    writeln!(out, "_ => from.next_value::<::serde::de::IgnoredAny>().map(drop) }} }}")?;
    complete(out, refined, fields)?;
    writeln!(out, "}}")
}

/// The map of all properties without a field, if a record has one. A response record without one keeps them
/// as unknown properties.
fn rest_of<'a>(fields: &'a [Cow<'_, Field>]) -> Option<&'a Field> {
    fields.iter().map(|field| &**field).find(|field| field.catch_all)
}

/// Returns whether `null` is a value of the type.
fn takes_null(of: &Type) -> bool {
    matches!(of, Type::Option(_)) || *of == Type::path("::serde_json::Value")
}

/// Chooses the variants of unions that another property determines.
fn complete(out: &mut String, refined: &ApiModel, fields: &[Cow<Field>]) -> fmt::Result {
    let decided = fields.iter().filter_map(|field| Some((field, field.decided_by.as_ref()?)));
    let mut lines = String::new();
    for (field, Discriminator { property, variants }) in decided {
        let Some(deciding) = fields.iter().find(|field| field.name == *property) else { continue };
        let places: Vec<String> = variants
            .iter()
            .filter_map(|(constant, target)| {
                let index = variant_index(refined, &field.ty, target)?;
                Some(format!("({constant:?}, {index})"))
            })
            .collect();
        writeln!(
            lines,
            "wire::DecideVariant::decide(&mut self.{}, wire::Discriminant::constant(&self.{}), &[{}]);",
            field.ident,
            deciding.ident,
            places.join(", ")
        )?;
    }
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(out, "fn finish(&mut self) {{\n{lines}}}")
}

/// The index of the variant that a discriminator names: by the name of a component, or `object` for a map.
fn variant_index(refined: &ApiModel, of: &Type, target: &str) -> Option<usize> {
    let Type::Named(name) = of.unwrapped().unboxed() else { return None };
    let Kind::Union(variants) = resolved(name, &refined.types)?.1 else { return None };
    variants.iter().position(|variant| match variant.ty.unboxed() {
        Type::Named(name) => squashed(name) == squashed(target),
        Type::Map(_) => target == OBJECT,
        _ => false,
    })
}
