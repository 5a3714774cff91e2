//! The decision whether an opened file or folder is used.

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
    /// Root, and this process does not run as root.
    Root,
    Other(u32),
}

/// The properties of a file or folder that are checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) kind: Kind,
    pub(super) owner: Owner,
    /// Whether root runs this process. `Owner::Root` is then `Owner::ThisUser`.
    pub(super) is_root: bool,
    /// Whether a file system is mounted at this folder.
    pub(super) is_volume: bool,
    /// The permission bits, with the sticky bit. On systems without them, this user's alone.
    pub(super) mode: u32,
    /// The number of hard links. Zero if it was removed meanwhile.
    pub(super) links: u64,
}

/// The origin of a folder, which decides whether its mode is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FolderRole {
    /// The application or the operator chose it. Other programs can depend on its mode, which is not changed.
    Given,
    /// The library created it for its own files.
    Own,
}

/// The object to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    File,
    Folder(FolderRole),
}

/// Whether the owners and modes of files and folders are checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Permissions {
    #[default]
    Checked,
    /// The application trusts them, since the file system does not show the real ones.
    Trusted,
}

impl Permissions {
    pub(crate) fn trusted(trusted: bool) -> Self {
        if trusted { Self::Trusted } else { Self::Checked }
    }
}

/// The decision on a file or a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Use,
    /// It is used with a warning.
    Warn,
    /// It is used after its mode is repaired.
    Restrict,
    Reject(Problem),
}

pub(super) const GROUP_AND_OTHERS: u32 = 0o077;
pub(super) const WRITABLE_BY_OTHERS: u32 = 0o022;
const WRITABLE_BY_ALL: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Decides whether a folder is used.
pub(super) fn folder_verdict(facts: &Facts, role: FolderRole, permissions: Permissions) -> Verdict {
    match role {
        _ if facts.kind != Kind::Folder => Verdict::Reject(Problem::NotAFolder),
        _ if permissions == Permissions::Trusted => Verdict::Use,
        FolderRole::Given => given_folder_verdict(facts),
        FolderRole::Own => own_folder_verdict(facts),
    }
}

/// Any user with write access to the folder can replace a file of this user. The replacement belongs to the other user,
/// and is rejected for that.
fn given_folder_verdict(facts: &Facts) -> Verdict {
    let mode = facts.mode;
    match facts.owner {
        // Root has write access to the folders of all users, such as a volume of the host. Its files belong to root.
        Owner::Other(owner) if !facts.is_root => Verdict::Reject(Problem::Owner(owner)),
        _ if !facts.is_open() => Verdict::Use,
        // This user cannot restrict a volume, such as the `emptyDir` of a pod. In another folder, each user of the
        // machine could replace a file of this user with an older one.
        Owner::Root if facts.is_open_to_all_users() && facts.is_volume => Verdict::Warn,
        Owner::Root if facts.is_open_to_all_users() => Verdict::Reject(Problem::FolderOpen(mode)),
        Owner::Root => Verdict::Use,
        // A restriction by root would not last either.
        Owner::ThisUser if facts.is_root && facts.is_volume => Verdict::Warn,
        _ if facts.is_open_to_all_users() => Verdict::Reject(Problem::FolderOpen(mode)),
        Owner::ThisUser | Owner::Other(_) => Verdict::Warn,
    }
}

fn own_folder_verdict(facts: &Facts) -> Verdict {
    match facts.owner {
        Owner::Other(owner) => Verdict::Reject(Problem::OwnFolderOwner(owner)),
        Owner::ThisUser if facts.is_open() => Verdict::Restrict,
        Owner::Root if facts.is_open_to_all_users() => {
            Verdict::Reject(Problem::FolderOpen(facts.mode))
        }
        Owner::ThisUser | Owner::Root => Verdict::Use,
    }
}

impl Facts {
    /// Returns whether users other than the folder's owner can remove files of this user.
    fn is_open(&self) -> bool {
        self.mode & WRITABLE_BY_OTHERS != 0 && self.mode & STICKY == 0
    }

    fn is_open_to_all_users(&self) -> bool {
        self.is_open() && self.mode & WRITABLE_BY_ALL != 0
    }
}

/// Decides whether a file is used.
pub(super) fn file_verdict(facts: &Facts, role: FileRole, permissions: Permissions) -> Verdict {
    let mode = facts.mode;
    match facts.owner {
        _ if facts.kind != Kind::File => Verdict::Reject(Problem::NotAFile),
        _ if facts.links > 1 && permissions == Permissions::Trusted => {
            Verdict::Reject(Problem::HardLink(facts.links))
        }
        _ if permissions == Permissions::Trusted => Verdict::Use,
        Owner::Root => Verdict::Reject(Problem::Owner(0)),
        Owner::Other(owner) => Verdict::Reject(Problem::Owner(owner)),
        Owner::ThisUser if facts.links > 1 => Verdict::Reject(Problem::HardLink(facts.links)),
        Owner::ThisUser if mode & WRITABLE_BY_ALL != 0 && !role.shows_changes() => {
            Verdict::Reject(Problem::FileOpen(mode))
        }
        Owner::ThisUser if mode & GROUP_AND_OTHERS != 0 => Verdict::Restrict,
        Owner::ThisUser => Verdict::Use,
    }
}

/// Returns the reason for which a file or folder cannot be opened, if that is the file or folder itself.
pub(super) fn obstacle(facts: &Facts, expected: Expected, is_denied: bool) -> Option<Problem> {
    /// Access for reading and writing, and for a folder, searching.
    const OWNER: u32 = 0o600;
    let (kind, of_owner, of_kind): (_, fn(u32) -> Problem, _) = match expected {
        Expected::File => (Kind::File, Problem::Owner, Problem::NotAFile),
        Expected::Folder(FolderRole::Given) => (Kind::Folder, Problem::Owner, Problem::NotAFolder),
        Expected::Folder(FolderRole::Own) => {
            (Kind::Folder, Problem::OwnFolderOwner, Problem::NotAFolder)
        }
    };
    match facts.owner {
        _ if facts.kind == Kind::Link => Some(Problem::Link),
        _ if facts.kind != kind => Some(of_kind),
        Owner::Root if is_denied => Some(of_owner(0)),
        Owner::Other(owner) if is_denied => Some(of_owner(owner)),
        Owner::ThisUser if is_denied && facts.mode & OWNER != OWNER => {
            Some(Problem::Inaccessible(facts.mode))
        }
        _ => None,
    }
}
