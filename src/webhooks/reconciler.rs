//! The reconciler, which requests redelivery of failed deliveries.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::api::timestamps::Sealed;
use crate::api::types::HookDeliveryItem;
use crate::client::Client;
use crate::client::pagination::{Items, OnItemError};
use crate::error::{Error, Result};
use crate::policy::rate_limit::Priority;
use crate::store::{Store, ValueFormat};
use crate::util::ids;

type Redelivery = std::pin::Pin<Box<dyn Future<Output = Result<()>> + Send>>;
type List = dyn Fn(&Client) -> Items<HookDeliveryItem> + Send + Sync;
type Redeliver = dyn Fn(&Client, i64) -> Redelivery + Send + Sync;

/// Reconciler: finds the failed deliveries of a webhook, and requests their redelivery, which GitHub does [not start by
/// itself](https://docs.github.com/en/webhooks/using-webhooks/handling-failed-webhook-deliveries).
///
/// A delivery has failed if no attempt received a 2xx or 3xx response: a delivery that a [`WebhookReceiver`](super::WebhookReceiver)
/// acknowledged has not, whatever its later outcome. The reconciler requests redeliveries until there were five
/// attempts, oldest first, within the [three
/// days](https://docs.github.com/en/webhooks/testing-and-troubleshooting-webhooks/redelivering-webhooks) in which
/// GitHub redelivers. The first [`run`](Self::run) checks all of these days, the next ones check new deliveries and
/// open ones. A receiver that has already handled one of them reports that, and does not handle it again.
///
/// ```no_run
/// # #[cfg(feature = "apps")]
/// # async fn example(github: octowire::Client) -> octowire::Result<()> {
/// use std::time::Duration;
/// use octowire::webhooks::Reconciler;
///
/// // The client has to call as the App: Client::as_app.
/// let reconciler = Reconciler::app(github.as_app()?);
/// println!("{}", reconciler.run().await?);
/// // Run every five minutes, while the future is polled:
/// reconciler.run_every(Duration::from_secs(300)).await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Reconciler(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    client: Client,
    hook: HookApi,
    lookback: Duration,
    grace_period: Duration,
    max_attempts: usize,
    max_scanned: usize,
    exclusive_store: Option<Arc<dyn Store>>,
    checkpoint: Arc<Mutex<Checkpoint>>,
}

/// The state that one run passes to the next.
#[derive(Debug, Default)]
struct Checkpoint {
    /// The start of the next check, once everything was checked; by GitHub's clock.
    since: Option<DateTime<Utc>>,
    /// The open deliveries whose redelivery was requested.
    requested: BTreeMap<String, RedeliveryState>,
}

/// The outcome of a redelivery request; GitHub lists the redelivery only after a while.
#[derive(Clone, Copy, Debug)]
enum RedeliveryState {
    Requested(usize, Instant),
    /// GitHub rejects the redelivery.
    Rejected,
}

/// A webhook, and the requests for its deliveries.
#[derive(Clone)]
struct HookApi {
    name: String,
    list: Arc<List>,
    redeliver: Arc<Redeliver>,
}

/// The results of a [`Reconciler`] run: [`Reconciler::run`].
///
/// `Display` shows it as one line.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ReconciliationReport {
    /// The number of checked attempts.
    pub listed: usize,
    /// The number of distinct deliveries.
    pub deliveries: usize,
    /// The deliveries that succeeded.
    pub succeeded: usize,
    /// The deliveries whose redelivery was requested.
    pub redelivered: Vec<HookDeliveryItem>,
    /// The deliveries that were given up: after too many failures, or since GitHub has rejected their redelivery.
    pub given_up: Vec<HookDeliveryItem>,
    /// The deliveries that failed within the last minute, or that are left for the next run since GitHub does not
    /// respond.
    pub recent: usize,
    /// The deliveries whose redelivery request failed, with the reason. A request that GitHub rejects is not repeated.
    pub failed: Vec<(HookDeliveryItem, Error)>,
    /// Whether there were more attempts than the limit of one run. A run checks the latest attempts; older failures are
    /// not found. With [`run_every`](Reconciler::run_every), the log contains a warning.
    pub truncated: bool,
}

/// The turn of one process. Other processes do not read it.
const TURN_FORMAT: ValueFormat = ValueFormat::new("turn", 1);
/// GitHub keeps deliveries, and redelivers them, for three days.
const LOOKBACK: Duration = Duration::from_secs(3 * 24 * 60 * 60);
/// A delivery with a late response is already in the list.
const GRACE_PERIOD: Duration = Duration::from_secs(60);
/// The tolerance for the difference of two clocks, and for delayed lists.
const CLOCK_OVERLAP: Duration = Duration::from_secs(600);
const MAX_ATTEMPTS: usize = 5;
/// After this many retryable failures in a row, the rest waits for the next run.
const MAX_CONSECUTIVE_FAILURES: u32 = 3;
const MAX_SCANNED: usize = 10_000;
const PER_PAGE: i64 = 100;

impl Reconciler {
    /// Creates a reconciler for a GitHub App's webhook. The client has to call [as the
    /// App](https://docs.github.com/en/rest/apps/webhooks): [`Client::as_app`].
    #[cfg(feature = "apps")]
    #[cfg_attr(docsrs, doc(cfg(feature = "apps")))]
    #[must_use]
    pub fn app(client: Client) -> Self {
        Self::new(
            client,
            "app".to_owned(),
            |client| {
                client
                    .apps()
                    .list_webhook_deliveries()
                    .per_page(PER_PAGE)
                    .with(low_priority)
                    .stream()
            },
            |client, id| {
                let call =
                    client.apps().redeliver_webhook_delivery().delivery_id(id).with(low_priority);
                Box::pin(async move { call.send().await.map(drop) })
            },
        )
    }

    /// Creates a reconciler for a repository's webhook, whose id each delivery has in `X-GitHub-Hook-ID`.
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
                list.hook_id(hook_id).per_page(PER_PAGE).with(low_priority).stream()
            },
            move |client, id| {
                let (owner, repo) = &redeliver;
                let call =
                    client.repos().redeliver_webhook_delivery().owner(&**owner).repo(&**repo);
                let call = call.hook_id(hook_id).delivery_id(id).with(low_priority);
                Box::pin(async move { call.send().await.map(drop) })
            },
        )
    }

    /// Creates a reconciler for an organization's webhook, whose id each delivery has in `X-GitHub-Hook-ID`.
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
                list.per_page(PER_PAGE).with(low_priority).stream()
            },
            move |client, id| {
                let call = client.orgs().redeliver_webhook_delivery().org(&*redeliver);
                let call = call.hook_id(hook_id).delivery_id(id).with(low_priority);
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
            hook: HookApi { name, list: Arc::new(list), redeliver: Arc::new(redeliver) },
            lookback: LOOKBACK,
            grace_period: GRACE_PERIOD,
            max_attempts: MAX_ATTEMPTS,
            max_scanned: MAX_SCANNED,
            exclusive_store: None,
            checkpoint: Arc::default(),
        }))
    }

    /// Sets how far back the first run checks: three days by default, and at most.
    #[must_use]
    pub fn lookback(self, time: Duration) -> Self {
        self.with(|inner| inner.lookback = time.min(LOOKBACK))
    }

    /// Sets how long a delivery is left alone after an attempt: a minute by default.
    #[must_use]
    pub fn grace_period(self, time: Duration) -> Self {
        self.with(|inner| inner.grace_period = time.min(LOOKBACK))
    }

    /// Sets the number of attempts before a delivery is given up, including GitHub's own: 5 by default, 2 at least.
    #[must_use]
    pub fn max_attempts(self, attempts: usize) -> Self {
        self.with(|inner| inner.max_attempts = attempts)
    }

    /// Sets how many attempts a run checks: 10,000 by default, which are a hundred pages.
    #[must_use]
    pub fn max_scanned(self, attempts: usize) -> Self {
        self.with(|inner| inner.max_scanned = attempts)
    }

    /// Runs in only one of the processes that share a store, each time that it is due.
    #[must_use]
    pub fn exclusive(self, store: impl Store) -> Self {
        self.with(|inner| inner.exclusive_store = Some(Arc::new(store)))
    }

    fn with(mut self, set: impl FnOnce(&mut Inner)) -> Self {
        let inner = Arc::make_mut(&mut self.0);
        set(inner);
        // The state does not apply to other settings.
        inner.checkpoint = Arc::default();
        self
    }

    /// Checks once, and requests redelivery of failed deliveries.
    ///
    /// # Errors
    /// If the deliveries cannot be listed: the requests sent until then remain in effect. Failed redelivery requests
    /// are in the result.
    pub async fn run(&self) -> Result<ReconciliationReport> {
        // A clock that is before 1970 checks everything.
        let now = SystemTime::now().time().unwrap_or_default();
        let lookback = ago(now, self.0.lookback);
        let (since, asked) = {
            let known = self.checkpoint();
            (known.since, known.requested.clone())
        };
        let mut result = ReconciliationReport::default();
        let from = since.map_or(lookback, |since| since.max(lookback));
        let (seen, newest) = self.scan(from, &mut result).await?;
        let mut next = newest.map(|newest| ago(newest, CLOCK_OVERLAP)).or(since);
        let mut open: Vec<(String, DeliverySummary)> =
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
                Some(RedeliveryState::Requested(times, last)) => {
                    (times, last.elapsed() < self.0.grace_period)
                }
                Some(RedeliveryState::Rejected) => (usize::MAX, false),
            };
            if seen.attempts.max(times.saturating_add(1)) >= self.0.max_attempts.max(2) {
                result.given_up.push(newest);
                continue;
            }
            // It is checked again, with all of its attempts.
            next = next.map(|next| next.min(ago(seen.first, CLOCK_OVERLAP)));
            let recent = just_now || newest.delivered_at > ago(now, self.0.grace_period);
            if recent || failures >= MAX_CONSECUTIVE_FAILURES {
                result.recent += 1;
                continue;
            }
            match (self.0.hook.redeliver)(&self.0.client, newest.id).await {
                Ok(()) => {
                    failures = 0;
                    still_asked.insert(guid, RedeliveryState::Requested(times + 1, Instant::now()));
                    result.redelivered.push(newest);
                }
                Err(error) => {
                    warn!(delivery = guid, %error, "redelivery request failed");
                    // An error of this delivery is permanent; any other error might be temporary.
                    match error.status().map(|status| status.as_u16()) {
                        Some(400 | 410 | 422) => {
                            still_asked.insert(guid, RedeliveryState::Rejected);
                        }
                        _ => failures += 1,
                    }
                    result.failed.push((newest, error));
                }
            }
        }
        let mut known = self.checkpoint();
        known.since = next;
        known.requested = still_asked;
        Ok(result)
    }

    /// Runs at this interval, a second at least, and continues after failures, which are logged. It ends when it is
    /// dropped.
    pub async fn run_every(&self, interval: Duration) {
        let interval = interval.max(Duration::from_secs(1));
        let hook = self.0.hook.name.as_str();
        loop {
            let result = match self.acquire_turn(interval).await {
                Ok(true) => self.run().await.map(Some),
                Ok(false) => Ok(None),
                Err(error) => Err(error),
            };
            match result {
                Ok(Some(result)) if result.truncated => {
                    warn!(hook, %result, "reconciliation truncated; raise max_scanned");
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

    /// Returns whether this process runs this time.
    async fn acquire_turn(&self, interval: Duration) -> Result<bool> {
        let Some(store) = &self.0.exclusive_store else { return Ok(true) };
        // An App is identified only by its identity, and there are several GitHub servers.
        let client = &self.0.client;
        let whose = format!("{} {} {}", client.base_url(), client.identity(), self.0.hook.name);
        let key = format!("reconcile:{}", ids::hex(&Sha256::digest(whose)[..16]));
        // Slightly less, so that the process of the last run continues.
        let lasts = interval.mul_f64(0.9);
        store.put_if_absent(&key, TURN_FORMAT.encode(ids::unique_id()), lasts).await
    }

    /// Checks the attempts since then, newest first, as GitHub lists them; returns when the newest was.
    async fn scan(
        &self,
        from: DateTime<Utc>,
        result: &mut ReconciliationReport,
    ) -> Result<(BTreeMap<String, DeliverySummary>, Option<DateTime<Utc>>)> {
        let mut seen: BTreeMap<String, DeliverySummary> = BTreeMap::new();
        let mut newest = None;
        // One attempt that does not decode must not prevent redelivery of the others.
        let items = (self.0.hook.list)(&self.0.client);
        let mut items = items.on_item_error(OnItemError::Skip);
        while let Some(item) = items.try_next().await? {
            if item.delivered_at < from {
                break;
            }
            if result.listed >= self.0.max_scanned {
                result.truncated = true;
                break;
            }
            result.listed += 1;
            newest = newest.max(Some(item.delivered_at));
            seen.entry(item.guid.clone()).or_insert_with(|| DeliverySummary::new(&item)).add(item);
        }
        // If the first attempt is outside the checked period, neither the number of attempts nor their outcome is
        // known.
        seen.retain(|_, seen| seen.has_original);
        result.deliveries = seen.len();
        Ok((seen, newest))
    }

    fn checkpoint(&self) -> MutexGuard<'_, Checkpoint> {
        self.0.checkpoint.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The known attempts of one delivery.
struct DeliverySummary {
    attempts: usize,
    /// GitHub's own attempt is among them, which is not a redelivery.
    has_original: bool,
    succeeded: bool,
    first: DateTime<Utc>,
    newest: Option<HookDeliveryItem>,
}

impl DeliverySummary {
    fn new(item: &HookDeliveryItem) -> Self {
        let first = item.delivered_at;
        Self { attempts: 0, has_original: false, succeeded: false, first, newest: None }
    }

    fn add(&mut self, item: HookDeliveryItem) {
        self.attempts += 1;
        self.has_original |= !item.redelivery;
        self.succeeded |= item.status == "OK" || (200..400).contains(&item.status_code);
        self.first = self.first.min(item.delivered_at);
        if self.newest.as_ref().is_none_or(|newest| newest.delivered_at < item.delivered_at) {
            self.newest = Some(item);
        }
    }
}

fn ago(time: DateTime<Utc>, ago: Duration) -> DateTime<Utc> {
    // No period here is longer than three days.
    chrono::TimeDelta::from_std(ago)
        .ok()
        .and_then(|ago| time.checked_sub_signed(ago))
        .unwrap_or(time)
}

/// Sets a low priority, so that other calls take precedence.
fn low_priority(request: crate::client::Request) -> crate::client::Request {
    request.priority(Priority::Background)
}

impl fmt::Display for ReconciliationReport {
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
