//! Replaces several files together or not at all, even if the process is interrupted.
//!
//! All new files are written and synced in a folder beside `openapi/`, the files to replace are copied there,
//! and then a journal records the start. If the next run finds a journal, it restores the copies, unless a
//! file was changed by hand since, which the checksums in the journal show. The last step removes the
//! journal; only then is the refresh complete.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::problem::{Problem, Result};
use octowire_codegen::load::vendored::sha256;

/// The folder for work in progress; `.gitignore` has it.
pub const FOLDER: &str = ".refresh-openapi";

/// The folder with the files.
const TARGET: &str = "openapi";

const JOURNAL: &str = "journal";

/// The exclusive right to replace files.
pub struct ReplacementTransaction {
    root: PathBuf,
    /// Whether an earlier run was interrupted, and its files were restored.
    pub repaired: bool,
    /// Locked until it is closed.
    _lock: File,
}

impl ReplacementTransaction {
    /// Fails if the lock is held: two refreshes at a time are a mistake.
    pub fn open(root: &Path) -> Result<Self> {
        let target = root.join(TARGET);
        let lock = File::open(&target).map_err(|e| Problem::at(&target, "open", &e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("another refresh is in progress in {}", root.display());
                return Err(Problem::failed(message));
            }
            Err(TryLockError::Error(e)) => return Err(Problem::at(&target, "lock", &e)),
        }
        let mut staging = Self { root: root.to_owned(), repaired: false, _lock: lock };
        let folder = staging.folder();
        if folder.join(JOURNAL).exists() {
            staging.put_back().map_err(|e| {
                Problem::failed(format!(
                    "an earlier refresh was interrupted, and its files cannot be restored from {}: \
                     {e}",
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

    /// Replaces the files of `openapi/` that differ from the given ones.
    pub fn replace(self, files: &[(&str, Vec<u8>)]) -> Result<()> {
        self.replace_watched(files, &mut |_| {})
    }

    /// Does the same, and calls `watch` with the number of replaced files, from none to all. For tests, which
    /// end the process there.
    pub fn replace_watched(
        self,
        files: &[(&str, Vec<u8>)],
        watch: &mut dyn FnMut(usize),
    ) -> Result<()> {
        let target = self.root.join(TARGET);
        let is_other = |(name, bytes): &&(&str, Vec<u8>)| {
            fs::read(target.join(name)).map_or(true, |old| old != *bytes)
        };
        let files: Vec<_> = files.iter().filter(is_other).collect();
        let done = self.prepare(&files).and_then(|()| self.finish(&files, watch));
        // The next run removes leftover files.
        let Err(error) = done else { return Ok(()) };
        let undone = match self.folder().join(JOURNAL).exists() {
            true => self.put_back(),
            false => Ok(()),
        };
        Err(match undone {
            Ok(()) => Problem::failed(format!("replacing the files failed: {error}")),
            Err(again) => Problem::failed(format!(
                "replacing the files failed ({error}), and so did restoring them ({again}): run \
                 this again once the cause is removed, which restores them from {}",
                self.folder().display()
            )),
        })
    }

    /// All failures for lack of space occur here.
    fn prepare(&self, files: &[&(&str, Vec<u8>)]) -> io::Result<()> {
        let (folder, target) = (self.folder(), self.root.join(TARGET));
        let mut journal = String::new();
        for (name, bytes) in files {
            write(&folder.join(format!("new-{name}")), bytes)?;
            let old = match content(&target.join(name))? {
                Some(old) => {
                    write(&folder.join(format!("old-{name}")), &old)?;
                    sha256(&old)
                }
                None => ABSENT.to_owned(),
            };
            journal.push_str(&format!("{old} {} {name}\n", sha256(bytes)));
        }
        write(&folder.join("journal-part"), journal.as_bytes())?;
        sync(&folder)?;
        fs::rename(folder.join("journal-part"), folder.join(JOURNAL))?;
        sync(&folder)
    }

    fn finish(&self, files: &[&(&str, Vec<u8>)], watch: &mut dyn FnMut(usize)) -> io::Result<()> {
        let (folder, target) = (self.folder(), self.root.join(TARGET));
        watch(0);
        for (index, (name, _)) in files.iter().enumerate() {
            fs::rename(folder.join(format!("new-{name}")), target.join(name))?;
            watch(index + 1);
        }
        sync(&target)?;
        fs::remove_file(folder.join(JOURNAL))
    }

    /// Restores the state before the journal. Can be interrupted itself.
    fn put_back(&self) -> io::Result<()> {
        let (folder, target) = (self.folder(), self.root.join(TARGET));
        let journal = fs::read_to_string(folder.join(JOURNAL))?;
        let entries: Vec<Entry> = journal.lines().map(Entry::parse).collect::<io::Result<_>>()?;
        // Before any file is restored, since all or none are.
        for entry in &entries {
            entry.check(&folder, &target)?;
        }
        for Entry { old, name, .. } in &entries {
            let path = target.join(name);
            if *old == ABSENT {
                match fs::remove_file(path) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                    _ => {}
                }
            } else {
                let part = folder.join("back");
                write(&part, &fs::read(folder.join(format!("old-{name}")))?)?;
                fs::rename(&part, path)?;
            }
        }
        sync(&target)?;
        fs::remove_file(folder.join(JOURNAL))
    }

    /// Removes the folder, once the removal of its journal is on disk: a journal that returned after a power
    /// failure would ask for missing copies.
    fn clear(&self) -> Result<()> {
        let folder = self.folder();
        match sync(&folder).and_then(|()| fs::remove_dir_all(&folder)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(Problem::at(&folder, "remove", &e))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for ReplacementTransaction {
    fn drop(&mut self) {
        // With a journal, the folder contains the files for the next run.
        if !self.folder().join(JOURNAL).exists() {
            // The next run removes the remainder.
            let _ = self.clear();
        }
    }
}

/// The journal's value instead of a checksum if there was no file.
const ABSENT: &str = "-";

/// A line of the journal: the checksums of a file before and after, and its name.
struct Entry<'a> {
    old: &'a str,
    new: &'a str,
    name: &'a str,
}

impl<'a> Entry<'a> {
    fn parse(line: &'a str) -> io::Result<Self> {
        let mut parts = line.splitn(3, ' ');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(old), Some(new), Some(name)) => Ok(Self { old, new, name }),
            _ => Err(invalid(format!("invalid line in its journal: `{line}`"))),
        }
    }

    /// Returns whether the file is in its old or new state, and its copy is intact.
    fn check(&self, folder: &Path, target: &Path) -> io::Result<()> {
        let Self { old, new, name } = self;
        let checksum = |path: &Path| {
            Ok::<_, io::Error>(content(path)?.map_or(ABSENT.to_owned(), |it| sha256(&it)))
        };
        let now = checksum(&target.join(name))?;
        if now != *old && now != *new {
            return Err(invalid(format!(
                "{TARGET}/{name} was changed since; save the parts that you need, then restore it \
                 (`git checkout {TARGET}/{name}`), or remove {FOLDER} to leave all of {TARGET}/ \
                 unchanged"
            )));
        }
        let copy = folder.join(format!("old-{name}"));
        if *old != ABSENT && checksum(&copy)? != *old {
            return Err(invalid(format!(
                "{} was modified and is no longer the copy of {TARGET}/{name}; restore {TARGET}/ \
                 (`git checkout {TARGET}`) and remove {FOLDER}",
                copy.display()
            )));
        }
        Ok(())
    }
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// The content of a file, if it exists.
fn content(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Writes a file and syncs it to disk.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::write(path, bytes)?;
    sync(path)
}

/// Waits until a file, or the names in a folder, are on disk.
fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
