//! Ports for programs with a configured address, which they use again after a restart.

use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Below those that systems give to connections and to listeners that name none (32,768 and above on Linux), so that
/// none of these takes a port while no program listens on it.
const FIRST: u16 = 10_000;
const COUNT: u16 = 10_000;

/// A port that is free, and so is the one 10,000 above it, which nodes of a Redis cluster use as well. Each call gets
/// another one, and other processes begin elsewhere.
pub fn free_port() -> u16 {
    static NEXT: LazyLock<AtomicU64> =
        LazyLock::new(|| AtomicU64::new(RandomState::new().hash_one(0) >> 1));
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed) % u64::from(COUNT);
        let port = FIRST + u16::try_from(number).unwrap();
        let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if is_free(port) && is_free(port + COUNT) {
            return port;
        }
    }
}
