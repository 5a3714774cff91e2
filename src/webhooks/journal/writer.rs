//! The handle to the writer thread.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};

use tokio::runtime::Builder as RuntimeBuilder;
use tokio::sync::mpsc;

use super::database::{FileLocation, JournalFile, Verification};
use super::job::{ErasedJob, WriteJob};
use super::thread::{BATCH_JOBS, Counts, WriterThread, failed};
use super::{Clock, Limits};
use crate::error::{Error, ErrorKind, Result};

/// The handle to the thread. Dropping it waits until the thread has ended and the file is closed.
pub(super) struct WriterHandle {
    location: FileLocation,
    counts: Arc<Counts>,
    /// Taken when it is dropped, which ends the thread.
    jobs: Option<mpsc::Sender<Box<dyn ErasedJob>>>,
    thread: Option<JoinHandle<()>>,
}

impl WriterHandle {
    /// Opens the file and starts its thread. It blocks the calling thread.
    pub(super) fn start(place: FileLocation, limits: Limits, clock: Clock) -> Result<Self> {
        let file = JournalFile::open(&place, Verification::Full)?.compact(&place)?;
        let counts = Arc::new(Counts::default());
        counts.set(file.totals(), 0);
        let (jobs, waiting) = mpsc::channel(BATCH_JOBS);
        let no_thread = |error| {
            Error::new(ErrorKind::Configuration, "starting the journal thread failed")
                .with_advice("check the thread limit of this process")
                .with_source(error)
        };
        let timer =
            RuntimeBuilder::new_current_thread().enable_time().build().map_err(no_thread)?;
        let own = WriterThread::new(place.clone(), file, timer, Arc::clone(&counts), limits, clock);
        let thread = thread::Builder::new()
            .name("octowire-journal".to_owned())
            .spawn(move || own.run(waiting))
            .map_err(no_thread)?;
        Ok(Self { location: place, counts, jobs: Some(jobs), thread: Some(thread) })
    }

    pub(super) async fn run<T: Send + 'static>(&self, mut job: WriteJob<T>) -> Result<T> {
        let ended = || failed(&self.location.path, &"its writer thread has ended");
        let outcome = job.receiver();
        let Some(jobs) = &self.jobs else { return Err(ended()) };
        jobs.send(Box::new(job)).await.map_err(|_| ended())?;
        Ok(outcome.await.unwrap_or_else(|_| Err(ended()))?.take())
    }

    pub(super) fn path(&self) -> &Path {
        &self.location.path
    }

    pub(super) fn pending(&self) -> u64 {
        self.counts.pending.load(Ordering::Relaxed)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.counts.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn unrecorded(&self) -> u64 {
        self.counts.unrecorded.load(Ordering::Relaxed)
    }

    /// Makes the next job record unrecorded outcomes.
    pub(super) fn request_flush(&self) {
        self.counts.flush.store(true, Ordering::Relaxed);
    }
}

impl Drop for WriterHandle {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // The task that receives an outcome might drop the last handle at once.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}
