//! The cache lookup of one read: its key and policy, and the decision to serve, revalidate or store. A 304 is
//! handled in [`conditional`](super::conditional).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::{AUTHORIZATION, COOKIE, HeaderName, LINK};
use http::{Method, StatusCode};
use tokio::time::Instant;
use url::Url;

use super::CacheInner;
use super::conditional::{CONDITIONS, SentValidators, Validators};
use super::entry::{Entry, EntryMetadata, MAX_META, RevalidationInfo};
use super::invalidation_log::Validity;
use super::key::{CacheIdentity, Key, KeyParts};
use super::policy::{CacheMode, CachePolicy};
use super::refreshes::Refresh;
use super::rfc9111::{self, Directives, ResponseTimes};
use super::store_lookup::{LookupOutcome, LookupRequest};
use crate::error::{Error, OperationName};
use crate::policy::context::{AttemptContext, Priority};
use crate::response::{CacheStatus, RawResponse};
use crate::store::StoreWaitBudget;
use crate::time::clock;

/// The key of the read, its priority, the limit of its body, and the number of earlier writes: a caller that reads after
/// its own write does not receive a response from before it.
pub(crate) type CoalescingKey = (Key, Priority, usize, u64);

/// A read that the cache can serve.
pub(crate) struct CacheLookup {
    pub(crate) cache: Arc<CacheInner>,
    /// How long the call can still wait for the cache's store.
    wait_budget: StoreWaitBudget,
    pub(super) policy: CachePolicy,
    pub(super) key: Key,
    /// The names of headers that responses vary by, as they were known for the key; `None` if the call sends no such
    /// header.
    learned_vary: Option<Arc<[HeaderName]>>,
    identity: Arc<CacheIdentity>,
    /// When the look-up was planned; `None` in memory, where all invalidations are known.
    started_at: Option<Instant>,
}

/// How a stored response is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Serve(CacheStatus),
    /// It is returned, and revalidated in the background.
    ServeAndRefresh,
    Revalidate,
}

/// The stored entry, and the identity that it belongs to.
#[derive(Clone, Debug)]
pub(crate) enum StoredEntry {
    None,
    Own(Arc<Entry>, Validity),
    /// Another identity received it.
    OtherIdentity(Arc<Entry>),
}

/// The outcome of the look-up before a request is sent.
#[derive(Clone)]
pub(crate) struct LookupState {
    /// Whether the number of the last invalidation is known; otherwise, nothing can be stored.
    pub(crate) is_log_known: bool,
    pub(crate) entry: StoredEntry,
    /// The key under which an entry of another identity can be, if this identity has none.
    pub(crate) shared_key: Option<Key>,
}

/// The exchange with GitHub that a response came from.
pub(crate) struct RevalidationContext {
    pub(crate) times: ResponseTimes,
    /// The number of the last invalidation before the exchange; `None` if nothing can be stored.
    pub(crate) log_sequence: Option<u64>,
    pub(crate) sent: Option<SentValidators>,
}

/// Headers that belong to an identity that the client does not know: a call that sets one bypasses the cache. The
/// client's own token is added later.
static CALLER_CREDENTIALS: [HeaderName; 2] = [AUTHORIZATION, COOKIE];

/// Returns the headers with which a call bypasses the cache. A read through the cache is sent without such a header,
/// except for the client's own.
pub(crate) fn bypassing_headers() -> impl Iterator<Item = &'static HeaderName> {
    CALLER_CREDENTIALS.iter().chain(&CONDITIONS)
}

impl CacheLookup {
    /// Plans the cache look-up. Returns `None` if the call bypasses the cache. `policy` is the call's own; `identity`
    /// returns the identity that calls.
    pub(crate) fn for_request(
        cache: &Arc<CacheInner>,
        context: &AttemptContext<'_>,
        policy: Option<&CachePolicy>,
        identity: impl FnOnce() -> Arc<CacheIdentity>,
    ) -> Option<Self> {
        let headers = context.headers;
        let bypasses = bypassing_headers().any(|name| headers.contains_key(name));
        if *context.method != Method::GET || bypasses || !context.is_cacheable {
            return None;
        }
        let policy = policy.unwrap_or_else(|| cache.policy_for(context.operation));
        let directives = Directives::of(headers);
        if policy.mode == CacheMode::NoStore || directives.no_store {
            return None;
        }
        let policy = match directives.no_cache && policy.mode != CacheMode::OnlyIfCached {
            true => CachePolicy::revalidate(),
            false => policy.clone(),
        };
        let identity = identity();
        let has_further_headers = key_parts(&identity, context, &[]).has_further_headers();
        let learned_vary = has_further_headers.then(|| cache.learned_vary.names());
        let names = learned_vary.as_deref().unwrap_or_default();
        let key = key_parts(&identity, context, names).key();
        let wait_budget = cache.wait_budget(context.store_wait);
        let (cache, started_at) = (Arc::clone(cache), cache.has_store().then(Instant::now));
        Some(Self { key, learned_vary, identity, cache, policy, wait_budget, started_at })
    }

    /// Returns the metadata of a response that came from this URL.
    pub(super) fn metadata(
        &self,
        context: &AttemptContext<'_>,
        operation: &OperationName,
        url: Url,
    ) -> EntryMetadata {
        EntryMetadata {
            url,
            path: context.path.to_ascii_lowercase(),
            operation: operation.clone().into_owned(),
            identity: self.identity.name().to_owned(),
        }
    }

    pub(crate) fn is_only_if_cached(&self) -> bool {
        self.policy.is_only_if_cached()
    }

    /// Returns the key by which equal reads are coalesced.
    pub(crate) fn coalescing_key(&self, context: &AttemptContext<'_>) -> CoalescingKey {
        let key = match &self.learned_vary {
            Some(_) => key_parts(&self.identity, context, &[]).in_flight_key(),
            None => self.key,
        };
        (key, context.priority, context.max_body_bytes, self.cache.log.local_count())
    }

    /// Begins a refresh of the stored response in the background. Returns `None` if it has one already, or if too many
    /// are in flight.
    pub(crate) fn begin_refresh(&self) -> Option<Refresh> {
        self.cache.refreshes.begin(self.key)
    }

    /// Returns whether the look-up waits for a shared store, and a request to GitHub can follow.
    pub(crate) fn looks_into_shared_store(&self) -> bool {
        self.cache.storage.is_shared() && !self.is_only_if_cached()
    }

    /// Looks up the entries of this identity and of others in memory. Returns `None` if they are in a store.
    pub(crate) fn look_up_in_memory(&self, context: &AttemptContext<'_>) -> Option<LookupState> {
        let question = || self.question(context);
        let looked = self.cache.storage.look_up_in_memory(self.key, question)?;
        Some(self.usable(context, looked))
    }

    /// Looks up the entries of this identity and of others, wherever they are.
    pub(crate) async fn look_up(&self, context: &AttemptContext<'_>) -> LookupState {
        let question = || self.question(context);
        let CacheInner { storage, log: invalidation_log, .. } = &*self.cache;
        let needs_log = |entry: &Entry| self.needs_log(entry);
        let search = LookupRequest { key: self.key, question: &question, needs_log: &needs_log };
        let looked = storage
            .look_up(search, invalidation_log, self.max_value_bytes(), &self.wait_budget)
            .await;
        self.usable(context, looked)
    }

    /// Returns the entries that can be used, of those that were found.
    fn usable(&self, context: &AttemptContext<'_>, looked: LookupOutcome) -> LookupState {
        let LookupOutcome { is_log_known, entry, has_unread_invalidations, last_writer } = looked;
        let has_entry = entry.is_some();
        // Without the log, the state of a stored entry is unknown.
        let base = entry.filter(|_| is_log_known).map_or(StoredEntry::None, |entry| {
            self.own_entry(context, entry, has_unread_invalidations)
        });
        // The entry of another identity matters only if this identity has none.
        let is_open = matches!(base, StoredEntry::None) && is_log_known;
        // Of an entry that cannot be used, the question was not looked up.
        let ask = || self.cache.storage.last_writer(self.question(context)?);
        LookupState {
            is_log_known,
            entry: base,
            shared_key: match is_open {
                true if has_entry => last_writer.or_else(ask),
                true => last_writer,
                false => None,
            },
        }
    }

    /// Returns the key of the question that all identities ask, if the identity that last received a response matters.
    fn question(&self, context: &AttemptContext<'_>) -> Option<Key> {
        self.computes_etags().then(|| self.identity_free_key(context))
    }

    /// Returns the entry of this identity, if it can be used.
    fn own_entry(
        &self,
        context: &AttemptContext<'_>,
        entry: Arc<Entry>,
        is_behind: bool,
    ) -> StoredEntry {
        // The key ensures this already; if a store mixes up its values, no identity receives a response of another.
        let is_same =
            entry.metadata.identity == self.identity.name() && is_at_path(&entry, context.path);
        if !is_same || !self.covers(context, &entry) {
            return StoredEntry::None;
        }
        match self.cache.log.validity(&entry) {
            Validity::Purged => {
                self.cache.storage.remove(self.key);
                StoredEntry::None
            }
            // An invalidation that was not read can be a purge.
            _ if is_behind && self.is_only_if_cached() => StoredEntry::None,
            Validity::Valid if is_behind => StoredEntry::Own(entry, Validity::MustRevalidate),
            validity => StoredEntry::Own(entry, validity),
        }
    }

    /// Returns whether the call can return the stored response, so that the invalidations that concern it matter.
    fn needs_log(&self, entry: &Entry) -> bool {
        let now = clock::monotonic_wall_clock();
        match self.cache.log.validity(entry) {
            Validity::Purged => false,
            validity => self.decide(entry, validity, now) != Decision::Revalidate,
        }
    }

    /// Returns the entry of another identity, if a conditional request can show whether this identity would receive the
    /// same.
    pub(crate) async fn shared_entry(&self, context: &AttemptContext<'_>, key: Key) -> StoredEntry {
        let entry = self.cache.storage.get(key, self.max_value_bytes(), &self.wait_budget).await;
        let Some(entry) = entry else { return StoredEntry::None };
        // A `Link` header states the number of pages, which the `ETag` does not cover.
        let whole = is_at_path(&entry, context.path)
            && self.covers(context, &entry)
            && !entry.headers.contains_key(LINK);
        match self.cache.log.validity(&entry) {
            Validity::Valid | Validity::MustRevalidate if whole => {
                StoredEntry::OtherIdentity(entry)
            }
            _ => StoredEntry::None,
        }
    }

    /// Returns how the stored response is used at `now`.
    pub(crate) fn decide(&self, entry: &Entry, verdict: Validity, now: SystemTime) -> Decision {
        let only = self.policy.mode == CacheMode::OnlyIfCached;
        if verdict == Validity::MustRevalidate {
            return if only { Decision::Serve(CacheStatus::Stale) } else { Decision::Revalidate };
        }
        let (fresh, stale_for) = self.freshness(entry, now);
        if fresh {
            return Decision::Serve(CacheStatus::Hit);
        }
        if only {
            return Decision::Serve(CacheStatus::Stale);
        }
        let directives = Directives::of(&entry.headers);
        let mut window = self.policy.stale_while_revalidate;
        if self.policy.mode == CacheMode::RespectServer {
            window = window.max(directives.stale_while_revalidate.unwrap_or_default());
        }
        if stale_for < window && !directives.must_revalidate && !directives.no_cache {
            Decision::ServeAndRefresh
        } else {
            Decision::Revalidate
        }
    }

    /// Returns whether the stored response is returned after a request to GitHub failed with this error.
    pub(crate) fn may_serve_stale_for(
        &self,
        entry: &Entry,
        verdict: Validity,
        error: &Error,
    ) -> bool {
        // The part of the log that the look-up did not need is read by now.
        let invalidation_log = &self.cache.log;
        let is_valid = verdict == Validity::Valid
            || (self.started_at.is_none_or(|time| invalidation_log.is_read_since(time))
                && invalidation_log.validity(entry) == Validity::Valid);
        is_valid && error.class().allows_stale() && self.may_serve_stale(entry)
    }

    /// Returns whether the stored response can be returned while GitHub fails.
    fn may_serve_stale(&self, entry: &Entry) -> bool {
        let directives = Directives::of(&entry.headers);
        let mut window = self.policy.stale_if_error;
        if self.policy.mode == CacheMode::RespectServer {
            window = window.max(directives.stale_if_error.unwrap_or_default());
        }
        let (_, stale_for) = self.freshness(entry, clock::monotonic_wall_clock());
        stale_for < window && !directives.must_revalidate
    }

    /// Returns whether the entry is fresh at `now`, and otherwise for how long it has been stale.
    fn freshness(&self, entry: &Entry, now: SystemTime) -> (bool, Duration) {
        let confirmed = now.duration_since(entry.times.received).unwrap_or_default();
        let (age, lifetime) = match self.policy.mode {
            CacheMode::MaxAge(time) => (confirmed, time),
            CacheMode::RespectServer | CacheMode::OnlyIfCached => {
                let age = rfc9111::age(&entry.headers, entry.times, now);
                (age, rfc9111::freshness(&entry.headers, entry.times))
            }
            CacheMode::Revalidate | CacheMode::NoStore => (confirmed, Duration::ZERO),
        };
        (age < lifetime, age.saturating_sub(lifetime))
    }

    /// Returns the condition of the request: none, if the server rejected a condition.
    pub(crate) fn conditional(&self, base: &StoredEntry) -> Validators {
        let salt = self.cache.salt;
        match base {
            _ if self.cache.rejected_conditions.has(self.key) => Validators::none(salt),
            StoredEntry::None => Validators::none(salt),
            StoredEntry::Own(entry, _) => {
                Validators::for_own_entry(salt, entry, self.computes_etags())
            }
            StoredEntry::OtherIdentity(entry) => Validators::for_other_identity(salt, entry),
        }
    }

    /// Records that the server rejects conditional requests for this resource: later requests are unconditional.
    pub(crate) fn on_condition_rejected(&self) {
        self.cache.rejected_conditions.add(self.key);
    }

    fn computes_etags(&self) -> bool {
        self.cache.computed_etags && self.cache.etag_predictor.is_reliable()
    }

    /// Handles a response that replaces the stored one.
    pub(crate) fn on_response(
        &self,
        raw: &RawResponse,
        context: &AttemptContext<'_>,
        exchange: RevalidationContext,
    ) {
        let body = raw.bytes();
        if let Some(sent) = exchange.sent.as_ref().filter(|_| self.cache.computed_etags) {
            let computed = sent.computed.is_some();
            self.cache.etag_predictor.observe(raw.headers.map(), &sent.signature, body, computed);
        }
        if raw.status != StatusCode::OK {
            return;
        }
        let storable = rfc9111::is_storable(raw.status, raw.headers.map())
            && body.len() <= self.cache.max_entry_bytes;
        let entry = exchange.log_sequence.filter(|_| storable).and_then(|number| {
            let metadata = self.metadata(context, &raw.operation, raw.url.clone());
            let fingerprint =
                exchange.sent.as_ref().map_or(0, |sent| sent.signature.credential_fingerprint);
            let info = RevalidationInfo {
                times: exchange.times,
                log_sequence: number,
                credential_fingerprint: fingerprint,
            };
            Entry::new(metadata, &rfc9111::storable_headers(raw.headers.map()), body, info)
        });
        match entry {
            Some(entry) => self.insert(context, &Arc::new(entry)),
            None => self.cache.storage.remove(self.key),
        }
    }

    /// Handles a rejection by GitHub: an identity that has lost its access cannot read the stored response either.
    pub(crate) fn on_rejected(&self, error: &Error) {
        if error.class().revokes_access() {
            self.cache.storage.remove(self.key);
        }
    }

    /// Stores an entry under the headers that it varies by. If the key cannot cover them, the entry is not stored.
    pub(super) fn insert(&self, context: &AttemptContext<'_>, entry: &Arc<Entry>) {
        let storage = &self.cache.storage;
        self.cache.learned_vary.learn(rfc9111::vary_names(&entry.headers));
        let learned = self.learned_vary.as_ref().map(|_| self.cache.learned_vary.names());
        let parts = key_parts(&self.identity, context, learned.as_deref().unwrap_or_default());
        if !parts.covers_vary(rfc9111::vary_names(&entry.headers)) {
            return storage.remove(self.key);
        }
        let key = match (&learned, &self.learned_vary) {
            (Some(now), Some(before)) if !Arc::ptr_eq(now, before) => parts.key(),
            _ => self.key,
        };
        storage.put(key, entry);
        if self.computes_etags() && !entry.headers.contains_key(LINK) {
            storage.set_last_writer(parts.identity_free_key(), key);
        }
    }

    /// Returns the cache key without the identity.
    fn identity_free_key(&self, context: &AttemptContext<'_>) -> Key {
        let names = self.learned_vary.as_deref().unwrap_or_default();
        key_parts(&self.identity, context, names).identity_free_key()
    }

    /// Returns whether the key covers the headers that a stored response varies by, so that the call can use it.
    /// Otherwise, they are a part of later keys.
    fn covers(&self, context: &AttemptContext<'_>, entry: &Entry) -> bool {
        // A call without further headers gets the responses to calls without them.
        let Some(names) = &self.learned_vary else { return true };
        let parts = key_parts(&self.identity, context, names);
        let covers = parts.covers_vary(rfc9111::vary_names(&entry.headers));
        if !covers {
            self.cache.learned_vary.learn(rfc9111::vary_names(&entry.headers));
        }
        covers
    }

    /// Returns the maximum size of an entry that is read: a body with its metadata.
    fn max_value_bytes(&self) -> usize {
        self.cache.max_entry_bytes.saturating_add(MAX_META).saturating_add(4)
    }
}

fn key_parts<'a>(
    identity: &'a CacheIdentity,
    context: &AttemptContext<'a>,
    learned_vary: &'a [HeaderName],
) -> KeyParts<'a> {
    KeyParts {
        identity,
        path_and_query: context.path_and_query,
        default_headers: context.default_headers,
        request_headers: context.headers,
        learned_vary,
    }
}

/// Returns whether an entry is for this path.
fn is_at_path(entry: &Entry, path: &str) -> bool {
    entry.metadata.path.eq_ignore_ascii_case(path)
}
