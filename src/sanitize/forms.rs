//! The forms of a secret that are recognized without decoding.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use zeroize::Zeroizing;

/// The position of a form in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Encoding {
    /// The form itself, in any context.
    Plain,
    /// Within base64 of a longer text: the adjacent characters belong to it.
    Base64,
}

/// Calls back with each form of a piece of a secret: itself, with `+` for spaces as in HTML forms, and in base64 (of
/// both alphabets) at each of the three offsets that the piece can have in the encoded text, as in
/// `Basic base64(user:secret)`.
pub(super) fn each(piece: &[u8], mut add: impl FnMut(Encoding, &[u8])) {
    add(Encoding::Plain, piece);
    if piece.contains(&b' ') {
        let mut form = Zeroizing::new(piece.to_vec());
        form.iter_mut().filter(|byte| **byte == b' ').for_each(|byte| *byte = b'+');
        // All other encodings are decoded before.
        add(Encoding::Plain, &form);
    }
    for offset in 0..3 {
        let mut padded = Zeroizing::new(vec![0; offset]);
        padded.extend_from_slice(piece);
        // The first characters depend on the text before the piece, and the last on the text after it.
        let start = [0, 2, 3][offset];
        let end = padded.len() * 8 / 6;
        for alphabet in [&STANDARD, &URL_SAFE] {
            let encoded = Zeroizing::new(alphabet.encode(&*padded));
            add(Encoding::Base64, &encoded.as_bytes()[start..end]);
            if !encoded.contains(['+', '/']) {
                break;
            }
        }
    }
}
