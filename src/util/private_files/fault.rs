//! Reasons for the rejection of a file or a folder.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::{Permissions, octal};

/// A rejected file or folder, and the reason.
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
    /// With the user id of the owner.
    Owner(u32),
    /// The same for a folder that the library creates for itself.
    OwnFolderOwner(u32),
    /// With the permission bits.
    FileOpen(u32),
    FolderOpen(u32),
    /// It belongs to this user, and its mode denies access.
    Inaccessible(u32),
    /// With the number of hard links.
    HardLink(u64),
}

/// Returns the fault that this error represents.
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
            Problem::Link => "use the path that the link points to, or remove the link",
            Problem::NotAFile => "use another path, or remove the existing entry",
            Problem::NotAFolder => "use another folder",
            Problem::Owner(_) | Problem::OwnFolderOwner(_)
                if self.permissions == Permissions::Trusted =>
            {
                "grant the user of this process read and write access, or remove it; trusted \
                 permissions are not changed"
            }
            Problem::Owner(_) => {
                "find out which user created it, then remove it or change its owner to the user of \
                 this process; if the file system does not support owners, build with \
                 trust_file_permissions(true)"
            }
            Problem::OwnFolderOwner(_) => {
                "find out which user created it, then remove it, or change the owner of it and its \
                 content to the user of this process (chown -R); if the file system does not \
                 support owners, build with trust_file_permissions(true)"
            }
            Problem::Inaccessible(_) => "grant its owner read and write access",
            Problem::FileOpen(_) => {
                "other users could have modified it: remove it, or restrict its mode to 0600 if \
                 its content is still correct"
            }
            Problem::FolderOpen(_) => {
                "restrict its mode to 0755 or less, or use a subfolder that does not exist yet, \
                 which is created for this user only; if the file system does not support modes, \
                 build with trust_file_permissions(true)"
            }
            Problem::HardLink(_) => {
                "remove its other hard links, or copy it and remove the original"
            }
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
            Problem::HardLink(links) => write!(f, "{path} has {links} hard links"),
        }
    }
}

impl std::error::Error for Fault {}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        Self::other(fault)
    }
}
