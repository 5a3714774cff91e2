//! The methods of the records in responses that contain a file: those with the texts `content` and `encoding`.
//!
//! `codec::file_content!` and `codec::file_variant!` have the methods, so that the generated source contains the
//! fields only.

use std::borrow::Borrow;
use std::fmt::{self, Write};

use super::{is_integer, is_text};
use crate::lower::ApiModel;
use crate::model::{Field, Kind, Type, Variant, resolved};

/// Writes the methods of a record, if it contains a file.
pub(super) fn record<F: Borrow<Field>>(out: &mut String, name: &str, fields: &[F]) -> fmt::Result {
    let find = |name: &str, is: fn(&Type) -> bool| find(fields, name, is);
    let (Some(content), Some(encoding)) = (find("content", is_text), find("encoding", is_text))
    else {
        return Ok(());
    };
    writeln!(
        out,
        "codec::file_content! {{ {name}, file => codec::FileContent {{ content: {}, encoding: {}, size: {}, \
         is_truncated: {} }} }}",
        text(content),
        text(encoding),
        match find("size", is_integer) {
            Some(Field { ident, ty: Type::Option(_), .. }) => format!("file.{ident}"),
            Some(Field { ident, .. }) => format!("::core::option::Option::Some(file.{ident})"),
            None => "::core::option::Option::None".to_owned(),
        },
        match find("truncated", is_boolean) {
            Some(Field { ident, ty: Type::Option(_), .. }) =>
                format!("file.{ident}.unwrap_or_default()"),
            Some(Field { ident, .. }) => format!("file.{ident}"),
            None => "false".to_owned(),
        },
    )
}

/// Writes the method of a union that returns the file, if one of its variants is a record that contains one, and no
/// other is.
pub(super) fn union(
    out: &mut String,
    api: &ApiModel,
    name: &str,
    variants: &[Variant],
) -> fmt::Result {
    let (files, others): (Vec<&Variant>, Vec<&Variant>) =
        variants.iter().partition(|variant| contains_file(api, &variant.ty));
    let [Variant { ident, ty: Type::Named(file) }] = files.as_slice() else { return Ok(()) };
    let others: Vec<&str> = others.iter().map(|variant| variant.ident.as_str()).collect();
    writeln!(out, "codec::file_variant! {{ {name} {{ {ident}({file}) {} }} }}", others.join(" "))
}

fn contains_file(api: &ApiModel, of: &Type) -> bool {
    let Type::Named(name) = of.unboxed() else { return false };
    match resolved(name, &api.types) {
        Some((_, Kind::Struct(fields))) => {
            ["content", "encoding"].iter().all(|name| find(fields, name, is_text).is_some())
        }
        _ => false,
    }
}

/// The field of this name, if it has such a type, or an `Option` of it.
fn find<'a, F: Borrow<Field>>(
    fields: &'a [F],
    name: &str,
    is: impl Fn(&Type) -> bool,
) -> Option<&'a Field> {
    let mut fields = fields.iter().map(<F as Borrow<Field>>::borrow);
    fields.find(|field| field.name == name && is(field.ty.unwrapped()))
}

fn is_boolean(of: &Type) -> bool {
    matches!(of, Type::Path(path) if path == "bool")
}

/// The value of a text as an `Option<&str>`.
fn text(field: &Field) -> String {
    match field.ty {
        Type::Option(_) => format!("file.{}.as_deref()", field.ident),
        _ => format!("::core::option::Option::Some(file.{}.as_str())", field.ident),
    }
}
