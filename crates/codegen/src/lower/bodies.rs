//! The properties of a body that have their own setters: those of an object, or of all objects of a union.
//!
//! A setter accepts the values of any variant of the union, so that every permitted value can be set: the
//! values of all enums, or a separate union, named after the body and the property.

use std::collections::{BTreeMap, BTreeSet};

use super::{Base64Setter, Property, name_variants};
use crate::model::{Definition, EnumValue, Field, Kind, Type, Variant};
use crate::names;

type Types = BTreeMap<String, Definition>;

/// The properties of a body. Adds the types that its setters need beside the variants' own to `types`.
pub fn properties(body: &Type, types: &mut Types) -> Vec<Property> {
    let mut found = Vec::new();
    gather(body, types, true, &mut BTreeSet::new(), &mut found);
    let Type::Named(body) = body.unboxed() else { return Vec::new() };
    let united = found.into_iter().map(|(mut property, all)| {
        let name = format!("{body}{}", names::pascal(&property.name).unwrap_or_default());
        property.ty = unite(body, &name, &property.name, all, types);
        property
    });
    united.collect()
}

/// Finds the properties, each with the types that it has in the variants.
fn gather<'t>(
    of: &'t Type,
    types: &'t Types,
    all: bool,
    seen: &mut BTreeSet<&'t str>,
    found: &mut Vec<(Property, Vec<Type>)>,
) {
    let Type::Named(name) = of.unboxed() else { return };
    // A union can have itself as a variant, or another one that has it.
    if !seen.insert(name) {
        return;
    }
    match types.get(name).map(|definition| &definition.kind) {
        Some(Kind::Struct(fields)) => {
            for field in fields.iter().filter(|field| !field.catch_all) {
                let new = property(field, all);
                match found.iter_mut().find(|(property, _)| property.name == field.name) {
                    Some((property, types)) => {
                        property.required &= new.required;
                        property.nullable |= new.nullable;
                        if property.default != new.default {
                            property.default = None;
                        }
                        if property.doc.is_empty() {
                            property.doc = new.doc;
                        }
                        types.push(new.ty);
                    }
                    None => {
                        let of = new.ty.clone();
                        found.push((new, vec![of]));
                    }
                }
            }
        }
        Some(Kind::Union(variants)) => {
            variants.iter().for_each(|variant| gather(&variant.ty, types, false, seen, found));
        }
        Some(Kind::Alias(of)) => gather(of, types, all, seen, found),
        _ => {}
    }
}

fn property(field: &Field, all: bool) -> Property {
    let optional = matches!(field.ty, Type::Option(_));
    let mut of = &field.ty;
    while let Type::Option(inner) = of {
        of = inner;
    }
    Property {
        ident: String::new(),
        clear: String::new(),
        name: field.name.clone(),
        doc: field.doc.clone(),
        default: field.values.default.clone(),
        ty: of.clone(),
        required: all && field.required,
        nullable: field.nullable && optional,
        base64: None,
    }
}

/// Finds the properties whose value can be base64. The description has no schema for that, so its words are used: a
/// text that it calls base64, and the `content` beside an `encoding`. An `encoding` itself is no such text, though its
/// description names base64.
pub(super) fn find_base64(properties: &mut [Property]) {
    let is_text = |property: &Property| property.ty == Type::path("String");
    let has_encoding =
        properties.iter().any(|property| property.name == "encoding" && is_text(property));
    for property in properties.iter_mut().filter(|property| is_text(property)) {
        let has_own_encoding = has_encoding && property.name == "content";
        let is_called_base64 =
            property.name != "encoding" && property.doc.to_ascii_lowercase().contains("base64");
        if has_own_encoding || is_called_base64 {
            let encoding = has_own_encoding.then(|| "encoding".to_owned());
            property.base64 = Some(Base64Setter { ident: String::new(), encoding });
        }
    }
}

/// The type that accepts the values of any of these. A new one has the name `name`.
fn unite(body: &str, name: &str, property: &str, all: Vec<Type>, types: &mut Types) -> Type {
    let mut distinct: Vec<Type> = Vec::new();
    for of in all {
        if !distinct.contains(&of) {
            distinct.push(of);
        }
    }
    let anything = Type::path("::serde_json::Value");
    if let [one] = distinct.as_slice() {
        return one.clone();
    }
    if distinct.contains(&anything) {
        return anything;
    }
    if let Some(items) = distinct.iter().map(item).collect::<Option<Vec<Type>>>() {
        return Type::Vec(Box::new(unite(body, &format!("{name}Item"), property, items, types)));
    }
    if let Some(values) = distinct.iter().map(|of| values(of, types)).collect::<Option<Vec<_>>>() {
        return match united(values) {
            None => Type::path("String"),
            Some(values) => add(name, property, Kind::Enum(values), types),
        };
    }
    let variant = |(index, of)| Variant { ident: format!("Variant{index}"), ty: of };
    let variants = distinct.into_iter().enumerate().map(variant).collect();
    let mut kind = Kind::Union(variants);
    name_variants(name, &mut kind);
    name_object(body, &mut kind, types);
    add(name, property, kind, types)
}

/// An inline record is named after one of the body's variants, which is not meaningful here.
fn name_object(body: &str, kind: &mut Kind, types: &Types) {
    let Kind::Union(variants) = kind else { return };
    let is_inline = |of: &Type| {
        let Type::Named(name) = of.unboxed() else { return false };
        let definition = types.get(name).map(|definition| &definition.kind);
        name.starts_with(body) && matches!(definition, Some(Kind::Struct(_)))
    };
    let mut inline = variants.iter_mut().filter(|variant| is_inline(&variant.ty));
    if let (Some(variant), None) = (inline.next(), inline.next()) {
        "Object".clone_into(&mut variant.ident);
    }
}

fn item(of: &Type) -> Option<Type> {
    match of {
        Type::Vec(of) => Some((**of).clone()),
        _ => None,
    }
}

/// The strings of a type: `Some(None)` for any, `None` for a type that is not a string.
#[allow(clippy::option_option, reason = "any string is not the same as none")]
fn values(of: &Type, types: &Types) -> Option<Option<Vec<EnumValue>>> {
    match of.unboxed() {
        Type::Path(path) if path == "String" => Some(None),
        Type::Named(name) => match &types.get(name)?.kind {
            Kind::Enum(values) => Some(Some(values.clone())),
            _ => None,
        },
        _ => None,
    }
}

/// The values of all enums; `None` if one of them takes any string.
fn united(all: Vec<Option<Vec<EnumValue>>>) -> Option<Vec<EnumValue>> {
    let mut united: Vec<EnumValue> = Vec::new();
    for value in all.into_iter().collect::<Option<Vec<_>>>()?.into_iter().flatten() {
        // Two enums can have different values with the same variant name; the second is then `…_`.
        if united.iter().any(|other| other.name == value.name) {
            continue;
        }
        let mut ident = value.ident;
        while united.iter().any(|other| other.ident == ident) {
            ident.push('_');
        }
        united.push(EnumValue { ident, name: value.name });
    }
    Some(united)
}

/// Adds a type, unless it exists already since two operations have this body.
fn add(name: &str, property: &str, kind: Kind, types: &mut Types) -> Type {
    let doc = format!("A value of the property `{property}` of a body.");
    let definition = Definition { doc, kind };
    let mut name = name.to_owned();
    while types.get(&name).is_some_and(|other| *other != definition) {
        name.push_str("Property");
    }
    types.insert(name.clone(), definition);
    Type::Named(name)
}
