//! The handle to the writer thread.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};

use tokio::runtime::Builder as RuntimeBuilder;
use tokio::sync::mpsc;

use super::file::{File, Place, Verification};
use super::job::{Job, Work};
use super::thread::{BATCH_JOBS, Counts, Thread, failed};
use super::{Clock, Limits};
use crate::error::{Error, ErrorKind, Result};

/// The handle to the thread. Dropping it waits until the thread has ended and the file is closed.
pub(super) struct Writer {
    place: Place,
    counts: Arc<Counts>,
    /// Taken when it is dropped, which ends the thread.
    jobs: Option<mpsc::Sender<Box<dyn Work>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Opens the file and starts its thread. It blocks the calling thread.
    pub(super) fn start(place: Place, limits: Limits, clock: Clock) -> Result<Self> {
        let file = File::open(&place, Verification::Whole)?.shrink(&place)?;
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
        let own = Thread::new(place.clone(), file, timer, Arc::clone(&counts), limits, clock);
        let thread = thread::Builder::new()
            .name("octowire-journal".to_owned())
            .spawn(move || own.run(waiting))
            .map_err(no_thread)?;
        Ok(Self { place, counts, jobs: Some(jobs), thread: Some(thread) })
    }

    pub(super) async fn run<T: Send + 'static>(&self, mut job: Job<T>) -> Result<T> {
        let ended = || failed(&self.place.path, &"its writer thread has ended");
        let answered = job.answered();
        let Some(jobs) = &self.jobs else { return Err(ended()) };
        jobs.send(Box::new(job)).await.map_err(|_| ended())?;
        Ok(answered.await.unwrap_or_else(|_| Err(ended()))?.take())
    }

    pub(super) fn path(&self) -> &Path {
        &self.place.path
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

impl Drop for Writer {
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
