//! The sizes of the generated types, and which of them are boxed.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::lower::ApiModel;
use crate::model::{Field, Kind, Type};

/// An optional response record that is larger than this, in bytes as [`Sizes`] counts them, is boxed.
///
/// A user is half as large, and is not boxed. A repository, an app or a comment, which few responses contain,
/// would make each record with such a field several kilobytes large.
const LARGE: usize = 1024;

/// The approximate size of a value in bytes, on a 64-bit machine.
///
/// It is calculated from the description instead of the compiler's layout, so that a type is the same in
/// every build.
pub(super) struct Sizes<'a> {
    api: &'a ApiModel,
    known: BTreeMap<&'a str, usize>,
}

impl<'a> Sizes<'a> {
    pub(super) fn new(api: &'a ApiModel) -> Self {
        Self { api, known: BTreeMap::new() }
    }

    /// The fields, with large and often absent ones in a `Box`.
    pub(super) fn boxed(&mut self, fields: &'a [Field]) -> Vec<Cow<'a, Field>> {
        let boxed = |field: &'a Field| match &field.ty {
            Type::Option(of) if self.of(of) > LARGE => {
                let of = Type::Option(Box::new(Type::Boxed(of.clone())));
                Cow::Owned(Field { ty: of, ..field.clone() })
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
        // A type can contain itself only behind a pointer; the bound also handles a defect.
        self.known.insert(name, 0);
        let size = match self.api.types.get(name).map(|definition| &definition.kind) {
            Some(Kind::Alias(of)) => self.of(of),
            Some(Kind::Union(variants)) => {
                variants.iter().map(|variant| self.of(&variant.ty)).max().unwrap_or(0)
            }
            Some(Kind::Struct(fields)) => fields
                .iter()
                .map(|field| match (&field.ty, self.of(&field.ty)) {
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
