//! Records: JSON objects with named properties.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Serialize,
    de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor},
    ser::{SerializeMap, Serializer},
};

use super::field_table::FieldTable;

/// A record that can be serialized.
pub(crate) trait WriteRecord {
    /// Writes the properties, in the description's order.
    fn write<M: SerializeMap>(&self, to: &mut M) -> Result<(), M::Error>;

    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        self.write(&mut map)?;
        map.end()
    }
}

/// A record that can be deserialized.
pub(crate) trait ReadRecord: Default {
    /// The properties' names, in the description's order.
    const FIELDS: &'static [&'static str];
    /// The indices in [`Self::FIELDS`] of required properties.
    const REQUIRED: &'static [u16];

    /// Reads the value of one property.
    fn read<'de, A: MapAccess<'de>>(&mut self, index: usize, from: &mut A) -> Result<(), A::Error>;

    /// Reads the value of a property that is not in [`Self::FIELDS`], and keeps it.
    fn read_catch_all<'de, A: MapAccess<'de>>(
        &mut self,
        name: String,
        from: &mut A,
    ) -> Result<(), A::Error>;

    /// Completes the record after all properties were read.
    fn finish(&mut self) {}
}

/// Maximum number of properties of a record; the build checks it.
pub(crate) const MAX_FIELDS: usize = 255;

/// Reads a record.
pub(crate) fn read_record<'de, R: ReadRecord, D: Deserializer<'de>>(
    from: D,
) -> Result<R, D::Error> {
    from.deserialize_map(RecordVisitor(PhantomData))
}

struct RecordVisitor<R>(PhantomData<R>);

impl<R: ReadRecord> RecordVisitor<R> {
    const TABLE: &'static FieldTable = &FieldTable::new(R::FIELDS);
}

/// The bit of a field among the 64 of its word.
fn bit(index: usize) -> u64 {
    1_u64.wrapping_shl((index % 64) as u32)
}

impl<'de, R: ReadRecord> Visitor<'de> for RecordVisitor<R> {
    type Value = R;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<R, A::Error> {
        let mut record = R::default();
        let mut seen = [0_u64; MAX_FIELDS.div_ceil(64)];
        let mut next_index = 0;
        loop {
            let key = FieldNameSeed { fields: R::FIELDS, table: Self::TABLE, next_index };
            match map.next_key_seed(key)? {
                Some(FieldMatch::Field(index)) => {
                    record.read(index, &mut map)?;
                    if let Some(word) = seen.get_mut(index / 64) {
                        *word |= bit(index);
                    }
                    next_index = index.saturating_add(1);
                }
                Some(FieldMatch::CatchAll(name)) => record.read_catch_all(name, &mut map)?,
                None => break,
            }
        }
        for &index in R::REQUIRED {
            let index = usize::from(index);
            if seen.get(index / 64).is_none_or(|word| word & bit(index) == 0) {
                return Err(A::Error::missing_field(
                    R::FIELDS.get(index).copied().unwrap_or_default(),
                ));
            }
        }
        record.finish();
        Ok(record)
    }
}

/// The field of a property.
enum FieldMatch {
    Field(usize),
    CatchAll(String),
}

/// Finds a property by its name. GitHub sends the properties of most types in the description's order, so the one after
/// the last is usually correct. The schemas of many webhooks list theirs in alphabetical order instead, so that in a
/// payload three of five properties are others.
struct FieldNameSeed {
    fields: &'static [&'static str],
    table: &'static FieldTable,
    next_index: usize,
}

impl<'de> DeserializeSeed<'de> for FieldNameSeed {
    type Value = FieldMatch;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<FieldMatch, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldNameSeed {
    type Value = FieldMatch;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a property name")
    }

    #[inline]
    fn visit_str<E: Error>(self, name: &str) -> Result<FieldMatch, E> {
        if self.fields.get(self.next_index) == Some(&name) {
            return Ok(FieldMatch::Field(self.next_index));
        }
        Ok(match self.table.find(self.fields, name) {
            Some(index) => FieldMatch::Field(index),
            None => FieldMatch::CatchAll(name.to_owned()),
        })
    }
}

/// Reads the value of a property without conversion.
#[inline]
pub(crate) fn read_value<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
    from: &mut A,
    to: &mut T,
) -> Result<(), A::Error> {
    *to = from.next_value()?;
    Ok(())
}

/// Reads a map, where `null` is an empty one; or a list whose items can be `null`.
#[inline]
pub(crate) fn read_map<'de, T: Deserialize<'de> + Default, A: MapAccess<'de>>(
    from: &mut A,
    to: &mut T,
) -> Result<(), A::Error> {
    *to = from.next_value::<Option<T>>()?.unwrap_or_default();
    Ok(())
}

/// Reads a list, where `null` is an empty one. A `null` item is left out.
#[inline]
pub(crate) fn read_list<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
    from: &mut A,
    to: &mut Vec<T>,
) -> Result<(), A::Error> {
    *to = from.next_value_seed(List(PhantomData))?;
    Ok(())
}

struct List<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for List<T> {
    type Value = Vec<T>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Vec<T>, D::Error> {
        from.deserialize_option(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_none<E: Error>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_unit<E: Error>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Vec<T>, D::Error> {
        from.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Option<T>>()? {
            list.extend(item);
        }
        Ok(list)
    }
}

/// Writes a property.
#[inline]
pub(crate) fn write_field<T: Serialize, M: SerializeMap>(
    to: &mut M,
    name: &'static str,
    value: &T,
) -> Result<(), M::Error> {
    to.serialize_entry(name, value)
}

/// Writes a property unless it is unset.
#[inline]
pub(crate) fn write_optional_field<T: Serialize, M: SerializeMap>(
    to: &mut M,
    name: &'static str,
    value: &Option<T>,
) -> Result<(), M::Error> {
    match value {
        Some(value) => to.serialize_entry(name, value),
        None => Ok(()),
    }
}
