//! The secrets that this process has used, as keyed fingerprints.
//!
//! The registry never holds a secret: only hashes with keys that are random in each process, of a
//! secret's forms and of the last eight bytes of each form. A text is searched in one pass: the eight
//! bytes that end at each position are looked up in a small bitmap, and only what is in it is hashed.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::{LazyLock, PoisonError, RwLock};

use lru::LruCache;

use super::encoded::Decoded;
use super::forms::{self, Encoding};
use super::merge;

/// Secrets of fewer bytes are not recognized: they would hide ordinary words.
pub(crate) const MIN_SECRET_BYTES: usize = 8;
/// Longer secrets are remembered in pieces of this size.
pub(super) const MAX_PIECE_BYTES: usize = 1_024;
/// Of a longer secret, no more is remembered.
const MAX_SECRET_BYTES: usize = 16 * 1_024;
/// Pieces of secrets that were used last: tokens, codes, headers of requests.
pub(super) const MAX_REMEMBERED: NonZeroUsize = NonZeroUsize::new(4_096).unwrap();
/// Pieces of secrets of settings, which are not forgotten because of tokens: passwords, client secrets,
/// webhook secrets, keys of stores.
pub(super) const MAX_PINNED: NonZeroUsize = NonZeroUsize::new(1_024).unwrap();
/// Lengths that are tried at one place.
const MAX_LENGTHS: usize = 32;
/// How often encodings are resolved that are within one another.
const MAX_ROUNDS: usize = 3;
/// A text is searched in parts of this size, between which secrets can be added.
const PART_BYTES: usize = 64 * 1_024;
/// As much of the part before is searched again, so that no secret is between two.
const OVERLAP_BYTES: usize = MAX_PIECE_BYTES * 6;

/// Bytes that are hashed for each byte of a text at most. A text that would need more was made to
/// be slow, and counts as a secret.
const MAX_HASHED: usize = 64;

/// The bitmap has two to the power of so many bits: it grows from 512 bytes to 32 KiB.
const MIN_BITS: u32 = 12;
const MAX_BITS: u32 = 18;
/// Bits for each form, so that few other texts are in the bitmap.
const BITS_PER_FORM: usize = 16;

static SECRETS: LazyLock<RwLock<Secrets>> = LazyLock::new(|| RwLock::new(Secrets::new()));

/// Remembers a secret that was used, in place of the one that was not used for longest.
pub(crate) fn remember(secret: &[u8]) {
    add(secret, false);
}

/// Remembers a secret of the settings.
pub(crate) fn pin(secret: &[u8]) {
    add(secret, true);
}

fn add(secret: &[u8], pinned: bool) {
    if secret.len() < MIN_SECRET_BYTES {
        return;
    }
    let secret = &secret[..secret.len().min(MAX_SECRET_BYTES)];
    let mut secrets = SECRETS.write().unwrap_or_else(PoisonError::into_inner);
    let mut start = 0;
    while start < secret.len() {
        let end = (start + MAX_PIECE_BYTES).min(secret.len());
        // The last piece is long enough to be recognized.
        secrets.add(&secret[start.min(end - MIN_SECRET_BYTES)..end], pinned);
        start = end;
    }
}

/// Returns where the bytes have known secrets, in order and apart.
pub(super) fn find(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    if bytes.len() < MIN_SECRET_BYTES {
        return ranges;
    }
    let mut start = 0;
    loop {
        let end = (start + PART_BYTES).min(bytes.len());
        let part = &bytes[start.saturating_sub(OVERLAP_BYTES)..end];
        let offset = end - part.len();
        let secrets = SECRETS.read().unwrap_or_else(PoisonError::into_inner);
        let found = secrets.find_encoded(part, MAX_ROUNDS);
        ranges.extend(found.into_iter().map(|range| range.start + offset..range.end + offset));
        if end == bytes.len() {
            break;
        }
        start = end;
    }
    merge(&mut ranges);
    ranges
}

struct Secrets {
    keys: RandomState,
    mix: [u64; 2],
    bits: u32,
    bitmap: Vec<u64>,
    /// The forms by the hash of their last eight bytes.
    forms: HashMap<u64, Vec<Form>>,
    remembered: LruCache<u64, Vec<Form>>,
    pinned: LruCache<u64, Vec<Form>>,
    /// Forms that were forgotten since the bitmap was made.
    stale: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Form {
    encoding: Encoding,
    length: u16,
    bit: u32,
    end: u64,
    whole: u64,
}

impl Secrets {
    fn new() -> Self {
        let keys = RandomState::new();
        let mix = [keys.hash_one(0), keys.hash_one(1) | 1];
        Self {
            keys,
            mix,
            bits: MIN_BITS,
            bitmap: vec![0; 1 << (MIN_BITS - 6)],
            forms: HashMap::new(),
            remembered: LruCache::new(MAX_REMEMBERED),
            pinned: LruCache::new(MAX_PINNED),
            stale: 0,
        }
    }

    fn add(&mut self, piece: &[u8], pinned: bool) {
        let key = self.keys.hash_one(piece);
        if self.pinned.get(&key).is_some() || (!pinned && self.remembered.get(&key).is_some()) {
            return;
        }
        let mut forms = Vec::new();
        forms::each(piece, |encoding, form| {
            if let Some(form) = self.form(encoding, form)
                && !forms.contains(&form)
            {
                forms.push(form);
            }
        });
        for form in &forms {
            set(&mut self.bitmap, form.bit >> (MAX_BITS - self.bits));
            self.forms.entry(form.end).or_default().push(*form);
        }
        if self.bits < MAX_BITS && self.forms.len() * BITS_PER_FORM > 1 << self.bits {
            self.bits += 1;
            self.mark();
        }
        let cache = if pinned { &mut self.pinned } else { &mut self.remembered };
        let forgotten = cache.push(key, forms);
        if let Some((_, forgotten)) = forgotten {
            self.forget(&forgotten);
        }
    }

    fn forget(&mut self, forms: &[Form]) {
        for form in forms {
            if let Some(there) = self.forms.get_mut(&form.end) {
                if let Some(at) = there.iter().position(|other| other == form) {
                    there.remove(at);
                }
                if there.is_empty() {
                    self.forms.remove(&form.end);
                }
            }
        }
        self.stale += forms.len();
        if self.stale > self.forms.len() {
            self.stale = 0;
            self.mark();
        }
    }

    /// Makes the bitmap anew.
    fn mark(&mut self) {
        self.bitmap = vec![0; 1 << (self.bits - 6)];
        for form in self.forms.values().flatten() {
            set(&mut self.bitmap, form.bit >> (MAX_BITS - self.bits));
        }
    }

    fn form(&self, encoding: Encoding, bytes: &[u8]) -> Option<Form> {
        let end = *bytes.last_chunk()?;
        Some(Form {
            encoding,
            length: bytes.len().try_into().ok()?,
            bit: self.bit(end),
            end: self.keys.hash_one(end),
            whole: self.keys.hash_one(bytes),
        })
    }

    fn bit(&self, end: [u8; 8]) -> u32 {
        let mixed = (u64::from_le_bytes(end) ^ self.mix[0]).wrapping_mul(self.mix[1]);
        (mixed >> (64 - MAX_BITS)) as u32
    }

    /// Finds secrets as they are, and as they are after decoding.
    fn find_encoded(&self, bytes: &[u8], rounds: usize) -> Vec<Range<usize>> {
        let mut ranges = Vec::new();
        if self.forms.is_empty() {
            return ranges;
        }
        self.find(bytes, &mut ranges);
        if let Some(rounds) = rounds.checked_sub(1)
            && let Some(decoded) = Decoded::of(bytes)
        {
            let found = self.find_encoded(&decoded.bytes, rounds);
            ranges.extend(found.iter().map(|range| decoded.original(range)));
        }
        ranges
    }

    fn find(&self, bytes: &[u8], ranges: &mut Vec<Range<usize>>) {
        let mut hashes = MAX_HASHED.saturating_mul(bytes.len().max(MAX_PIECE_BYTES));
        let shift = MAX_BITS - self.bits;
        for (start, end) in bytes.windows(MIN_SECRET_BYTES).enumerate() {
            let Ok(end) = end.try_into() else { continue };
            let bit = self.bit(end) >> shift;
            if self.bitmap[(bit >> 6) as usize] >> (bit & 63) & 1 == 1 {
                let at = start + MIN_SECRET_BYTES;
                if self.check(bytes, at, end, &mut hashes, ranges).is_none() {
                    ranges.push(0..bytes.len());
                    return;
                }
            }
        }
    }

    /// Looks whether one of the forms ends here. Returns `None` if that takes too many hashes.
    fn check(
        &self,
        bytes: &[u8],
        at: usize,
        end: [u8; 8],
        hashes: &mut usize,
        ranges: &mut Vec<Range<usize>>,
    ) -> Option<()> {
        let Some(forms) = self.forms.get(&self.keys.hash_one(end)) else { return Some(()) };
        // The newest are last.
        for form in forms.iter().rev().take(MAX_LENGTHS) {
            let Some(start) = at.checked_sub(form.length.into()) else { continue };
            *hashes = hashes.checked_sub(at - start)?;
            if self.keys.hash_one(&bytes[start..at]) == form.whole {
                ranges.push(match form.encoding {
                    Encoding::Plain => start..at,
                    Encoding::Base64 => around(bytes, start..at),
                });
            }
        }
        Some(())
    }
}

fn set(bitmap: &mut [u64], bit: u32) {
    bitmap[(bit >> 6) as usize] |= 1 << (bit & 63);
}

/// Extends a range over the base64 that it is in.
fn around(bytes: &[u8], range: Range<usize>) -> Range<usize> {
    let is_base64 = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=')
    };
    let before = bytes[..range.start].iter().rev().take_while(|byte| is_base64(byte)).count();
    let after = bytes[range.end..].iter().take_while(|byte| is_base64(byte)).count();
    range.start - before..range.end + after
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(number: usize) -> String {
        format!("number-{number:08}")
    }

    #[test]
    fn the_newest_secrets_are_known_and_memory_is_bounded() {
        let mut secrets = Secrets::new();
        secrets.add(b"of the settings", true);
        let count = MAX_REMEMBERED.get() * 3;
        for number in 0..count {
            secrets.add(secret(0).as_bytes(), false);
            secrets.add(secret(number).as_bytes(), false);
        }
        let knows = |text: &str| !secrets.find_encoded(text.as_bytes(), 0).is_empty();
        assert!(knows("of the settings"));
        assert!(knows(&secret(0)), "it was used all the time");
        assert!(knows(&secret(count - 1)) && knows(&secret(count - MAX_REMEMBERED.get() + 1)));
        assert!(!knows(&secret(count - MAX_REMEMBERED.get() - 1)));
        assert!(secrets.forms.values().flatten().count() <= (MAX_REMEMBERED.get() + 1) * 8);
        let set: u32 = secrets.bitmap.iter().map(|bits| bits.count_ones()).sum();
        assert!(
            secrets.bits == MAX_BITS && set < (1 << MAX_BITS) / 3,
            "{set} bits of forgotten secrets stay"
        );
    }

    #[test]
    fn a_text_that_is_made_to_be_slow_is_hidden_whole() {
        let mut secrets = Secrets::new();
        for length in 500..600 {
            secrets.add(&vec![b'a'; length], false);
        }
        let text = ["b", &"a".repeat(499)].concat().repeat(100);
        let all = 0..text.len();
        assert_eq!(secrets.find_encoded(text.as_bytes(), 0), std::slice::from_ref(&all));
    }
}
