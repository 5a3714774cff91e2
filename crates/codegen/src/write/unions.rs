//! The generated unions: their variants, how a value chooses one, and the conversions.

use std::collections::BTreeSet;
use std::fmt::{self, Write};

use super::{JSON, is_copied, is_json, is_object, is_text, render_type};
use crate::hints::OBJECT;
use crate::lower::ApiModel;
use crate::model::{Field, Kind, Type, Variant, resolved};
use crate::names::{snake_of_camel, squashed};

/// Writes a union, whose doc comment is `comment`. The macro takes it inside of its braces.
pub(super) fn write(
    out: &mut String,
    api: &ApiModel,
    name: &str,
    comment: &str,
    variants: &[Variant],
    is_read: bool,
) -> fmt::Result {
    let kind = if is_read { "read_union" } else { "sent_union" };
    writeln!(out, "codec::{kind}! {{\n{comment}{name} {{")?;
    let constants = constants(api, variants);
    for (variant, constants) in variants.iter().zip(&constants) {
        let Variant { ident, ty: of } = variant;
        write!(out, "    {ident}({})", render_type(of, ""))?;
        if is_read {
            writeln!(out, "{} {};", accessors(variant, variants), shape(api, of, constants))?;
        } else {
            writeln!(out, ",")?;
        }
    }
    writeln!(out, "}}\n}}")?;
    if is_read {
        name_of_text_or_record(out, api, name, variants)?;
    }
    conversions(out, api, name, variants)?;
    if is_read { Ok(()) } else { from_json(out, name, variants) }
}

/// The accessors of a variant, ` [as_file into_file &File]`, in the syntax of `codec::read_union!`. None, if another
/// variant would have the same, or if the value is in a `Box`.
fn accessors(variant: &Variant, variants: &[Variant]) -> String {
    let snake = snake_of_camel(&variant.ident);
    let same = variants.iter().filter(|other| snake_of_camel(&other.ident) == snake).count();
    if same > 1 || matches!(variant.ty, Type::Boxed(_)) {
        return String::new();
    }
    let view = match &variant.ty {
        of if is_text(of) => "&str".to_owned(),
        of if is_copied(of) => format!("{} = *", render_type(of, "")),
        Type::Vec(of) => format!("&[{}]", render_type(of, "")),
        of => format!("&{}", render_type(of, "")),
    };
    format!(" [as_{snake} into_{snake} {view}]")
}

/// `name()` for a union of a text and a record with a name, such as the labels of an issue.
fn name_of_text_or_record(
    out: &mut String,
    api: &ApiModel,
    name: &str,
    variants: &[Variant],
) -> fmt::Result {
    let [one, other] = variants else { return Ok(()) };
    let (text, record) = if is_text(&one.ty) { (one, other) } else { (other, one) };
    let Some((_, fields)) = record_of(api, &record.ty).filter(|_| is_text(&text.ty)) else {
        return Ok(());
    };
    let named = fields.iter().find(|field| field.name == "name");
    let Some(field) = named.filter(|field| is_text(field.ty.unwrapped())) else { return Ok(()) };
    let value = match field.ty {
        Type::Option(_) => format!("value.{}.as_deref()", field.ident),
        _ => format!("::core::option::Option::Some(&value.{})", field.ident),
    };
    writeln!(
        out,
        "impl {name} {{\n    \
         /// Returns the name: the [text](Self::{0}), or that of the [record](Self::{1}). `None` if it has none.\n    \
         #[must_use] #[inline] pub fn name(&self) -> ::core::option::Option<&str> {{ match self {{ \
         Self::{0}(name) => ::core::option::Option::Some(name), Self::{1}(value) => {value}, \
         Self::Other(value) => value.get(\"name\")?.as_str() }} }}\n}}",
        text.ident, record.ident,
    )
}

/// The variant of any object in a union in requests, if the union has a conversion of JSON that can fail.
pub(super) fn variant_of_json(variants: &[Variant]) -> Option<&Variant> {
    // A variant of any JSON has a conversion that cannot.
    let takes_all = variants.iter().any(|variant| is_json(&variant.ty));
    variants.iter().find(|variant| !takes_all && is_object(&variant.ty))
}

/// The conversion of JSON into a union in requests that accepts any object.
fn from_json(out: &mut String, name: &str, variants: &[Variant]) -> fmt::Result {
    let Some(object) = variant_of_json(variants) else { return Ok(()) };
    let (text, expected) = match variants.iter().find(|variant| is_text(&variant.ty)) {
        Some(text) => (
            format!(
                "{JSON}::String(value) => ::core::result::Result::Ok(Self::{}(value)), ",
                text.ident
            ),
            "a JSON object or text",
        ),
        None => (String::new(), "a JSON object"),
    };
    writeln!(
        out,
        "impl ::core::convert::TryFrom<{JSON}> for {name} {{\n\
         type Error = &'static str;\n\
         #[inline] fn try_from(value: {JSON}) -> ::core::result::Result<Self, &'static str> {{ match value {{ \
         {JSON}::Object(value) => ::core::result::Result::Ok(Self::{}(value.into_iter().collect())), {text}\
         _ => ::core::result::Result::Err(\"expected {expected}\") }} }}\n}}",
        object.ident,
    )
}

/// The values that a variant fits, in the syntax of `codec::read_union!`.
fn shape(api: &ApiModel, of: &Type, constants: &[Constant]) -> String {
    if let Some((record, fields)) = record_of(api, of) {
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
        Type::Named(name) => match resolved(name, &api.types) {
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
fn constants<'a>(api: &'a ApiModel, variants: &'a [Variant]) -> Vec<Vec<Constant<'a>>> {
    let all: Vec<Vec<Constant<'a>>> =
        variants.iter().map(|variant| enums_of(api, &variant.ty)).collect();
    let distinguishes = |property: &str| {
        let sets: Vec<&Vec<&str>> = all
            .iter()
            .flatten()
            .filter(|(name, _)| *name == property)
            .map(|(_, values)| values)
            .collect();
        sets.iter().enumerate().any(|(index, one)| {
            let mut others = sets.iter().skip(index + 1);
            others.any(|other| !one.iter().any(|value| other.contains(value)))
        })
    };
    let distinguishing: BTreeSet<&str> =
        all.iter().flatten().map(|(name, _)| *name).filter(|name| distinguishes(name)).collect();
    let mut constants = all;
    constants.iter_mut().for_each(|own| own.retain(|(name, _)| distinguishing.contains(name)));
    constants
}

/// The properties of a record that are enums, with their values.
fn enums_of<'a>(api: &'a ApiModel, of: &'a Type) -> Vec<Constant<'a>> {
    let Some((_, fields)) = record_of(api, of) else { return Vec::new() };
    let values = |field: &'a Field| {
        let Type::Named(name) = field.ty.unwrapped().unboxed() else { return None };
        match resolved(name, &api.types)?.1 {
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

fn record_of<'a>(api: &'a ApiModel, of: &'a Type) -> Option<(&'a str, &'a [Field])> {
    let Type::Named(name) = of.unboxed() else { return None };
    match resolved(name, &api.types)?.1 {
        Kind::Struct(fields) => Some((name, fields)),
        _ => None,
    }
}

/// `From` for each variant that its type identifies.
fn conversions(out: &mut String, api: &ApiModel, name: &str, variants: &[Variant]) -> fmt::Result {
    let mut seen = BTreeSet::new();
    let repeated: BTreeSet<String> = variants
        .iter()
        .map(|variant| doc_meaning(api, &variant.ty))
        .filter(|of| !seen.insert(of.clone()))
        .collect();
    let alone = |variant: &&Variant| !repeated.contains(&doc_meaning(api, &variant.ty));
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
fn doc_meaning(api: &ApiModel, of: &Type) -> String {
    match of {
        Type::Named(name) => match &api.types.get(name).map(|definition| &definition.kind) {
            Some(Kind::Alias(of)) => doc_meaning(api, of),
            _ => name.clone(),
        },
        Type::Vec(of) => format!("Vec<{}>", doc_meaning(api, of)),
        other => render_type(other, ""),
    }
}

/// The index of the variant that a discriminator names: by the name of a component, or `object` for a map.
pub(super) fn variant_index(api: &ApiModel, of: &Type, target: &str) -> Option<usize> {
    let Type::Named(name) = of.unwrapped().unboxed() else { return None };
    let Kind::Union(variants) = resolved(name, &api.types)?.1 else { return None };
    variants.iter().position(|variant| match variant.ty.unboxed() {
        Type::Named(name) => squashed(name) == squashed(target),
        Type::Map(_) => target == OBJECT,
        _ => false,
    })
}
