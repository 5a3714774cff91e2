//! Replaces several files together or not at all, whatever happens between.
//!
//! Everything is written and synced in a folder beside `openapi/`, the files
//! that are to go are copied there, and then a journal says that it begins. Who
//! finds a journal, at the start of the next run, puts the copies back; unless
//! somebody has changed a file since, which the checksums in the journal tell.
//! The last step takes the journal away, and only then has the refresh happened.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::build::verify::sha256;
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

    /// Replaces the files of `openapi/` that are not as given.
    pub fn replace(self, files: &[(&str, Vec<u8>)]) -> Result<()> {
        self.replace_watched(files, &mut |_| {})
    }

    /// Does the same, and calls `watch` with how many files are replaced, from none to all. For
    /// tests, which end the process there.
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
        // Files that are left over are taken away by the next run.
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

    /// All that can go wrong for want of space goes wrong here.
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

    /// Makes everything as it was before the journal. May be cut off itself.
    fn put_back(&self) -> io::Result<()> {
        let (folder, target) = (self.folder(), self.root.join(TARGET));
        let journal = fs::read_to_string(folder.join(JOURNAL))?;
        let entries: Vec<Entry> = journal.lines().map(Entry::parse).collect::<io::Result<_>>()?;
        // Before anything is put back, since it is all or none.
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

    /// Takes the folder away, once it is on the disk that it has no journal: one that came back
    /// after a power failure would ask for copies that are gone.
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

impl Drop for Staging {
    fn drop(&mut self) {
        // With a journal, the folder has what the next run needs.
        if !self.folder().join(JOURNAL).exists() {
            // What is left over is taken away by the next run.
            let _ = self.clear();
        }
    }
}

/// What the journal has in the place of a checksum if there was no file.
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

    /// Whether the file is as it was before or after, and its copy is whole.
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

/// What a file has in it, if there is one.
fn content(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
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
