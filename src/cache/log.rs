//! Records changes and purges since responses were stored.
//!
//! Marks are numbered. An entry has the number of the last mark at the time of its request, and each later mark can
//! concern it, also if the request was in flight when something changed. No entry has to be found and removed, whatever
//! the store.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{Instant, timeout};
use tracing::instrument::WithSubscriber;
use tracing::{Instrument, warn};

use super::entry::{About, Entry};
use super::integrity::{Integrity, TAG};
use crate::error::Result;
use crate::runtimes::PerRuntime;
use crate::store::{
    BACKGROUND_TIMEOUT, Guard, Ran, Store, StoreFuture, WaitAllowance, continue_behind,
    finish_in_drop,
};

mod unread;

pub(crate) use unread::{Unread, Urgency};

/// The maximum length of a mark's number, in bytes.
const MAX_HINT: usize = 32;

/// A recorded change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// Whether the entries that it concerns are removed; otherwise they have to be revalidated.
    pub(crate) forget: bool,
    pub(crate) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum What {
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
pub(crate) enum Verdict {
    Good,
    /// It has to be revalidated before it is returned.
    Doubtful,
    Forgotten,
}

#[derive(Debug)]
pub(crate) struct Log(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    marks: Mutex<Marks>,
    /// The number of marks that this process created.
    made: AtomicU64,
    /// Whether a task reads marks in the background.
    is_reading: PerRuntime<Arc<AtomicBool>>,
    shared: Option<Shared>,
}

/// How long the client waits for the store.
#[derive(Clone, Copy, Debug)]
enum Patience {
    /// For a bounded time, and not at all while the store is known to be unavailable.
    Guarded,
    /// Until the store responds: the caller bounds the time.
    Last,
}

#[derive(Debug)]
struct Shared {
    guard: Arc<Guard>,
    integrity: Integrity,
    /// The prefix of the names of the marks.
    prefix: String,
    /// The maximum age of the known state of the log.
    every: Duration,
    /// The TTL of a mark: longer than that of any response.
    keep: Duration,
    /// One writer for each runtime. Tasks do not wait for the writer of another runtime, since that runtime might not
    /// be polled.
    writers: PerRuntime<Arc<MarkWriter>>,
}

/// Writes marks in tasks of one runtime.
#[derive(Debug, Default)]
struct MarkWriter {
    /// Held by the task that writes.
    writing: AsyncMutex<()>,
    /// Whether a task waits to write, which will include all marks that exist by then.
    queued: AtomicBool,
}

#[derive(Debug, Default)]
struct Marks {
    /// All marks after this number are known; earlier marks are not.
    floor: u64,
    /// The number of the last mark that is known.
    last: u64,
    known: VecDeque<(u64, Mark)>,
    /// The marks of this process that are not known to be in the log.
    own: Vec<OwnMark>,
    /// The number of marks that this process has recorded.
    noted: u64,
    read: Option<Instant>,
}

/// A mark of this process.
#[derive(Debug)]
struct OwnMark {
    /// Its number among the marks that this process recorded. Marks can be equal.
    id: u64,
    /// The id of the first mark that this one replaces.
    since: u64,
    /// Its number in the log, once the store has accepted it.
    number: Option<u64>,
    mark: Mark,
}

/// The maximum number of known marks; entries from before them are doubtful.
const MOST: usize = 1_000;
/// The largest number of a mark. Numbers begin at the milliseconds since 1970, of which this is 140,000 years: this
/// library did not write a larger one.
pub(crate) const MAX_NUMBER: u64 = 1 << 52;
/// The maximum size of a mark in bytes. A larger one is replaced by a mark that concerns all entries.
const MAX_MARK: usize = 4 * 1024;
/// The number of marks that are read beside other values, on the assumption that there are no more.
const AHEAD: u64 = 8;
/// The maximum number of reads of one task that reads the marks for which calls had no time.
const MAX_READS_BEHIND: usize = 16;
/// The number of marks that one read requests otherwise.
const AT_A_TIME: u64 = 64;
/// The pause before the client writes again the marks that the store did not accept.
const BETWEEN_FLUSHES: Duration = Duration::from_millis(100);
/// The TTL of a hint: in effect unlimited.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(50 * 365 * 24 * 60 * 60);

impl Mark {
    /// Returns the mark, or one that concerns all entries if the mark is too large to be stored.
    fn bounded(self) -> Self {
        let size = match &self.what {
            What::All => 0,
            What::Operation(name) | What::Identity(name) => name.len(),
            What::Paths { below, at } => {
                below.iter().chain(at).map(|path| path.len() + size_of::<String>()).sum()
            }
        };
        if size > MAX_MARK { Self { what: What::All, ..self } } else { self }
    }

    fn concerns(&self, about: &About) -> bool {
        match &self.what {
            What::All => true,
            What::Operation(operation) => about.operation == *operation,
            What::Identity(identity) => about.identity == *identity,
            What::Paths { below, at } => {
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

impl Log {
    /// Returns the log of a cache that is not shared.
    pub(crate) fn own() -> Self {
        Self::new(None)
    }

    /// Returns the log that all processes of a store share.
    pub(crate) fn shared(
        guard: Arc<Guard>,
        integrity: Integrity,
        prefix: String,
        every: Duration,
        keep: Duration,
    ) -> Self {
        let writers = PerRuntime::default();
        Self::new(Some(Shared { guard, integrity, prefix, every, keep, writers }))
    }

    fn new(shared: Option<Shared>) -> Self {
        let (made, is_reading) = (AtomicU64::new(0), PerRuntime::default());
        Self(Arc::new(Inner { marks: Mutex::default(), made, is_reading, shared }))
    }

    /// Returns the values to read from the store to know the last mark: none if it is known.
    pub(crate) fn unread(&self) -> Unread {
        let Some(shared) = &self.0.shared else { return Unread::default() };
        self.0.write_behind();
        let marks = self.0.marks();
        let fresh = marks.read.is_some_and(|read| read.elapsed() < shared.every);
        match fresh {
            true => Unread::default(),
            false => Unread::after(shared, marks.last, AHEAD),
        }
    }

    /// Records the values that were read. Returns the values to read next: none if the last mark is known.
    pub(crate) fn take(&self, unread: &Unread, values: &[Result<Option<Bytes>>]) -> Option<Unread> {
        self.0.take(unread, values)
    }

    /// Reads in a task the values for which a call has no time.
    pub(crate) fn read_behind(&self, mut unread: Unread) {
        // The task of another runtime might not be polled.
        let is_reading = self.0.is_reading.get_or_make(|_, _| Arc::default());
        if is_reading.swap(true, Ordering::AcqRel) {
            return;
        }
        let (inner, reading) = (Arc::clone(&self.0), Reading(is_reading));
        continue_behind(async move {
            let _reading = reading;
            let Some(shared) = &inner.shared else { return };
            for _ in 0..MAX_READS_BEHIND {
                if unread.urgency == Urgency::Lost {
                    let begun = shared.hint(unread.after, Patience::Guarded).await;
                    if begun.is_none() {
                        return;
                    }
                }
                let keys: Vec<_> = unread.keys().collect();
                let read =
                    shared.guard.run_behind(BACKGROUND_TIMEOUT, |store| store.get_many(&keys));
                let Ran::Done(values) = read.await else { return };
                let Some(more) = inner.take(&unread, &values) else { return };
                unread = more;
            }
        });
    }

    /// Returns whether all marks are known that existed at this time.
    pub(crate) fn is_read_since(&self, time: Instant) -> bool {
        self.0.shared.is_none() || self.0.marks().read.is_some_and(|read| read >= time)
    }

    /// Records that a claim of this process began the log with this number: it has no marks.
    pub(crate) fn begun(&self, start: u64) {
        let mut marks = self.0.marks();
        if marks.last < start {
            marks.begin_anew(start);
        }
    }

    /// Returns the number of the last known mark; `None` if nothing is known of the log.
    pub(crate) fn last(&self) -> Option<u64> {
        let last = self.0.marks().last;
        (self.0.shared.is_none() || last > 0).then_some(last)
    }

    /// Writes the marks that the store does not have now. Returns whether the store has all of them.
    pub(crate) async fn flush(&self) -> bool {
        let last = self.0.marks().noted;
        self.write(last).await
    }

    /// Writes the marks, repeatedly, until the store has them: the caller bounds the time.
    pub(crate) async fn flush_until_written(&self) {
        let last = self.0.marks().noted;
        while !self.write(last).await {
            tokio::time::sleep(BETWEEN_FLUSHES).await;
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
            inner.send(shared, last, Patience::Guarded).await
        };
        tokio::spawn(flush.in_current_span().with_current_subscriber()).await.unwrap_or(false)
    }

    /// Returns how a stored response can be used, by the known marks.
    pub(crate) fn verdict(&self, entry: &Entry) -> Verdict {
        let marks = self.0.marks();
        let later = marks.known.iter().rev().take_while(|(number, _)| *number > entry.number);
        let own = marks.own.iter();
        let own = own.filter(|own| own.number.is_none_or(|number| number > entry.number));
        let later = later.map(|(_, mark)| mark).chain(own.map(|own| &own.mark));
        // A number that the log has not reached belongs to an earlier log.
        let unknown = entry.number < marks.floor || entry.number > marks.horizon();
        let mut verdict = if unknown { Verdict::Doubtful } else { Verdict::Good };
        for mark in later.filter(|mark| mark.concerns(&entry.about)) {
            if mark.forget {
                return Verdict::Forgotten;
            }
            verdict = Verdict::Doubtful;
        }
        verdict
    }

    /// Returns the number of marks that this process created.
    pub(crate) fn made(&self) -> u64 {
        self.0.made.load(Ordering::Acquire)
    }

    /// Records a change: at once for this process, and for others that share the store once it responds.
    pub(crate) async fn mark(&self, mark: Mark) {
        self.0.note(mark);
        self.flush().await;
    }

    /// Waits until the store has the marks of this process, within the time that a call can wait.
    pub(crate) async fn wait_until_written(&self, allowance: &WaitAllowance) {
        let is_failing = |shared: &Shared| shared.guard.retry_at().is_some();
        let is_down = self.0.shared.as_ref().is_some_and(is_failing);
        if is_down || self.0.is_written() || allowance.left().is_zero() {
            return;
        }
        let _wait = allowance.begin();
        // A longer write continues in the background.
        let _ = timeout(allowance.left(), self.flush()).await;
    }

    /// Records a change at once, and writes it to the store in the background.
    pub(crate) fn note(&self, mark: Mark) {
        self.0.note(mark);
        self.0.write_behind();
    }
}

impl Drop for Log {
    /// Writes the marks that the store does not have: a short program ends here.
    fn drop(&mut self) {
        if self.0.is_written() {
            return;
        }
        let inner = Arc::clone(&self.0);
        finish_in_drop(async move {
            if let Some(shared) = &inner.shared {
                inner.send(shared, u64::MAX, Patience::Last).await;
            }
        });
    }
}

impl Shared {
    /// Returns the writer of the caller's runtime.
    fn writer(&self) -> Arc<MarkWriter> {
        self.writers.get_or_make(|_, _| Arc::default())
    }
}

impl Inner {
    fn note(&self, mark: Mark) {
        let mark = mark.bounded();
        let mut marks = self.marks();
        if self.shared.is_some() {
            marks.hold(mark);
            marks.read = None;
        } else {
            let number = marks.last.saturating_add(1);
            marks.append(number, mark);
        }
        self.made.fetch_add(1, Ordering::AcqRel);
    }

    /// Records the values that were read. Returns the values to read next: none if the last mark is known.
    fn take(&self, unread: &Unread, values: &[Result<Option<Bytes>>]) -> Option<Unread> {
        let shared = self.shared.as_ref()?;
        let (value, found) = values.split_first()?;
        let hint = value.as_ref().ok().and_then(Option::as_deref).and_then(number);
        let mut marks = self.marks();
        let is_unknown_here = unread.after == 0 && matches!(value, Ok(None));
        if hint.is_none() && !is_unknown_here {
            // Marks were lost, and their content is unknown: no entry is valid before the log has begun again.
            let again = Unread::after(shared, marks.last, AHEAD);
            return Some(Unread { urgency: Urgency::Lost, ..again });
        }
        if let Some(hint) = hint.filter(|hint| marks.is_of_another_log(*hint)) {
            marks.begin_anew(hint);
        }
        if unread.after > marks.last {
            // The log has begun again since, and these values belong to the earlier one.
            return Some(Unread::after(shared, marks.last, AT_A_TIME));
        }
        let found = found.iter().map(|mark| mark.as_ref().map(Option::as_ref).transpose());
        let found: Vec<_> = found.map_while(|mark| mark).collect();
        for (number, mark) in (unread.after.saturating_add(1)..).zip(found.iter().copied()) {
            if number > marks.last {
                let read = mark.map(|mark| shared.read(&shared.name(number), mark));
                // An unreadable mark can concern all entries.
                marks.append(number, read.unwrap_or(Mark { forget: true, what: What::All }));
            }
        }
        let last = marks.last;
        if found.len().saturating_add(1) == unread.names.len() {
            return Some(Unread::after(shared, last, AT_A_TIME));
        }
        if let Some(hint) = hint.filter(|hint| *hint > last) {
            // The store can have read the values one after the other, and the hint last.
            if hint.saturating_sub(last) <= AT_A_TIME && !unread.is_last {
                let again = Unread::after(shared, last, AT_A_TIME);
                return Some(Unread { is_last: true, ..again });
            }
            // The log is new to this process, or has begun again: earlier marks are not known. The hint can lag behind
            // the log.
            marks.begin_anew(hint);
            let beyond = Unread::after(shared, hint, AHEAD);
            return Some(Unread { urgency: Urgency::IfNeeded, ..beyond });
        }
        let last = marks.last;
        marks.own.retain(|own| own.number.is_none_or(|number| number > last));
        // A mark that is not written yet is still to be read.
        let all_written = marks.own.iter().all(|own| own.number.is_some());
        marks.read = (all_written && hint.is_some()).then(Instant::now);
        None
    }

    /// Returns whether the store has all marks of this process.
    fn is_written(&self) -> bool {
        self.shared.is_none() || self.marks().own.iter().all(|own| own.number.is_some())
    }

    /// Starts a task that writes the marks that the store does not have, if there are any.
    fn write_behind(self: &Arc<Self>) {
        let Some(shared) = &self.shared else { return };
        if self.is_written() || shared.guard.is_down() {
            return;
        }
        let writer = shared.writer();
        if writer.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let (inner, queued) = (Arc::clone(self), Queued(Arc::clone(&writer)));
        continue_behind(async move {
            let Some(shared) = &inner.shared else { return };
            let _alone = writer.writing.lock().await;
            // A mark that is recorded from here on can be too late for this task.
            drop(queued);
            inner.send(shared, u64::MAX, Patience::Guarded).await;
        });
    }

    /// Writes the marks up to this one that the store has not accepted yet. Returns whether the store has all of them.
    async fn send(&self, shared: &Shared, last_noted: u64, patience: Patience) -> bool {
        loop {
            let next = {
                let marks = self.marks();
                let mut unsent = marks.own.iter().filter(|own| own.number.is_none());
                let next = unsent.find(|own| own.since <= last_noted);
                next.map(|own| (own.id, own.mark.clone(), marks.last))
            };
            let Some((id, mark, last)) = next else { return true };
            let Some(number) = shared.append(last, &mark, patience).await else { return false };
            let mut marks = self.marks();
            // Another runtime can have written it meanwhile.
            let sent = marks.own.iter().position(|own| own.id == id && own.number.is_none());
            let Some(sent) = sent else { continue };
            if number == marks.last.saturating_add(1) {
                // No mark of another process is between, so that this one need not be read.
                marks.own.remove(sent);
                marks.append(number, mark);
            } else if let Some(sent) = marks.own.get_mut(sent) {
                sent.number = Some(number);
            }
        }
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The guard of a task that reads in the background: until it is dropped, no other such task is needed.
struct Reading(Arc<AtomicBool>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// The guard of a task that waits to write: until it is dropped, no other such task is needed.
struct Queued(Arc<MarkWriter>);

impl Drop for Queued {
    fn drop(&mut self) {
        self.0.queued.store(false, Ordering::Release);
    }
}

impl Marks {
    /// Begins the log again: nothing is known of the marks before this number.
    fn begin_anew(&mut self, hint: u64) {
        self.known.clear();
        (self.floor, self.last, self.read) = (hint, hint, None);
        // A number far above the others belongs to the earlier log.
        let horizon = self.horizon();
        self.own.retain(|own| own.number.is_none_or(|number| number <= horizon));
    }

    /// Returns whether the log, which has reached about this number, is another log than the one that was read before.
    /// It can lag behind by the marks that others write at the same time.
    fn is_of_another_log(&self, hint: u64) -> bool {
        self.last > hint.saturating_add(MOST as u64)
    }

    /// Returns the largest number that an entry can have: others can know a few marks more, and store entries with
    /// them.
    fn horizon(&self) -> u64 {
        self.last.saturating_add(MOST as u64)
    }

    fn append(&mut self, number: u64, mark: Mark) {
        self.last = number;
        self.known.push_back((number, mark));
        if self.known.len() > MOST
            && let Some((number, _)) = self.known.pop_front()
        {
            self.floor = number;
        }
    }

    fn hold(&mut self, mark: Mark) {
        self.noted = self.noted.saturating_add(1);
        let (id, number) = (self.noted, None);
        if self.own.len() >= MOST {
            self.drop_written();
        }
        if self.own.len() >= MOST {
            let since = self.own.first().map_or(id, |own| own.since);
            let mark = Mark { forget: true, what: What::All };
            self.own.clear();
            self.own.push(OwnMark { id, since, number, mark });
        } else {
            self.own.push(OwnMark { id, since: id, number, mark });
        }
    }

    /// Drops the marks that the store has. The marks between them are not known, so that nothing is known any longer
    /// from before the last of them.
    fn drop_written(&mut self) {
        let written = self.own.iter().filter_map(|own| own.number).max();
        self.own.retain(|own| own.number.is_none());
        if let Some(number) = written.filter(|number| *number > self.last) {
            self.begin_anew(number);
        }
    }
}

impl Shared {
    fn name(&self, number: u64) -> String {
        format!("{}mark:{number}", self.prefix)
    }

    fn hint_name(&self) -> String {
        format!("{}marks", self.prefix)
    }

    /// Returns a number near the last mark, after which marks begin. If the hint is lost or invalid, the log begins
    /// again, above all earlier numbers, of which this one is known.
    async fn hint(&self, known: u64, patience: Patience) -> Option<u64> {
        let name = self.hint_name();
        for _ in 0..2 {
            match self.try_run(patience, |store| store.get_within(&name, MAX_HINT)).await {
                Ran::Done(Some(value)) => {
                    if let Some(number) = number(&value) {
                        return Some(number);
                    }
                    warn_unreadable(&name);
                    // Another process can have replaced it first.
                    self.run(patience, |store| store.release(&name, value)).await?;
                }
                Ran::Done(None) => {}
                Ran::Unreadable => {
                    warn_unreadable(&name);
                    self.run(patience, |store| store.remove(&name)).await?;
                }
                Ran::NotTried | Ran::Unknown => return None,
            }
            let start = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
            let start = u64::try_from(start.as_millis()).unwrap_or_default();
            // Others can know a few marks more.
            let above = known.saturating_add(MOST as u64 + 1);
            let start = if is_possible(above) { start.max(above) } else { start };
            let start = Bytes::from(start.to_string());
            self.run(patience, |store| store.claim(&name, start, FOR_EVER)).await?;
        }
        None
    }

    /// Decodes a mark. An unreadable one can concern all entries.
    fn read(&self, name: &str, value: &[u8]) -> Mark {
        let json = match value.split_first_chunk() {
            Some((tag, json)) => {
                let is_whole = self.integrity.is_tag(tag, &[name.as_bytes(), json]);
                (is_whole && json.len() <= MAX_MARK).then_some(json)
            }
            None => None,
        };
        let mark = json.and_then(|json| serde_json::from_slice(json).ok()).map(Mark::bounded);
        mark.unwrap_or(Mark { forget: true, what: What::All })
    }

    /// Encodes a mark: its tag, and the mark as JSON.
    fn write(&self, name: &str, mark: &Mark) -> Option<Bytes> {
        let json = serde_json::to_vec(mark).ok()?;
        let json = match json.len() {
            0..=MAX_MARK => json,
            _ => serde_json::to_vec(&Mark { what: What::All, ..mark.clone() }).ok()?,
        };
        let tag = self.integrity.tag(&[name.as_bytes(), &json]);
        Some([&tag[..], &json].concat().into())
    }

    /// Appends a mark after this number and all marks that follow. Returns its number.
    ///
    /// The client claims the next number while it reads the number of the log, which takes one round trip instead of
    /// two. If the store did not respond before, the client sends one request at a time.
    async fn append(&self, last: u64, mark: &Mark, patience: Patience) -> Option<u64> {
        let answers = match patience {
            Patience::Guarded => self.guard.retry_at().is_none(),
            Patience::Last => true,
        };
        let next = (answers && last > 0).then(|| last.saturating_add(1));
        let claim = async {
            match next {
                Some(number) => self.claim(number, mark, patience).await,
                None => Some(false),
            }
        };
        let (hint, is_claimed) = join(self.hint(last, patience), claim).await;
        let (hint, is_claimed) = (hint?, is_claimed?);
        // A number far above the log's belongs to another log. If the number is below the log's, a mark was missing: by
        // the gap, other processes detect that marks are lost.
        let is_of_this_log = last >= hint && last <= hint.saturating_add(MOST as u64);
        if let Some(missing) = next.filter(|_| is_claimed && !is_of_this_log) {
            let name = self.name(missing);
            let value = self.write(&name, mark)?;
            self.run(patience, |store| store.release(&name, value)).await?;
        }
        let mut number = match next.filter(|_| is_of_this_log) {
            Some(number) if is_claimed => return self.advance(number, patience).await,
            Some(number) => number.saturating_add(1),
            None if last > hint.saturating_add(MOST as u64) => hint.saturating_add(1),
            None => hint.max(last).saturating_add(1),
        };
        for _ in 0..MOST {
            if self.claim(number, mark, patience).await? {
                return self.advance(number, patience).await;
            }
            number = number.saturating_add(1);
        }
        None
    }

    /// Writes a mark with this number, unless one exists.
    async fn claim(&self, number: u64, mark: &Mark, patience: Patience) -> Option<bool> {
        let name = self.name(number);
        let value = self.write(&name, mark)?;
        self.run(patience, |store| store.claim(&name, value, self.keep)).await
    }

    /// Publishes the position of the log for clients that know no mark yet.
    async fn advance(&self, number: u64, patience: Patience) -> Option<u64> {
        let (name, hint) = (self.hint_name(), Bytes::from(number.to_string()));
        self.run(patience, |store| store.put(&name, hint, FOR_EVER)).await?;
        Some(number)
    }

    async fn try_run<'a, T>(
        &'a self,
        patience: Patience,
        operation: impl FnOnce(&'a dyn Store) -> StoreFuture<'a, T>,
    ) -> Ran<T> {
        match patience {
            Patience::Guarded => self.guard.run_behind(BACKGROUND_TIMEOUT, operation).await,
            Patience::Last => self.guard.run_last(operation).await,
        }
    }

    async fn run<'a, T>(
        &'a self,
        patience: Patience,
        operation: impl FnOnce(&'a dyn Store) -> StoreFuture<'a, T>,
    ) -> Option<T> {
        match self.try_run(patience, operation).await {
            Ran::Done(value) => Some(value),
            Ran::NotTried | Ran::Unknown | Ran::Unreadable => None,
        }
    }
}

fn warn_unreadable(key: &str) {
    warn!(key, "cache invalidation log is unreadable; reset");
}

/// Returns the number that a log has reached, if a log can reach it.
fn number(value: &[u8]) -> Option<u64> {
    let number = std::str::from_utf8(value).ok()?.parse().ok()?;
    is_possible(number).then_some(number)
}

/// Returns whether a log can reach this number.
fn is_possible(number: u64) -> bool {
    (1..MAX_NUMBER - MOST as u64).contains(&number)
}

#[cfg(test)]
mod tests;
