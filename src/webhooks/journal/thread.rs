//! The thread that owns the file. Jobs that arrive during a transaction form the next one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::{debug, info};

use super::file::{File, MOVE_AWAY};
use super::inbox::{InMemory, Inbox, Totals};
use super::job::{Left, Work};
use super::{Clock, Limits};
use crate::error::{Error, ErrorKind, Result};

/// A transaction is no larger than this many jobs …
pub(super) const BATCH_JOBS: usize = 256;
/// … and, but for the last one, these bytes.
const BATCH_BYTES: usize = 32 * 1024 * 1024;
/// The pauses between two attempts to record handled deliveries: they double from the first to the
/// longest. After a failed attempt the file is opened again, which reads all of it.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The thread that owns the file.
pub(super) struct Thread {
    path: PathBuf,
    /// `None` after it failed, until it is opened again.
    file: Option<File>,
    left: Left,
    in_memory: InMemory,
    /// Of the file as it was read or written last.
    totals: Totals,
    /// The next attempt to record handled deliveries, if any are unrecorded.
    retry: Option<Retry>,
    timer: Runtime,
    counts: Arc<Counts>,
    limits: Limits,
    clock: Clock,
}

/// The counts that other threads read.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) pending: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) unrecorded: AtomicU64,
    /// Whether the next job is preceded by an attempt to record, even if none is due.
    pub(super) flush: AtomicBool,
}

struct Retry {
    due: Instant,
    pause: Duration,
}

impl Thread {
    /// The timer is the thread's own, so that it depends on no runtime of the application.
    pub(super) fn new(
        path: PathBuf,
        file: File,
        timer: Runtime,
        counts: Arc<Counts>,
        limits: Limits,
        clock: Clock,
    ) -> Self {
        Self {
            path,
            totals: file.totals(),
            file: Some(file),
            left: Left::default(),
            in_memory: InMemory::default(),
            retry: None,
            timer,
            counts,
            limits,
            clock,
        }
    }

    pub(super) fn run(mut self, mut waiting: mpsc::Receiver<Box<dyn Work>>) {
        while let Some(first) = self.next(&mut waiting) {
            let mut size = first.size();
            let mut batch = vec![first];
            while batch.len() < BATCH_JOBS && size < BATCH_BYTES {
                let Ok(next) = waiting.try_recv() else { break };
                size = size.saturating_add(next.size());
                batch.push(next);
            }
            if self.counts.flush.swap(false, Ordering::Relaxed) || self.is_due() {
                self.record();
            }
            let done = self.transact(|inbox| batch.iter_mut().try_for_each(|job| job.act(inbox)));
            match &done {
                Ok(true) if self.retry.is_some() => self.record(),
                Ok(_) => {}
                Err(_) => self.remember(&mut batch),
            }
            let error = done.err();
            for job in batch {
                job.answer(error.as_ref(), &self.left);
            }
        }
        // The last attempt, before the file is closed.
        self.record();
    }

    /// Waits for the next job. Meanwhile, records handled deliveries when that is due.
    fn next(&mut self, waiting: &mut mpsc::Receiver<Box<dyn Work>>) -> Option<Box<dyn Work>> {
        loop {
            let Some(retry) = &self.retry else { return waiting.blocking_recv() };
            let left = retry.due.saturating_duration_since(Instant::now());
            let next = self.timer.block_on(async { timeout(left, waiting.recv()).await });
            match next {
                Ok(next) => return next,
                Err(_) => self.record(),
            }
        }
    }

    fn is_due(&self) -> bool {
        self.retry.as_ref().is_some_and(|retry| retry.due <= Instant::now())
    }

    /// Remembers the handled deliveries of a batch that failed.
    fn remember(&mut self, batch: &mut [Box<dyn Work>]) {
        self.in_memory.unrecorded.extend(batch.iter_mut().filter_map(|job| job.take_recorded()));
        if self.retry.is_none() && !self.in_memory.unrecorded.is_empty() {
            self.retry_after(FIRST_PAUSE);
        }
        self.count();
    }

    /// Tries to record all handled deliveries that are unrecorded.
    fn record(&mut self) {
        let ids = self.in_memory.unrecorded.clone();
        if ids.is_empty() {
            return;
        }
        match self.transact(|inbox| ids.iter().try_for_each(|id| inbox.done(id))) {
            Ok(_) => {
                info!(deliveries = ids.len(), "handled deliveries recorded after a failure");
                self.in_memory.unrecorded.clear();
                self.retry = None;
                self.count();
            }
            Err(error) => {
                let pause = self.retry.as_ref().map_or(FIRST_PAUSE, |retry| retry.pause);
                let pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
                debug!(%error, ?pause, "handled deliveries not recorded yet");
                self.retry_after(pause);
            }
        }
    }

    fn retry_after(&mut self, pause: Duration) {
        // A time beyond the range of the clock is due at once.
        let now = Instant::now();
        self.retry = Some(Retry { due: now.checked_add(pause).unwrap_or(now), pause });
    }

    /// All of a transaction, or nothing of it. Returns whether anything was written.
    ///
    /// redb refuses a file after an error of the disk, and nobody knows what is in memory after a panic.
    /// So the file is closed then, and opened again for the next transaction, which finds on the disk what
    /// is true.
    fn transact(
        &mut self,
        act: impl FnOnce(&mut Inbox<'_>) -> Result<(), redb::Error>,
    ) -> Result<bool> {
        let now = (self.clock)().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        self.in_memory.unclaimed.extend(left.drain(..));
        drop(left);
        let is_anew = self.file.is_none();
        let mut file = match self.file.take() {
            Some(file) => file,
            None => guarded(&self.path, || File::open(&self.path)).map_err(|error| {
                failed(&self.path, &format!("cannot be opened again: {error}")).with_source(error)
            })?,
        };
        let (in_memory, limits) = (&mut self.in_memory, &self.limits);
        let path = &self.path;
        let (file, changed) = guarded(path, move || {
            let changed = file.change(limits, now, in_memory, |inbox| {
                if is_anew {
                    inbox.review_unclaimed()?;
                }
                act(inbox)
            });
            // Closed by whoever has it if this panics, in which redb takes care.
            match changed {
                Ok(changed) => Ok((file, changed)),
                Err(error @ redb::Error::Corrupted(_)) => Err(damaged(path).with_source(error)),
                Err(error) => Err(failed(path, &error).with_source(error)),
            }
        })?;
        self.totals = file.totals();
        self.file = Some(file);
        self.count();
        Ok(changed)
    }

    /// Publishes the counts.
    fn count(&self) {
        let unrecorded = self.in_memory.unrecorded.len() as u64;
        self.counts.set(self.totals, unrecorded);
    }
}

impl Counts {
    pub(super) fn set(&self, totals: Totals, unrecorded: u64) {
        self.unrecorded.store(unrecorded, Ordering::Relaxed);
        // In the file, unrecorded deliveries are pending.
        self.pending.store(totals.pending.saturating_sub(unrecorded), Ordering::Relaxed);
        self.bytes.store(totals.bytes, Ordering::Relaxed);
    }
}

/// redb panics at some damage.
fn guarded<T>(path: &Path, act: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|_| Err(damaged(path)))
}

pub(super) fn failed(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Store, format!("the journal {}: {reason}", path.display()))
        .with_advice("see that the disk is well and has room; the next delivery tries again")
        .with_retryable(true)
}

fn damaged(path: &Path) -> Error {
    Error::new(ErrorKind::Store, format!("the journal {} is damaged", path.display()))
        .with_advice(MOVE_AWAY)
}
