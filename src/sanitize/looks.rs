//! Detection of values that look like a secret.

use std::ops::RangeInclusive;

use super::formats;

/// Prefixes of tokens of other services.
const PREFIXES: [&[u8]; 8] =
    [b"xoxa-", b"xoxb-", b"xoxp-", b"xoxr-", b"xoxs-", b"glpat-", b"sk_", b"npm_"];

/// Schemes of credentials, which are not part of the secret.
const SCHEMES: [&str; 14] = [
    "apikey",
    "aws4-hmac-sha256",
    "basic",
    "bearer",
    "digest",
    "dpop",
    "hmac",
    "jwt",
    "key",
    "negotiate",
    "ntlm",
    "oauth",
    "scram-sha-256",
    "token",
];

/// Minimum length of a random value in bytes: shorter values are ordinary words.
const MIN_RANDOM_BYTES: usize = 12;
/// This many consecutive letters and digits are not a word.
const MIN_RUN_BYTES: usize = 16;
/// Minimum number of changes between letters and digits, or from lower to upper case, in a random value.
const MIN_CHANGES: usize = 4;
/// Maximum number of letters and digits per change in a random value.
const MAX_BYTES_PER_CHANGE: usize = 4;
/// Minimum number of changes in a value of letters and digits only; names are not written in this way.
const MIN_CHANGES_OF_RUN: usize = 3;
/// Maximum number of digits of a number after a word, such as a year.
const MAX_NUMBER_DIGITS: usize = 4;
/// Maximum number of digits of a numeric identifier, or a time in seconds.
const MAX_ID_DIGITS: usize = 10;
/// Maximum length of an arbitrary part of a name: `k8s`, `1a`.
const MAX_SHORT_BYTES: usize = 3;
/// The number of capitals at the start of a name in camel case whose first word is an acronym, including the first of
/// the next word.
const ACRONYM_CAPITALS: RangeInclusive<usize> = 3..=6;

/// Returns the parts of a value that can be separate secrets.
pub(super) fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_between = |byte: &u8| matches!(byte, b' ' | b',' | b';' | b'=' | b'"');
    value.split(is_between).filter(|word| !word.is_empty())
}

/// Returns whether a part of a value looks random.
pub(super) fn has_random_word(value: &[u8]) -> bool {
    words(value).any(is_random)
}

/// Returns whether a value looks like a credential: a part of it looks random, or it begins with a scheme.
pub(super) fn is_like_credential(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    let space = value.iter().position(|byte| *byte == b' ');
    has_random_word(value) || space.is_some_and(|space| is_scheme(&value[..space]))
}

/// Returns whether a value consists of words, numbers and times, such as the name of a place or of a version. Any other
/// value could be a short key or a password.
pub(super) fn is_of_words(value: &[u8]) -> bool {
    let is_between = |byte: &u8| b" ,;=-_./:@+".contains(byte);
    let parts = value.trim_ascii().split(is_between);
    let is_number =
        |part: &[u8]| part.iter().all(u8::is_ascii_digit) && part.len() <= MAX_ID_DIGITS;
    let is_short =
        |part: &[u8]| part.len() <= MAX_SHORT_BYTES && part.iter().all(u8::is_ascii_alphanumeric);
    let mut words = parts.filter(|part| !part.is_empty());
    words.all(|part| {
        is_short(part) || is_number(part) || is_time(part) || is_word(part) || is_camel_case(part)
    })
}

/// Returns whether the first word of credentials is a scheme.
pub(super) fn is_scheme(first: &[u8]) -> bool {
    SCHEMES.iter().any(|scheme| first.eq_ignore_ascii_case(scheme.as_bytes()))
}

/// Returns whether a value looks random: it has the form of a token, or it mixes letters with digits, or upper with
/// lower case. Dates, versions, words, names with a number, names in camel case, and identifiers of several words are
/// excluded.
pub(super) fn is_random(value: &[u8]) -> bool {
    // No word of this length consists of hexadecimal digits alone.
    let is_hex = value.iter().all(u8::is_ascii_hexdigit);
    is_random_credential(value) && (is_hex || !is_word(value))
}

/// Returns whether a value looks random if its name suggests a secret: then also if it is longer than most words, like
/// a password of letters.
pub(super) fn is_random_credential(value: &[u8]) -> bool {
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

/// Returns whether a value is a UUID, which many services use as keys.
fn is_uuid(value: &[u8]) -> bool {
    let groups = value.split(|byte| *byte == b'-').map(<[u8]>::len);
    groups.eq([8, 4, 4, 4, 12])
        && value.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-')
}

/// Returns whether a value is a time such as `20240506T070809Z`.
fn is_time(value: &[u8]) -> bool {
    value.contains(&b'T') && value.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'T' | b'Z'))
}

/// Returns whether a value is several words such as `PaymentWorker2`, of at least four letters on average.
fn is_camel_case(value: &[u8]) -> bool {
    let (letters, _) = split_number(value);
    humps(letters) > 0 && is_words(letters)
}

/// Returns whether a value is letters of one case, such as `platformengineering`, also with an initial capital or a
/// short number after lower case letters; or a name whose first word is an acronym, such as `AWSPlatformTeam`.
fn is_word(value: &[u8]) -> bool {
    let (letters, number) = split_number(value);
    let capitals = letters.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    if capitals == letters.len() {
        return capitals > 0 && number.is_empty();
    }
    let is_acronym = ACRONYM_CAPITALS.contains(&capitals);
    let is_one = capitals <= 1 && humps(letters) == 0;
    let words = if is_acronym { &letters[capitals - 1..] } else { letters };
    number.len() <= MAX_NUMBER_DIGITS && (is_acronym || is_one) && is_words(words)
}

/// Splits a value into its prefix and the digits at its end.
fn split_number(value: &[u8]) -> (&[u8], &[u8]) {
    let digits = value.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    value.split_at(value.len() - digits)
}

/// Returns how often a capital follows a lower case letter.
fn humps(letters: &[u8]) -> usize {
    let is_hump = |pair: &&[u8]| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase();
    letters.windows(2).filter(is_hump).count()
}

/// Returns whether letters are words in camel case, or one word.
fn is_words(letters: &[u8]) -> bool {
    let capitals = letters.iter().filter(|byte| byte.is_ascii_uppercase()).count();
    let humps = humps(letters);
    letters.iter().all(u8::is_ascii_alphabetic)
        // Each capital begins a word.
        && capitals <= humps + 1
        && letters.len() >= 4 * (humps + 1)
}
