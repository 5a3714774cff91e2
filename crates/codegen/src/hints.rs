//! Metadata of properties that progenitor and typify drop: a side table from the schemas that they read to the
//! types that they generate.

use std::collections::BTreeMap;

use serde_json::Value;

/// Our overlay's key for a [`Discriminator`].
pub const DISCRIMINATOR: &str = "x-octowire-discriminator";

/// The variant of a [`Discriminator`] that is a map.
pub const OBJECT: &str = "object";

/// Metadata of a property that its generated field does not have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldHints {
    /// The index of the property among its siblings. Typify sorts them; GitHub sends them in this order.
    pub order: usize,
    /// Whether the description allows `null`. Typify does not distinguish it from an absent property.
    pub nullable: bool,
    /// The discriminator of a union.
    pub discriminator: Option<Discriminator>,
    /// The value that GitHub uses if a request does not have it, and an example of a value.
    pub values: DocumentedValues,
}

/// Values that the description names, for the documentation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct DocumentedValues {
    /// The value that GitHub uses if it is absent.
    pub default: Option<String>,
    /// One value.
    pub example: Option<String>,
}

/// The documented values of properties, by component schema and by property.
pub type ValueTable = BTreeMap<(String, String), DocumentedValues>;

/// Another property of the same object that determines the variant of a union (our overlay's
/// `x-octowire-discriminator`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Discriminator {
    /// The name of the other property.
    pub property: String,
    /// For each of its values, the component of the variant, or [`OBJECT`] for a map.
    pub variants: Vec<(String, String)>,
}

impl Discriminator {
    /// Reads `{ property, mapping }`. Returns `None` for any other value.
    pub fn read(value: &Value) -> Option<Self> {
        let target = |(constant, target): (&String, &Value)| {
            Some((constant.clone(), target.as_str()?.to_owned()))
        };
        Some(Self {
            property: value["property"].as_str()?.to_owned(),
            variants: value["mapping"].as_object()?.iter().filter_map(target).collect(),
        })
    }
}

/// The hints of every property, by component schema and by property.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HintTable {
    schemas: BTreeMap<String, BTreeMap<String, FieldHints>>,
}

impl HintTable {
    /// Adds the hints of a component's property.
    pub fn insert(&mut self, component: &str, property: &str, hints: FieldHints) {
        self.schemas.entry(key(component)).or_default().insert(property.to_owned(), hints);
    }

    /// Returns the hints of a property, by the name of the component or of the type that typify generates
    /// for it.
    pub fn get(&self, name: &str, property: &str) -> Option<&FieldHints> {
        self.schemas.get(&key(name))?.get(property)
    }
}

/// The part of a name that typify's conversion into a type name keeps.
fn key(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
