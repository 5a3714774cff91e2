//! A store for the processes of a machine, which outlives them.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind as IoErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tracing::debug;

use super::ledger::bounds::LedgerProblem;
use super::unreadable::{report, unreadable};
use super::{Lease, LeaseRequest, Ledger, Store, StoreFuture, counter, tally};
use crate::error::{Error, ErrorKind, Result};
use crate::names::hex;

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
/// longest. It keeps to a folder `octowire-store` in the one that is given. Values are not encrypted; on Unix, only the user who runs the program can read them.
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
        let ready = make_folder(&folder.path).and_then(|()| folder.lock()).map(drop);
        ready.map_err(|error| {
            let message = format!("the store in {} can not be opened", folder.path.display());
            Error::new(ErrorKind::Configuration, message)
                .with_advice("name a folder that this program may make and write to")
                .with_source(error)
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
        let path = self.place(key);
        let mut bytes = Vec::new();
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(Ok(None)),
            Err(error) => return Err(error),
        };
        file.read_to_end(&mut bytes)?;
        let Some(value) = Value::decode(&bytes, key) else { return Ok(Err(Damaged)) };
        let value = Some(value).filter(|value| value.until > now());
        let used = file.metadata().and_then(|metadata| metadata.modified());
        let since = used.ok().and_then(|used| used.elapsed().ok());
        if value.is_some() && since.is_some_and(|since| since > TOUCHED_AFTER) {
            // If it can not be, it goes earlier than it might.
            let _ = File::options()
                .write(true)
                .open(&path)
                .and_then(|file| file.set_modified(SystemTime::now()));
        }
        Ok(Ok(value))
    }

    fn put(&self, key: &str, value: &[u8], until: u64) -> io::Result<()> {
        let bytes = value::encode(key, value, until);
        if bytes.len() as u64 > self.max_bytes {
            return self.remove(key);
        }
        let path = self.place(key);
        let draft = self.draft()?;
        let written = (|| {
            let mut file = create(&draft)?;
            file.write_all(&bytes)?;
            drop(file);
            match fs::rename(&draft, &path) {
                Err(error) if error.kind() == IoErrorKind::NotFound => {
                    // One of 256 folders, when it is used for the first time.
                    path.parent().map_or(Ok(()), make_folder)?;
                    fs::rename(&draft, &path)
                }
                renamed => renamed,
            }
        })();
        if written.is_err() {
            let _ = fs::remove_file(&draft);
        }
        written?;
        self.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// The name of what is being written, which no other process and no other store here uses.
    fn draft(&self) -> io::Result<PathBuf> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        Ok(self.path.join(format!("{}.tmp", hex(random))))
    }

    /// Whether somebody has to make room, and nobody does.
    fn is_due(&self) -> bool {
        let much = self.written.load(Ordering::Relaxed) > self.max_bytes / LOOK_AFTER;
        much && !self.clearing.swap(true, Ordering::AcqRel)
    }

    fn remove(&self, key: &str) -> io::Result<()> {
        gone(fs::remove_file(self.place(key)))
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
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        let file = private(&mut options).open(self.path.join("lock"))?;
        file.lock()?;
        Ok(file)
    }

    /// Removes what is over, what was not ended, and what is too much.
    fn make_room(&self) -> io::Result<()> {
        self.written.store(0, Ordering::Relaxed);
        let (mut files, mut bytes) = (Vec::new(), 0);
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let kind = entry.file_type()?;
            let is_draft = name.strip_suffix(".tmp").is_some_and(|name| is_hex(name, 32));
            if kind.is_file() && is_draft && age(&path) > ABANDONED {
                gone(fs::remove_file(&path))?;
            }
            if !kind.is_dir() || !is_hex(&name, 2) {
                continue;
            }
            for entry in fs::read_dir(&path)? {
                let entry = entry?;
                let is_value = is_hex(&entry.file_name().to_string_lossy(), 62);
                if !is_value || !entry.file_type()?.is_file() {
                    continue;
                }
                // Others remove, too.
                let Ok(metadata) = entry.metadata() else { continue };
                let path = entry.path();
                if value::until(&path).is_some_and(|until| until > now()) {
                    bytes += metadata.len();
                    files.push((metadata.modified()?, metadata.len(), path));
                } else {
                    gone(fs::remove_file(&path))?;
                }
            }
        }
        files.sort_unstable();
        for (_, size, path) in files {
            if bytes <= self.max_bytes {
                break;
            }
            gone(fs::remove_file(&path))?;
            bytes -= size;
        }
        Ok(())
    }

    /// Where a key's value is: its name tells nothing of it.
    fn place(&self, key: &str) -> PathBuf {
        let name = hex(Sha256::digest(key));
        self.path.join(&name[..2]).join(&name[2..])
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
                let bytes = serde_json::to_vec(&ledger).ok();
                (bytes.map(|bytes| (bytes, after(LEDGER_TTL))), Ok(Some(lease)))
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

fn age(path: &Path) -> Duration {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    modified.ok().and_then(|time| time.elapsed().ok()).unwrap_or_default()
}

/// What somebody else removed is removed.
fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == IoErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Makes a folder that only this user can look into.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    private(&mut options).open(path)
}

/// What is made with these options, only this user can read.
pub(crate) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

#[cfg(test)]
mod tests;
