//! Digests and random bytes as text.

use std::fmt::{self, Write};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes as two hexadecimal digits each, in lower case.
pub(crate) struct Hex<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Returns two hexadecimal digits for each byte, in lower case.
pub(crate) fn hex(bytes: impl AsRef<[u8]>) -> String {
    let bytes = bytes.as_ref();
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    // Writing to a string cannot fail.
    let _ = write!(text, "{}", Hex(bytes));
    text
}

/// Returns a unique name: this process's, and a number.
pub(crate) fn unique_id() -> String {
    static PROCESS: LazyLock<String> = LazyLock::new(process_id);
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    format!("{}-{:x}", *PROCESS, NUMBER.fetch_add(1, Ordering::Relaxed))
}

fn process_id() -> String {
    let mut random = [0; 8];
    match getrandom::fill(&mut random) {
        Ok(()) => hex(random),
        // Without random numbers: process id and time.
        Err(_) => {
            let time = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
            format!("{:x}-{time:x}", std::process::id())
        }
    }
}
