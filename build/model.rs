//! Parses progenitor's output: types, and the signatures of operations.
//!
//! Progenitor's tokens are split into items without parsing function bodies. These are most of the output,
//! and none of them is kept: each operation's body becomes one call into the request path.

use std::collections::BTreeMap;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::{Fields, GenericArgument, Item, PathArguments};

use super::error::{Error, Result};
use super::tolerate::{Discriminator, FieldHints};

const STAGE: &str = "refine";

/// The complete generated output.
#[derive(Debug, Default)]
pub struct Model {
    pub types: BTreeMap<String, Definition>,
    /// In the order of the description's operations.
    pub signatures: Vec<Signature>,
}

/// A generated type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Definition {
    pub doc: String,
    pub kind: Kind,
}

/// The kind of a generated type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Kind {
    Struct(Vec<Field>),
    /// Strings of which the description names some.
    Enum(Vec<EnumValue>),
    /// One of several types, chosen by the value.
    Union(Vec<Variant>),
    /// Another name of a type.
    Alias(Type),
}

/// A property.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Field {
    pub doc: String,
    pub ident: String,
    /// The name in JSON.
    pub name: String,
    pub ty: Type,
    /// Whether the description requires it.
    pub required: bool,
    /// Whether the description allows `null`.
    pub nullable: bool,
    /// Whether this is the map of all properties without a field.
    pub catch_all: bool,
    /// Its index in the description.
    pub order: usize,
    /// For a union, the property beside it that determines its variant.
    pub decided_by: Option<Discriminator>,
}

/// A value of an enum.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EnumValue {
    pub ident: String,
    /// The string in JSON.
    pub name: String,
}

/// A variant of a union.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Variant {
    pub ident: String,
    pub ty: Type,
}

/// A Rust type, with the parts that the generator uses.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Type {
    /// A generated type, by name.
    Named(String),
    /// A type from another crate, as it is written.
    Path(String),
    Option(Box<Self>),
    Vec(Box<Self>),
    Map(Box<Self>),
    Boxed(Box<Self>),
}

/// An operation's types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Idents and types, in progenitor's order; `Option` if optional.
    pub parameters: Vec<(String, Type)>,
    /// The response type; `None` for bytes.
    pub output: Option<Type>,
}

impl Type {
    pub fn path(path: &str) -> Self {
        Self::Path(path.to_owned())
    }

    /// Calls `visit` with the name of each generated type within.
    pub fn names<'a>(&'a self, visit: &mut impl FnMut(&'a str)) {
        match self {
            Self::Named(name) => visit(name),
            Self::Path(_) => {}
            Self::Option(of) | Self::Vec(of) | Self::Map(of) | Self::Boxed(of) => of.names(visit),
        }
    }

    /// Without an outer `Option`.
    pub fn unwrapped(&self) -> &Self {
        match self {
            Self::Option(of) => of,
            other => other,
        }
    }

    /// Without outer `Box`es.
    pub fn unboxed(&self) -> &Self {
        match self {
            Self::Boxed(of) => of.unboxed(),
            other => other,
        }
    }
}

impl Definition {
    /// The types that this one consists of.
    pub fn parts(&self) -> Vec<&Type> {
        match &self.kind {
            Kind::Struct(fields) => fields.iter().map(|field| &field.ty).collect(),
            Kind::Union(variants) => variants.iter().map(|variant| &variant.ty).collect(),
            Kind::Alias(of) => vec![of],
            Kind::Enum(_) => Vec::new(),
        }
    }

    /// The types that this one consists of, mutably.
    pub fn parts_mut(&mut self) -> Vec<&mut Type> {
        match &mut self.kind {
            Kind::Struct(fields) => fields.iter_mut().map(|field| &mut field.ty).collect(),
            Kind::Union(variants) => variants.iter_mut().map(|variant| &mut variant.ty).collect(),
            Kind::Alias(of) => vec![of],
            Kind::Enum(_) => Vec::new(),
        }
    }
}

/// Resolves a name through aliases, to the name of its definition.
pub fn resolved<'a>(
    name: &str,
    types: &'a BTreeMap<String, Definition>,
) -> Option<(&'a str, &'a Kind)> {
    let (name, definition) = types.get_key_value(name)?;
    match &definition.kind {
        Kind::Alias(Type::Named(name)) => resolved(name, types),
        kind => Some((name, kind)),
    }
}

/// Reads progenitor's output.
pub fn read(tokens: TokenStream) -> Result<Model> {
    let mut model = Model::default();
    for item in items(tokens) {
        if item.has("mod", "types")
            && let Some(body) = item.body
        {
            for item in items(body) {
                if let Some((name, definition)) = definition(item)?
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
                model.signatures.push(signature(function)?);
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
        self.head.windows(2).any(|pair| is_ident(&pair[0], keyword) && is_ident(&pair[1], name))
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

fn definition(item: RawItem) -> Result<Option<(String, Definition)>> {
    if item.starts("impl") || !(item.starts("struct") || item.starts("enum")) {
        return Ok(None);
    }
    let item = syn::parse2::<Item>(item.whole)
        .map_err(|e| Error::new(STAGE, "", format!("cannot parse typify's output: {e}")))?;
    Ok(match item {
        Item::Struct(item) => {
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
            Some((item.ident.to_string(), Definition { doc: doc(&item.attrs), kind }))
        }
        Item::Enum(item) => {
            let name = item.ident.to_string();
            Some((
                name.clone(),
                Definition { doc: doc(&item.attrs), kind: enumeration(&name, &item)? },
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
            EnumValue { name: super::normalize::unescape_enum_value(&name), ident }
        };
        return Ok(Kind::Enum(item.variants.iter().map(value).collect()));
    }
    let variant = |variant: &syn::Variant| match &variant.fields {
        Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
            Ok(Variant { ident: variant.ident.to_string(), ty: type_of(&fields.unnamed[0].ty)? })
        }
        _ => Err(Error::new(
            STAGE,
            "",
            format!("unexpected shape of variant {name}::{} in typify's output", variant.ident),
        )),
    };
    Ok(Kind::Union(item.variants.iter().map(variant).collect::<Result<_>>()?))
}

fn field(field: &syn::Field) -> Result<Field> {
    let ident = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
    let description = doc(&field.attrs);
    let (mark, description) = FieldHints::read(&description);
    let attributes = serde_attributes(&field.attrs);
    let of = type_of(&field.ty)?;
    let optional = attributes.contains("skip_serializing_if") || attributes.contains("default");
    Ok(Field {
        doc: description.trim().to_owned(),
        name: serde_string(&field.attrs, "rename").unwrap_or_else(|| unraw_str(&ident)),
        ident,
        ty: of,
        required: !optional,
        nullable: mark.nullable,
        catch_all: attributes.contains("flatten"),
        order: mark.order,
        decided_by: mark.decided_by,
    })
}

fn signature(function: RawItem) -> Result<Signature> {
    let mut groups = function.head.iter().enumerate().filter_map(|(index, token)| match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis => {
            Some((index, group.stream()))
        }
        _ => None,
    });
    let Some((index, parameters)) = groups.next() else {
        return Err(Error::new(STAGE, "", "function without parameters in progenitor's output"));
    };
    let parse = |tokens: TokenStream| {
        syn::parse2::<syn::Type>(tokens)
            .map_err(|e| Error::new(STAGE, "", format!("cannot parse progenitor's output: {e}")))
    };
    let signature: syn::Signature = {
        let group = proc_macro2::Group::new(Delimiter::Parenthesis, parameters);
        let tokens: TokenStream =
            "fn f".parse::<TokenStream>().into_iter().flatten().chain([group.into()]).collect();
        syn::parse2(tokens)
            .map_err(|e| Error::new(STAGE, "", format!("cannot parse progenitor's output: {e}")))?
    };
    let mut parameters = Vec::new();
    for input in &signature.inputs {
        if let syn::FnArg::Typed(input) = input
            && let syn::Pat::Ident(name) = &*input.pat
        {
            parameters.push((name.ident.to_string(), type_of(&input.ty)?));
        }
    }
    // `-> Result<ResponseValue<T>, Error<()>>`: skip the arrow.
    let response = parse(function.head[index + 3..].iter().cloned().collect())?;
    let output =
        first_argument(&response).and_then(|value| first_argument(&value)).ok_or_else(|| {
            Error::new(STAGE, "", "function with an unexpected result in progenitor's output")
        })?;
    let bytes = matches!(&output, syn::Type::Path(path) if path.path.is_ident("ByteStream"));
    Ok(Signature { parameters, output: if bytes { None } else { Some(type_of(&output)?) } })
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
