//! Removes what is over, what was not ended, and what is too much.
//!
//! A value that cannot be read is not removed but emptied: it can be a sum, which must not begin at zero again
//! while the budget's window lasts. Each file is removed under the lock of the store, and only if the name is
//! still that of the file that was looked at, since other processes write at the same time.

use std::fs::File;
use std::io::{self, Read};
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use super::folder::{Folder, draft, is_hex, now, warn_not_trusted};
use super::value;
use crate::private_files::{Access, Durability, FileRole, PrivateFolder, fault};

/// What was begun so long ago was not ended.
pub(super) const ABANDONED: Duration = Duration::from_secs(60 * 60);
/// An emptied value stays for longer than the longest window of a budget.
const TOMBSTONE_TTL: Duration = Duration::from_secs(32 * 24 * 60 * 60);
/// The least that a file counts as: a bound of bytes is a bound of files then.
const MIN_FILE_BYTES: u64 = 256;
/// No sum and no claim is larger, with its key. Such values make room last, and are verified before they are
/// taken for over.
const SMALL: u64 = 4 * 1024;

/// A value that can make room for others. The order is that in which they do.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    is_small: bool,
    modified: SystemTime,
    bytes: u64,
    shard: String,
    name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Current,
    Over,
    /// There was a value that could not be read.
    Emptied,
    Damaged,
}

impl Folder {
    pub(super) fn make_room(&self) -> io::Result<()> {
        self.written.store(0, Ordering::Relaxed);
        let root = self.root()?;
        let names = root.names()?;
        remove_drafts(&root, &names)?;
        let (mut candidates, mut bytes) = (Vec::new(), 0_u64);
        for shard in names.into_iter().filter(|name| is_hex(name, 2)) {
            let folder = match root.subfolder(&shard, false) {
                Ok(Some(folder)) => folder,
                // The next write to it replaces it.
                Err(error) => {
                    warn_not_trusted(&error);
                    continue;
                }
                Ok(None) => continue,
            };
            let names = folder.names()?;
            remove_drafts(&folder, &names)?;
            for name in names.into_iter().filter(|name| is_hex(name, 62)) {
                let Some((modified, length)) = self.look_at(&folder, &name)? else { continue };
                let counted = length.max(MIN_FILE_BYTES);
                bytes = bytes.saturating_add(counted);
                let is_small = length <= SMALL;
                let shard = shard.clone();
                candidates.push(Candidate { is_small, modified, bytes: counted, shard, name });
            }
        }
        candidates.sort_unstable();
        for candidate in candidates {
            if bytes <= self.max_bytes {
                break;
            }
            self.evict(&root, &candidate)?;
            bytes = bytes.saturating_sub(candidate.bytes);
        }
        Ok(())
    }

    /// Removes or empties a value if that is due. Returns when it was used last and its length, if it stays.
    fn look_at(&self, folder: &PrivateFolder, name: &str) -> io::Result<Option<(SystemTime, u64)>> {
        let mut file = match folder.file(name, FileRole::StoreValue, Access::Read) {
            Err(error) if fault(&error).is_some() => {
                warn_not_trusted(&error);
                self.empty(folder, name)?;
                return Ok(None);
            }
            // Others remove, too.
            Err(_) => return Ok(None),
            Ok(file) => file,
        };
        match kept(&mut file)? {
            Kept::Current => {}
            Kept::Emptied if age(&file) <= TOMBSTONE_TTL => {}
            Kept::Emptied | Kept::Over => {
                let _lock = self.lock()?;
                folder.remove_opened(name, &file)?;
                return Ok(None);
            }
            Kept::Damaged => {
                self.empty(folder, name)?;
                return Ok(None);
            }
        }
        let metadata = file.metadata()?;
        Ok(Some((metadata.modified()?, metadata.len())))
    }

    /// Puts an empty file in the place of a value that cannot be read: it takes no room, and shows that there
    /// was one.
    fn empty(&self, folder: &PrivateFolder, name: &str) -> io::Result<()> {
        let _lock = self.lock()?;
        // Another process may have written a value meanwhile.
        let is_unreadable = match folder.file(name, FileRole::StoreValue, Access::Read) {
            Err(error) => fault(&error).is_some(),
            Ok(mut file) => kept(&mut file)? == Kept::Damaged,
        };
        if is_unreadable {
            // A folder in its place stays, as does what the file system does not let go.
            let _ = folder.replace(name, draft()?, b"", Durability::Deferred);
        }
        Ok(())
    }

    /// Removes a value that was not used since.
    fn evict(&self, root: &PrivateFolder, candidate: &Candidate) -> io::Result<()> {
        let _lock = self.lock()?;
        let Ok(Some(shard)) = root.subfolder(&candidate.shard, false) else { return Ok(()) };
        let opened = shard.file(&candidate.name, FileRole::StoreValue, Access::Read);
        let Ok(file) = opened else { return Ok(()) };
        if file.metadata()?.modified()? == candidate.modified {
            shard.remove_opened(&candidate.name, &file)?;
        }
        Ok(())
    }
}

fn kept(file: &mut File) -> io::Result<Kept> {
    let length = file.metadata()?.len();
    if length == 0 {
        return Ok(Kept::Emptied);
    }
    let Some(until) = value::until(file) else { return Ok(Kept::Damaged) };
    if until > now() {
        return Ok(Kept::Current);
    }
    if length <= SMALL {
        // When it ends can be what is damaged.
        let mut bytes = Vec::new();
        io::Seek::rewind(file)?;
        file.take(SMALL).read_to_end(&mut bytes)?;
        if !value::is_whole(&bytes) {
            return Ok(Kept::Damaged);
        }
    }
    Ok(Kept::Over)
}

/// Removes drafts whose writers have ended without them.
fn remove_drafts(folder: &PrivateFolder, names: &[String]) -> io::Result<()> {
    for name in names {
        let is_draft = name.strip_suffix(".tmp").is_some_and(|name| is_hex(name, 32));
        if is_draft
            && let Ok(file) = folder.file(name, FileRole::StoreValue, Access::Read)
            && age(&file) > ABANDONED
        {
            // No other draft ever has its name.
            folder.remove(name)?;
        }
    }
    Ok(())
}

fn age(file: &File) -> Duration {
    let modified = file.metadata().and_then(|metadata| metadata.modified());
    modified.ok().and_then(|time| time.elapsed().ok()).unwrap_or_default()
}
