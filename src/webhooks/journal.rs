//! What was accepted is on the disk until it is handled.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::error::Result;
use crate::private_files::{Permissions, warn_if_trusted};

mod file;
mod inbox;
mod job;
mod thread;
mod writer;

use file::Place;
pub(crate) use inbox::key;
use inbox::{Inbox, Outcome};
use job::Job;
use writer::Writer;

/// The inbox of a program that receives webhooks, in a file: what it accepts is on the disk before
/// GitHub is told so, and stays there until it is handled, however the program ends. So GitHub, which
/// does [not deliver again by itself](https://docs.github.com/en/webhooks/using-webhooks/handling-failed-webhook-deliveries),
/// does not need to.
///
/// It also remembers which deliveries were handled, so that one that is
/// [delivered again](https://docs.github.com/en/webhooks/testing-and-troubleshooting-webhooks/redelivering-webhooks)
/// is recognised, after the next start, too. A program that ends between handling a delivery and saying
/// so handles it once more.
///
/// Clones share one journal, and a file belongs to one process at a time. It has to be on a local disk
/// that keeps what it says is written. Deliveries that come at the same time are written together, with
/// one wait for the disk. It takes up to twice the space of the bodies, and room that is free again is used
/// again, and given back when the journal is closed or opened.
///
/// The last clone to be dropped waits until the file is closed: for some milliseconds, and on a disk that
/// fails for as long as one more attempt to record what was handled takes, which can read the whole file.
///
/// What is in the file is not encrypted. Each record is sealed with a key that is derived from the
/// webhook's secret: one that was changed, or was not written by a receiver with one of the secrets, is
/// never handled, and is kept among those that [failed](Self::failed). So a secret that is replaced has to
/// stay among the [`Verifier`](super::Verifier)'s until what it signed is handled.
///
/// On Unix, only the user of the process can read the file (mode 0600); if other users can, that is
/// repaired, with a warning. A file that belongs to another user, is a symbolic link, has a second name (a
/// hard link) or is not a regular file is refused. So is a folder that everyone can write to, or that
/// belongs to another user than this one and root; if root runs the process, the folder of any user is
/// accepted that only this user can write to. The folder itself is never changed, and can be a symbolic
/// link. If the file system does not show the real owners and modes, see
/// [`trust_file_permissions`](JournalBuilder::trust_file_permissions).
///
/// ```no_run
/// # async fn example() -> octowire::Result<()> {
/// use octowire::webhooks::Journal;
///
/// let journal = Journal::open("/var/lib/my-bot/webhooks.journal").await?;
/// println!("{} to be handled, with {} bytes", journal.pending(), journal.bytes());
/// for failed in journal.failed().await? {
///     println!("{}: {}", failed.id, failed.error);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Journal {
    writer: Arc<Writer>,
    left: Arc<Left>,
}

/// What was not handled when it was opened, and what was left since.
#[derive(Default)]
struct Left {
    ids: Mutex<Vec<String>>,
    more: Notify,
}

/// How a [`Journal`] is opened: [`Journal::builder`].
#[derive(Clone)]
#[must_use = "a builder opens nothing until `open` is called"]
pub struct JournalBuilder {
    path: PathBuf,
    permissions: Permissions,
    limits: Limits,
    clock: Clock,
}

/// A delivery that could not be handled: [`Journal::failed`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailedDelivery {
    /// What it is found by: the id of its webhook and its name, from `X-GitHub-Delivery`; of what is
    /// longer than 128 bytes, the SHA-256 digest.
    pub id: String,
    /// When it failed, by this machine's clock.
    pub when: SystemTime,
    /// What the handler said, cut after 2,000 bytes.
    pub error: String,
    /// How much is kept of it, in bytes.
    pub size: u64,
}

/// What became of a delivery that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// It is on the disk, and whoever is told so has it to handle.
    New,
    /// It was accepted before, and is not handled yet.
    Pending,
    /// It was handled before.
    Done,
    /// There is no room for it. Nothing was written.
    Full,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    max_bytes: u64,
    keep: Duration,
    max_remembered: u64,
    max_failed: u64,
}

type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// GitHub delivers again for three days.
const KEEP: Duration = Duration::from_secs(3 * 24 * 60 * 60);
const MAX_BYTES: u64 = 1024 * 1024 * 1024;
const MAX_REMEMBERED: u64 = 1_000_000;
const MAX_FAILED: u64 = 1_000;

impl Journal {
    /// Opens the journal in this file, which is made, with its folder, if it is not there.
    ///
    /// The whole file is read once, to verify its checksums, which takes a second or so for a gigabyte.
    ///
    /// # Errors
    /// Of the kind [`Configuration`](crate::ErrorKind::Configuration), if another process uses the file,
    /// if it is not a journal or is damaged, if it cannot be created or written to, or if other users could
    /// exchange it.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self> {
        Self::builder(path).open().await
    }

    /// The same with other limits.
    pub fn builder(path: impl Into<PathBuf>) -> JournalBuilder {
        JournalBuilder {
            path: path.into(),
            permissions: Permissions::Checked,
            limits: Limits {
                max_bytes: MAX_BYTES,
                keep: KEEP,
                max_remembered: MAX_REMEMBERED,
                max_failed: MAX_FAILED,
            },
            clock: Arc::new(SystemTime::now),
        }
    }

    /// How many deliveries were accepted and are not handled yet; none that failed.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.writer.pending()
    }

    /// How many bytes are kept of those, and of those that failed.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.writer.bytes()
    }

    /// Returns how many deliveries were handled, or failed, of which that is not on the disk yet, since the
    /// disk is full or fails. The journal tries again until it succeeds, after 200 ms at first and 5 s at last
    /// (30 s if the file is large, since each attempt can read all of it), and once more when it is closed.
    /// Meanwhile they are not handled again, unless one that failed is delivered again; if the process ends
    /// before, the next one handles them once more.
    #[must_use]
    pub fn unrecorded(&self) -> u64 {
        self.writer.unrecorded()
    }

    /// The deliveries that could not be handled, from who failed first to who failed last. Those of which that
    /// is [not recorded](Self::unrecorded) yet are missing until it is.
    ///
    /// # Errors
    /// If the file can not be read: of the kind [`Store`](crate::ErrorKind::Store).
    pub async fn failed(&self) -> Result<Vec<FailedDelivery>> {
        self.run(Job::reading(|inbox| inbox.failed())).await
    }

    /// Gives up a delivery that failed. Says whether it was there.
    ///
    /// # Errors
    /// If the file can not be written to: of the kind [`Store`](crate::ErrorKind::Store).
    pub async fn forget_failed(&self, id: &str) -> Result<bool> {
        let id = key(id);
        self.run(Job::new(move |inbox| inbox.forget(&id))).await
    }

    /// Takes a delivery in. It is on the disk when this resolves.
    ///
    /// [`Accepted::New`] hands it over. If nobody is there to be told so, since the caller has gone or
    /// the disk failed in between, then the next one who comes with it is.
    pub(crate) async fn accept(&self, id: &str, record: Bytes) -> Result<Accepted> {
        let (id, size) = (key(id), record.len());
        let job = Job::handing_over(&id, |accepted| *accepted == Accepted::New, {
            let id = id.clone();
            move |inbox: &mut Inbox<'_>| inbox.accept(&id, &record)
        });
        self.run(job.of_size(size)).await
    }

    /// It is handled, and recorded as such: on the disk when this resolves.
    ///
    /// If that fails, the journal tries again until it succeeds, and treats the delivery as handled
    /// meanwhile.
    pub(crate) async fn done(&self, id: &str) -> Result<()> {
        let id = key(id);
        let job = Job::recording(&id, Outcome::Handled, {
            let id = id.clone();
            move |inbox: &mut Inbox<'_>| inbox.done(&id)
        });
        self.run(job).await
    }

    /// Tries once to record what was handled and is [not recorded](Self::unrecorded) yet.
    pub(crate) async fn flush(&self) -> Result<()> {
        if self.unrecorded() == 0 {
            return Ok(());
        }
        self.writer.request_flush();
        self.run(Job::new(|_| Ok(()))).await
    }

    /// Returns whether there is room to remember one more delivery that was handled, should it not be
    /// possible to record that.
    pub(crate) fn can_remember(&self) -> bool {
        self.unrecorded() < inbox::MAX_UNRECORDED as u64
    }

    /// It could not be handled. It is kept aside, and accepted again if it is delivered again.
    ///
    /// If that fails, the journal tries again until it succeeds, and does not give the delivery out meanwhile.
    pub(crate) async fn fail(&self, id: &str, error: &str) -> Result<()> {
        let (id, error) = (key(id), inbox::cut(error).to_owned());
        let job = Job::recording(&id, Outcome::failed(&error), {
            let id = id.clone();
            move |inbox: &mut Inbox<'_>| inbox.fail(&id, &error)
        });
        self.run(job).await
    }

    /// One that failed is to be handled again: its record, or `None` if it is not among them.
    pub(crate) async fn revive(&self, id: &str) -> Result<Option<Bytes>> {
        let id = key(id);
        let job = Job::handing_over(&id, Option::is_some, {
            let id = id.clone();
            move |inbox: &mut Inbox<'_>| inbox.revive(&id)
        });
        self.run(job).await
    }

    /// Waits for deliveries that were left by an earlier process, or since, and gives their names, from the
    /// first that was accepted to the last. They are given once: whoever gets them has them to handle.
    pub(crate) async fn left(&self) -> Vec<String> {
        loop {
            let more = self.left.more.notified();
            let ids = std::mem::take(&mut *self.left_ids());
            if !ids.is_empty() {
                return ids;
            }
            more.await;
        }
    }

    /// It is to be handled by who takes up what is [left](Self::left) next.
    pub(crate) fn leave(&self, id: String) {
        self.left_ids().push(id);
        self.left.more.notify_one();
    }

    fn left_ids(&self) -> MutexGuard<'_, Vec<String>> {
        self.left.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The names of all that are not handled, from the first that was accepted to the last.
    async fn unfinished(&self) -> Result<Vec<String>> {
        self.run(Job::reading(|inbox| inbox.unfinished())).await
    }

    /// The record of one that is not handled.
    pub(crate) async fn load(&self, id: &str) -> Result<Option<Bytes>> {
        let id = key(id);
        self.run(Job::reading(move |inbox| inbox.load(&id))).await
    }

    async fn run<T: Send + 'static>(&self, job: Job<T>) -> Result<T> {
        self.writer.run(job).await
    }
}

impl JournalBuilder {
    /// How many bytes may be kept of deliveries that are not handled or failed; 1 GiB by default. What
    /// would be more is refused, once those that failed are given up, the oldest first.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.limits.max_bytes = bytes;
        self
    }

    /// How long a delivery is remembered that was handled; three days by default, in which GitHub delivers
    /// again what it is asked to.
    pub fn keep(mut self, time: Duration) -> Self {
        self.limits.keep = time;
        self
    }

    /// How many deliveries are remembered at most that were handled; 1,000,000 by default, which take some
    /// 100 MB. The oldest are forgotten first.
    pub fn max_remembered(mut self, deliveries: u64) -> Self {
        self.limits.max_remembered = deliveries;
        self
    }

    /// How many deliveries are kept at most that failed; 1,000 by default. The oldest are given up first,
    /// with a warning in the log.
    pub fn max_failed(mut self, deliveries: u64) -> Self {
        self.limits.max_failed = deliveries;
        self
    }

    /// Sets whether the file and its folder are used whoever owns them and whatever their modes are; `false`
    /// by default.
    ///
    /// This is for file systems that do not show the real owners and modes: CIFS mounts of mode 0777, and NFS with
    /// `root_squash`. Other users who can write to the folder can then remove the file or replace it by an older one.
    /// Modes are not repaired, so that users who can read the file see the deliveries. A warning says so once. Links
    /// in place of the file are refused all the same. The file is created with the mode 0600: a process with another
    /// user id, as pods on OpenShift can get with each start, cannot open it on file systems with real owners.
    pub fn trust_file_permissions(mut self, trusted: bool) -> Self {
        self.permissions = Permissions::trusted(trusted);
        self
    }

    /// Opens the journal.
    ///
    /// # Errors
    /// As for [`Journal::open`].
    pub async fn open(self) -> Result<Journal> {
        let path = self.path.clone();
        warn_if_trusted(&path, self.permissions);
        let place = Place { path: self.path, permissions: self.permissions };
        let opened =
            tokio::task::spawn_blocking(move || Writer::start(place, self.limits, self.clock));
        let writer = match opened.await {
            Ok(writer) => writer?,
            // A file that is damaged in some ways makes redb panic.
            Err(error) if error.is_panic() => return Err(file::damaged(&path).with_source(error)),
            Err(error) => return Err(file::unusable(&path).with_source(error)),
        };
        let journal = Journal { writer: Arc::new(writer), left: Arc::default() };
        let left = journal.unfinished().await.map_err(|error| match error.is_retryable() {
            true => file::unusable(&path).with_source(error),
            false => file::damaged(&path).with_source(error),
        })?;
        *journal.left_ids() = left;
        Ok(journal)
    }

    #[cfg(test)]
    fn clock(mut self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("path", &self.writer.path())
            .field("pending", &self.pending())
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for JournalBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JournalBuilder")
            .field("path", &self.path)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
