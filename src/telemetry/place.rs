//! Maps by where a text lies in memory: for texts that are there for good, and found faster than by what they say.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// A text that is there for good. The same text at another place is another one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(pub(super) &'static str);

pub(super) type ByPlace<T> = HashMap<Place, T, BuildHasherDefault<Mix>>;

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for Place {}

impl Hash for Place {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_usize(self.0.as_ptr() as usize);
    }
}

/// A hasher of addresses, which are far apart already.
#[derive(Default)]
pub(super) struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_u64(&mut self, value: u64) {
        // Knuth's multiplicative hash; the high bits are what a map looks at.
        self.0 = (self.0.rotate_left(26) ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}
