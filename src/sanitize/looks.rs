//! Whether a value looks like a secret.

use super::formats;

/// Beginnings of tokens of other services.
const PREFIXES: [&[u8]; 8] =
    [b"xoxa-", b"xoxb-", b"xoxp-", b"xoxr-", b"xoxs-", b"glpat-", b"sk_", b"npm_"];

/// Shorter values are ordinary words.
const MIN_RANDOM_BYTES: usize = 12;
/// So many letters and digits in a row are no word.
const MIN_RUN_BYTES: usize = 16;
/// A random value changes so often between letters and digits, or from lower to upper case.
const MIN_CHANGES: usize = 4;
/// One of so many of its letters and digits follows a change.
const MAX_BYTES_PER_CHANGE: usize = 4;
/// The same for a value without separators, of which names are not made.
const MIN_CHANGES_OF_RUN: usize = 3;

/// Returns the parts of a value that can be secrets by themselves.
pub(super) fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_between = |byte: &u8| matches!(byte, b' ' | b',' | b';' | b'=' | b'"');
    value.split(is_between).filter(|word| !word.is_empty())
}

/// Whether a part of a value looks random.
pub(super) fn has_random_word(value: &[u8]) -> bool {
    words(value).any(is_random)
}

/// Whether a value looks random: it has the form of a token, digits stand among its letters, or it is
/// longer than words are. Dates, versions, names with a number, names in camel case, and identifiers
/// of several words do not look like that.
pub(super) fn is_random(value: &[u8]) -> bool {
    let mut known_formats = Vec::new();
    formats::find(value, &mut known_formats);
    if !known_formats.is_empty() || is_uuid(value) {
        return true;
    }
    if value.len() < MIN_RANDOM_BYTES || !value.iter().all(u8::is_ascii_graphic) || is_time(value) {
        return false;
    }
    if PREFIXES.iter().any(|prefix| value.starts_with(prefix)) {
        return true;
    }
    let is_change = |pair: &&[u8]| match **pair {
        [a, b] if a.is_ascii_digit() => b.is_ascii_alphabetic(),
        [a, b] if a.is_ascii_lowercase() => b.is_ascii_digit() || b.is_ascii_uppercase(),
        [a, b] => a.is_ascii_uppercase() && b.is_ascii_digit(),
        _ => false,
    };
    let changes = value.windows(2).filter(is_change).count();
    if value.iter().all(u8::is_ascii_alphanumeric) && !is_camel_case(value) {
        return value.len() >= MIN_RUN_BYTES || changes >= MIN_CHANGES_OF_RUN;
    }
    let is = |test: fn(&u8) -> bool| value.iter().any(test);
    let length = value.iter().filter(|byte| byte.is_ascii_alphanumeric()).count();
    is(u8::is_ascii_digit)
        && is(u8::is_ascii_alphabetic)
        && changes >= MIN_CHANGES
        && changes * MAX_BYTES_PER_CHANGE >= length
}

/// Whether a value is a UUID, as many services make their keys.
fn is_uuid(value: &[u8]) -> bool {
    let groups = value.split(|byte| *byte == b'-').map(<[u8]>::len);
    groups.eq([8, 4, 4, 4, 12])
        && value.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-')
}

/// Whether a value is a time such as `20240506T070809Z`.
fn is_time(value: &[u8]) -> bool {
    value.contains(&b'T') && value.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'T' | b'Z'))
}

/// Whether a value is several words such as `PaymentWorker2`, of at least four letters on average.
fn is_camel_case(value: &[u8]) -> bool {
    let digits = value.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let letters = &value[..value.len() - digits];
    let humps = letters
        .windows(2)
        .filter(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase());
    let (humps, capitals) =
        (humps.count(), letters.iter().filter(|byte| byte.is_ascii_uppercase()).count());
    letters.iter().all(u8::is_ascii_alphabetic)
        && humps > 0
        // Each capital begins a word.
        && capitals <= humps + 1
        && letters.len() >= 4 * (humps + 1)
}
