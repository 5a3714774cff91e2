//! Tests that measure memory: each in a process of its own, whose allocations are counted.

use std::alloc::{GlobalAlloc, Layout, System};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The system's allocator, which counts allocations.
pub struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);

/// The bytes that are allocated, as the allocator of glibc takes them from the system: a word more for each piece of
/// memory, in steps of 16 bytes.
pub fn live() -> usize {
    LIVE.load(Relaxed)
}

fn chunk(size: usize) -> usize {
    (size + 8).next_multiple_of(16).max(32)
}

// SAFETY: every call is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(chunk(layout.size()), Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(chunk(layout.size()), Relaxed);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LIVE.fetch_add(chunk(size), Relaxed);
        LIVE.fetch_sub(chunk(layout.size()), Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(chunk(layout.size()), Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The resident memory of this process in bytes; `None` where the system does not tell.
pub fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<usize>().ok().map(|kilobytes| kilobytes * 1024)
}

const CHILD: &str = "OCTOWIRE_MEASURED_TEST";

/// Runs the test of this name alone in a process, which this one starts again.
pub fn alone(module: &str, test: &str, measure: impl FnOnce()) {
    let module = module.split_once("::").map_or(module, |(_, within)| within);
    let name = format!("{module}::{test}");
    if std::env::var(CHILD).is_ok_and(|child| child == name) {
        return measure();
    }
    let program = std::env::current_exe().unwrap();
    let arguments = ["--exact", &name, "--nocapture", "--test-threads=1"];
    let output = Command::new(program).args(arguments).env(CHILD, &name).output().unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    // Prints the figures, for runs with `--nocapture`.
    said.lines().filter(|line| line.contains("of its bound")).for_each(|line| println!("{line}"));
}
