//! The log in the shared store: a head, which has the number that the log has reached, and a value for each invalidation.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::future::join;
use tokio::sync::Mutex as AsyncMutex;
use tracing::warn;

use super::invalidation::{Invalidation, MAX_ENTRY_BYTES, PURGE_ALL, Selector};
use super::log_state::MAX_LOG_ENTRIES;
use crate::policy::cache::entry::MAX_SEQUENCE;
use crate::policy::cache::integrity::{Integrity, TAG};
use crate::runtime::PerRuntime;
use crate::store::{
    FormatProblem, ResilientStore, Store, StoreFuture, StoreResult, StoreTimeout, ValueFormat,
};
use crate::time::clock;

/// The number that the log has reached, as decimal text.
pub(super) const HEAD_FORMAT: ValueFormat = ValueFormat::new("cache-log", 1);

/// An invalidation: its tag, and the invalidation as JSON.
pub(super) const ENTRY_FORMAT: ValueFormat = ValueFormat::new("invalidation", 1);

/// The maximum length of the number that the log has reached, in bytes, in any version.
pub(super) const MAX_HEAD_BYTES: usize = 256;

/// The maximum size of a stored invalidation in bytes: its name and version, its tag, and the invalidation.
pub(super) const MAX_STORED_BYTES: usize = 64 + TAG + MAX_ENTRY_BYTES;

/// The TTL of a hint: in effect unlimited.
pub(crate) const NO_EXPIRY: Duration = Duration::from_secs(50 * 365 * 24 * 60 * 60);

#[derive(Debug)]
pub(super) struct SharedLog {
    pub(super) store: Arc<ResilientStore>,
    pub(super) integrity: Integrity,
    /// The prefix of the names of the invalidations.
    pub(super) prefix: String,
    /// The maximum age of the known state of the log.
    pub(super) sync_interval: Duration,
    /// The TTL of an invalidation: longer than that of any response.
    pub(super) ttl: Duration,
    /// One writer for each runtime. Tasks do not wait for the writer of another runtime, since that runtime might not
    /// be polled.
    pub(super) writers: PerRuntime<Arc<LogWriter>>,
}

/// Writes invalidations in tasks of one runtime.
#[derive(Debug, Default)]
pub(super) struct LogWriter {
    /// Held by the task that writes.
    pub(super) writing: AsyncMutex<()>,
    /// Whether a task waits to write, which will include all invalidations that exist by then.
    pub(super) queued: Arc<AtomicBool>,
}

impl SharedLog {
    /// Returns the writer of the caller's runtime.
    pub(super) fn writer(&self) -> Arc<LogWriter> {
        self.writers.get_or_make(|_, _| Arc::default())
    }

    pub(super) fn entry_key(&self, number: u64) -> String {
        format!("{}invalidation:{number}", self.prefix)
    }

    pub(super) fn head_key(&self) -> String {
        format!("{}log", self.prefix)
    }

    /// Returns a number near the last invalidation, after which invalidations begin. If the hint is lost or invalid, the log begins
    /// again, above all earlier numbers, of which this one is known.
    pub(super) async fn read_head(&self, known: u64, patience: StoreTimeout) -> Option<u64> {
        let name = self.head_key();
        for _ in 0..2 {
            let head = self
                .store
                .run_with_timeout(patience, |store| store.get_within(&name, MAX_HEAD_BYTES));
            match head.await {
                StoreResult::Done(Some(value)) => {
                    match parse_sequence(&value) {
                        Ok(number) => return Some(number),
                        // The log belongs to clients of a later version. Without it, this client revalidates.
                        Err(FormatProblem::Newer) => {
                            warn!(key = name, "cache invalidation log has a later version");
                            return None;
                        }
                        Err(FormatProblem::Damaged) => warn_unreadable(&name),
                    }
                    // Another process can have replaced it first.
                    self.run(patience, |store| store.remove_if_equal(&name, value)).await?;
                }
                StoreResult::Done(None) => {}
                StoreResult::Unreadable => {
                    warn_unreadable(&name);
                    self.run(patience, |store| store.remove(&name)).await?;
                }
                StoreResult::NotAttempted | StoreResult::Indeterminate => return None,
            }
            let start = clock::unix_millis(SystemTime::now());
            // Others can know a few invalidations more.
            let above = known.saturating_add(MAX_LOG_ENTRIES as u64 + 1);
            let start = if is_valid_sequence(above) { start.max(above) } else { start };
            let start = encode_sequence(start);
            self.run(patience, |store| store.put_if_absent(&name, start, NO_EXPIRY)).await?;
        }
        None
    }

    /// Decodes an invalidation. One that is unreadable, or has another version, can concern all entries.
    pub(super) fn read(&self, name: &str, value: &[u8]) -> Invalidation {
        let content = ENTRY_FORMAT.decode(value).ok();
        let json = match content.and_then(<[u8]>::split_first_chunk) {
            Some((tag, json)) => {
                let is_whole = self.integrity.is_tag(tag, &[name.as_bytes(), json]);
                (is_whole && json.len() <= MAX_ENTRY_BYTES).then_some(json)
            }
            None => None,
        };
        let invalidation =
            json.and_then(|json| serde_json::from_slice(json).ok()).map(Invalidation::bounded);
        invalidation.unwrap_or(PURGE_ALL)
    }

    /// Encodes an invalidation: its tag, and the invalidation as JSON.
    pub(super) fn write(&self, name: &str, invalidation: &Invalidation) -> Option<Bytes> {
        let json = serde_json::to_vec(invalidation).ok()?;
        let json = match json.len() {
            0..=MAX_ENTRY_BYTES => json,
            _ => serde_json::to_vec(&Invalidation {
                selector: Selector::All,
                ..invalidation.clone()
            })
            .ok()?,
        };
        let tag = self.integrity.tag(&[name.as_bytes(), &json]);
        Some(ENTRY_FORMAT.encode([&tag[..], &json].concat()))
    }

    /// Appends an invalidation after this number and all invalidations that follow. Returns its number.
    ///
    /// The client claims the next number while it reads the number of the log, which takes one round trip instead of
    /// two. If the store did not respond before, the client sends one request at a time.
    pub(super) async fn append(
        &self,
        last: u64,
        invalidation: &Invalidation,
        patience: StoreTimeout,
    ) -> Option<u64> {
        let responses = match patience {
            StoreTimeout::Bounded => self.store.retry_at().is_none(),
            StoreTimeout::Unbounded => true,
        };
        let next = (responses && last > 0).then(|| last.saturating_add(1));
        let claim = async {
            match next {
                Some(number) => self.claim(number, invalidation, patience).await,
                None => Some(false),
            }
        };
        let (hint, is_claimed) = join(self.read_head(last, patience), claim).await;
        let (hint, is_claimed) = (hint?, is_claimed?);
        // A number far above the log's belongs to another log. If the number is below the log's, an invalidation was missing: by
        // the gap, other processes detect that invalidations are lost.
        let is_of_this_log = last >= hint && last <= hint.saturating_add(MAX_LOG_ENTRIES as u64);
        if let Some(missing) = next.filter(|_| is_claimed && !is_of_this_log) {
            let name = self.entry_key(missing);
            let value = self.write(&name, invalidation)?;
            self.run(patience, |store| store.remove_if_equal(&name, value)).await?;
        }
        let mut number = match next.filter(|_| is_of_this_log) {
            Some(number) if is_claimed => return self.write_head(number, patience).await,
            Some(number) => number.saturating_add(1),
            None if last > hint.saturating_add(MAX_LOG_ENTRIES as u64) => hint.saturating_add(1),
            None => hint.max(last).saturating_add(1),
        };
        for _ in 0..MAX_LOG_ENTRIES {
            if self.claim(number, invalidation, patience).await? {
                return self.write_head(number, patience).await;
            }
            number = number.saturating_add(1);
        }
        None
    }

    /// Writes an invalidation with this number, unless one exists.
    async fn claim(
        &self,
        number: u64,
        invalidation: &Invalidation,
        patience: StoreTimeout,
    ) -> Option<bool> {
        let name = self.entry_key(number);
        let value = self.write(&name, invalidation)?;
        self.run(patience, |store| store.put_if_absent(&name, value, self.ttl)).await
    }

    /// Publishes the position of the log for clients that know no invalidation yet.
    async fn write_head(&self, number: u64, patience: StoreTimeout) -> Option<u64> {
        let (name, hint) = (self.head_key(), encode_sequence(number));
        self.run(patience, |store| store.put(&name, hint, NO_EXPIRY)).await?;
        Some(number)
    }

    async fn run<'a, T>(
        &'a self,
        patience: StoreTimeout,
        operation: impl FnOnce(&'a dyn Store) -> StoreFuture<'a, T>,
    ) -> Option<T> {
        self.store.run_with_timeout(patience, operation).await.value()
    }
}

fn warn_unreadable(key: &str) {
    warn!(key, "cache invalidation log is unreadable; reset");
}

/// Encodes the number that a log has reached.
pub(in crate::policy::cache) fn encode_sequence(number: u64) -> Bytes {
    HEAD_FORMAT.encode(number.to_string())
}

/// Returns the number that a log has reached, if a log can reach it.
pub(super) fn parse_sequence(value: &[u8]) -> Result<u64, FormatProblem> {
    let number = std::str::from_utf8(HEAD_FORMAT.decode(value)?);
    let number = number.ok().and_then(|number| number.parse().ok());
    number.filter(|number| is_valid_sequence(*number)).ok_or(FormatProblem::Damaged)
}

/// Returns whether a log can reach this number.
fn is_valid_sequence(number: u64) -> bool {
    (1..MAX_SEQUENCE - MAX_LOG_ENTRIES as u64).contains(&number)
}
