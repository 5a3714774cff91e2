//! The one thread that writes: what has come while it waited for the disk is the next transaction.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::SystemTime;

use tokio::sync::{mpsc, oneshot};

use super::file::File;
use super::inbox::{Inbox, Totals};
use super::{Clock, Limits};
use crate::error::{Error, ErrorKind, Result};

/// The way to the thread. Dropped, it waits until the thread has ended and the file is closed.
pub(super) struct Writer {
    path: PathBuf,
    counts: Arc<Counts>,
    /// Taken when it is dropped, which ends the thread.
    jobs: Option<mpsc::Sender<Box<dyn Work>>>,
    thread: Option<JoinHandle<()>>,
}

/// Something to do with the file, and who waits for it.
pub(super) struct Job<T> {
    act: Option<Act<T>>,
    outcome: Option<T>,
    answer: Option<oneshot::Sender<Result<Answer<T>>>>,
    hands_over: Option<HandsOver<T>>,
    size: usize,
}

type Act<T> = Box<dyn FnOnce(&mut Inbox<'_>) -> Result<T, redb::Error> + Send>;

/// A delivery that is the caller's if the outcome says so.
struct HandsOver<T> {
    id: String,
    does: fn(&T) -> bool,
}

struct Answer<T> {
    outcome: T,
    yours: Option<Yours>,
}

/// A delivery on its way to the caller, who may have gone: dropped, it says that nobody has it.
struct Yours {
    id: Option<String>,
    left: Left,
}

/// The names of deliveries that nobody has.
type Left = Arc<Mutex<Vec<String>>>;

/// As others than the thread see it.
#[derive(Default)]
struct Counts {
    pending: AtomicU64,
    bytes: AtomicU64,
}

/// A transaction is no larger than this many jobs …
const BATCH_JOBS: usize = 256;
/// … and, but for the last one, these bytes.
const BATCH_BYTES: usize = 32 * 1024 * 1024;

impl Writer {
    /// Opens the file and starts its thread. It blocks.
    pub(super) fn start(path: PathBuf, limits: Limits, clock: Clock) -> Result<Self> {
        let file = File::open(&path)?.shrink(&path)?;
        let counts = Arc::new(Counts::default());
        counts.set(file.totals());
        let (jobs, waiting) = mpsc::channel(BATCH_JOBS);
        let own = Thread {
            path: path.clone(),
            file: Some(file),
            left: Left::default(),
            unclaimed: HashSet::new(),
            counts: Arc::clone(&counts),
            limits,
            clock,
        };
        let thread = thread::Builder::new()
            .name("octowire-journal".to_owned())
            .spawn(move || own.run(waiting))
            .map_err(|error| {
                Error::new(ErrorKind::Configuration, "there is no thread for the journal")
                    .with_advice("see how many threads this process may have")
                    .with_source(error)
            })?;
        Ok(Self { path, counts, jobs: Some(jobs), thread: Some(thread) })
    }

    pub(super) async fn run<T: Send + 'static>(&self, mut job: Job<T>) -> Result<T> {
        let ended = || failed(&self.path, &"its thread has ended");
        let (answer, answered) = oneshot::channel();
        job.answer = Some(answer);
        let Some(jobs) = &self.jobs else { return Err(ended()) };
        jobs.send(Box::new(job)).await.map_err(|_| ended())?;
        let answer = answered.await.unwrap_or_else(|_| Err(ended()))?;
        if let Some(yours) = answer.yours {
            yours.take();
        }
        Ok(answer.outcome)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn pending(&self) -> u64 {
        self.counts.pending.load(Ordering::Relaxed)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.counts.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // Whoever is woken by an answer may let go of the last handle there and then.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

impl Yours {
    fn take(mut self) {
        self.id = None;
    }
}

impl Drop for Yours {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            self.left.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        }
    }
}

impl<T> Job<T> {
    pub(super) fn new(
        act: impl FnOnce(&mut Inbox<'_>) -> Result<T, redb::Error> + Send + 'static,
    ) -> Self {
        Self { act: Some(Box::new(act)), outcome: None, answer: None, hands_over: None, size: 0 }
    }

    /// The same, where an outcome of which `does` is true makes a delivery the caller's.
    pub(super) fn handing_over(
        id: &str,
        does: fn(&T) -> bool,
        act: impl FnOnce(&mut Inbox<'_>) -> Result<T, redb::Error> + Send + 'static,
    ) -> Self {
        Self { hands_over: Some(HandsOver { id: id.to_owned(), does }), ..Self::new(act) }
    }

    /// With so many bytes to write.
    pub(super) fn of_size(self, bytes: usize) -> Self {
        Self { size: bytes, ..self }
    }
}

/// A [`Job`] of any outcome.
trait Work: Send {
    fn size(&self) -> usize;

    fn act(&mut self, inbox: &mut Inbox<'_>) -> Result<(), redb::Error>;

    /// Says what came of it. A delivery that was to be the caller's is left if they are not there, or if
    /// nobody knows whether it is on the disk.
    fn answer(self: Box<Self>, error: Option<&Error>, left: &Left);
}

impl<T: Send> Work for Job<T> {
    fn size(&self) -> usize {
        self.size
    }

    fn act(&mut self, inbox: &mut Inbox<'_>) -> Result<(), redb::Error> {
        let is_left = self.answer.as_ref().is_none_or(oneshot::Sender::is_closed);
        if is_left && self.hands_over.is_some() {
            return Ok(());
        }
        if let Some(act) = self.act.take() {
            self.outcome = Some(act(inbox)?);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, error: Option<&Error>, left: &Left) {
        let Self { outcome, answer, hands_over, .. } = *self;
        let yours = hands_over.zip(outcome.as_ref()).and_then(|(hands_over, outcome)| {
            let id = (hands_over.does)(outcome).then_some(hands_over.id);
            id.map(|id| Yours { id: Some(id), left: Arc::clone(left) })
        });
        let said = match (error, outcome) {
            (Some(error), _) => Err(error.clone()),
            (None, Some(outcome)) => Ok(Answer { outcome, yours }),
            (None, None) => return,
        };
        if let Some(answer) = answer {
            let _ = answer.send(said);
        }
    }
}

struct Thread {
    path: PathBuf,
    /// `None` after it failed, until it is opened again.
    file: Option<File>,
    left: Left,
    /// What is pending and was handed over to nobody.
    unclaimed: HashSet<String>,
    counts: Arc<Counts>,
    limits: Limits,
    clock: Clock,
}

impl Thread {
    fn run(mut self, mut waiting: mpsc::Receiver<Box<dyn Work>>) {
        while let Some(first) = waiting.blocking_recv() {
            let mut size = first.size();
            let mut batch = vec![first];
            while batch.len() < BATCH_JOBS && size < BATCH_BYTES {
                let Ok(next) = waiting.try_recv() else { break };
                size = size.saturating_add(next.size());
                batch.push(next);
            }
            let error = self.carry_out(&mut batch).err();
            for job in batch {
                job.answer(error.as_ref(), &self.left);
            }
        }
    }

    /// All of a batch, or nothing of it.
    ///
    /// redb refuses a file after an error of the disk, and nobody knows what is in memory after a panic.
    /// So the file is closed then, and opened again for the next batch, which finds on the disk what is
    /// true.
    fn carry_out(&mut self, batch: &mut [Box<dyn Work>]) -> Result<()> {
        let now = (self.clock)().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        self.unclaimed.extend(left.drain(..));
        drop(left);
        let is_anew = self.file.is_none();
        let mut file = match self.file.take() {
            Some(file) => file,
            None => guarded(&self.path, || File::open(&self.path)).map_err(|error| {
                failed(&self.path, &"it can not be opened again").with_source(error)
            })?,
        };
        let (unclaimed, limits) = (&mut self.unclaimed, &self.limits);
        let path = &self.path;
        let file = guarded(path, move || {
            let changed = file.change(limits, now, unclaimed, |inbox| {
                if is_anew {
                    inbox.review_unclaimed()?;
                }
                batch.iter_mut().try_for_each(|job| job.act(inbox))
            });
            // Closed by whoever has it if this panics, in which redb takes care.
            changed.map(|()| file).map_err(|error| failed(path, &error).with_source(error))
        })?;
        self.counts.set(file.totals());
        self.file = Some(file);
        Ok(())
    }
}

impl Counts {
    fn set(&self, totals: Totals) {
        self.pending.store(totals.pending, Ordering::Relaxed);
        self.bytes.store(totals.bytes, Ordering::Relaxed);
    }
}

/// redb panics at some damage.
fn guarded<T>(path: &Path, act: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(act))
        .unwrap_or_else(|_| Err(failed(path, &"the file is not what it should be")))
}

fn failed(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Store, format!("the journal {}: {reason}", path.display()))
        .with_advice("see that the disk is well and has room; the next delivery tries again")
        .with_retryable(true)
}
