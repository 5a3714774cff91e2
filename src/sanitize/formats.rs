//! Tokens that are recognized by their form: those of GitHub, and JSON Web Tokens.

use std::ops::Range;

use memchr::memchr2_iter;

/// Last letters of the prefixes `ghp_`, `gho_`, `ghu_`, `ghs_` and `ghr_`.
const KINDS: &[u8] = b"pousr";
const FINE_GRAINED: &[u8] = b"github_pat_";
/// Bytes that a token of GitHub's has after its prefix at least. Its own have 36 and more.
const MIN_TOKEN_BYTES: usize = 16;
/// Beginning of a JSON object in base64url, as a JWT's header and claims begin.
const OBJECT: &[u8] = b"eyJ";

/// Adds where the text has such tokens.
pub(super) fn find(text: &[u8], ranges: &mut Vec<Range<usize>>) {
    let mut next = 0;
    for at in memchr2_iter(b'_', b'.', text) {
        if at < next {
            continue;
        }
        let (start, min_bytes) = match text[at] {
            b'_' => (prefix(text, at), MIN_TOKEN_BYTES),
            _ => (jwt(text, at), 1),
        };
        if let Some(start) = start {
            let end = at + run(&text[at..]);
            if end > at + min_bytes {
                ranges.push(start..end);
                next = end;
            }
        }
    }
}

/// Returns the start of a token whose prefix has an underscore at `at`. It begins a word, unlike that
/// in `lengths_of_words`.
fn prefix(text: &[u8], at: usize) -> Option<usize> {
    let start = match &text[..at] {
        [.., b'g', b'h', kind] if KINDS.contains(kind) => at - 3,
        _ if text[..=at].ends_with(FINE_GRAINED) => at + 1 - FINE_GRAINED.len(),
        _ => return None,
    };
    let begins_word = start == 0 || !text[start - 1].is_ascii_alphanumeric();
    begins_word.then_some(start)
}

/// Returns the start of a JWT whose first point is at `at`.
fn jwt(text: &[u8], at: usize) -> Option<usize> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !text[at + 1..].starts_with(OBJECT) {
        return None;
    }
    let start = text[..at].iter().rposition(|byte| !is_part(byte)).map_or(0, |before| before + 1);
    text[start..at].starts_with(OBJECT).then_some(start)
}

/// Returns the length of the characters that a token can have.
fn run(text: &[u8]) -> usize {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    text.iter().position(|byte| !is_part(byte)).unwrap_or(text.len())
}
