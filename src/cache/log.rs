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
use tokio::time::Instant;

use super::entry::{About, Entry};
use crate::store::Guard;

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
pub(crate) struct Log {
    marks: Mutex<Marks>,
    /// The marks that this process made.
    made: AtomicU64,
    shared: Option<Shared>,
}

#[derive(Debug)]
struct Shared {
    guard: Arc<Guard>,
    /// What the names of the marks begin with.
    prefix: String,
    /// How old what is known of the log may be.
    every: Duration,
    /// How long a mark is kept: longer than any answer.
    keep: Duration,
}

#[derive(Debug, Default)]
struct Marks {
    /// All marks after this number are known.
    floor: u64,
    /// The number of the last mark.
    last: u64,
    known: VecDeque<(u64, Mark)>,
    /// Marks that the store has not taken.
    unsent: Vec<Mark>,
    read: Option<Instant>,
}

/// As many marks are known; what was stored before them is forgotten.
const MOST: usize = 1_000;
/// As many are read at a time.
const AT_A_TIME: u64 = 256;
/// A counter lasts.
const FOR_EVER: Duration = Duration::from_secs(50 * 365 * 24 * 60 * 60);

impl Mark {
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
        Self { marks: Mutex::default(), made: AtomicU64::new(0), shared: None }
    }

    /// The log that all keep who share a store.
    pub(crate) fn shared(
        guard: Arc<Guard>,
        prefix: String,
        every: Duration,
        keep: Duration,
    ) -> Self {
        let shared = Some(Shared { guard, prefix, every, keep });
        Self { marks: Mutex::default(), made: AtomicU64::new(0), shared }
    }

    /// The number of the last mark, as far as is known; `None` if it can not be known, so that
    /// nothing may be stored.
    pub(crate) async fn number(&self) -> Option<u64> {
        let Some(shared) = &self.shared else { return Some(self.marks().last) };
        let fresh = |read: Instant| read.elapsed() < shared.every;
        {
            let marks = self.marks();
            if marks.read.is_some_and(fresh) && marks.unsent.is_empty() {
                return Some(marks.last);
            }
        }
        self.send(shared).await;
        self.read(shared).await
    }

    /// What is to be done with an answer. Call [`number`](Self::number) before.
    pub(crate) fn verdict(&self, entry: &Entry) -> Verdict {
        let marks = self.marks();
        if entry.number < marks.floor || entry.number > marks.last {
            return Verdict::Forgotten;
        }
        let later = marks.known.iter().rev().take_while(|(number, _)| *number > entry.number);
        let later = later.map(|(_, mark)| mark).chain(&marks.unsent);
        let mut verdict = Verdict::Good;
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
        self.made.load(Ordering::Acquire)
    }

    /// Marks what is not as it was.
    pub(crate) async fn mark(&self, mark: Mark) {
        self.made.fetch_add(1, Ordering::AcqRel);
        match &self.shared {
            None => {
                let mut marks = self.marks();
                let number = marks.last + 1;
                marks.append(number, Some(mark));
            }
            Some(shared) => {
                self.marks().hold(mark);
                self.send(shared).await;
            }
        }
    }

    /// Writes down what the store has not taken yet.
    async fn send(&self, shared: &Shared) {
        loop {
            let Some(mark) = self.marks().unsent.first().cloned() else { return };
            let Some(number) = shared.append(&mark).await else { return };
            let mut marks = self.marks();
            if marks.unsent.first() == Some(&mark) {
                marks.unsent.remove(0);
            }
            // Others may have marked something in between, which is to be read.
            if number == marks.last + 1 {
                marks.append(number, Some(mark));
            } else {
                marks.read = None;
            }
        }
    }

    async fn read(&self, shared: &Shared) -> Option<u64> {
        let last = shared.last().await?;
        let known = self.marks().last;
        let from = known.max(last.saturating_sub(AT_A_TIME));
        let mut found = Vec::new();
        for number in from + 1..=last {
            found.push((number, shared.mark(number).await?));
        }
        let mut marks = self.marks();
        if last < marks.last {
            // It has begun anew: nothing is known of what was before.
            *marks = Marks { unsent: std::mem::take(&mut marks.unsent), ..Marks::default() };
        }
        if from > marks.last {
            marks.floor = from;
            marks.last = from;
            marks.known.clear();
        }
        for (number, mark) in found {
            if number > marks.last {
                marks.append(number, mark);
            }
        }
        marks.read = Some(Instant::now());
        Some(marks.last)
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Marks {
    /// Adds the next mark; `None` for one that is not to be had, which may concern everything.
    fn append(&mut self, number: u64, mark: Option<Mark>) {
        self.last = number;
        match mark {
            Some(mark) => self.known.push_back((number, mark)),
            None => {
                self.floor = number;
                self.known.clear();
            }
        }
        if self.known.len() > MOST
            && let Some((number, _)) = self.known.pop_front()
        {
            self.floor = number;
        }
    }

    fn hold(&mut self, mark: Mark) {
        if self.unsent.len() >= MOST {
            self.unsent.clear();
            self.unsent.push(Mark { forget: true, what: What::All });
        } else {
            self.unsent.push(mark);
        }
    }
}

impl Shared {
    fn counter(&self) -> String {
        format!("{}marks", self.prefix)
    }

    fn name(&self, number: u64) -> String {
        format!("{}mark:{number}", self.prefix)
    }

    /// The number of the last mark. A counter that is lost begins above all numbers there were.
    async fn last(&self) -> Option<u64> {
        let counter = self.counter();
        for _ in 0..2 {
            let value = self.guard.run(|store| store.get(&counter)).await?;
            if let Some(number) = value.as_deref().and_then(number) {
                return Some(number);
            }
            let start = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
            let start = Bytes::from(start.as_millis().to_string());
            self.guard.run(|store| store.claim(&counter, start, FOR_EVER)).await?;
        }
        None
    }

    /// A mark; the inner `None` if it is gone.
    async fn mark(&self, number: u64) -> Option<Option<Mark>> {
        let name = self.name(number);
        let value = self.guard.run(|store| store.get(&name)).await?;
        Some(value.and_then(|value| serde_json::from_slice(&value).ok()))
    }

    async fn append(&self, mark: &Mark) -> Option<u64> {
        self.last().await?;
        let counter = self.counter();
        let number = self.guard.run(|store| store.add(&counter, 1, FOR_EVER)).await?;
        let number = u64::try_from(number).ok()?;
        let value = Bytes::from(serde_json::to_vec(mark).ok()?);
        let name = self.name(number);
        self.guard.run(|store| store.put(&name, value.clone(), self.keep)).await?;
        Some(number)
    }
}

fn number(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}
