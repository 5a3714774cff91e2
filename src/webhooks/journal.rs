//! The delivery journal: accepted deliveries stay on the disk until they are handled.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::error::Result;
use crate::util::private_files::{Permissions, warn_if_trusted};

mod database;
mod job;
mod thread;
mod transaction;
mod writer;

use database::FileLocation;
use job::WriteJob;
pub(crate) use transaction::key;
use transaction::{JournalTransaction, Outcome};
use writer::WriterHandle;

/// The delivery journal of a webhook receiver, in a file. An accepted delivery is on the disk before GitHub receives
/// the response, and stays there until it is handled, however the program ends. So no accepted delivery depends on a
/// redelivery, which GitHub does [not start by
/// itself](https://docs.github.com/en/webhooks/using-webhooks/handling-failed-webhook-deliveries).
///
/// It also records which deliveries were handled, so that a
/// [redelivery](https://docs.github.com/en/webhooks/testing-and-troubleshooting-webhooks/redelivering-webhooks) is
/// recognized, after a restart too. A program that ends between handling a delivery and recording it handles it once
/// more.
///
/// Clones share one journal, and a file belongs to one process at a time. It has to be on a local disk with reliable
/// writes. Concurrent deliveries are written together, with one wait for the disk. The file takes up to twice the space
/// of the bodies; free space is reused, and returned when the journal is closed or opened.
///
/// Dropping the last clone waits until the file is closed: for some milliseconds, or on a failing disk for one more
/// attempt to record handled deliveries, which can read the whole file.
///
/// The content of the file is not encrypted. Each record is authenticated with a key that is derived from the webhook's
/// secret: a record that was changed, or was not written by a receiver with one of the secrets, is never handled, and
/// is kept among the [failed](Self::failed) ones. So a replaced secret has to stay among the
/// [`Verifier`](super::Verifier)'s until all deliveries signed with it are handled.
///
/// On Unix, only the user of the process can read the file (mode 0600); if other users can, that is repaired, with a
/// warning. A file that belongs to another user, is a symbolic link, has a second name (a hard link) or is not a
/// regular file is rejected. So is a folder that all users can write to, or that belongs to another user than this one
/// and root; if root runs the process, the folder of any user is accepted that only this user can write to. The folder
/// itself is never changed, and can be a symbolic link. If the file system does not show the real owners and modes, see
/// [`trust_file_permissions`](DeliveryJournalBuilder::trust_file_permissions).
///
/// ```no_run
/// # async fn example() -> octowire::Result<()> {
/// use octowire::webhooks::DeliveryJournal;
///
/// let journal = DeliveryJournal::open("/var/lib/my-bot/webhooks.journal").await?;
/// println!("{} to be handled, with {} bytes", journal.pending_count(), journal.bytes());
/// for failed in journal.failed().await? {
///     println!("{}: {}", failed.id, failed.error);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct DeliveryJournal {
    writer: Arc<WriterHandle>,
    unclaimed: Arc<Unclaimed>,
}

/// Deliveries that were not handled when it was opened, and that were left since.
#[derive(Default)]
struct Unclaimed {
    ids: Mutex<Vec<String>>,
    more: Notify,
}

/// The settings of a [`DeliveryJournal`]: [`DeliveryJournal::builder`].
#[derive(Clone)]
#[must_use = "a builder opens nothing until `open` is called"]
pub struct DeliveryJournalBuilder {
    path: PathBuf,
    permissions: Permissions,
    limits: Limits,
    clock: Clock,
}

/// A delivery that could not be handled: [`DeliveryJournal::failed`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailedDelivery {
    /// Its key: the id of its webhook and its own id, from `X-GitHub-Delivery`; or the SHA-256 digest, if that is
    /// longer than 128 bytes.
    pub id: String,
    /// When it failed, by the local clock.
    pub failed_at: SystemTime,
    /// The handler's error, truncated to 2,000 bytes.
    pub error: String,
    /// The size of the stored record, in bytes.
    pub size: u64,
}

/// The outcome of accepting a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AcceptOutcome {
    /// The delivery is on the disk, and the caller that receives this has to handle it.
    New,
    /// The delivery was accepted before, and is not handled yet.
    Pending,
    /// The delivery was handled before.
    Done,
    /// The journal is full. Nothing was written.
    Full,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    max_bytes: u64,
    retention: Duration,
    max_deduplicated: u64,
    max_failed: u64,
}

type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// GitHub redelivers for three days.
const DEFAULT_RETENTION: Duration = Duration::from_secs(3 * 24 * 60 * 60);
const MAX_BYTES: u64 = 1024 * 1024 * 1024;
const MAX_REMEMBERED: u64 = 1_000_000;
const MAX_FAILED: u64 = 1_000;

impl DeliveryJournal {
    /// Opens the journal in this file, and creates it and its folder if they do not exist.
    ///
    /// The whole file is read once, to verify its checksums, which takes about a second per gigabyte.
    ///
    /// # Errors
    /// Of the kind [`Configuration`](crate::ErrorKind::Configuration), if another process uses the file, if it is not a
    /// journal or is damaged, if it cannot be created or written, or if other users could replace it.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self> {
        Self::builder(path).open().await
    }

    /// Returns a builder of a journal with other limits.
    pub fn builder(path: impl Into<PathBuf>) -> DeliveryJournalBuilder {
        DeliveryJournalBuilder {
            path: path.into(),
            permissions: Permissions::Checked,
            limits: Limits {
                max_bytes: MAX_BYTES,
                retention: DEFAULT_RETENTION,
                max_deduplicated: MAX_REMEMBERED,
                max_failed: MAX_FAILED,
            },
            clock: Arc::new(SystemTime::now),
        }
    }

    /// Returns the number of accepted deliveries that are not handled yet, without failed ones.
    #[must_use]
    pub fn pending_count(&self) -> u64 {
        self.writer.pending()
    }

    /// Returns the bytes of these deliveries, and of failed ones.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.writer.bytes()
    }

    /// Returns how many deliveries have an outcome, handled or failed, that is not on the disk yet, since the disk is
    /// full or fails. The journal retries until it succeeds, after 200 ms at first and 5 s at most (30 s if the file is
    /// large, since each attempt can read all of it), and once more when it is closed. Meanwhile these deliveries are
    /// not handled again, except for redeliveries of failed ones; if the process ends before the write, the next one
    /// handles them once more.
    #[must_use]
    pub fn unrecorded_count(&self) -> u64 {
        self.writer.unrecorded()
    }

    /// Returns the deliveries that could not be handled, in the order of their failures. Those whose failure is [not
    /// recorded](Self::unrecorded_count) yet are missing until it is.
    ///
    /// # Errors
    /// If the file cannot be read: of the kind [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable).
    pub async fn failed(&self) -> Result<Vec<FailedDelivery>> {
        self.run(WriteJob::read_only(|inbox| inbox.failed())).await
    }

    /// Deletes a failed delivery. Returns whether it existed.
    ///
    /// # Errors
    /// If the file cannot be written: of the kind [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable).
    pub async fn discard_failed(&self, id: &str) -> Result<bool> {
        let id = key(id);
        self.run(WriteJob::new(move |inbox| inbox.discard_failed(&id))).await
    }

    /// Accepts a delivery. It is on the disk when this resolves.
    ///
    /// [`AcceptOutcome::New`] makes the caller its owner. If the caller does not receive it, since it was dropped or the
    /// disk failed in between, then the next caller with the same delivery becomes the owner.
    pub(crate) async fn accept(&self, id: &str, record: Bytes) -> Result<AcceptOutcome> {
        let (id, size) = (key(id), record.len());
        let job = WriteJob::with_transfer(&id, |accepted| *accepted == AcceptOutcome::New, {
            let id = id.clone();
            move |inbox: &mut JournalTransaction<'_>| inbox.accept(&id, &record)
        });
        self.run(job.with_size(size)).await
    }

    /// Records that a delivery was handled: on the disk when this resolves.
    ///
    /// If the write fails, the journal retries until it succeeds, and treats the delivery as handled meanwhile.
    pub(crate) async fn complete(&self, id: &str) -> Result<()> {
        let id = key(id);
        let job = WriteJob::with_outcome(&id, Outcome::Handled, {
            let id = id.clone();
            move |inbox: &mut JournalTransaction<'_>| inbox.complete(&id)
        });
        self.run(job).await
    }

    /// Tries once to write the outcomes that are [not recorded](Self::unrecorded_count) yet.
    pub(crate) async fn flush(&self) -> Result<()> {
        if self.unrecorded_count() == 0 {
            return Ok(());
        }
        self.writer.request_flush();
        self.run(WriteJob::new(|_| Ok(()))).await
    }

    /// Returns whether one more outcome can be kept in memory, if it cannot be written.
    pub(crate) fn can_remember(&self) -> bool {
        self.unrecorded_count() < transaction::MAX_UNRECORDED as u64
    }

    /// Records that a delivery failed. It is kept among the failed ones, and accepted again if it is redelivered.
    ///
    /// If the write fails, the journal retries until it succeeds, and does not replay the delivery meanwhile.
    pub(crate) async fn fail(&self, id: &str, error: &str) -> Result<()> {
        let (id, error) = (key(id), transaction::truncate_error(error).to_owned());
        let job = WriteJob::with_outcome(&id, Outcome::failed(&error), {
            let id = id.clone();
            move |inbox: &mut JournalTransaction<'_>| inbox.fail(&id, &error)
        });
        self.run(job).await
    }

    /// Takes up a failed delivery again: returns its record, or `None` if it is not among the failed ones.
    pub(crate) async fn requeue_failed(&self, id: &str) -> Result<Option<Bytes>> {
        let id = key(id);
        let job = WriteJob::with_transfer(&id, Option::is_some, {
            let id = id.clone();
            move |inbox: &mut JournalTransaction<'_>| inbox.requeue_failed(&id)
        });
        self.run(job).await
    }

    /// Waits for deliveries that an earlier process left, or that were left since, and returns their keys in the order
    /// of acceptance. Each is returned once: the caller has to handle it.
    pub(crate) async fn take_unclaimed(&self) -> Vec<String> {
        loop {
            let more = self.unclaimed.more.notified();
            let ids = std::mem::take(&mut *self.unclaimed_ids());
            if !ids.is_empty() {
                return ids;
            }
            more.await;
        }
    }

    /// Leaves a delivery to the next caller of [`take_unclaimed`](Self::take_unclaimed).
    pub(crate) fn return_unclaimed(&self, id: String) {
        self.unclaimed_ids().push(id);
        self.unclaimed.more.notify_one();
    }

    fn unclaimed_ids(&self) -> MutexGuard<'_, Vec<String>> {
        self.unclaimed.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the keys of all unhandled deliveries, in the order of acceptance.
    async fn pending_ids(&self) -> Result<Vec<String>> {
        self.run(WriteJob::read_only(|inbox| inbox.pending_ids())).await
    }

    /// Returns the record of an unhandled delivery.
    pub(crate) async fn load(&self, id: &str) -> Result<Option<Bytes>> {
        let id = key(id);
        self.run(WriteJob::read_only(move |inbox| inbox.load(&id))).await
    }

    async fn run<T: Send + 'static>(&self, job: WriteJob<T>) -> Result<T> {
        self.writer.run(job).await
    }
}

impl DeliveryJournalBuilder {
    /// Sets the maximum size of unhandled and failed deliveries, in bytes; 1 GiB by default. If it is reached, the
    /// oldest failed deliveries are deleted first, and then new deliveries are rejected.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.limits.max_bytes = bytes;
        self
    }

    /// Sets how long handled deliveries are remembered; three days by default, in which GitHub performs redeliveries on
    /// request.
    pub fn retention(mut self, time: Duration) -> Self {
        self.limits.retention = time;
        self
    }

    /// Sets the maximum number of handled deliveries that are remembered; 1,000,000 by default, which take about 100
    /// MB. The oldest are removed first.
    pub fn max_deduplicated(mut self, deliveries: u64) -> Self {
        self.limits.max_deduplicated = deliveries;
        self
    }

    /// Sets the maximum number of failed deliveries that are kept; 1,000 by default. The oldest are deleted first, with
    /// a warning in the log.
    pub fn max_failed(mut self, deliveries: u64) -> Self {
        self.limits.max_failed = deliveries;
        self
    }

    /// Sets whether the owners and modes of the file and its folder are ignored; `false` by default.
    ///
    /// This is for file systems that do not show the real owners and modes: CIFS mounts of mode 0777, and NFS with
    /// `root_squash`. Other users with write access to the folder can then remove the file or replace it with an older
    /// one. Modes are not repaired, so users with read access to the file see the deliveries. The journal logs one
    /// warning about it. Links in place of the file are still rejected. The file is created with the mode 0600: a
    /// process with another user id, as pods on OpenShift can get with each start, cannot open it on file systems with
    /// real owners.
    pub fn trust_file_permissions(mut self, trusted: bool) -> Self {
        self.permissions = Permissions::trusted(trusted);
        self
    }

    /// Opens the journal.
    ///
    /// # Errors
    /// As for [`DeliveryJournal::open`].
    pub async fn open(self) -> Result<DeliveryJournal> {
        let path = self.path.clone();
        warn_if_trusted(&path, self.permissions);
        let place = FileLocation { path: self.path, permissions: self.permissions };
        let opened = tokio::task::spawn_blocking(move || {
            WriterHandle::start(place, self.limits, self.clock)
        });
        let writer = match opened.await {
            Ok(writer) => writer?,
            // Some kinds of damage to the file make redb panic.
            Err(error) if error.is_panic() => {
                return Err(database::damaged(&path).with_source(error));
            }
            Err(error) => return Err(database::unusable_error(&path).with_source(error)),
        };
        let journal = DeliveryJournal { writer: Arc::new(writer), unclaimed: Arc::default() };
        let left = journal.pending_ids().await.map_err(|error| match error.is_retryable() {
            true => database::unusable_error(&path).with_source(error),
            false => database::damaged(&path).with_source(error),
        })?;
        *journal.unclaimed_ids() = left;
        Ok(journal)
    }

    #[cfg(test)]
    fn clock(mut self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }
}

impl fmt::Debug for DeliveryJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryJournal")
            .field("path", &self.writer.path())
            .field("pending", &self.pending_count())
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for DeliveryJournalBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryJournalBuilder")
            .field("path", &self.path)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
