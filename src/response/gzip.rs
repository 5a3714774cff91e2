//! Decompression of a response body, in pieces of bounded size.

use std::io::{Error, ErrorKind, Result, Write};

use bytes::{Buf, Bytes};
use flate2::write::MultiGzDecoder;

/// Decompresses gzip ([RFC 1952](https://www.rfc-editor.org/rfc/rfc1952)) as it arrives.
///
/// A few bytes can decompress to a thousand times their number. So each call returns one piece of the
/// output, of about 32 KiB at most.
#[derive(Debug)]
pub(super) struct Gzip {
    decoder: MultiGzDecoder<Vec<u8>>,
    /// Input that has arrived and is not decompressed yet.
    input: Bytes,
    has_begun: bool,
}

impl Gzip {
    pub(super) fn new() -> Self {
        let decoder = MultiGzDecoder::new(Vec::new());
        Self { decoder, input: Bytes::new(), has_begun: false }
    }

    /// Accepts the next part of the compressed body, after [`next_piece`](Self::next_piece) has returned `None`.
    pub(super) fn feed(&mut self, input: Bytes) {
        self.has_begun |= !input.is_empty();
        self.input = input;
    }

    /// Returns the next piece of the output; `None` if more input is needed.
    ///
    /// # Errors
    /// If the input is not valid gzip.
    pub(super) fn next_piece(&mut self) -> Result<Option<Bytes>> {
        while !self.input.is_empty() {
            let taken = self.decoder.write(&self.input)?;
            if taken == 0 {
                return Err(Error::new(ErrorKind::InvalidData, "unexpected end of the gzip data"));
            }
            self.input.advance(taken);
            if self.input.is_empty() {
                // The reader receives the available output, even if more arrives much later.
                self.decoder.flush()?;
            }
            if let Some(piece) = self.take_output() {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }

    /// Ends the body, and returns the rest of the output.
    ///
    /// # Errors
    /// If the gzip data ends early, or its checksum or length does not match.
    pub(super) fn finish(&mut self) -> Result<Option<Bytes>> {
        // A response without a body can have a `Content-Encoding` nevertheless.
        if !self.has_begun {
            return Ok(None);
        }
        self.decoder.try_finish()?;
        Ok(self.take_output())
    }

    fn take_output(&mut self) -> Option<Bytes> {
        let output = std::mem::take(self.decoder.get_mut());
        (!output.is_empty()).then(|| output.into())
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    fn compressed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// Decompresses input that arrives in parts of this size; also returns the largest piece.
    fn decompress(input: &[u8], part: usize) -> Result<(Vec<u8>, usize)> {
        let (mut gzip, mut output, mut largest) = (Gzip::new(), Vec::new(), 0);
        for part in input.chunks(part) {
            gzip.feed(Bytes::copy_from_slice(part));
            while let Some(piece) = gzip.next_piece()? {
                largest = largest.max(piece.len());
                output.extend_from_slice(&piece);
            }
        }
        output.extend_from_slice(&gzip.finish()?.unwrap_or_default());
        Ok((output, largest))
    }

    proptest! {
        #[test]
        fn compressed_data_is_read_in_any_chunking(
            text in prop::collection::vec(any::<u8>(), 0..5_000),
            repeats in 1_usize..20,
            part in 1_usize..3_000,
        ) {
            let text = text.repeat(repeats);
            let (output, _) = decompress(&compressed(&text), part).unwrap();
            prop_assert_eq!(output, text);
        }

        #[test]
        fn gzip_data_that_is_cut_is_an_error(
            text in prop::collection::vec(any::<u8>(), 1..2_000),
            cut in any::<prop::sample::Index>(),
            part in 1_usize..3_000,
        ) {
            let whole = compressed(&text);
            let cut = 1 + cut.index(whole.len() - 1);
            prop_assert!(decompress(&whole[..whole.len() - cut.min(whole.len() - 1)], part).is_err());
        }

        #[test]
        fn any_bytes_are_read_without_harm(
            bytes in prop::collection::vec(any::<u8>(), 0..500),
            part in 1_usize..100,
        ) {
            let _ = decompress(&bytes, part);
            let _ = decompress(&[&[31, 139, 8, 0], &bytes[..]].concat(), part);
        }
    }

    #[test]
    fn a_bomb_comes_in_small_pieces() {
        let (output, largest) = decompress(&compressed(&vec![0; 64 << 20]), usize::MAX).unwrap();
        assert_eq!(output.len(), 64 << 20);
        assert!(largest <= 128 * 1024, "{largest}");
    }

    #[test]
    fn members_follow_each_other_and_nothing_else_follows() {
        let both = [compressed(b"one "), compressed(b"two")].concat();
        assert_eq!(decompress(&both, 7).unwrap().0, b"one two");
        assert!(decompress(&[compressed(b"one"), b"garbage".to_vec()].concat(), 7).is_err());
        assert_eq!(decompress(b"", 1).unwrap().0, b"");
    }
}
