//! A lock between processes, based on a locked file.
//!
//! The lock is the operating system's (`flock`, `LockFileEx`), which releases it when a process ends, for any reason.
//! It also excludes two holders in one process.

use std::ffi::{OsStr, OsString};
use std::fs::{File, TryLockError};
use std::io;

use crate::util::private_files::{Access, FileRole, PrivateFolder};

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub(super) struct FileLock {
    file: File,
    folder: PrivateFolder,
    name: OsString,
    cleanup: LockFileCleanup,
}

/// The fate of the locked file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LockFileCleanup {
    /// The file stays.
    Keep,
    /// On Unix the file is removed with the lock, so that there are no more files than held locks.
    Remove,
}

impl FileLock {
    /// Acquires the lock if no process holds it.
    pub(super) fn try_take(
        folder: PrivateFolder,
        name: &OsStr,
        lasts: LockFileCleanup,
    ) -> io::Result<Option<Self>> {
        let file = folder.file(name, FileRole::Lock, Access::Create)?;
        Self::try_lock(file, folder, name, lasts)
    }

    fn try_lock(
        file: File,
        folder: PrivateFolder,
        name: &OsStr,
        lasts: LockFileCleanup,
    ) -> io::Result<Option<Self>> {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => {}
        }
        // The previous holder might have removed the file after it was opened here: then this locks a file that no
        // other process will find.
        let is_there = folder.is_current_name(name, &file)?;
        Ok(is_there.then(|| Self { file, folder, name: name.to_owned(), cleanup: lasts }))
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Removed while it is locked, and so by this holder only. A file that stays does no harm.
        if cfg!(unix) && self.cleanup == LockFileCleanup::Remove {
            let _ = self.folder.remove_opened(&self.name, &self.file);
        }
        // Closing the file also unlocks it; a process that is being started might still have it.
        let _ = self.file.unlock();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::util::private_files::{FolderRole, Permissions};

    #[test]
    fn a_lock_on_a_file_that_was_removed_meanwhile_is_none() {
        let name = OsString::from(format!("octowire-lock-{}", std::process::id()));
        let path: PathBuf = std::env::temp_dir().join(&name);
        let folder = || {
            let path = std::env::temp_dir();
            PrivateFolder::open(&path, FolderRole::Given, Permissions::Checked).unwrap()
        };
        let take = || FileLock::try_take(folder(), &name, LockFileCleanup::Remove).unwrap();

        let first = take().unwrap();
        let late = folder().file(&name, FileRole::Lock, Access::Create).unwrap();
        drop(first);
        assert!(!path.exists(), "it goes with its lock");
        let second = take().unwrap();
        let late = FileLock::try_lock(late, folder(), &name, LockFileCleanup::Remove).unwrap();
        assert!(late.is_none(), "two would hold the lock");
        assert!(path.exists(), "the file of the holder stays");
        assert!(take().is_none());
        drop(second);
        assert!(take().is_some());
    }
}
