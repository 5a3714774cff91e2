//! The contract of sums.

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::time::sleep;

use super::{CALLERS, Check, CheckResult, EXPIRED, LONG, SHORT, checks, expect_eq, ok, unreadable};
use crate::store::Store;

pub(super) const CHECKS: &[Check<dyn Store>] = checks! {
    "a sum begins at zero, and increment returns it": increments,
    "each key has its own sum": separate,
    "no concurrent increment is lost": concurrent,
    "the TTL of a sum runs from its creation": expiry,
    "a sum is decimal text for the methods of values": text,
    "a sum that exceeds the bounds of the store gets the bound": bounds,
    "try_consume adds one unless the sum would exceed the limit": consumed,
    "try_consume adds the deferred amount in any case": deferred,
    "concurrent callers of try_consume do not exceed the limit": consumed_concurrently,
    "sum reads a sum without creating it": read,
    "an unreadable number is left unchanged by all but repair_sum": left,
    "repair_sum replaces an unreadable number": repaired,
    "repair_sum raises a readable sum, and never lowers one": raised,
};

/// Text that no store writes as a sum.
const GARBAGE: [&str; 7] = ["", "garbage", "007", "1e3", "+1", "1.0", "99999999999999999999"];

async fn increment(store: &dyn Store, key: &str, amount: i64) -> Result<i64, String> {
    ok("increment", store.increment(key, amount, LONG).await)
}

async fn put(store: &dyn Store, key: &str, value: &str) -> CheckResult {
    ok("put", store.put(key, Bytes::copy_from_slice(value.as_bytes()), LONG).await)
}

async fn increments(store: &dyn Store) -> CheckResult {
    let mut sum = 0;
    for amount in [5, 0, -7, 1, 1_000_000_000_000, -1_000_000_000_000] {
        sum += amount;
        expect_eq!(increment(store, "sum", amount).await?, sum, "increment by {amount}");
    }
    expect_eq!(ok("sum", store.sum("sum").await)?, Some(sum), "sum()");
    expect_eq!(increment(store, "zero", 0).await?, 0, "increment of no sum by 0");
    Ok(())
}

async fn separate(store: &dyn Store) -> CheckResult {
    increment(store, "one", 1).await?;
    increment(store, "two", 20).await?;
    expect_eq!(increment(store, "one", 1).await?, 2, "increment after that of another key");
    expect_eq!(increment(store, "two", 1).await?, 21, "increment after that of another key");
    Ok(())
}

async fn concurrent(store: &dyn Store) -> CheckResult {
    let amounts = (0..CALLERS).map(|caller| increment(store, "sum", 1 << caller));
    let sums = join_all(amounts).await.into_iter().collect::<Result<Vec<i64>, String>>()?;
    let all = (1 << CALLERS) - 1;
    expect_eq!(ok("sum", store.sum("sum").await)?, Some(all), "after {CALLERS} increments");
    expect_eq!(sums.iter().max(), Some(&all), "the largest returned sum");
    Ok(())
}

async fn expiry(store: &dyn Store) -> CheckResult {
    for key in ["added", "consumed"] {
        ok("increment", store.increment(key, 1, SHORT).await)?;
    }
    // A later TTL does not count.
    increment(store, "added", 1).await?;
    ok("try_consume", store.try_consume("consumed", 0, 9, LONG).await)?;
    increment(store, "long", 1).await?;
    ok("increment", store.increment("long", 1, SHORT).await)?;
    sleep(EXPIRED).await;
    for key in ["added", "consumed"] {
        expect_eq!(ok("sum", store.sum(key).await)?, None, "after the TTL of {key:?}");
        expect_eq!(increment(store, key, 1).await?, 1, "after the TTL of {key:?}");
    }
    expect_eq!(ok("sum", store.sum("long").await)?, Some(2), "before its TTL");
    Ok(())
}

async fn text(store: &dyn Store) -> CheckResult {
    for (amount, text) in [(0, "0"), (17, "17"), (-20, "-3")] {
        increment(store, "sum", amount).await?;
        let value = ok("get", store.get("sum").await)?;
        expect_eq!(value.as_deref(), Some(text.as_bytes()), "get of the sum {text}");
    }
    put(store, "initial", "1000").await?;
    expect_eq!(increment(store, "initial", 1).await?, 1_001, "after put of 1000");
    let created = store.put_if_absent("absent", Bytes::from_static(b"-5"), LONG).await;
    expect_eq!(ok("put_if_absent", created)?, true, "without a sum");
    expect_eq!(ok("sum", store.sum("absent").await)?, Some(-5), "after put_if_absent of -5");
    let created = store.put_if_absent("sum", Bytes::from_static(b"9"), LONG).await;
    expect_eq!(ok("put_if_absent", created)?, false, "with a sum");
    let many = [("sum", 2)];
    let values = ok("get_many", store.get_many(&many).await)?;
    let value = values.into_iter().next().and_then(Result::ok).flatten();
    expect_eq!(value.as_deref(), Some(&b"-3"[..]), "get_many of the sum");
    Ok(())
}

async fn bounds(store: &dyn Store) -> CheckResult {
    const EXACT: i64 = 1 << 53;
    expect_eq!(increment(store, "exact", EXACT - 1).await?, EXACT - 1, "a sum below 2^53");
    expect_eq!(increment(store, "exact", 1 - EXACT).await?, 0, "a sum below 2^53, subtracted");
    for (key, amount) in [("large", i64::MAX), ("small", i64::MIN)] {
        let bound = increment(store, key, amount).await?;
        let is_exact = if amount > 0 { bound >= EXACT } else { bound <= -EXACT };
        expect_eq!(is_exact, true, "increment by {amount} returned {bound}, a bound above 2^53");
        expect_eq!(increment(store, key, amount).await?, bound, "a second increment by {amount}");
        expect_eq!(ok("sum", store.sum(key).await)?, Some(bound), "the sum at its bound");
        let back = increment(store, key, -amount.signum()).await?;
        expect_eq!(back, bound - amount.signum(), "a step back from the bound");
    }
    Ok(())
}

async fn try_consume(
    store: &dyn Store,
    key: &str,
    deferred: i64,
    limit: i64,
) -> Result<(i64, bool), String> {
    ok("try_consume", store.try_consume(key, deferred, limit, LONG).await)
}

async fn consumed(store: &dyn Store) -> CheckResult {
    for sum in 1..=3 {
        expect_eq!(try_consume(store, "sum", 0, 3).await?, (sum, true), "below the limit of 3");
    }
    for _ in 0..2 {
        expect_eq!(try_consume(store, "sum", 0, 3).await?, (3, false), "at the limit of 3");
    }
    expect_eq!(ok("sum", store.sum("sum").await)?, Some(3), "after the limit");
    expect_eq!(try_consume(store, "sum", 0, 4).await?, (4, true), "with a larger limit");
    expect_eq!(try_consume(store, "none", 0, 0).await?, (0, false), "with a limit of zero");
    expect_eq!(try_consume(store, "free", 0, i64::MAX).await?, (1, true), "with the largest limit");
    Ok(())
}

async fn deferred(store: &dyn Store) -> CheckResult {
    expect_eq!(try_consume(store, "sum", 5, 10).await?, (6, true), "5 deferred of 10");
    expect_eq!(try_consume(store, "sum", 7, 10).await?, (13, false), "12 deferred of 10");
    expect_eq!(try_consume(store, "sum", -4, 10).await?, (10, true), "4 returned of 10");
    expect_eq!(try_consume(store, "sum", -1, 10).await?, (10, true), "one returned at the limit");
    expect_eq!(try_consume(store, "sum", 0, 10).await?, (10, false), "at the limit");
    Ok(())
}

async fn consumed_concurrently(store: &dyn Store) -> CheckResult {
    for limit in [1, 5] {
        let key = format!("sum of {limit}");
        let callers = (0..CALLERS).map(|_| try_consume(store, &key, 0, limit));
        let results = join_all(callers).await.into_iter().collect::<Result<Vec<_>, String>>()?;
        let granted = results.iter().filter(|(_, is_consumed)| *is_consumed).count();
        let sum = ok("sum", store.sum(&key).await)?;
        expect_eq!(i64::try_from(granted).ok(), sum, "the number of successes, and the sum");
        if sum.is_none_or(|sum| sum > limit) {
            return Err(format!("{granted} callers succeeded at a limit of {limit}"));
        }
        // Those that failed have left nothing behind.
        for _ in granted..usize::try_from(limit).unwrap_or_default() {
            expect_eq!(
                try_consume(store, &key, 0, limit).await?.1,
                true,
                "below the limit of {limit}"
            );
        }
        expect_eq!(
            try_consume(store, &key, 0, limit).await?,
            (limit, false),
            "at the limit of {limit}"
        );
    }
    Ok(())
}

async fn read(store: &dyn Store) -> CheckResult {
    expect_eq!(ok("sum", store.sum("none").await)?, None, "sum() of no sum");
    expect_eq!(ok("get", store.get("none").await)?, None, "get() after it");
    increment(store, "sum", 3).await?;
    for _ in 0..2 {
        expect_eq!(ok("sum", store.sum("sum").await)?, Some(3), "sum()");
    }
    Ok(())
}

async fn left(store: &dyn Store) -> CheckResult {
    for garbage in GARBAGE {
        put(store, "sum", garbage).await?;
        let result = store.increment("sum", 1, LONG).await;
        unreadable(&format!("increment of {garbage:?}"), result)?;
        let result = store.try_consume("sum", 0, 9, LONG).await;
        unreadable(&format!("try_consume of {garbage:?}"), result)?;
        unreadable(&format!("sum of {garbage:?}"), store.sum("sum").await)?;
        let value = ok("get", store.get("sum").await)?;
        expect_eq!(
            value.as_deref(),
            Some(garbage.as_bytes()),
            "get after increment of {garbage:?}"
        );
    }
    Ok(())
}

async fn repaired(store: &dyn Store) -> CheckResult {
    for garbage in GARBAGE {
        put(store, "sum", garbage).await?;
        let sum = ok("repair_sum", store.repair_sum("sum", 3, LONG).await)?;
        expect_eq!(sum, 3, "repair_sum of {garbage:?} by 3");
        expect_eq!(increment(store, "sum", 1).await?, 4, "increment after it");
    }
    // An unreadable value has no TTL that counts.
    put(store, "sum", "garbage").await?;
    ok("repair_sum", store.repair_sum("sum", 3, SHORT).await)?;
    sleep(EXPIRED).await;
    expect_eq!(ok("sum", store.sum("sum").await)?, None, "after the TTL of the repaired sum");
    Ok(())
}

async fn raised(store: &dyn Store) -> CheckResult {
    let repair = async |at_least| ok("repair_sum", store.repair_sum("sum", at_least, LONG).await);
    expect_eq!(repair(7).await?, 7, "repair_sum of no sum by 7");
    expect_eq!(repair(9).await?, 9, "repair_sum of 7 by 9");
    expect_eq!(repair(3).await?, 9, "repair_sum of 9 by 3");
    expect_eq!(ok("sum", store.sum("sum").await)?, Some(9), "after it");
    increment(store, "sum", -20).await?;
    expect_eq!(repair(0).await?, 0, "repair_sum of -11 by 0");
    Ok(())
}
