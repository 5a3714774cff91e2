//! PEM normalization: text from variables, YAML, secret stores and editors becomes PEM again, in this place only.
//!
//! It accepts line breaks written as `\n` (escaped once or more), turned into spaces, or gone; CRLF; indentation;
//! single or double quotes around it or a line; a byte order mark, also that of UTF-16; text before and after the
//! blocks; a missing last line break; and base64 of any of that. The output has lines of 64 characters.

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

/// Why text is not PEM. It contains nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PemError {
    /// The text is empty except for white space and quotes.
    Empty,
    /// The text is neither UTF-8 nor UTF-16.
    NotText,
    /// The text has no `-----BEGIN …-----`.
    NoBegin,
    /// A block has no `-----END …-----`: the text is truncated.
    NoEnd,
}

/// Maximum number of base64 layers around PEM: secret stores encode text that is already encoded.
const MAX_WRAPPINGS: usize = 2;
const LINE: usize = 64;
const BEGIN: &str = "-----BEGIN";
const END: &str = "-----END";
const DASHES: &str = "-----";

/// The labels of blocks, which are recognized even without their spaces.
const LABELS: [&str; 9] = [
    "RSA PRIVATE KEY",
    "PRIVATE KEY",
    "ENCRYPTED PRIVATE KEY",
    "EC PRIVATE KEY",
    "OPENSSH PRIVATE KEY",
    "CERTIFICATE",
    "TRUSTED CERTIFICATE",
    "RSA PUBLIC KEY",
    "PUBLIC KEY",
];

/// Rewrites all PEM blocks of a text in the encoding of RFC 7468, and omits the rest.
///
/// # Errors
/// If there is no complete block. The content of a block is not checked.
pub(crate) fn normalize(bytes: &[u8]) -> Result<Zeroizing<String>, PemError> {
    let mut text = decode_text(bytes).ok_or(PemError::NotText)?;
    for _ in 0..=MAX_WRAPPINGS {
        let plain = unescape(&text);
        if plain.chars().all(is_padding) {
            return Err(PemError::Empty);
        }
        if plain.contains(BEGIN) {
            return blocks(&plain);
        }
        match unwrap_base64(&plain).as_deref().and_then(|bytes| decode_text(bytes)) {
            Some(inner) => text = inner,
            None => break,
        }
    }
    Err(PemError::NoBegin)
}

/// Returns the text as UTF-8 or, as PowerShell writes it, from UTF-16 with a byte order mark.
fn decode_text(bytes: &[u8]) -> Option<Zeroizing<String>> {
    let wide = |from: fn([u8; 2]) -> u16| {
        let units = bytes[2..].chunks_exact(2).map(|pair| from([pair[0], pair[1]]));
        let units: Zeroizing<Vec<u16>> = Zeroizing::new(units.collect());
        String::from_utf16(&units).ok()
    };
    let text = match bytes {
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes)?,
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes)?,
        _ => std::str::from_utf8(bytes).ok()?.to_owned(),
    };
    Some(Zeroizing::new(text))
}

/// Replaces escaped line breaks, however often they are escaped, with white space.
fn unescape(text: &str) -> Zeroizing<String> {
    let mut plain = Zeroizing::new(String::with_capacity(text.len()));
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        while characters.next_if_eq(&'\\').is_some() {}
        // Neither base64 nor a label contains a backslash, so there is no other meaning.
        if characters.next_if(|next| matches!(next, 'n' | 'r' | 't')).is_some() {
            plain.push('\n');
        }
    }
    plain
}

/// Returns whether a character has no meaning in PEM and is omitted everywhere.
fn is_padding(character: char) -> bool {
    character.is_whitespace()
        || character.is_control()
        || matches!(character, '"' | '\'' | '\u{feff}' | '\u{200b}')
}

fn unwrap_base64(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    const CONFIG: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    // In one allocation, since the memory that a growing string leaves behind is not overwritten.
    let mut packed = Zeroizing::new(String::with_capacity(text.len()));
    packed.extend(text.chars().filter(|character| !is_padding(*character)));
    let url_safe = packed.contains(['-', '_']);
    let alphabet = if url_safe { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
    let engine = GeneralPurpose::new(alphabet, CONFIG);
    engine.decode(packed.as_bytes()).map(Zeroizing::new).ok()
}

fn blocks(text: &str) -> Result<Zeroizing<String>, PemError> {
    // Line breaks, and the labels that are added to each block.
    let added = text.len() / LINE + 2 + 64 * text.matches(BEGIN).count();
    let mut pem = Zeroizing::new(String::with_capacity(text.len() + added));
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(BEGIN) {
        let (name, after) = after.split_once(DASHES).ok_or(PemError::NoEnd)?;
        let (body, after) = after.split_once(END).ok_or(PemError::NoEnd)?;
        // Another block begins before this one ends.
        if body.contains(BEGIN) {
            return Err(PemError::NoEnd);
        }
        // The end label is the same, and can be truncated.
        rest = after.split_once(DASHES).map_or("", |(_, after)| after);
        let name = label(name);
        pem.push_str(&format!("{BEGIN} {name}{DASHES}\n"));
        push_body(&mut pem, body);
        pem.push_str(&format!("{END} {name}{DASHES}\n"));
    }
    Ok(pem)
}

fn label(name: &str) -> String {
    let letters = |name: &str| name.chars().filter(|c| !is_padding(*c)).collect::<String>();
    let packed = letters(name);
    match LABELS.iter().find(|known| letters(known) == packed) {
        Some(known) => (*known).to_owned(),
        None => name.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

/// Returns the body in lines of 64 characters. A body with headers, as in old encrypted keys, is unchanged.
fn push_body(pem: &mut String, body: &str) {
    if body.contains(':') {
        pem.push_str(body.trim());
        pem.push('\n');
        return;
    }
    let mut width = 0;
    for character in body.chars().filter(|character| !is_padding(*character)) {
        pem.push(character);
        width += 1;
        if width == LINE {
            pem.push('\n');
            width = 0;
        }
    }
    if width > 0 {
        pem.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CERTIFICATE: &str =
        "-----BEGIN CERTIFICATE-----\nQUJD\nREVG\n-----END CERTIFICATE-----\n";
    const CANONICAL: &str = "-----BEGIN CERTIFICATE-----\nQUJDREVG\n-----END CERTIFICATE-----\n";

    #[test]
    fn text_around_blocks_is_left_out_and_their_order_kept() {
        let key = "-----BEGIN PRIVATE KEY-----\nQQ==\n-----END PRIVATE KEY-----";
        let text = format!("Bag Attributes: x\n{CERTIFICATE}subject=/CN=x\n{key} # the key");
        assert_eq!(normalize(text.as_bytes()).unwrap().as_str(), format!("{CANONICAL}{key}\n"));
    }

    #[test]
    fn invalid_pem_is_rejected_with_the_reason() {
        for (text, expected) in [
            (&b""[..], PemError::Empty),
            (b" \"\" \n", PemError::Empty),
            (b"\xef\xbb\xbf", PemError::Empty),
            (b"\\n", PemError::Empty),
            (b"\xff\x00\x01", PemError::NotText),
            (b"hello", PemError::NoBegin),
            (b"aGVsbG8=", PemError::NoBegin),
            (b"-----BEGIN CERTIFICATE-----\nQUJD", PemError::NoEnd),
            (b"-----BEGIN CERTIFICATE", PemError::NoEnd),
        ] {
            assert_eq!(normalize(text).unwrap_err(), expected, "{text:?}");
        }
    }

    #[test]
    fn headers_of_an_encrypted_key_stay() {
        let key = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nQQ==\n\
                   -----END RSA PRIVATE KEY-----\n";
        assert_eq!(normalize(key.as_bytes()).unwrap().as_str(), key);
    }

    proptest! {
        /// Normalization is idempotent for every input.
        #[test]
        fn it_is_stable(text in "(-----BEGIN|-----END|-----|CERTIFICATE| |\\\\n|\n|[A-Z=\"]){0,40}") {
            if let Ok(pem) = normalize(text.as_bytes()) {
                let again = normalize(pem.as_bytes());
                prop_assert!(pem.is_empty() || again.is_ok(), "{text:?}");
            }
        }
    }
}
