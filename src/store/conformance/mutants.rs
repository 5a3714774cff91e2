//! The suite accepts the stores of this library, and finds each fault of a faulty one.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{CHECKS, store_conformance};
use crate::store::{
    CounterStore, DiskStore, KeyValueStore, MemoryStore, QuotaStore, StoreFuture, forward,
};
use crate::util::conformance::faults::{
    assert_each_check_has_a_fault, assert_each_fault_is_found, faults,
};

mod faulty_store;

use faulty_store::FaultyStore;

faults! {
    ValuesAreText: "a value is returned as it was written",
    EmptyValuesAreAbsent: "a value is returned as it was written",
    AbsentValuesAreEmpty: "a key without a value has none",
    PutKeepsTheTtl: "put replaces the value and its TTL",
    PutKeepsTheValue: "put replaces the value and its TTL",
    KeysIgnoreCase: "keys are any text, and each has its own value",
    KeysAreTruncated: "keys are any text, and each has its own value",
    RemoveMatchesPrefixes: "keys are any text, and each has its own value",
    NothingExpires: "a value is returned until its TTL ends, and not after",
    TtlIsInWholeSeconds: "a value is returned until its TTL ends, and not after",
    EverythingExpires: "a value is returned until its TTL ends, and not after",
    ZeroTtlFails: "a TTL can be zero or beyond the range of a clock",
    LongTtlExpires: "a TTL can be zero or beyond the range of a clock",
    BoundIsExclusive: "a value is read if it has at most the given length",
    TooLargeIsAbsent: "a value is read if it has at most the given length",
    TooLargeIsRemoved: "a value is read if it has at most the given length",
    ManyAreSorted: "several values are read in the order of their keys, each by its own bound",
    ManyFailAsAWhole: "several values are read in the order of their keys, each by its own bound",
    ManyOmitAbsent: "several values are read in the order of their keys, each by its own bound",
    PutIfAbsentReplaces: "put_if_absent sets a value only if there is none",
    PutIfAbsentIsReentrant: "put_if_absent sets a value only if there is none",
    PutIfAbsentSeesExpired: "an expired value counts as none",
    PutIfAbsentRaces: "of concurrent callers of put_if_absent, one succeeds",
    ExtendKeepsTheTtl: "extend_if_equal sets a new TTL for an equal value",
    ExtendOnlyLengthens: "extend_if_equal sets a new TTL for an equal value",
    ExtendIgnoresTheValue: "extend_if_equal leaves any other value",
    ExtendCreates: "extend_if_equal leaves any other value",
    RemoveOfNoneFails: "remove removes any value, and none is no error",
    RemoveLeavesSums: "remove removes any value, and none is no error",
    RemoveIfEqualComparesPrefixes: "remove_if_equal removes an equal value, and no other",
    RemoveIfEqualSucceedsAlways: "remove_if_equal removes an equal value, and no other",
    RemoveIfEqualRaces: "of concurrent callers of remove_if_equal, one succeeds",
    DroppedOperationsHoldTheLock: "a dropped operation does not block later ones",
    IdentityChanges: "the identity of a handle does not change",
    SumsBeginAtOne: "a sum begins at zero, and increment returns it",
    IncrementReturnsTheOldSum: "a sum begins at zero, and increment returns it",
    KeysShareASum: "each key has its own sum",
    IncrementRaces: "no concurrent increment is lost",
    IncrementExtendsTheTtl: "the TTL of a sum runs from its creation",
    SumsAreBinary: "a sum is decimal text for the methods of values",
    SumsWrap: "a sum that exceeds the bounds of the store gets the bound",
    SumsFailAtTheBound: "a sum that exceeds the bounds of the store gets the bound",
    SumsAreSmall: "a sum that exceeds the bounds of the store gets the bound",
    ConsumeExceedsTheLimit: "try_consume adds one unless the sum would exceed the limit",
    ConsumeCountsRejected: "try_consume adds one unless the sum would exceed the limit",
    ConsumeDropsTheDeferred: "try_consume adds the deferred amount in any case",
    ConsumeRaces: "concurrent callers of try_consume do not exceed the limit",
    SumCreates: "sum reads a sum without creating it",
    GarbageIsZero: "an unreadable number is left unchanged by all but repair_sum",
    GarbageIsRemoved: "an unreadable number is left unchanged by all but repair_sum",
    GarbageIsAnOutage: "an unreadable number is left unchanged by all but repair_sum",
    RepairLeavesGarbage: "repair_sum replaces an unreadable number",
    RepairLowers: "repair_sum raises a readable sum, and never lowers one",
    CountersAreKeptWithoutSupport: "counters without support are none",
    CountersAreReplaced: "counters begin at zero, and each name has its own",
    CountersRace: "no concurrent increment of a counter is lost",
    CountersExtendTheTtl: "the TTL of counters runs from the creation of the first",
    CountersHaveAnyNumberOfNames: "names beyond 10,000 are counted as `other`",
    LeasesExceedTheRequest: "a new member receives a lease within its request",
    LeasesForStrangers: "a member that the ledger does not know has to join",
    LedgersAreLost: "the ledger of a key is kept between requests",
    KeysShareALedger: "each key has its own ledger",
    LeasesRace: "concurrent members do not exceed a limit",
    ValuesRemoveLedgers: "a ledger and a value do not disturb each other",
}

#[tokio::test(start_paused = true)]
async fn a_faultless_store_conforms() {
    store_conformance(async || FaultyStore::new(Fault::None)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn each_fault_of_a_store_is_found() {
    let suite = async |fault| store_conformance(async || FaultyStore::new(fault)).await;
    assert_each_fault_is_found(FAULTS, suite).await;
}

#[test]
fn each_check_finds_some_fault() {
    assert_each_check_has_a_fault(FAULTS, CHECKS);
}

#[tokio::test(start_paused = true)]
async fn the_memory_store_conforms() {
    store_conformance(async || MemoryStore::new()).await.unwrap();
}

#[tokio::test]
async fn the_disk_store_conforms() {
    let folder = std::env::temp_dir().join(format!("octowire-conformance-{}", std::process::id()));
    let count = AtomicUsize::new(0);
    let new_store = async || {
        let number = count.fetch_add(1, Ordering::Relaxed);
        DiskStore::open(folder.join(number.to_string())).unwrap()
    };
    let found = store_conformance(new_store).await;
    std::fs::remove_dir_all(&folder).unwrap();
    found.unwrap();
}

/// The required methods of a store, for its default methods.
#[derive(Debug)]
struct RequiredMethods(MemoryStore);

impl KeyValueStore for RequiredMethods {
    forward!(0 => get, put, put_if_absent, extend_if_equal, remove, remove_if_equal);
}

impl CounterStore for RequiredMethods {
    forward!(0 => increment);
}

impl QuotaStore for RequiredMethods {}

#[tokio::test(start_paused = true)]
async fn a_store_with_the_default_methods_conforms() {
    store_conformance(async || RequiredMethods(MemoryStore::new())).await.unwrap();
    // The failure of a store that is shared is reported as well.
    let shared = MemoryStore::new();
    let found = store_conformance(async || RequiredMethods(shared.clone())).await;
    assert!(!found.unwrap_err().as_slice().is_empty());
}
