//! What was changed or is to be forgotten since answers were stored.
//!
//! Marks are numbered. An answer bears the number of the last mark when it was asked for, and each
//! mark after it may concern it: so one that was under way when something changed is minded as
//! well. Nothing has to be found and removed, whatever the store.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;
use tracing::instrument::WithSubscriber;
use tracing::{Instrument, warn};

use super::entry::{About, Entry};
use super::integrity::{Integrity, TAG};
use crate::runtimes::PerRuntime;
use crate::store::{Guard, Ran};

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
    shared: Option<Shared>,
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
    /// Held by the task that reads or writes: a call might not be polled while it does. Tasks of other
    /// runtimes do not wait for it, since that runtime might not be polled either.
    syncing: PerRuntime<Arc<AsyncMutex<()>>>,
}

#[derive(Debug, Default)]
struct Marks {
    /// All marks after this number are known; of what was before, nothing is.
    floor: u64,
    /// The number of the last mark that is known.
    last: u64,
    known: VecDeque<(u64, Mark)>,
    /// Marks of this process, as long as they are not known to be in the log: with their numbers,
    /// once the store has taken them.
    own: Vec<(Option<u64>, Mark)>,
    read: Option<Instant>,
}

/// As many marks are known; what was stored before them is doubtful.
const MOST: usize = 1_000;
/// The largest number of a mark. Numbers begin at the milliseconds since 1970, of which this is 140,000 years: a larger
/// one was not written by this library.
pub(crate) const MAX_NUMBER: u64 = 1 << 52;
/// A mark that takes more bytes stands for one of everything.
const MAX_MARK: usize = 4 * 1024;
/// As many are read at a time.
const AT_A_TIME: usize = 256;
/// A hint lasts.
const FOR_EVER: Duration = Duration::from_secs(50 * 365 * 24 * 60 * 60);

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
        let syncing = PerRuntime::default();
        Self::new(Some(Shared { guard, integrity, prefix, every, keep, syncing }))
    }

    fn new(shared: Option<Shared>) -> Self {
        Self(Arc::new(Inner { marks: Mutex::default(), made: AtomicU64::new(0), shared }))
    }

    /// The number of the last mark, as far as is known; `None` if it can not be known, so that
    /// nothing may be stored.
    pub(crate) async fn number(&self) -> Option<u64> {
        let Some(shared) = &self.0.shared else { return Some(self.0.marks().last) };
        if let Some(last) = self.0.fresh(shared) {
            return Some(last);
        }
        let inner = Arc::clone(&self.0);
        in_task(async move {
            let shared = inner.shared.as_ref()?;
            let syncing = shared.syncing();
            let _alone = syncing.lock().await;
            if let Some(last) = inner.fresh(shared) {
                return Some(last);
            }
            inner.send(shared).await;
            inner.read(shared).await
        })
        .await?
    }

    /// What is to be done with an answer. Call [`number`](Self::number) before.
    pub(crate) fn verdict(&self, entry: &Entry) -> Verdict {
        let marks = self.0.marks();
        let later = marks.known.iter().rev().take_while(|(number, _)| *number > entry.number);
        let own = marks.own.iter();
        let own = own.filter(|(number, _)| number.is_none_or(|number| number > entry.number));
        let later = later.map(|(_, mark)| mark).chain(own.map(|(_, mark)| mark));
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
        self.note(mark);
        if self.0.shared.is_none() {
            return;
        }
        let inner = Arc::clone(&self.0);
        in_task(async move {
            if let Some(shared) = &inner.shared {
                let syncing = shared.syncing();
                let _alone = syncing.lock().await;
                inner.send(shared).await;
            }
        })
        .await;
    }

    /// The same, and others are told with the next read.
    pub(crate) fn note(&self, mark: Mark) {
        self.0.note(mark);
    }
}

impl Shared {
    /// The lock of the caller's runtime.
    fn syncing(&self) -> Arc<AsyncMutex<()>> {
        self.syncing.get_or_make(|_, _| Arc::default())
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

    fn fresh(&self, shared: &Shared) -> Option<u64> {
        let marks = self.marks();
        let fresh = marks.read.is_some_and(|read| read.elapsed() < shared.every);
        fresh.then_some(marks.last)
    }

    /// Writes down what the store has not taken yet.
    async fn send(&self, shared: &Shared) {
        loop {
            let next = {
                let marks = self.marks();
                marks.own.iter().find(|(number, _)| number.is_none()).map(|(_, mark)| mark.clone())
            };
            let Some(mark) = next else { return };
            let last = self.marks().last;
            let Some(number) = shared.append(last, &mark).await else { return };
            let mut marks = self.marks();
            let sent =
                marks.own.iter_mut().find(|(number, known)| number.is_none() && *known == mark);
            if let Some((sent, _)) = sent {
                *sent = Some(number);
            }
        }
    }

    /// Reads what is new.
    async fn read(&self, shared: &Shared) -> Option<u64> {
        let hint = shared.hint().await?;
        let mut last = {
            let mut marks = self.marks();
            if marks.is_of_another_log(hint) {
                marks.begin_anew(hint);
            }
            marks.last
        };
        let mut found = Vec::new();
        while found.len() < AT_A_TIME {
            let next = last.saturating_add(1);
            match shared.mark(next).await? {
                Some(mark) => found.push((next, mark)),
                // It is new here, or the log has begun anew: what was before is not known.
                None if hint > last => {
                    found.clear();
                    self.marks().begin_anew(hint);
                    last = hint;
                    continue;
                }
                None => break,
            }
            last = next;
        }
        let mut marks = self.marks();
        for (number, mark) in found {
            if number > marks.last {
                marks.append(number, mark);
            }
        }
        let last = marks.last;
        marks.own.retain(|(number, _)| number.is_none_or(|number| number > last));
        // What was noted meanwhile is still to be sent.
        let all_sent = marks.own.iter().all(|(number, _)| number.is_some());
        marks.read = all_sent.then(Instant::now);
        Some(last)
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs this in a task of its own; `None` if its runtime shuts down.
async fn in_task<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Option<T> {
    tokio::spawn(work.in_current_span().with_current_subscriber()).await.ok()
}

impl Marks {
    /// Nothing is known of what was before this number.
    fn begin_anew(&mut self, hint: u64) {
        self.known.clear();
        (self.floor, self.last) = (hint, hint);
        // A number that is far ahead is of the log before.
        let horizon = self.horizon();
        self.own.retain(|(number, _)| number.is_none_or(|number| number <= horizon));
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
        if self.own.len() >= MOST {
            self.own.clear();
            self.own.push((None, Mark { forget: true, what: What::All }));
        } else {
            self.own.push((None, mark));
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
    /// numbers there were.
    async fn hint(&self) -> Option<u64> {
        let name = self.hint_name();
        for _ in 0..2 {
            match self.guard.try_run(|store| store.get_within(&name, MAX_HINT)).await {
                Ran::Done(Some(value)) => {
                    if let Some(number) = number(&value) {
                        return Some(number);
                    }
                    warn_unreadable(&name);
                    // Unless another process was faster.
                    self.guard.run(|store| store.release(&name, value)).await?;
                }
                Ran::Done(None) => {}
                Ran::Unreadable => {
                    warn_unreadable(&name);
                    self.guard.run(|store| store.remove(&name)).await?;
                }
                Ran::NotTried | Ran::Unknown => return None,
            }
            let start = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
            let start = Bytes::from(start.as_millis().to_string());
            self.guard.run(|store| store.claim(&name, start, FOR_EVER)).await?;
        }
        None
    }

    /// A mark; the inner `None` if there is none of this number.
    async fn mark(&self, number: u64) -> Option<Option<Mark>> {
        let name = self.name(number);
        match self.guard.try_run(|store| store.get_within(&name, TAG + MAX_MARK)).await {
            Ran::Done(value) => Some(value.map(|value| self.read(&name, &value))),
            Ran::Unreadable => Some(Some(Mark { forget: true, what: What::All })),
            Ran::NotTried | Ran::Unknown => None,
        }
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
    async fn append(&self, last: u64, mark: &Mark) -> Option<u64> {
        let hint = self.hint().await?;
        // What is far ahead is of another log.
        let last = if last > hint.saturating_add(MOST as u64) { hint } else { last };
        let mut number = hint.max(last).saturating_add(1);
        for _ in 0..MOST {
            let name = self.name(number);
            let value = self.write(&name, mark)?;
            if self.guard.run(|store| store.claim(&name, value, self.keep)).await? {
                let hint = Bytes::from(number.to_string());
                let name = self.hint_name();
                self.guard.run(|store| store.put(&name, hint, FOR_EVER)).await?;
                return Some(number);
            }
            number = number.saturating_add(1);
        }
        None
    }
}

fn warn_unreadable(key: &str) {
    warn!(key, "the cache's log is not readable, and begins anew");
}

/// The number that a log has reached, if it is one that a log reaches.
fn number(value: &[u8]) -> Option<u64> {
    let number = std::str::from_utf8(value).ok()?.parse().ok()?;
    (number < MAX_NUMBER - MOST as u64).then_some(number)
}

#[cfg(test)]
mod tests;
