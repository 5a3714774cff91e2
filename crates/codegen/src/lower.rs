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
mod webhook_payloads;

use std::collections::{BTreeMap, BTreeSet};

use crate::document;
use crate::error::{Error, Result};
use crate::function_names::{FunctionNames, function_key};
use crate::model::{Definition, Field, Kind, Model, Signature, Type};
use crate::names::{self, squashed};
use crate::operations::{Input, Operation, Output};
use crate::webhooks::{WEBHOOKS, Webhook};

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
    /// The type of the value, without regard to whether it is required or nullable.
    pub ty: Type,
    /// Whether every variant of the body requires it.
    pub required: bool,
    /// Whether the description allows `null`.
    pub nullable: bool,
}

/// The content of `stream()`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pagination {
    /// The operation has no pages.
    None,
    /// Pages whose list the description does not name.
    Pages,
    /// The page is a list, or has one in a field.
    List {
        /// The type of an item.
        item: Type,
        /// The field with the list; `None` if the page is the list.
        field: Option<ListField>,
        /// Whether there might be no page at all.
        optional: bool,
    },
}

/// The field of a page that contains its list, and the fields beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListField {
    /// The Rust identifier.
    pub ident: String,
    /// The name in JSON.
    pub name: String,
    /// The field with the number of items of all pages: the number `total_count`.
    pub total: Option<String>,
    /// The field that states whether results are missing: the boolean `incomplete_results`.
    pub incomplete_results: Option<String>,
}

/// Names that setters must not have.
const RESERVED: [&str; 7] = ["send", "stream", "pages", "json", "with", "into_request", "new"];

/// Runs the passes. `functions` names the function of each operation and of each webhook.
pub fn lower(
    model: Model,
    operations: Vec<Operation>,
    webhooks: Vec<Webhook>,
    functions: &FunctionNames,
) -> Result<ApiModel> {
    let Model { mut types, mut signatures } = model;
    sort_fields(&mut types);
    inline_aliases(&mut types, &mut signatures)?;
    let read =
        reached(&types, signatures.values().filter_map(|signature| signature.output.as_ref()));
    let sent = reached(
        &types,
        signatures.values().flat_map(|signature| signature.parameters.iter().map(|(_, of)| of)),
    );
    types.retain(|name, _| read.contains(name) || sent.contains(name));
    for (name, definition) in &mut types {
        name_variants(name, &mut definition.kind);
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
        calls.push(call(operation, &signature, &mut types)?);
    }
    crate::dedup_types::dedup(&mut types, &read);
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

fn call(
    operation: Operation,
    signature: &Signature,
    types: &mut BTreeMap<String, Definition>,
) -> Result<CallModel> {
    let named = |name: &str| {
        let found =
            signature.parameters.iter().find(|(ident, _)| squashed(ident) == squashed(name));
        found.map(|(_, of)| of)
    };
    let mut setters = SetterNames::new(&operation);
    let mut parameters = Vec::new();
    for parameter in &operation.parameters {
        let of = named(&parameter.name).map_or(Type::path("String"), |of| of.unwrapped().clone());
        parameters.push(ParameterModel { ident: setters.name(&parameter.name, "_")?, ty: of });
    }
    let body = match operation.input {
        Input::None => Body::None,
        Input::Text => Body::Text,
        Input::OctetStream => Body::Octets,
        Input::Other => Body::Other,
        Input::Json => {
            let of = named("body").map_or(Type::path("::serde_json::Value"), |of| of.clone());
            let mut properties = bodies::properties(&of, types);
            for property in &mut properties {
                property.ident = setters.name(&property.name, "body_")?;
                if property.nullable {
                    property.clear = setters.name(&format!("clear_{}", property.name), "_")?;
                }
            }
            Body::Json { ty: of, properties }
        }
    };
    let paging = paging(&operation, signature, types);
    Ok(CallModel { operation, parameters, body, output: signature.output.clone(), paging })
}

/// The names of a call's methods, which are unique.
struct SetterNames {
    used_names: BTreeSet<String>,
    pointer: String,
}

impl SetterNames {
    fn new(operation: &Operation) -> Self {
        Self { used_names: RESERVED.map(str::to_owned).into(), pointer: operation.pointer() }
    }

    /// A setter for the property `name`. If the name is taken, `disambiguator` is put before it, or behind it
    /// if it is a `_`.
    fn name(&mut self, name: &str, disambiguator: &str) -> Result<String> {
        let Some(mut ident) = names::snake(name) else {
            let message = format!("the name `{name}` cannot be converted to a Rust identifier");
            return Err(Error::new(STAGE, &self.pointer, message));
        };
        while self.used_names.contains(&ident) {
            ident = if disambiguator == "_" {
                format!("{ident}_")
            } else {
                format!("{disambiguator}{ident}")
            };
        }
        self.used_names.insert(ident.clone());
        Ok(ident)
    }
}

fn paging(
    operation: &Operation,
    signature: &Signature,
    types: &BTreeMap<String, Definition>,
) -> Pagination {
    let pages = operation.parameters.iter().any(|parameter| {
        parameter.location == "query"
            && matches!(
                parameter.name.as_str(),
                "page" | "per_page" | "cursor" | "after" | "before"
            )
    });
    let is_json = matches!(operation.output, Output::Json { .. });
    let Some(output) = signature.output.as_ref().filter(|_| pages && is_json) else {
        return Pagination::None;
    };
    let optional = matches!(output, Type::Option(_));
    let list = |item: &Type, field: Option<ListField>| Pagination::List {
        item: item.clone(),
        field,
        optional,
    };
    let fields = match resolve(output.unwrapped(), types) {
        ResolvedType::List(item) => return list(item, None),
        ResolvedType::Fields(fields) => fields,
        ResolvedType::Other => return Pagination::Pages,
    };
    let lists: Vec<(&Field, &Type)> = fields
        .iter()
        .filter_map(|field| match &field.ty {
            Type::Vec(of) => Some((field, &**of)),
            _ => None,
        })
        .collect();
    let beside = |name: &str, paths: &[&str]| {
        let field = fields.iter().find(|field| field.name == name)?;
        let fits = matches!(field.ty.unwrapped(), Type::Path(path) if paths.contains(&&**path));
        fits.then(|| field.ident.clone())
    };
    let in_field = |field: &Field| ListField {
        ident: field.ident.clone(),
        name: field.name.clone(),
        total: beside("total_count", &["i64", "f64"]),
        incomplete_results: beside("incomplete_results", &["bool"]),
    };
    // The list that the overlay names, or the only one; of several, the one after which the path is named.
    let last = operation.path.rsplit('/').find(|segment| !segment.starts_with('{'));
    let wanted = operation.items.as_deref().or(last).map(squashed).unwrap_or_default();
    let is_wanted = |field: &Field| field.ident == "items" || squashed(&field.ident) == wanted;
    match (lists.iter().find(|(field, _)| is_wanted(field)), lists.as_slice()) {
        (Some((field, item)), _) | (None, [(field, item)]) => list(item, Some(in_field(field))),
        _ => Pagination::Pages,
    }
}

enum ResolvedType<'a> {
    List(&'a Type),
    Fields(&'a [Field]),
    Other,
}

fn resolve<'a>(of: &'a Type, types: &'a BTreeMap<String, Definition>) -> ResolvedType<'a> {
    match of {
        Type::Vec(of) => ResolvedType::List(of),
        Type::Boxed(of) => resolve(of, types),
        Type::Named(name) => match types.get(name).map(|definition| &definition.kind) {
            Some(Kind::Alias(of)) => resolve(of, types),
            Some(Kind::Struct(fields)) => ResolvedType::Fields(fields),
            _ => ResolvedType::Other,
        },
        _ => ResolvedType::Other,
    }
}
