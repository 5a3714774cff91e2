//! The folder of the store: the values in it, one at a time.

use std::fs::File;
use std::io::{self, ErrorKind as IoErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use tracing::warn;

use super::value::{self, Value};
use crate::names::hex;
use crate::private_files::{
    Access, Durability, FileRole, FolderRole, Permissions, PrivateFolder, fault, is_warning_due,
};
use crate::store::unreadable::TOO_LARGE;

#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) max_bytes: u64,
    pub(super) permissions: Permissions,
    /// What this process has written since it looked at how much there is.
    pub(super) written: AtomicU64,
    /// Whether a task makes room.
    pub(super) clearing: AtomicBool,
}

/// Of the bound: so much may be written before somebody looks.
const LOOK_AFTER: u64 = 16;
/// What is used is marked as such no more often.
const TOUCHED_AFTER: Duration = Duration::from_secs(60 * 60);
/// As many values of a folder that is replaced are known to have been there.
const MAX_LOST: usize = 100_000;

/// A value that is there and cannot be read, and why.
#[derive(Debug)]
pub(super) struct Damaged(pub(super) &'static str);

pub(super) type Found = std::result::Result<Option<Value>, Damaged>;

impl Folder {
    /// The value of a key; one that is damaged is not there.
    pub(super) fn get(&self, key: &str) -> io::Result<Option<Value>> {
        Ok(self.find(key)?.unwrap_or_default())
    }

    /// The value of a key, or that there is one that cannot be read. That one is left as it is.
    pub(super) fn find(&self, key: &str) -> io::Result<Found> {
        self.find_within(key, self.max_bytes)
    }

    /// The same, where a value of more than so many bytes cannot be read.
    pub(super) fn find_within(&self, key: &str, max_bytes: u64) -> io::Result<Found> {
        let (shard, name) = match self.existing(key)? {
            Ok(Some(existing)) => existing,
            Ok(None) => return Ok(Ok(None)),
            Err(problem) => return Ok(Err(problem)),
        };
        let mut file = match shard.file(&name, FileRole::StoreValue, Access::Read) {
            Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(Ok(None)),
            Err(error) if fault(&error).is_some() => {
                warn_not_trusted(&error);
                return Ok(Err(Damaged("not trusted")));
            }
            opened => opened?,
        };
        let metadata = file.metadata()?;
        let others = value::HEADER.saturating_add(key.len()) as u64;
        let most = max_bytes.saturating_add(others);
        if metadata.len() > most {
            return Ok(Err(Damaged(TOO_LARGE)));
        }
        let mut bytes = Vec::new();
        file.by_ref().take(most).read_to_end(&mut bytes)?;
        let Some(value) = Value::decode(&bytes, key) else { return Ok(Err(Damaged("damaged"))) };
        let value = Some(value).filter(|value| value.until > now());
        let since = metadata.modified().ok().and_then(|used| used.elapsed().ok());
        if value.is_some() && since.is_some_and(|since| since > TOUCHED_AFTER) {
            // If it can not be, it goes earlier than it might.
            let _ = shard
                .file(&name, FileRole::StoreValue, Access::Write)
                .and_then(|file| file.set_modified(SystemTime::now()));
        }
        Ok(Ok(value))
    }

    pub(super) fn put(&self, key: &str, value: &[u8], until: u64) -> io::Result<()> {
        // Else what was removed at the same time could be this one.
        let lock = self.lock()?;
        self.put_locked(&lock, key, value, until)
    }

    fn put_locked(&self, _: &Lock, key: &str, value: &[u8], until: u64) -> io::Result<()> {
        let bytes = value::encode(key, value, until);
        if bytes.len() as u64 > self.max_bytes {
            return self.remove(key);
        }
        let root = self.create_root()?;
        let (shard, name) = place(key);
        let shard = match root.subfolder(&shard, true) {
            Err(error) if fault(&error).is_some() => replace_shard(&root, &shard, &error)?,
            opened => opened?,
        };
        let shard = shard.ok_or(IoErrorKind::NotFound)?;
        let draft = draft()?;
        let replace = || shard.replace(&name, &draft, &bytes, Durability::Deferred);
        match replace() {
            Err(error) if error.kind() == IoErrorKind::IsADirectory => {
                discard(&shard, &name, &error);
                replace()?;
            }
            outcome => outcome?,
        }
        self.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn root(&self) -> io::Result<PrivateFolder> {
        PrivateFolder::open(&self.path, FolderRole::Own, self.permissions)
    }

    fn create_root(&self) -> io::Result<PrivateFolder> {
        PrivateFolder::create(&self.path, FolderRole::Own, self.permissions)
    }

    /// Where a key's value is, if its folder exists.
    fn existing(
        &self,
        key: &str,
    ) -> io::Result<std::result::Result<Option<(PrivateFolder, String)>, Damaged>> {
        let root = match self.root() {
            Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(Ok(None)),
            opened => opened?,
        };
        let (shard, name) = place(key);
        match root.subfolder(&shard, false) {
            Err(error) if fault(&error).is_some() => {
                warn_not_trusted(&error);
                Ok(Err(Damaged("in a folder that is not trusted")))
            }
            opened => Ok(Ok(opened?.map(|shard| (shard, name)))),
        }
    }

    /// Whether somebody has to make room, and nobody does.
    pub(super) fn is_due(&self) -> bool {
        let much = self.written.load(Ordering::Relaxed) > self.max_bytes / LOOK_AFTER;
        much && !self.clearing.swap(true, Ordering::AcqRel)
    }

    pub(super) fn remove(&self, key: &str) -> io::Result<()> {
        match self.existing(key)? {
            Ok(Some((shard, name))) => shard.discard(&name),
            Ok(None) | Err(_) => Ok(()),
        }
    }

    /// Changes a value while nobody else does. `change` gives the new value and until when it is, or
    /// `None` to leave it as it is.
    pub(super) fn change<T>(
        &self,
        key: &str,
        change: impl FnOnce(Option<Value>) -> (Option<(Vec<u8>, u64)>, T),
    ) -> io::Result<T> {
        self.change_found(key, |found| change(found.unwrap_or_default()))
    }

    /// The same for what minds whether a value is damaged.
    pub(super) fn change_found<T>(
        &self,
        key: &str,
        change: impl FnOnce(Found) -> (Option<(Vec<u8>, u64)>, T),
    ) -> io::Result<T> {
        let lock = self.lock()?;
        let (value, result) = change(self.find(key)?);
        if let Some((value, until)) = value {
            self.put_locked(&lock, key, &value, until)?;
        }
        Ok(result)
    }

    /// Held by who changes something that it has read, and by who writes or removes. It is let go when the
    /// file is closed, however the process ends.
    pub(super) fn lock(&self) -> io::Result<Lock> {
        let file = self.create_root()?.file("lock", FileRole::Lock, Access::Create)?;
        file.lock()?;
        Ok(Lock(file))
    }
}

/// The lock of the store, until this is dropped.
#[derive(Debug)]
pub(super) struct Lock(#[allow(dead_code, reason = "it is held")] File);

/// Where a key's value is, as the names of a folder and a file, which tell nothing of it.
pub(super) fn place(key: &str) -> (String, String) {
    let mut shard = hex(Sha256::digest(key));
    let name = shard.split_off(2);
    (shard, name)
}

/// The name of what is being written, which no other process and no other store here uses.
pub(super) fn draft() -> io::Result<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    Ok(format!("{}.tmp", hex(random)))
}

/// Puts a new folder in the place of one that is not trusted. Where it had values, the new one has empty files,
/// so that no sum begins at zero again.
fn replace_shard(
    root: &PrivateFolder,
    name: &str,
    reason: &io::Error,
) -> io::Result<Option<PrivateFolder>> {
    let names = root.names_in(name).unwrap_or_default();
    discard(root, name, reason);
    let Some(shard) = root.subfolder(name, true)? else { return Ok(None) };
    for name in names.iter().filter(|name| is_hex(name, 62)).take(MAX_LOST) {
        shard.replace(name, draft()?, b"", Durability::Deferred)?;
    }
    Ok(Some(shard))
}

/// Removes what is not trusted, while the store is locked.
fn discard(folder: &PrivateFolder, name: &str, reason: &io::Error) {
    match folder.discard(name) {
        Ok(()) => warn!(%reason, "disk store entry not trusted; removed"),
        Err(error) => warn!(%reason, %error, "disk store entry not trusted, and not removable"),
    }
}

/// Warns of a file or folder that is not used.
pub(super) fn warn_not_trusted(reason: &io::Error) {
    if is_warning_due(fault(reason).map_or(Path::new("disk store"), |fault| fault.path())) {
        warn!(%reason, "disk store entry not trusted; ignored");
    }
}

/// In milliseconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Whether a name is so many hexadecimal digits.
pub(super) fn is_hex(name: &str, digits: usize) -> bool {
    name.len() == digits && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub(super) fn after(ttl: Duration) -> u64 {
    now().saturating_add(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX))
}
