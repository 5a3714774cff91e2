//! Maps by the address of a static text, whose lookup is faster than by its content.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// A static text. An equal text at another address is a different key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StaticStrPtr(pub(crate) &'static str);

#[cfg_attr(not(feature = "usage"), allow(dead_code, reason = "usage alone needs it"))]
pub(crate) type StaticStrMap<T> = HashMap<StaticStrPtr, T, BuildHasherDefault<PtrHasher>>;

impl PartialEq for StaticStrPtr {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for StaticStrPtr {}

impl Hash for StaticStrPtr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_usize(self.0.as_ptr() as usize);
    }
}

/// A hasher of addresses, which are far apart already.
#[derive(Default)]
pub(crate) struct PtrHasher(u64);

impl Hasher for PtrHasher {
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
        // Knuth's multiplicative hash; a map uses the high bits.
        self.0 = (self.0.rotate_left(26) ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}
