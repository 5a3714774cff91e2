//! The generated types.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};

use super::{docs::doc, is_integer, is_time, shown};
use crate::build::model::{Definition, Field, Kind, Type, Value, Variant, resolved};
use crate::build::refine::Refined;

/// An enum with more values than this does not tell a union's variants apart.
const MAX_TAGS: usize = 4;

/// An optional record that is read and larger than this, in bytes as [`Sizes`] counts them, is
/// boxed.
///
/// A user is half as large, and stays where it is; a repository, an app or a comment, which few
/// answers carry, would make each record that may hold it several kilobytes large.
const LARGE: usize = 1024;

pub fn write(out: &mut String, refined: &Refined) -> fmt::Result {
    writeln!(
        out,
        "/// The types of requests and responses, named as GitHub's document names them.\n\
         #[allow(rustdoc::bare_urls, rustdoc::broken_intra_doc_links, rustdoc::invalid_html_tags)]\n\
         #[allow(clippy::all, clippy::pedantic, deprecated)]\n\
         pub mod types {{\n\
         #[allow(unused_imports)] use crate::wire;"
    )?;
    let mut read = Vec::new();
    let mut sent = Vec::new();
    let mut sizes = Sizes { refined, known: BTreeMap::new() };
    for (name, definition) in &refined.types {
        let is_read = refined.read.contains(name);
        doc(out, "", if definition.doc.is_empty() { name } else { &definition.doc })?;
        match &definition.kind {
            Kind::Alias(of) => writeln!(out, "pub type {name} = {};", shown(of, ""))?,
            Kind::Enum(values) => string_enum(out, name, definition, values, is_read)?,
            Kind::Union(variants) => union(out, refined, name, definition, variants, is_read)?,
            Kind::Struct(fields) => {
                let fields = if is_read {
                    sizes.boxed(fields)
                } else {
                    fields.iter().map(Cow::Borrowed).collect()
                };
                record(out, name, &fields, is_read)?;
                if is_read { &mut read } else { &mut sent }.push(name.as_str());
            }
        }
    }
    writeln!(out, "wire::read_records! {{ {} }}", read.join(" "))?;
    writeln!(out, "wire::sent_records! {{ {} }}", sent.join(" "))?;
    writeln!(out, "}}")
}

/// About how many bytes a value takes, on a machine of 64 bits.
///
/// It counts what the document says and not what the compiler lays out, so that a type is the
/// same in every build.
struct Sizes<'a> {
    refined: &'a Refined,
    known: BTreeMap<&'a str, usize>,
}

impl<'a> Sizes<'a> {
    /// The fields, with those that are large and often absent in a `Box`.
    fn boxed(&mut self, fields: &'a [Field]) -> Vec<Cow<'a, Field>> {
        let boxed = |field: &'a Field| match &field.of {
            Type::Option(of) if self.of(of) > LARGE => {
                let of = Type::Option(Box::new(Type::Boxed(of.clone())));
                Cow::Owned(Field { of, ..field.clone() })
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
        // A type can only hold itself behind a pointer; should it not, this ends nevertheless.
        self.known.insert(name, 0);
        let size = match self.refined.types.get(name).map(|definition| &definition.kind) {
            Some(Kind::Alias(of)) => self.of(of),
            Some(Kind::Union(variants)) => {
                variants.iter().map(|variant| self.of(&variant.of)).max().unwrap_or(0)
            }
            Some(Kind::Struct(fields)) => fields
                .iter()
                .map(|field| match (&field.of, self.of(&field.of)) {
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

/// The macros take documentation as an attribute inside their braces, so the
/// doc comment that is already written moves there.
fn inside(out: &mut String, definition: &Definition, name: &str) -> String {
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
    values: &[Value],
    is_read: bool,
) -> fmt::Result {
    let comment = inside(out, definition, name);
    let kind = if is_read { "open_enum" } else { "closed_enum" };
    writeln!(out, "wire::{kind}! {{\n{comment}{name} {{")?;
    // The enum has a variant of this name for what the document does not name.
    let reserved = if is_read { "Unknown" } else { "Other" };
    for Value { ident, name } in values {
        let ident = if ident == reserved { renamed(ident, values) } else { ident.clone() };
        writeln!(out, "    {ident} = {name:?},")?;
    }
    writeln!(out, "}}\n}}")
}

/// `OtherValue` of `Other`, or longer if another value is called so.
fn renamed(ident: &str, values: &[Value]) -> String {
    let mut renamed = format!("{ident}Value");
    while values.iter().any(|value| value.ident == renamed) {
        renamed.push_str("Value");
    }
    renamed
}

fn union(
    out: &mut String,
    refined: &Refined,
    name: &str,
    definition: &Definition,
    variants: &[Variant],
    is_read: bool,
) -> fmt::Result {
    let comment = inside(out, definition, name);
    let kind = if is_read { "read_union" } else { "sent_union" };
    writeln!(out, "wire::{kind}! {{\n{comment}{name} {{")?;
    for Variant { ident, of } in variants {
        write!(out, "    {ident}({})", shown(of, ""))?;
        if is_read {
            write!(out, "{},{};", fields_of(refined, of), tags_of(refined, of))?;
        } else {
            write!(out, ",")?;
        }
        writeln!(out)?;
    }
    writeln!(out, "}}\n}}")?;
    conversions(out, refined, name, variants)
}

/// ` fields …` of a variant that is a record.
fn fields_of(refined: &Refined, of: &Type) -> String {
    match record_of(refined, of) {
        Some((record, _)) => format!(" fields <{record} as wire::Record>::FIELDS"),
        None => String::new(),
    }
}

/// The properties of a record whose few values tell it from others.
fn tags_of(refined: &Refined, of: &Type) -> String {
    let Some((_, fields)) = record_of(refined, of) else { return String::new() };
    let tags: Vec<String> = fields
        .iter()
        .filter_map(|field| {
            let Type::Named(name) = field.of.unwrapped().unboxed() else { return None };
            match resolved(name, &refined.types)?.1 {
                Kind::Enum(values) if values.len() <= MAX_TAGS => {
                    let values: Vec<String> =
                        values.iter().map(|value| format!("{:?}", value.name)).collect();
                    Some(format!("{:?}: &[{}]", field.name, values.join(", ")))
                }
                _ => None,
            }
        })
        .collect();
    if tags.is_empty() { String::new() } else { format!(" [{}]", tags.join(", ")) }
}

fn record_of<'a>(refined: &'a Refined, of: &'a Type) -> Option<(&'a str, &'a [Field])> {
    let Type::Named(name) = of.unboxed() else { return None };
    match resolved(name, &refined.types)?.1 {
        Kind::Struct(fields) => Some((name, fields)),
        _ => None,
    }
}

/// `From` for each variant that a type is enough to choose.
fn conversions(
    out: &mut String,
    refined: &Refined,
    name: &str,
    variants: &[Variant],
) -> fmt::Result {
    let mut seen = BTreeSet::new();
    let repeated: BTreeSet<String> = variants
        .iter()
        .map(|variant| meant(refined, &variant.of))
        .filter(|of| !seen.insert(of.clone()))
        .collect();
    let alone = |variant: &&Variant| !repeated.contains(&meant(refined, &variant.of));
    for Variant { ident, of } in variants.iter().filter(alone) {
        let shown = shown(of, "");
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

/// A type as it is written, by the name that its definition has.
fn meant(refined: &Refined, of: &Type) -> String {
    match of {
        Type::Named(name) => match &refined.types.get(name).map(|definition| &definition.kind) {
            Some(Kind::Alias(of)) => meant(refined, of),
            _ => name.clone(),
        },
        Type::Vec(of) => format!("Vec<{}>", meant(refined, of)),
        other => shown(other, ""),
    }
}

fn record(out: &mut String, name: &str, fields: &[Cow<Field>], is_read: bool) -> fmt::Result {
    let default =
        if is_read || fields.iter().all(|field| !field.required) { ", Default" } else { "" };
    writeln!(out, "#[derive(Clone, Debug{default})]\n#[non_exhaustive]\npub struct {name} {{")?;
    for field in fields {
        let text =
            if field.doc.is_empty() { format!("`{}`", field.name) } else { field.doc.clone() };
        doc(out, "    ", &text)?;
        writeln!(out, "    pub {}: {},", field.ident, shown(&field.of, ""))?;
    }
    writeln!(out, "}}")?;
    if !is_read {
        constructor(out, name, fields)?;
    }
    write_fields(out, name, fields, is_read)?;
    if is_read { read_fields(out, name, fields) } else { Ok(()) }
}

/// `new(…)` with what is required, and a setter for everything else.
fn constructor(out: &mut String, name: &str, fields: &[Cow<Field>]) -> fmt::Result {
    let required: Vec<&Cow<Field>> = fields.iter().filter(|field| field.required).collect();
    let parameters: Vec<String> = required
        .iter()
        .map(|field| {
            format!("{}: impl ::core::convert::Into<{}>", field.ident, shown(&field.of, ""))
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
    for field in fields.iter().filter(|field| !field.required && !field.rest) {
        let inner = field.of.unwrapped();
        writeln!(out, "    /// Sets [`{0}`](Self::{0}).", field.ident)?;
        let (open, close) =
            if inner == &field.of { ("", "") } else { ("::core::option::Option::Some(", ")") };
        writeln!(
            out,
            "    #[inline] #[must_use] pub fn {0}(mut self, value: impl ::core::convert::Into<{1}>) -> Self {{ \
             self.{0} = {open}value.into(){close}; self }}",
            field.ident,
            shown(inner, "")
        )?;
    }
    writeln!(out, "}}")
}

fn write_fields(out: &mut String, name: &str, fields: &[Cow<Field>], is_read: bool) -> fmt::Result {
    writeln!(
        out,
        "impl wire::Fields for {name} {{ fn write<M: ::serde::ser::SerializeMap>(&self, _to: &mut M) \
         -> ::core::result::Result<(), M::Error> {{"
    )?;
    for field in fields {
        let Field { ident, name, of, required, rest, .. } = &**field;
        if *rest {
            writeln!(
                out,
                "for (name, value) in &self.{ident} {{ _to.serialize_entry(name, value)?; }}"
            )?;
        } else if !is_read && is_time(of.unwrapped().unwrapped()) {
            // As the setters of calls send times.
            match of {
                Type::Option(of) if matches!(**of, Type::Option(_)) => writeln!(
                    out,
                    "wire::optional(_to, {name:?}, &self.{ident}.as_ref().map(|time| time.as_ref().map(wire::time)))?;"
                )?,
                Type::Option(_) if !required => writeln!(
                    out,
                    "wire::optional(_to, {name:?}, &self.{ident}.as_ref().map(wire::time))?;"
                )?,
                Type::Option(_) => writeln!(
                    out,
                    "wire::entry(_to, {name:?}, &self.{ident}.as_ref().map(wire::time))?;"
                )?,
                _ => writeln!(out, "wire::entry(_to, {name:?}, &wire::time(&self.{ident}))?;")?,
            }
        } else if !required && matches!(of, Type::Option(_)) {
            writeln!(out, "wire::optional(_to, {name:?}, &self.{ident})?;")?;
        } else {
            writeln!(out, "wire::entry(_to, {name:?}, &self.{ident})?;")?;
        }
    }
    writeln!(out, "Ok(()) }} }}")
}

fn read_fields(out: &mut String, name: &str, fields: &[Cow<Field>]) -> fmt::Result {
    let named: Vec<&Cow<Field>> = fields.iter().filter(|field| !field.rest).collect();
    let names: Vec<String> = named.iter().map(|field| format!("{:?}", field.name)).collect();
    let lenient = |field: &Field| matches!(field.of, Type::Option(_) | Type::Vec(_) | Type::Map(_));
    let required: Vec<String> = named
        .iter()
        .enumerate()
        .filter(|(_, field)| field.required && !lenient(field))
        .map(|(index, _)| index.to_string())
        .collect();
    writeln!(
        out,
        "impl wire::Record for {name} {{\n\
         const FIELDS: &'static [&'static str] = &[{}];\n\
         const REQUIRED: &'static [u16] = &[{}];",
        names.join(", "),
        required.join(", ")
    )?;
    if let Some(rest) = fields.iter().find(|field| field.rest) {
        writeln!(
            out,
            "const REST: bool = true;\n\
             fn read_rest<'de, A: ::serde::de::MapAccess<'de>>(&mut self, name: ::std::string::String, from: &mut A) \
             -> ::core::result::Result<(), A::Error> {{ self.{}.insert(name, from.next_value()?); Ok(()) }}",
            rest.ident
        )?;
    }
    writeln!(
        out,
        "fn read<'de, A: ::serde::de::MapAccess<'de>>(&mut self, index: usize, from: &mut A) \
         -> ::core::result::Result<(), A::Error> {{ match index {{"
    )?;
    for (index, field) in named.iter().enumerate() {
        let how = match &field.of {
            Type::Vec(of) if is_integer(of) => "read_integers",
            Type::Vec(_) | Type::Map(_) => "list",
            of if is_time(of.unwrapped()) => "read_time",
            of if is_integer(of.unwrapped()) => "read_integer",
            _ => "value",
        };
        writeln!(out, "{index} => wire::{how}(from, &mut self.{}),", field.ident)?;
    }
    writeln!(out, "_ => from.next_value::<::serde::de::IgnoredAny>().map(drop) }} }} }}")
}
