//! The meaning of a schema, as the build's `normalize` computes it: `$ref`s followed, `allOf` merged, unions
//! distinguished from objects. Unlike there, every part has its location in the description.

use serde_json::Value;

use super::LocatedSchema;
use octowire_codegen::document;

/// Maximum length of a chain of references before it counts as a cycle.
const MAX_DEPTH: usize = 32;

/// A schema with all its parts.
pub struct Shape<'a> {
    /// The schema and the parts of its `allOf`; none has a `$ref` or a nested `allOf`.
    parts: Vec<LocatedSchema<'a>>,
    pub nullable: bool,
}

/// The type of a schema's values.
pub enum ValueShape<'a> {
    Anything,
    /// One of these.
    Union(Vec<LocatedSchema<'a>>),
    /// A list whose items are one of these.
    ListOf(Vec<LocatedSchema<'a>>),
    List(Option<LocatedSchema<'a>>),
    /// An object without named properties, with these values.
    Map(Option<LocatedSchema<'a>>),
    Object,
    /// `string`, `integer`, `number` or `boolean`.
    Scalar(&'a str),
}

impl<'a> Shape<'a> {
    pub fn of(document: &'a Value, schema: &'a Value, at: &str) -> Self {
        let mut shape = Self { parts: Vec::new(), nullable: false };
        shape.add(document, schema, at, 0);
        shape
    }

    fn add(&mut self, document: &'a Value, schema: &'a Value, at: &str, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        self.nullable |= schema["nullable"] == true;
        if let Some(at) = super::target(schema) {
            if let Some(target) = document.pointer(&at) {
                self.add(document, target, &at, depth + 1);
            }
            return;
        }
        self.nullable |= document::array(schema, "enum").any(Value::is_null);
        self.nullable |= variants(schema, at).any(|(variant, _)| variant["type"] == "null");
        self.parts.push((schema, at.to_owned()));
        for (index, part) in document::array(schema, "allOf").enumerate() {
            self.add(document, part, &format!("{at}/allOf/{index}"), depth + 1);
        }
    }

    /// The first part with content.
    pub fn says(&self, key: &str) -> Option<(&'a Value, &str)> {
        self.parts.iter().find_map(|(schema, at)| Some((schema.get(key)?, at.as_str())))
    }

    /// The parts of a union that is not a real one: all but one of its variants are `null`, or the same.
    pub fn only_variant(&self) -> Option<LocatedSchema<'a>> {
        if self.says("properties").is_some() {
            return None;
        }
        let mut variants = self.variants();
        let first = variants.next()?;
        variants.all(|(variant, _)| variant == first.0).then_some(first)
    }

    /// The variants of a union, without `null`.
    fn variants(&self) -> impl Iterator<Item = LocatedSchema<'a>> {
        let variants = self.parts.iter().flat_map(|(schema, at)| variants(schema, at));
        variants.filter(|(variant, _)| variant["type"] != "null")
    }

    pub fn kind(&self, document: &'a Value) -> ValueShape<'a> {
        if let Some((one, at)) = self.only_variant() {
            return Self::of(document, one, &at).kind(document);
        }
        let variants: Vec<LocatedSchema<'a>> = self.variants().collect();
        let properties = self.says("properties");
        if properties.is_none() && !variants.is_empty() {
            return union(document, variants);
        }
        let items = self.says("items").map(|(items, at)| (items, format!("{at}/items")));
        match self.says("type").and_then(|(of, _)| of.as_str()) {
            Some("array") => ValueShape::List(items),
            None if items.is_some() => ValueShape::List(items),
            None | Some("object") if properties.is_some() => ValueShape::Object,
            Some("object") => ValueShape::Map(self.rest()),
            Some(of) => ValueShape::Scalar(of),
            None => match self.says("enum") {
                Some((Value::Array(values), _))
                    if values.iter().all(|value| value.is_string() || value.is_null()) =>
                {
                    ValueShape::Scalar("string")
                }
                _ => ValueShape::Anything,
            },
        }
    }

    /// The schema of unnamed properties.
    pub fn rest(&self) -> Option<LocatedSchema<'a>> {
        let (schema, at) = self.says("additionalProperties")?;
        schema.is_object().then(|| (schema, format!("{at}/additionalProperties")))
    }

    /// Returns whether unnamed properties are allowed.
    pub fn is_open(&self) -> bool {
        self.says("additionalProperties").is_some_and(|(schema, _)| *schema != Value::Bool(false))
    }

    /// Every property by its name. If two parts describe it, the more specific description is used; variants
    /// beside properties add theirs.
    pub fn properties(&self, document: &'a Value) -> Vec<(&'a str, LocatedSchema<'a>)> {
        let mut properties: Vec<(&str, LocatedSchema<'a>)> = Vec::new();
        for (schema, at) in self.parts.iter().cloned().chain(self.variants_parts(document)) {
            for (name, property) in document::object(schema, "properties") {
                let within = document::pointer(&["properties", name]);
                let placed = (property, format!("{at}{within}"));
                match properties.iter_mut().find(|(other, _)| other == name) {
                    Some((_, old)) if weight(old.0) >= weight(property) => {}
                    Some((_, old)) => *old = placed,
                    None => properties.push((name, placed)),
                }
            }
        }
        properties
    }

    fn variants_parts(&self, document: &'a Value) -> Vec<LocatedSchema<'a>> {
        self.variants().filter_map(|placed| resolve(document, placed)).collect()
    }

    /// Each required property, with the parts that require it.
    pub fn required(&self) -> Vec<(&'a str, &str)> {
        let mut required = Vec::new();
        for (schema, at) in &self.parts {
            let names = document::array(schema, "required").filter_map(Value::as_str);
            required.extend(names.map(|name| (name, at.as_str())));
        }
        required
    }
}

fn union<'a>(document: &'a Value, variants: Vec<LocatedSchema<'a>>) -> ValueShape<'a> {
    let kinds: Vec<Option<ValueShape<'a>>> = variants
        .iter()
        .map(|(variant, at)| {
            // A reference keeps its name.
            variant.get("$ref").is_none().then(|| Shape::of(document, variant, at).kind(document))
        })
        .collect();
    let all =
        |is: fn(&ValueShape<'a>) -> bool| kinds.iter().all(|kind| kind.as_ref().is_some_and(is));
    if all(|kind| matches!(kind, ValueShape::Scalar("string"))) {
        return ValueShape::Union(variants);
    }
    if all(|kind| matches!(kind, ValueShape::List(_))) {
        let items = |kind| if let Some(ValueShape::List(items)) = kind { items } else { None };
        let items: Option<Vec<LocatedSchema<'a>>> = kinds.into_iter().map(items).collect();
        return items.map_or(ValueShape::List(None), ValueShape::ListOf);
    }
    if kinds.iter().any(|kind| matches!(kind, Some(ValueShape::Anything))) {
        return ValueShape::Anything;
    }
    ValueShape::Union(variants)
}

/// Returns whether a union contains only strings, and so is read as a string.
pub fn are_strings(document: &Value, variants: &[LocatedSchema<'_>]) -> bool {
    variants.iter().all(|(variant, at)| {
        variant.get("$ref").is_none()
            && matches!(
                Shape::of(document, variant, at).kind(document),
                ValueShape::Scalar("string")
            )
    })
}

fn variants<'a>(schema: &'a Value, at: &str) -> impl Iterator<Item = LocatedSchema<'a>> {
    ["oneOf", "anyOf"].into_iter().flat_map(move |key| {
        document::array(schema, key)
            .enumerate()
            .map(move |(index, variant)| (variant, format!("{at}/{key}/{index}")))
    })
}

fn resolve<'a>(document: &'a Value, (schema, at): LocatedSchema<'a>) -> Option<LocatedSchema<'a>> {
    match super::target(schema) {
        None => Some((schema, at)),
        Some(target) => Some((document.pointer(&target)?, target)),
    }
}

/// The specificity of a schema: a reference or properties most, a bare type least.
fn weight(schema: &Value) -> usize {
    if schema.get("$ref").is_some() || schema.get("properties").is_some() {
        2
    } else {
        usize::from(schema.get("type").is_some() || schema.get("allOf").is_some())
    }
}
