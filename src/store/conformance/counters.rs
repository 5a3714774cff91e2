//! The contract of counters by name, which are optional.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use tokio::time::sleep;

use super::{CALLERS, Check, CheckResult, EXPIRED, LONG, SHORT, checks, expect_eq, ok};
use crate::store::Store;

pub(super) const CHECKS: &[Check<dyn Store>] = checks! {
    "counters without support are none": unsupported,
    "counters begin at zero, and each name has its own": named,
    "no concurrent increment of a counter is lost": concurrent,
    "the TTL of counters runs from the creation of the first": expiry,
    "names beyond 10,000 are counted as `other`": overflow,
};

fn amounts<const N: usize>(amounts: [(&str, u64); N]) -> Vec<(String, u64)> {
    amounts.map(|(name, amount)| (name.to_owned(), amount)).into()
}

/// Adds, and returns whether the store supports it.
async fn add(store: &dyn Store, key: &str, amounts: &[(String, u64)]) -> Result<bool, String> {
    ok("increment_counters", store.increment_counters(key, amounts, LONG).await)
}

async fn counters(store: &dyn Store, key: &str) -> Result<BTreeMap<String, u64>, String> {
    ok("counters", store.counters(key).await)
}

async fn unsupported(store: &dyn Store) -> CheckResult {
    expect_eq!(counters(store, "key").await?, BTreeMap::new(), "counters of no key");
    if !add(store, "key", &amounts([("a", 1)])).await? {
        expect_eq!(counters(store, "key").await?, BTreeMap::new(), "counters without support");
    }
    Ok(())
}

async fn named(store: &dyn Store) -> CheckResult {
    if !add(store, "key", &amounts([("a", 1), ("b c", 2), ("", 3)])).await? {
        return Ok(());
    }
    add(store, "key", &amounts([("b c", 40), ("ä:%", u64::from(u32::MAX)), ("a", 0)])).await?;
    add(store, "key2", &amounts([("a", 100)])).await?;
    add(store, "key", &[]).await?;
    let expected = amounts([("a", 1), ("b c", 42), ("", 3), ("ä:%", u64::from(u32::MAX))]);
    expect_eq!(counters(store, "key").await?, expected.into_iter().collect(), "counters");
    let expected = BTreeMap::from([("a".to_owned(), 100)]);
    expect_eq!(counters(store, "key2").await?, expected, "counters of another key");
    Ok(())
}

async fn concurrent(store: &dyn Store) -> CheckResult {
    let one = amounts([("a", 1), ("b", 2)]);
    let results = join_all((0..CALLERS).map(|_| add(store, "key", &one))).await;
    if results.into_iter().collect::<Result<Vec<bool>, String>>()?.contains(&false) {
        return Ok(());
    }
    let expected = amounts([("a", CALLERS as u64), ("b", 2 * CALLERS as u64)]);
    let context = format!("after {CALLERS} increments");
    expect_eq!(counters(store, "key").await?, expected.into_iter().collect(), "{context}");
    Ok(())
}

async fn expiry(store: &dyn Store) -> CheckResult {
    let one = amounts([("a", 1)]);
    if !ok("increment_counters", store.increment_counters("short", &one, SHORT).await)? {
        return Ok(());
    }
    // A later TTL does not count.
    add(store, "short", &amounts([("a", 1), ("b", 1)])).await?;
    add(store, "long", &one).await?;
    ok("increment_counters", store.increment_counters("long", &one, SHORT).await)?;
    sleep(EXPIRED).await;
    expect_eq!(counters(store, "short").await?, BTreeMap::new(), "after the TTL");
    expect_eq!(counters(store, "long").await?.get("a"), Some(&2), "before the TTL");
    add(store, "short", &one).await?;
    expect_eq!(counters(store, "short").await?.get("a"), Some(&1), "after the TTL");
    Ok(())
}

async fn overflow(store: &dyn Store) -> CheckResult {
    let names: Vec<_> = (0..10_005).map(|number| (format!("name {number}"), 1)).collect();
    if !add(store, "key", &names).await? {
        return Ok(());
    }
    let stored = counters(store, "key").await?;
    expect_eq!((stored.len(), stored.get("other")), (10_001, Some(&5)), "of 10,005 names");
    add(store, "key", &amounts([("name 0", 1), ("one more", 1)])).await?;
    let stored = counters(store, "key").await?;
    let found = (stored.get("name 0"), stored.get("other"), stored.get("one more"));
    expect_eq!(found, (Some(&2), Some(&6), None), "after one more name");
    Ok(())
}
