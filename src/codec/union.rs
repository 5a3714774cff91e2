//! Unions: one of several types, where JSON does not name the type.
//!
//! The choice depends on the meaning of a value, never on the number of its properties:
//!
//! 1. If a property has constant values that distinguish the variants (`event`, `type`, …), its value
//!    decides. With a value that no variant has, only the variants without a constant there remain.
//! 2. Otherwise, a record is chosen only if all its required properties are present. Of several, the one that
//!    names most of the properties which any variant names is chosen, then the one with the most required
//!    properties, then the first.
//! 3. A record without required properties, and then a map, is the last resort before raw JSON.
//!
//! Properties that no variant names do not affect the choice. The chosen record keeps them.

use std::cmp::Reverse;
use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::NamedStrings;

/// A union in responses.
pub(crate) trait Union: Sized + 'static {
    /// The shape of each variant, in the order of the description.
    const SHAPES: &'static [Shape];

    /// Reads each variant, in the same order; `None` if the value does not fit.
    const READERS: &'static [fn(&Value) -> Option<Self>];

    /// The variant for a value that does not fit any of the others.
    fn raw(value: Value) -> Self;

    /// The variant that fits a value, if there is one.
    fn choose(value: &Value) -> Option<Self> {
        let mut places = rank_variants(value, Self::SHAPES).into_iter();
        places.find_map(|place| Self::READERS.get(place)?(value))
    }

    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = from.deserialize_newtype_struct(UNION, AnyValue)?;
        Ok(Self::choose(&value).unwrap_or_else(|| Self::raw(value)))
    }
}

/// [`EmptyBody`](super::EmptyBody) recognizes a union by this name, since it does not accept `null`.
pub(super) const UNION: &str = "octowire::Union";

/// Reads any value.
struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        Value::deserialize(from)
    }

    // Deserializers without newtype support.

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Value, A::Error> {
        Value::deserialize(SeqAccessDeserializer::new(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, properties: A) -> Result<Value, A::Error> {
        Value::deserialize(MapAccessDeserializer::new(properties))
    }
}

/// The shape of the values that a variant fits.
pub(crate) enum Shape {
    Record {
        /// The properties that it names.
        fields: &'static [&'static str],
        /// The indices in `fields` of the required properties.
        required: &'static [u16],
        /// The properties with constant values that distinguish the variants.
        constants: &'static [(&'static str, &'static [&'static str])],
    },
    /// Another union.
    Union,
    Map,
    Array,
    String,
    Integer,
    Number,
    Boolean,
    Anything,
}

/// The certainty that a value belongs to a variant: the smallest is the best.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum MatchConfidence {
    /// A constant decides, or it is the only JSON type that fits.
    Exact,
    /// All required properties are present.
    AllRequired,
    /// Some of its properties are present, and none is required.
    SomeKnown,
    /// It accepts any value of this JSON type.
    AnyOfType,
}

/// The rank of a variant, the smaller the better: its certainty, the number of the value's properties that it
/// names, and the number that it requires.
type VariantRank = (MatchConfidence, Reverse<usize>, Reverse<usize>);

/// The candidate variants, the best first.
fn rank_variants(value: &Value, shapes: &[Shape]) -> Vec<usize> {
    let constants = ConstantProperties::of(value, shapes);
    let mut fitting: Vec<(VariantRank, usize)> = Vec::new();
    for (index, shape) in shapes.iter().enumerate() {
        let (confidence, coverage, required) = match (shape, value) {
            (Shape::Record { fields, required, constants: own }, Value::Object(object)) => {
                let has = |name: &&&str| object.contains_key(**name);
                let decision = constants.decide(own);
                let mut needed =
                    required.iter().filter_map(|index| fields.get(usize::from(*index)));
                let is_complete = needed.all(|name| has(&name));
                let coverage = fields.iter().filter(has).count();
                let confidence = match decision {
                    Some(false) => continue,
                    // Deserializing it requires its required properties.
                    Some(true) => MatchConfidence::Exact,
                    None if !is_complete => continue,
                    None if !required.is_empty() => MatchConfidence::AllRequired,
                    None if coverage > 0 => MatchConfidence::SomeKnown,
                    None => continue,
                };
                (confidence, coverage, required.len())
            }
            (Shape::Union, _) => (MatchConfidence::AllRequired, 0, 0),
            (Shape::Map, Value::Object(_)) | (Shape::Anything, _) => {
                (MatchConfidence::AnyOfType, 0, 0)
            }
            (Shape::Array, Value::Array(_))
            | (Shape::String, Value::String(_))
            | (Shape::Boolean, Value::Bool(_)) => (MatchConfidence::Exact, 0, 0),
            (Shape::Integer, Value::Number(number)) if number.as_i64().is_some() => {
                (MatchConfidence::Exact, 0, 0)
            }
            (Shape::Number, Value::Number(number)) if is_exact(number) => {
                (MatchConfidence::AllRequired, 0, 0)
            }
            _ => continue,
        };
        fitting.push(((confidence, Reverse(coverage), Reverse(required)), index));
    }
    fitting.sort_unstable();
    fitting.into_iter().map(|(_, index)| index).collect()
}

/// The properties of a value with constant values in some variant: name and value.
struct ConstantProperties<'a>(Vec<(&'static str, &'a str, bool)>);

impl<'a> ConstantProperties<'a> {
    fn of(value: &'a Value, shapes: &[Shape]) -> Self {
        let mut given: Vec<(&'static str, &'a str, bool)> = Vec::new();
        for (name, values) in shapes.iter().flat_map(|shape| shape.constants()) {
            let Some(value) = value.get(name).and_then(Value::as_str) else { continue };
            let is_known = is_one_of(value, values);
            match given.iter_mut().find(|(other, ..)| other == name) {
                Some((_, _, known)) => *known |= is_known,
                None => given.push((name, value, is_known)),
            }
        }
        Self(given)
    }

    /// Returns whether the value belongs to the variant with these constants; `None` if no constant decides.
    fn decide(&self, own: &[(&str, &[&str])]) -> Option<bool> {
        let mut decision = None;
        for (name, value, is_known) in &self.0 {
            match own.iter().find(|(other, _)| other == name) {
                Some((_, values)) if is_one_of(value, values) => decision = Some(true),
                Some(_) => return Some(false),
                // It is the constant of another variant.
                None if *is_known => return Some(false),
                None => {}
            }
        }
        decision
    }
}

/// Returns whether a value is one of these constants. Parts of GitHub write some events with `-` and others
/// with `_`: `line-commented`.
fn is_one_of(value: &str, constants: &[&str]) -> bool {
    let bare = |byte: u8| if byte == b'-' { b'_' } else { byte };
    constants.iter().any(|constant| value.bytes().map(bare).eq(constant.bytes().map(bare)))
}

/// Returns whether the number is the same as an `f64`.
fn is_exact(number: &serde_json::Number) -> bool {
    #[allow(clippy::cast_precision_loss, reason = "this is what is looked at")]
    #[allow(clippy::cast_possible_truncation, reason = "`as` saturates")]
    #[allow(clippy::cast_sign_loss, reason = "an unsigned number is not negative")]
    match (number.as_i64(), number.as_u64()) {
        (Some(integer), _) => (integer as f64) as i64 == integer && integer != i64::MAX,
        (None, Some(integer)) => (integer as f64) as u64 == integer && integer != u64::MAX,
        (None, None) => true,
    }
}

impl Shape {
    fn constants(&self) -> &'static [(&'static str, &'static [&'static str])] {
        match self {
            Self::Record { constants, .. } => constants,
            _ => &[],
        }
    }
}

/// A property with a union, whose variant another property of the same record decides: the `payload` of an
/// event by its `type`.
///
/// It is read as raw JSON first, since the other property can follow it.
pub(crate) trait DecideVariant: Sized {
    /// The value before the variant is chosen.
    fn undecided(value: Value) -> Self;

    /// Chooses the variant. `variants` has its index in [`Union::READERS`] for each constant; a value of an
    /// unknown constant stays raw. Without a constant, the value's own properties decide.
    fn decide(&mut self, constant: Option<&str>, variants: &[(&str, usize)]);
}

/// [`DecideVariant::decide`] for a union.
pub(crate) fn decide<U: Union>(
    value: Value,
    constant: Option<&str>,
    variants: &[(&str, usize)],
) -> U {
    let chosen = match constant {
        None => U::choose(&value),
        Some(constant) => variants
            .iter()
            .find(|(name, _)| *name == constant)
            .and_then(|(_, place)| U::READERS.get(*place)?(&value)),
    };
    chosen.unwrap_or_else(|| U::raw(value))
}

impl<T: DecideVariant> DecideVariant for Option<T> {
    fn undecided(value: Value) -> Self {
        if value.is_null() { None } else { Some(T::undecided(value)) }
    }

    fn decide(&mut self, constant: Option<&str>, variants: &[(&str, usize)]) {
        if let Some(value) = self {
            value.decide(constant, variants);
        }
    }
}

impl<T: DecideVariant> DecideVariant for Box<T> {
    fn undecided(value: Value) -> Self {
        Self::new(T::undecided(value))
    }

    fn decide(&mut self, constant: Option<&str>, variants: &[(&str, usize)]) {
        (**self).decide(constant, variants);
    }
}

/// Reads a property whose variant [`DecideVariant::decide`] chooses when the record is complete.
pub(crate) fn undecided<'de, T: DecideVariant, A: MapAccess<'de>>(
    from: &mut A,
    to: &mut T,
) -> Result<(), A::Error> {
    *to = T::undecided(from.next_value()?);
    Ok(())
}

/// The text of a property that decides a union.
pub(crate) trait Discriminant {
    fn constant(&self) -> Option<&str>;
}

impl Discriminant for String {
    fn constant(&self) -> Option<&str> {
        Some(self)
    }
}

impl<T: NamedStrings> Discriminant for T {
    fn constant(&self) -> Option<&str> {
        Some(self.text())
    }
}

impl<T: Discriminant> Discriminant for Option<T> {
    fn constant(&self) -> Option<&str> {
        self.as_ref()?.constant()
    }
}
