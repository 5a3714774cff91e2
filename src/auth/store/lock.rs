//! A lock between processes: a file that one of them has locked.
//!
//! The lock is the operating system's (`flock`, `LockFileEx`), which gives it back when a process
//! dies, however it dies. It also excludes two holders in one process.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::disk;

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub(super) struct FileLock {
    file: File,
    path: PathBuf,
    lasts: Lasts,
}

/// What becomes of the locked file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lasts {
    /// It stays.
    Stays,
    /// On Unix it goes with the lock, so that there are no more files than locks that are held.
    Goes,
}

impl FileLock {
    /// Takes the lock if nobody holds it.
    pub(super) fn try_take(path: &Path, lasts: Lasts) -> io::Result<Option<Self>> {
        Self::try_lock(open(path)?, path, lasts)
    }

    fn try_lock(file: File, path: &Path, lasts: Lasts) -> io::Result<Option<Self>> {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => {}
        }
        // Whoever held it before may have removed the file after it was opened here: then this
        // locks a file that nobody else will find.
        Ok(is_at(&file, path)?.then(|| Self { file, path: path.to_owned(), lasts }))
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Removed while it is locked, and so by nobody else. A file that stays does no harm.
        if cfg!(unix) && self.lasts == Lasts::Goes && is_at(&self.file, &self.path).unwrap_or(false)
        {
            let _ = fs::remove_file(&self.path);
        }
        // Closing the file unlocks it, too; a process that is being started may still have it.
        let _ = self.file.unlock();
    }
}

fn open(path: &Path) -> io::Result<File> {
    disk::private().create(true).truncate(false).open(path)
}

/// Whether the open file is the one at this path.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let there = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        found => found?,
    };
    let file = file.metadata()?;
    Ok((file.dev(), file.ino()) == (there.dev(), there.ino()))
}

/// Elsewhere nobody removes it: a name of a file that is open is not free again at once.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_lock_on_a_file_that_was_removed_meanwhile_is_none() {
        let name = format!("octowire-lock-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let take = || FileLock::try_take(&path, Lasts::Goes).unwrap();

        let first = take().unwrap();
        let late = open(&path).unwrap();
        drop(first);
        assert!(!path.exists(), "it goes with its lock");
        let second = take().unwrap();
        let late = FileLock::try_lock(late, &path, Lasts::Goes).unwrap();
        assert!(late.is_none(), "two would hold the lock");
        assert!(path.exists(), "the file of the one who holds it stays");
        assert!(take().is_none());
        drop(second);
        assert!(take().is_some());
    }
}
