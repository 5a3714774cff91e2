//! Why a file or a folder is not used.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::{Permissions, octal};

/// A file or folder that is not used, and why.
#[derive(Debug)]
pub(crate) struct Fault {
    path: PathBuf,
    problem: Problem,
    permissions: Permissions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    Link,
    NotAFile,
    NotAFolder,
    /// With the id of the user that it belongs to.
    Owner(u32),
    /// The same for a folder that the library creates for itself.
    OwnFolderOwner(u32),
    /// With its mode.
    FileOpen(u32),
    FolderOpen(u32),
    /// It belongs to this user, whom its mode keeps out.
    Inaccessible(u32),
    /// With the number of its names.
    HardLink(u64),
}

/// Returns the fault that this error stands for.
pub(crate) fn fault(error: &io::Error) -> Option<&Fault> {
    error.get_ref()?.downcast_ref()
}

impl Fault {
    pub(super) fn new(path: PathBuf, problem: Problem) -> Self {
        Self { path, problem, permissions: Permissions::Checked }
    }

    /// Sets whether the application already trusts owners and modes.
    pub(super) fn with_permissions(self, permissions: Permissions) -> Self {
        Self { permissions, ..self }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns advice for the operator.
    pub(crate) fn advice(&self) -> &'static str {
        match self.problem {
            Problem::Link => "name what the link points to, or remove the link",
            Problem::NotAFile => "name another file, or remove what is there",
            Problem::NotAFolder => "name another folder",
            Problem::Owner(_) | Problem::OwnFolderOwner(_)
                if self.permissions == Permissions::Trusted =>
            {
                "let the user of this process read and write it, or remove it: trusted permissions are \
                 not changed, and the file system refused the access"
            }
            Problem::Owner(_) => {
                "find out who put it there, then remove it or change its owner to the user of this \
                 process; if the file system has no owners of its own, build with \
                 trust_file_permissions(true)"
            }
            Problem::OwnFolderOwner(_) => {
                "find out who put it there, then remove it, or give it and all that is in it to the user of \
                 this process (chown -R); if the file system has no owners of its own, build with \
                 trust_file_permissions(true)"
            }
            Problem::Inaccessible(_) => "let its owner read and write it",
            Problem::FileOpen(_) => {
                "other users could have changed it: remove it, or restrict its mode to 0600 if it is \
                 still right"
            }
            Problem::FolderOpen(_) => {
                "restrict its mode to 0755 or less, or name a folder in it that does not exist yet, which is \
                 created for this user alone; if the file system has no modes of its own, build with \
                 trust_file_permissions(true)"
            }
            Problem::HardLink(_) => "remove its other names, or copy it and remove the original",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.problem {
            Problem::Link => write!(f, "{path} is a symbolic link"),
            Problem::NotAFile => write!(f, "{path} is not a regular file"),
            Problem::NotAFolder => write!(f, "{path} is not a folder"),
            Problem::Owner(owner) | Problem::OwnFolderOwner(owner) => {
                write!(f, "{path} belongs to the user {owner}, not to the user of this process")
            }
            Problem::FileOpen(mode) | Problem::FolderOpen(mode) => {
                write!(f, "{path} has the mode {}: other users can write to it", octal(mode))
            }
            Problem::Inaccessible(mode) => {
                write!(f, "{path} has the mode {}: its owner cannot use it", octal(mode))
            }
            Problem::HardLink(links) => write!(f, "{path} has {links} names (hard links)"),
        }
    }
}

impl std::error::Error for Fault {}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        Self::other(fault)
    }
}
