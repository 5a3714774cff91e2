//! The thread that owns the file. Jobs that arrive during a transaction form the next one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::{debug, info};

use super::database::{FileLocation, JournalFile, MOVE_AWAY_ADVICE, Verification};
use super::job::{ErasedJob, UnclaimedIds};
use super::transaction::{InMemory, JournalTransaction, Outcome, Totals};
use super::{Clock, Limits};
use crate::error::{Error, ErrorKind, Result};

/// Maximum number of jobs in a transaction …
pub(super) const BATCH_JOBS: usize = 256;
/// … and, without the last job, its maximum size in bytes.
const BATCH_BYTES: usize = 32 * 1024 * 1024;
/// The number of handled deliveries that one transaction records, while other jobs wait.
const MAX_RECORDED_PER_TRANSACTION: usize = 256;
/// The delays between two attempts after a failure of the file: they double from the first to the longest.
const INITIAL_BACKOFF: Duration = Duration::from_millis(200);
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// A delay is at least this many times as long as the attempt and the openings before it: opening a large file can read
/// all of it, and takes at most a fifth of the time ...
const BACKOFF_PER_ATTEMPT_TIME: u32 = 4;
/// ... unless it takes so long that the delay is this one.
const MAX_BACKOFF_OF_LARGE: Duration = Duration::from_secs(30);

/// The thread that owns the file.
pub(super) struct WriterThread {
    location: FileLocation,
    /// `None` after it failed, until it is opened again.
    file: Option<JournalFile>,
    /// The failed attempts since the last write.
    failures: Option<FailureState>,
    /// The time to reopen the file, for reads as well, since the last failure.
    reopen_time: Duration,
    unclaimed: UnclaimedIds,
    in_memory: InMemory,
    /// The state of the file at the last read or write.
    totals: Totals,
    timer: Runtime,
    counts: Arc<Counts>,
    limits: Limits,
    clock: Clock,
}

/// Consecutive failed attempts.
struct FailureState {
    last_error: Error,
    /// When the next attempt to write is due. Until then, jobs fail with the last error.
    retry_at: Instant,
    /// Zero after the first failure: the next attempt follows at once, since most failures are short.
    backoff: Duration,
    /// The content of the file is in doubt.
    is_damaged: bool,
    /// The last attempt could not even open the file, so that reads fail too.
    is_closed: bool,
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

impl WriterThread {
    /// Creates the thread's state. The timer is its own, so that it depends on no runtime of the application.
    pub(super) fn new(
        place: FileLocation,
        file: JournalFile,
        timer: Runtime,
        counts: Arc<Counts>,
        limits: Limits,
        clock: Clock,
    ) -> Self {
        Self {
            location: place,
            totals: file.totals(),
            file: Some(file),
            failures: None,
            reopen_time: Duration::ZERO,
            unclaimed: UnclaimedIds::default(),
            in_memory: InMemory::default(),
            timer,
            counts,
            limits,
            clock,
        }
    }

    pub(super) fn run(mut self, mut waiting: mpsc::Receiver<Box<dyn ErasedJob>>) {
        while let Some(first) = self.next(&mut waiting) {
            let mut size = first.size();
            let mut batch = vec![first];
            while batch.len() < BATCH_JOBS && size < BATCH_BYTES {
                let Ok(next) = waiting.try_recv() else { break };
                size = size.saturating_add(next.size());
                batch.push(next);
            }
            if self.counts.flush.swap(false, Ordering::Relaxed) {
                self.record_all();
            }
            batch = self.reject_during_backoff(batch);
            if !batch.is_empty() {
                let act = |inbox: &mut JournalTransaction<'_>| {
                    batch.iter_mut().try_for_each(|job| job.run(inbox))
                };
                let error = self.transact(act).err();
                self.reply_all(batch, error.as_ref());
            }
            // No caller waits for it.
            if self.is_due() {
                self.record();
            }
        }
        // The last attempt, before the file is closed.
        self.record_all();
    }

    /// Waits for the next job. Meanwhile, records handled deliveries when that is due.
    fn next(
        &mut self,
        waiting: &mut mpsc::Receiver<Box<dyn ErasedJob>>,
    ) -> Option<Box<dyn ErasedJob>> {
        loop {
            let Some(due) = self.due() else { return waiting.blocking_recv() };
            let left = due.saturating_duration_since(Instant::now());
            // A waiting job comes first.
            let next = self.timer.block_on(async { timeout(left, waiting.recv()).await });
            match next {
                Ok(next) => return next,
                Err(_) => self.record(),
            };
        }
    }

    /// Returns when handled deliveries are to be recorded next, if any are unrecorded.
    fn due(&self) -> Option<Instant> {
        if self.in_memory.unrecorded.is_empty() {
            return None;
        }
        Some(self.failures.as_ref().map_or_else(Instant::now, |failures| failures.retry_at))
    }

    fn is_due(&self) -> bool {
        self.due().is_some_and(|due| due <= Instant::now())
    }

    /// Rejects the jobs of a batch that are not tried in the delay after a failure: those that write, and all if the
    /// file cannot be opened. Returns the others.
    fn reject_during_backoff(&mut self, batch: Vec<Box<dyn ErasedJob>>) -> Vec<Box<dyn ErasedJob>> {
        let now = Instant::now();
        let Some(failures) = self.failures.as_ref().filter(|failures| failures.retry_at > now)
        else {
            return batch;
        };
        let (error, is_closed) = (failures.last_error.clone(), failures.is_closed);
        let (tried, rejected) = batch.into_iter().partition(|job| job.is_reading() && !is_closed);
        self.reply_all(rejected, Some(&error));
        tried
    }

    /// Sends the outcomes to the callers of jobs. The outcomes of deliveries that failed jobs were to record are kept.
    fn reply_all(&mut self, mut batch: Vec<Box<dyn ErasedJob>>, error: Option<&Error>) {
        if error.is_some() {
            let recorded = batch.iter_mut().filter_map(|job| job.take_recorded());
            self.in_memory.unrecorded.extend(recorded);
            self.count();
        }
        for job in batch {
            job.reply(error, &self.unclaimed);
        }
    }

    /// Records all handled deliveries that are unrecorded, unless that fails.
    fn record_all(&mut self) {
        while self.record() {}
    }

    /// Tries to record some handled deliveries that are unrecorded. Returns whether it did.
    fn record(&mut self) -> bool {
        let unrecorded = self.in_memory.unrecorded.iter();
        let outcomes: Vec<(String, Outcome)> = unrecorded
            .take(MAX_RECORDED_PER_TRANSACTION)
            .map(|(id, outcome)| (id.clone(), outcome.clone()))
            .collect();
        if outcomes.is_empty() {
            return false;
        }
        let record = |inbox: &mut JournalTransaction<'_>| {
            outcomes.iter().try_for_each(|(id, outcome)| inbox.record(id, outcome))
        };
        match self.transact(record) {
            Ok(_) => {
                for (id, _) in &outcomes {
                    self.in_memory.unrecorded.remove(id);
                }
                self.count();
                let left = self.in_memory.unrecorded.len();
                info!(deliveries = outcomes.len(), left, "outcomes recorded after a failure");
                true
            }
            Err(error) => {
                debug!(%error, "outcomes not recorded yet");
                false
            }
        }
    }

    /// Runs a whole transaction, or nothing of it. Returns whether anything was written.
    ///
    /// redb rejects a file after a disk error, and the state in memory is unknown after a panic. So the file is closed
    /// then, and opened again for a later transaction, which reads the actual state from the disk. Opening it can read
    /// all of it, so there is a delay between two attempts to write.
    fn transact(
        &mut self,
        act: impl FnOnce(&mut JournalTransaction<'_>) -> Result<(), redb::Error>,
    ) -> Result<bool> {
        let start = Instant::now();
        let outcome = self.attempt(act);
        match &outcome {
            Ok(true) => {
                self.failures = None;
                self.reopen_time = Duration::ZERO;
            }
            // A successful read does not show that the disk has space.
            Ok(false) => {}
            Err(failure) => self.failed(failure, start.elapsed()),
        }
        outcome.map_err(|failure| failure.error)
    }

    /// Sets when the next attempt is due.
    fn failed(&mut self, failure: &WriteFailure, took: Duration) {
        let took = took.max(std::mem::take(&mut self.reopen_time));
        let pause = next_backoff(self.failures.as_ref().map(|failures| failures.backoff), took);
        // A time beyond the range of the clock is due at once.
        let now = Instant::now();
        let due = now.checked_add(pause).unwrap_or(now);
        let &WriteFailure { ref error, is_damaged, is_closed } = failure;
        self.failures = Some(FailureState {
            last_error: error.clone(),
            retry_at: due,
            backoff: pause,
            is_damaged,
            is_closed,
        });
    }

    fn attempt(
        &mut self,
        act: impl FnOnce(&mut JournalTransaction<'_>) -> Result<(), redb::Error>,
    ) -> Result<bool, WriteFailure> {
        let now = (self.clock)().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut left = self.unclaimed.lock().unwrap_or_else(PoisonError::into_inner);
        self.in_memory.unclaimed.extend(left.drain(..));
        drop(left);
        let is_reopened = self.file.is_none();
        let mut file = match self.file.take() {
            Some(file) => file,
            None => {
                let start = Instant::now();
                let opened = self.reopen();
                self.reopen_time = self.reopen_time.saturating_add(start.elapsed());
                opened?
            }
        };
        let (in_memory, limits) = (&mut self.in_memory, &self.limits);
        let path = &*self.location.path;
        let (file, changed) = catch_panic(path, move || {
            let changed = file.transact(limits, now, in_memory, |inbox| {
                if is_reopened {
                    inbox.reconcile_unclaimed()?;
                }
                act(inbox)
            });
            // If this panics, the owner of the file drops it, and redb closes it safely.
            match changed {
                Ok(changed) => Ok((file, changed)),
                Err(error @ redb::Error::Corrupted(_)) => {
                    Err(WriteFailure::damaged(damaged(path).with_source(error)))
                }
                Err(error) => Err(WriteFailure::transient(failed(path, &error).with_source(error))),
            }
        })?;
        self.totals = file.totals();
        self.file = Some(file);
        self.count();
        Ok(changed)
    }

    /// Opens the file again. All of it is verified only if its content is in doubt.
    fn reopen(&self) -> Result<JournalFile, WriteFailure> {
        let is_damaged = self.failures.as_ref().is_some_and(|failures| failures.is_damaged);
        let verification = if is_damaged { Verification::Full } else { Verification::None };
        let path = &*self.location.path;
        let opened = catch_panic(path, || {
            JournalFile::open(&self.location, verification).map_err(|error| {
                let message = format!("cannot be reopened: {error}");
                WriteFailure {
                    is_damaged,
                    ..WriteFailure::transient(failed(path, &message).with_source(error))
                }
            })
        });
        opened.map_err(|failure| WriteFailure { is_closed: true, ..failure })
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

/// Returns the delay after a failure: by the previous delay, if there was one, and by the time that the attempt and the
/// openings of the file took.
pub(super) fn next_backoff(last: Option<Duration>, took: Duration) -> Duration {
    let Some(last) = last else { return Duration::ZERO };
    let doubled = last.saturating_mul(2).clamp(INITIAL_BACKOFF, MAX_BACKOFF);
    doubled.max(took.saturating_mul(BACKOFF_PER_ATTEMPT_TIME)).min(MAX_BACKOFF_OF_LARGE)
}

/// Why an attempt failed.
struct WriteFailure {
    error: Error,
    is_damaged: bool,
    is_closed: bool,
}

impl WriteFailure {
    fn transient(error: Error) -> Self {
        Self { error, is_damaged: false, is_closed: false }
    }

    fn damaged(error: Error) -> Self {
        Self { is_damaged: true, ..Self::transient(error) }
    }
}

/// Runs an action, and converts a panic to an error: redb panics at some kinds of damage.
fn catch_panic<T>(
    path: &Path,
    act: impl FnOnce() -> Result<T, WriteFailure>,
) -> Result<T, WriteFailure> {
    catch_unwind(AssertUnwindSafe(act))
        .unwrap_or_else(|_| Err(WriteFailure::damaged(damaged(path))))
}

pub(super) fn failed(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::StoreUnavailable,
        format!("the journal {} failed: {reason}", path.display()),
    )
    .with_advice(
        "check that the disk works and has free space; the journal is retried after at most 30 s",
    )
    .with_retryable(true)
}

fn damaged(path: &Path) -> Error {
    Error::new(ErrorKind::StoreUnavailable, format!("the journal {} is damaged", path.display()))
        .with_advice(MOVE_AWAY_ADVICE)
}
