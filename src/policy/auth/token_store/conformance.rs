//! The tests that every token store has to pass.
//!
//! Each check has a store of its own, and tests one sentence of the contract. A check returns the first deviation.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use futures_util::future::{join, join_all};
use secrecy::ExposeSecret;
use tokio::time::{sleep, timeout};

use super::{TokenStore, TokenStoreLock};
use crate::error::Result as StoreResult;
use crate::policy::auth::token::AccessToken;
use crate::util::conformance::{
    Check, CheckResult, ContractDeviations, checks, expect_eq, run_checks,
};

#[cfg(test)]
mod mutants;

/// Checks that a token store keeps the contract of [`TokenStore`], and returns the deviations.
///
/// The function calls `new_store` for each check, one after the other: each store has to be empty, for example in a file
/// of its own. It takes some seconds, since some checks wait for a lock, and needs a tokio runtime with a clock that is
/// not paused. What it does not test is the failure of a store that is unavailable, encryption, and the lock between
/// processes.
///
/// ```
/// use octowire::auth::MemoryTokenStore;
/// use octowire::testing::token_store_conformance;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// token_store_conformance(async || MemoryTokenStore::new()).await.unwrap();
/// # }
/// ```
///
/// # Errors
/// All deviations, if there are any.
pub async fn token_store_conformance<S: TokenStore>(
    new_store: impl AsyncFnMut() -> S,
) -> Result<(), ContractDeviations> {
    run_checks("token store", &[CHECKS], |store| store, new_store).await
}

const CHECKS: &[Check<dyn TokenStore>] = checks! {
    "a token is loaded with all its parts": parts,
    "a key without a token has none": absent,
    "save replaces the token with all its parts": replaced,
    "keys are any text, and each has its own token": keys,
    "a token is kept while it can be refreshed": refreshable,
    "remove removes the token, and none is no error": removed,
    "no concurrent save is lost": concurrent_saves,
    "load, save and remove do not wait for the lock": unlocked_operations,
    "remove does not release the lock": lock_after_remove,
    "one caller holds the lock at a time": exclusive,
    "each key has its own lock": locks_of_keys,
    "the lock is released when it is dropped, on any thread": released_on_a_thread,
    "a dropped request for the lock does not keep it": dropped_request,
    "lock_and_load acquires the lock and loads the token": locked_and_loaded,
    "lock_and_load loads the token that the previous holder saved": loaded_after_lock,
    "a dropped operation does not block later ones": dropped_operations,
    "Debug shows no secret": hidden,
};

/// After this time, a request for a lock that is held counts as waiting.
const WAIT: Duration = Duration::from_millis(200);
/// The longest time for an operation that has to succeed; longer than the lease of a lock that was lost.
const LIMIT: Duration = Duration::from_secs(60);
/// The longest difference between a time that was saved and the loaded one.
const PRECISION: Duration = Duration::from_secs(1);
/// The number of concurrent callers.
const CALLERS: usize = 12;
const KEY: &str = "installation:42 at https://api.github.com";
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const TWO_HOURS: Duration = Duration::from_secs(7200);

/// Returns the result of an operation that has to succeed in time.
async fn ok<T>(operation: &str, result: impl Future<Output = StoreResult<T>>) -> Result<T, String> {
    match timeout(LIMIT, result).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(format!("{operation} failed: {error}")),
        Err(_) => Err(format!("{operation} did not end within {LIMIT:?}")),
    }
}

fn plain_token(text: &str) -> Result<AccessToken, String> {
    AccessToken::new(text).map_err(|error| error.to_string())
}

fn token(text: &str) -> Result<AccessToken, String> {
    Ok(plain_token(text)?.expires_in(HOUR))
}

async fn save(store: &dyn TokenStore, key: &str, text: &str) -> CheckResult {
    ok("save", store.save(key, &token(text)?)).await
}

/// Compares the stored token of a key, by its text.
async fn expect_token(store: &dyn TokenStore, key: &str, expected: Option<&str>) -> CheckResult {
    let loaded = ok("load", store.load(key)).await?;
    expect_text(key, loaded.as_ref(), expected)
}

fn expect_text(key: &str, loaded: Option<&AccessToken>, expected: Option<&str>) -> CheckResult {
    let loaded = loaded.map(AccessToken::expose_secret);
    expect_eq!(loaded, expected, "load({:?})", beginning(key, 80));
    Ok(())
}

fn beginning(text: &str, max_chars: usize) -> String {
    text.chars().take(max_chars).collect()
}

async fn lock(store: &dyn TokenStore, key: &str) -> Result<TokenStoreLock, String> {
    ok("lock", store.lock(key)).await
}

/// Expects that a request for the lock waits, or fails.
async fn expect_locked(store: &dyn TokenStore, key: &str) -> CheckResult {
    match timeout(WAIT, store.lock(key)).await {
        Ok(Ok(_)) => Err("lock: acquired the lock while another caller held it".to_owned()),
        Ok(Err(_)) | Err(_) => Ok(()),
    }
}

/// Returns tokens whose parts differ.
fn tokens() -> Result<Vec<AccessToken>, String> {
    let now = SystemTime::now();
    let issued_at = now.checked_sub(TWO_HOURS).unwrap_or(now);
    let later = now.checked_add(TWO_HOURS).unwrap_or(now);
    Ok(vec![
        plain_token("ghs_plain")?,
        token("ghs_\"\\{}[]'%,;=")?,
        token(&"t".repeat(4_000))?.with_scopes(Vec::<String>::new()),
        token("gho_scopes")?.with_scopes(["repo", "read:org"]).with_issued_at(issued_at),
        token("ghu_refreshable")?.with_refresh_token("ghr_\u{e9}\"", None),
        token("ghu_refreshable_for_a_while")?.with_refresh_token("ghr_2", Some(later)),
        token("ghp_from_a_file")?.recheck_after(Duration::from_millis(1_500)),
    ])
}

async fn parts(store: &dyn TokenStore) -> CheckResult {
    for saved in tokens()? {
        ok("save", store.save(KEY, &saved)).await?;
        let loaded = ok("load", store.load(KEY)).await?.ok_or("load returned no token")?;
        expect_parts(&saved, &loaded)?;
    }
    Ok(())
}

fn expect_parts(saved: &AccessToken, loaded: &AccessToken) -> CheckResult {
    let text = saved.expose_secret();
    expect_text(KEY, Some(loaded), Some(text))?;
    let text = beginning(text, 40);
    let [got, expected] = [loaded, saved]
        .map(|token| token.refresh_token().map(|token| token.expose_secret().to_owned()));
    expect_eq!(got, expected, "the refresh token of {text:?}");
    expect_eq!(loaded.scopes(), saved.scopes(), "the scopes of {text:?}");
    expect_eq!(loaded.rechecked_after(), saved.rechecked_after(), "the recheck of {text:?}");
    let times = |token: &AccessToken| {
        [
            ("the expiry", token.expires_at()),
            ("the expiry of the refresh token", token.refresh_token_expires_at()),
            ("the time of issue", Some(token.issued_at())),
        ]
    };
    for ((part, got), (_, expected)) in times(loaded).into_iter().zip(times(saved)) {
        if let (Some(got), Some(expected)) = (got, expected) {
            let before = expected.duration_since(got).unwrap_or_default();
            let after = got.duration_since(expected).unwrap_or_default();
            if before.max(after) <= PRECISION {
                continue;
            }
        }
        expect_eq!(got, expected, "{part} of {text:?}");
    }
    Ok(())
}

async fn absent(store: &dyn TokenStore) -> CheckResult {
    expect_token(store, KEY, None).await?;
    let (_, loaded) = ok("lock_and_load", store.lock_and_load(KEY, LIMIT)).await?;
    expect_text(KEY, loaded.as_ref(), None)
}

async fn replaced(store: &dyn TokenStore) -> CheckResult {
    let end = SystemTime::now().checked_add(TWO_HOURS);
    let first = token("ghu_1")?
        .with_refresh_token("ghr_1", end)
        .with_scopes(["repo"])
        .recheck_after(MINUTE);
    ok("save", store.save(KEY, &first)).await?;
    let second = plain_token("ghu_2")?;
    ok("save", store.save(KEY, &second)).await?;
    let loaded = ok("load", store.load(KEY)).await?.ok_or("load returned no token")?;
    expect_parts(&second, &loaded)
}

/// Returns keys that a store could confuse.
fn confusable_keys() -> Vec<String> {
    let long = "k".repeat(20_000);
    let keys =
        ["", "a", "A", "a/b", "a\\b", "../a", "a b", "a:b", "a\nb", "a*", "\u{e9}", "e\u{301}"];
    let keys = keys.into_iter().map(str::to_owned);
    keys.chain([format!("{long}1"), format!("{long}2"), KEY.to_owned()]).collect()
}

async fn keys(store: &dyn TokenStore) -> CheckResult {
    let keys = confusable_keys();
    let text = |number: usize| format!("ghs_{number}");
    for (number, key) in keys.iter().enumerate() {
        save(store, key, &text(number)).await?;
    }
    for (number, key) in keys.iter().enumerate() {
        expect_token(store, key, Some(&text(number))).await?;
    }
    ok("remove", store.remove("a")).await?;
    for (number, key) in keys.iter().enumerate() {
        let kept = text(number);
        expect_token(store, key, (key != "a").then_some(&*kept)).await?;
    }
    Ok(())
}

async fn refreshable(store: &dyn TokenStore) -> CheckResult {
    let now = SystemTime::now();
    let before = now.checked_sub(MINUTE).unwrap_or(now);
    let expired = |text| Ok::<_, String>(token(text)?.with_expires_at(before));
    let later = now.checked_add(TWO_HOURS);
    ok("save", store.save("a", &expired("ghu_a")?.with_refresh_token("ghr_a", None))).await?;
    ok("save", store.save("b", &expired("ghu_b")?.with_refresh_token("ghr_b", later))).await?;
    // A save can remove expired tokens of other keys.
    save(store, "c", "ghs_c").await?;
    expect_token(store, "a", Some("ghu_a")).await?;
    expect_token(store, "b", Some("ghu_b")).await
}

async fn removed(store: &dyn TokenStore) -> CheckResult {
    ok("remove of no token", store.remove(KEY)).await?;
    save(store, KEY, "ghs_1").await?;
    ok("remove", store.remove(KEY)).await?;
    expect_token(store, KEY, None).await?;
    ok("remove of a removed token", store.remove(KEY)).await?;
    save(store, KEY, "ghs_2").await?;
    expect_token(store, KEY, Some("ghs_2")).await
}

async fn concurrent_saves(store: &dyn TokenStore) -> CheckResult {
    save(store, "removed", "ghs_removed").await?;
    let names: Vec<_> = (0..CALLERS).map(|number| format!("ghs_{number}")).collect();
    let saves = join_all(names.iter().map(|name| save(store, name, name)));
    let (removed, saved) = join(ok("remove", store.remove("removed")), saves).await;
    saved.into_iter().chain([removed]).collect::<CheckResult>()?;
    for name in &names {
        expect_token(store, name, Some(name)).await?;
    }
    expect_token(store, "removed", None).await
}

async fn unlocked_operations(store: &dyn TokenStore) -> CheckResult {
    let _lock = lock(store, KEY).await?;
    save(store, KEY, "ghs_1").await?;
    expect_token(store, KEY, Some("ghs_1")).await?;
    ok("remove", store.remove(KEY)).await?;
    expect_token(store, KEY, None).await
}

async fn lock_after_remove(store: &dyn TokenStore) -> CheckResult {
    save(store, KEY, "ghs_1").await?;
    let _lock = lock(store, KEY).await?;
    ok("remove", store.remove(KEY)).await?;
    expect_locked(store, KEY).await
}

async fn exclusive(store: &dyn TokenStore) -> CheckResult {
    let held = lock(store, KEY).await?;
    expect_locked(store, KEY).await?;
    drop(held);
    let is_held = &AtomicBool::new(false);
    let callers = (0..CALLERS).map(|_| async move {
        let lock = lock(store, KEY).await?;
        let was_held = is_held.swap(true, Ordering::SeqCst);
        sleep(Duration::from_millis(5)).await;
        is_held.store(false, Ordering::SeqCst);
        drop(lock);
        if was_held { Err("lock: two callers held the lock at once".to_owned()) } else { Ok(()) }
    });
    join_all(callers).await.into_iter().collect()
}

async fn locks_of_keys(store: &dyn TokenStore) -> CheckResult {
    let mut locks = Vec::new();
    for key in confusable_keys() {
        let result = ok("lock of another key", store.lock(&key)).await;
        locks.push(result.map_err(|error| format!("{error} ({:?})", beginning(&key, 80)))?);
    }
    Ok(())
}

async fn released_on_a_thread(store: &dyn TokenStore) -> CheckResult {
    let held = lock(store, KEY).await?;
    if thread::spawn(move || drop(held)).join().is_err() {
        return Err("drop of the lock panicked on a thread without a runtime".to_owned());
    }
    drop(lock(store, KEY).await?);
    Ok(())
}

async fn dropped_request(store: &dyn TokenStore) -> CheckResult {
    // Of a free lock, before and after the request began, and of one that another caller holds.
    drop(store.lock(KEY));
    let _ = pin!(store.lock(KEY)).now_or_never();
    let held = lock(store, KEY).await?;
    expect_locked(store, KEY).await?;
    let _ = timeout(WAIT, store.lock_and_load(KEY, LIMIT)).await;
    drop(held);
    drop(lock(store, KEY).await?);
    Ok(())
}

async fn locked_and_loaded(store: &dyn TokenStore) -> CheckResult {
    save(store, KEY, "ghs_1").await?;
    let (held, loaded) = ok("lock_and_load", store.lock_and_load(KEY, LIMIT)).await?;
    let held = held.map_err(|error| format!("lock_and_load did not acquire the lock: {error}"))?;
    expect_text(KEY, loaded.as_ref(), Some("ghs_1"))?;
    expect_locked(store, KEY).await?;
    drop(held);
    drop(lock(store, KEY).await?);
    Ok(())
}

async fn loaded_after_lock(store: &dyn TokenStore) -> CheckResult {
    save(store, KEY, "ghs_1").await?;
    let held = lock(store, KEY).await?;
    let mut waiting = pin!(store.lock_and_load(KEY, LIMIT));
    if let Ok(outcome) = timeout(WAIT, &mut waiting).await {
        return match outcome {
            Ok((Ok(_), _)) => Err("lock_and_load: acquired a lock that was held".to_owned()),
            // The store does not wait as long for other holders.
            Ok((Err(_), loaded)) => expect_text(KEY, loaded.as_ref(), Some("ghs_1")),
            Err(error) => Err(format!("lock_and_load of a lock that is held failed: {error}")),
        };
    }
    save(store, KEY, "ghs_2").await?;
    drop(held);
    let (lock, loaded) = ok("lock_and_load", waiting).await?;
    lock.map_err(|error| format!("lock_and_load did not acquire the lock: {error}"))?;
    expect_text(KEY, loaded.as_ref(), Some("ghs_2"))
}

async fn dropped_operations(store: &dyn TokenStore) -> CheckResult {
    save(store, KEY, "ghs_1").await?;
    let other = token("ghs_2")?;
    for _ in 0..3 {
        // Each is polled once.
        let _ = pin!(store.save(KEY, &other)).now_or_never();
        let _ = pin!(store.load(KEY)).now_or_never();
        let _ = pin!(store.remove("another")).now_or_never();
    }
    let loaded = ok("load", store.load(KEY)).await?;
    let text = loaded.as_ref().map(AccessToken::expose_secret);
    if !matches!(text, Some("ghs_1" | "ghs_2")) {
        return Err(format!("load after a dropped save: got {text:?}, expected either token"));
    }
    save(store, "another key", "ghs_3").await?;
    expect_token(store, "another key", Some("ghs_3")).await
}

async fn hidden(store: &dyn TokenStore) -> CheckResult {
    let secrets = ["ghu_conformance_secret", "ghr_conformance_secret"];
    let token = token(secrets[0])?.with_refresh_token(secrets[1], None);
    ok("save", store.save(KEY, &token)).await?;
    let lock = lock(store, KEY).await?;
    for shown in [format!("{store:?}"), format!("{store:#?}"), format!("{lock:?}")] {
        if secrets.iter().any(|secret| shown.contains(secret)) {
            return Err("Debug of the store contains a token".to_owned());
        }
    }
    Ok(())
}
