//! The cache lookup of one read: its key and policy, and the decision to serve, revalidate or store.

use std::sync::Arc;
use std::time::Duration;

use http::header::{
    CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_TYPE, ETAG, HeaderName, LAST_MODIFIED, LINK, VARY,
};
use http::{Method, StatusCode};
use tokio::time::Instant;
use url::Url;

use super::CacheInner;
use super::conditional::{SentValidators, Validators};
use super::entry::{Entry, EntryMetadata, MAX_META, RevalidationInfo};
use super::invalidation_log::Validity;
use super::key::{Key, KeyParts};
use super::policy::{CacheMode, CachePolicy};
use super::result::CacheResult;
use super::rfc9111::{self, Directives, ResponseTimes};
use super::store_lookup::LookupRequest;
use crate::error::{Error, OperationName};
use crate::policy::context::{AttemptContext, Priority};
use crate::response::{CacheStatus, RawResponse};
use crate::store::StoreWaitBudget;
use crate::time::clock;

/// The key of the read, its priority, and the number of earlier writes: a caller that reads after its own write does
/// not receive a response from before it.
pub(crate) type CoalescingKey = (Key, Priority, u64);

/// A read that the cache can serve.
pub(crate) struct CacheLookup {
    pub(crate) cache: Arc<CacheInner>,
    /// How long the call can still wait for the cache's store.
    wait_budget: StoreWaitBudget,
    policy: CachePolicy,
    key: Key,
    /// The names of headers that responses vary by, as they were known for the key; `None` if the call sends no such
    /// header.
    learned_vary: Option<Arc<[HeaderName]>>,
    identity: String,
    /// When the call began.
    started_at: Instant,
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
pub(crate) struct LookupState {
    /// The number of the last mark; `None` if it is not known, so that nothing can be stored.
    pub(crate) log_sequence: Option<u64>,
    pub(crate) entry: StoredEntry,
    /// The key under which an entry of another identity can be, if this identity has none.
    pub(crate) shared_key: Option<Key>,
}

/// The exchange with GitHub that a response came from.
pub(crate) struct RevalidationContext {
    pub(crate) times: ResponseTimes,
    /// The number of the last mark before the exchange; `None` if nothing can be stored.
    pub(crate) log_sequence: Option<u64>,
    pub(crate) sent: Option<SentValidators>,
}

/// Headers that the caller sets on a call, and with which the call bypasses the cache: they make it conditional, request
/// a part, or belong to an identity that the client does not know. The client's own token is added later.
const CALLER_CONDITIONS: [&str; 8] = [
    "authorization",
    "cookie",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "range",
];
const MEDIA_TYPE: HeaderName = HeaderName::from_static("x-github-media-type");
/// The headers that an entry of another identity can disclose: they belong to the body.
static BODY_HEADERS: [HeaderName; 6] =
    [CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_TYPE, LAST_MODIFIED, VARY, MEDIA_TYPE];
/// The interval after which a current response is written to a store again, so that it does not expire.
const REWRITE_INTERVAL: Duration = Duration::from_secs(60 * 60);

impl CacheLookup {
    /// Plans the cache look-up. Returns `None` if the call bypasses the cache. `policy` is the call's own; `identity`
    /// returns the name of the identity that calls, as a key of entries.
    pub(crate) fn for_request(
        cache: &Arc<CacheInner>,
        context: &AttemptContext<'_>,
        policy: Option<&CachePolicy>,
        identity: impl FnOnce() -> String,
    ) -> Option<Self> {
        let headers = context.headers;
        let own = CALLER_CONDITIONS.iter().any(|name| headers.contains_key(*name));
        if *context.method != Method::GET || own || !context.is_cacheable {
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
        let learned_vary =
            key_parts(context, &[]).has_further_headers().then(|| cache.learned_vary.names());
        let names = learned_vary.as_deref().unwrap_or_default();
        let key = key_parts(context, names).key(Some(&identity));
        let wait_budget = cache.wait_budget(context.store_wait);
        let (cache, started_at) = (Arc::clone(cache), Instant::now());
        Some(Self { key, learned_vary, identity, cache, policy, wait_budget, started_at })
    }

    /// Returns the metadata of a response that came from this URL.
    fn metadata(
        &self,
        context: &AttemptContext<'_>,
        operation: &OperationName,
        url: Url,
    ) -> EntryMetadata {
        EntryMetadata {
            url,
            path: context.path.to_ascii_lowercase(),
            operation: operation.clone().into_owned(),
            identity: self.identity.clone(),
        }
    }

    pub(crate) fn is_only_if_cached(&self) -> bool {
        self.policy.is_only_if_cached()
    }

    /// Returns the key by which equal reads are coalesced.
    pub(crate) fn coalescing_key(&self, context: &AttemptContext<'_>) -> CoalescingKey {
        let key = match &self.learned_vary {
            Some(_) => key_parts(context, &[]).in_flight_key(&self.identity),
            None => self.key,
        };
        (key, context.priority, self.cache.log.local_count())
    }

    /// Returns whether the look-up waits for a shared store, and a request to GitHub can follow.
    pub(crate) fn looks_into_shared_store(&self) -> bool {
        self.cache.storage.is_shared() && !self.is_only_if_cached()
    }

    /// Looks up the entries of this identity and of others.
    pub(crate) async fn look_up(&self, context: &AttemptContext<'_>) -> LookupState {
        let question = || self.computes_etags().then(|| self.identity_free_key(context));
        let CacheInner { storage, log: invalidation_log, .. } = &*self.cache;
        let needs_log = |entry: &Entry| self.needs_log(entry);
        let search = LookupRequest { key: self.key, question: &question, needs_log: &needs_log };
        let looked = storage
            .look_up(search, invalidation_log, self.max_value_bytes(), &self.wait_budget)
            .await;
        // Without the log, the state of a stored entry is unknown.
        let has_entry = looked.entry.is_some();
        let entry = looked.entry.filter(|_| looked.log_sequence.is_some());
        let base = entry.map_or(StoredEntry::None, |entry| {
            self.own_entry(context, entry, looked.has_unread_invalidations)
        });
        // The entry of another identity matters only if this identity has none.
        let is_open = matches!(base, StoredEntry::None) && looked.log_sequence.is_some();
        LookupState {
            log_sequence: looked.log_sequence,
            entry: base,
            shared_key: match is_open {
                // Of an entry that cannot be used, the question was not looked up.
                true if has_entry => looked.last_writer.or_else(|| storage.last_writer(question()?)),
                true => looked.last_writer,
                false => None,
            },
        }
    }

    /// Returns the entry of this identity, if it can be used.
    fn own_entry(
        &self,
        context: &AttemptContext<'_>,
        entry: Arc<Entry>,
        is_behind: bool,
    ) -> StoredEntry {
        // The key ensures this already; if a store mixes up its values, no identity receives a response of another.
        let is_same = entry.metadata.identity == self.identity && is_at_path(&entry, context.path);
        if !is_same || !self.covers(context, &entry) {
            return StoredEntry::None;
        }
        match self.cache.log.validity(&entry) {
            Validity::Purged => {
                self.cache.storage.remove(self.key);
                StoredEntry::None
            }
            // A mark that was not read can be a purge.
            _ if is_behind && self.is_only_if_cached() => StoredEntry::None,
            Validity::Valid if is_behind => StoredEntry::Own(entry, Validity::MustRevalidate),
            verdict => StoredEntry::Own(entry, verdict),
        }
    }

    /// Returns whether the call can return the stored response, so that the marks that concern it matter.
    fn needs_log(&self, entry: &Entry) -> bool {
        match self.cache.log.validity(entry) {
            Validity::Purged => false,
            Validity::MustRevalidate => {
                self.decide(entry, Validity::MustRevalidate) != Decision::Revalidate
            }
            Validity::Valid => self.decide(entry, Validity::Valid) != Decision::Revalidate,
        }
    }

    /// Returns the entry of another identity, if a conditional request can show whether this identity would receive the
    /// same.
    pub(crate) async fn shared_entry(&self, context: &AttemptContext<'_>, key: Key) -> StoredEntry {
        let entry = self.cache.storage.get(key, self.max_value_bytes(), &self.wait_budget).await;
        let Some(entry) = entry else { return StoredEntry::None };
        // Links state the number of pages, which the tag does not cover.
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

    /// Returns how the stored response is used.
    pub(crate) fn decide(&self, entry: &Entry, verdict: Validity) -> Decision {
        let only = self.policy.mode == CacheMode::OnlyIfCached;
        if verdict == Validity::MustRevalidate {
            return if only { Decision::Serve(CacheStatus::Stale) } else { Decision::Revalidate };
        }
        let (fresh, late) = self.freshness(entry);
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
        if late < window && !directives.must_revalidate && !directives.no_cache {
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
            || (invalidation_log.is_read_since(self.started_at)
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
        let (_, late) = self.freshness(entry);
        late < window && !directives.must_revalidate
    }

    /// Returns whether the entry is fresh, and otherwise for how long it has been stale.
    fn freshness(&self, entry: &Entry) -> (bool, Duration) {
        let now = clock::monotonic_wall_clock();
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

    /// Handles a response that the stored one is current. Returns `None` if the request was not conditional on it.
    pub(crate) fn on_not_modified(
        &self,
        context: &AttemptContext<'_>,
        base: &StoredEntry,
        raw: RawResponse,
        exchange: RevalidationContext,
    ) -> Option<CacheResult> {
        exchange.sent.as_ref().filter(|sent| sent.validator_bytes > 0)?;
        let (stored, own) = match base {
            StoredEntry::None => return None,
            StoredEntry::Own(entry, _) => (entry, true),
            StoredEntry::OtherIdentity(entry) => (entry, false),
        };
        let before = if own {
            Arc::clone(&stored.headers)
        } else {
            let kept = BODY_HEADERS.iter().flat_map(|name| {
                stored.headers.get_all(name).iter().map(move |value| (name.clone(), value.clone()))
            });
            Arc::new(kept.collect())
        };
        let mut headers = rfc9111::update_headers(before, &raw.headers);
        let mut fingerprint = stored.credential_fingerprint;
        if let Some(sent) = &exchange.sent {
            // A tag in GitHub's response is for the current token; so is the computed one.
            let has_etag = raw.headers.contains_key(ETAG);
            if let Some(computed) = sent.computed.as_ref().filter(|_| !has_etag) {
                Arc::make_mut(&mut headers).insert(ETAG, computed.clone());
            }
            if has_etag || sent.computed.is_some() {
                fingerprint = sent.signature.credential_fingerprint;
            }
        }
        let about = self.metadata(context, &raw.operation, raw.url.clone());
        let number = exchange.log_sequence.unwrap_or(stored.log_sequence);
        let of = RevalidationInfo {
            times: exchange.times,
            log_sequence: number,
            credential_fingerprint: fingerprint,
        };
        match stored.revalidated(about, &headers, of) {
            Some(entry)
                if exchange.log_sequence.is_some()
                    && (!own || self.needs_write(stored, &entry)) =>
            {
                self.insert(context, &Arc::new(entry));
            }
            Some(_) => {}
            None => self.cache.storage.remove(self.key),
        }
        // The headers of this exchange, such as those of its rate limit, belong to the call.
        let (url, mut merged) = (raw.url, raw.headers);
        let all = Arc::make_mut(&mut merged);
        let missing: Vec<_> = headers.keys().filter(|name| !all.contains_key(*name)).collect();
        for name in missing {
            for value in headers.get_all(name) {
                all.append(name.clone(), value.clone());
            }
        }
        Some(CacheResult {
            status: StatusCode::OK,
            headers: merged,
            url,
            body: stored.body.clone(),
            cache_status: CacheStatus::Revalidated,
            age: Some(Duration::ZERO),
        })
    }

    /// Returns whether a current response has to be stored again: where that takes a write, only if the new values
    /// matter.
    fn needs_write(&self, before: &Entry, entry: &Entry) -> bool {
        let since = entry.times.received.duration_since(before.times.received).unwrap_or_default();
        self.cache.storage.is_memory()
            || self.policy != CachePolicy::revalidate()
            || before.log_sequence != entry.log_sequence
            || before.headers.get(ETAG) != entry.headers.get(ETAG)
            || since > REWRITE_INTERVAL
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
            self.cache.etag_predictor.observe(&raw.headers, &sent.signature, body, computed);
        }
        if raw.status != StatusCode::OK {
            return;
        }
        let storable = rfc9111::is_storable(raw.status, &raw.headers)
            && body.len() <= self.cache.max_entry_bytes;
        let entry = exchange.log_sequence.filter(|_| storable).and_then(|number| {
            let about = self.metadata(context, &raw.operation, raw.url.clone());
            let fingerprint =
                exchange.sent.as_ref().map_or(0, |sent| sent.signature.credential_fingerprint);
            let of = RevalidationInfo {
                times: exchange.times,
                log_sequence: number,
                credential_fingerprint: fingerprint,
            };
            Entry::new(about, &rfc9111::storable_headers(&raw.headers), body, of)
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
    fn insert(&self, context: &AttemptContext<'_>, entry: &Arc<Entry>) {
        let storage = &self.cache.storage;
        self.cache.learned_vary.learn(rfc9111::vary_names(&entry.headers));
        let learned = self.learned_vary.as_ref().map(|_| self.cache.learned_vary.names());
        let parts = key_parts(context, learned.as_deref().unwrap_or_default());
        if !parts.covers_vary(rfc9111::vary_names(&entry.headers)) {
            return storage.remove(self.key);
        }
        let key = match (&learned, &self.learned_vary) {
            (Some(now), Some(before)) if !Arc::ptr_eq(now, before) => {
                parts.key(Some(&self.identity))
            }
            _ => self.key,
        };
        storage.put(key, entry);
        if self.computes_etags() && !entry.headers.contains_key(LINK) {
            storage.set_last_writer(parts.key(None), key);
        }
    }

    /// Returns the question without its identity.
    fn identity_free_key(&self, context: &AttemptContext<'_>) -> Key {
        key_parts(context, self.learned_vary.as_deref().unwrap_or_default()).key(None)
    }

    /// Returns whether the key covers the headers that a stored response varies by, so that the call can use it.
    /// Otherwise, they are a part of later keys.
    fn covers(&self, context: &AttemptContext<'_>, entry: &Entry) -> bool {
        // A call without further headers gets the responses to calls without them.
        let Some(names) = &self.learned_vary else { return true };
        let covers = key_parts(context, names).covers_vary(rfc9111::vary_names(&entry.headers));
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

fn key_parts<'a>(context: &AttemptContext<'a>, learned_vary: &'a [HeaderName]) -> KeyParts<'a> {
    KeyParts {
        url: context.url,
        default_headers: context.default_headers,
        request_headers: context.headers,
        learned_vary,
    }
}

/// Returns whether an entry belongs to a question at this path.
fn is_at_path(entry: &Entry, path: &str) -> bool {
    entry.metadata.path.eq_ignore_ascii_case(path)
}
