//! Deliveries that failed are delivered again.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::api::types::HookDeliveryItem;
use crate::error::{Error, Result};
use crate::limits::Priority;
use crate::names;
use crate::store::Store;
use crate::times::Sealed;
use crate::{Client, Items, OnItemError};

type Redelivery = std::pin::Pin<Box<dyn Future<Output = Result<()>> + Send>>;
type List = dyn Fn(&Client) -> Items<HookDeliveryItem> + Send + Sync;
type Redeliver = dyn Fn(&Client, i64) -> Redelivery + Send + Sync;

/// Finds the deliveries of a webhook that failed, and asks GitHub to deliver them again, which it does
/// [not by itself](https://docs.github.com/en/webhooks/using-webhooks/handling-failed-webhook-deliveries).
///
/// A delivery has failed if none of the attempts at it was answered with 2xx or 3xx: what a
/// [`Receiver`](super::Receiver) acknowledged has not, whatever became of it there. It is asked for
/// until there were five attempts, oldest first, within the
/// [three days](https://docs.github.com/en/webhooks/testing-and-troubleshooting-webhooks/redelivering-webhooks)
/// in which GitHub delivers again. The first [`run`](Self::run) looks at all of these days, the next
/// ones at what came since and at what is open still. A receiver that has handled one of them already
/// says so, and does not handle it again.
///
/// ```no_run
/// # #[cfg(feature = "apps")]
/// # async fn example(github: octowire::Client) -> octowire::Result<()> {
/// use std::time::Duration;
/// use octowire::webhooks::Reconciler;
///
/// // Of a client that calls as the App: Client::as_app.
/// let reconciler = Reconciler::app(github.as_app()?);
/// println!("{}", reconciler.run().await?);
/// // And every five minutes, for as long as it is polled:
/// reconciler.run_every(Duration::from_secs(300)).await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Reconciler(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    client: Client,
    hook: Hook,
    lookback: Duration,
    settle: Duration,
    attempts: usize,
    most: usize,
    alone: Option<Arc<dyn Store>>,
    known: Arc<Mutex<Known>>,
}

/// What one run tells the next.
#[derive(Debug, Default)]
struct Known {
    /// What has to be looked at from, once all was looked at; by GitHub's clock.
    since: Option<DateTime<Utc>>,
    /// The deliveries that were asked for, of those that are open.
    asked: BTreeMap<String, Asked>,
}

/// What came of asking for a delivery, which GitHub lists after a while only.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Times(usize, Instant),
    /// GitHub does not deliver it again.
    Refused,
}

/// A webhook, and how its deliveries are had.
#[derive(Clone)]
struct Hook {
    name: String,
    list: Arc<List>,
    redeliver: Arc<Redeliver>,
}

/// What a [`Reconciler`] found and did: [`Reconciler::run`].
///
/// It is shown as a line.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Reconciliation {
    /// How many attempts at deliveries were looked at.
    pub listed: usize,
    /// How many deliveries these are, each counted once.
    pub deliveries: usize,
    /// Those of them that succeeded.
    pub succeeded: usize,
    /// Those that GitHub was asked to deliver again.
    pub redelivered: Vec<HookDeliveryItem>,
    /// Those that nobody asks for any more: that failed too often, or that GitHub has refused to deliver
    /// again.
    pub given_up: Vec<HookDeliveryItem>,
    /// Those that failed within the last minute, or that are left for the next run since GitHub does not
    /// answer.
    pub recent: usize,
    /// Those that could not be asked for, and why. What GitHub refuses is not asked for again.
    pub failed: Vec<(HookDeliveryItem, Error)>,
    /// Whether there were more attempts than are looked at in one run. What was looked at is what
    /// came last; older ones that failed are not found. The log warns of it where
    /// [`run_every`](Reconciler::run_every) looks.
    pub truncated: bool,
}

/// GitHub keeps deliveries, and delivers again, for three days.
const LOOKBACK: Duration = Duration::from_secs(3 * 24 * 60 * 60);
/// A delivery that is answered late is in the list already.
const SETTLE: Duration = Duration::from_secs(60);
/// The clocks of two machines may differ by so much, and lists be late.
const OVERLAP: Duration = Duration::from_secs(600);
const ATTEMPTS: usize = 5;
/// After so many failures in a row that may pass, the rest waits for the next run.
const FAILURES: u32 = 3;
const MOST: usize = 10_000;
const PER_PAGE: i64 = 100;

impl Reconciler {
    /// Of a GitHub App's webhook. The client has to call
    /// [as the App](https://docs.github.com/en/rest/apps/webhooks): [`Client::as_app`].
    #[cfg(feature = "apps")]
    #[cfg_attr(docsrs, doc(cfg(feature = "apps")))]
    #[must_use]
    pub fn app(client: Client) -> Self {
        Self::new(
            client,
            "app".to_owned(),
            |client| {
                client.apps().list_webhook_deliveries().per_page(PER_PAGE).with(later).stream()
            },
            |client, id| {
                let call = client.apps().redeliver_webhook_delivery().delivery_id(id).with(later);
                Box::pin(async move { call.send().await.map(drop) })
            },
        )
    }

    /// Of a repository's webhook, whose id each delivery has in `X-GitHub-Hook-ID`.
    #[cfg(feature = "repos")]
    #[cfg_attr(docsrs, doc(cfg(feature = "repos")))]
    #[must_use]
    pub fn repository(client: Client, owner: &str, repo: &str, hook_id: i64) -> Self {
        let name = format!("{owner}/{repo}/{hook_id}");
        let (owner, repo) = (owner.to_owned(), repo.to_owned());
        let redeliver = (owner.clone(), repo.clone());
        Self::new(
            client,
            name,
            move |client| {
                let list = client.repos().list_webhook_deliveries().owner(&*owner).repo(&*repo);
                list.hook_id(hook_id).per_page(PER_PAGE).with(later).stream()
            },
            move |client, id| {
                let (owner, repo) = &redeliver;
                let call =
                    client.repos().redeliver_webhook_delivery().owner(&**owner).repo(&**repo);
                let call = call.hook_id(hook_id).delivery_id(id).with(later);
                Box::pin(async move { call.send().await.map(drop) })
            },
        )
    }

    /// Of an organization's webhook, whose id each delivery has in `X-GitHub-Hook-ID`.
    #[cfg(feature = "orgs")]
    #[cfg_attr(docsrs, doc(cfg(feature = "orgs")))]
    #[must_use]
    pub fn organization(client: Client, org: &str, hook_id: i64) -> Self {
        let name = format!("{org}/{hook_id}");
        let (org, redeliver) = (org.to_owned(), org.to_owned());
        Self::new(
            client,
            name,
            move |client| {
                let list = client.orgs().list_webhook_deliveries().org(&*org).hook_id(hook_id);
                list.per_page(PER_PAGE).with(later).stream()
            },
            move |client, id| {
                let call = client.orgs().redeliver_webhook_delivery().org(&*redeliver);
                let call = call.hook_id(hook_id).delivery_id(id).with(later);
                Box::pin(async move { call.send().await.map(drop) })
            },
        )
    }

    fn new(
        client: Client,
        name: String,
        list: impl Fn(&Client) -> Items<HookDeliveryItem> + Send + Sync + 'static,
        redeliver: impl Fn(&Client, i64) -> Redelivery + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner {
            client,
            hook: Hook { name, list: Arc::new(list), redeliver: Arc::new(redeliver) },
            lookback: LOOKBACK,
            settle: SETTLE,
            attempts: ATTEMPTS,
            most: MOST,
            alone: None,
            known: Arc::default(),
        }))
    }

    /// How far back it looks at first: three days by default, and at most.
    #[must_use]
    pub fn lookback(self, time: Duration) -> Self {
        self.with(|inner| inner.lookback = time.min(LOOKBACK))
    }

    /// How long a delivery is left alone after an attempt at it: a minute by default.
    #[must_use]
    pub fn settle(self, time: Duration) -> Self {
        self.with(|inner| inner.settle = time.min(LOOKBACK))
    }

    /// How many attempts there are at a delivery before it is given up, GitHub's own included: 5 by
    /// default, 2 at least.
    #[must_use]
    pub fn attempts(self, attempts: usize) -> Self {
        self.with(|inner| inner.attempts = attempts)
    }

    /// How many attempts at deliveries a run looks at: 10,000 by default, which are a hundred pages.
    #[must_use]
    pub fn look_at_most(self, attempts: usize) -> Self {
        self.with(|inner| inner.most = attempts)
    }

    /// Lets one process of those that share a store do it, each time that it is due.
    #[must_use]
    pub fn alone_in(self, store: impl Store) -> Self {
        self.with(|inner| inner.alone = Some(Arc::new(store)))
    }

    fn with(mut self, set: impl FnOnce(&mut Inner)) -> Self {
        let inner = Arc::make_mut(&mut self.0);
        set(inner);
        // It knows nothing of what others with other settings looked at.
        inner.known = Arc::default();
        self
    }

    /// Looks once, and asks for what failed.
    ///
    /// # Errors
    /// If the deliveries can not be listed: what was asked for until then is asked for. What can not be
    /// delivered again is in the result.
    pub async fn run(&self) -> Result<Reconciliation> {
        // A clock that is before 1970 looks at all there is.
        let now = SystemTime::now().time().unwrap_or_default();
        let lookback = ago(now, self.0.lookback);
        let (since, asked) = {
            let known = self.known();
            (known.since, known.asked.clone())
        };
        let mut result = Reconciliation::default();
        let from = since.map_or(lookback, |since| since.max(lookback));
        let (seen, newest) = self.look(from, &mut result).await?;
        let mut next = newest.map(|newest| ago(newest, OVERLAP)).or(since);
        let mut open: Vec<(String, Seen)> =
            seen.into_iter().filter(|(_, seen)| !seen.succeeded).collect();
        result.succeeded = result.deliveries - open.len();
        open.sort_by_key(|(_, seen)| seen.first);
        let mut still_asked = BTreeMap::new();
        let mut failures = 0;
        for (guid, seen) in open {
            let Some(newest) = seen.newest else { continue };
            let before = asked.get(&guid).copied();
            if let Some(before) = before {
                still_asked.insert(guid.clone(), before);
            }
            let (times, just_now) = match before {
                None => (0, false),
                Some(Asked::Times(times, last)) => (times, last.elapsed() < self.0.settle),
                Some(Asked::Refused) => (usize::MAX, false),
            };
            if seen.attempts.max(times.saturating_add(1)) >= self.0.attempts.max(2) {
                result.given_up.push(newest);
                continue;
            }
            // It is looked at again, with all attempts at it.
            next = next.map(|next| next.min(ago(seen.first, OVERLAP)));
            let recent = just_now || newest.delivered_at > ago(now, self.0.settle);
            if recent || failures >= FAILURES {
                result.recent += 1;
                continue;
            }
            match (self.0.hook.redeliver)(&self.0.client, newest.id).await {
                Ok(()) => {
                    failures = 0;
                    still_asked.insert(guid, Asked::Times(times + 1, Instant::now()));
                    result.redelivered.push(newest);
                }
                Err(error) => {
                    warn!(delivery = guid, %error, "redelivery request failed");
                    // What is wrong with this delivery stays; what else is wrong may pass.
                    match error.status().map(|status| status.as_u16()) {
                        Some(400 | 410 | 422) => {
                            still_asked.insert(guid, Asked::Refused);
                        }
                        _ => failures += 1,
                    }
                    result.failed.push((newest, error));
                }
            }
        }
        let mut known = self.known();
        known.since = next;
        known.asked = still_asked;
        Ok(result)
    }

    /// Looks each time that so much time has passed, a second at least, and goes on whatever fails, which
    /// the log tells. It ends when it is dropped.
    pub async fn run_every(&self, interval: Duration) {
        let interval = interval.max(Duration::from_secs(1));
        let hook = self.0.hook.name.as_str();
        loop {
            let result = match self.is_mine(interval).await {
                Ok(true) => self.run().await.map(Some),
                Ok(false) => Ok(None),
                Err(error) => Err(error),
            };
            match result {
                Ok(Some(result)) if result.truncated => {
                    warn!(hook, %result, "reconciliation truncated; raise look_at_most");
                }
                Ok(Some(result)) if !result.redelivered.is_empty() => {
                    info!(hook, %result, "reconciliation requested redeliveries")
                }
                Ok(_) => {}
                Err(error) => {
                    warn!(hook, %error, "reconciliation failed")
                }
            }
            tokio::time::sleep(interval).await;
        }
    }

    /// Whether it is this process that does it this time.
    async fn is_mine(&self, interval: Duration) -> Result<bool> {
        let Some(store) = &self.0.alone else { return Ok(true) };
        // An App has no other name than its identity, and GitHub is not in one place only.
        let client = &self.0.client;
        let whose = format!("{} {} {}", client.base_url(), client.identity(), self.0.hook.name);
        let key = format!("reconcile:{}", names::hex(&Sha256::digest(whose)[..16]));
        // A little less, so that whoever has done it does it again.
        let lasts = interval.mul_f64(0.9);
        store.claim(&key, Bytes::from(names::unique()), lasts).await
    }

    /// Looks at the attempts since then, newest first, as GitHub lists them; says when the newest was.
    async fn look(
        &self,
        from: DateTime<Utc>,
        result: &mut Reconciliation,
    ) -> Result<(BTreeMap<String, Seen>, Option<DateTime<Utc>>)> {
        let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
        let mut newest = None;
        // One attempt that does not decode must not keep the others from being delivered again.
        let items = (self.0.hook.list)(&self.0.client);
        let mut items = items.on_item_error(OnItemError::Skip);
        while let Some(item) = items.try_next().await? {
            if item.delivered_at < from {
                break;
            }
            if result.listed >= self.0.most {
                result.truncated = true;
                break;
            }
            result.listed += 1;
            newest = newest.max(Some(item.delivered_at));
            seen.entry(item.guid.clone()).or_insert_with(|| Seen::new(&item)).add(item);
        }
        // Of one whose first attempt is too long ago to be seen, it is not known how many there were,
        // nor whether one of them succeeded.
        seen.retain(|_, seen| seen.has_first);
        result.deliveries = seen.len();
        Ok((seen, newest))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of a delivery from the attempts at it.
struct Seen {
    attempts: usize,
    /// GitHub's own attempt is among them, which is no redelivery.
    has_first: bool,
    succeeded: bool,
    first: DateTime<Utc>,
    newest: Option<HookDeliveryItem>,
}

impl Seen {
    fn new(item: &HookDeliveryItem) -> Self {
        let first = item.delivered_at;
        Self { attempts: 0, has_first: false, succeeded: false, first, newest: None }
    }

    fn add(&mut self, item: HookDeliveryItem) {
        self.attempts += 1;
        self.has_first |= !item.redelivery;
        self.succeeded |= item.status == "OK" || (200..400).contains(&item.status_code);
        self.first = self.first.min(item.delivered_at);
        if self.newest.as_ref().is_none_or(|newest| newest.delivered_at < item.delivered_at) {
            self.newest = Some(item);
        }
    }
}

fn ago(time: DateTime<Utc>, ago: Duration) -> DateTime<Utc> {
    // No bound here is longer than three days.
    chrono::TimeDelta::from_std(ago)
        .ok()
        .and_then(|ago| time.checked_sub_signed(ago))
        .unwrap_or(time)
}

/// Other calls go first.
fn later(request: crate::Request) -> crate::Request {
    request.priority(Priority::Background)
}

impl fmt::Display for Reconciliation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} deliveries in {} attempts: {} succeeded, {} redelivered, {} given up, {} deferred, \
             {} redelivery requests failed",
            self.deliveries,
            self.listed,
            self.succeeded,
            self.redelivered.len(),
            self.given_up.len(),
            self.recent,
            self.failed.len(),
        )?;
        f.write_str(if self.truncated { "; there are more" } else { "" })
    }
}

impl fmt::Debug for Reconciler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconciler").field("hook", &self.0.hook.name).finish_non_exhaustive()
    }
}
