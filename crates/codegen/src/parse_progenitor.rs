//! Stage `parse_progenitor`: progenitor's output as a [`Model`].
//!
//! Progenitor's tokens are split into items without parsing function bodies. These are most of the output,
//! and none of them is kept: each operation's body becomes one call into the request path.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::{Fields, GenericArgument, Item, PathArguments};

use crate::error::{Error, Result};
use crate::function_names::function_key;
use crate::hints::{FieldHints, HintTable};
use crate::model::{Definition, EnumValue, Field, Kind, Model, Signature, Type, Variant};

const STAGE: &str = "parse_progenitor";

/// Reads progenitor's output. `hints` has the metadata of properties that typify drops.
pub fn read(tokens: TokenStream, hints: &HintTable) -> Result<Model> {
    let mut model = Model::default();
    for item in items(tokens) {
        if item.has("mod", "types")
            && let Some(body) = item.body
        {
            for item in items(body) {
                if let Some((name, definition)) = definition(item, hints)?
                    && model.types.insert(name.clone(), definition).is_some()
                {
                    let message = format!("two schemas map to the type `{name}`");
                    return Err(Error::new(STAGE, "/components/schemas", message));
                }
            }
        } else if item.has("impl", "Client")
            && let Some(body) = item.body
        {
            for function in items(body).into_iter().filter(RawItem::is_async) {
                let (name, signature) = signature(function)?;
                if model.signatures.insert(function_key(&name), signature).is_some() {
                    let message = format!("progenitor generated two functions `{name}`");
                    return Err(Error::new(STAGE, "/paths", message));
                }
            }
        }
    }
    Ok(model)
}

/// An item, split at its body.
struct RawItem {
    head: Vec<TokenTree>,
    body: Option<TokenStream>,
    whole: TokenStream,
}

impl RawItem {
    fn has(&self, keyword: &str, name: &str) -> bool {
        let mut pairs = self.head.iter().zip(self.head.iter().skip(1));
        pairs.any(|(first, second)| is_ident(first, keyword) && is_ident(second, name))
            && !self.head.iter().any(|token| is_ident(token, "for"))
    }

    fn starts(&self, keyword: &str) -> bool {
        self.head.iter().any(|token| is_ident(token, keyword))
    }

    fn is_async(&self) -> bool {
        self.starts("async")
    }
}

fn is_ident(token: &TokenTree, name: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == name)
}

/// Splits tokens into items: each ends with a braced group or a semicolon.
fn items(tokens: TokenStream) -> Vec<RawItem> {
    let mut items = Vec::new();
    let mut head: Vec<TokenTree> = Vec::new();
    for token in tokens {
        let body = match &token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                Some(group.stream())
            }
            TokenTree::Punct(punct) if punct.as_char() == ';' => None,
            _ => {
                head.push(token);
                continue;
            }
        };
        let mut whole: TokenStream = head.iter().cloned().collect();
        whole.extend([token]);
        items.push(RawItem { head: std::mem::take(&mut head), body, whole });
    }
    items
}

fn definition(item: RawItem, hints: &HintTable) -> Result<Option<(String, Definition)>> {
    if item.starts("impl") || !(item.starts("struct") || item.starts("enum")) {
        return Ok(None);
    }
    let item = syn::parse2::<Item>(item.whole)
        .map_err(|e| Error::new(STAGE, "", format!("cannot parse typify's output: {e}")))?;
    Ok(match item {
        Item::Struct(item) => {
            let name = item.ident.to_string();
            let field = |of: &syn::Field| field(of, &name, hints);
            let kind = match &item.fields {
                Fields::Named(fields) => {
                    Kind::Struct(fields.named.iter().map(field).collect::<Result<_>>()?)
                }
                Fields::Unnamed(fields) => match fields.unnamed.first() {
                    Some(inner) => Kind::Alias(type_of(&inner.ty)?),
                    None => Kind::Struct(Vec::new()),
                },
                Fields::Unit => Kind::Struct(Vec::new()),
            };
            Some((name.clone(), Definition { doc: type_doc(&item.attrs, &name), kind }))
        }
        Item::Enum(item) => {
            let name = item.ident.to_string();
            Some((
                name.clone(),
                Definition { doc: type_doc(&item.attrs, &name), kind: enumeration(&name, &item)? },
            ))
        }
        _ => None,
    })
}

fn enumeration(name: &str, item: &syn::ItemEnum) -> Result<Kind> {
    if item.variants.iter().all(|variant| matches!(variant.fields, Fields::Unit)) {
        let value = |variant: &syn::Variant| {
            let ident = unraw(&variant.ident);
            let name = serde_string(&variant.attrs, "rename").unwrap_or_else(|| ident.clone());
            EnumValue { name: crate::normalize::unescape_enum_value(&name), ident }
        };
        return Ok(Kind::Enum(item.variants.iter().map(value).collect()));
    }
    let variant = |variant: &syn::Variant| {
        let content = match &variant.fields {
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => fields.unnamed.first(),
            _ => None,
        };
        match content {
            Some(content) => {
                Ok(Variant { ident: variant.ident.to_string(), ty: type_of(&content.ty)? })
            }
            None => Err(Error::new(
                STAGE,
                "",
                format!("unexpected shape of variant {name}::{} in typify's output", variant.ident),
            )),
        }
    };
    Ok(Kind::Union(item.variants.iter().map(variant).collect::<Result<_>>()?))
}

fn field(field: &syn::Field, of: &str, hints: &HintTable) -> Result<Field> {
    let ident = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
    let attributes = serde_attributes(&field.attrs);
    let ty = type_of(&field.ty)?;
    let optional = attributes.contains("skip_serializing_if") || attributes.contains("default");
    let name = serde_string(&field.attrs, "rename").unwrap_or_else(|| unraw_str(&ident));
    let catch_all = attributes.contains("flatten");
    let FieldHints { order, nullable, discriminator, values } = match hints.get(of, &name) {
        Some(hints) => hints.clone(),
        None if catch_all => FieldHints::default(),
        None => {
            let message = format!("the field {of}.{ident} belongs to no property of a schema");
            return Err(Error::new(STAGE, "/components/schemas", message));
        }
    };
    let doc = doc(&field.attrs).trim().to_owned();
    Ok(Field {
        doc,
        ident,
        name,
        ty,
        required: !optional,
        nullable,
        catch_all,
        order,
        discriminator,
        values,
    })
}

/// The name and the types of `async fn name(&self, …) -> Result<ResponseValue<T>, Error<()>>`.
fn signature(function: RawItem) -> Result<(String, Signature)> {
    let unexpected = |what: &str| {
        let head: TokenStream = function.head.iter().cloned().collect();
        Error::new(STAGE, "/paths", format!("{what} in progenitor's output: {head}"))
    };
    // The body is replaced by an empty one, since it is long and not needed.
    let start = function.head.iter().position(|token| is_ident(token, "async"));
    let head = function.head.iter().skip(start.unwrap_or_default()).cloned();
    let signature: syn::Signature =
        syn::parse2(head.collect()).map_err(|e| unexpected(&format!("invalid function ({e})")))?;
    let mut parameters = Vec::new();
    for input in &signature.inputs {
        if let syn::FnArg::Typed(input) = input
            && let syn::Pat::Ident(name) = &*input.pat
        {
            parameters.push((name.ident.to_string(), type_of(&input.ty)?));
        }
    }
    let syn::ReturnType::Type(_, response) = &signature.output else {
        return Err(unexpected("a function without a result"));
    };
    let output = first_argument(response)
        .and_then(|value| first_argument(&value))
        .ok_or_else(|| unexpected("a function with an unexpected result"))?;
    let bytes = matches!(&output, syn::Type::Path(path) if path.path.is_ident("ByteStream"));
    let output = if bytes { None } else { Some(type_of(&output)?) };
    Ok((unraw(&signature.ident), Signature { parameters, output }))
}

fn first_argument(of: &syn::Type) -> Option<syn::Type> {
    let syn::Type::Path(path) = of else { return None };
    match &path.path.segments.last()?.arguments {
        PathArguments::AngleBracketed(arguments) => {
            arguments.args.iter().find_map(|argument| match argument {
                GenericArgument::Type(of) => Some(of.clone()),
                _ => None,
            })
        }
        _ => None,
    }
}

/// The Rust types that typify writes, in the generator's form.
fn type_of(of: &syn::Type) -> Result<Type> {
    let unexpected = || {
        let shown = quote::ToTokens::to_token_stream(of);
        Error::new(STAGE, "", format!("unexpected type in typify's output: {shown}"))
    };
    let path = match of {
        syn::Type::Reference(reference) => return type_of(&reference.elem),
        syn::Type::Tuple(tuple) if tuple.elems.is_empty() => return Ok(Type::path("()")),
        syn::Type::Path(path) => &path.path,
        _ => return Err(unexpected()),
    };
    let last = path.segments.last().ok_or_else(unexpected)?;
    let argument = || {
        let argument = match &last.arguments {
            PathArguments::AngleBracketed(arguments) => arguments.args.last(),
            _ => None,
        };
        match argument {
            Some(GenericArgument::Type(of)) => Ok(Box::new(type_of(of)?)),
            _ => Err(unexpected()),
        }
    };
    let name = last.ident.to_string();
    let first = path.segments.first().map(|segment| segment.ident.to_string());
    Ok(match (first.as_deref(), name.as_str()) {
        (_, "Option") => Type::Option(argument()?),
        (_, "Vec") => Type::Vec(argument()?),
        (_, "Box") => Type::Boxed(argument()?),
        (_, "HashMap") => Type::Map(argument()?),
        (Some("serde_json"), "Map") => Type::Map(Box::new(Type::path("::serde_json::Value"))),
        (Some("serde_json"), "Value") => Type::path("::serde_json::Value"),
        (Some("chrono"), "DateTime") => Type::path("::chrono::DateTime<::chrono::Utc>"),
        (Some("chrono"), "NaiveDate") => Type::path("::chrono::NaiveDate"),
        (Some("crate"), _) => Type::Path(format!("crate::{name}")),
        (_, "str" | "String") => Type::path("String"),
        (_, "i64" | "f64" | "bool") => Type::Path(name),
        (Some("types"), _) => Type::Named(name),
        _ if path.segments.len() == 1 && path.leading_colon.is_none() => Type::Named(name),
        _ => return Err(unexpected()),
    })
}

/// The description of a type; empty for one without a description, for which typify has its name.
fn type_doc(attributes: &[syn::Attribute], name: &str) -> String {
    let text = doc(attributes);
    if text.trim().trim_matches('`') == name { String::new() } else { text }
}

fn doc(attributes: &[syn::Attribute]) -> String {
    let mut text = String::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("doc")) {
        if let syn::Meta::NameValue(meta) = &attribute.meta
            && let syn::Expr::Lit(literal) = &meta.value
            && let syn::Lit::Str(line) = &literal.lit
        {
            text.push_str(&line.value());
        }
    }
    text
}

fn serde_attributes(attributes: &[syn::Attribute]) -> String {
    attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("serde"))
        .map(|attribute| quote::ToTokens::to_token_stream(attribute).to_string())
        .collect()
}

/// The string of `#[serde(key = "…")]`.
fn serde_string(attributes: &[syn::Attribute], key: &str) -> Option<String> {
    let mut found = None;
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        // An argument of another shape is not the requested one.
        let _ = attribute.parse_nested_meta(|meta| {
            let value = meta.value().and_then(|value| value.parse::<syn::LitStr>());
            if meta.path.is_ident(key) {
                found = value.ok().map(|value| value.value());
            }
            Ok(())
        });
    }
    found
}

fn unraw(ident: &syn::Ident) -> String {
    unraw_str(&ident.to_string())
}

fn unraw_str(ident: &str) -> String {
    ident.strip_prefix("r#").unwrap_or(ident).to_owned()
}
