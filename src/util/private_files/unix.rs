//! Unix: names are looked up relative to an open folder.

use std::ffi::OsStr;
use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::Access;
use super::verdict::{Facts, Kind, Owner};

/// An open folder.
#[derive(Debug)]
pub(super) struct Directory(File);

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Directory {
    /// Opens the folder at this path. Links are followed.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::open(path, FOLDER, Mode::empty())?.into()))
    }

    /// Opens a folder in this one. A link is not followed.
    pub(super) fn open_directory(&self, name: &OsStr) -> io::Result<Self> {
        let flags = FOLDER | OFlags::NOFOLLOW;
        Ok(Self(rustix::fs::openat(&self.0, name, flags, Mode::empty())?.into()))
    }

    /// Creates a folder in this one, unless the name exists.
    pub(super) fn create_directory(&self, name: &OsStr) -> io::Result<()> {
        match rustix::fs::mkdirat(&self.0, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn open_file(&self, name: &OsStr, access: Access) -> io::Result<File> {
        // Without NONBLOCK, opening a FIFO waits for its other end.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let access = match access {
            Access::Read => OFlags::RDONLY,
            Access::Write => OFlags::RDWR,
            Access::Create => OFlags::RDWR | OFlags::CREATE,
            Access::CreateNew => OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL,
        };
        let mode = Mode::RUSR | Mode::WUSR;
        Ok(rustix::fs::openat(&self.0, name, flags | access, mode)?.into())
    }

    /// Returns the properties of the entry of this name. A link is not followed.
    pub(super) fn facts_of(&self, name: &OsStr) -> io::Result<Facts> {
        let found = rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = match FileType::from_raw_mode(found.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Folder,
            FileType::Symlink => Kind::Link,
            _ => Kind::Special,
        };
        #[allow(clippy::useless_conversion, reason = "the types differ between systems")]
        let (mode, links) = (u32::from(found.st_mode), found.st_nlink.into());
        Ok(facts_with(kind, found.st_uid, mode, links))
    }

    /// Returns when the entry of this name last changed, rounded up to a second.
    pub(super) fn changed_at(&self, name: &OsStr) -> io::Result<SystemTime> {
        let found = rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let seconds = u64::try_from(found.st_ctime).unwrap_or_default().saturating_add(1);
        let changed = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        changed.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    pub(super) fn rename(&self, from: &OsStr, folder: &Self, to: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, from, &folder.0, to)?)
    }

    pub(super) fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    pub(super) fn remove_directory(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
    }

    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_str();
            names.extend(name.ok().filter(|name| !matches!(*name, "." | "..")).map(str::to_owned));
        }
        Ok(names)
    }

    pub(super) fn has(&self, name: &OsStr, file: &File) -> io::Result<bool> {
        use std::os::fd::AsFd;

        let there = match rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(false),
            found => found?,
        };
        let file = rustix::fs::fstat(file.as_fd())?;
        Ok((file.st_dev, file.st_ino) == (there.st_dev, there.st_ino))
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    pub(super) fn facts(&self) -> io::Result<Facts> {
        Ok(Facts { is_volume: self.is_volume(), ..facts(&self.0)? })
    }

    /// Returns whether this is the root of a file system that is mounted in another one.
    fn is_volume(&self) -> bool {
        let device_of = |name| {
            let found = rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW);
            found.ok().map(|found| found.st_dev)
        };
        let (own, above) = (device_of("."), device_of(".."));
        own.is_some() && above.is_some() && own != above
    }

    pub(super) fn set_mode(&self, mode: u32) -> io::Result<()> {
        set_mode(&self.0, mode)
    }
}

pub(super) fn facts(file: &File) -> io::Result<Facts> {
    Ok(facts_from(&file.metadata()?))
}

pub(super) fn facts_from(metadata: &Metadata) -> Facts {
    facts_with(kind(metadata), metadata.uid(), metadata.mode(), metadata.nlink())
}

fn facts_with(kind: Kind, owner: u32, mode: u32, links: u64) -> Facts {
    let user = rustix::process::geteuid();
    let owner = match owner {
        owner if owner == user.as_raw() => Owner::ThisUser,
        0 => Owner::Root,
        owner => Owner::Other(owner),
    };
    let (is_root, mode) = (user.is_root(), mode & 0o7777);
    Facts { kind, owner, is_root, is_volume: false, mode, links }
}

pub(super) fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(mode))
}

fn kind(metadata: &Metadata) -> Kind {
    let kind = metadata.file_type();
    if kind.is_file() {
        Kind::File
    } else if kind.is_dir() {
        Kind::Folder
    } else if kind.is_symlink() {
        Kind::Link
    } else {
        Kind::Special
    }
}
