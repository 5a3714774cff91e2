//! Digests and random bytes as text.

use std::fmt::Write;

/// Two hexadecimal digits for each byte, in lower case.
pub(crate) fn hex(bytes: impl AsRef<[u8]>) -> String {
    let bytes = bytes.as_ref();
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // A string takes whatever is written.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// A name that nobody else has.
pub(crate) fn unique() -> String {
    let mut random = [0; 8];
    match getrandom::fill(&mut random) {
        Ok(()) => hex(random),
        // Without random numbers: who and when.
        Err(_) => {
            let time = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
            format!("{:x}-{time:x}", std::process::id())
        }
    }
}
