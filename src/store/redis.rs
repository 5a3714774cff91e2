//! A store for a fleet: Redis or Valkey.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;
use redis::{Cmd, FromRedisValue, RedisError, Script, ScriptInvocation};

use super::unreadable::{TOO_LARGE, report, report_left};
use super::{
    CounterStore, KeyValueStore, QuotaLease, QuotaRequest, QuotaStore, StoreFuture, counter_table,
};
use crate::error::{Error, ErrorKind, Result};
use crate::sanitize;
use crate::time::clock;

mod connection;
mod constants;
mod server;
#[cfg(any(feature = "rustls", feature = "rustls-no-provider"))]
mod tls;

use connection::RedisConnection;
use server::{Server, ServerKind};

/// A [store](super::Store) in Redis 6.2 or newer, or Valkey: for all processes that reach it.
///
/// ```no_run
/// # async fn example() -> octowire::Result<()> {
/// use octowire::Client;
/// use octowire::store::RedisStore;
///
/// let client = Client::builder()
///     .token_from_env("GITHUB_TOKEN")
///     .store(RedisStore::connect("redis://redis.internal").await?)
///     .build()?;
/// # let _ = client;
/// # Ok(())
/// # }
/// ```
///
/// It holds one connection, which all calls share and which is replaced when it is lost. Each step is one command or
/// one script for one key, by the server's clock, so that a cluster can place keys on any node. Its entries have a TTL,
/// two hours for limits. A value of more than 64 MiB is not read.
///
/// Clones share the connection.
#[derive(Clone)]
pub struct RedisStore {
    connection: Arc<RedisConnection>,
    prefix: Arc<str>,
}

/// The settings of a connection to Redis.
#[derive(Clone)]
#[must_use = "a builder builds nothing before `connect` or `build`"]
pub struct RedisStoreBuilder {
    urls: Vec<String>,
    kind: ServerKind,
    login: Option<(Option<String>, String)>,
    #[cfg(any(feature = "rustls", feature = "rustls-no-provider"))]
    tls: tls::Tls,
    prefix: String,
}

impl RedisStore {
    /// Connects to the server at this URL: `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss://` for TLS,
    /// which requires the feature `rustls` or `native-tls`.
    ///
    /// # Errors
    /// If the URL is invalid, or the server cannot be reached within two seconds or rejects the login.
    /// [`RedisStoreBuilder::build`] starts without a connection.
    pub async fn connect(url: impl Into<String>) -> Result<Self> {
        Self::builder(url).connect().await
    }

    /// Returns a builder with more settings for the server at this URL.
    pub fn builder(url: impl Into<String>) -> RedisStoreBuilder {
        RedisStoreBuilder {
            urls: vec![url.into()],
            kind: ServerKind::Single,
            login: None,
            #[cfg(any(feature = "rustls", feature = "rustls-no-provider"))]
            tls: tls::Tls::default(),
            prefix: "octowire:".to_owned(),
        }
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// Sends an idempotent command: a connection that was lost reports this only at the next command.
    async fn query<T: FromRedisValue>(&self, command: Cmd) -> Result<T> {
        match self.connection.query(&command).await {
            Err(error) if connection::is_disconnected(&error) => {
                self.connection.query(&command).await
            }
            response => response,
        }
        .map_err(|error| failed(&error))
    }

    async fn script<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T> {
        match self.connection.invoke(script).await {
            Err(error) if connection::is_disconnected(&error) => {
                self.connection.invoke(script).await
            }
            response => response,
        }
        .map_err(|error| failed(&error))
    }
}

impl RedisStoreBuilder {
    /// Adds a node of a cluster or a Sentinel: the client uses the first one that responds.
    pub fn node(mut self, url: impl Into<String>) -> Self {
        self.urls.push(url.into());
        self
    }

    /// Sets that the URLs are nodes of a
    /// [cluster](https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/).
    pub fn cluster(mut self) -> Self {
        self.kind = ServerKind::Cluster;
        self
    }

    /// Sets that the URLs are [Sentinels](https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/),
    /// which know the address of the master of this name. A user and a password in the URLs are for the Sentinels;
    /// [`login`](Self::login) is for the master.
    pub fn sentinel(mut self, master: impl Into<String>) -> Self {
        self.kind = ServerKind::Sentinel(master.into());
        self
    }

    /// Sets the user, if any, and the password for the servers themselves, where the URLs have none.
    pub fn login(mut self, user: Option<&str>, password: impl Into<String>) -> Self {
        let password = password.into();
        sanitize::pin(password.as_bytes());
        self.login = Some((user.map(str::to_owned), password));
        self
    }

    /// Sets the certificates in PEM that are trusted instead of the platform's roots, for a server with a private
    /// authority. The URLs have to begin with `rediss://`. The PEM can have the encodings that environments use, as for
    /// an App's private key.
    #[cfg(any(feature = "rustls", feature = "rustls-no-provider"))]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.tls.roots = Some(pem.into());
        self
    }

    /// Sets the certificate chain and the private key, both in PEM, for servers that require client certificates.
    #[cfg(any(feature = "rustls", feature = "rustls-no-provider"))]
    pub fn client_certificate(
        mut self,
        chain: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.tls.client = Some((chain.into(), key.into()));
        self
    }

    /// Sets the prefix of all keys; `octowire:` by default. Environments that share a server but not their state need
    /// different prefixes.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Connects.
    ///
    /// # Errors
    /// As for [`RedisStore::connect`].
    pub async fn connect(self) -> Result<RedisStore> {
        let redis = self.build()?;
        let connected =
            tokio::time::timeout(CONNECT_TIMEOUT, redis.query::<String>(redis::cmd("PING")));
        match connected.await {
            Ok(response) => response.map(|_| redis),
            Err(_) => Err(Error::new(
                ErrorKind::StoreUnavailable,
                format!("Redis did not respond within {CONNECT_TIMEOUT:?}"),
            )
            .with_advice(ADVICE)
            .with_retryable(true)),
        }
    }

    /// Returns a store that connects when it is first used: for a process that has to start even without Redis.
    ///
    /// # Errors
    /// If a URL or a certificate is invalid, or a URL requires TLS and the features do not provide it.
    pub fn build(self) -> Result<RedisStore> {
        let wrong = |error: redis::RedisError| {
            // The URL can contain a password, so that the error does not show it.
            Error::new(ErrorKind::Configuration, format!("Redis: {error}"))
                .with_advice("use a URL such as redis://user:password@host:6379/0")
        };
        let nodes = server::nodes(&self.urls).map_err(wrong)?;
        #[cfg(any(feature = "rustls", feature = "rustls-no-provider"))]
        let certificates = self.tls.certificates(&nodes)?;
        #[cfg(not(any(feature = "rustls", feature = "rustls-no-provider")))]
        let certificates = None;
        let server = Server::new(nodes, self.kind, self.login, certificates).map_err(wrong)?;
        Ok(RedisStore {
            connection: RedisConnection::new(server, scripts),
            prefix: self.prefix.into(),
        })
    }
}

/// The longest time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const ADVICE: &str =
    "check that the server runs and accepts this client; calls continue without it";

fn failed(error: &redis::RedisError) -> Error {
    if error.code() == Some("WRONGTYPE") {
        return Error::unreadable_value("wrong type");
    }
    Error::new(ErrorKind::StoreUnavailable, format!("Redis: {error}"))
        .with_advice(ADVICE)
        .with_retryable(true)
}

fn millis(ttl: Duration) -> u64 {
    // Redis accepts neither a TTL of zero, nor one that ends after its clock does.
    clock::millis(ttl).clamp(1, MAX_TTL_MS)
}

/// The largest value that [`RedisStore::get`] reads, in bytes.
const MAX_VALUE: usize = 64 * 1024 * 1024;
/// A hundred years, in milliseconds.
const MAX_TTL_MS: u64 = 100 * 366 * 24 * 60 * 60 * 1000;

static LEDGER_SCRIPT: LazyLock<Script> =
    LazyLock::new(|| Script::new(&ledger_script(include_str!("redis/clock.lua"))));
// The script compares the length first, since a value of another size does not have to be read.
static EXTEND_SCRIPT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.pcall('STRLEN', KEYS[1]) ~= #ARGV[1] then return 0 end
         if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
         return redis.call('PEXPIRE', KEYS[1], ARGV[2])",
    )
});
static REMOVE_SCRIPT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.pcall('STRLEN', KEYS[1]) ~= #ARGV[1] then return 0 end
         if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
         return redis.call('DEL', KEYS[1])",
    )
});
static GET_SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("redis/get.lua")));
static PUT_IF_ABSENT_SCRIPT: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("redis/put_if_absent.lua")));
static COUNTER_SCRIPT: LazyLock<Script> =
    LazyLock::new(|| counter_script(include_str!("redis/counter.lua")));
static INCREMENT_COUNTERS_SCRIPT: LazyLock<Script> =
    LazyLock::new(|| counter_script(include_str!("redis/increment_counters.lua")));
static COUNTERS_SCRIPT: LazyLock<Script> =
    LazyLock::new(|| counter_script(include_str!("redis/counters.lua")));

/// Returns the script of the ledger, by this clock.
fn ledger_script(clock: &str) -> String {
    let script = concat!(
        include_str!("redis/ledger_form.lua"),
        include_str!("redis/ledger_state.lua"),
        include_str!("redis/ledger_grants.lua"),
        include_str!("redis/ledger.lua")
    );
    [clock, &constants::of_ledger(), script].concat()
}

fn counter_script(script: &str) -> Script {
    Script::new(&[&constants::of_counters(), script].concat())
}

impl RedisStore {
    /// Reads values of at most this number of bytes, by one script.
    async fn read_within(&self, keys: &[(&str, usize)]) -> Result<Vec<Result<Option<Bytes>>>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut script = GET_SCRIPT.prepare_invoke();
        for (key, max_bytes) in keys {
            script.key(self.key(key)).arg(*max_bytes);
        }
        let values: Vec<(bool, Vec<u8>, String)> = self.script(&script).await?;
        if values.len() != keys.len() {
            let nonsense = (redis::ErrorKind::Parse, "unexpected number of values");
            return Err(failed(&RedisError::from(nonsense)));
        }
        let values = values.into_iter().zip(keys).map(|((is_there, value, problem), (key, _))| {
            match &*problem {
                "" => Ok(is_there.then(|| value.into())),
                problem => Err(report_left(key, problem)),
            }
        });
        Ok(values.collect())
    }

    /// Runs a script on a sum: returns the sum, whether an amount was spent, and the problem of the value, if any.
    async fn counter(
        &self,
        key: &str,
        ttl: Duration,
        operation: &str,
        numbers: &[i64],
    ) -> Result<(i64, bool, String)> {
        let mut script = COUNTER_SCRIPT.prepare_invoke();
        script.key(self.key(key)).arg(millis(ttl)).arg(operation).arg(numbers);
        // Not repeated: a second execution would count twice.
        self.connection.invoke(&script).await.map_err(|error| failed(&error))
    }
}

/// The scripts that calls wait for.
fn scripts() -> Vec<ScriptInvocation<'static>> {
    [&GET_SCRIPT, &LEDGER_SCRIPT, &COUNTER_SCRIPT, &PUT_IF_ABSENT_SCRIPT]
        .map(|script| script.prepare_invoke())
        .into()
}

impl KeyValueStore for RedisStore {
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            match self.get_within(key, MAX_VALUE).await {
                Err(error) if error.is_unreadable_value() => Ok(None),
                value => value,
            }
        })
    }

    fn get_within<'a>(&'a self, key: &'a str, max_bytes: usize) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            let values = self.read_within(&[(key, max_bytes)]).await?;
            // The script returns one value for each key.
            values.into_iter().next().unwrap_or(Ok(None))
        })
    }

    fn get_many<'a>(
        &'a self,
        keys: &'a [(&'a str, usize)],
    ) -> StoreFuture<'a, Vec<Result<Option<Bytes>>>> {
        if !self.connection.is_cluster() {
            return Box::pin(self.read_within(keys));
        }
        // If the keys are on several nodes, one script cannot read all of them.
        Box::pin(async move {
            let one = |key| async move { self.read_within(std::slice::from_ref(key)).await };
            Ok(try_join_all(keys.iter().map(one)).await?.into_iter().flatten().collect())
        })
    }

    fn identity(&self) -> Option<usize> {
        Some(Arc::as_ptr(&self.connection).addr())
    }

    fn put<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let mut command = redis::cmd("SET");
            command.arg(self.key(key)).arg(&value[..]).arg("PX").arg(millis(ttl));
            self.query(command).await
        })
    }

    fn put_if_absent<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        ttl: Duration,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut script = PUT_IF_ABSENT_SCRIPT.prepare_invoke();
            script.key(self.key(key)).arg(&value[..]).arg(millis(ttl));
            // Not repeated: a second execution would find the claim of the first.
            let (claimed, problem): (bool, String) =
                self.connection.invoke(&script).await.map_err(|error| failed(&error))?;
            if !problem.is_empty() {
                report(key, &problem, if claimed { "replaced" } else { "expiry set" });
            }
            Ok(claimed)
        })
    }

    fn extend_if_equal<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        ttl: Duration,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut script = EXTEND_SCRIPT.prepare_invoke();
            script.key(self.key(key)).arg(&value[..]).arg(millis(ttl));
            self.script(&script).await
        })
    }

    fn remove<'a>(&'a self, key: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let mut command = redis::cmd("DEL");
            command.arg(self.key(key));
            self.query(command).await
        })
    }

    fn remove_if_equal<'a>(&'a self, key: &'a str, value: Bytes) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut script = REMOVE_SCRIPT.prepare_invoke();
            script.key(self.key(key)).arg(&value[..]);
            self.script(&script).await
        })
    }
}

impl CounterStore for RedisStore {
    fn increment<'a>(&'a self, key: &'a str, amount: i64, ttl: Duration) -> StoreFuture<'a, i64> {
        Box::pin(async move {
            match self.counter(key, ttl, "increment", &[amount]).await? {
                (sum, _, problem) if problem.is_empty() => Ok(sum),
                (.., problem) => Err(Error::unreadable_value(&problem)),
            }
        })
    }

    fn try_consume<'a>(
        &'a self,
        key: &'a str,
        owed: i64,
        most: i64,
        ttl: Duration,
    ) -> StoreFuture<'a, (i64, bool)> {
        Box::pin(async move {
            match self.counter(key, ttl, "consume", &[owed, most]).await? {
                (sum, went, problem) if problem.is_empty() => Ok((sum, went)),
                (.., problem) => Err(Error::unreadable_value(&problem)),
            }
        })
    }

    fn sum<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<i64>> {
        Box::pin(async move {
            let mut script = COUNTER_SCRIPT.prepare_invoke();
            script.key(self.key(key)).arg(0).arg("read");
            let (sum, is_there, problem): (i64, bool, String) = self.script(&script).await?;
            match &*problem {
                "" => Ok(is_there.then_some(sum)),
                problem => Err(report_left(key, problem)),
            }
        })
    }

    fn repair_sum<'a>(
        &'a self,
        key: &'a str,
        at_least: i64,
        ttl: Duration,
    ) -> StoreFuture<'a, i64> {
        Box::pin(async move {
            let (sum, _, problem) = self.counter(key, ttl, "repair", &[at_least]).await?;
            if !problem.is_empty() {
                report(key, &problem, "rebuilt");
            }
            Ok(sum)
        })
    }

    fn increment_counters<'a>(
        &'a self,
        key: &'a str,
        amounts: &'a [(String, u64)],
        ttl: Duration,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let mut script = INCREMENT_COUNTERS_SCRIPT.prepare_invoke();
            script.key(self.key(key)).arg(millis(ttl));
            for (name, amount) in amounts {
                script.arg(name).arg(*amount);
            }
            // Not repeated: a second execution would count twice.
            let problem: String =
                self.connection.invoke(&script).await.map_err(|error| failed(&error))?;
            if !problem.is_empty() {
                report(key, &problem, "reset");
            }
            Ok(true)
        })
    }

    fn counters<'a>(&'a self, key: &'a str) -> StoreFuture<'a, BTreeMap<String, u64>> {
        Box::pin(async move {
            let mut script = COUNTERS_SCRIPT.prepare_invoke();
            script.key(self.key(key));
            let response: Vec<Vec<u8>> = self.script(&script).await?;
            let Some((problem, held)) = response.split_first() else { return Ok(BTreeMap::new()) };
            if !problem.is_empty() {
                report(key, &String::from_utf8_lossy(problem), "ignored");
            }
            let (pairs, _) = held.as_chunks::<2>();
            let number = |[name, number]: &[Vec<u8>; 2]| {
                let name = std::str::from_utf8(name).ok()?;
                let number = std::str::from_utf8(number).ok()?.parse().ok()?;
                counter_table::is_sound(name, number).then(|| (name.to_owned(), number))
            };
            let numbers: BTreeMap<_, _> = pairs.iter().filter_map(number).collect();
            if numbers.len() < pairs.len() {
                report(key, "not a number", "ignored");
            }
            Ok(numbers)
        })
    }
}

impl QuotaStore for RedisStore {
    fn lease<'a>(
        &'a self,
        key: &'a str,
        request: &'a QuotaRequest,
    ) -> StoreFuture<'a, Option<QuotaLease>> {
        Box::pin(async move {
            let nonsense = |_| Error::unreadable_value("invalid lease");
            let request = serde_json::to_string(request).map_err(nonsense)?;
            let mut script = LEDGER_SCRIPT.prepare_invoke();
            script.key(self.key(key)).arg(request);
            // Repeated after a lost connection: a second execution leases twice, and its lease states what this client
            // holds.
            let (lease, problem): (String, String) = self.script(&script).await?;
            match &*problem {
                "" => {}
                "newer" => return Err(report_left(key, "newer version")),
                TOO_LARGE => {
                    report(key, TOO_LARGE, "unchanged until members leave");
                    return Err(Error::unreadable_value(TOO_LARGE));
                }
                problem => report(key, problem, "reset"),
            }
            serde_json::from_str(&lease).map(Some).map_err(nonsense)
        })
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("server", &self.connection)
            .field("prefix", &self.prefix)
            .finish()
    }
}

impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // URLs can contain passwords.
        f.debug_struct("RedisStoreBuilder")
            .field("urls", &self.urls.len())
            .field("kind", &self.kind)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
