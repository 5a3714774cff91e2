//! The generated records: their fields, how requests are built, and how they are written and read.

use std::borrow::Cow;
use std::fmt::{self, Write};

use super::docs::doc;
use super::{
    is_date, is_integer, is_object, is_text, is_time, render_type, setters, texts, unions,
};
use crate::hints::Discriminator;
use crate::lower::ApiModel;
use crate::model::{Field, Kind, Type, resolved};
use crate::operations::is_id;

pub(super) fn write(
    out: &mut String,
    api: &ApiModel,
    name: &str,
    fields: &[Cow<Field>],
    is_read: bool,
) -> fmt::Result {
    let is_checked = !is_read && fields.iter().any(|field| is_checked(api, field));
    let debug = if is_checked { "" } else { ", Debug" };
    let default =
        if is_read || fields.iter().all(|field| !field.required) { ", Default" } else { "" };
    writeln!(out, "#[derive(Clone{debug}{default})]\n#[non_exhaustive]\npub struct {name} {{")?;
    for field in fields {
        let text = if field.doc.is_empty() { texts::field(field) } else { field.doc.clone() };
        doc(out, "    ", &text)?;
        writeln!(out, "    pub {}: {},", field.ident, render_type(&field.ty, ""))?;
    }
    if is_read && rest_of(fields).is_none() {
        writeln!(out, "    unknown_properties: codec::UnknownFields,")?;
    }
    if is_checked {
        writeln!(out, "    invalid_values: codec::InvalidValues,")?;
    }
    writeln!(out, "}}")?;
    if is_checked {
        debug_without_internals(out, name, fields)?;
    }
    if !is_read {
        constructor(out, api, name, fields)?;
    }
    write_fields(out, name, fields, is_read, is_checked)?;
    if is_read { read_fields(out, api, name, fields) } else { Ok(()) }
}

/// `Debug` as it would be derived, but with the invalid values only if there are any.
fn debug_without_internals(out: &mut String, name: &str, fields: &[Cow<Field>]) -> fmt::Result {
    writeln!(
        out,
        "impl ::core::fmt::Debug for {name} {{ #[inline] fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) \
         -> ::core::fmt::Result {{ self.invalid_values.debug(f.debug_struct({name:?})"
    )?;
    for Field { ident, .. } in fields.iter().map(|field| &**field) {
        writeln!(out, ".field({ident:?}, &self.{ident})")?;
    }
    writeln!(out, ") }} }}")
}

/// `new(…)` with the required properties, and a setter for each other one. A required property whose value is checked has
/// a setter as well, which corrects an invalid value.
fn constructor(out: &mut String, api: &ApiModel, name: &str, fields: &[Cow<Field>]) -> fmt::Result {
    let required: Vec<&Cow<Field>> = fields.iter().filter(|field| field.required).collect();
    let mut kinds: Vec<String> = Vec::new();
    let (mut parameters, mut values) = (Vec::new(), Vec::new());
    for field in &required {
        let kind = format!("K{}", kinds.len());
        let conversion = conversion(api, &field.ty, &field.ident, &kind);
        match conversion.filter(|_| !field.catch_all) {
            Some(Conversion { bound, value, placeholder, has_kind }) => {
                kinds.extend(has_kind.then_some(kind));
                parameters.push(format!("{}: impl {bound}", field.ident));
                values.push(format!(
                    "{}: invalid_values.check({:?}, {value}).{placeholder}",
                    field.ident, field.name
                ));
            }
            None => {
                let (bound, value) = infallible(field, &field.ty, &field.ident);
                parameters.push(format!("{}: impl {bound}", field.ident));
                values.push(format!("{}: {value}", field.ident));
            }
        }
    }
    for field in fields.iter().filter(|field| !field.required) {
        values.push(format!("{}: ::core::default::Default::default()", field.ident));
    }
    let (mut fails, mut checks) = ("", "");
    if required.iter().any(|field| is_checked(api, field)) {
        (fails, checks) =
            (INVALID_IN_NEW, "let mut invalid_values = codec::InvalidValues::default(); ");
        values.push("invalid_values".to_owned());
    } else if fields.iter().any(|field| is_checked(api, field)) {
        values.push("invalid_values: ::core::default::Default::default()".to_owned());
    }
    writeln!(out, "impl {name} {{\n    /// With all that GitHub requires.{fails}")?;
    writeln!(
        out,
        "    #[inline] pub fn new{}({}) -> Self {{\n        {checks}Self {{ {} }}\n    }}",
        if kinds.is_empty() { String::new() } else { format!("<{}>", kinds.join(", ")) },
        parameters.join(", "),
        values.join(", ")
    )?;
    let with_setter = fields
        .iter()
        .filter(|field| is_checked(api, field) || !(field.required || field.catch_all));
    for field in with_setter {
        setter(out, api, field)?;
    }
    writeln!(out, "}}")
}

/// The setter of a property that is optional, or whose value is checked.
fn setter(out: &mut String, api: &ApiModel, field: &Field) -> fmt::Result {
    let Field { ident, name, ty, .. } = field;
    let inner = ty.unwrapped();
    let is_option = inner != ty;
    if let Some(Conversion { bound, value, placeholder, has_kind }) =
        conversion(api, inner, "value", "K")
    {
        let kinds = if has_kind { "<K>" } else { "" };
        let placeholder = if is_option { String::new() } else { format!(".{placeholder}") };
        writeln!(out, "    /// Sets [`{ident}`](Self::{ident}).{INVALID}")?;
        return writeln!(
            out,
            "    #[inline] #[must_use] pub fn {ident}{kinds}(mut self, value: impl {bound}) -> Self {{ \
             self.{ident} = self.invalid_values.check({name:?}, {value}){placeholder}; self }}"
        );
    }
    let (open, close) = if is_option { ("::core::option::Option::Some(", ")") } else { ("", "") };
    let (bound, value) = infallible(field, inner, "value");
    writeln!(out, "    /// Sets [`{ident}`](Self::{ident}).")?;
    writeln!(
        out,
        "    #[inline] #[must_use] pub fn {ident}(mut self, value: impl {bound}) -> Self {{ \
         self.{ident} = {open}{value}{close}; self }}"
    )
}

/// The trait that the argument of a setter implements, and the expression of the value, if its conversion cannot fail.
fn infallible(field: &Field, of: &Type, argument: &str) -> (String, String) {
    if is_text(of) && is_id(&field.name) {
        ("crate::IntoText".to_owned(), format!("crate::IntoText::into_text({argument})"))
    } else {
        let bound = format!("::core::convert::Into<{}>", render_type(of, ""));
        (bound, format!("{argument}.into()"))
    }
}

/// The end of the documentation of a setter that checks its value.
const INVALID: &str = " An invalid value fails the call before it is sent.";
/// The same for `new`.
const INVALID_IN_NEW: &str = " An invalid value fails the call before it is sent, unless the setter of its property \
                              receives a valid one.";

/// How a setter of a request record converts its argument, if that can fail. The setters of calls accept the same, except
/// for properties that can be `null`, which take an `Option`.
struct Conversion {
    /// The trait that the argument implements.
    bound: String,
    /// The expression of the result.
    value: String,
    /// The method of an `Option` that returns a value in place of an invalid one.
    placeholder: String,
    /// Whether the trait has the parameter `kind`, which the compiler infers.
    has_kind: bool,
}

/// The conversion of an argument to a type; `None` if it cannot fail.
fn conversion(api: &ApiModel, of: &Type, argument: &str, kind: &str) -> Option<Conversion> {
    let default = |bound: &str, convert: &str| Conversion {
        bound: bound.to_owned(),
        value: format!("{convert}({argument})"),
        placeholder: "unwrap_or_default()".to_owned(),
        has_kind: false,
    };
    Some(match of {
        of if is_integer(of) => default("crate::IntoInteger", "crate::IntoInteger::into_integer"),
        of if is_time(of) => {
            default("crate::IntoTimestamp", "crate::api::timestamps::Sealed::time")
        }
        of if is_date(of) => {
            default("crate::IntoDate", "crate::api::timestamps::dates::Sealed::date")
        }
        of if is_object(of) => default("::serde::Serialize", "codec::to_object"),
        Type::Vec(of) if is_integer(of) => Conversion {
            has_kind: true,
            ..default(
                &format!("crate::IntoIntegers<{kind}>"),
                "crate::api::into_values::Integers::integers",
            )
        },
        Type::Vec(of) => {
            let of = render_type(of, "");
            Conversion {
                has_kind: true,
                ..default(
                    &format!("crate::IntoValues<{of}, {kind}>"),
                    &format!("crate::api::into_values::Values::<{of}, {kind}>::values"),
                )
            }
        }
        Type::Map(of) => {
            let of = render_type(of, "");
            default(&setters::named_values(&of), &format!("codec::to_map::<{of}>"))
        }
        Type::Named(name) => match resolved(name, &api.types)?.1 {
            Kind::Enum(_) => Conversion {
                placeholder: format!(
                    "unwrap_or_else(<{name} as codec::NamedStrings>::placeholder)"
                ),
                ..default(&setters::enum_of(name), &format!("crate::IntoEnum::<{name}>::into_enum"))
            },
            Kind::Union(variants) => Conversion {
                placeholder: format!(
                    "unwrap_or_else(|| {name}::{}(::core::default::Default::default()))",
                    unions::variant_of_json(variants)?.ident
                ),
                ..default(
                    &setters::into(name),
                    &format!("::core::convert::TryInto::<{name}>::try_into"),
                )
            },
            Kind::Struct(_) | Kind::Alias(_) => return None,
        },
        _ => return None,
    })
}

/// Returns whether the setter of a field checks its value.
fn is_checked(api: &ApiModel, field: &Field) -> bool {
    let of = if field.required { &field.ty } else { field.ty.unwrapped() };
    !field.catch_all && conversion(api, of, "", "").is_some()
}

fn write_fields(
    out: &mut String,
    name: &str,
    fields: &[Cow<Field>],
    is_read: bool,
    is_checked: bool,
) -> fmt::Result {
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
    let end = match (keeps_unknown, is_checked) {
        (true, _) => "self.unknown_properties.write(_to)",
        (false, true) => "self.invalid_values.report()",
        (false, false) => "Ok(())",
    };
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
