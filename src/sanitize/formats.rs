//! Tokens with a recognizable format: GitHub's, and JSON Web Tokens.

use std::ops::Range;

use memchr::{memchr2_iter, memmem};

/// The last letters of the prefixes `ghp_`, `gho_`, `ghu_`, `ghs_` and `ghr_`.
const KINDS: &[u8] = b"pousr";
const FINE_GRAINED: &[u8] = b"github_pat_";
/// Minimum number of bytes after the prefix of a GitHub token. Real ones have 36 and more.
const MIN_TOKEN_BYTES: usize = 16;
/// The start of a JSON object in base64url, which begins a JWT's header and claims.
const OBJECT: &[u8] = b"eyJ";

/// Adds the ranges of such tokens in the text.
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

/// Returns the start of a token whose prefix has an underscore at `at`. The prefix begins a word, unlike the one in
/// `lengths_of_words`.
fn prefix(text: &[u8], at: usize) -> Option<usize> {
    let start = match &text[..at] {
        [.., b'g', b'h', kind] if KINDS.contains(kind) => at - 3,
        _ if text[..=at].ends_with(FINE_GRAINED) => at + 1 - FINE_GRAINED.len(),
        _ => return None,
    };
    begins_word(&text[..start]).then_some(start)
}

/// Returns whether a word begins after this text. The separator before it can be encoded, also twice: `%20`, `%2520`,
/// `\n`, `\x3d`, `\u0022`.
fn begins_word(before: &[u8]) -> bool {
    if before.last().is_none_or(|byte| !byte.is_ascii_alphanumeric()) {
        return true;
    }
    let without_hex = |digits: usize| {
        let (rest, hex) = before.split_at_checked(before.len().checked_sub(digits)?)?;
        hex.iter().all(u8::is_ascii_hexdigit).then_some(rest)
    };
    let is_percent = || {
        let mut rest = without_hex(2)?;
        while let Some(less) = rest.strip_suffix(b"25") {
            rest = less;
        }
        rest.ends_with(b"%").then_some(())
    };
    matches!(before, [.., b'\\', b'n' | b'r' | b't' | b'b' | b'f' | b'v' | b'a' | b'e' | b'0'])
        || without_hex(2).is_some_and(|rest| rest.ends_with(b"\\x"))
        || without_hex(4).is_some_and(|rest| rest.ends_with(b"\\u"))
        || is_percent().is_some()
}

/// Returns the start of a JWT whose first dot is at `at`.
fn jwt(text: &[u8], at: usize) -> Option<usize> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !text[at + 1..].starts_with(OBJECT) {
        return None;
    }
    let start = text[..at].iter().rposition(|byte| !is_part(byte)).map_or(0, |before| before + 1);
    memmem::find_iter(&text[start..at], OBJECT)
        .map(|found| start + found)
        .find(|start| begins_word(&text[..*start]))
}

/// Returns the length of the prefix of token characters.
fn run(text: &[u8]) -> usize {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    text.iter().position(|byte| !is_part(byte)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    const TOKENS: [&str; 4] = [
        "ghs_16C7e42F292c6912E7710c838347Ae17",
        "github_pat_11A_x0123456789abc",
        "eyJhbGciOi.eyJpc3MiOi.c2ln-_",
        "ghu_0123456789abcdef",
    ];

    fn shown(text: &str) -> String {
        super::super::text(text, 1_000).into_owned()
    }

    proptest! {
        /// An encoded separator before a token means that it is not a part of a longer word.
        #[test]
        fn a_token_after_an_encoded_separator_is_found(
            token in prop::sample::select(&TOKENS[..]),
            before in "[a-zA-Z0-9:]{0,8}",
            separator in prop::sample::select(&[' ', '=', ':', '"', '\n', '/', '\t', '&', '\r', '\''][..]),
            way in 0..9,
        ) {
            let code = u32::from(separator);
            let encoded = match way {
                0 => format!("%{code:02X}"),
                1 => format!("%{code:02x}"),
                2 => format!("%25{code:02X}"),
                3 => format!("%2525{code:02x}"),
                4 => format!("\\u{code:04x}"),
                5 => format!("\\x{code:02x}"),
                6 => format!("\\\\u{code:04X}"),
                7 => format!("&#{code};"),
                _ => separator.escape_default().to_string(),
            };
            let given = format!("{before}{encoded}{token}");
            prop_assert!(!shown(&given).contains(token), "{given}: {}", shown(&given));
            prop_assert!(shown(&given).ends_with("[hidden]"), "{given}: {}", shown(&given));
        }

        /// Any other character makes it a part of a longer word, as in `lengths_of_all_words`.
        #[test]
        fn a_prefix_within_a_word_is_no_token(before in "[g-z]{1,8}|[a-z]{1,4}[0-9]{3}") {
            let given = format!("{before}ghs_of_all_words_in_the_text");
            prop_assert_eq!(shown(&given), given);
        }
    }
}
