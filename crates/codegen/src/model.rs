//! The generated API as a small model: types, and the signatures of operations.

use std::collections::BTreeMap;

use crate::hints::{Discriminator, DocumentedValues};

/// The complete generated output.
#[derive(Debug, Default)]
pub struct Model {
    /// The types, by name.
    pub types: BTreeMap<String, Definition>,
    /// The signature of each function, by its name as [`function_key`](crate::function_names::function_key)
    /// has it.
    pub signatures: BTreeMap<String, Signature>,
}

/// A generated type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Definition {
    /// The description, in Markdown.
    pub doc: String,
    /// The kind.
    pub kind: Kind,
}

/// The kind of a generated type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A record.
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
    /// The description, in Markdown.
    pub doc: String,
    /// The Rust identifier.
    pub ident: String,
    /// The name in JSON.
    pub name: String,
    /// The type.
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
    pub discriminator: Option<Discriminator>,
    /// The values that the description names.
    pub values: DocumentedValues,
}

/// A value of an enum.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EnumValue {
    /// The Rust identifier.
    pub ident: String,
    /// The string in JSON.
    pub name: String,
}

/// A variant of a union.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Variant {
    /// The Rust identifier.
    pub ident: String,
    /// The type of the value.
    pub ty: Type,
}

/// A Rust type, with the parts that the generator uses.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Type {
    /// A generated type, by name.
    Named(String),
    /// A type from another crate, as it is written.
    Path(String),
    /// `Option<T>`.
    Option(Box<Self>),
    /// `Vec<T>`.
    Vec(Box<Self>),
    /// `BTreeMap<String, T>`.
    Map(Box<Self>),
    /// `Box<T>`.
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
    /// A type from another crate.
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
