//! What the cache has to say about one read.

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

/// A read that may be answered from the cache.
pub(crate) struct Plan {
    pub(crate) cache: Arc<Open>,
    /// How long the call may still wait for the cache's store.
    allowance: WaitAllowance,
    policy: CachePolicy,
    key: Key,
    identity: String,
    /// When the call began.
    began: Instant,
}

/// What is done about a stored answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Give(CacheStatus),
    /// It is given, and GitHub is asked behind the call's back.
    GiveAndAsk,
    Ask,
}

/// What is stored, and whose it is.
#[derive(Clone, Debug)]
pub(crate) enum Base {
    Nothing,
    Own(Arc<Entry>, Verdict),
    /// Another identity was given it.
    Anothers(Arc<Entry>),
}

/// What was found before GitHub is asked.
pub(crate) struct Stored {
    /// The number of the last mark; `None` if it is not known, so that nothing may be stored.
    pub(crate) number: Option<u64>,
    pub(crate) base: Base,
    /// Under which key an answer of another identity may be, if this one has none.
    pub(crate) anothers: Option<Key>,
}

/// The exchange with GitHub that an answer came of.
pub(crate) struct Exchange {
    pub(crate) times: Times,
    /// The number of the last mark before it; `None` if nothing may be stored.
    pub(crate) number: Option<u64>,
    pub(crate) sent: Option<Sent>,
}

/// Headers by which a call says itself what it has, or of what a part is wanted.
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
/// What a stored answer of another identity may tell: it belongs to the body.
static OF_THE_BODY: [HeaderName; 6] =
    [CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_TYPE, LAST_MODIFIED, VARY, MEDIA_TYPE];
/// An answer that is current is written to a store again after so long, so that it is kept.
const REWRITTEN_AFTER: Duration = Duration::from_secs(60 * 60);

impl Plan {
    /// How this call goes by the cache; `None` if it does not.
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
        // A gateway may let its users see different things.
        if let Some(gateway) = client.gateway.as_ref().filter(|_| client.through_gateway) {
            identity.push_str(&format!(" by {}", gateway.keeper.source().identity()));
        }
        let key = asked(prepared).key(Some(&identity));
        let allowance = cache.allowance(&prepared.store_wait);
        let (cache, began) = (Arc::clone(cache), Instant::now());
        Some(Self { key, identity, cache, policy, allowance, began })
    }

    /// What is told of an answer that came from this URL.
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

    /// By what it is joined with equal reads.
    pub(crate) fn route(&self, prepared: &Prepared) -> Route {
        (self.key, prepared.priority, self.cache.log.made())
    }

    /// Has the first lease of limits asked for at the time of the look into the store, if there is none yet.
    pub(crate) fn announce(&self, asked: &Prepared) {
        if self.cache.storage.is_shared() && !self.is_only_if_cached() {
            asked.lane().announce(|| asked.cost());
        }
    }

    /// Looks up what is stored for this identity, and for others.
    pub(crate) async fn look_up(&self, asked: &Prepared) -> Stored {
        let question = self.computes().then(|| question(asked));
        let Open { storage, log, .. } = &*self.cache;
        let needs_log = |entry: &Entry| self.needs_log(entry);
        let search = Search { key: self.key, question, needs_log: &needs_log };
        let looked = storage.look_up(search, log, self.largest(), &self.allowance).await;
        // Of what is stored, nothing is known without the log.
        let entry = looked.entry.filter(|_| looked.number.is_some());
        let base = entry.map_or(Base::Nothing, |entry| self.own(asked, entry, looked.is_behind));
        // Whose it is matters only where this identity has none.
        let is_open = matches!(base, Base::Nothing) && looked.number.is_some();
        Stored { number: looked.number, base, anothers: looked.anybody.filter(|_| is_open) }
    }

    /// What is stored for this identity, if it can be used.
    fn own(&self, asked: &Prepared, entry: Arc<Entry>, is_behind: bool) -> Base {
        // The key says so already; a store that mixes them up does not tell one what is another's.
        if entry.about.identity != self.identity || !is_at(&entry, asked) {
            return Base::Nothing;
        }
        match self.cache.log.verdict(&entry) {
            Verdict::Forgotten => {
                self.cache.storage.remove(self.key);
                Base::Nothing
            }
            // A mark that was not read can be one that forgets.
            _ if is_behind && self.is_only_if_cached() => Base::Nothing,
            Verdict::Good if is_behind => Base::Own(entry, Verdict::Doubtful),
            verdict => Base::Own(entry, verdict),
        }
    }

    /// Whether the call may give what is stored, so that it matters which marks concern it.
    fn needs_log(&self, entry: &Entry) -> bool {
        match self.cache.log.verdict(entry) {
            Verdict::Forgotten => false,
            Verdict::Doubtful => self.use_of(entry, Verdict::Doubtful) != Use::Ask,
            Verdict::Good => self.use_of(entry, Verdict::Good) != Use::Ask,
        }
    }

    /// What another identity was given, where it can be found out whether this one would be given
    /// the same.
    pub(crate) async fn anothers(&self, asked: &Prepared, key: Key) -> Base {
        let entry = self.cache.storage.get(key, self.largest(), &self.allowance).await;
        let Some(entry) = entry else { return Base::Nothing };
        // Links tell how many pages there are, which the tag says nothing of.
        let whole = is_at(&entry, asked) && !entry.headers.contains_key(LINK);
        match self.cache.log.verdict(&entry) {
            Verdict::Good | Verdict::Doubtful if whole => Base::Anothers(entry),
            _ => Base::Nothing,
        }
    }

    /// What is done about what is stored.
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

    /// Whether what is stored is given though GitHub could not be asked for this reason.
    pub(crate) fn outlasts(&self, entry: &Entry, verdict: Verdict, error: &Error) -> bool {
        // What the look had no need to read of the log is read by now.
        let log = &self.cache.log;
        let is_good = verdict == Verdict::Good
            || (log.is_read_since(self.began) && log.verdict(entry) == Verdict::Good);
        is_good && is_outage(error) && self.may_outlast(entry)
    }

    /// Whether what is stored is given while GitHub fails.
    fn may_outlast(&self, entry: &Entry) -> bool {
        let directives = Directives::of(&entry.headers);
        let mut window = self.policy.stale_if_error;
        if self.policy.mode == Mode::Server {
            window = window.max(directives.stale_if_error.unwrap_or_default());
        }
        let (_, late) = self.freshness(entry);
        late < window && !directives.must_revalidate
    }

    /// Whether it may be given unasked, and for how long that has not been so.
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

    /// What the request is made conditional on: nothing, where a condition was refused.
    pub(crate) fn conditional(&self, base: &Base) -> Conditional {
        let salt = self.cache.salt;
        match base {
            _ if self.cache.refused_conditions.has(self.key) => Conditional::none(salt),
            Base::Nothing => Conditional::none(salt),
            Base::Own(entry, _) => Conditional::own(salt, entry, self.computes()),
            Base::Anothers(entry) => Conditional::anothers(salt, entry),
        }
    }

    /// The server refuses conditional requests for this: those that follow are sent without a condition.
    pub(crate) fn condition_refused(&self) {
        self.cache.refused_conditions.add(self.key);
    }

    fn computes(&self) -> bool {
        self.cache.computed_tags && self.cache.scheme.holds()
    }

    /// GitHub says that what is stored is current. Returns `None` if the request was not conditional on it.
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
            // A tag that GitHub tells is for the token at hand; so is the one that was computed.
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
        // What this exchange was told, of its limit for one, is the call's.
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

    /// Whether an answer that is current has to be stored again: where that takes a write, only if
    /// something follows from it.
    fn is_news(&self, before: &Entry, entry: &Entry) -> bool {
        let since = entry.times.received.duration_since(before.times.received).unwrap_or_default();
        self.cache.storage.is_memory()
            || self.policy != CachePolicy::revalidate()
            || before.number != entry.number
            || before.headers.get(ETAG) != entry.headers.get(ETAG)
            || since > REWRITTEN_AFTER
    }

    /// GitHub gives an answer that is not the one that is stored.
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

    /// GitHub refuses: who may not see it any longer does not find it here either.
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

    /// The largest entry that is read: a body with what is told of it.
    fn largest(&self) -> usize {
        self.cache.max_answer.saturating_add(MAX_META).saturating_add(4)
    }
}

fn asked(prepared: &Prepared) -> Asked<'_> {
    let common = &prepared.client().inner().headers;
    Asked { url: prepared.url(), common, own: prepared.headers() }
}

/// The question, whoever asks it.
fn question(prepared: &Prepared) -> Key {
    asked(prepared).key(None)
}

/// Whether an answer is to a question at this path.
fn is_at(entry: &Entry, prepared: &Prepared) -> bool {
    entry.about.path.eq_ignore_ascii_case(prepared.cache_path())
}

/// Whether GitHub could not be asked, or failed, or may not be asked.
fn is_outage(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Transport | ErrorKind::Timeout | ErrorKind::CircuitOpen | ErrorKind::Budget => {
            true
        }
        ErrorKind::Api => error.status().is_some_and(|status| status.is_server_error()),
        _ => false,
    }
}
