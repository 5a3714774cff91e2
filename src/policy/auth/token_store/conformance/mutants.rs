//! The suite accepts the token stores of this library, and finds each fault of a faulty one.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::yield_now;

use super::*;
use crate::error::Error;
use crate::policy::auth::token_store::{MemoryTokenStore, TokenStoreFuture};
use crate::util::conformance::faults::{
    assert_each_check_has_a_fault, assert_each_fault_is_found, faults,
};

faults! {
    TokensAreTruncated: "a token is loaded with all its parts",
    LosesExpiry: "a token is loaded with all its parts",
    LosesRefreshTokens: "a token is loaded with all its parts",
    LosesRefreshExpiry: "a token is loaded with all its parts",
    LosesScopes: "a token is loaded with all its parts",
    EmptyScopesAreUnknown: "a token is loaded with all its parts",
    LosesTimeOfIssue: "a token is loaded with all its parts",
    LosesRecheck: "a token is loaded with all its parts",
    TimesAreInexact: "a token is loaded with all its parts",
    AbsentFails: "a key without a token has none",
    LockAndLoadOfNoneFails: "a key without a token has none",
    SaveKeepsTheFirst: "save replaces the token with all its parts",
    SaveKeepsTheRefreshToken: "save replaces the token with all its parts",
    KeysIgnoreCase: "keys are any text, and each has its own token",
    KeysAreTruncated: "keys are any text, and each has its own token",
    KeysAreFileNames: "keys are any text, and each has its own token",
    RemoveMatchesPrefixes: "keys are any text, and each has its own token",
    ExpiredIsAbsent: "a token is kept while it can be refreshed",
    SaveDropsExpired: "a token is kept while it can be refreshed",
    RemoveOfNoneFails: "remove removes the token, and none is no error",
    RemoveKeepsTheToken: "remove removes the token, and none is no error",
    SavesRace: "no concurrent save is lost",
    RemovesRace: "no concurrent save is lost",
    SaveTakesTheLock: "load, save and remove do not wait for the lock",
    LoadTakesTheLock: "load, save and remove do not wait for the lock",
    RemoveTakesTheLock: "load, save and remove do not wait for the lock",
    RemoveReleasesTheLock: "remove does not release the lock",
    LocksAreShared: "one caller holds the lock at a time",
    LocksRace: "one caller holds the lock at a time",
    LocksEnd: "one caller holds the lock at a time",
    LocksStay: "one caller holds the lock at a time",
    OneLock: "each key has its own lock",
    LocksIgnoreCase: "each key has its own lock",
    LocksAreTruncated: "each key has its own lock",
    GuardsNeedARuntime: "the lock is released when it is dropped, on any thread",
    RequestsKeepTheLock: "a dropped request for the lock does not keep it",
    LockAndLoadDoesNotLock: "lock_and_load acquires the lock and loads the token",
    LockAndLoadDoesNotLoad: "lock_and_load acquires the lock and loads the token",
    LoadsBeforeTheLock: "lock_and_load loads the token that the previous holder saved",
    DroppedOperationsBlock: "a dropped operation does not block later ones",
    SaveRemovesFirst: "a dropped operation does not block later ones",
    DebugShowsTokens: "Debug shows no secret",
}

/// A simple token store with one fault.
struct FaultyStore {
    fault: Fault,
    tokens: Mutex<BTreeMap<String, AccessToken>>,
    locks: Mutex<BTreeMap<String, Arc<Semaphore>>>,
    is_held: Arc<AtomicBool>,
    operation: Semaphore,
}

/// A lock that `LocksRace` acquired.
struct RacingLock(Arc<AtomicBool>);

impl Drop for RacingLock {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// A lock that a task of the runtime releases.
struct TaskLock(Option<OwnedSemaphorePermit>);

impl Drop for TaskLock {
    fn drop(&mut self) {
        let permit = self.0.take();
        tokio::spawn(async move { drop(permit) });
    }
}

impl FaultyStore {
    fn new(fault: Fault) -> Self {
        Self {
            fault,
            tokens: Mutex::default(),
            locks: Mutex::default(),
            is_held: Arc::default(),
            operation: Semaphore::new(1),
        }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn key(&self, key: &str) -> String {
        match self.fault {
            Fault::KeysIgnoreCase => key.to_lowercase(),
            Fault::KeysAreTruncated => key.chars().take(255).collect(),
            Fault::KeysAreFileNames => {
                key.replace(|char: char| !char.is_ascii_alphanumeric() && char != '.', "_")
            }
            _ => key.to_owned(),
        }
    }

    /// The start of an operation: holds a lock for a while, even if the operation is dropped.
    async fn begin(&self) {
        if self.has(Fault::DroppedOperationsBlock) {
            self.operation.acquire().await.unwrap().forget();
            yield_now().await;
            self.operation.add_permits(1);
        }
    }

    async fn locked_for(&self, key: &str, fault: Fault) -> Option<TokenStoreLock> {
        if self.has(fault) { Some(self.acquire(key).await) } else { None }
    }

    fn stored(&self, token: &AccessToken) -> AccessToken {
        let lost = |fault| self.has(fault);
        let text: String = match self.fault {
            Fault::TokensAreTruncated => token.expose_secret().chars().take(255).collect(),
            _ => token.expose_secret().to_owned(),
        };
        let shift = Duration::from_secs(if lost(Fault::TimesAreInexact) { 2 } else { 0 });
        let mut copy = AccessToken::new(text).unwrap();
        if !lost(Fault::LosesTimeOfIssue) {
            copy = copy.with_issued_at(token.issued_at());
        }
        if let Some(end) = token.expires_at().filter(|_| !lost(Fault::LosesExpiry)) {
            copy = copy.with_expires_at(end - shift);
        }
        if let Some(refresh) = token.refresh_token().filter(|_| !lost(Fault::LosesRefreshTokens)) {
            let end = token.refresh_token_expires_at();
            let end = end.filter(|_| !lost(Fault::LosesRefreshExpiry));
            copy = copy.with_refresh_token(refresh.clone(), end);
        }
        if let Some(time) = token.rechecked_after().filter(|_| !lost(Fault::LosesRecheck)) {
            copy = copy.recheck_after(time);
        }
        let are_kept = |scopes: &&[String]| {
            let is_lost = lost(Fault::EmptyScopesAreUnknown) && scopes.is_empty();
            !is_lost && !lost(Fault::LosesScopes)
        };
        match token.scopes().filter(are_kept) {
            Some(scopes) => copy.with_scopes(scopes.iter().cloned()),
            None => copy,
        }
    }

    /// Changes the tokens: as a whole in one step, unless concurrent changes race.
    async fn change(&self, races: Fault, change: impl FnOnce(&mut BTreeMap<String, AccessToken>)) {
        if self.has(races) {
            let mut tokens = self.tokens.lock().unwrap().clone();
            yield_now().await;
            change(&mut tokens);
            *self.tokens.lock().unwrap() = tokens;
        } else {
            change(&mut self.tokens.lock().unwrap());
        }
    }

    async fn acquire(&self, key: &str) -> TokenStoreLock {
        let key = match self.fault {
            Fault::OneLock => String::new(),
            Fault::LocksIgnoreCase => key.to_lowercase(),
            Fault::LocksAreTruncated => key.chars().take(255).collect(),
            _ => key.to_owned(),
        };
        let lock = self.locks.lock().unwrap().entry(key).or_insert_with(new_lock).clone();
        match self.fault {
            Fault::LocksAreShared => return TokenStoreLock::new(()),
            Fault::LocksRace => loop {
                let is_held = self.is_held.load(Ordering::SeqCst);
                yield_now().await;
                if !is_held {
                    self.is_held.store(true, Ordering::SeqCst);
                    return TokenStoreLock::new(RacingLock(Arc::clone(&self.is_held)));
                }
                sleep(Duration::from_millis(1)).await;
            },
            Fault::RequestsKeepTheLock => {
                let (sender, receiver) = oneshot::channel();
                tokio::spawn(async move {
                    let permit = lock.acquire_owned().await.unwrap();
                    if let Err(permit) = sender.send(permit) {
                        permit.forget();
                    }
                });
                return TokenStoreLock::new(receiver.await.unwrap());
            }
            _ => {}
        }
        let permit = lock.acquire_owned().await.unwrap();
        match self.fault {
            Fault::LocksEnd => {
                tokio::spawn(async move {
                    sleep(WAIT / 2).await;
                    drop(permit);
                });
                TokenStoreLock::new(())
            }
            Fault::LocksStay => {
                permit.forget();
                TokenStoreLock::new(())
            }
            Fault::GuardsNeedARuntime => TokenStoreLock::new(TaskLock(Some(permit))),
            _ => TokenStoreLock::new(permit),
        }
    }
}

fn new_lock() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(1))
}

fn failure() -> Error {
    Error::token_store("no such token", None)
}

fn has_expired(token: &AccessToken) -> bool {
    token.expires_at().is_some_and(|end| end <= SystemTime::now())
}

impl TokenStore for FaultyStore {
    fn load<'a>(&'a self, key: &'a str) -> TokenStoreFuture<'a, Option<AccessToken>> {
        Box::pin(async move {
            self.begin().await;
            let _lock = self.locked_for(key, Fault::LoadTakesTheLock).await;
            let token = self.tokens.lock().unwrap().get(&self.key(key)).cloned();
            match (token, self.fault) {
                (None, Fault::AbsentFails) => Err(failure()),
                (Some(token), Fault::ExpiredIsAbsent) if has_expired(&token) => Ok(None),
                (token, _) => Ok(token),
            }
        })
    }

    fn save<'a>(&'a self, key: &'a str, token: &'a AccessToken) -> TokenStoreFuture<'a, ()> {
        Box::pin(async move {
            self.begin().await;
            let _lock = self.locked_for(key, Fault::SaveTakesTheLock).await;
            let (key, mut token) = (self.key(key), self.stored(token));
            if self.has(Fault::SaveRemovesFirst) {
                self.tokens.lock().unwrap().remove(&key);
                yield_now().await;
            }
            self.change(Fault::SavesRace, |tokens| {
                let before = tokens.get(&key);
                let old_refresh = before.and_then(AccessToken::refresh_token).cloned();
                match (before, old_refresh, self.fault) {
                    (Some(_), _, Fault::SaveKeepsTheFirst) => return,
                    (_, Some(old), Fault::SaveKeepsTheRefreshToken)
                        if token.refresh_token().is_none() =>
                    {
                        token = token.with_refresh_token(old, None);
                    }
                    (_, _, Fault::SaveDropsExpired) => {
                        tokens.retain(|_, token| !has_expired(token))
                    }
                    _ => {}
                }
                tokens.insert(key, token);
            })
            .await;
            Ok(())
        })
    }

    fn remove<'a>(&'a self, key: &'a str) -> TokenStoreFuture<'a, ()> {
        Box::pin(async move {
            self.begin().await;
            let _lock = self.locked_for(key, Fault::RemoveTakesTheLock).await;
            let key = self.key(key);
            if self.has(Fault::RemoveReleasesTheLock) {
                self.locks.lock().unwrap().remove(&key);
            }
            let is_absent = !self.tokens.lock().unwrap().contains_key(&key);
            match self.fault {
                Fault::RemoveOfNoneFails if is_absent => return Err(failure()),
                Fault::RemoveKeepsTheToken => return Ok(()),
                _ => {}
            }
            let is_match = |stored: &str| match self.fault {
                Fault::RemoveMatchesPrefixes => stored.starts_with(&key),
                _ => stored == key,
            };
            self.change(Fault::RemovesRace, |tokens| tokens.retain(|stored, _| !is_match(stored)))
                .await;
            Ok(())
        })
    }

    fn lock<'a>(&'a self, key: &'a str) -> TokenStoreFuture<'a, TokenStoreLock> {
        Box::pin(async move { Ok(self.acquire(key).await) })
    }

    fn lock_and_load<'a>(
        &'a self,
        key: &'a str,
        _patience: Duration,
    ) -> TokenStoreFuture<'a, (StoreResult<TokenStoreLock>, Option<AccessToken>)> {
        Box::pin(async move {
            let before = self.load(key).await?;
            let lock = match self.fault {
                Fault::LockAndLoadDoesNotLock => TokenStoreLock::new(()),
                _ => self.acquire(key).await,
            };
            match self.fault {
                Fault::LockAndLoadOfNoneFails if before.is_none() => Err(failure()),
                Fault::LockAndLoadDoesNotLoad => Ok((Ok(lock), None)),
                Fault::LoadsBeforeTheLock => Ok((Ok(lock), before)),
                Fault::LoadTakesTheLock => Ok((Ok(lock), before)),
                _ => Ok((Ok(lock), self.load(key).await?)),
            }
        })
    }
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tokens = self.tokens.lock().unwrap();
        let shown = tokens.values().map(AccessToken::expose_secret);
        let shown: Vec<_> = shown.filter(|_| self.has(Fault::DebugShowsTokens)).collect();
        f.debug_struct("FaultyStore").field("tokens", &shown).finish_non_exhaustive()
    }
}

#[tokio::test(start_paused = true)]
async fn a_faultless_token_store_conforms() {
    token_store_conformance(async || FaultyStore::new(Fault::None)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn each_fault_of_a_token_store_is_found() {
    let suite = async |fault| token_store_conformance(async || FaultyStore::new(fault)).await;
    assert_each_fault_is_found(FAULTS, suite).await;
}

#[test]
fn each_check_of_token_stores_finds_some_fault() {
    assert_each_check_has_a_fault(FAULTS, &[CHECKS]);
}

#[tokio::test(start_paused = true)]
async fn the_token_store_in_memory_conforms() {
    token_store_conformance(async || MemoryTokenStore::new()).await.unwrap();
}

#[cfg(feature = "encrypted-token-store")]
#[tokio::test(start_paused = true)]
async fn the_encrypted_token_store_conforms() {
    use crate::policy::auth::token_store::{EncryptedTokenStore, EncryptionKey};
    use crate::store::MemoryStore;

    let key = EncryptionKey::from_bytes([1; 32]);
    let new_store = async || EncryptedTokenStore::new(MemoryStore::new(), key.clone());
    token_store_conformance(new_store).await.unwrap();
}

/// The required methods of a token store, for its default methods.
#[derive(Debug)]
struct RequiredMethods(MemoryTokenStore);

impl TokenStore for RequiredMethods {
    fn load<'a>(&'a self, key: &'a str) -> TokenStoreFuture<'a, Option<AccessToken>> {
        self.0.load(key)
    }

    fn save<'a>(&'a self, key: &'a str, token: &'a AccessToken) -> TokenStoreFuture<'a, ()> {
        self.0.save(key, token)
    }

    fn remove<'a>(&'a self, key: &'a str) -> TokenStoreFuture<'a, ()> {
        self.0.remove(key)
    }

    fn lock<'a>(&'a self, key: &'a str) -> TokenStoreFuture<'a, TokenStoreLock> {
        self.0.lock(key)
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_store_with_the_default_methods_conforms() {
    token_store_conformance(async || RequiredMethods(MemoryTokenStore::new())).await.unwrap();
    // The failure of stores that share their content is reported as well.
    let shared = MemoryTokenStore::new();
    let found = token_store_conformance(async || RequiredMethods(shared.clone())).await;
    assert!(!found.unwrap_err().as_slice().is_empty());
}
