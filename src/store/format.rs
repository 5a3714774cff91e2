//! The versions of the values that this library keeps in a store.
//!
//! Clients of several versions can use one store. Each value carries the version of its format, at its beginning or, for
//! a number that a store adds to, in its key: [`COUNTER_VERSION`]. A client leaves a value of a later version unchanged,
//! for the clients that can read it.

use bytes::Bytes;

/// The part of a key that names the version of a number, for `budget:` and `usage:`. A number has no place for it.
#[cfg_attr(not(feature = "usage"), allow(dead_code, reason = "usage alone needs it"))]
pub(crate) const COUNTER_VERSION: &str = "v1";

/// The format of a small value: `octowire-`, a name, a colon, the version, a line break, and the content.
///
/// Cached responses, tokens and the values of a `DiskStore` have binary headers of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ValueFormat {
    name: &'static str,
    version: u64,
}

/// Why a value is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FormatProblem {
    /// It has a later version, which other clients can read.
    Newer,
    /// It has an earlier version, or is not a value of this format.
    Damaged,
}

const MARK: &str = "octowire-";
/// The maximum number of bytes of a version and its line break.
const MAX_VERSION_BYTES: usize = 20;

impl ValueFormat {
    pub(crate) const fn new(name: &'static str, version: u64) -> Self {
        Self { name, version }
    }

    /// Encodes content, with the name and the version.
    pub(crate) fn encode(self, content: impl AsRef<[u8]>) -> Bytes {
        let Self { name, version } = self;
        let head = format!("{MARK}{name}:{version}\n");
        [head.as_bytes(), content.as_ref()].concat().into()
    }

    /// Returns the content of a value of this version.
    pub(crate) fn decode(self, value: &[u8]) -> Result<&[u8], FormatProblem> {
        let (version, content) = self.split(value).ok_or(FormatProblem::Damaged)?;
        match version {
            version if version == self.version => Ok(content),
            version if version > self.version => Err(FormatProblem::Newer),
            _ => Err(FormatProblem::Damaged),
        }
    }

    fn split(self, value: &[u8]) -> Option<(u64, &[u8])> {
        let rest = value.strip_prefix(MARK.as_bytes())?.strip_prefix(self.name.as_bytes())?;
        let rest = rest.strip_prefix(b":")?;
        let end = rest.iter().take(MAX_VERSION_BYTES).position(|byte| *byte == b'\n')?;
        let (version, content) = rest.split_at_checked(end)?;
        let version = std::str::from_utf8(version).ok()?;
        let is_canonical = version.bytes().all(|byte| byte.is_ascii_digit());
        let version = version.parse().ok().filter(|_| is_canonical)?;
        Some((version, content.get(1..)?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FORMAT: ValueFormat = ValueFormat::new("claim", 2);

    type Decoded<'a> = Result<&'a [u8], FormatProblem>;

    #[test]
    fn only_the_present_version_is_read() {
        assert_eq!(&FORMAT.encode("x\ny")[..], b"octowire-claim:2\nx\ny");
        let newer = Err(FormatProblem::Newer);
        let damaged = Err(FormatProblem::Damaged);
        let cases: [(&[u8], Decoded<'_>); 14] = [
            (b"octowire-claim:2\n", Ok(b"")),
            (b"octowire-claim:2\nx\ny", Ok(b"x\ny")),
            (b"octowire-claim:3\nx", newer),
            (b"octowire-claim:18446744073709551\n", newer),
            (b"octowire-claim:1\nx", damaged),
            (b"octowire-claim:0\nx", damaged),
            (b"octowire-claim:\nx", damaged),
            (b"octowire-claim:+3\nx", damaged),
            (b"octowire-claim:-1\nx", damaged),
            (b"octowire-claim:99999999999999999999999\nx", damaged),
            (b"octowire-claim:2", damaged),
            (b"octowire-claims:2\nx", damaged),
            (b"claim:2\nx", damaged),
            (b"", damaged),
        ];
        for (value, expected) in cases {
            assert_eq!(FORMAT.decode(value), expected, "{}", value.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn content_is_read_as_it_was_written(
            content in prop::collection::vec(any::<u8>(), 0..60),
            version in any::<u64>(),
        ) {
            let format = ValueFormat::new("x", version);
            let value = format.encode(&content);
            // A version of twenty digits has no space for its line break.
            if version < 10_u64.pow(18) {
                prop_assert_eq!(format.decode(&value), Ok(&content[..]));
                let older = ValueFormat::new("x", version.saturating_sub(1));
                prop_assert!(version == 0 || older.decode(&value) == Err(FormatProblem::Newer));
            }
        }

        #[test]
        fn any_bytes_decode_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = FORMAT.decode(&bytes);
            let _ = FORMAT.decode(&[b"octowire-claim:", &bytes[..]].concat());
        }
    }
}
