//! Stage `lower`: small passes over the generated model.
//!
//! - properties are in the description's order;
//! - responses are tolerant: a list that is absent or `null` is empty; enums keep unknown values; unions fall
//!   back to raw JSON;
//! - requests are exact: values are those of the description, and `null` is sent only if it is set
//!   explicitly;
//! - operations receive the list that they paginate over, and the properties of their body that have setters;
//! - unreachable types are removed;
//! - payloads of webhooks receive the fields of the affected resources.

mod bodies;
mod calls;
mod pagination;
mod webhook_payloads;

use std::collections::{BTreeMap, BTreeSet};

use crate::document;
use crate::error::{Error, Result};
use crate::function_names::{FunctionNames, function_key};
use crate::model::{Definition, Kind, Model, Signature, Type};
use crate::operations::Operation;
use crate::type_names::TypeNames;
use crate::webhooks::{WEBHOOKS, Webhook};

pub use pagination::{ListField, Pagination};
pub use webhook_payloads::{EntityType, Payload, PayloadRoles, PayloadShape};

const STAGE: &str = "lower";

/// The model with the results of the passes.
pub struct ApiModel {
    /// The types, by name.
    pub types: BTreeMap<String, Definition>,
    /// The response types, which are tolerant; all others are request types.
    pub read: BTreeSet<String>,
    /// The calls, in the order of the operations.
    pub calls: Vec<CallModel>,
    /// The payloads, in the order of the webhooks.
    pub payloads: Vec<Payload>,
    /// The types of the resources that payloads concern.
    pub concerned: BTreeSet<EntityType>,
}

/// An operation with its types.
pub struct CallModel {
    /// The operation.
    pub operation: Operation,
    /// The parameters, in the order of those of the operation.
    pub parameters: Vec<ParameterModel>,
    /// The body.
    pub body: Body,
    /// `None` for bytes.
    pub output: Option<Type>,
    /// The pagination.
    pub paging: Pagination,
}

/// A parameter with its setter.
pub struct ParameterModel {
    /// The setter.
    pub ident: String,
    /// The type of the value, without regard to whether it is required.
    pub ty: Type,
}

/// The ways to set the body.
pub enum Body {
    /// The call has no body.
    None,
    /// As a whole, and property by property.
    Json {
        /// The type of the body.
        ty: Type,
        /// The properties that have setters.
        properties: Vec<Property>,
    },
    /// Text.
    Text,
    /// Bytes, or a stream of them.
    Octets,
    /// With a media type that the caller names.
    Other,
}

/// A property of the body with its own setter.
pub struct Property {
    /// The setter.
    pub ident: String,
    /// The method that sends `null`, if the description allows it.
    pub clear: String,
    /// The name in JSON.
    pub name: String,
    /// The description, in Markdown.
    pub doc: String,
    /// The value that GitHub uses if it is absent.
    pub default: Option<String>,
    /// The type of the value, without regard to whether it is required or nullable.
    pub ty: Type,
    /// Whether every variant of the body requires it.
    pub required: bool,
    /// Whether the description allows `null`.
    pub nullable: bool,
    /// The setter that takes bytes, if the value can be base64.
    pub base64: Option<Base64Setter>,
}

/// The setter of a property that sends bytes as base64.
pub struct Base64Setter {
    /// The setter.
    pub ident: String,
    /// The property that names the encoding, in JSON; `None` if the value is always base64.
    pub encoding: Option<String>,
}

/// Runs the passes. `functions` names the function of each operation and of each webhook, and `type_names` the
/// types that several of them share.
pub fn lower(
    model: Model,
    operations: Vec<Operation>,
    webhooks: Vec<Webhook>,
    functions: &FunctionNames,
    type_names: &TypeNames,
) -> Result<ApiModel> {
    let Model { mut types, mut signatures } = model;
    sort_fields(&mut types);
    inline_aliases(&mut types, &mut signatures)?;
    let mut read =
        reached(&types, signatures.values().filter_map(|signature| signature.output.as_ref()));
    let sent = reached(
        &types,
        signatures.values().flat_map(|signature| signature.parameters.iter().map(|(_, of)| of)),
    );
    types.retain(|name, _| read.contains(name) || sent.contains(name));
    for (name, definition) in &mut types {
        name_variants(name, &mut definition.kind);
        type_names.rename_variants(name, &mut definition.kind);
        if read.contains(name) {
            read_tolerantly(definition);
        } else {
            send_exactly(definition);
        }
    }
    let mut calls = Vec::new();
    for operation in operations {
        let signature = functions
            .of_operation(&operation.id)
            .and_then(|function| signatures.remove(&function_key(function)))
            .ok_or_else(|| no_function(operation.pointer()))?;
        calls.push(calls::call(operation, &signature, &mut types)?);
    }
    crate::dedup_types::dedup(&mut types, &mut read, &type_names.types);
    let mut payloads = Vec::new();
    for webhook in webhooks {
        let signature = functions
            .of_webhook(&webhook.key)
            .and_then(|function| signatures.remove(&function_key(function)))
            .ok_or_else(|| no_function(document::pointer(&[WEBHOOKS, &webhook.key])))?;
        payloads.push(webhook_payloads::payload(webhook, signature.output.as_ref(), &mut types)?);
    }
    if let Some(function) = signatures.keys().next() {
        let message = format!("progenitor generated `{function}`, which belongs to no operation");
        return Err(Error::new(STAGE, "/paths", message));
    }
    let concerned = webhook_payloads::concerned(&payloads, &types);
    Ok(ApiModel { types, read, calls, payloads, concerned })
}

fn no_function(pointer: String) -> Error {
    Error::new(STAGE, pointer, "progenitor generated no function for this operation")
}

fn sort_fields(types: &mut BTreeMap<String, Definition>) {
    for definition in types.values_mut() {
        if let Kind::Struct(fields) = &mut definition.kind {
            fields.sort_by_key(|field| (field.catch_all, field.order));
        }
    }
}

/// Replaces a named number or list by its type; the name stays, as an alias.
fn inline_aliases(
    types: &mut BTreeMap<String, Definition>,
    signatures: &mut BTreeMap<String, Signature>,
) -> Result<()> {
    let aliases: BTreeMap<String, Type> = types
        .iter()
        .filter_map(|(name, definition)| match &definition.kind {
            Kind::Alias(of) => Some((name.clone(), of.clone())),
            _ => None,
        })
        .collect();
    let parts = types.values_mut().flat_map(Definition::parts_mut);
    let outer = signatures.values_mut().flat_map(|signature| {
        signature.parameters.iter_mut().map(|(_, of)| of).chain(signature.output.as_mut())
    });
    parts.chain(outer).try_for_each(|of| inline_alias(&aliases, of, 0))
}

/// Maximum length of a chain of aliases; a longer one is a cycle.
const MAX_ALIASES: usize = 32;

fn inline_alias(aliases: &BTreeMap<String, Type>, of: &mut Type, depth: usize) -> Result<()> {
    match of {
        Type::Named(name) => {
            let Some(target) = aliases.get(name) else { return Ok(()) };
            if depth > MAX_ALIASES {
                let message =
                    format!("`{name}` is a list or an alias of itself, which Rust cannot express");
                return Err(Error::new(STAGE, "/components/schemas", message));
            }
            *of = target.clone();
            inline_alias(aliases, of, depth + 1)
        }
        Type::Path(_) => Ok(()),
        Type::Option(of) | Type::Vec(of) | Type::Map(of) | Type::Boxed(of) => {
            inline_alias(aliases, of, depth + 1)
        }
    }
}

/// The types that some types consist of.
fn reached<'a>(
    types: &'a BTreeMap<String, Definition>,
    roots: impl Iterator<Item = &'a Type>,
) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = Vec::new();
    roots.for_each(|root| root.names(&mut |name| open.push(name)));
    while let Some(name) = open.pop() {
        if reached.insert(name.to_owned())
            && let Some(definition) = types.get(name)
        {
            definition.parts().into_iter().for_each(|part| part.names(&mut |name| open.push(name)));
        }
    }
    reached
}

/// Short names for a union's variants: their type, without the union's name.
fn name_variants(name: &str, kind: &mut Kind) {
    let Kind::Union(variants) = kind else { return };
    let own = |of: &str| {
        // A request type has the name of the response type, and `Input`.
        let sent = || of.strip_suffix("Input")?.strip_prefix(name.strip_suffix("Input")?);
        of.strip_prefix(name).or_else(sent).unwrap_or(of).to_owned()
    };
    let short: Vec<String> = variants
        .iter()
        .map(|variant| match variant.ty.unboxed() {
            Type::Path(path) if path == "i64" => "Integer".to_owned(),
            Type::Path(path) if path == "f64" => "Number".to_owned(),
            Type::Path(path) if path == "bool" => "Boolean".to_owned(),
            Type::Path(path) if path == "String" => "String".to_owned(),
            Type::Vec(_) => "Array".to_owned(),
            Type::Map(_) => "Object".to_owned(),
            Type::Named(of) => own(of),
            _ => variant.ident.clone(),
        })
        .collect();
    let is_usable = |ident: &String| {
        ident.starts_with(|c: char| c.is_ascii_alphabetic())
            && short.iter().filter(|other| *other == ident).count() == 1
    };
    for (variant, ident) in variants.iter_mut().zip(&short) {
        if is_usable(ident) {
            variant.ident.clone_from(ident);
        }
        // A response union has a variant with this name for values that fit no other; a request union has the
        // same name.
        if variant.ident == "Other" {
            "OtherVariant".clone_into(&mut variant.ident);
        }
    }
}

fn read_tolerantly(definition: &mut Definition) {
    let Kind::Struct(fields) = &mut definition.kind else { return };
    for field in fields {
        if let Type::Option(of) = &field.ty
            && matches!(**of, Type::Vec(_) | Type::Map(_))
        {
            field.ty = (**of).clone();
        }
    }
}

/// Optional nullable properties distinguish absent and `null`.
fn send_exactly(definition: &mut Definition) {
    let Kind::Struct(fields) = &mut definition.kind else { return };
    for field in fields {
        if !field.required && field.nullable && matches!(field.ty, Type::Option(_)) {
            field.ty = Type::Option(Box::new(field.ty.clone()));
        }
    }
}
