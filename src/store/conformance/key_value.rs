//! The contract of values by key.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::time::sleep;

use super::{CALLERS, Check, CheckResult, EXPIRED, LONG, SHORT, checks, expect_eq, ok, unreadable};
use crate::store::Store;

pub(super) const CHECKS: &[Check<dyn Store>] = checks! {
    "a value is returned as it was written": values,
    "a key without a value has none": absent,
    "put replaces the value and its TTL": replaced,
    "keys are any text, and each has its own value": keys,
    "a value is returned until its TTL ends, and not after": expiry,
    "a TTL can be zero or beyond the range of a clock": extreme_ttl,
    "a value is read if it has at most the given length": bounds,
    "several values are read in the order of their keys, each by its own bound": many,
    "put_if_absent sets a value only if there is none": absent_only,
    "an expired value counts as none": absent_after_expiry,
    "of concurrent callers of put_if_absent, one succeeds": one_succeeds,
    "extend_if_equal sets a new TTL for an equal value": extended,
    "extend_if_equal leaves any other value": not_extended,
    "remove removes any value, and none is no error": removed,
    "remove_if_equal removes an equal value, and no other": removed_if_equal,
    "of concurrent callers of remove_if_equal, one succeeds": one_removes,
    "a dropped operation does not block later ones": dropped,
    "the identity of a handle does not change": identity,
};

fn bytes(value: impl AsRef<[u8]>) -> Bytes {
    Bytes::copy_from_slice(value.as_ref())
}

async fn put(store: &dyn Store, key: &str, value: &[u8], ttl: Duration) -> CheckResult {
    ok("put", store.put(key, bytes(value), ttl).await)
}

async fn expect_value(store: &dyn Store, key: &str, expected: Option<&[u8]>) -> CheckResult {
    let value = ok("get", store.get(key).await)?;
    let shown = |value: &[u8]| value[..value.len().min(64)].escape_ascii().to_string();
    if value.as_deref() == expected {
        return Ok(());
    }
    let (value, expected) = (value.as_deref().map(shown), expected.map(shown));
    Err(format!("get({key:?}): got {value:?}, expected {expected:?}"))
}

async fn values(store: &dyn Store) -> CheckResult {
    let large = vec![b'x'; 1_000_000];
    let all: Vec<u8> = (0..=255).collect();
    for value in [&b""[..], b"text", b"\0", b"a\r\nb\0c", b"12", &all, &large] {
        put(store, "key", value, LONG).await?;
        expect_value(store, "key", Some(value)).await?;
    }
    Ok(())
}

async fn absent(store: &dyn Store) -> CheckResult {
    expect_value(store, "key", None).await?;
    expect_eq!(ok("get_within", store.get_within("key", 9).await)?, None, "get_within(\"key\", 9)");
    Ok(())
}

async fn replaced(store: &dyn Store) -> CheckResult {
    put(store, "longer", b"first", SHORT).await?;
    put(store, "longer", b"second", LONG).await?;
    put(store, "shorter", b"first", LONG).await?;
    put(store, "shorter", b"second", SHORT).await?;
    expect_value(store, "longer", Some(b"second")).await?;
    sleep(EXPIRED).await;
    expect_value(store, "longer", Some(b"second")).await?;
    expect_value(store, "shorter", None).await
}

async fn keys(store: &dyn Store) -> CheckResult {
    let long = "k".repeat(500);
    let longer = format!("{long}2");
    let keys = [
        "a", "A", "a:", "a:b", "a/b", "a/../a", "a b", "a%3Ab", "a\nb", "*", "ä", ".", "..", &long,
        &longer,
    ];
    for key in keys {
        put(store, key, key.as_bytes(), LONG).await?;
    }
    for key in keys {
        expect_value(store, key, Some(key.as_bytes())).await?;
    }
    ok("remove", store.remove("a").await)?;
    expect_value(store, "a", None).await?;
    expect_value(store, "A", Some(b"A")).await?;
    expect_value(store, "a:b", Some(b"a:b")).await
}

async fn expiry(store: &dyn Store) -> CheckResult {
    put(store, "short", b"x", SHORT).await?;
    put(store, "longer", b"x", 8 * SHORT).await?;
    put(store, "long", b"x", LONG).await?;
    expect_value(store, "short", Some(b"x")).await?;
    sleep(EXPIRED).await;
    expect_value(store, "short", None).await?;
    expect_eq!(ok("get_within", store.get_within("short", 9).await)?, None, "after its TTL");
    expect_value(store, "longer", Some(b"x")).await?;
    expect_value(store, "long", Some(b"x")).await
}

async fn extreme_ttl(store: &dyn Store) -> CheckResult {
    put(store, "none", b"x", Duration::ZERO).await?;
    put(store, "unlimited", b"x", Duration::MAX).await?;
    sleep(EXPIRED).await;
    expect_value(store, "none", None).await?;
    expect_value(store, "unlimited", Some(b"x")).await?;
    let extended = store.extend_if_equal("unlimited", bytes("x"), Duration::MAX).await;
    expect_eq!(ok("extend_if_equal", extended)?, true, "with an unlimited TTL");
    ok("increment", store.increment("sum", 1, Duration::MAX).await)?;
    expect_eq!(ok("sum", store.sum("sum").await)?, Some(1), "with an unlimited TTL");
    Ok(())
}

async fn bounds(store: &dyn Store) -> CheckResult {
    put(store, "key", b"12345", LONG).await?;
    put(store, "empty", b"", LONG).await?;
    for max_bytes in [5, 6, usize::MAX] {
        let value = ok("get_within", store.get_within("key", max_bytes).await)?;
        expect_eq!(value, Some(bytes("12345")), "get_within of 5 bytes, {max_bytes} at most");
    }
    for max_bytes in [0, 4] {
        unreadable("get_within of a larger value", store.get_within("key", max_bytes).await)?;
    }
    expect_value(store, "key", Some(b"12345")).await?;
    let empty = ok("get_within", store.get_within("empty", 0).await)?;
    expect_eq!(empty, Some(Bytes::new()), "get_within of no byte");
    Ok(())
}

async fn many(store: &dyn Store) -> CheckResult {
    put(store, "one", b"1", LONG).await?;
    put(store, "three", b"333", LONG).await?;
    let keys = [("three", 3), ("none", 9), ("one", 0), ("one", 1), ("three", 2)];
    let values = ok("get_many", store.get_many(&keys).await)?;
    let values = values.into_iter();
    let values: Vec<_> = values.map(|value| value.map_err(|it| it.is_unreadable_value())).collect();
    let expected = [Ok(Some(bytes("333"))), Ok(None), Err(true), Ok(Some(bytes("1"))), Err(true)];
    expect_eq!(values, expected, "get_many({keys:?})");
    expect_eq!(ok("get_many", store.get_many(&[]).await)?.len(), 0, "get_many of no key");
    let names: Vec<String> = (0..100).map(|number| format!("many:{number}")).collect();
    for name in &names {
        put(store, name, name.as_bytes(), LONG).await?;
    }
    let keys: Vec<_> = names.iter().map(|name| (name.as_str(), 99)).collect();
    let values = ok("get_many", store.get_many(&keys).await)?;
    let values: Vec<_> = values.into_iter().map(|value| value.ok().flatten()).collect();
    let expected: Vec<_> = names.iter().map(|name| Some(bytes(name))).collect();
    expect_eq!(values, expected, "get_many of 100 keys");
    Ok(())
}

async fn put_if_absent(store: &dyn Store, key: &str, value: &str) -> Result<bool, String> {
    ok("put_if_absent", store.put_if_absent(key, bytes(value), LONG).await)
}

async fn absent_only(store: &dyn Store) -> CheckResult {
    expect_eq!(put_if_absent(store, "key", "one").await?, true, "without a value");
    expect_eq!(put_if_absent(store, "key", "two").await?, false, "with a value");
    expect_value(store, "key", Some(b"one")).await?;
    expect_eq!(put_if_absent(store, "key", "one").await?, false, "with the same value");
    put(store, "empty", b"", LONG).await?;
    expect_eq!(put_if_absent(store, "empty", "one").await?, false, "with a value of no byte");
    ok("remove", store.remove("key").await)?;
    expect_eq!(put_if_absent(store, "key", "two").await?, true, "after it was removed");
    expect_value(store, "key", Some(b"two")).await
}

async fn absent_after_expiry(store: &dyn Store) -> CheckResult {
    let first = store.put_if_absent("key", bytes("one"), SHORT).await;
    expect_eq!(ok("put_if_absent", first)?, true, "without a value");
    // The TTL is not extended by an attempt.
    expect_eq!(put_if_absent(store, "key", "two").await?, false, "with a value");
    sleep(EXPIRED).await;
    let removed = store.remove_if_equal("key", bytes("one")).await;
    expect_eq!(ok("remove_if_equal", removed)?, false, "of an expired value");
    let extended = store.extend_if_equal("key", bytes("one"), LONG).await;
    expect_eq!(ok("extend_if_equal", extended)?, false, "of an expired value");
    expect_eq!(put_if_absent(store, "key", "two").await?, true, "with an expired value");
    expect_value(store, "key", Some(b"two")).await
}

async fn one_succeeds(store: &dyn Store) -> CheckResult {
    for round in 0..5 {
        let key = format!("key {round}");
        let names: Vec<String> = (0..CALLERS).map(|caller| caller.to_string()).collect();
        let results = join_all(names.iter().map(|name| put_if_absent(store, &key, name))).await;
        let results = results.into_iter().collect::<Result<Vec<bool>, String>>()?;
        let winners: Vec<_> = names.iter().zip(results).filter(|(_, set)| *set).collect();
        let [(winner, _)] = &winners[..] else {
            return Err(format!("{} of {CALLERS} concurrent callers succeeded", winners.len()));
        };
        expect_value(store, &key, Some(winner.as_bytes())).await?;
    }
    Ok(())
}

async fn extended(store: &dyn Store) -> CheckResult {
    put(store, "longer", b"x", SHORT).await?;
    put(store, "shorter", b"x", LONG).await?;
    for (key, ttl) in [("longer", LONG), ("shorter", SHORT)] {
        let extended = store.extend_if_equal(key, bytes("x"), ttl).await;
        expect_eq!(ok("extend_if_equal", extended)?, true, "of an equal value");
    }
    sleep(EXPIRED).await;
    expect_value(store, "longer", Some(b"x")).await?;
    expect_value(store, "shorter", None).await
}

async fn not_extended(store: &dyn Store) -> CheckResult {
    let extend = async |key: &'static str, value: &'static str| {
        ok("extend_if_equal", store.extend_if_equal(key, bytes(value), LONG).await)
    };
    expect_eq!(extend("none", "x").await?, false, "without a value");
    expect_eq!(extend("none", "").await?, false, "without a value");
    expect_value(store, "none", None).await?;
    put(store, "key", b"value", SHORT).await?;
    for other in ["valu", "value2", "VALUE", ""] {
        expect_eq!(extend("key", other).await?, false, "of another value, {other:?}");
        expect_value(store, "key", Some(b"value")).await?;
    }
    sleep(EXPIRED).await;
    expect_value(store, "key", None).await
}

async fn removed(store: &dyn Store) -> CheckResult {
    put(store, "key", b"x", LONG).await?;
    for _ in 0..2 {
        ok("remove", store.remove("key").await)?;
        expect_value(store, "key", None).await?;
    }
    ok("increment", store.increment("sum", 4, LONG).await)?;
    ok("remove", store.remove("sum").await)?;
    expect_eq!(ok("sum", store.sum("sum").await)?, None, "of a removed sum");
    Ok(())
}

async fn removed_if_equal(store: &dyn Store) -> CheckResult {
    let remove = async |value: &'static str| {
        ok("remove_if_equal", store.remove_if_equal("key", bytes(value)).await)
    };
    expect_eq!(remove("").await?, false, "without a value");
    put(store, "key", b"value", LONG).await?;
    for other in ["valu", "value2", "VALUE", ""] {
        expect_eq!(remove(other).await?, false, "of another value, {other:?}");
        expect_value(store, "key", Some(b"value")).await?;
    }
    expect_eq!(remove("value").await?, true, "of an equal value");
    expect_value(store, "key", None).await?;
    expect_eq!(remove("value").await?, false, "of a removed value");
    Ok(())
}

async fn one_removes(store: &dyn Store) -> CheckResult {
    for _ in 0..5 {
        put(store, "key", b"x", LONG).await?;
        let removals = (0..CALLERS).map(|_| store.remove_if_equal("key", bytes("x")));
        let results =
            join_all(removals).await.into_iter().collect::<crate::error::Result<Vec<bool>>>();
        let removed = ok("remove_if_equal", results)?.into_iter().filter(|removed| *removed);
        expect_eq!(removed.count(), 1, "the number of concurrent callers that removed a value");
    }
    Ok(())
}

async fn dropped(store: &dyn Store) -> CheckResult {
    for _ in 0..10 {
        // Polled once, as a call that is aborted.
        drop(store.put("key", bytes("dropped"), LONG).now_or_never());
        drop(store.put_if_absent("key", bytes("dropped"), LONG).now_or_never());
        drop(store.increment("sum", 1, LONG).now_or_never());
        drop(store.get("key").now_or_never());
    }
    let later = async {
        // A dropped operation can still take effect.
        ok("increment", store.increment("sum", 1, LONG).await)?;
        ok("remove", store.remove("other").await)?;
        put(store, "other", b"x", LONG).await?;
        expect_value(store, "other", Some(b"x")).await
    };
    let later = tokio::time::timeout(Duration::from_secs(10), later).await;
    later.unwrap_or_else(|_| Err("an operation takes more than 10 s".to_owned()))
}

async fn identity(store: &dyn Store) -> CheckResult {
    let before = store.identity();
    put(store, "key", b"x", LONG).await?;
    expect_eq!(store.identity(), before, "identity()");
    Ok(())
}
