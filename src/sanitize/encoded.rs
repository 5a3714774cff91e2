//! Text with decoded escapes, and a map back to the original positions.

use std::ops::Range;

use memchr::{memchr3, memchr3_iter};

/// Text after one round of decoding: percent signs, the escapes of JSON and of Rust's `Debug`, and
/// the entities of HTML.
pub(super) struct Decoded {
    pub(super) bytes: Vec<u8>,
    /// The decoded parts, in order.
    units: Vec<Unit>,
}

/// The first bytes of escapes.
const ESCAPES: [u8; 3] = *b"%\\&";

/// Returns whether a text can contain escapes.
pub(super) fn has_escape(text: &[u8]) -> bool {
    let [one, two, three] = ESCAPES;
    memchr3(one, two, three, text).is_some()
}

/// Encoded bytes.
struct Unit {
    decoded: Range<usize>,
    original: Range<usize>,
}

impl Decoded {
    /// Decodes the text. Returns `None` if it contains no escapes.
    pub(super) fn of(text: &[u8]) -> Option<Self> {
        let mut decoded = Self { bytes: Vec::new(), units: Vec::new() };
        let mut next = 0;
        let [one, two, three] = ESCAPES;
        for at in memchr3_iter(one, two, three, text) {
            // It might be a part of the previous one, as in `\\`.
            let Some((value, length)) = unit(&text[at..]).filter(|_| at >= next) else { continue };
            if decoded.units.is_empty() {
                decoded.bytes.reserve(text.len());
            }
            decoded.bytes.extend_from_slice(&text[next..at]);
            let start = decoded.bytes.len();
            match value {
                Value::Byte(byte) => decoded.bytes.push(byte),
                Value::Char(character) => {
                    let mut buffer = [0; 4];
                    decoded.bytes.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
                }
            }
            next = at + length;
            decoded.units.push(Unit { decoded: start..decoded.bytes.len(), original: at..next });
        }
        if decoded.units.is_empty() {
            return None;
        }
        decoded.bytes.extend_from_slice(&text[next..]);
        Some(decoded)
    }

    /// Returns the original range of a range of the decoded bytes.
    pub(super) fn original(&self, range: &Range<usize>) -> Range<usize> {
        self.position(range.start, |unit| unit.start)..self.position(range.end, |unit| unit.end)
    }

    /// Returns the original position. A position within an encoded character maps to its end or its start.
    fn position(&self, at: usize, of: impl FnOnce(&Range<usize>) -> usize) -> usize {
        let before = self.units.partition_point(|unit| unit.decoded.start < at);
        match before.checked_sub(1).and_then(|last| self.units.get(last)) {
            None => at,
            Some(unit) if at < unit.decoded.end => of(&unit.original),
            Some(unit) => unit.original.end + (at - unit.decoded.end),
        }
    }
}

enum Value {
    Byte(u8),
    Char(char),
}

/// Decodes the escape at the beginning of the text. Returns the bytes and the length.
fn unit(text: &[u8]) -> Option<(Value, usize)> {
    match text.first()? {
        b'%' => percent(text),
        b'\\' => backslash(text),
        _ => entity(text),
    }
}

fn percent(text: &[u8]) -> Option<(Value, usize)> {
    Some((Value::Byte(hex(text.get(1..3)?)? as u8), 3))
}

fn backslash(text: &[u8]) -> Option<(Value, usize)> {
    let byte = match text.get(1)? {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'f' => 12,
        b'0' => 0,
        same @ (b'"' | b'\'' | b'\\' | b'/') => *same,
        b'x' => return Some((Value::Byte(hex(text.get(2..4)?)? as u8), 4)),
        b'u' if text.get(2) == Some(&b'{') => {
            let digits = text.get(3..)?.iter().take(7).position(|byte| *byte == b'}')?;
            let code = hex(&text[3..3 + digits])?;
            return Some((Value::Char(char::from_u32(code)?), digits + 4));
        }
        b'u' => return Some((Value::Char(char::from_u32(hex(text.get(2..6)?)?)?), 6)),
        _ => return None,
    };
    Some((Value::Byte(byte), 2))
}

fn entity(text: &[u8]) -> Option<(Value, usize)> {
    let end = text.iter().take(10).position(|byte| *byte == b';')?;
    let code = match &text[1..end] {
        b"amp" => '&',
        b"lt" => '<',
        b"gt" => '>',
        b"quot" => '"',
        b"apos" => '\'',
        [b'#', b'x' | b'X', digits @ ..] => char::from_u32(hex(digits)?)?,
        [b'#', digits @ ..] => char::from_u32(std::str::from_utf8(digits).ok()?.parse().ok()?)?,
        _ => return None,
    };
    Some((Value::Char(code), end + 1))
}

/// Parses up to six hexadecimal digits.
fn hex(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 6 {
        return None;
    }
    digits.iter().try_fold(0, |number, digit| Some(number << 4 | char::from(*digit).to_digit(16)?))
}
