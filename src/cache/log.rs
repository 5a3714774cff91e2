//! What was changed or is to be forgotten since answers were stored.
//!
//! Marks are numbered. An answer bears the number of the last mark when it was asked for, and each
//! mark after it may concern it: so one that was under way when something changed is minded as
//! well. Nothing has to be found and removed, whatever the store.

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

/// The longest number of a mark, in bytes.
const MAX_HINT: usize = 32;

/// Something that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// Whether what it concerns is forgotten; else it is to be confirmed.
    pub(crate) forget: bool,
    pub(crate) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum What {
    All,
    Operation(String),
    Identity(String),
    /// Paths below the API's address, in lower case: what is at them, and of some what is below.
    Paths {
        below: Vec<String>,
        at: Vec<String>,
    },
}

/// What is to be done with a stored answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good,
    /// It has to be confirmed before it is given.
    Doubtful,
    Forgotten,
}

#[derive(Debug)]
pub(crate) struct Log(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    marks: Mutex<Marks>,
    /// The marks that this process made.
    made: AtomicU64,
    /// Whether a task reads marks behind the calls.
    is_reading: PerRuntime<Arc<AtomicBool>>,
    shared: Option<Shared>,
}

/// How long the store is waited for.
#[derive(Clone, Copy, Debug)]
enum Patience {
    /// For a while, and not at all while it is known not to answer.
    Guarded,
    /// Until it answers: the caller bounds the time.
    Last,
}

#[derive(Debug)]
struct Shared {
    guard: Arc<Guard>,
    integrity: Integrity,
    /// What the names of the marks begin with.
    prefix: String,
    /// How old what is known of the log may be.
    every: Duration,
    /// How long a mark is kept: longer than any answer.
    keep: Duration,
    /// Tasks of other runtimes do not wait for a writer, since its runtime might not be polled.
    writers: PerRuntime<Arc<MarkWriter>>,
}

/// Writes marks, by tasks of one runtime.
#[derive(Debug, Default)]
struct MarkWriter {
    /// Held by the task that writes.
    writing: AsyncMutex<()>,
    /// Whether a task waits to write, which will find all marks there are.
    queued: AtomicBool,
}

#[derive(Debug, Default)]
struct Marks {
    /// All marks after this number are known; of what was before, nothing is.
    floor: u64,
    /// The number of the last mark that is known.
    last: u64,
    known: VecDeque<(u64, Mark)>,
    /// Marks of this process, as long as they are not known to be in the log.
    own: Vec<OwnMark>,
    /// How many marks this process has noted.
    noted: u64,
    read: Option<Instant>,
}

/// A mark of this process.
#[derive(Debug)]
struct OwnMark {
    /// Its number among those that this process noted. There can be equal ones.
    id: u64,
    /// That of the first mark that this one stands for.
    since: u64,
    /// Its number in the log, once the store has taken it.
    number: Option<u64>,
    mark: Mark,
}

/// As many marks are known; what was stored before them is doubtful.
const MOST: usize = 1_000;
/// The largest number of a mark. Numbers begin at the milliseconds since 1970, of which this is 140,000 years: a larger
/// one was not written by this library.
pub(crate) const MAX_NUMBER: u64 = 1 << 52;
/// A mark that takes more bytes stands for one of everything.
const MAX_MARK: usize = 4 * 1024;
/// Marks that are read beside other values, in the hope that there are no more.
const AHEAD: u64 = 8;
/// The most reads of one task that reads what calls had no time for.
const MAX_READS_BEHIND: usize = 16;
/// As many are read at a time otherwise.
const AT_A_TIME: u64 = 64;
/// The pause before marks are written again that the store did not take.
const BETWEEN_FLUSHES: Duration = Duration::from_millis(100);
/// A hint lasts.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(50 * 365 * 24 * 60 * 60);

impl Mark {
    /// The mark, or one of everything if it is too large to be kept.
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
    /// The log of a cache that nobody shares.
    pub(crate) fn own() -> Self {
        Self::new(None)
    }

    /// The log that all keep who share a store.
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

    /// Returns what has to be read of the store to know the last mark: nothing if that is known.
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

    /// Takes over what was read. Returns what is to be read next: nothing if the last mark is known.
    pub(crate) fn take(&self, unread: &Unread, values: &[Result<Option<Bytes>>]) -> Option<Unread> {
        self.0.take(unread, values)
    }

    /// Has a task read what a call has no time for.
    pub(crate) fn read_behind(&self, mut unread: Unread) {
        // The task of another runtime may not be polled.
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

    /// Whether all marks are known that there were at this time.
    pub(crate) fn is_read_since(&self, time: Instant) -> bool {
        self.0.shared.is_none() || self.0.marks().read.is_some_and(|read| read >= time)
    }

    /// The log began by a claim of this process, with this number: it has no marks.
    pub(crate) fn begun(&self, start: u64) {
        let mut marks = self.0.marks();
        if marks.last < start {
            marks.begin_anew(start);
        }
    }

    /// The number of the last mark that is known; `None` if nothing is known of the log.
    pub(crate) fn last(&self) -> Option<u64> {
        let last = self.0.marks().last;
        (self.0.shared.is_none() || last > 0).then_some(last)
    }

    /// Writes the marks that the store does not have now. Returns whether it has all of them.
    pub(crate) async fn flush(&self) -> bool {
        let last = self.0.marks().noted;
        self.write(last).await
    }

    /// The same, again and again until the store has them: the caller bounds the time.
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
        // A task of its own, since the caller might not be polled while it holds the lock.
        let inner = Arc::clone(&self.0);
        let flush = async move {
            let Some(shared) = &inner.shared else { return true };
            let writer = shared.writer();
            let _alone = writer.writing.lock().await;
            inner.send(shared, last, Patience::Guarded).await
        };
        tokio::spawn(flush.in_current_span().with_current_subscriber()).await.unwrap_or(false)
    }

    /// What is to be done with an answer, by the marks that are known.
    pub(crate) fn verdict(&self, entry: &Entry) -> Verdict {
        let marks = self.0.marks();
        let later = marks.known.iter().rev().take_while(|(number, _)| *number > entry.number);
        let own = marks.own.iter();
        let own = own.filter(|own| own.number.is_none_or(|number| number > entry.number));
        let later = later.map(|(_, mark)| mark).chain(own.map(|own| &own.mark));
        // A number that is not reached yet belongs to a log that was there before this one.
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

    /// How many marks this process made.
    pub(crate) fn made(&self) -> u64 {
        self.0.made.load(Ordering::Acquire)
    }

    /// Marks what is not as it was: at once for this process, and for others that share a store when
    /// it answers.
    pub(crate) async fn mark(&self, mark: Mark) {
        self.0.note(mark);
        self.flush().await;
    }

    /// Waits until the store has the marks of this process, as long as a call may wait.
    pub(crate) async fn wait_until_written(&self, allowance: &WaitAllowance) {
        let is_failing = |shared: &Shared| shared.guard.retry_at().is_some();
        let is_down = self.0.shared.as_ref().is_some_and(is_failing);
        if is_down || self.0.is_written() || allowance.left().is_zero() {
            return;
        }
        let _wait = allowance.begin();
        // What takes longer goes on.
        let _ = timeout(allowance.left(), self.flush()).await;
    }

    /// The same, and others are told behind the call.
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
    /// The writer of the caller's runtime.
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

    /// Takes over what was read. Returns what is to be read next: nothing if the last mark is known.
    fn take(&self, unread: &Unread, values: &[Result<Option<Bytes>>]) -> Option<Unread> {
        let shared = self.shared.as_ref()?;
        let (value, found) = values.split_first()?;
        let hint = value.as_ref().ok().and_then(Option::as_deref).and_then(number);
        let mut marks = self.marks();
        let is_unknown_here = unread.after == 0 && matches!(value, Ok(None));
        if hint.is_none() && !is_unknown_here {
            // Marks were lost, of which nothing is known: nothing is good before the log has begun again.
            let again = Unread::after(shared, marks.last, AHEAD);
            return Some(Unread { urgency: Urgency::Lost, ..again });
        }
        if let Some(hint) = hint.filter(|hint| marks.is_of_another_log(*hint)) {
            marks.begin_anew(hint);
        }
        if unread.after > marks.last {
            // The log has begun anew since, and this is of the one before.
            return Some(Unread::after(shared, marks.last, AT_A_TIME));
        }
        let found = found.iter().map(|mark| mark.as_ref().map(Option::as_ref).transpose());
        let found: Vec<_> = found.map_while(|mark| mark).collect();
        for (number, mark) in (unread.after.saturating_add(1)..).zip(found.iter().copied()) {
            if number > marks.last {
                let read = mark.map(|mark| shared.read(&shared.name(number), mark));
                // One that cannot be read may concern everything.
                marks.append(number, read.unwrap_or(Mark { forget: true, what: What::All }));
            }
        }
        let last = marks.last;
        if found.len().saturating_add(1) == unread.names.len() {
            return Some(Unread::after(shared, last, AT_A_TIME));
        }
        if let Some(hint) = hint.filter(|hint| *hint > last) {
            // The values may have been read one after the other, and the hint last.
            if hint.saturating_sub(last) <= AT_A_TIME && !unread.is_last {
                let again = Unread::after(shared, last, AT_A_TIME);
                return Some(Unread { is_last: true, ..again });
            }
            // It is new here, or the log has begun anew: what was before is not known. The hint can lag behind the
            // log.
            marks.begin_anew(hint);
            let beyond = Unread::after(shared, hint, AHEAD);
            return Some(Unread { urgency: Urgency::IfNeeded, ..beyond });
        }
        let last = marks.last;
        marks.own.retain(|own| own.number.is_none_or(|number| number > last));
        // What is not written yet is still to be read.
        let all_written = marks.own.iter().all(|own| own.number.is_some());
        marks.read = (all_written && hint.is_some()).then(Instant::now);
        None
    }

    /// Whether the store has all marks of this process.
    fn is_written(&self) -> bool {
        self.shared.is_none() || self.marks().own.iter().all(|own| own.number.is_some())
    }

    /// Has a task write the marks that the store does not have, if there are any.
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
            // What is noted from here on may come too late for this task.
            drop(queued);
            inner.send(shared, u64::MAX, Patience::Guarded).await;
        });
    }

    /// Writes the marks up to this one that the store has not taken yet. Returns whether it has all of them.
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
            // Another runtime may have written it meanwhile.
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

/// A task that reads behind the calls: until it is dropped, no other one is needed.
struct Reading(Arc<AtomicBool>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// A task that waits to write: until it is dropped, no other one is needed.
struct Queued(Arc<MarkWriter>);

impl Drop for Queued {
    fn drop(&mut self) {
        self.0.queued.store(false, Ordering::Release);
    }
}

impl Marks {
    /// Nothing is known of what was before this number.
    fn begin_anew(&mut self, hint: u64) {
        self.known.clear();
        (self.floor, self.last, self.read) = (hint, hint, None);
        // A number that is far ahead is of the log before.
        let horizon = self.horizon();
        self.own.retain(|own| own.number.is_none_or(|number| number <= horizon));
    }

    /// Whether the log, which is there up to about this number, is not the one that was read before. It may be behind
    /// that by what others write at the same time.
    fn is_of_another_log(&self, hint: u64) -> bool {
        self.last > hint.saturating_add(MOST as u64)
    }

    /// Others may know a few marks more, and store by them.
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

    /// Drops the marks that the store has. Those that were between are not known: nothing is known any more of what
    /// was before the last of them.
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

    /// A number that marks begin after, near to the last one. If it is lost or none, they begin anew, above all
    /// numbers there were, of which this one is known.
    async fn hint(&self, known: u64, patience: Patience) -> Option<u64> {
        let name = self.hint_name();
        for _ in 0..2 {
            match self.try_run(patience, |store| store.get_within(&name, MAX_HINT)).await {
                Ran::Done(Some(value)) => {
                    if let Some(number) = number(&value) {
                        return Some(number);
                    }
                    warn_unreadable(&name);
                    // Unless another process was faster.
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
            // Others may know a few marks more.
            let above = known.saturating_add(MOST as u64 + 1);
            let start = if is_possible(above) { start.max(above) } else { start };
            let start = Bytes::from(start.to_string());
            self.run(patience, |store| store.claim(&name, start, FOR_EVER)).await?;
        }
        None
    }

    /// The mark of a value. One that can not be read may concern everything.
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

    /// The value of a mark: its tag, and it as JSON.
    fn write(&self, name: &str, mark: &Mark) -> Option<Bytes> {
        let json = serde_json::to_vec(mark).ok()?;
        let json = match json.len() {
            0..=MAX_MARK => json,
            _ => serde_json::to_vec(&Mark { what: What::All, ..mark.clone() }).ok()?,
        };
        let tag = self.integrity.tag(&[name.as_bytes(), &json]);
        Some([&tag[..], &json].concat().into())
    }

    /// Adds a mark after this one and all that follow it. Gives its number.
    ///
    /// The next number is claimed while the number of the log is read, which takes one round trip instead of two. A
    /// store that did not answer is asked one thing at a time.
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
        // What is far ahead is of another log. Below the log's number, a mark was missing: others find out by that
        // that marks are lost.
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

    /// Writes a mark of this number, unless there is one.
    async fn claim(&self, number: u64, mark: &Mark, patience: Patience) -> Option<bool> {
        let name = self.name(number);
        let value = self.write(&name, mark)?;
        self.run(patience, |store| store.claim(&name, value, self.keep)).await
    }

    /// Tells clients that know no mark yet where the log is.
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
    warn!(key, "the cache's log is not readable, and begins anew");
}

/// The number that a log has reached, if it is one that a log reaches.
fn number(value: &[u8]) -> Option<u64> {
    let number = std::str::from_utf8(value).ok()?.parse().ok()?;
    is_possible(number).then_some(number)
}

/// Whether a log reaches this number.
fn is_possible(number: u64) -> bool {
    (1..MAX_NUMBER - MOST as u64).contains(&number)
}

#[cfg(test)]
mod tests;
