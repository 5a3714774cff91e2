//! The secrets that this process has used, as keyed fingerprints.
//!
//! The registry never holds a secret: only hashes with keys that are random in each process, of a secret's forms and of
//! the last eight bytes of each form. A text is searched in one pass: at every fourth position, the five bytes that end
//! there are looked up in a small bitmap, which has those of each form that ends there or within the next three bytes.
//! Only at matches, the eight bytes before each of these ends are looked up and hashed.
//!
//! A secret that is evicted is still found until [`MAX_EVICTED`] further ones are evicted. So a text that was received
//! earlier can be redacted later: [`Secrets::has_all_since`] returns whether each secret that was known then is found.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{LazyLock, PoisonError, RwLock, RwLockReadGuard};

use lru::LruCache;

use super::encoded::Decoded;
use super::forms::{self, Encoding};
use super::merge;

/// Minimum length of a secret in bytes: shorter ones would redact ordinary words.
pub(crate) const MIN_SECRET_BYTES: usize = 8;
/// Size of the pieces in which longer secrets are remembered.
pub(super) const MAX_PIECE_BYTES: usize = 1_024;
/// Maximum length of a secret; the rest is not remembered.
const MAX_SECRET_BYTES: usize = 16 * 1_024;
/// Maximum number of pieces of recently used secrets: tokens, codes, request headers.
pub(super) const MAX_REMEMBERED: NonZeroUsize = NonZeroUsize::new(4_096).unwrap();
/// Maximum number of pieces of configured secrets, which tokens do not evict: passwords, client secrets, webhook
/// secrets, keys of stores.
pub(super) const MAX_PINNED: NonZeroUsize = NonZeroUsize::new(1_024).unwrap();
/// Maximum number of pieces of values that only look like a secret, which can be new in each request.
pub(super) const MAX_RANDOM: NonZeroUsize = NonZeroUsize::new(256).unwrap();
/// Maximum number of evicted pieces that are still found.
pub(super) const MAX_EVICTED: usize = 1_024;
/// Maximum number of nested encodings that are decoded.
const MAX_ROUNDS: usize = 3;
/// The size of the parts in which a text is searched; between them, secrets can be added.
const PART_BYTES: usize = 64 * 1_024;
/// This much of the previous part is searched again, so that no secret falls between two parts.
const OVERLAP_BYTES: usize = MAX_PIECE_BYTES * 6;

/// Maximum number of hashed or skipped bytes for each byte of a text. A text that exceeds it was crafted to be slow,
/// and counts as a secret.
const MAX_STEPS: usize = 64;

/// The bitmap has two to this power of bits: it grows from 512 bytes to 128 KiB.
const MIN_BITS: u32 = 12;
const MAX_BITS: u32 = 20;
/// Bits for each form, of which it sets one for each of its [`MARKS`], so that few other texts match the bitmap.
const BITS_PER_FORM: usize = 64;
/// The distance between two positions at which a text is searched.
const STEP: usize = 4;
/// The number of lookups by which a form is found: at each distance from its end, and at its end.
const MARKS: usize = STEP + 1;
/// The bits of the eight bytes before a position that are not part of the lookup there.
const UNUSED_BITS: usize = (STEP - 1) * 8;

static SECRETS: LazyLock<RwLock<Secrets>> = LazyLock::new(|| RwLock::new(Secrets::new()));
/// [`Secrets::evictions`], which is read without the lock. It is written while the lock is held, so a reader gets the
/// current number or a lower one.
static EVICTIONS: AtomicU64 = AtomicU64::new(0);

/// Returns the number of evicted pieces, for [`Secrets::has_all_since`].
pub(super) fn evictions() -> u64 {
    EVICTIONS.load(Ordering::Acquire)
}

/// Remembers a used secret, and evicts the least recently used one.
pub(crate) fn remember(secret: &[u8]) {
    known().remember(secret, Retention::Used);
}

/// Remembers a configured secret.
#[allow(dead_code, reason = "the features decide which secrets are settings")]
pub(crate) fn pin(secret: &[u8]) {
    known().remember(secret, Retention::Pinned);
}

/// The group in which a secret is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retention {
    /// Configured secrets.
    #[allow(dead_code, reason = "the features decide which secrets are settings")]
    Pinned,
    /// Used secrets.
    Used,
    /// Values that only look like a secret. They do not evict other secrets.
    Random,
}

#[cfg(test)]
thread_local! {
    /// How often this thread took the lock for writing.
    static WRITES: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    /// How often it took the lock for reading.
    pub(super) static READS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Returns the pieces in which a secret is remembered; none if it is too short.
fn pieces(secret: &[u8]) -> impl Iterator<Item = &[u8]> {
    let length = if secret.len() < MIN_SECRET_BYTES { 0 } else { secret.len() };
    let secret = &secret[..length.min(MAX_SECRET_BYTES)];
    (0..secret.len()).step_by(MAX_PIECE_BYTES).map(|start| {
        let end = (start + MAX_PIECE_BYTES).min(secret.len());
        // The last piece is long enough to be recognized.
        &secret[start.min(end - MIN_SECRET_BYTES)..end]
    })
}

/// Returns the known secrets, for several lookups in a row: the lock is taken once.
///
/// The thread must not call it again before it drops the result, or it could deadlock.
pub(super) fn known() -> KnownSecrets {
    #[cfg(test)]
    READS.set(READS.get() + 1);
    KnownSecrets(SECRETS.read().unwrap_or_else(PoisonError::into_inner))
}

/// A read-locked view of the known secrets.
pub(super) struct KnownSecrets(RwLockReadGuard<'static, Secrets>);

impl KnownSecrets {
    /// Remembers a secret. Only a new one takes the lock for writing.
    pub(super) fn remember(self, secret: &[u8], keep: Retention) -> Self {
        if pieces(secret).all(|piece| self.0.has(piece, keep)) {
            return self;
        }
        drop(self);
        #[cfg(test)]
        WRITES.set(WRITES.get() + 1);
        let mut secrets = SECRETS.write().unwrap_or_else(PoisonError::into_inner);
        pieces(secret).for_each(|piece| secrets.add(piece, keep));
        EVICTIONS.store(secrets.evictions, Ordering::Release);
        drop(secrets);
        known()
    }

    /// Returns the keys of the pieces in which a secret is remembered.
    pub(super) fn keys(&self, secret: &[u8]) -> impl Iterator<Item = u64> {
        pieces(secret).map(|piece| self.0.keys.hash_one(piece))
    }

    /// Marks the pieces with these keys as used. Returns whether all are remembered.
    pub(super) fn mark_used(&self, keys: &[u64], keep: Retention) -> bool {
        keys.iter().all(|key| self.0.has_key(*key, keep))
    }

    /// Returns the secrets, for searches.
    pub(super) fn secrets(&self) -> &Secrets {
        &self.0
    }
}

/// Returns the ranges of known secrets in the bytes, ordered and disjoint.
pub(super) fn find(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    // Secrets can be added between two parts.
    parts(bytes).for_each(|part| known().0.find_in_part(bytes, part, &mut ranges));
    merge(&mut ranges);
    ranges
}

/// Returns the parts in which a text is searched; none if no secret fits in it.
fn parts(bytes: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let length = if bytes.len() < MIN_SECRET_BYTES { 0 } else { bytes.len() };
    (0..length)
        .step_by(PART_BYTES)
        .map(move |start| start.saturating_sub(OVERLAP_BYTES)..(start + PART_BYTES).min(length))
}

pub(super) struct Secrets {
    keys: RandomState,
    mix: [u64; 2],
    bits: u32,
    bitmap: Vec<u64>,
    /// The forms by the hash of their last eight bytes; each list is ordered.
    forms: HashMap<u64, Vec<Form>>,
    pinned: LruCache<u64, SecretPiece>,
    used: LruCache<u64, SecretPiece>,
    random: LruCache<u64, SecretPiece>,
    /// The forms of the evicted pieces that are still found, oldest first: at most `max_evicted`.
    evicted: VecDeque<Vec<Form>>,
    max_evicted: usize,
    /// The number of pieces that were evicted.
    evictions: u64,
    /// The number of forms that were removed since the bitmap was built.
    stale: usize,
}

/// One piece of a secret.
struct SecretPiece {
    forms: Vec<Form>,
    /// Whether it was used since it was last queued. Then, when it is the oldest, it is not evicted but becomes the
    /// newest: so its use does not need a write lock.
    is_used: AtomicBool,
}

/// Forms with the same ending are ordered by length, then by encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Form {
    length: u16,
    encoding: Encoding,
    whole: u64,
    bits: [u32; MARKS],
    end: u64,
}

impl Secrets {
    fn new() -> Self {
        Self::with_limits([MAX_PINNED, MAX_REMEMBERED, MAX_RANDOM], MAX_EVICTED)
    }

    /// Creates a registry with these maximum numbers of pieces: pinned, used, random, and evicted.
    pub(super) fn with_limits(limits: [NonZeroUsize; 3], max_evicted: usize) -> Self {
        let [pinned, used, random] = limits.map(LruCache::new);
        let keys = RandomState::new();
        let mix = [keys.hash_one(0), keys.hash_one(1) | 1];
        Self {
            keys,
            mix,
            bits: MIN_BITS,
            bitmap: vec![0; 1 << (MIN_BITS - 6)],
            forms: HashMap::new(),
            pinned,
            used,
            random,
            evicted: VecDeque::new(),
            max_evicted,
            evictions: 0,
            stale: 0,
        }
    }

    /// Returns whether a piece is remembered, and marks it as used.
    pub(super) fn has(&self, piece: &[u8], keep: Retention) -> bool {
        self.has_key(self.keys.hash_one(piece), keep)
    }

    /// Returns whether the piece with this key is remembered, and marks it as used.
    fn has_key(&self, key: u64, keep: Retention) -> bool {
        let caches = [&self.pinned, &self.used, &self.random];
        // A group with a longer retention is sufficient as well.
        let caches = match keep {
            Retention::Pinned => &caches[..1],
            Retention::Used => &caches[..2],
            Retention::Random => &caches,
        };
        let found = caches.iter().find_map(|cache| cache.peek(&key));
        // An unnecessary write would slow down the other threads.
        if let Some(found) = found.filter(|found| !found.is_used.load(Ordering::Relaxed)) {
            found.is_used.store(true, Ordering::Relaxed);
        }
        found.is_some()
    }

    /// Returns whether each secret that was not evicted when this number of [evictions] was read is still found. One that
    /// was evicted before can be missing.
    ///
    /// The pieces that were evicted since are the last of all that were evicted, and the last `max_evicted` are found.
    pub(super) fn has_all_since(&self, evictions: u64) -> bool {
        let since = self.evictions.saturating_sub(evictions);
        since <= self.max_evicted as u64
    }

    #[cfg(test)]
    pub(super) fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Returns whether the bytes contain a known secret that is not encoded, or can contain one.
    pub(super) fn can_have_plain(&self, bytes: &[u8]) -> bool {
        let mut ranges = Vec::new();
        if !self.forms.is_empty() {
            self.find(bytes, &mut ranges);
        }
        !ranges.is_empty()
    }

    /// Returns the ranges of known secrets in the bytes, ordered and disjoint.
    pub(super) fn ranges(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let mut ranges = Vec::new();
        parts(bytes).for_each(|part| self.find_in_part(bytes, part, &mut ranges));
        merge(&mut ranges);
        ranges
    }

    pub(super) fn add(&mut self, piece: &[u8], keep: Retention) {
        if self.has(piece, keep) {
            return;
        }
        let key = self.keys.hash_one(piece);
        let mut forms = Vec::new();
        forms::each(piece, |encoding, form| {
            if let Some(form) = self.form(encoding, form)
                && !forms.contains(&form)
            {
                forms.push(form);
            }
        });
        for form in &forms {
            set(&mut self.bitmap, form, self.bits);
            let others = self.forms.entry(form.end).or_default();
            others.insert(others.partition_point(|other| other < form), *form);
        }
        if self.bits < MAX_BITS && self.forms.len() * BITS_PER_FORM > 1 << self.bits {
            self.bits += 1;
            self.mark();
        }
        let cache = match keep {
            Retention::Pinned => &mut self.pinned,
            Retention::Used => &mut self.used,
            Retention::Random => &mut self.random,
        };
        let evicted = (cache.len() == cache.cap().get()).then(|| oldest(cache)).flatten();
        cache.push(key, SecretPiece { forms, is_used: AtomicBool::new(false) });
        if let Some(evicted) = evicted {
            self.evict(evicted);
        }
    }

    /// Records an evicted piece, and forgets the oldest of them if there are too many.
    fn evict(&mut self, forms: Vec<Form>) {
        self.evictions = self.evictions.saturating_add(1);
        self.evicted.push_back(forms);
        if self.evicted.len() > self.max_evicted
            && let Some(oldest) = self.evicted.pop_front()
        {
            self.forget(&oldest);
        }
    }

    fn forget(&mut self, forms: &[Form]) {
        for form in forms {
            if let Some(there) = self.forms.get_mut(&form.end) {
                if let Ok(at) = there.binary_search(form) {
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

    /// Builds the bitmap again.
    fn mark(&mut self) {
        self.bitmap = vec![0; 1 << (self.bits - 6)];
        for form in self.forms.values().flatten() {
            set(&mut self.bitmap, form, self.bits);
        }
    }

    fn form(&self, encoding: Encoding, bytes: &[u8]) -> Option<Form> {
        let end: [u8; 8] = *bytes.last_chunk()?;
        let last = u64::from_le_bytes(end);
        Some(Form {
            encoding,
            length: bytes.len().try_into().ok()?,
            bits: std::array::from_fn(|distance| match distance {
                STEP => self.bit(last),
                distance => self.bit(last << (distance * 8) >> UNUSED_BITS),
            }),
            end: self.keys.hash_one(end),
            whole: self.keys.hash_one(bytes),
        })
    }

    /// Returns the index of some bytes in the largest bitmap.
    fn bit(&self, bytes: u64) -> u32 {
        (mixed(bytes, self.mix) >> (64 - MAX_BITS)) as u32
    }

    fn find_in_part(&self, bytes: &[u8], part: Range<usize>, ranges: &mut Vec<Range<usize>>) {
        let offset = part.start;
        let found = self.find_encoded(&bytes[part], MAX_ROUNDS);
        ranges.extend(found.into_iter().map(|range| range.start + offset..range.end + offset));
    }

    /// Finds secrets in their original form, and after decoding.
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

    /// Finds secrets in their original form. Returns the number of steps.
    fn find(&self, bytes: &[u8], ranges: &mut Vec<Range<usize>>) -> usize {
        let max_steps = MAX_STEPS.saturating_mul(bytes.len().max(MAX_PIECE_BYTES));
        let mut search =
            Search { bytes, steps_left: max_steps, plain: Vec::new(), base64: Vec::new() };
        match self.search(&mut search).and_then(|()| search.extend_base64()) {
            Some(()) => {
                ranges.append(&mut search.plain);
                ranges.append(&mut search.base64);
            }
            None => ranges.push(0..bytes.len()),
        }
        max_steps - search.steps_left
    }

    /// Checks at each position whether a form ends there. Returns `None` if that takes too many steps.
    fn search(&self, search: &mut Search<'_>) -> Option<()> {
        let (chunks, _) = search.bytes.as_chunks::<STEP>();
        // Copies, since the loop takes most of the time of a search.
        let (bitmap, mix, shift) = (&*self.bitmap, self.mix, 64 - self.bits);
        let mut before = 0;
        for (index, chunk) in chunks.iter().enumerate() {
            // The eight bytes before this position; the first are zero at the beginning of the text.
            before = before >> 32 | u64::from(u32::from_le_bytes(*chunk)) << 32;
            let bit = mixed(before >> UNUSED_BITS, mix) >> shift;
            if is_set(bitmap, bit) {
                self.check_ends((index + 1) * STEP, search)?;
            }
        }
        Some(())
    }

    /// Checks whether a form ends here, or at one of the next positions before the next lookup.
    fn check_ends(&self, at: usize, search: &mut Search<'_>) -> Option<()> {
        let bytes = search.bytes;
        for at in at.max(MIN_SECRET_BYTES)..(at + STEP).min(bytes.len() + 1) {
            let Ok(end) = bytes[at - MIN_SECRET_BYTES..at].try_into() else { continue };
            let bit = mixed(u64::from_le_bytes(end), self.mix) >> (64 - self.bits);
            if is_set(&self.bitmap, bit)
                && let Some(forms) = self.forms.get(&self.keys.hash_one(end))
            {
                self.check(forms, at, search)?;
            }
        }
        Some(())
    }

    /// Checks whether one of the forms ends here. Forms of the same length cost as much as one.
    fn check(&self, mut forms: &[Form], at: usize, search: &mut Search<'_>) -> Option<()> {
        while let Some(Form { length, encoding, .. }) = forms.first().copied() {
            // The others are longer still.
            let Some(start) = at.checked_sub(length.into()) else { break };
            let is_same = |form: &Form| (form.length, form.encoding) == (length, encoding);
            let (same, others) = forms.split_at(forms.partition_point(is_same));
            forms = others;
            search.spend(at - start)?;
            let whole = self.keys.hash_one(&search.bytes[start..at]);
            if same.binary_search_by_key(&whole, |form| form.whole).is_ok() {
                match encoding {
                    Encoding::Plain => push(&mut search.plain, start..at),
                    Encoding::Base64 => push(&mut search.base64, start..at),
                }
            }
        }
        Some(())
    }
}

/// Evicts the oldest piece that was not used since it was queued. Those before become the newest.
fn oldest(cache: &mut LruCache<u64, SecretPiece>) -> Option<Vec<Form>> {
    // After one round, no piece is marked as used.
    for _ in 0..cache.len() {
        let (key, mut remembered) = cache.pop_lru()?;
        if !std::mem::take(remembered.is_used.get_mut()) {
            return Some(remembered.forms);
        }
        cache.push(key, remembered);
    }
    cache.pop_lru().map(|(_, remembered)| remembered.forms)
}

/// Returns the keyed hash of some bytes, whose first bits are their index in a bitmap.
#[inline]
fn mixed(bytes: u64, mix: [u64; 2]) -> u64 {
    (bytes ^ mix[0]).wrapping_mul(mix[1])
}

#[inline]
fn is_set(bitmap: &[u64], bit: u64) -> bool {
    bitmap[(bit >> 6) as usize] >> (bit & 63) & 1 == 1
}

/// Sets the bits of a form in a bitmap of this size.
fn set(bitmap: &mut [u64], form: &Form, bits: u32) {
    for bit in form.bits.map(|bit| bit >> (MAX_BITS - bits)) {
        bitmap[(bit >> 6) as usize] |= 1 << (bit & 63);
    }
}

/// One search of a text.
struct Search<'a> {
    bytes: &'a [u8],
    steps_left: usize,
    plain: Vec<Range<usize>>,
    base64: Vec<Range<usize>>,
}

impl Search<'_> {
    /// Takes steps, if this many are left.
    fn spend(&mut self, steps: usize) -> Option<()> {
        self.steps_left = self.steps_left.checked_sub(steps)?;
        Some(())
    }

    /// Extends each base64 range over the whole base64 text around it, which is scanned once however many ranges are in
    /// it.
    fn extend_base64(&mut self) -> Option<()> {
        merge(&mut self.base64);
        let (bytes, mut covered) = (self.bytes, 0);
        let mut extended = Vec::new();
        for range in std::mem::take(&mut self.base64) {
            if range.start < covered {
                continue;
            }
            let before = bytes[covered..range.start].iter().rev();
            let before = before.take_while(|byte| is_base64(**byte)).count();
            let after = bytes[range.end..].iter().take_while(|byte| is_base64(**byte)).count();
            self.spend(before + after)?;
            covered = range.end + after;
            extended.push(range.start - before..covered);
        }
        self.base64 = extended;
        Some(())
    }
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=')
}

/// Adds a range, whose end is not before that of the last one, and joins them if they touch.
fn push(ranges: &mut Vec<Range<usize>>, range: Range<usize>) {
    match ranges.last_mut() {
        Some(last) if range.start <= last.end => {
            last.start = last.start.min(range.start);
            last.end = last.end.max(range.end);
        }
        _ => ranges.push(range),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secret(number: usize) -> String {
        format!("number-{number:08}")
    }

    #[test]
    fn the_newest_secrets_are_known_and_memory_is_bounded() {
        let mut secrets = Secrets::new();
        secrets.add(b"of the settings", Retention::Pinned);
        let count = MAX_REMEMBERED.get() * 3;
        for number in 0..count {
            secrets.add(secret(0).as_bytes(), Retention::Used);
            secrets.add(secret(number).as_bytes(), Retention::Used);
        }
        let knows = |text: &str| !secrets.find_encoded(text.as_bytes(), 0).is_empty();
        assert!(knows("of the settings"));
        assert!(knows(&secret(0)), "it was used all the time");
        assert!(knows(&secret(count - 1)) && knows(&secret(count - MAX_REMEMBERED.get() + 1)));
        let found = MAX_REMEMBERED.get() + MAX_EVICTED;
        assert!(knows(&secret(count - found + 2)) && !knows(&secret(count - found - 1)));
        assert!(secrets.forms.values().flatten().count() <= (found + 1) * 8);
        let set: u32 = secrets.bitmap.iter().map(|bits| bits.count_ones()).sum();
        assert!(
            secrets.bits == MAX_BITS && set < (1 << MAX_BITS) / 3,
            "{set} bits of forgotten secrets stay"
        );
    }

    proptest! {
        /// Wherever a secret begins and ends, also next to other secrets.
        #[test]
        fn a_secret_is_found_at_any_position(
            secret in "[a-z0-9]{8,40}",
            other in "[a-z0-9]{8,12}",
            before in "[a-z]{0,20}",
            after in "[a-z]{0,20}",
        ) {
            let mut secrets = Secrets::new();
            secrets.add(secret.as_bytes(), Retention::Used);
            secrets.add(other.as_bytes(), Retention::Used);
            let text = format!("{before}{secret}{after}{other}");
            let mut ranges = Vec::new();
            secrets.find(text.as_bytes(), &mut ranges);
            merge(&mut ranges);
            let is_hidden = |at: usize| ranges.iter().any(|range| range.contains(&at));
            let start = before.len();
            prop_assert!((start..start + secret.len()).all(is_hidden), "{text}: {ranges:?}");
            prop_assert!((text.len() - other.len()..text.len()).all(is_hidden), "{text}: {ranges:?}");
        }

        /// The search by steps finds the ends that a lookup of each position finds.
        #[test]
        fn the_search_by_steps_skips_no_position(
            known in prop::collection::vec("[ab]{8,12}", 1..6),
            text in "[ab]{0,80}",
        ) {
            let mut secrets = Secrets::new();
            known.iter().for_each(|secret| secrets.add(secret.as_bytes(), Retention::Used));
            let mut ranges = Vec::new();
            secrets.find(text.as_bytes(), &mut ranges);
            let mut expected = Vec::new();
            for secret in &known {
                let starts = (0..text.len()).filter(|start| text[*start..].starts_with(&**secret));
                expected.extend(starts.map(|start| start..start + secret.len()));
            }
            merge(&mut ranges);
            merge(&mut expected);
            prop_assert_eq!(ranges, expected);
        }
    }

    #[test]
    fn secrets_with_the_same_ending_hide_no_other() {
        let mut secrets = Secrets::new();
        let of_length = |length: usize| format!("{}@the-same-ending", "x".repeat(length));
        secrets.add(b"of settings@the-same-ending", Retention::Pinned);
        for number in 0..200 {
            secrets.add(format!("{}@the-same-ending", secret(number)).as_bytes(), Retention::Used);
        }
        for length in 1..100 {
            secrets.add(of_length(length).as_bytes(), Retention::Used);
        }
        let knows = |text: &str| {
            let text = format!("a text with {text} in it. {}", "And more of it. ".repeat(100));
            let ranges = secrets.find_encoded(text.as_bytes(), 0);
            !ranges.is_empty() && ranges.iter().all(|range| range.len() < text.len())
        };
        assert!(knows("of settings@the-same-ending"));
        for number in 0..200 {
            assert!(knows(&format!("{}@the-same-ending", secret(number))), "{number}");
        }
        for length in 1..100 {
            assert!(knows(&of_length(length)), "{length}");
        }
        assert!(!knows("other@the-same-ending"));
        // Eviction of one piece does not affect another.
        for number in 0..MAX_REMEMBERED.get() {
            secrets.add(format!("{}@another-ending", secret(number)).as_bytes(), Retention::Used);
        }
        assert!(secrets.has(b"of settings@the-same-ending", Retention::Used));
        let left = secrets.forms.values().flatten().count();
        assert!(left <= (MAX_REMEMBERED.get() + MAX_EVICTED + 1) * 8, "{left}");
    }

    #[test]
    fn values_that_only_look_like_secrets_take_no_place_of_secrets() {
        let mut secrets = Secrets::new();
        secrets.add(b"a token of long ago", Retention::Used);
        for number in 0..2 * MAX_REMEMBERED.get() {
            secrets.add(secret(number).as_bytes(), Retention::Random);
        }
        assert!(secrets.has(b"a token of long ago", Retention::Used));
        assert_eq!(secrets.random.len(), MAX_RANDOM.get());
        let last = secret(2 * MAX_REMEMBERED.get() - 1);
        assert!(!secrets.find_encoded(last.as_bytes(), 0).is_empty());
        // Once it is known to be a secret, it is kept as one.
        secrets.add(last.as_bytes(), Retention::Used);
        assert!(secrets.has(last.as_bytes(), Retention::Used));
    }

    #[test]
    fn a_text_that_is_made_to_be_slow_is_hidden_whole() {
        let mut secrets = Secrets::new();
        for length in 500..600 {
            secrets.add(&vec![b'a'; length], Retention::Used);
        }
        let text = ["b", &"a".repeat(499)].concat().repeat(100);
        let all = 0..text.len();
        assert_eq!(secrets.find_encoded(text.as_bytes(), 0), std::slice::from_ref(&all));
    }

    #[test]
    fn a_long_run_of_base64_is_passed_over_once() {
        let mut secrets = Secrets::new();
        secrets.add(b"0123456789abcdefghijklmn", Retention::Used);
        let encoded = "MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1u";
        for text in [
            encoded.repeat(2_000),
            format!("{encoded}ABC").repeat(2_000),
            format!("{encoded} ").repeat(2_000),
            [encoded, &"A".repeat(60_000)].concat(),
        ] {
            let mut ranges = Vec::new();
            let steps = secrets.find(text.as_bytes(), &mut ranges);
            assert!(!ranges.is_empty() && steps <= 3 * text.len(), "{steps} of {}", text.len());
            let rest = text.len() - ranges.iter().map(Range::len).sum::<usize>();
            assert!(rest <= text.matches(' ').count(), "{rest} bytes are left");
        }
    }

    #[test]
    fn a_match_that_is_within_the_last_one_is_kept_once() {
        let mut secrets = Secrets::new();
        for length in 8..12 {
            secrets.add(&vec![b'a'; length], Retention::Used);
        }
        let mut ranges = Vec::new();
        secrets.find("a".repeat(1_000).as_bytes(), &mut ranges);
        assert_eq!(ranges, std::slice::from_ref(&(0..1_000)));
    }

    #[test]
    fn a_secret_that_is_known_takes_no_lock_for_writing() {
        let remember_all = || {
            super::remember(b"kn0wn for the lock");
            super::pin(b"p1nned for the lock");
            super::remember(b"p1nned for the lock");
        };
        remember_all();
        let writes = WRITES.get();
        (0..100).for_each(|_| remember_all());
        assert_eq!(WRITES.get(), writes);
    }

    #[test]
    fn those_that_were_used_outlive_those_that_were_not() {
        let mut secrets = Secrets::new();
        let count = MAX_REMEMBERED.get();
        for number in 0..count {
            secrets.add(secret(number).as_bytes(), Retention::Used);
        }
        // By the secret, and by its key alone.
        assert!(secrets.has(secret(0).as_bytes(), Retention::Used));
        assert!(secrets.has_key(secrets.keys.hash_one(secret(1).as_bytes()), Retention::Used));
        secrets.add(b"one more secret", Retention::Used);
        assert!(secrets.has(secret(0).as_bytes(), Retention::Used));
        assert!(secrets.has(secret(1).as_bytes(), Retention::Used));
        assert!(!secrets.has(secret(2).as_bytes(), Retention::Used));
        // If all were used, the oldest is evicted.
        for number in 0..count {
            secrets.has(secret(number).as_bytes(), Retention::Used);
        }
        secrets.has(b"one more secret", Retention::Used);
        secrets.add(b"another secret", Retention::Used);
        assert_eq!(secrets.used.len(), count);
        assert!(secrets.has(b"another secret", Retention::Used));
    }
}
