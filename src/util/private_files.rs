//! Files and folders that only the user of this process can change.
//!
//! Only this module opens, creates, replaces and removes the token file, the webhook journal, the values of the disk
//! store and all lock files. On Unix:
//!
//! - Files are looked up relative to the descriptor of a checked folder, and the descriptor of the
//!   opened file is checked, not its path. So no other process can exchange a file between the check
//!   and the use.
//! - A symbolic link in place of a file, or of a folder that the library created in another one, is never followed. A
//!   path that the application sets can contain links, also at its end: systemd's `StateDirectory`, `/var/run` and
//!   `/tmp` on macOS are examples. The link target is checked.
//! - Only regular files are used. Opening does not block, so a FIFO in place of a file is an error and not a hang.
//! - A file belongs to the effective user of the process, and has no second name (hard link).
//! - A folder belongs to that user or to root, since root can read and change everything anyway. If root runs the
//!   process, a folder that the application sets can belong to any user, unless all users can write to it.
//!
//! If a mode gives access to other users, it is restricted, with a warning, or the file is rejected:
//!
//! | | other users can read it | a group can write it | all users can write it |
//! |---|---|---|---|
//! | token file | repaired | repaired: it is encrypted, so that a change is detected | repaired |
//! | journal | repaired | repaired: each record is verified before it is handled | repaired |
//! | lock | repaired | repaired: it has no content | repaired |
//! | value of the disk store | repaired | repaired | rejected: a change is not detected, and a store can lose values |
//! | folder that the library created | accepted | repaired | repaired |
//! | folder of this user that the application sets | accepted | accepted with a warning | rejected |
//! | folder of root that the application sets | accepted | accepted | rejected, or a warning if a file system is mounted at it |
//! | folder of another user that the application sets, if root runs the process | accepted | accepted with a warning | rejected |
//!
//! If root runs the process, root's folders count as folders of this user. If a file system is mounted at such a
//! folder, it is accepted with a warning, whatever its mode: the `emptyDir` of a pod has the mode 0777.
//!
//! A folder with the sticky bit is accepted. A mode that a group can write to is repaired or accepted rather than
//! rejected, because some volumes widen modes at every mount (the `fsGroup` of a pod), and a service that does not
//! start is the worse outcome. Other users with write access to a folder can remove a file there, but their own file in
//! its place is rejected. The mode of a folder that the application sets never changes: it can be the working
//! directory, or one that other programs share.
//!
//! [`Permissions::Trusted`] leaves owners and modes unchecked, for file systems that do not show the real ones: CIFS
//! mounts of mode 0777 and NFS with `root_squash`. No mode is repaired then either. Files are still created with the
//! mode 0600, so that a process with another user id cannot open them.
//!
//! On other systems than Unix, the access list of the folder protects its files. Only links, folders and special files
//! are rejected there.

#![cfg_attr(not(feature = "disk-store"), allow(dead_code, reason = "a disk store needs the rest"))]

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use tracing::warn;

use crate::util::log_limit::LogThrottle;

mod fault;
#[cfg(not(unix))]
#[path = "private_files/portable.rs"]
mod system;
#[cfg(unix)]
#[path = "private_files/unix.rs"]
mod system;
#[cfg(test)]
mod tests;
mod verdict;

pub(crate) use fault::fault;
use fault::{Fault, Problem};
use system::Directory;
use verdict::{
    Expected, Facts, GROUP_AND_OTHERS, Kind, Verdict, WRITABLE_BY_OTHERS, file_verdict,
    folder_verdict, obstacle,
};
pub(crate) use verdict::{FolderRole, Permissions};

/// The minimum interval between two warnings about one file.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// A checked folder. Its files are looked up relative to it.
#[derive(Debug)]
pub(crate) struct PrivateFolder {
    directory: Directory,
    path: PathBuf,
    permissions: Permissions,
}

/// The purpose of a file, which decides whether a mode that gives access to other users is repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileRole {
    #[cfg(feature = "encrypted-token-store")]
    TokenFile,
    #[cfg(feature = "webhooks-journal")]
    Journal,
    StoreValue,
    Lock,
}

/// The mode of opening a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// The file exists, and is read.
    Read,
    /// The file exists, and is read and written.
    Write,
    /// The file is created if it does not exist, and is read and written.
    Create,
    /// The file does not exist, and is created and written.
    CreateNew,
}

/// When a replaced file is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Some time later. A crash of the system can lose the new file.
    Deferred,
    /// Before [`PrivateFolder::replace`] returns.
    #[cfg(feature = "encrypted-token-store")]
    Synced,
}

impl Durability {
    fn finish(self, mut file: &File) -> io::Result<()> {
        match self {
            Self::Deferred => file.flush(),
            #[cfg(feature = "encrypted-token-store")]
            Self::Synced => file.sync_all(),
        }
    }
}

impl FileRole {
    /// Returns whether a change by another user is detected when the file is read.
    fn shows_changes(self) -> bool {
        self != Self::StoreValue
    }
}

impl PrivateFolder {
    /// Opens an existing folder.
    pub(crate) fn open(
        path: &Path,
        role: FolderRole,
        permissions: Permissions,
    ) -> io::Result<Self> {
        let mut path: PathBuf = path.components().collect();
        if path.as_os_str().is_empty() {
            path.push(".");
        }
        let directory = Directory::open(&path).map_err(|error| {
            // A dangling link is the actual fault.
            let found = fs::metadata(&path).or_else(|_| fs::symlink_metadata(&path));
            let facts = found.ok().map(|metadata| system::facts_from(&metadata));
            let expected = Expected::Folder(FolderRole::Given);
            explain(path.clone(), facts, expected, permissions, error)
        })?;
        Self { directory, path, permissions }.checked(role)
    }

    /// Opens a folder. Creates it and its parents if it does not exist.
    pub(crate) fn create(
        path: &Path,
        role: FolderRole,
        permissions: Permissions,
    ) -> io::Result<Self> {
        match Self::open(path, role, permissions) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            outcome => return outcome,
        }
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path)?;
        Self::open(path, role, permissions)
    }

    /// Opens a library folder in this one. Returns `None` if it does not exist and is not to be created.
    pub(crate) fn subfolder(&self, name: &str, create: bool) -> io::Result<Option<Self>> {
        let opened = match self.directory.open_directory(name.as_ref()) {
            Err(error) if create && error.kind() == ErrorKind::NotFound => {
                self.directory.create_directory(name.as_ref())?;
                self.directory.open_directory(name.as_ref())
            }
            opened => opened,
        };
        let directory = match opened {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(|error| {
                self.explain(name.as_ref(), Expected::Folder(FolderRole::Own), error)
            })?,
        };
        let (path, permissions) = (self.path.join(name), self.permissions);
        Self { directory, path, permissions }.checked(FolderRole::Own).map(Some)
    }

    /// Opens a file of this folder, and repairs its mode if other users have access.
    pub(crate) fn file(
        &self,
        name: impl AsRef<OsStr>,
        role: FileRole,
        access: Access,
    ) -> io::Result<File> {
        let name = name.as_ref();
        let file = self
            .directory
            .open_file(name, access)
            .map_err(|error| self.explain(name, Expected::File, error))?;
        self.check_file(&file, name, role)?;
        Ok(file)
    }

    /// Reads a whole file of up to this many bytes. Returns `None` if it does not exist.
    #[cfg(any(test, feature = "encrypted-token-store"))]
    pub(crate) fn read(
        &self,
        name: impl AsRef<OsStr>,
        role: FileRole,
        max_bytes: u64,
    ) -> io::Result<Option<Vec<u8>>> {
        let file = match self.file(name, role, Access::Read) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut bytes = Vec::new();
        let mut limited = io::Read::take(file, max_bytes.saturating_add(1));
        io::Read::read_to_end(&mut limited, &mut bytes)?;
        if bytes.len() as u64 > max_bytes {
            return Err(ErrorKind::FileTooLarge.into());
        }
        Ok(Some(bytes))
    }

    /// Replaces the content of a file atomically: after a crash there is either the old file or the new one, complete.
    ///
    /// The bytes are first written to the file `draft`, which only one writer can use at a time. A draft that remains
    /// after a crash is removed.
    pub(crate) fn replace(
        &self,
        name: impl AsRef<OsStr>,
        draft: impl AsRef<OsStr>,
        bytes: &[u8],
        durability: Durability,
    ) -> io::Result<()> {
        let (name, draft) = (name.as_ref(), draft.as_ref());
        self.remove(draft)?;
        self.write_temp(draft, bytes, durability)?;
        if let Err(error) = self.move_to(draft, self, name) {
            // The first error is the one to report.
            let _ = self.remove(draft);
            return Err(error);
        }
        if durability == Durability::Deferred { Ok(()) } else { self.sync() }
    }

    /// Writes a new file, which [`move_to`](Self::move_to) moves to its place later. If that fails, the file is
    /// removed.
    pub(crate) fn write_temp(
        &self,
        draft: impl AsRef<OsStr>,
        bytes: &[u8],
        durability: Durability,
    ) -> io::Result<()> {
        let draft = draft.as_ref();
        let mut file = self.directory.open_file(draft, Access::CreateNew)?;
        let written = file.write_all(bytes).and_then(|()| durability.finish(&file));
        drop(file);
        if written.is_err() {
            let _ = self.remove(draft);
        }
        written
    }

    /// Moves a file of this folder to this name in another one, or in this one. It replaces a file that has the
    /// name.
    pub(crate) fn move_to(
        &self,
        draft: impl AsRef<OsStr>,
        folder: &Self,
        name: impl AsRef<OsStr>,
    ) -> io::Result<()> {
        self.directory.rename(draft.as_ref(), &folder.directory, name.as_ref())
    }

    /// Removes a file. A missing file is not an error.
    pub(crate) fn remove(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        match self.directory.remove(name.as_ref()) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            outcome => outcome,
        }
    }

    /// Removes a file if it still has this name. Returns whether it had.
    ///
    /// Only a caller that prevents a replacement of the file knows that the right file is removed.
    #[cfg(any(test, feature = "encrypted-token-store"))]
    pub(crate) fn remove_opened(&self, name: impl AsRef<OsStr>, file: &File) -> io::Result<bool> {
        let name = name.as_ref();
        let is_there = self.is_current_name(name, file)?;
        if is_there {
            self.remove(name)?;
        }
        Ok(is_there)
    }

    /// Removes a file, a link or a folder of this name. A folder that is not empty is renamed instead.
    pub(crate) fn discard(&self, name: &str) -> io::Result<()> {
        let Err(error) = self.remove(name) else { return Ok(()) };
        if self.directory.facts_of(name.as_ref())?.kind != Kind::Folder {
            return Err(error);
        }
        if self.directory.remove_directory(name.as_ref()).is_ok() {
            return Ok(());
        }
        let aside = format!("{name}.discarded-{}", crate::util::ids::unique_id());
        self.directory.rename(name.as_ref(), &self.directory, aside.as_ref())
    }

    /// Removes a folder in this one with all of its content. Links in it are removed and not followed.
    pub(crate) fn remove_tree(&self, name: &str) -> io::Result<()> {
        fs::remove_dir_all(self.path.join(name))
    }

    /// Returns the lengths of the entries of a folder in this one, as far as this user can list it. Folders in it
    /// are not entered.
    pub(crate) fn lengths_in(&self, name: &str) -> Vec<u64> {
        let entries = fs::read_dir(self.path.join(name)).into_iter().flatten().flatten();
        entries.map(|entry| entry.metadata().map_or(0, |metadata| metadata.len())).collect()
    }

    /// Returns when the entry of this name last changed, for any owner. A folder changes when a file is moved into it.
    pub(crate) fn changed_at(&self, name: &str) -> io::Result<SystemTime> {
        self.directory.changed_at(name.as_ref())
    }

    /// Returns whether a folder in this one visibly contains an entry of this name. The folder can belong to another
    /// user.
    pub(crate) fn sees_entry(&self, folder: &str, name: &str) -> bool {
        let folder = self.directory.open_directory(folder.as_ref());
        folder.and_then(|folder| folder.facts_of(name.as_ref())).is_ok()
    }

    /// Returns the names in this folder, without those that are not Unicode.
    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        self.directory.names()
    }

    /// Returns whether this name is still that of the opened file.
    pub(crate) fn is_current_name(&self, name: impl AsRef<OsStr>, file: &File) -> io::Result<bool> {
        self.directory.has(name.as_ref(), file)
    }

    /// Waits until the names in this folder are durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        match self.directory.sync() {
            // Some network file systems cannot; they write names at once.
            Err(error)
                if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) =>
            {
                Ok(())
            }
            outcome => outcome,
        }
    }

    fn checked(self, role: FolderRole) -> io::Result<Self> {
        let facts = self.directory.facts()?;
        let reject = |problem| Err(Fault::new(self.path.clone(), problem).into());
        match folder_verdict(&facts, role, self.permissions) {
            Verdict::Use => {}
            Verdict::Reject(problem) => return reject(problem),
            Verdict::Warn => warn_shared(&self.path, facts.mode),
            Verdict::Restrict => {
                // The resulting mode decides, not the result of the call.
                let _ = self.directory.set_mode(facts.mode & !WRITABLE_BY_OTHERS);
                if self.directory.facts()?.mode & WRITABLE_BY_OTHERS != 0 {
                    return reject(Problem::FolderOpen(facts.mode));
                }
                warn_restricted(&self.path, facts.mode);
            }
        }
        Ok(self)
    }

    fn check_file(&self, file: &File, name: &OsStr, role: FileRole) -> io::Result<()> {
        let facts = system::facts(file)?;
        let reject = |problem| Err(Fault::new(self.path.join(name), problem).into());
        match file_verdict(&facts, role, self.permissions) {
            Verdict::Use | Verdict::Warn => return Ok(()),
            Verdict::Reject(problem) => return reject(problem),
            Verdict::Restrict => {}
        }
        // The resulting mode decides, not the result of the call.
        let _ = system::set_mode(file, facts.mode & !GROUP_AND_OTHERS);
        let mode = system::facts(file)?.mode;
        if mode & WRITABLE_BY_OTHERS != 0 {
            return reject(Problem::FileOpen(mode));
        }
        let path = self.path.join(name);
        if mode & GROUP_AND_OTHERS == 0 {
            warn_restricted(&path, facts.mode);
        } else if should_warn(&path) {
            warn!(path = %path.display(), mode = %octal(mode), "file is readable by other users");
        }
        Ok(())
    }

    fn explain(&self, name: &OsStr, expected: Expected, error: io::Error) -> io::Error {
        let (path, found) = (self.path.join(name), self.directory.facts_of(name).ok());
        explain(path, found, expected, self.permissions, error)
    }
}

/// Replaces an operating system error with its cause, if the file itself is at fault: another file type, or no access
/// for this user.
fn explain(
    path: PathBuf,
    found: Option<Facts>,
    expected: Expected,
    permissions: Permissions,
    error: io::Error,
) -> io::Error {
    let is_denied = error.kind() == ErrorKind::PermissionDenied;
    match found.and_then(|facts| obstacle(&facts, expected, is_denied)) {
        Some(problem) => Fault::new(path, problem).with_permissions(permissions).into(),
        None => error,
    }
}

/// Returns whether a warning about this file is due: at most one a minute.
pub(crate) fn should_warn(path: &Path) -> bool {
    static WARNED: LazyLock<LogThrottle> = LazyLock::new(|| LogThrottle::new(WARNING_INTERVAL));
    WARNED.is_due(&path.to_string_lossy())
}

/// Warns that the owners and modes of the files at this path are not checked, once per process.
pub(crate) fn warn_if_trusted(path: &Path, permissions: Permissions) {
    static WARNED: LazyLock<LogThrottle> = LazyLock::new(|| LogThrottle::new(Duration::MAX));
    if permissions == Permissions::Trusted && WARNED.is_due(&path.to_string_lossy()) {
        warn!(path = %path.display(), "file permissions trusted; owners and modes are not checked");
    }
}

/// Warns about a folder whose mode is unchanged, once per process.
fn warn_shared(path: &Path, mode: u32) {
    static WARNED: LazyLock<LogThrottle> = LazyLock::new(|| LogThrottle::new(Duration::MAX));
    if WARNED.is_due(&path.to_string_lossy()) {
        warn!(
            path = %path.display(),
            mode = %octal(mode),
            "folder is writable by other users"
        );
    }
}

fn warn_restricted(path: &Path, mode: u32) {
    if should_warn(path) {
        warn!(
            path = %path.display(),
            mode = %octal(mode),
            "accessible to other users; permissions restricted"
        );
    }
}

fn octal(mode: u32) -> String {
    format!("{:04o}", mode & 0o7777)
}
