//! Digests and random bytes as text.

use std::fmt::Write;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Returns two hexadecimal digits for each byte, in lower case.
pub(crate) fn hex(bytes: impl AsRef<[u8]>) -> String {
    let bytes = bytes.as_ref();
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
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
