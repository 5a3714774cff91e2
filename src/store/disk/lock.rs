//! The lock of the store, which excludes other processes and other calls of this process.
//!
//! It is the operating system's lock (`flock`, `LockFileEx`), which is released when a process ends, however it ends. A
//! stopped process keeps it. So no thread waits for the lock without a bound: the call tries the lock, with pauses, and
//! stops when its caller drops it.

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind as IoErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::folder::DiskInner;
use crate::util::private_files::{Access, FileRole, PrivateFolder};

/// The longest time that a call waits for the lock. Calls of a client give up earlier.
pub(super) const LOCK_WAIT: Duration = Duration::from_secs(1);
/// The pauses between two attempts: they double from the first to the longest.
const INITIAL_BACKOFF: Duration = Duration::from_millis(1);
const MAX_BACKOFF: Duration = Duration::from_millis(8);
const LOCK_FILE: &str = "lock";

/// The lock, until this is dropped.
#[derive(Debug)]
pub(super) struct FolderLock {
    file: File,
    /// The folder of the lock file, which is read and written while it is locked.
    pub(super) root: Arc<PrivateFolder>,
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing the file unlocks it, too, but a child process that is starting can still have it open.
        let _ = self.file.unlock();
    }
}

enum LockAttempt<T, A> {
    Done(T),
    /// Another process or call holds the lock. Contains the action that was not run.
    Busy(A),
}

impl DiskInner {
    /// Creates the folder and its lock, and checks that the file system has locks.
    pub(super) fn prepare(&self) -> io::Result<()> {
        self.try_lock().map(drop)
    }

    /// Takes the lock if it is available.
    fn try_lock(&self) -> io::Result<Option<FolderLock>> {
        let root = self.create_root()?;
        let file = root.file(LOCK_FILE, FileRole::Lock, Access::Create)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => {}
        }
        // Otherwise this is the lock of a deleted file, which no other process opens.
        let is_there = root.is_current_name(LOCK_FILE, &file)?;
        Ok(is_there.then(|| FolderLock { file, root: Arc::new(root) }))
    }

    /// Waits for the lock, and blocks this thread.
    pub(super) fn lock(&self) -> io::Result<FolderLock> {
        let start = Instant::now();
        let mut pause = INITIAL_BACKOFF;
        loop {
            if let Some(lock) = self.try_lock()? {
                return Ok(lock);
            }
            std::thread::sleep(next_backoff(&mut pause, start)?);
        }
    }
}

/// Runs an action while the store is locked. Calls of one runtime wait in order, without a thread.
pub(super) async fn with_lock<T, A>(folder: &Arc<DiskInner>, act: A) -> io::Result<T>
where
    T: Send + 'static,
    A: FnOnce(&DiskInner, &FolderLock) -> io::Result<T> + Send + 'static,
{
    let start = Instant::now();
    let mut pause = INITIAL_BACKOFF;
    let turn = folder.lock_turn.get_or_make(|_, _| Arc::default());
    let _turn = match turn.try_lock() {
        Ok(turn) => turn,
        // The call that holds the turn might not be polled.
        Err(_) => timeout(LOCK_WAIT, turn.lock()).await.map_err(|_| IoErrorKind::TimedOut)?,
    };
    let mut act = act;
    loop {
        let tried = Arc::clone(folder);
        let attempt = spawn_blocking(move || -> io::Result<LockAttempt<T, A>> {
            match tried.try_lock()? {
                Some(lock) => act(&tried, &lock).map(LockAttempt::Done),
                None => Ok(LockAttempt::Busy(act)),
            }
        });
        match attempt.await.map_err(io::Error::other)?? {
            LockAttempt::Done(done) => return Ok(done),
            LockAttempt::Busy(again) => act = again,
        }
        sleep(next_backoff(&mut pause, start)?).await;
    }
}

/// Returns the time until the next attempt, or an error if the wait has ended.
fn next_backoff(pause: &mut Duration, start: Instant) -> io::Result<Duration> {
    let left = LOCK_WAIT.saturating_sub(start.elapsed());
    if left.is_zero() {
        return Err(IoErrorKind::TimedOut.into());
    }
    let next = (*pause).min(left);
    *pause = pause.saturating_mul(2).min(MAX_BACKOFF);
    Ok(next)
}
