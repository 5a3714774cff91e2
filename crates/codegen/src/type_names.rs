//! Names that the overlay gives to generated types and to the variants of unions.
//!
//! Of equal types, one is the definition, and every other name is an alias ([`dedup_types`](crate::dedup_types)).
//! Without a name of the overlay, the definition has the shortest of their names, which can be that of an
//! unrelated operation. The names of the overlay are not those of a place, so they stay the same when GitHub
//! uses a type in more places, or when more Cargo features are enabled.
//!
//! The overlay describes a type by one of its names, which not every build has. So the refresh adds
//! [all names](TypeNames::with_all_names) of the type to what a build reads.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{Error, Result};
use crate::model::{Definition, EnumValue, Kind, Type, Variant, resolved};
use crate::names::pascal;

/// The key of the overlay with the names of types.
pub const TYPES: &str = "x-octowire-types";

/// The key of the overlay with the names of variants.
pub const VARIANTS: &str = "x-octowire-variants";

/// The names that an overlay has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TypeNames {
    /// The names of types.
    pub types: Vec<TypeName>,
    /// For each union, the new names of its variants by those that the generator gives them.
    pub variants: BTreeMap<String, BTreeMap<String, String>>,
}

/// The name of a type that several operations share.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TypeName {
    /// The name of the definition.
    pub name: String,
    /// The values of an enum, in the order of its definition: each enum with exactly these values becomes an
    /// alias of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// Whether the values are those of enums in requests, and not of those in responses.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub request: bool,
    /// The types that equal the named one, of which a build has some; one of them suffices in the overlay.
    #[serde(default, deserialize_with = "one_or_more", skip_serializing_if = "Vec::is_empty")]
    pub of: Vec<String>,
}

/// Reads a name, or a list of names.
fn one_or_more<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    Ok(match OneOrMore::deserialize(from)? {
        OneOrMore::One(name) => vec![name],
        OneOrMore::More(names) => names,
    })
}

impl TypeNames {
    /// Checks the names for themselves. `stage` is the stage that has read them.
    pub fn check(&self, stage: &'static str) -> Result<()> {
        let (mut names, mut targets) = (BTreeSet::new(), BTreeSet::new());
        for (index, entry) in self.types.iter().enumerate() {
            let fail =
                |message: String| Err(Error::new(stage, format!("/{TYPES}/{index}"), message));
            let TypeName { name, values, request, of } = entry;
            if !is_type_name(name) {
                return fail(format!("`{name}` is not the name of a type, such as `IssueState`"));
            }
            if values.is_empty() == of.is_empty() || (*request && !of.is_empty()) {
                return fail(format!("`{name}` needs either `values` or `of`"));
            }
            let mut sorted = values.clone();
            sorted.sort();
            sorted.dedup();
            if sorted.len() < values.len() {
                return fail(format!("`{name}` has a value twice"));
            }
            let is_new = match of.as_slice() {
                [] => targets.insert((sorted, *request, None)),
                of => of.iter().all(|of| targets.insert((Vec::new(), false, Some(of)))),
            };
            if !names.insert(name) || !is_new {
                return fail(format!("`{name}` or its type is named twice"));
            }
        }
        for (union, variants) in &self.variants {
            if let Some(name) = variants.values().find(|name| !is_type_name(name)) {
                let message = format!("`{name}` is not the name of a variant, such as `File`");
                return Err(Error::new(stage, format!("/{VARIANTS}/{union}"), message));
            }
        }
        Ok(())
    }

    /// Adds all other names of its type to each entry that describes a type by its names. `types` are those of a
    /// build of the whole description with these names.
    #[must_use]
    pub fn with_all_names(mut self, types: &BTreeMap<String, Definition>) -> Self {
        let mut aliases: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
        for (alias, definition) in types {
            if let Kind::Alias(Type::Named(name)) = &definition.kind {
                aliases.entry(name).or_default().push(alias);
            }
        }
        for TypeName { name, of, .. } in &mut self.types {
            let name = name.as_str();
            let is_named = |of: &String| resolved(of, types).is_some_and(|(it, _)| it == name);
            // Otherwise, the entry has no effect.
            if of.iter().any(is_named) {
                for alias in aliases.get(name).into_iter().flatten() {
                    if !of.contains(alias) {
                        of.push((*alias).clone());
                    }
                }
            }
        }
        self
    }

    /// Renames the variants of a union that has this name.
    pub fn rename_variants(&self, union: &str, kind: &mut Kind) {
        let (Some(names), Kind::Union(variants)) = (self.variants.get(union), kind) else { return };
        for index in 0..variants.len() {
            let Some(name) = variants.get(index).and_then(|it| names.get(&it.ident)) else {
                continue;
            };
            // Another description can have a further variant with this name.
            if variants.iter().all(|other| other.ident != *name)
                && let Some(Variant { ident, .. }) = variants.get_mut(index)
            {
                ident.clone_from(name);
            }
        }
    }
}

impl TypeName {
    /// Returns the values of an enum in the order of the entry, if it has exactly these. `is_read`: it is an
    /// enum in responses.
    pub fn matching(&self, kind: &Kind, is_read: bool) -> Option<Vec<EnumValue>> {
        let Kind::Enum(values) = kind else { return None };
        if self.request == is_read || values.len() != self.values.len() {
            return None;
        }
        let value = |name: &String| values.iter().find(|value| value.name == *name).cloned();
        self.values.iter().map(value).collect()
    }
}

/// Returns whether this is a Rust identifier in camel case.
fn is_type_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase()) && pascal(name).as_deref() == Some(name)
}
