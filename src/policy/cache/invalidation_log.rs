//! The invalidation log: changes and purges since responses were stored.
//!
//! Marks are numbered. An entry has the number of the last mark at the time of its request, and each later mark can
//! concern it, also if the request was in flight when something changed. No entry has to be found and removed, whatever
//! the store.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::future::join;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{Instant, timeout};
use tracing::instrument::WithSubscriber;
use tracing::{Instrument, warn};

use super::entry::{Entry, EntryMetadata};
use super::integrity::{Integrity, TAG};
use crate::error::Result;
use crate::runtime::PerRuntime;
use crate::store::{
    BACKGROUND_TIMEOUT, FormatProblem, ResilientStore, Store, StoreFuture, StoreResult,
    StoreTimeout, StoreWaitBudget, ValueFormat, block_in_drop, run_in_background,
};
use crate::time::clock;

mod unread;

pub(crate) use unread::{ReadUrgency, UnreadRange};

/// The number that the log has reached, as decimal text.
const HEAD_FORMAT: ValueFormat = ValueFormat::new("cache-log", 1);
/// An invalidation: its tag, and the invalidation as JSON.
const ENTRY_FORMAT: ValueFormat = ValueFormat::new("invalidation", 1);
/// The maximum length of the number that the log has reached, in bytes, in any version.
const MAX_HEAD_BYTES: usize = 256;

/// A recorded change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Invalidation {
    /// Whether the entries that it concerns are removed; otherwise they have to be revalidated.
    pub(crate) purge: bool,
    pub(crate) selector: Selector,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Selector {
    All,
    Operation(String),
    Identity(String),
    /// Paths below the API's base URL, in lower case: the exact paths in `at`, and all paths below those in `below`.
    Paths {
        below: Vec<String>,
        at: Vec<String>,
    },
}

/// How a stored response can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Validity {
    Valid,
    /// It has to be revalidated before it is returned.
    MustRevalidate,
    Purged,
}

#[derive(Debug)]
pub(crate) struct InvalidationLog(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    log_state: Mutex<LogState>,
    /// The number of marks that this process created.
    local_count: AtomicU64,
    /// Whether a task reads marks in the background.
    is_reading: PerRuntime<Arc<AtomicBool>>,
    shared: Option<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Arc<ResilientStore>,
    integrity: Integrity,
    /// The prefix of the names of the marks.
    prefix: String,
    /// The maximum age of the known state of the log.
    sync_interval: Duration,
    /// The TTL of a mark: longer than that of any response.
    ttl: Duration,
    /// One writer for each runtime. Tasks do not wait for the writer of another runtime, since that runtime might not
    /// be polled.
    writers: PerRuntime<Arc<LogWriter>>,
}

/// Writes marks in tasks of one runtime.
#[derive(Debug, Default)]
struct LogWriter {
    /// Held by the task that writes.
    writing: AsyncMutex<()>,
    /// Whether a task waits to write, which will include all marks that exist by then.
    queued: AtomicBool,
}

#[derive(Debug, Default)]
struct LogState {
    /// All marks after this number are known; earlier marks are not.
    oldest_known: u64,
    /// The number of the last mark that is known.
    last_sequence: u64,
    known: VecDeque<(u64, Invalidation)>,
    /// The marks of this process that are not known to be in the log.
    own_invalidations: Vec<OwnInvalidation>,
    /// The number of marks that this process has recorded.
    recorded_count: u64,
    read: Option<Instant>,
}

/// A mark of this process.
#[derive(Debug)]
struct OwnInvalidation {
    /// Its number among the marks that this process recorded. Marks can be equal.
    id: u64,
    /// The id of the first mark that this one replaces.
    first_id: u64,
    /// Its number in the log, once the store has accepted it.
    sequence: Option<u64>,
    invalidation: Invalidation,
}

/// A mark that removes all entries, in place of marks that are unreadable or too many.
const PURGE_ALL: Invalidation = Invalidation { purge: true, selector: Selector::All };
/// The maximum number of known marks; entries from before them must be revalidated.
const MAX_LOG_ENTRIES: usize = 1_000;
/// The largest number of a mark. Numbers begin at the milliseconds since 1970, of which this is 140,000 years: this
/// library did not write a larger one.
pub(crate) const MAX_SEQUENCE: u64 = 1 << 52;
/// The maximum size of a mark in bytes. A larger one is replaced by a mark that concerns all entries.
const MAX_ENTRY_BYTES: usize = 4 * 1024;
/// The maximum size of a stored mark in bytes: its name and version, its tag, and the mark.
const MAX_STORED_BYTES: usize = 64 + TAG + MAX_ENTRY_BYTES;
/// The number of marks that are read beside other values, on the assumption that there are no more.
const READ_AHEAD: u64 = 8;
/// The maximum number of reads of one task that reads the marks for which calls had no time.
const MAX_BACKGROUND_READS: usize = 16;
/// The number of marks that one read requests otherwise.
const READ_BATCH: u64 = 64;
/// The pause before the client writes again the marks that the store did not accept.
const FLUSH_RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// The TTL of a hint: in effect unlimited.
pub(crate) const NO_EXPIRY: Duration = Duration::from_secs(50 * 365 * 24 * 60 * 60);

impl Invalidation {
    /// Returns the mark, or one that concerns all entries if the mark is too large to be stored.
    fn bounded(self) -> Self {
        let size = match &self.selector {
            Selector::All => 0,
            Selector::Operation(name) | Selector::Identity(name) => name.len(),
            Selector::Paths { below, at } => {
                below.iter().chain(at).map(|path| path.len() + size_of::<String>()).sum()
            }
        };
        if size > MAX_ENTRY_BYTES { Self { selector: Selector::All, ..self } } else { self }
    }

    fn applies_to(&self, about: &EntryMetadata) -> bool {
        match &self.selector {
            Selector::All => true,
            Selector::Operation(operation) => about.operation == *operation,
            Selector::Identity(identity) => about.identity == *identity,
            Selector::Paths { below, at } => {
                let is_below = |path: &String| {
                    about.path.strip_prefix(path.as_str()).is_some_and(|rest| {
                        rest.is_empty() || rest.starts_with('/') || path.ends_with('/')
                    })
                };
                at.contains(&about.path) || below.iter().any(is_below)
            }
        }
    }
}

impl InvalidationLog {
    /// Returns the log of a cache that is not shared.
    pub(crate) fn local() -> Self {
        Self::new(None)
    }

    /// Returns the log that all processes of a store share.
    pub(crate) fn shared(
        store: Arc<ResilientStore>,
        integrity: Integrity,
        prefix: String,
        every: Duration,
        keep: Duration,
    ) -> Self {
        let writers = PerRuntime::default();
        Self::new(Some(Shared {
            store,
            integrity,
            prefix,
            sync_interval: every,
            ttl: keep,
            writers,
        }))
    }

    fn new(shared: Option<Shared>) -> Self {
        Self(Arc::new(Inner {
            log_state: Mutex::default(),
            local_count: AtomicU64::new(0),
            is_reading: PerRuntime::default(),
            shared,
        }))
    }

    /// Returns the values to read from the store to know the last mark: none if it is known.
    pub(crate) fn unread(&self) -> UnreadRange {
        let Some(shared) = &self.0.shared else { return UnreadRange::default() };
        self.0.write_in_background();
        let invalidations = self.0.log_state();
        let fresh = invalidations.read.is_some_and(|read| read.elapsed() < shared.sync_interval);
        match fresh {
            true => UnreadRange::default(),
            false => UnreadRange::after(shared, invalidations.last_sequence, READ_AHEAD),
        }
    }

    /// Records the values that were read. Returns the values to read next: none if the last mark is known.
    pub(crate) fn take(
        &self,
        unread: &UnreadRange,
        values: &[Result<Option<Bytes>>],
    ) -> Option<UnreadRange> {
        self.0.take(unread, values)
    }

    /// Reads in a task the values for which a call has no time.
    pub(crate) fn read_in_background(&self, mut unread: UnreadRange) {
        // The task of another runtime might not be polled.
        let is_reading = self.0.is_reading.get_or_make(|_, _| Arc::default());
        if is_reading.swap(true, Ordering::AcqRel) {
            return;
        }
        let (inner, reading) = (Arc::clone(&self.0), ReadGuard(is_reading));
        run_in_background(async move {
            let _reading = reading;
            let Some(shared) = &inner.shared else { return };
            for _ in 0..MAX_BACKGROUND_READS {
                if unread.urgency == ReadUrgency::Lost {
                    let begun =
                        shared.read_head(unread.after_sequence, StoreTimeout::Bounded).await;
                    if begun.is_none() {
                        return;
                    }
                }
                let keys: Vec<_> = unread.keys().collect();
                let read = shared
                    .store
                    .run_in_background(BACKGROUND_TIMEOUT, |store| store.get_many(&keys));
                let StoreResult::Done(values) = read.await else { return };
                let Some(more) = inner.take(&unread, &values) else { return };
                unread = more;
            }
        });
    }

    /// Returns whether all marks are known that existed at this time.
    pub(crate) fn is_read_since(&self, time: Instant) -> bool {
        self.0.shared.is_none() || self.0.log_state().read.is_some_and(|read| read >= time)
    }

    /// Records that a claim of this process began the log with this number: it has no marks.
    pub(crate) fn on_created(&self, start: u64) {
        let mut invalidations = self.0.log_state();
        if invalidations.last_sequence < start {
            invalidations.reset(start);
        }
    }

    /// Returns the number of the last known mark; `None` if nothing is known of the log.
    pub(crate) fn last_sequence(&self) -> Option<u64> {
        let last = self.0.log_state().last_sequence;
        (self.0.shared.is_none() || last > 0).then_some(last)
    }

    /// Writes the marks that the store does not have now. Returns whether the store has all of them.
    pub(crate) async fn flush(&self) -> bool {
        let last = self.0.log_state().recorded_count;
        self.write(last).await
    }

    /// Writes the marks, repeatedly, until the store has them: the caller bounds the time.
    pub(crate) async fn flush_until_written(&self) {
        let last = self.0.log_state().recorded_count;
        while !self.write(last).await {
            tokio::time::sleep(FLUSH_RETRY_INTERVAL).await;
        }
    }

    /// Writes the marks up to this one. Returns whether the store has all of them.
    async fn write(&self, last: u64) -> bool {
        if self.0.shared.is_none() {
            return true;
        }
        // A separate task, since the caller might not be polled while it holds the lock.
        let inner = Arc::clone(&self.0);
        let flush = async move {
            let Some(shared) = &inner.shared else { return true };
            let writer = shared.writer();
            let _alone = writer.writing.lock().await;
            inner.send(shared, last, StoreTimeout::Bounded).await
        };
        tokio::spawn(flush.in_current_span().with_current_subscriber()).await.unwrap_or(false)
    }

    /// Returns how a stored response can be used, by the known marks.
    pub(crate) fn validity(&self, entry: &Entry) -> Validity {
        let invalidations = self.0.log_state();
        let later =
            invalidations.known.iter().rev().take_while(|(number, _)| *number > entry.log_sequence);
        let own = invalidations.own_invalidations.iter();
        let own = own.filter(|own| own.sequence.is_none_or(|number| number > entry.log_sequence));
        let later =
            later.map(|(_, invalidation)| invalidation).chain(own.map(|own| &own.invalidation));
        // A number that the log has not reached belongs to an earlier log.
        let unknown = entry.log_sequence < invalidations.oldest_known
            || entry.log_sequence > invalidations.visible_sequence();
        let mut verdict = if unknown { Validity::MustRevalidate } else { Validity::Valid };
        for invalidation in later.filter(|invalidation| invalidation.applies_to(&entry.metadata)) {
            if invalidation.purge {
                return Validity::Purged;
            }
            verdict = Validity::MustRevalidate;
        }
        verdict
    }

    /// Returns the number of marks that this process created.
    pub(crate) fn local_count(&self) -> u64 {
        self.0.local_count.load(Ordering::Acquire)
    }

    /// Records a change: at once for this process, and for others that share the store once it responds.
    pub(crate) async fn record_and_publish(&self, invalidation: Invalidation) {
        self.0.record(invalidation);
        self.flush().await;
    }

    /// Waits until the store has the marks of this process, within the time that a call can wait.
    pub(crate) async fn wait_until_written(&self, allowance: &StoreWaitBudget) {
        let is_failing = |shared: &Shared| shared.store.retry_at().is_some();
        let is_down = self.0.shared.as_ref().is_some_and(is_failing);
        if is_down || self.0.is_written() || allowance.remaining().is_zero() {
            return;
        }
        let _wait = allowance.begin();
        // A longer write continues in the background.
        let _ = timeout(allowance.remaining(), self.flush()).await;
    }

    /// Records a change at once, and writes it to the store in the background.
    pub(crate) fn record(&self, invalidation: Invalidation) {
        self.0.record(invalidation);
        self.0.write_in_background();
    }
}

impl Drop for InvalidationLog {
    /// Writes the marks that the store does not have: a short program ends here.
    fn drop(&mut self) {
        if self.0.is_written() {
            return;
        }
        let inner = Arc::clone(&self.0);
        block_in_drop(async move {
            if let Some(shared) = &inner.shared {
                inner.send(shared, u64::MAX, StoreTimeout::Unbounded).await;
            }
        });
    }
}

impl Shared {
    /// Returns the writer of the caller's runtime.
    fn writer(&self) -> Arc<LogWriter> {
        self.writers.get_or_make(|_, _| Arc::default())
    }
}

impl Inner {
    fn record(&self, invalidation: Invalidation) {
        let invalidation = invalidation.bounded();
        let mut invalidations = self.log_state();
        if self.shared.is_some() {
            invalidations.hold(invalidation);
            invalidations.read = None;
        } else {
            let number = invalidations.last_sequence.saturating_add(1);
            invalidations.append(number, invalidation);
        }
        self.local_count.fetch_add(1, Ordering::AcqRel);
    }

    /// Records the values that were read. Returns the values to read next: none if the last mark is known.
    fn take(&self, unread: &UnreadRange, values: &[Result<Option<Bytes>>]) -> Option<UnreadRange> {
        let shared = self.shared.as_ref()?;
        let (value, found) = values.split_first()?;
        let hint = value
            .as_ref()
            .ok()
            .and_then(Option::as_deref)
            .and_then(|value| parse_sequence(value).ok());
        let mut invalidations = self.log_state();
        let is_unknown_here = unread.after_sequence == 0 && matches!(value, Ok(None));
        if hint.is_none() && !is_unknown_here {
            // Marks were lost, and their content is unknown: no entry is valid before the log has begun again.
            let again = UnreadRange::after(shared, invalidations.last_sequence, READ_AHEAD);
            return Some(UnreadRange { urgency: ReadUrgency::Lost, ..again });
        }
        if let Some(hint) = hint.filter(|hint| invalidations.was_replaced(*hint)) {
            invalidations.reset(hint);
        }
        if unread.after_sequence > invalidations.last_sequence {
            // The log has begun again since, and these values belong to the earlier one.
            return Some(UnreadRange::after(shared, invalidations.last_sequence, READ_BATCH));
        }
        let found =
            found.iter().map(|invalidation| invalidation.as_ref().map(Option::as_ref).transpose());
        let found: Vec<_> = found.map_while(|invalidation| invalidation).collect();
        for (number, invalidation) in
            (unread.after_sequence.saturating_add(1)..).zip(found.iter().copied())
        {
            if number > invalidations.last_sequence {
                let read = invalidation
                    .map(|invalidation| shared.read(&shared.entry_key(number), invalidation));
                // An unreadable mark can concern all entries.
                invalidations.append(number, read.unwrap_or(PURGE_ALL));
            }
        }
        let last = invalidations.last_sequence;
        if found.len().saturating_add(1) == unread.names.len() {
            return Some(UnreadRange::after(shared, last, READ_BATCH));
        }
        if let Some(hint) = hint.filter(|hint| *hint > last) {
            // The store can have read the values one after the other, and the hint last.
            if hint.saturating_sub(last) <= READ_BATCH && !unread.is_last {
                let again = UnreadRange::after(shared, last, READ_BATCH);
                return Some(UnreadRange { is_last: true, ..again });
            }
            // The log is new to this process, or has begun again: earlier marks are not known. The hint can lag behind
            // the log.
            invalidations.reset(hint);
            let beyond = UnreadRange::after(shared, hint, READ_AHEAD);
            return Some(UnreadRange { urgency: ReadUrgency::IfNeeded, ..beyond });
        }
        invalidations
            .own_invalidations
            .retain(|own| own.sequence.is_none_or(|number| number > last));
        // A mark that is not written yet is still to be read.
        let all_written = invalidations.own_invalidations.iter().all(|own| own.sequence.is_some());
        invalidations.read = (all_written && hint.is_some()).then(Instant::now);
        None
    }

    /// Returns whether the store has all marks of this process.
    fn is_written(&self) -> bool {
        self.shared.is_none()
            || self.log_state().own_invalidations.iter().all(|own| own.sequence.is_some())
    }

    /// Starts a task that writes the marks that the store does not have, if there are any.
    fn write_in_background(self: &Arc<Self>) {
        let Some(shared) = &self.shared else { return };
        if self.is_written() || shared.store.is_down() {
            return;
        }
        let writer = shared.writer();
        if writer.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let (inner, queued) = (Arc::clone(self), WriteGuard(Arc::clone(&writer)));
        run_in_background(async move {
            let Some(shared) = &inner.shared else { return };
            let _alone = writer.writing.lock().await;
            // A mark that is recorded from here on can be too late for this task.
            drop(queued);
            inner.send(shared, u64::MAX, StoreTimeout::Bounded).await;
        });
    }

    /// Writes the marks up to this one that the store has not accepted yet. Returns whether the store has all of them.
    async fn send(&self, shared: &Shared, last_noted: u64, patience: StoreTimeout) -> bool {
        loop {
            let next = {
                let invalidations = self.log_state();
                let mut unsent =
                    invalidations.own_invalidations.iter().filter(|own| own.sequence.is_none());
                let next = unsent.find(|own| own.first_id <= last_noted);
                next.map(|own| (own.id, own.invalidation.clone(), invalidations.last_sequence))
            };
            let Some((id, invalidation, last)) = next else { return true };
            let Some(number) = shared.append(last, &invalidation, patience).await else {
                return false;
            };
            let mut invalidations = self.log_state();
            // Another runtime can have written it meanwhile.
            let sent = invalidations
                .own_invalidations
                .iter()
                .position(|own| own.id == id && own.sequence.is_none());
            let Some(sent) = sent else { continue };
            if number == invalidations.last_sequence.saturating_add(1) {
                // No mark of another process is between, so that this one need not be read.
                invalidations.own_invalidations.remove(sent);
                invalidations.append(number, invalidation);
            } else if let Some(sent) = invalidations.own_invalidations.get_mut(sent) {
                sent.sequence = Some(number);
            }
        }
    }

    fn log_state(&self) -> MutexGuard<'_, LogState> {
        self.log_state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The guard of a task that reads in the background: until it is dropped, no other such task is needed.
struct ReadGuard(Arc<AtomicBool>);

impl Drop for ReadGuard {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// The guard of a task that waits to write: until it is dropped, no other such task is needed.
struct WriteGuard(Arc<LogWriter>);

impl Drop for WriteGuard {
    fn drop(&mut self) {
        self.0.queued.store(false, Ordering::Release);
    }
}

impl LogState {
    /// Begins the log again: nothing is known of the marks before this number.
    fn reset(&mut self, hint: u64) {
        self.known.clear();
        (self.oldest_known, self.last_sequence, self.read) = (hint, hint, None);
        // A number far above the others belongs to the earlier log.
        let horizon = self.visible_sequence();
        self.own_invalidations.retain(|own| own.sequence.is_none_or(|number| number <= horizon));
    }

    /// Returns whether the log, which has reached about this number, is another log than the one that was read before.
    /// It can lag behind by the marks that others write at the same time.
    fn was_replaced(&self, hint: u64) -> bool {
        self.last_sequence > hint.saturating_add(MAX_LOG_ENTRIES as u64)
    }

    /// Returns the largest number that an entry can have: others can know a few marks more, and store entries with
    /// them.
    fn visible_sequence(&self) -> u64 {
        self.last_sequence.saturating_add(MAX_LOG_ENTRIES as u64)
    }

    fn append(&mut self, number: u64, invalidation: Invalidation) {
        self.last_sequence = number;
        self.known.push_back((number, invalidation));
        if self.known.len() > MAX_LOG_ENTRIES
            && let Some((number, _)) = self.known.pop_front()
        {
            self.oldest_known = number;
        }
    }

    /// Holds a mark of this process until it is in the log. If there are too many, one replaces them all.
    fn hold(&mut self, invalidation: Invalidation) {
        self.recorded_count = self.recorded_count.saturating_add(1);
        let id = self.recorded_count;
        if self.own_invalidations.len() >= MAX_LOG_ENTRIES {
            self.drop_acknowledged();
        }
        let mut own = OwnInvalidation { id, first_id: id, sequence: None, invalidation };
        if self.own_invalidations.len() >= MAX_LOG_ENTRIES {
            own.first_id = self.own_invalidations.first().map_or(id, |first| first.first_id);
            own.invalidation = PURGE_ALL;
            self.own_invalidations.clear();
        }
        self.own_invalidations.push(own);
    }

    /// Drops the marks that the store has. The marks between them are not known, so that nothing is known any longer
    /// from before the last of them.
    fn drop_acknowledged(&mut self) {
        let written = self.own_invalidations.iter().filter_map(|own| own.sequence).max();
        self.own_invalidations.retain(|own| own.sequence.is_none());
        if let Some(number) = written.filter(|number| *number > self.last_sequence) {
            self.reset(number);
        }
    }
}

impl Shared {
    fn entry_key(&self, number: u64) -> String {
        format!("{}mark:{number}", self.prefix)
    }

    fn head_key(&self) -> String {
        format!("{}marks", self.prefix)
    }

    /// Returns a number near the last mark, after which marks begin. If the hint is lost or invalid, the log begins
    /// again, above all earlier numbers, of which this one is known.
    async fn read_head(&self, known: u64, patience: StoreTimeout) -> Option<u64> {
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
            // Others can know a few marks more.
            let above = known.saturating_add(MAX_LOG_ENTRIES as u64 + 1);
            let start = if is_valid_sequence(above) { start.max(above) } else { start };
            let start = encode_sequence(start);
            self.run(patience, |store| store.put_if_absent(&name, start, NO_EXPIRY)).await?;
        }
        None
    }

    /// Decodes a mark. One that is unreadable, or has another version, can concern all entries.
    fn read(&self, name: &str, value: &[u8]) -> Invalidation {
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

    /// Encodes a mark: its tag, and the mark as JSON.
    fn write(&self, name: &str, invalidation: &Invalidation) -> Option<Bytes> {
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

    /// Appends a mark after this number and all marks that follow. Returns its number.
    ///
    /// The client claims the next number while it reads the number of the log, which takes one round trip instead of
    /// two. If the store did not respond before, the client sends one request at a time.
    async fn append(
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
        // A number far above the log's belongs to another log. If the number is below the log's, a mark was missing: by
        // the gap, other processes detect that marks are lost.
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

    /// Writes a mark with this number, unless one exists.
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

    /// Publishes the position of the log for clients that know no mark yet.
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
pub(super) fn encode_sequence(number: u64) -> Bytes {
    HEAD_FORMAT.encode(number.to_string())
}

/// Returns the number that a log has reached, if a log can reach it.
fn parse_sequence(value: &[u8]) -> std::result::Result<u64, FormatProblem> {
    let number = std::str::from_utf8(HEAD_FORMAT.decode(value)?);
    let number = number.ok().and_then(|number| number.parse().ok());
    number.filter(|number| is_valid_sequence(*number)).ok_or(FormatProblem::Damaged)
}

/// Returns whether a log can reach this number.
fn is_valid_sequence(number: u64) -> bool {
    (1..MAX_SEQUENCE - MAX_LOG_ENTRIES as u64).contains(&number)
}

#[cfg(test)]
mod tests;
