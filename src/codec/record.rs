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
    // The visitor has no value of its own: a deserializer moves it several times, and a record can have kilobytes.
    let mut record = R::default();
    from.deserialize_map(RecordVisitor(&mut record))?;
    Ok(record)
}

/// Reads the properties of a record into its initial value.
struct RecordVisitor<'r, R>(&'r mut R);

impl<R: ReadRecord> RecordVisitor<'_, R> {
    const TABLE: &'static FieldTable = &FieldTable::new(R::FIELDS);
    const REQUIRED: FieldSet = FieldSet::new(R::REQUIRED);
}

impl<'de, R: ReadRecord> Visitor<'de> for RecordVisitor<'_, R> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self(record) = self;
        let mut seen = FieldSet::new(&[]);
        let mut next_index = 0;
        loop {
            let key = FieldNameSeed { fields: R::FIELDS, table: Self::TABLE, next_index };
            match map.next_key_seed(key)? {
                Some(FieldMatch::Field(index)) => {
                    record.read(index, &mut map)?;
                    seen.insert(index);
                    next_index = index.saturating_add(1);
                }
                Some(FieldMatch::CatchAll(name)) => record.read_catch_all(name, &mut map)?,
                None => break,
            }
        }
        if !seen.contains_all(&Self::REQUIRED) {
            let mut required = R::REQUIRED.iter().map(|index| usize::from(*index));
            let missing = required.find(|index| !seen.contains(*index));
            let name = missing.and_then(|index| R::FIELDS.get(index));
            return Err(A::Error::missing_field(name.copied().unwrap_or_default()));
        }
        record.finish();
        Ok(())
    }
}

/// A set of fields, by their indices.
struct FieldSet([u64; MAX_FIELDS.div_ceil(64)]);

impl FieldSet {
    const fn new(indices: &[u16]) -> Self {
        let mut words = [0; MAX_FIELDS.div_ceil(64)];
        let mut next = 0;
        while next < indices.len() {
            let index = indices[next] as usize;
            words[index / 64] |= bit(index);
            next = next.wrapping_add(1);
        }
        Self(words)
    }

    fn insert(&mut self, index: usize) {
        if let Some(word) = self.0.get_mut(index / 64) {
            *word |= bit(index);
        }
    }

    fn contains(&self, index: usize) -> bool {
        self.0.get(index / 64).is_some_and(|word| word & bit(index) != 0)
    }

    fn contains_all(&self, others: &Self) -> bool {
        self.0.iter().zip(&others.0).all(|(own, others)| own & others == *others)
    }
}

/// The bit of a field among the 64 of its word.
const fn bit(index: usize) -> u64 {
    1_u64.wrapping_shl((index % 64) as u32)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_set_contains_the_inserted_fields_and_no_others(
            fields in prop::collection::btree_set(0..MAX_FIELDS, 0..200),
            others in prop::collection::btree_set(0..MAX_FIELDS, 0..4),
        ) {
            let mut set = FieldSet::new(&[]);
            fields.iter().for_each(|index| set.insert(*index));
            for index in 0..MAX_FIELDS {
                prop_assert_eq!(set.contains(index), fields.contains(&index));
            }
            let indices = Vec::from_iter(others.iter().map(|index| *index as u16));
            let others_are_contained = set.contains_all(&FieldSet::new(&indices));
            prop_assert_eq!(others_are_contained, others.is_subset(&fields));
        }
    }
}
