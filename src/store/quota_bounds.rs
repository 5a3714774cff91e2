//! The constants and bounds of quota leases and of the ledger that grants them.

#![cfg_attr(not(feature = "disk-store"), allow(dead_code, reason = "ledgers alone need the rest"))]

use std::time::Duration;

/// The largest number: Redis scripts count exactly up to it.
pub(super) const MAX_NUMBER: u64 = 1 << 53;
/// The longest name of a member, an owner, a window or a primary limit, in bytes.
pub(super) const MAX_TEXT: usize = 512;
/// The maximum number of stored buckets of one window.
pub(super) const MAX_BUCKETS: usize = 2_000;
/// The longest pause that the ledger accepts, in milliseconds: a day.
pub(super) const MAX_PAUSE_MS: u64 = 24 * 60 * 60 * 1_000;
/// The maximum number of consecutive pauses.
pub(super) const MAX_CONSECUTIVE_PAUSES: u32 = 64;
/// The longest time between two writes that one member can impose on the others, in milliseconds.
pub(super) const MAX_WRITE_INTERVAL_MS: u64 = 60 * 60 * 1_000;
/// The maximum size of a ledger that is written and read, in bytes.
pub(super) const MAX_BYTES: usize = 8 * 1024 * 1024;

/// A member without a request for this time, in milliseconds, has departed; a member with calls in flight sends
/// requests twice as often.
pub(super) const MEMBER_TIMEOUT: u64 = 10_000;
/// If a client was not served for this time, in milliseconds, and no other was, the store was unavailable. Together with
/// the longest time between two requests of a member, it is no longer than the time after which the member has departed.
pub(super) const MIN_OUTAGE: u64 = MEMBER_TIMEOUT / 5;
/// For this time, in milliseconds, a member that wanted more still counts as wanting more.
pub(super) const STARVATION_MEMORY: u64 = 2_000;
/// The maximum number of calls that probe an unknown primary limit.
pub(super) const UNKNOWN_LIMIT_PROBES: u64 = 10;
/// Resets of a primary limit that differ by less, in milliseconds, belong to the same window.
pub(super) const SAME_WINDOW: u64 = 10_000;
/// GitHub reports whole seconds, and its servers' clocks differ by as much.
pub(super) const AFTER_RESET: u64 = 1_000;
/// The divisor of a limit that gives the minimum grant: a member waits until this part of the window is free, so that
/// it does not poll for fragments.
pub(super) const MIN_GRANT_DIVISOR: u32 = 60;
/// The time in milliseconds after which a pause without a successful probe is dropped.
pub(super) const PAUSE_TTL: u64 = 600_000;
/// The longest time in milliseconds for which spending counts in any window.
pub(super) const MAX_WINDOW_MS: u64 = 2 * 60 * 60 * 1_000;
/// The maximum number of owners that the ledger keeps.
pub(super) const MAX_OWNERS: usize = 10_000;
pub(super) const MAX_MEMBERS: usize = MAX_MEMBER_COUNT as usize;
/// The same, as members are counted.
pub(super) const MAX_MEMBER_COUNT: u32 = 1_000;
pub(super) const MAX_NAMES: usize = 64;
/// How long a store keeps a ledger after its last request: the longest window of GitHub, and an hour more.
pub(crate) const LEDGER_TTL: Duration = Duration::from_secs(2 * 60 * 60);
/// The divisor of a window's limit that gives the amount that all members together can spend without leases.
pub(super) const OFFLINE_DIVISOR: u32 = 4;

/// How long a lease is valid, in milliseconds.
pub(crate) const LEASE_TTL_MS: u64 = 500;
/// The wait in milliseconds if none is known.
pub(super) const RETRY_AFTER_MS: u64 = 100;

/// Returns whether text is short enough for a name.
pub(super) fn is_name(text: &str) -> bool {
    text.len() <= MAX_TEXT
}

/// Requests that are sent at the same time arrive within this time, in milliseconds.
pub(super) const ARRIVAL_TOLERANCE_MS: u64 = 1_000;
/// The number of buckets of a window.
pub(super) const BUCKETS: u64 = 240;

/// Returns the length of a bucket of a window of this length, in milliseconds.
pub(super) fn bucket_of(length: u64) -> u64 {
    (length / BUCKETS).max(1)
}

/// Returns how long a grant counts at most, in milliseconds: a client can spend it while the lease is valid, and
/// requests take unequal times to arrive.
pub(super) fn retention_ms(length: u64) -> u64 {
    bucket_of(length).saturating_add(length).saturating_add(LEASE_TTL_MS + ARRIVAL_TOLERANCE_MS)
}
