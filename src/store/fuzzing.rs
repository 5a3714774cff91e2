//! Entry points for fuzzers.

use super::disk;
use super::lease::LeaseRequest;
use super::ledger::Ledger;
use super::tally;
use crate::fuzzing::first_line;

/// A ledger as a store holds it, after a line with a request.
pub(crate) fn ledger(input: &[u8]) {
    let (request, held) = first_line(input);
    let mut ledger: Ledger = serde_json::from_slice(held).unwrap_or_default();
    let mut request: LeaseRequest = serde_json::from_slice(request).unwrap_or_default();
    for now in [0, 1_790_000_000_000, u64::MAX / 2] {
        let lease = ledger.lease(now, &request);
        assert!(lease.windows.len() <= request.windows.len());
        // The next request of the same member.
        request.serial = request.serial.saturating_add(1);
        request.epoch = Some(lease.epoch);
    }
    let written = serde_json::to_vec(&ledger).expect("a ledger is written");
    assert_eq!(serde_json::from_slice::<Ledger>(&written).expect("it is read"), ledger);
}

/// Values of counters and of files.
pub(crate) fn stored_value(input: &[u8]) {
    let (key, value) = first_line(input);
    let added = tally::add(Some(value), &[("calls".to_owned(), u64::MAX)]);
    let numbers = tally::read(Some(&added));
    assert!(numbers.len() <= tally::MAX_NAMES + 1);
    assert_eq!(numbers.get("calls"), Some(&u64::MAX));
    disk::fuzzing::value(&String::from_utf8_lossy(key), value);
}
