//! The lookup of a record's fields by their names.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

/// The indices of a record's fields: a hash table of their names, which the compiler computes.
pub(super) struct FieldTable([u8; SLOTS]);

const SLOTS: usize = 256;
/// A slot without a field. No record has a field at this index.
const EMPTY: u8 = u8::MAX;

impl FieldTable {
    /// Creates the table of these names.
    pub(super) const fn new(fields: &[&str]) -> Self {
        // One slot at least stays empty, where the search for an unknown name ends.
        assert!(fields.len() < SLOTS);
        let mut slots = [EMPTY; SLOTS];
        let mut index = 0;
        while index < fields.len() {
            let mut slot = first_slot(fields[index]);
            while slots[slot as usize] != EMPTY {
                slot = slot.wrapping_add(1);
            }
            slots[slot as usize] = index as u8;
            index = index.wrapping_add(1);
        }
        Self(slots)
    }

    /// Returns the index of a name among those of the table.
    pub(super) fn find(&self, fields: &[&str], name: &str) -> Option<usize> {
        let mut slot = first_slot(name);
        loop {
            let index = usize::from(self.0[usize::from(slot)]);
            if *fields.get(index)? == name {
                return Some(index);
            }
            slot = slot.wrapping_add(1);
        }
    }
}

/// Returns the slot where the search for a name starts: a hash of its first and last bytes, up to eight of each. In the
/// large records of GitHub's description, a search takes 1.2 comparisons.
const fn first_slot(name: &str) -> u8 {
    // Odd numbers whose products mix all bytes into the highest one.
    const START: u64 = 0x9E37_79B9_7F4A_7C15;
    const END: u64 = 0xC2B2_AE3D_27D4_EB4F;
    let name = name.as_bytes();
    let (start, end) = match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (Some(start), Some(end)) => (u64::from_le_bytes(*start), u64::from_le_bytes(*end)),
        _ => match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
            (Some(start), Some(end)) => {
                (u32::from_le_bytes(*start) as u64, u32::from_le_bytes(*end) as u64)
            }
            _ => match name {
                [start, .., end] => (*start as u64, *end as u64),
                _ => (0, 0),
            },
        },
    };
    let mixed = start.wrapping_mul(START).wrapping_add(end.wrapping_mul(END));
    let [slot, ..] = mixed.to_be_bytes();
    slot
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_name_is_found_at_its_index_and_no_other_name_is_found(
            names in prop::collection::btree_set("[a-z_]{0,20}", 0..SLOTS),
            other in "[a-z_]{0,3}",
        ) {
            let fields = Vec::from_iter(names.iter().map(String::as_str));
            let table = FieldTable::new(&fields);
            for (index, name) in fields.iter().enumerate() {
                prop_assert_eq!(table.find(&fields, name), Some(index));
            }
            let expected = fields.iter().position(|name| *name == other);
            prop_assert_eq!(table.find(&fields, &other), expected);
        }
    }

    #[test]
    fn names_with_the_same_slot_are_distinguished() {
        // Between the first and the last eight bytes.
        let fields = ["repository_one_selection_url", "repository_two_selection_url"];
        assert_eq!(first_slot(fields[0]), first_slot(fields[1]));
        let table = FieldTable::new(&fields);
        assert_eq!(fields.map(|name| table.find(&fields, name)), [Some(0), Some(1)]);
        assert_eq!(table.find(&fields, "repository_six_selection_url"), None);
    }
}
