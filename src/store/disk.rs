//! A store for the processes of a machine, which outlives them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind as IoErrorKind, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tracing::{debug, warn};

use super::ledger::bounds::LedgerProblem;
use super::unreadable::{report, unreadable};
use super::{Lease, LeaseRequest, Ledger, Store, StoreFuture, counter, tally};
use crate::error::{Error, ErrorKind, Result};
use crate::names::hex;
use crate::private_files::{Access, Durability, FileRole, PrivateFolder, fault};

#[cfg(any(test, feature = "__fuzz"))]
pub(super) mod fuzzing;
mod value;

use value::Value;

/// A [store](Store) in a folder: for the next run of a program, and for processes of one machine,
/// which may use it at the same time.
///
/// Each value is a file, which is written beside its place and then moved there: whenever a process
/// ends, or is ended, values are whole, or not there. One that is damaged is not there either.
///
/// It is bounded, by 1 GiB unless [`with_max_bytes`](Self::with_max_bytes) says otherwise: when
/// a process has written a 16th of that, it removes what is over, and then what was not used for
/// longest. It keeps to a folder `octowire-store` in the one that is given.
///
/// Values are not encrypted. On Unix, only the user of the process can read them. If other users can
/// write to the folder, that is repaired, with a warning; a folder that belongs to another user or is a
/// symbolic link is refused. A value that belongs to another user, that other users can write to, that
/// has a second name (a hard link) or is not a regular file is removed, with a warning, and is not there.
///
/// It has to be on a file system that knows locks and renames: a local one, not every network one.
///
/// ```no_run
/// # fn example() -> octowire::Result<()> {
/// use octowire::Client;
/// use octowire::cache::Cache;
/// use octowire::store::Disk;
///
/// let cache = Cache::store(Disk::open("/var/cache/my-bot")?);
/// let client = Client::builder().token_from_env("GITHUB_TOKEN").cache(cache).build()?;
/// # let _ = client;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Disk(Arc<Folder>);

#[derive(Debug)]
struct Folder {
    path: PathBuf,
    max_bytes: u64,
    /// What this process has written since it looked at how much there is.
    written: AtomicU64,
    /// Whether a task makes room.
    clearing: AtomicBool,
}

/// The folder's name in the one that is given.
const OWN: &str = "octowire-store";

const MAX_BYTES: u64 = 1024 * 1024 * 1024;
/// Of the bound: so much may be written before somebody looks.
const LOOK_AFTER: u64 = 16;
/// What is used is marked as such no more often.
const TOUCHED_AFTER: Duration = Duration::from_secs(60 * 60);
/// What was begun so long ago was not ended.
const ABANDONED: Duration = Duration::from_secs(60 * 60);
/// As long as GitHub's longest window, and an hour more.
const LEDGER_TTL: Duration = Duration::from_secs(2 * 60 * 60);

impl Disk {
    /// The store in this folder, which is made if it is not there.
    ///
    /// # Errors
    /// If the folder can not be made or written to: of the kind
    /// [`Configuration`](crate::ErrorKind::Configuration).
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self> {
        Self::with_max_bytes(folder, MAX_BYTES)
    }

    /// The same with another bound, in bytes.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn with_max_bytes(folder: impl Into<PathBuf>, max_bytes: u64) -> Result<Self> {
        // A folder of its own: what else is there is nobody's business here.
        let path = folder.into().join(OWN);
        let folder = Folder {
            path,
            max_bytes,
            // What is there counts from the beginning.
            written: AtomicU64::new(max_bytes),
            clearing: AtomicBool::new(false),
        };
        folder.lock().map_err(|error| {
            let path = folder.path.display();
            let (message, advice) = match fault(&error) {
                Some(fault) => {
                    (format!("the store in {path} cannot be opened: {fault}"), fault.advice())
                }
                None => (
                    format!("the store in {path} cannot be opened"),
                    "name a folder that this program may create and write to",
                ),
            };
            Error::new(ErrorKind::Configuration, message).with_advice(advice).with_source(error)
        })?;
        Ok(Self(Arc::new(folder)))
    }

    /// Does something with the folder, where it may block.
    fn run<'a, T: Send + 'static>(
        &self,
        act: impl FnOnce(&Folder) -> io::Result<T> + Send + 'static,
    ) -> StoreFuture<'a, T> {
        self.run_on_value(move |folder| act(folder).map(Ok))
    }

    /// The same for what an unreadable value can stand in the way of.
    fn run_on_value<'a, T: Send + 'static>(
        &self,
        act: impl FnOnce(&Folder) -> io::Result<Result<T>> + Send + 'static,
    ) -> StoreFuture<'a, T> {
        let folder = Arc::clone(&self.0);
        Box::pin(async move {
            let failed = |error: &dyn std::fmt::Display| {
                Error::new(ErrorKind::Store, format!("the store on the disk: {error}"))
                    .with_advice("see that the folder is there, and that there is room")
                    .with_retryable(true)
            };
            let acting = Arc::clone(&folder);
            let done = tokio::task::spawn_blocking(move || act(&acting)).await;
            if folder.is_due() {
                // Nobody waits for it.
                tokio::task::spawn_blocking(move || {
                    if let Err(error) = folder.make_room() {
                        debug!(%error, "the store on the disk could not make room");
                    }
                    folder.clearing.store(false, Ordering::Release);
                });
            }
            match done {
                Ok(result) => result.unwrap_or_else(|error| Err(failed(&error))),
                Err(error) => Err(failed(&error)),
            }
        })
    }
}

impl Folder {
    /// The value of a key; one that is damaged is not there.
    fn get(&self, key: &str) -> io::Result<Option<Value>> {
        Ok(self.find(key)?.unwrap_or_default())
    }

    /// The value of a key, or that there is one that is damaged.
    fn find(&self, key: &str) -> io::Result<Found> {
        let Some((shard, name)) = self.existing(key)? else { return Ok(Ok(None)) };
        let mut file = match shard.file(&name, FileRole::StoreValue, Access::Read) {
            Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(Ok(None)),
            Err(error) if fault(&error).is_some() => {
                discard(&shard, &name, &error);
                return Ok(Err(Damaged));
            }
            opened => opened?,
        };
        let used = file.metadata().and_then(|metadata| metadata.modified());
        let mut bytes = Vec::new();
        file.by_ref().take(self.max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
        let Some(value) = Value::decode(&bytes, key) else { return Ok(Err(Damaged)) };
        let value = Some(value).filter(|value| value.until > now());
        let since = used.ok().and_then(|used| used.elapsed().ok());
        if value.is_some() && since.is_some_and(|since| since > TOUCHED_AFTER) {
            // If it can not be, it goes earlier than it might.
            let _ = shard
                .file(&name, FileRole::StoreValue, Access::Write)
                .and_then(|file| file.set_modified(SystemTime::now()));
        }
        Ok(Ok(value))
    }

    fn put(&self, key: &str, value: &[u8], until: u64) -> io::Result<()> {
        let bytes = value::encode(key, value, until);
        if bytes.len() as u64 > self.max_bytes {
            return self.remove(key);
        }
        let root = PrivateFolder::create(&self.path)?;
        let (shard, name) = place(key);
        let shard = match root.subfolder(&shard, true) {
            Err(error) if fault(&error).is_some() => {
                discard(&root, &shard, &error);
                root.subfolder(&shard, true)?
            }
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

    /// Where a key's value is, if its folder exists.
    fn existing(&self, key: &str) -> io::Result<Option<(PrivateFolder, String)>> {
        let root = match PrivateFolder::open(&self.path) {
            Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let (shard, name) = place(key);
        match root.subfolder(&shard, false) {
            Err(error) if fault(&error).is_some() => {
                discard(&root, &shard, &error);
                Ok(None)
            }
            opened => Ok(opened?.map(|shard| (shard, name))),
        }
    }

    /// Whether somebody has to make room, and nobody does.
    fn is_due(&self) -> bool {
        let much = self.written.load(Ordering::Relaxed) > self.max_bytes / LOOK_AFTER;
        much && !self.clearing.swap(true, Ordering::AcqRel)
    }

    fn remove(&self, key: &str) -> io::Result<()> {
        match self.existing(key)? {
            Some((shard, name)) => shard.discard(&name),
            None => Ok(()),
        }
    }

    /// Changes a value while nobody else does. `change` gives the new value and until when it is, or
    /// `None` to leave it as it is.
    fn change<T>(
        &self,
        key: &str,
        change: impl FnOnce(Option<Value>) -> (Option<(Vec<u8>, u64)>, T),
    ) -> io::Result<T> {
        self.change_found(key, |found| change(found.unwrap_or_default()))
    }

    /// The same for what minds whether a value is damaged.
    fn change_found<T>(
        &self,
        key: &str,
        change: impl FnOnce(Found) -> (Option<(Vec<u8>, u64)>, T),
    ) -> io::Result<T> {
        let _lock = self.lock()?;
        let (value, result) = change(self.find(key)?);
        if let Some((value, until)) = value {
            self.put(key, &value, until)?;
        }
        Ok(result)
    }

    /// Held by who changes something that it has read. It is let go when the file is closed, however
    /// the process ends.
    fn lock(&self) -> io::Result<File> {
        let root = PrivateFolder::create(&self.path)?;
        let file = root.file("lock", FileRole::Lock, Access::Create)?;
        file.lock()?;
        Ok(file)
    }

    /// Removes what is over, what was not ended, and what is too much.
    fn make_room(&self) -> io::Result<()> {
        self.written.store(0, Ordering::Relaxed);
        let root = PrivateFolder::open(&self.path)?;
        remove_drafts(&root, &root.names()?)?;
        let (mut files, mut bytes) = (Vec::new(), 0);
        for shard in root.names()?.into_iter().filter(|name| is_hex(name, 2)) {
            let folder = match root.subfolder(&shard, false) {
                Err(error) if fault(&error).is_some() => {
                    discard(&root, &shard, &error);
                    continue;
                }
                Ok(Some(folder)) => folder,
                // Others remove, too.
                _ => continue,
            };
            let names = folder.names()?;
            remove_drafts(&folder, &names)?;
            for name in names.into_iter().filter(|name| is_hex(name, 62)) {
                let mut file = match folder.file(&name, FileRole::StoreValue, Access::Read) {
                    Err(error) if fault(&error).is_some() => {
                        discard(&folder, &name, &error);
                        continue;
                    }
                    Ok(file) => file,
                    Err(_) => continue,
                };
                if value::until(&mut file).is_some_and(|until| until > now()) {
                    let metadata = file.metadata()?;
                    bytes += metadata.len();
                    files.push((metadata.modified()?, metadata.len(), shard.clone(), name));
                } else {
                    folder.remove(&name)?;
                }
            }
        }
        files.sort_unstable();
        for (_, size, shard, name) in files {
            if bytes <= self.max_bytes {
                break;
            }
            if let Some(shard) = root.subfolder(&shard, false)? {
                shard.remove(&name)?;
            }
            bytes = bytes.saturating_sub(size);
        }
        Ok(())
    }
}

/// Where a key's value is, as the names of a folder and a file, which tell nothing of it.
fn place(key: &str) -> (String, String) {
    let mut shard = hex(Sha256::digest(key));
    let name = shard.split_off(2);
    (shard, name)
}

/// The name of what is being written, which no other process and no other store here uses.
fn draft() -> io::Result<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    Ok(format!("{}.tmp", hex(random)))
}

/// Removes drafts whose writers have ended without them.
fn remove_drafts(folder: &PrivateFolder, names: &[String]) -> io::Result<()> {
    for name in names {
        let is_draft = name.strip_suffix(".tmp").is_some_and(|name| is_hex(name, 32));
        if is_draft
            && let Ok(file) = folder.file(name, FileRole::StoreValue, Access::Read)
            && age(&file) > ABANDONED
        {
            folder.remove(name)?;
        }
    }
    Ok(())
}

/// Removes what is not trusted.
fn discard(folder: &PrivateFolder, name: &str, reason: &io::Error) {
    match folder.discard(name) {
        Ok(()) => warn!(%reason, "disk store entry not trusted; removed"),
        Err(error) => warn!(%reason, %error, "disk store entry not trusted, and not removable"),
    }
}

impl Store for Disk {
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        let key = key.to_owned();
        self.run(move |folder| Ok(folder.get(&key)?.map(|value| value.bytes.into())))
    }

    fn put<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, ()> {
        let key = key.to_owned();
        self.run(move |folder| folder.put(&key, &value, after(ttl)))
    }

    fn claim<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, bool> {
        let key = key.to_owned();
        self.run(move |folder| {
            folder.change(&key, |held| match held {
                Some(_) => (None, false),
                None => (Some((value.to_vec(), after(ttl))), true),
            })
        })
    }

    fn renew<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, bool> {
        let key = key.to_owned();
        self.run(move |folder| {
            folder.change(&key, |held| match held {
                Some(held) if held.bytes == value => (Some((held.bytes, after(ttl))), true),
                _ => (None, false),
            })
        })
    }

    fn remove<'a>(&'a self, key: &'a str) -> StoreFuture<'a, ()> {
        let key = key.to_owned();
        self.run(move |folder| folder.remove(&key))
    }

    fn release<'a>(&'a self, key: &'a str, value: Bytes) -> StoreFuture<'a, bool> {
        let key = key.to_owned();
        self.run(move |folder| {
            let _lock = folder.lock()?;
            let is_it = folder.get(&key)?.is_some_and(|held| held.bytes == value);
            if is_it {
                folder.remove(&key)?;
            }
            Ok(is_it)
        })
    }

    fn add<'a>(&'a self, key: &'a str, amount: i64, ttl: Duration) -> StoreFuture<'a, i64> {
        let key = key.to_owned();
        self.run_on_value(move |folder| {
            folder.change_found(&key, |found| match sum(found, ttl) {
                Ok((before, until)) => {
                    let sum = counter::add(before, amount);
                    (Some((sum.to_string().into_bytes(), until)), Ok(sum))
                }
                Err(Damaged) => (None, Err(unreadable("no sum"))),
            })
        })
    }

    fn spend<'a>(
        &'a self,
        key: &'a str,
        owed: i64,
        most: i64,
        ttl: Duration,
    ) -> StoreFuture<'a, (i64, bool)> {
        let key = key.to_owned();
        self.run_on_value(move |folder| {
            folder.change_found(&key, |found| match sum(found, ttl) {
                Ok((before, until)) => {
                    let (sum, goes) = counter::spend(before, owed, most);
                    (Some((sum.to_string().into_bytes(), until)), Ok((sum, goes)))
                }
                Err(Damaged) => (None, Err(unreadable("no sum"))),
            })
        })
    }

    fn repair_sum<'a>(
        &'a self,
        key: &'a str,
        at_least: i64,
        ttl: Duration,
    ) -> StoreFuture<'a, i64> {
        let key = key.to_owned();
        self.run(move |folder| {
            folder.change_found(&key, |found| {
                let (sum, until) = sum(found, ttl).unwrap_or_else(|Damaged| {
                    report(&key, "no sum", "rebuilt");
                    (at_least, after(ttl))
                });
                let sum = counter::add(sum.max(at_least), 0);
                (Some((sum.to_string().into_bytes(), until)), sum)
            })
        })
    }

    fn lease<'a>(
        &'a self,
        key: &'a str,
        request: &'a LeaseRequest,
    ) -> StoreFuture<'a, Option<Lease>> {
        let (key, request) = (key.to_owned(), request.clone());
        self.run_on_value(move |folder| {
            folder.change_found(&key, |found| {
                let mut ledger = match found.map(|held| held.map(|held| Ledger::read(&held.bytes)))
                {
                    Ok(None) => Ledger::default(),
                    Ok(Some(Ok(ledger))) => ledger,
                    Ok(Some(Err(LedgerProblem::Newer))) => {
                        report(&key, "a newer version", "left as it is");
                        return (None, Err(unreadable("a newer version")));
                    }
                    Ok(Some(Err(LedgerProblem::Damaged))) | Err(Damaged) => {
                        report(&key, "no ledger", "begun anew");
                        Ledger::default()
                    }
                };
                let lease = ledger.lease(now(), &request);
                let Some(bytes) = ledger.write(&request.member) else {
                    report(&key, "too large", "left until members depart");
                    return (None, Err(unreadable("too large")));
                };
                (Some((bytes, after(LEDGER_TTL))), Ok(Some(lease)))
            })
        })
    }

    fn tally<'a>(
        &'a self,
        key: &'a str,
        amounts: &'a [(String, u64)],
        ttl: Duration,
    ) -> StoreFuture<'a, bool> {
        let (key, amounts) = (key.to_owned(), amounts.to_vec());
        self.run(move |folder| {
            folder.change_found(&key, |found| {
                let until = |held: &Option<Value>| Some(held.as_ref()?.until);
                let until = found.as_ref().ok().and_then(until).unwrap_or_else(|| after(ttl));
                (Some((tally::add(numbers(&key, found), &amounts), until)), true)
            })
        })
    }

    fn tallied<'a>(&'a self, key: &'a str) -> StoreFuture<'a, BTreeMap<String, u64>> {
        let key = key.to_owned();
        self.run(move |folder| Ok(numbers(&key, folder.find(&key)?)))
    }
}

/// A value that is there and not whole.
#[derive(Debug)]
struct Damaged;

type Found = std::result::Result<Option<Value>, Damaged>;

/// A sum, and until when it is: zero, if there is none.
fn sum(found: Found, ttl: Duration) -> std::result::Result<(i64, u64), Damaged> {
    match found? {
        Some(held) => counter::read(&held.bytes).map(|sum| (sum, held.until)).ok_or(Damaged),
        None => Ok((0, after(ttl))),
    }
}

/// Numbers by name; none instead of what cannot be read.
fn numbers(key: &str, found: Found) -> BTreeMap<String, u64> {
    match found {
        Ok(Some(held)) => tally::read_or_report(key, &held.bytes),
        Ok(None) => BTreeMap::new(),
        Err(Damaged) => {
            report(key, "no numbers by name", "begun anew");
            BTreeMap::new()
        }
    }
}

/// In milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Whether a name is so many hexadecimal digits.
fn is_hex(name: &str, digits: usize) -> bool {
    name.len() == digits && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn after(ttl: Duration) -> u64 {
    now().saturating_add(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX))
}

fn age(file: &File) -> Duration {
    let modified = file.metadata().and_then(|metadata| metadata.modified());
    modified.ok().and_then(|time| time.elapsed().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
