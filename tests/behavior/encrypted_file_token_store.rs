//! Tokens in an encrypted file: whole, private, and shared by processes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use octowire::auth::{
    AccessToken, App, AuthFailure, EncryptedFileTokenStore, EncryptionKey, TokenProvider,
    TokenStore,
};
use octowire::{Client, Error};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

use crate::support::{Reply, Server, json_response};

const KEY: &str = "installation:42";
const SECRET: &str = "ghs_hunter2hunter2";

/// A folder of one test, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("tokens")
    }

    fn store(&self) -> EncryptedFileTokenStore {
        EncryptedFileTokenStore::open(self.file(), key(1)).unwrap()
    }

    fn names(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn key(byte: u8) -> EncryptionKey {
    EncryptionKey::from_bytes([byte; 32])
}

fn token(text: &str) -> AccessToken {
    AccessToken::new(text).unwrap()
}

async fn load(store: &EncryptedFileTokenStore, key: &str) -> Option<String> {
    Some(store.load(key).await.unwrap()?.expose_secret().to_owned())
}

fn failure<T: std::fmt::Debug>(outcome: Result<T, Error>) -> Option<AuthFailure> {
    outcome.unwrap_err().auth_failure()
}

#[tokio::test]
async fn the_token_file_keeps_the_contract_of_token_stores() {
    let folder = Folder::new();
    let count = AtomicU32::new(0);
    let new_store = async || {
        let number = count.fetch_add(1, Ordering::Relaxed);
        EncryptedFileTokenStore::open(folder.0.join(format!("tokens-{number}")), key(1)).unwrap()
    };
    octowire::testing::token_store_conformance(new_store).await.unwrap();
    assert!(count.load(Ordering::Relaxed) >= 17, "one store for each check");
}

#[tokio::test]
async fn a_saved_token_is_loaded_with_all_its_fields() {
    let folder = Folder::new();
    let (end, later) = (SystemTime::now(), SystemTime::now() + Duration::from_secs(3600));
    let saved = token(SECRET).with_expires_at(end).with_refresh_token("ghr_x", Some(later));
    assert!(folder.store().load(KEY).await.unwrap().is_none(), "no file is an empty store");
    folder.store().save(KEY, &saved).await.unwrap();

    let loaded = folder.store().load(KEY).await.unwrap().unwrap();
    assert_eq!(loaded.expose_secret(), SECRET);
    assert_eq!(loaded.expires_at(), Some(end));
    assert_eq!(loaded.refresh_token_expires_at(), Some(later));
    assert!(loaded.refresh_token().is_some());

    folder.store().remove(KEY).await.unwrap();
    folder.store().remove(KEY).await.unwrap();
    assert!(folder.store().load(KEY).await.unwrap().is_none());
}

#[tokio::test]
async fn saving_a_token_removes_expired_ones() {
    let folder = Folder::new();
    let store = folder.store();
    store.save("over", &token("a").with_expires_at(SystemTime::now())).await.unwrap();
    assert!(load(&store, "over").await.is_some(), "what was just saved is there");
    store.save(KEY, &token(SECRET)).await.unwrap();
    assert_eq!(load(&store, "over").await, None);
}

#[tokio::test]
async fn a_broken_file_is_an_error_of_its_kind_and_stays_as_it_is() {
    let folder = Folder::new();
    let store = folder.store();
    store.save(KEY, &token(SECRET)).await.unwrap();
    let good = fs::read(folder.file()).unwrap();

    let truncated = (0..good.len()).map(|length| {
        (good[..length].to_vec(), AuthFailure::StoreTruncated, format!("{length} bytes"))
    });
    let flipped = (0..good.len()).map(|index| {
        let mut bytes = good.clone();
        bytes[index] ^= 1 << (index % 8);
        (bytes, AuthFailure::StoreTampered, format!("byte {index}"))
    });
    let longer = [good.as_slice(), b"\n"].concat();
    let others = [
        (longer, AuthFailure::StoreTampered, "a byte more".to_owned()),
        (b"# my notes\n".to_vec(), AuthFailure::StoreTampered, "another file".to_owned()),
    ];
    for (bytes, expected, what) in truncated.chain(flipped).chain(others) {
        fs::write(folder.file(), &bytes).unwrap();
        assert_eq!(
            failure(EncryptedFileTokenStore::open(folder.file(), key(1))),
            Some(expected),
            "{what}"
        );
        assert_eq!(failure(store.load(KEY).await), Some(expected), "{what}");
        assert_eq!(failure(store.save(KEY, &token("b")).await), Some(expected), "{what}");
        assert_eq!(failure(store.remove(KEY).await), Some(expected), "{what}");
        assert!(fs::read(folder.file()).unwrap() == bytes, "{what}: the file was altered");
    }
    fs::write(folder.file(), &good).unwrap();
    assert_eq!(load(&store, KEY).await.as_deref(), Some(SECRET));
}

#[tokio::test]
async fn a_wrong_key_is_distinguished_from_a_damaged_file() {
    let folder = Folder::new();
    folder.store().save(KEY, &token(SECRET)).await.unwrap();
    let before = fs::read(folder.file()).unwrap();
    let error = EncryptedFileTokenStore::open(folder.file(), key(2)).unwrap_err();
    assert_eq!(error.auth_failure(), Some(AuthFailure::StoreKey));
    assert!(error.to_string().contains("with_previous"), "{error}");
    assert!(fs::read(folder.file()).unwrap() == before);
}

#[tokio::test]
async fn a_key_is_replaced_without_losing_a_token() {
    let folder = Folder::new();
    folder.store().save(KEY, &token(SECRET)).await.unwrap();

    let both = EncryptedFileTokenStore::open(folder.file(), key(2).with_previous(key(1))).unwrap();
    assert_eq!(load(&both, KEY).await.as_deref(), Some(SECRET));
    both.save("another", &token("b")).await.unwrap();

    let new = EncryptedFileTokenStore::open(folder.file(), key(2)).unwrap();
    assert_eq!(load(&new, KEY).await.as_deref(), Some(SECRET));
    assert_eq!(
        failure(EncryptedFileTokenStore::open(folder.file(), key(1))),
        Some(AuthFailure::StoreKey)
    );
}

#[tokio::test]
async fn no_output_shows_the_token_the_key_or_the_identity() {
    let folder = Folder::new();
    let key = EncryptionKey::from_bytes(*b"hunter2hunter2hunter2hunter2hunt");
    let store = EncryptedFileTokenStore::open(folder.file(), key).unwrap();
    let saved = token(SECRET).with_refresh_token("ghr_hunter2", None);
    store.save("user:hunter2", &saved).await.unwrap();
    let lock = store.lock("user:hunter2").await.unwrap();

    let mut shown = format!("{store:?} {lock:?} {:?}", folder.names());
    for other in [self::key(1), self::key(2)] {
        let error = EncryptedFileTokenStore::open(folder.file(), other).unwrap_err();
        shown.push_str(&format!("{error} {error:?}"));
    }
    fs::write(folder.file(), SECRET).unwrap();
    let error = store.load(KEY).await.unwrap_err();
    shown.push_str(&format!("{error} {error:?}"));
    store.save(KEY, &saved).await.unwrap_err();
    assert!(shown.contains("fingerprint"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");

    fs::remove_file(folder.file()).unwrap();
    store.save("user:hunter2", &saved).await.unwrap();
    let bytes = fs::read(folder.file()).unwrap();
    assert!(!bytes.windows(7).any(|bytes| bytes == b"hunter2"));
}

#[tokio::test]
async fn a_file_system_error_names_the_path() {
    let folder = Folder::new();
    let missing = folder.0.join("no such folder").join("tokens");
    for (path, word) in
        [(missing, "create its parent folder"), (folder.0.clone(), "is not a regular file")]
    {
        let error = EncryptedFileTokenStore::open(&path, key(1)).unwrap_err();
        assert_eq!(error.auth_failure(), Some(AuthFailure::Store));
        let shown = error.to_string();
        assert!(shown.contains(word) && shown.contains(path.to_str().unwrap()), "{shown}");
    }

    let store = folder.store();
    store.save(KEY, &token(SECRET)).await.unwrap();
    // The new file cannot be created, by any user.
    fs::create_dir(folder.0.join("tokens.tmp")).unwrap();
    assert_eq!(failure(store.save(KEY, &token("b")).await), Some(AuthFailure::Store));
    assert_eq!(load(&store, KEY).await.as_deref(), Some(SECRET));
}

#[tokio::test]
async fn a_file_that_is_too_large_is_not_read() {
    let folder = Folder::new();
    let file = fs::File::create(folder.file()).unwrap();
    file.set_len((16 << 20) + 1).unwrap();
    let error = EncryptedFileTokenStore::open(folder.file(), key(1)).unwrap_err();
    assert_eq!(error.auth_failure(), Some(AuthFailure::Store));
    assert!(error.to_string().contains("16 MiB"), "{error}");
}

#[tokio::test]
async fn an_oversized_token_file_is_not_written() {
    let folder = Folder::new();
    let store = folder.store();
    store.save(KEY, &token(SECRET)).await.unwrap();
    let huge = token(&"a".repeat(16 << 20));
    assert_eq!(failure(store.save("huge", &huge).await), Some(AuthFailure::Store));
    assert_eq!(load(&store, KEY).await.as_deref(), Some(SECRET));
}

#[cfg(unix)]
#[tokio::test]
async fn the_token_file_is_readable_only_by_its_owner() {
    use std::os::unix::fs::PermissionsExt;

    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = Folder::new();
    let store = folder.store();
    let _lock = store.lock(KEY).await.unwrap();
    store.save(KEY, &token(SECRET)).await.unwrap();
    assert_eq!(folder.names().len(), 3, "the tokens and two locks");
    for name in folder.names() {
        assert_eq!(mode(&folder.0.join(&name)), 0o600, "{name}");
    }

    fs::set_permissions(folder.file(), PermissionsExt::from_mode(0o664)).unwrap();
    folder.store();
    assert_eq!(mode(&folder.file()), 0o600, "mended when it is opened");
}

#[tokio::test]
async fn temporary_files_of_a_crash_are_removed() {
    let folder = Folder::new();
    folder.store().save(KEY, &token(SECRET)).await.unwrap();
    // Half of a new file, which was not renamed any more.
    let half = fs::read(folder.file()).unwrap()[..40].to_vec();
    fs::write(folder.0.join("tokens.tmp"), half).unwrap();

    let store = folder.store();
    assert_eq!(load(&store, KEY).await.as_deref(), Some(SECRET));
    store.save("another", &token("b")).await.unwrap();
    assert_eq!(load(&store, KEY).await.as_deref(), Some(SECRET));
    assert!(!folder.names().contains("tokens.tmp"));
}

#[tokio::test]
async fn concurrent_clients_of_one_process_lose_no_token() {
    let folder = Folder::new();
    join_all((0..16).map(|n| {
        let store = folder.store();
        async move { store.save(&format!("installation:{n}"), &token("a")).await.unwrap() }
    }))
    .await;
    for n in 0..16 {
        assert!(load(&folder.store(), &format!("installation:{n}")).await.is_some(), "{n}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lock_has_one_holder_however_many_want_it() {
    let folder = Folder::new();
    let held = Arc::new(AtomicU32::new(0));
    let tasks = (0..8).map(|_| {
        let (store, held) = (folder.store(), Arc::clone(&held));
        tokio::spawn(async move {
            for _ in 0..25 {
                let _lock = store.lock(KEY).await.unwrap();
                assert_eq!(held.fetch_add(1, Ordering::SeqCst), 0, "two hold it");
                tokio::task::yield_now().await;
                held.fetch_sub(1, Ordering::SeqCst);
            }
        })
    });
    for done in join_all(tasks).await {
        done.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_awaited_for_the_longest_token_fetch() {
    let folder = Folder::new();
    let _held = folder.store().lock(KEY).await.unwrap();
    let start = tokio::time::Instant::now();
    let error = folder.store().lock(KEY).await.unwrap_err();
    let waited = start.elapsed().as_secs_f64();
    assert!((100.0..100.1).contains(&waited), "{waited}");
    assert_eq!(error.auth_failure(), Some(AuthFailure::Store));
    assert!(error.to_string().contains(folder.file().to_str().unwrap()), "{error}");

    let impatient = folder.store().lock_wait(Duration::ZERO);
    assert_eq!(failure(impatient.lock(KEY).await), Some(AuthFailure::Store));
    assert_eq!(start.elapsed().as_secs_f64(), waited, "zero is one attempt");
    assert!(folder.store().lock("another").await.is_ok(), "each key has a lock of its own");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_wait_takes_no_lock() {
    let folder = Folder::new();
    let held = folder.store().lock(KEY).await.unwrap();
    let store = folder.store();
    assert!(timeout(Duration::from_secs(1), store.lock(KEY)).await.is_err());
    drop(held);
    drop(folder.store().lock_wait(Duration::ZERO).lock(KEY).await.unwrap());
    #[cfg(unix)]
    assert!(folder.names().is_empty(), "no lock is left behind: {:?}", folder.names());
}

#[tokio::test]
async fn concurrent_processes_lose_no_token() {
    let folder = Folder::new();
    let mut children: Vec<_> =
        (0..8).map(|n| Role::new("save", &folder).is("NAME", &n.to_string()).start()).collect();
    for child in &mut children {
        child.finishes().await;
    }
    for n in 0..8 {
        let found = load(&folder.store(), &format!("installation:{n}")).await;
        assert_eq!(found, Some(format!("last-of-{n}")), "{n}");
    }
}

#[tokio::test]
async fn a_process_that_is_killed_while_it_writes_leaves_whole_tokens() {
    let folder = Folder::new();
    for round in 1..=10 {
        let mut child = Role::new("write", &folder).start();
        for saved in 1..=round {
            child.says(&format!("saved {saved}")).await;
        }
        // In the midst of the next one.
        child.process.kill().await.unwrap();
        let store = folder.store();
        let found = load(&store, KEY).await.unwrap();
        let found: u32 = found.strip_prefix("token-").unwrap().parse().unwrap();
        assert!(found >= round, "{found}: what was saved was lost");
        store.save(KEY, &token("a")).await.unwrap();
    }
}

#[tokio::test]
async fn a_lock_is_free_when_the_process_that_holds_it_is_killed() {
    let folder = Folder::new();
    let mut child = Role::new("hold", &folder).start();
    child.says("locked").await;
    let store = folder.store();
    let impatient = store.clone().lock_wait(Duration::ZERO);
    assert_eq!(failure(impatient.lock(KEY).await), Some(AuthFailure::Store));
    let waiting = tokio::spawn(async move { store.lock(KEY).await.map(drop) });
    child.process.kill().await.unwrap();
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn two_processes_fetch_one_token_together() {
    let server = Server::start(|request| async move {
        let body = if request.target.ends_with("/access_tokens") {
            let end = chrono::DateTime::<chrono::Utc>::from(SystemTime::now())
                + chrono::TimeDelta::hours(1);
            json!({ "token": SECRET, "expires_at": end, "permissions": {} })
        } else {
            json!({ "authorization": request.headers["authorization"] })
        };
        let status = if request.method == "POST" { "201 Created" } else { "200 OK" };
        Reply::Raw(json_response(status, "", &body.to_string()))
    })
    .await;
    let folder = Folder::new();
    fs::write(folder.0.join("key.pem"), private_key()).unwrap();
    // The key under which the client stores the token.
    let key = format!("{} at {}", installation(&folder.0).identity(), server.url);

    // No process acquires the lock until both have started.
    let held = folder.store().lock(&key).await.unwrap();
    let start = || Role::new("call", &folder).is("URL", &server.url).start();
    let mut children = [start(), start()];
    for child in &mut children {
        child.says("calling").await;
    }
    drop(held);
    for child in &mut children {
        child.finishes().await;
    }
    let (refreshes, calls): (Vec<_>, Vec<_>) =
        server.requests().into_iter().partition(|request| request.method == "POST");
    assert_eq!(refreshes.len(), 1, "{refreshes:?}");
    assert_eq!(calls.len(), 2);
    assert!(calls.iter().all(|call| call.headers["authorization"] == format!("Bearer {SECRET}")));
    assert_eq!(load(&folder.store(), &key).await.as_deref(), Some(SECRET));
}

/// A private key as GitHub gives it, but of this run only.
fn private_key() -> String {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use base64::Engine;

    let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
    let text = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}

fn installation(folder: &Path) -> octowire::auth::AppInstallation {
    App::new(1, fs::read_to_string(folder.join("key.pem")).unwrap()).unwrap().installation(42)
}

/// A part that another process plays: this test binary, with [`a_child`] as its only test.
struct Role(Command);

struct Actor {
    process: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Role {
    fn new(role: &str, folder: &Folder) -> Self {
        let (_, module) = module_path!().split_once("::").unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--ignored", "--exact", "--nocapture", &format!("{module}::a_child")])
            .env("ROLE", role)
            .env("FOLDER", &folder.0)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Self(command)
    }

    fn is(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    fn start(mut self) -> Actor {
        let mut process = self.0.spawn().unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        Actor { process, lines }
    }
}

impl Actor {
    /// Waits for this line.
    async fn says(&mut self, expected: &str) {
        let mut said = Vec::new();
        while let Some(line) = self.lines.next_line().await.unwrap() {
            if line == expected {
                return;
            }
            said.push(line);
        }
        panic!("the child did not say {expected:?}, but {said:?}");
    }

    async fn finishes(&mut self) {
        let mut said = Vec::new();
        while let Some(line) = self.lines.next_line().await.unwrap() {
            said.push(line);
        }
        assert!(self.process.wait().await.unwrap().success(), "{said:?}");
    }
}

#[tokio::test]
#[ignore = "what the processes do that other tests start"]
async fn a_child() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let folder = PathBuf::from(variable("FOLDER"));
    let store = EncryptedFileTokenStore::open(folder.join("tokens"), key(1)).unwrap();
    match variable("ROLE").as_str() {
        "save" => {
            let name = variable("NAME");
            for n in 0..5 {
                let text = if n == 4 { format!("last-of-{name}") } else { format!("early-{n}") };
                store.save(&format!("installation:{name}"), &token(&text)).await.unwrap();
            }
        }
        "write" => {
            for n in 1.. {
                store.save(KEY, &token(&format!("token-{n}"))).await.unwrap();
                eprintln!("saved {n}");
            }
        }
        "hold" => {
            let _lock = store.lock(KEY).await.unwrap();
            eprintln!("locked");
            std::future::pending::<()>().await;
        }
        "call" => {
            let client = Client::builder()
                .base_url(variable("URL"))
                .auth(installation(&folder))
                .token_store(store)
                .build()
                .unwrap();
            eprintln!("calling");
            client.request(http::Method::GET, "/user").send::<Value>().await.unwrap();
        }
        role => panic!("{role}"),
    }
}
