//! Replaces several files together or not at all, whatever happens between.
//!
//! Everything is written and synced in a folder beside `openapi/`, the files
//! that are to go are copied there, and then a journal says that it begins. Who
//! finds a journal, at the start of the next run, puts the copies back. The
//! last step takes the journal away, and only then has the refresh happened.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::problem::{Problem, Result};

/// The folder for what is under way; `.gitignore` has it.
pub const FOLDER: &str = ".refresh-openapi";

/// The folder with the files.
const TARGET: &str = "openapi";

const JOURNAL: &str = "journal";

/// The right to replace files, of which one process at a time has it.
pub struct Staging {
    root: PathBuf,
    /// Whether an earlier run was cut off, and its files were put back.
    pub repaired: bool,
    /// Locked until it is closed.
    _lock: File,
}

impl Staging {
    /// Waits for nobody: two refreshes at a time are a mistake.
    pub fn open(root: &Path) -> Result<Self> {
        let target = root.join(TARGET);
        let lock = File::open(&target).map_err(|e| Problem::at(&target, "open", &e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("another refresh is under way in {}", root.display());
                return Err(Problem::failed(message));
            }
            Err(TryLockError::Error(e)) => return Err(Problem::at(&target, "lock", &e)),
        }
        let mut staging = Self { root: root.to_owned(), repaired: false, _lock: lock };
        let folder = staging.folder();
        if folder.join(JOURNAL).exists() {
            staging.put_back().map_err(|e| {
                Problem::failed(format!(
                    "an earlier refresh was cut off, and its files cannot be put back from {}: {e}",
                    folder.display()
                ))
            })?;
            staging.repaired = true;
        }
        staging.clear()?;
        fs::create_dir(&folder).map_err(|e| Problem::at(&folder, "create", &e))?;
        Ok(staging)
    }

    fn folder(&self) -> PathBuf {
        self.root.join(FOLDER)
    }

    /// An empty folder for downloads.
    pub fn work(&self) -> Result<PathBuf> {
        let work = self.folder().join("download");
        fs::create_dir(&work).map_err(|e| Problem::at(&work, "create", &e))?;
        Ok(work)
    }

    /// Replaces the files of `openapi/` that are not as given.
    pub fn replace(self, files: &[(&str, Vec<u8>)]) -> Result<()> {
        let target = self.root.join(TARGET);
        let is_other = |(name, bytes): &&(&str, Vec<u8>)| {
            fs::read(target.join(name)).map_or(true, |old| old != *bytes)
        };
        let files: Vec<_> = files.iter().filter(is_other).collect();
        let done = self.prepare(&files).and_then(|()| self.finish(&files));
        // Files that are left over are taken away by the next run.
        let Err(error) = done else { return Ok(()) };
        let undone = match self.folder().join(JOURNAL).exists() {
            true => self.put_back(),
            false => Ok(()),
        };
        Err(match undone {
            Ok(()) => Problem::failed(format!("the files cannot be replaced: {error}")),
            Err(again) => Problem::failed(format!(
                "the files cannot be replaced ({error}), nor put back ({again}): run this again \
                 once the cause is gone, which puts them back from {}",
                self.folder().display()
            )),
        })
    }

    /// All that can go wrong for want of space goes wrong here.
    fn prepare(&self, files: &[&(&str, Vec<u8>)]) -> io::Result<()> {
        let (folder, target) = (self.folder(), self.root.join(TARGET));
        let mut journal = String::new();
        for (name, bytes) in files {
            write(&folder.join(format!("new-{name}")), bytes)?;
            let kind = match fs::read(target.join(name)) {
                Ok(old) => {
                    write(&folder.join(format!("old-{name}")), &old)?;
                    "replaced"
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => "added",
                Err(e) => return Err(e),
            };
            journal.push_str(&format!("{kind} {name}\n"));
        }
        write(&folder.join("journal-part"), journal.as_bytes())?;
        sync(&folder)?;
        fs::rename(folder.join("journal-part"), folder.join(JOURNAL))?;
        sync(&folder)
    }

    fn finish(&self, files: &[&(&str, Vec<u8>)]) -> io::Result<()> {
        let (folder, target) = (self.folder(), self.root.join(TARGET));
        for (name, _) in files {
            fs::rename(folder.join(format!("new-{name}")), target.join(name))?;
        }
        sync(&target)?;
        fs::remove_file(folder.join(JOURNAL))
    }

    /// Makes everything as it was before the journal. May be cut off itself.
    fn put_back(&self) -> io::Result<()> {
        let (folder, target) = (self.folder(), self.root.join(TARGET));
        let journal = fs::read_to_string(folder.join(JOURNAL))?;
        for line in journal.lines() {
            match line.split_once(' ') {
                Some(("replaced", name)) => {
                    let part = folder.join("back");
                    write(&part, &fs::read(folder.join(format!("old-{name}")))?)?;
                    fs::rename(&part, target.join(name))?;
                }
                Some(("added", name)) => match fs::remove_file(target.join(name)) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                    _ => {}
                },
                _ => {
                    let message = format!("its journal says `{line}`");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, message));
                }
            }
        }
        sync(&target)?;
        fs::remove_file(folder.join(JOURNAL))
    }

    fn clear(&self) -> Result<()> {
        let folder = self.folder();
        match fs::remove_dir_all(&folder) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(Problem::at(&folder, "remove", &e))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // With a journal, the folder has what the next run needs.
        if !self.folder().join(JOURNAL).exists() {
            let _ = fs::remove_dir_all(self.folder());
        }
    }
}

/// Writes a file so that it is on the disk.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::write(path, bytes)?;
    sync(path)
}

/// Waits until a file, or the names in a folder, are on the disk.
fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
