//! Entry points for fuzzers.
#![allow(clippy::expect_used, clippy::panic, reason = "a fuzz target fails by a panic")]

use super::counter_table;
use super::lease::QuotaRequest;
use super::ledger::QuotaLedger;
use super::{counter, disk};
use crate::fuzzing::first_line;

/// A stored ledger, after a line with a request.
pub(crate) fn ledger(input: &[u8]) {
    let (request, held) = first_line(input);
    let read = QuotaLedger::read(held);
    // Custom stores read ledgers by serde, which has the same bounds.
    let mut ledger = match serde_json::from_slice::<QuotaLedger>(held) {
        Ok(ledger) => ledger,
        Err(_) => read.unwrap_or_default(),
    };
    let mut request: QuotaRequest = serde_json::from_slice(request).unwrap_or_default();
    for now in [0, 1_790_000_000_000, u64::MAX / 2] {
        let lease = ledger.lease(now, &request);
        assert!(lease.windows.len() <= request.windows.len());
        if !lease.is_unknown_member {
            assert_eq!(lease.clone().bounded(&request), lease);
        }
        // The next request of the same member.
        request.serial = request.serial.saturating_add(1);
        request.epoch = Some(lease.epoch);
    }
    let written = ledger.write(&request.member).expect("a small ledger was not written");
    assert_eq!(QuotaLedger::read(&written).expect("a written ledger does not decode"), ledger);
}

/// Values of counters and of files.
pub(crate) fn stored_value(input: &[u8]) {
    let (key, value) = first_line(input);
    let held = counter_table::read(value).unwrap_or_default();
    let added = counter_table::increment(held, &[("calls".to_owned(), u64::MAX)]);
    let numbers = counter_table::read(&added).expect("a written ledger does not decode");
    assert!(numbers.len() <= counter_table::MAX_NAMES + 1);
    assert!(numbers.values().any(|number| *number == counter_table::MAX_NUMBER));
    if let Some(sum) = counter::read(value) {
        assert_eq!(sum.to_string().as_bytes(), value);
        let (spent, _) = counter::try_consume(sum, 1, i64::MAX);
        assert!(counter::read(spent.to_string().as_bytes()).is_some());
    }
    disk::fuzzing::value(&String::from_utf8_lossy(key), value);
}
