//! Plans how one read uses the cache.

use std::sync::Arc;
use std::time::Duration;

use http::header::{
    CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_TYPE, ETAG, HeaderName, LAST_MODIFIED, LINK, VARY,
};
use http::{Method, StatusCode};
use tokio::time::Instant;
use url::Url;

use super::conditional::{Conditional, Sent};
use super::entry::{About, Entry, Exchanged, MAX_META};
use super::flights::Route;
use super::found::Found;
use super::key::{Asked, Key};
use super::log::Verdict;
use super::lookup::Search;
use super::policy::{CachePolicy, Mode};
use super::rules::{self, Directives, Times};
use super::{CacheStatus, Open};
use crate::clock;
use crate::error::{Error, ErrorKind};
use crate::operation::Label;
use crate::request::Prepared;
use crate::response::Raw;
use crate::store::WaitAllowance;

/// A read that the cache can serve.
pub(crate) struct Plan {
    pub(crate) cache: Arc<Open>,
    /// How long the call can still wait for the cache's store.
    allowance: WaitAllowance,
    policy: CachePolicy,
    key: Key,
    identity: String,
    /// When the call began.
    began: Instant,
}

/// How a stored response is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Give(CacheStatus),
    /// It is returned, and revalidated in the background.
    GiveAndAsk,
    Ask,
}

/// The stored entry, and the identity that it belongs to.
#[derive(Clone, Debug)]
pub(crate) enum Base {
    Nothing,
    Own(Arc<Entry>, Verdict),
    /// Another identity received it.
    Anothers(Arc<Entry>),
}

/// The outcome of the look-up before a request is sent.
pub(crate) struct Stored {
    /// The number of the last mark; `None` if it is not known, so that nothing can be stored.
    pub(crate) number: Option<u64>,
    pub(crate) base: Base,
    /// The key under which an entry of another identity can be, if this identity has none.
    pub(crate) anothers: Option<Key>,
}

/// The exchange with GitHub that a response came from.
pub(crate) struct Exchange {
    pub(crate) times: Times,
    /// The number of the last mark before the exchange; `None` if nothing can be stored.
    pub(crate) number: Option<u64>,
    pub(crate) sent: Option<Sent>,
}

/// Headers by which a call makes itself conditional or requests a part.
const OWN_CONDITIONS: [&str; 8] = [
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
static OF_THE_BODY: [HeaderName; 6] =
    [CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_TYPE, LAST_MODIFIED, VARY, MEDIA_TYPE];
/// The interval after which a current response is written to a store again, so that it does not expire.
const REWRITTEN_AFTER: Duration = Duration::from_secs(60 * 60);

impl Plan {
    /// Plans the cache look-up. Returns `None` if the call bypasses the cache.
    pub(crate) fn of(prepared: &Prepared, operation: &Label) -> Option<Self> {
        let client = prepared.client().inner();
        let cache = client.cache.as_ref()?;
        let headers = prepared.headers();
        let own = OWN_CONDITIONS.iter().any(|name| headers.contains_key(*name));
        if *prepared.method() != Method::GET || own || !prepared.is_cacheable() {
            return None;
        }
        let policy = prepared.cache_policy().unwrap_or_else(|| cache.policy(operation));
        let directives = Directives::of(headers);
        if policy.mode == Mode::Bypass || directives.no_store {
            return None;
        }
        let policy = match directives.no_cache && policy.mode != Mode::OnlyIfCached {
            true => CachePolicy::revalidate(),
            false => policy.clone(),
        };
        let mut identity = prepared.client().identity().into_owned();
        // A gateway can show different responses to its users.
        if let Some(gateway) = client.gateway.as_ref().filter(|_| client.through_gateway) {
            identity.push_str(&format!(" by {}", gateway.keeper.source().identity()));
        }
        let key = asked(prepared).key(Some(&identity));
        let allowance = cache.allowance(&prepared.store_wait);
        let (cache, began) = (Arc::clone(cache), Instant::now());
        Some(Self { key, identity, cache, policy, allowance, began })
    }

    /// Returns the metadata of a response that came from this URL.
    fn about(&self, asked: &Prepared, operation: &Label, url: Url) -> About {
        About {
            url,
            path: asked.cache_path().to_ascii_lowercase(),
            operation: operation.clone().into_owned(),
            identity: self.identity.clone(),
        }
    }

    pub(crate) fn is_only_if_cached(&self) -> bool {
        self.policy.is_only_if_cached()
    }

    /// Returns the key by which equal reads are coalesced.
    pub(crate) fn route(&self, prepared: &Prepared) -> Route {
        (self.key, prepared.priority, self.cache.log.made())
    }

    /// Requests the first quota lease at the time of the look-up in the store, if there is none yet.
    pub(crate) fn announce(&self, asked: &Prepared) {
        if self.cache.storage.is_shared() && !self.is_only_if_cached() {
            asked.lane().announce(|| asked.cost());
        }
    }

    /// Looks up the entries of this identity and of others.
    pub(crate) async fn look_up(&self, asked: &Prepared) -> Stored {
        let question = self.computes().then(|| question(asked));
        let Open { storage, log, .. } = &*self.cache;
        let needs_log = |entry: &Entry| self.needs_log(entry);
        let search = Search { key: self.key, question, needs_log: &needs_log };
        let looked = storage.look_up(search, log, self.largest(), &self.allowance).await;
        // Without the log, the state of a stored entry is unknown.
        let entry = looked.entry.filter(|_| looked.number.is_some());
        let base = entry.map_or(Base::Nothing, |entry| self.own(asked, entry, looked.is_behind));
        // The entry of another identity matters only if this identity has none.
        let is_open = matches!(base, Base::Nothing) && looked.number.is_some();
        Stored { number: looked.number, base, anothers: looked.anybody.filter(|_| is_open) }
    }

    /// Returns the entry of this identity, if it can be used.
    fn own(&self, asked: &Prepared, entry: Arc<Entry>, is_behind: bool) -> Base {
        // The key ensures this already; if a store mixes up its values, no identity receives a response of another.
        if entry.about.identity != self.identity || !is_at(&entry, asked) {
            return Base::Nothing;
        }
        match self.cache.log.verdict(&entry) {
            Verdict::Forgotten => {
                self.cache.storage.remove(self.key);
                Base::Nothing
            }
            // A mark that was not read can be a purge.
            _ if is_behind && self.is_only_if_cached() => Base::Nothing,
            Verdict::Good if is_behind => Base::Own(entry, Verdict::Doubtful),
            verdict => Base::Own(entry, verdict),
        }
    }

    /// Returns whether the call can return the stored response, so that the marks that concern it matter.
    fn needs_log(&self, entry: &Entry) -> bool {
        match self.cache.log.verdict(entry) {
            Verdict::Forgotten => false,
            Verdict::Doubtful => self.use_of(entry, Verdict::Doubtful) != Use::Ask,
            Verdict::Good => self.use_of(entry, Verdict::Good) != Use::Ask,
        }
    }

    /// Returns the entry of another identity, if a conditional request can show whether this identity would receive the
    /// same.
    pub(crate) async fn anothers(&self, asked: &Prepared, key: Key) -> Base {
        let entry = self.cache.storage.get(key, self.largest(), &self.allowance).await;
        let Some(entry) = entry else { return Base::Nothing };
        // Links state the number of pages, which the tag does not cover.
        let whole = is_at(&entry, asked) && !entry.headers.contains_key(LINK);
        match self.cache.log.verdict(&entry) {
            Verdict::Good | Verdict::Doubtful if whole => Base::Anothers(entry),
            _ => Base::Nothing,
        }
    }

    /// Returns how the stored response is used.
    pub(crate) fn use_of(&self, entry: &Entry, verdict: Verdict) -> Use {
        let only = self.policy.mode == Mode::OnlyIfCached;
        if verdict == Verdict::Doubtful {
            return if only { Use::Give(CacheStatus::Stale) } else { Use::Ask };
        }
        let (fresh, late) = self.freshness(entry);
        if fresh {
            return Use::Give(CacheStatus::Hit);
        }
        if only {
            return Use::Give(CacheStatus::Stale);
        }
        let directives = Directives::of(&entry.headers);
        let mut window = self.policy.stale_while_revalidate;
        if self.policy.mode == Mode::Server {
            window = window.max(directives.stale_while_revalidate.unwrap_or_default());
        }
        if late < window && !directives.must_revalidate && !directives.no_cache {
            Use::GiveAndAsk
        } else {
            Use::Ask
        }
    }

    /// Returns whether the stored response is returned after a request to GitHub failed with this error.
    pub(crate) fn outlasts(&self, entry: &Entry, verdict: Verdict, error: &Error) -> bool {
        // The part of the log that the look-up did not need is read by now.
        let log = &self.cache.log;
        let is_good = verdict == Verdict::Good
            || (log.is_read_since(self.began) && log.verdict(entry) == Verdict::Good);
        is_good && is_outage(error) && self.may_outlast(entry)
    }

    /// Returns whether the stored response can be returned while GitHub fails.
    fn may_outlast(&self, entry: &Entry) -> bool {
        let directives = Directives::of(&entry.headers);
        let mut window = self.policy.stale_if_error;
        if self.policy.mode == Mode::Server {
            window = window.max(directives.stale_if_error.unwrap_or_default());
        }
        let (_, late) = self.freshness(entry);
        late < window && !directives.must_revalidate
    }

    /// Returns whether the entry is fresh, and otherwise for how long it has been stale.
    fn freshness(&self, entry: &Entry) -> (bool, Duration) {
        let now = clock::now();
        let confirmed = now.duration_since(entry.times.received).unwrap_or_default();
        let (age, lifetime) = match self.policy.mode {
            Mode::Trust(time) => (confirmed, time),
            Mode::Server | Mode::OnlyIfCached => {
                let age = rules::age(&entry.headers, entry.times, now);
                (age, rules::freshness(&entry.headers, entry.times))
            }
            Mode::Revalidate | Mode::Bypass => (confirmed, Duration::ZERO),
        };
        (age < lifetime, age.saturating_sub(lifetime))
    }

    /// Returns the condition of the request: none, if the server rejected a condition.
    pub(crate) fn conditional(&self, base: &Base) -> Conditional {
        let salt = self.cache.salt;
        match base {
            _ if self.cache.refused_conditions.has(self.key) => Conditional::none(salt),
            Base::Nothing => Conditional::none(salt),
            Base::Own(entry, _) => Conditional::own(salt, entry, self.computes()),
            Base::Anothers(entry) => Conditional::anothers(salt, entry),
        }
    }

    /// Records that the server rejects conditional requests for this resource: later requests are unconditional.
    pub(crate) fn condition_refused(&self) {
        self.cache.refused_conditions.add(self.key);
    }

    fn computes(&self) -> bool {
        self.cache.computed_tags && self.cache.scheme.holds()
    }

    /// Handles a response that the stored one is current. Returns `None` if the request was not conditional on it.
    pub(crate) fn confirmed(
        &self,
        asked: &Prepared,
        base: &Base,
        raw: Raw,
        exchange: Exchange,
    ) -> Option<Found> {
        exchange.sent.as_ref().filter(|sent| sent.validator_bytes > 0)?;
        let (stored, own) = match base {
            Base::Nothing => return None,
            Base::Own(entry, _) => (entry, true),
            Base::Anothers(entry) => (entry, false),
        };
        let before = if own {
            Arc::clone(&stored.headers)
        } else {
            let kept = OF_THE_BODY.iter().flat_map(|name| {
                stored.headers.get_all(name).iter().map(move |value| (name.clone(), value.clone()))
            });
            Arc::new(kept.collect())
        };
        let mut headers = rules::merged(before, &raw.headers);
        let mut print = stored.print;
        if let Some(sent) = &exchange.sent {
            // A tag in GitHub's response is for the current token; so is the computed one.
            let told = raw.headers.contains_key(ETAG);
            if let Some(computed) = sent.computed.as_ref().filter(|_| !told) {
                Arc::make_mut(&mut headers).insert(ETAG, computed.clone());
            }
            if told || sent.computed.is_some() {
                print = sent.signature.print;
            }
        }
        let about = self.about(asked, &raw.operation, raw.url.clone());
        let number = exchange.number.unwrap_or(stored.number);
        let of = Exchanged { times: exchange.times, number, print };
        match stored.renewed(about, &headers, of) {
            Some(entry) if exchange.number.is_some() && (!own || self.is_news(stored, &entry)) => {
                self.keep(asked, &Arc::new(entry));
            }
            Some(_) => {}
            None => self.cache.storage.remove(self.key),
        }
        // The headers of this exchange, such as those of its rate limit, belong to the call.
        let (url, mut told) = (raw.url, raw.headers);
        let all = Arc::make_mut(&mut told);
        let missing: Vec<_> = headers.keys().filter(|name| !all.contains_key(*name)).collect();
        for name in missing {
            for value in headers.get_all(name) {
                all.append(name.clone(), value.clone());
            }
        }
        Some(Found {
            status: StatusCode::OK,
            headers: told,
            url,
            body: stored.body.clone(),
            came: CacheStatus::Revalidated,
            age: Some(Duration::ZERO),
        })
    }

    /// Returns whether a current response has to be stored again: where that takes a write, only if the new values
    /// matter.
    fn is_news(&self, before: &Entry, entry: &Entry) -> bool {
        let since = entry.times.received.duration_since(before.times.received).unwrap_or_default();
        self.cache.storage.is_memory()
            || self.policy != CachePolicy::revalidate()
            || before.number != entry.number
            || before.headers.get(ETAG) != entry.headers.get(ETAG)
            || since > REWRITTEN_AFTER
    }

    /// Handles a response that replaces the stored one.
    pub(crate) fn answered(&self, raw: &Raw, asked: &Prepared, exchange: Exchange) {
        let body = raw.bytes();
        if let Some(sent) = exchange.sent.as_ref().filter(|_| self.cache.computed_tags) {
            let computed = sent.computed.is_some();
            self.cache.scheme.compare(&raw.headers, &sent.signature, body, computed);
        }
        if raw.status != StatusCode::OK {
            return;
        }
        let covered = || self::asked(asked).covers(rules::varying(&raw.headers));
        let storable = rules::is_storable(raw.status, &raw.headers)
            && body.len() <= self.cache.max_answer
            && covered();
        let entry = exchange.number.filter(|_| storable).and_then(|number| {
            let about = self.about(asked, &raw.operation, raw.url.clone());
            let print = exchange.sent.as_ref().map_or(0, |sent| sent.signature.print);
            let of = Exchanged { times: exchange.times, number, print };
            Entry::new(about, &rules::storable_headers(&raw.headers), body, of)
        });
        match entry {
            Some(entry) => self.keep(asked, &Arc::new(entry)),
            None => self.cache.storage.remove(self.key),
        }
    }

    /// Handles a rejection by GitHub: an identity that has lost its access cannot read the stored response either.
    pub(crate) fn refused(&self, error: &Error) {
        let status = error.status().map_or(0, |status| status.as_u16());
        if error.kind() == ErrorKind::Api && matches!(status, 401 | 403 | 404 | 410 | 451) {
            let limited = error.is_rate_limited();
            if !limited {
                self.cache.storage.remove(self.key);
            }
        }
    }

    fn keep(&self, asked: &Prepared, entry: &Arc<Entry>) {
        let storage = &self.cache.storage;
        storage.put(self.key, entry);
        if self.computes() && !entry.headers.contains_key(LINK) {
            storage.set_anybody(question(asked), self.key);
        }
    }

    /// Returns the maximum size of an entry that is read: a body with its metadata.
    fn largest(&self) -> usize {
        self.cache.max_answer.saturating_add(MAX_META).saturating_add(4)
    }
}

fn asked(prepared: &Prepared) -> Asked<'_> {
    let common = &prepared.client().inner().headers;
    Asked { url: prepared.url(), common, own: prepared.headers() }
}

/// Returns the question without its identity.
fn question(prepared: &Prepared) -> Key {
    asked(prepared).key(None)
}

/// Returns whether an entry belongs to a question at this path.
fn is_at(entry: &Entry, prepared: &Prepared) -> bool {
    entry.about.path.eq_ignore_ascii_case(prepared.cache_path())
}

/// Returns whether GitHub was unreachable or failed, or the client did not permit a request.
fn is_outage(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Transport | ErrorKind::Timeout | ErrorKind::CircuitOpen | ErrorKind::Budget => {
            true
        }
        ErrorKind::Api => error.status().is_some_and(|status| status.is_server_error()),
        _ => false,
    }
}
