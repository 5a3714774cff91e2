//! Systems other than Unix: names are looked up by path, and the folder's access control list protects its files.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Access;
use super::verdict::{Facts, Kind, Owner};

/// The path of a folder that exists.
#[derive(Debug)]
pub(super) struct Directory(PathBuf);

impl Directory {
    /// Opens the folder at this path. Links are followed.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::checked(path.to_owned(), &fs::metadata(path)?)
    }

    /// Opens a folder in this one. A link is not followed.
    pub(super) fn open_directory(&self, name: &OsStr) -> io::Result<Self> {
        let path = self.0.join(name);
        let metadata = fs::symlink_metadata(&path)?;
        Self::checked(path, &metadata)
    }

    fn checked(path: PathBuf, metadata: &Metadata) -> io::Result<Self> {
        match kind(metadata) {
            Kind::Folder => Ok(Self(path)),
            _ => Err(ErrorKind::NotADirectory.into()),
        }
    }

    /// Creates a folder in this one, unless the name exists.
    pub(super) fn create_directory(&self, name: &OsStr) -> io::Result<()> {
        match fs::create_dir(self.0.join(name)) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            outcome => outcome,
        }
    }

    pub(super) fn open_file(&self, name: &OsStr, access: Access) -> io::Result<File> {
        // Only a user with write access to the folder can exchange the file after this check.
        match self.facts_of(name).map(|facts| facts.kind) {
            Ok(Kind::File) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Ok(_) => return Err(ErrorKind::InvalidInput.into()),
            Err(error) => return Err(error),
        }
        let mut options = OpenOptions::new();
        match access {
            Access::Read => options.read(true),
            Access::Write => options.read(true).write(true),
            Access::Create => options.read(true).write(true).create(true).truncate(false),
            Access::CreateNew => options.write(true).create_new(true),
        };
        options.open(self.0.join(name))
    }

    /// Returns the properties of the entry of this name. A link is not followed.
    pub(super) fn facts_of(&self, name: &OsStr) -> io::Result<Facts> {
        Ok(facts_from(&fs::symlink_metadata(self.0.join(name))?))
    }

    /// Returns when the entry of this name last changed.
    pub(super) fn changed_at(&self, name: &OsStr) -> io::Result<SystemTime> {
        fs::symlink_metadata(self.0.join(name))?.modified()
    }

    pub(super) fn rename(&self, from: &OsStr, folder: &Self, to: &OsStr) -> io::Result<()> {
        fs::rename(self.0.join(from), folder.0.join(to))
    }

    pub(super) fn remove(&self, name: &OsStr) -> io::Result<()> {
        fs::remove_file(self.0.join(name))
    }

    pub(super) fn remove_directory(&self, name: &OsStr) -> io::Result<()> {
        fs::remove_dir(self.0.join(name))
    }

    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    /// The name of an open file is not reused on these systems.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self, reason = "it is so on Unix")]
    pub(super) fn has(&self, _: &OsStr, _: &File) -> io::Result<bool> {
        Ok(true)
    }

    /// A rename is durable when it returns.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self, reason = "it is so on Unix")]
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    #[allow(clippy::unnecessary_wraps, clippy::unused_self, reason = "it is so on Unix")]
    pub(super) fn facts(&self) -> io::Result<Facts> {
        Ok(facts_with(Kind::Folder))
    }

    #[allow(clippy::unnecessary_wraps, clippy::unused_self, reason = "it is so on Unix")]
    pub(super) fn set_mode(&self, _: u32) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn facts(file: &File) -> io::Result<Facts> {
    Ok(facts_from(&file.metadata()?))
}

pub(super) fn facts_from(metadata: &Metadata) -> Facts {
    facts_with(kind(metadata))
}

fn facts_with(kind: Kind) -> Facts {
    let (owner, is_root, is_volume) = (Owner::ThisUser, false, false);
    Facts { kind, owner, is_root, is_volume, mode: 0o600, links: 1 }
}

#[allow(clippy::unnecessary_wraps, reason = "it is so on Unix")]
pub(super) fn set_mode(_: &File, _: u32) -> io::Result<()> {
    Ok(())
}

fn kind(metadata: &Metadata) -> Kind {
    if metadata.is_file() {
        Kind::File
    } else if metadata.is_dir() {
        Kind::Folder
    } else if metadata.is_symlink() {
        Kind::Link
    } else {
        Kind::Special
    }
}
