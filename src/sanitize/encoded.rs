//! Text whose escapes are resolved, with the way back to where each byte was.

use std::ops::Range;

/// Text after one round of decoding: percent signs, the escapes of JSON and of Rust's `Debug`, and
/// the entities of HTML.
pub(super) struct Decoded {
    pub(super) bytes: Vec<u8>,
    /// Where each byte begins in the original, and one more for the end.
    starts: Vec<u32>,
}

impl Decoded {
    /// Decodes the text, whose length fits `u32`. Returns `None` if nothing is encoded.
    pub(super) fn of(text: &[u8]) -> Option<Self> {
        if !text.iter().any(|byte| matches!(byte, b'%' | b'\\' | b'&')) {
            return None;
        }
        let mut decoded = Self {
            bytes: Vec::with_capacity(text.len()),
            starts: Vec::with_capacity(text.len() + 1),
        };
        let mut at = 0;
        while let Some(first) = text.get(at) {
            let unit = match first {
                b'%' => percent(&text[at..]),
                b'\\' => backslash(&text[at..]),
                b'&' => entity(&text[at..]),
                _ => None,
            };
            let mut buffer = [0; 4];
            let (bytes, length): (&[u8], _) = match unit {
                Some((Unit::Byte(byte), length)) => {
                    buffer[0] = byte;
                    (&buffer[..1], length)
                }
                Some((Unit::Char(character), length)) => {
                    (character.encode_utf8(&mut buffer).as_bytes(), length)
                }
                None => (std::slice::from_ref(first), 1),
            };
            decoded.bytes.extend_from_slice(bytes);
            // What is checked above: it fits.
            decoded.starts.extend(std::iter::repeat_n(at as u32, bytes.len()));
            at += length;
        }
        decoded.starts.push(at as u32);
        (decoded.bytes.len() < text.len()).then_some(decoded)
    }

    /// Returns where a range of the decoded bytes is in the original.
    pub(super) fn original(&self, range: &Range<usize>) -> Range<usize> {
        self.starts[range.start] as usize..self.starts[range.end] as usize
    }
}

enum Unit {
    Byte(u8),
    Char(char),
}

fn percent(text: &[u8]) -> Option<(Unit, usize)> {
    Some((Unit::Byte(hex(text.get(1..3)?)? as u8), 3))
}

fn backslash(text: &[u8]) -> Option<(Unit, usize)> {
    let byte = match text.get(1)? {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'f' => 12,
        b'0' => 0,
        same @ (b'"' | b'\'' | b'\\' | b'/') => *same,
        b'x' => return Some((Unit::Byte(hex(text.get(2..4)?)? as u8), 4)),
        b'u' if text.get(2) == Some(&b'{') => {
            let digits = text.get(3..)?.iter().take(7).position(|byte| *byte == b'}')?;
            let code = hex(&text[3..3 + digits])?;
            return Some((Unit::Char(char::from_u32(code)?), digits + 4));
        }
        b'u' => return Some((Unit::Char(char::from_u32(hex(text.get(2..6)?)?)?), 6)),
        _ => return None,
    };
    Some((Unit::Byte(byte), 2))
}

fn entity(text: &[u8]) -> Option<(Unit, usize)> {
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
    Some((Unit::Char(code), end + 1))
}

/// Reads up to six hexadecimal digits.
fn hex(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 6 {
        return None;
    }
    digits.iter().try_fold(0, |number, digit| Some(number << 4 | char::from(*digit).to_digit(16)?))
}
