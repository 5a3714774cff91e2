//! Whether an opened file or folder is used.

use super::FileRole;
use super::fault::Problem;

/// The type of an entry of a folder, or of an opened file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    Link,
    /// A FIFO, a socket or a device.
    Special,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(unix), allow(dead_code, reason = "owners are known on Unix only"))]
pub(super) enum Owner {
    /// The effective user of this process.
    ThisUser,
    /// Root, and this process is not root's.
    Root,
    Other(u32),
}

/// The properties of an opened file or folder that are checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) kind: Kind,
    pub(super) owner: Owner,
    /// The permission bits, with the sticky bit. Zero on systems without them.
    pub(super) mode: u32,
    /// The number of its names. Zero if it was removed meanwhile.
    pub(super) links: u64,
}

/// The decision on a file or a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Use,
    /// It is used after its mode is repaired.
    Restrict,
    Refuse(Problem),
}

pub(super) const GROUP_AND_OTHERS: u32 = 0o077;
pub(super) const WRITABLE_BY_OTHERS: u32 = 0o022;
const WRITABLE_BY_EVERYONE: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Decides whether a folder is used.
pub(super) fn folder_verdict(facts: &Facts) -> Verdict {
    let mode = facts.mode;
    let is_open = mode & WRITABLE_BY_OTHERS != 0 && mode & STICKY == 0;
    match facts.owner {
        _ if facts.kind != Kind::Folder => Verdict::Refuse(Problem::NotAFolder),
        Owner::Other(owner) => Verdict::Refuse(Problem::Owner(owner)),
        Owner::ThisUser if is_open => Verdict::Restrict,
        Owner::Root if is_open && mode & WRITABLE_BY_EVERYONE != 0 => {
            Verdict::Refuse(Problem::FolderOpen(mode))
        }
        Owner::ThisUser | Owner::Root => Verdict::Use,
    }
}

/// Decides whether a file is used.
pub(super) fn file_verdict(facts: &Facts, role: FileRole) -> Verdict {
    let mode = facts.mode;
    match facts.owner {
        _ if facts.kind != Kind::File => Verdict::Refuse(Problem::NotAFile),
        Owner::Root => Verdict::Refuse(Problem::Owner(0)),
        Owner::Other(owner) => Verdict::Refuse(Problem::Owner(owner)),
        Owner::ThisUser if facts.links > 1 => Verdict::Refuse(Problem::HardLink(facts.links)),
        Owner::ThisUser if mode & WRITABLE_BY_OTHERS != 0 && !role.shows_changes() => {
            Verdict::Refuse(Problem::FileOpen(mode))
        }
        Owner::ThisUser if mode & GROUP_AND_OTHERS != 0 => Verdict::Restrict,
        Owner::ThisUser => Verdict::Use,
    }
}
