//! The tests that every store has to pass.
//!
//! Each check has a store of its own, and tests one sentence of the contract. A check returns the first deviation.

use std::fmt;
use std::time::Duration;

use super::Store;
use crate::util::conformance::{
    Check, CheckResult, ContractDeviations, checks, expect_eq, run_checks,
};

mod counters;
mod key_value;
#[cfg(test)]
mod mutants;
mod quota;
mod sums;

/// Checks that a store keeps the contract of [`Store`](crate::store::Store) and of its parts, and returns the deviations.
///
/// The function calls `new_store` for each check, one after the other: each store has to be empty, for example by a key
/// prefix of its own. It takes some ten seconds, since values have to expire, and needs a tokio runtime with timers whose
/// clock is that of the store. A store that takes longer than 400 ms for a few operations can fail the checks of TTLs. The
/// failure of a store that is unavailable is not tested.
///
/// Optional parts are checked if the store has them: counters by name, if
/// [`increment_counters`](crate::store::CounterStore::increment_counters) returns `true`, and shared limits, if
/// [`lease`](crate::store::QuotaStore::lease) returns one.
///
/// ```
/// use octowire::store::MemoryStore;
/// use octowire::testing::store_conformance;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// store_conformance(async || MemoryStore::new()).await.unwrap();
/// # }
/// ```
///
/// # Errors
/// All deviations, if there are any.
pub async fn store_conformance<S: Store>(
    new_store: impl AsyncFnMut() -> S,
) -> Result<(), ContractDeviations> {
    run_checks("store", CHECKS, |store| store, new_store).await
}

const CHECKS: &[&[Check<dyn Store>]] =
    &[key_value::CHECKS, sums::CHECKS, counters::CHECKS, quota::CHECKS];

/// Returns the result of an operation that has to succeed.
fn ok<T>(operation: &str, result: crate::error::Result<T>) -> Result<T, String> {
    result.map_err(|error| format!("{operation} failed: {error}"))
}

/// Returns the error of an operation that has to report an unreadable value.
fn unreadable<T: fmt::Debug>(operation: &str, result: crate::error::Result<T>) -> CheckResult {
    match result {
        Err(error) if error.is_unreadable_value() => Ok(()),
        result => Err(format!("{operation}: got {result:?}, expected an unreadable value")),
    }
}

/// A TTL that does not end during a check.
const LONG: Duration = Duration::from_secs(600);
/// A TTL that a check waits for. A busy machine can perform some operations meanwhile.
const SHORT: Duration = Duration::from_millis(400);
/// After this time, a value with the short TTL has expired: within 100 ms, and some time for the machine.
const EXPIRED: Duration = Duration::from_millis(600);
/// The number of concurrent callers.
const CALLERS: usize = 24;
