//! Usage: calls and requests by operation, hour, day and month, and budgets.
//!
//! A client counts its calls for each identity, in the [store](crate::ClientBuilder::store) if it has one: there the
//! numbers persist after the process ends, and add up over a fleet. Without a store, they are the client's own. Times
//! are UTC.
//!
//! ```no_run
//! # async fn example(github: octowire::Client) {
//! let report = github.usage().report().await;
//! println!("{report}");
//! println!("{}", report.to_json());
//! # }
//! ```
//!
//! The client writes its counts to the store within 5 s, and at once by [`Usage::report`], [`Usage::flush`] and
//! [`Client::close`](crate::Client::close): a process that is killed before has not written its last counts, and counts
//! that were written without a response of the store count once or not at all. A program calls `close` before it ends.
//! If it does not, the last handle of a client that is dropped within a runtime writes the counts, for which the drop
//! waits up to 500 ms (100 ms on a single-threaded runtime, on which a store over the network cannot respond
//! meanwhile). [Budgets](Budget) differ: the client counts each request in the store before it is sent. If the store
//! does not respond while the call can wait for it, the client decides by its own counts, and the request is counted in
//! the store afterwards.
//!
//! Hours are kept for 3 days, days for 40 and months for 400. For a month, an identity has three numbers for each
//! operation that was called, of which there are 1,240 at most. A client without a store has 16 MiB for that: some
//! hundred identities, of which those with the oldest writes are evicted.
//!
//! A personal token is identified by a digest, so that another token is another identity: a token that is rotated
//! should be [named](crate::auth::PersonalToken::with_identity). Calls with an `authorization` header that the caller set
//! are combined as one identity, `own`, which [`identities`](Usage::identities) lists.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::future::{join, join_all};
use lru::LruCache;
use tokio::time::Instant;

use crate::error::{Error, ErrorKind, Result};
use crate::meter;
use crate::store::{ResilientStore, StoreResult, StoreTimeout, StoreWaitBudget, block_in_drop};
use crate::time::clock;

mod budget;
mod budget_state;
mod counter;
mod keys;
mod operation_counts;
mod period;
mod plan;
mod report;
mod storage;

pub use budget::Budget;
pub use operation_counts::UsageCount;
pub use period::Period;
pub use plan::{PlanCost, PricingPlan, PricingTier};
pub use report::{
    BudgetReport, BudgetState, IdentityUsage, OperationUsage, PeriodUsage, UsageReport,
};

pub(crate) use budget_state::BudgetReservation;

use budget_state::BudgetCounter;
use counter::UsageCounter;
use keys::UsageKeys;
use period::CalendarWindow;
use storage::UsageStorage;

/// The settings of usage counts: [`ClientBuilder::usage`](crate::ClientBuilder::usage).
#[derive(Clone, Debug, Default)]
#[must_use = "it does nothing before it is given to a client"]
pub struct UsageConfig {
    environment: String,
    budgets: Vec<Budget>,
}

/// The maximum length of an environment's name, in bytes.
const MAX_ENVIRONMENT: usize = 64;
const MAX_BUDGETS: usize = 16;

impl UsageConfig {
    /// Creates a policy that counts in the environment without a name, and has no budget.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the environment that this client runs in, such as `production`, of up to 64 bytes: each environment has its
    /// own numbers and budgets, even in a shared store.
    pub fn environment(mut self, name: impl Into<String>) -> Self {
        self.environment = name.into();
        self
    }

    /// Adds a budget, of 16 at most. A request has to be within all of them.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budgets.push(budget);
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |message: String, advice: &'static str| {
            Err(Error::new(ErrorKind::Configuration, message).with_advice(advice))
        };
        let name = &self.environment;
        if name.len() > MAX_ENVIRONMENT || name.chars().any(char::is_control) {
            let advice = "use up to 64 bytes, without control characters";
            return wrong(format!("invalid environment {name:?}"), advice);
        }
        if self.budgets.len() > MAX_BUDGETS {
            return wrong(
                format!("too many budgets: {}", self.budgets.len()),
                "configure at most 16",
            );
        }
        for (index, budget) in self.budgets.iter().enumerate() {
            budget.check()?;
            let same = |other: &Budget| other.name == budget.name;
            if self.budgets.iter().take(index).any(same) {
                let message = format!("duplicate budget name {:?}", budget.name);
                return wrong(message, "use distinct names: budgets are counted by name");
            }
        }
        Ok(())
    }
}

/// The usage of a client's identity: [`Client::usage`](crate::Client::usage).
pub struct Usage<'a> {
    registry: &'a UsageRegistry,
    account: &'a Arc<IdentityUsageState>,
}

impl<'a> Usage<'a> {
    pub(crate) fn new(registry: &'a UsageRegistry, account: &'a Arc<IdentityUsageState>) -> Self {
        Self { registry, account }
    }

    /// Returns the usage in this hour, on this day and in this month, and the state of the budgets. The counts of this
    /// process for the identity are written to the store before.
    ///
    /// It does not fail: if the store is unavailable, the report has the counts of this process, and
    /// [`is_complete`](UsageReport::is_complete) is `false`.
    pub async fn report(&self) -> UsageReport {
        self.report_at(clock::monotonic_wall_clock()).await
    }

    /// Returns the report for another time, as long as its numbers are kept.
    pub async fn report_at(&self, time: SystemTime) -> UsageReport {
        report::report(self.registry, self.account, time).await
    }

    /// Returns all identities with requests in this month, in any environment, as far as the store has their counts;
    /// those with the most requests come first. There are 10,000 at most: further ones are combined as `other`. Returns
    /// `None` if the store is unavailable.
    pub async fn identities(&self) -> Option<Vec<IdentityUsage>> {
        if !self.registry.storage.is_shared() {
            self.flush().await;
        }
        report::identities(self.registry, Period::Month.at(clock::monotonic_wall_clock())).await
    }

    /// Writes the counts of all identities of the client to the store, before a process ends. Returns whether the store
    /// confirmed them; counts that were not sent are written later.
    pub async fn flush(&self) -> bool {
        for account in self.registry.accounts() {
            if !account.counter.flush().await || account.counter.has_unconfirmed() {
                return false;
            }
        }
        true
    }
}

impl fmt::Debug for Usage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let identity = self.account.counter.identity();
        f.debug_struct("Usage").field("identity", &identity).finish_non_exhaustive()
    }
}

/// The usage of all identities of a client.
pub(crate) struct UsageRegistry {
    storage: Arc<UsageStorage>,
    keys: Arc<UsageKeys>,
    budgets: Vec<Budget>,
    /// The budgets that all identities share.
    shared_budgets: Vec<Arc<BudgetCounter>>,
    accounts: Mutex<LruCache<Arc<str>, Arc<IdentityUsageState>>>,
}

/// The usage of one identity.
pub(crate) struct IdentityUsageState {
    storage: Arc<UsageStorage>,
    counter: Arc<UsageCounter>,
    budgets: Vec<Arc<BudgetCounter>>,
}

/// Counts the end of a call. It holds the registry until then, since the registry writes the counts when it is dropped.
pub(crate) struct UsageRecorder {
    account: Arc<IdentityUsageState>,
    _registry: Arc<UsageRegistry>,
}

impl UsageRecorder {
    pub(crate) fn new(registry: &Arc<UsageRegistry>, account: Arc<IdentityUsageState>) -> Self {
        Self { account, _registry: Arc::clone(registry) }
    }

    /// Records the end of the call.
    pub(crate) fn record_call(&self, now: Instant, operation: &'static str, failed: bool) {
        self.account.record_call(now, operation, failed);
    }
}

/// The maximum number of identities, as for tokens. An evicted one has written its counts.
const MAX_IDENTITIES: usize = 15_000;

impl UsageRegistry {
    /// Creates the usage of a client from a validated policy.
    pub(crate) fn new(
        policy: UsageConfig,
        github: &str,
        store: Option<Arc<ResilientStore>>,
    ) -> Self {
        let UsageConfig { environment, budgets } = policy;
        let storage = Arc::new(UsageStorage::new(store));
        let keys = Arc::new(UsageKeys { github: github.to_owned(), environment });
        let (common, budgets): (Vec<_>, _) = budgets.into_iter().partition(|budget| budget.shared);
        let common = common.into_iter().map(|budget| {
            let prefix = keys.shared_budget(&budget.name);
            Arc::new(BudgetCounter::new(budget, prefix, "all"))
        });
        let common = common.collect();
        // `account` bounds it. A bound here would allocate its capacity at once.
        let accounts = Mutex::new(LruCache::unbounded());
        Self { storage, keys, budgets, shared_budgets: common, accounts }
    }

    /// Writes all earlier counts to the store, repeatedly until it has received all or the time has passed. Returns
    /// whether the store certainly has them.
    pub(crate) async fn flush(&self, within: Duration) -> bool {
        let accounts = self.accounts();
        let counters = async {
            let mut reply = true;
            for account in &accounts {
                while account.counter.is_pending() {
                    match account.counter.flush_with(StoreTimeout::Bounded).await {
                        StoreResult::Done(()) => break,
                        // The store can have added it, and the client does not write it again.
                        StoreResult::Indeterminate | StoreResult::Unreadable => reply = false,
                        StoreResult::NotAttempted => tokio::time::sleep(FLUSH_RETRY_INTERVAL).await,
                    }
                }
                // The same applies to earlier counts, if the store has not responded since.
                reply &= !account.counter.has_unconfirmed();
            }
            reply
        };
        let flush = async {
            // Requests to the store for budgets can still change their sums.
            let decided = self.storage.tasks.wait(TASKS_TIMEOUT);
            let (decided, mut reply) = join(decided, counters).await;
            for budget in accounts.iter().flat_map(|account| &account.budgets) {
                while !budget.flush(&self.storage).await {
                    tokio::time::sleep(FLUSH_RETRY_INTERVAL).await;
                }
                reply &= !budget.has_unconfirmed();
            }
            reply && decided
        };
        tokio::time::timeout(within, flush).await.unwrap_or(false)
    }

    fn accounts(&self) -> Vec<Arc<IdentityUsageState>> {
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.iter().map(|(_, account)| Arc::clone(account)).collect()
    }

    pub(crate) fn has_budgets(&self) -> bool {
        !self.budgets.is_empty() || !self.shared_budgets.is_empty()
    }

    pub(crate) fn account(&self, identity: &str) -> Arc<IdentityUsageState> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = accounts.get(identity) {
            return Arc::clone(account);
        }
        let label = if self.budgets.is_empty() { "" } else { meter::identity(identity) };
        let own = self.budgets.iter().map(|budget| {
            let prefix = self.keys.budget(&budget.name, identity);
            Arc::new(BudgetCounter::new(budget.clone(), prefix, label))
        });
        let budgets = self.shared_budgets.iter().cloned().chain(own).collect();
        let (storage, keys) = (Arc::clone(&self.storage), Arc::clone(&self.keys));
        let identity: Arc<str> = identity.into();
        let counter = UsageCounter::new(Arc::clone(&storage), keys, Arc::clone(&identity));
        let account = Arc::new(IdentityUsageState { storage, counter: Arc::new(counter), budgets });
        accounts.put(identity, Arc::clone(&account));
        let evicted = if accounts.len() > MAX_IDENTITIES { accounts.pop_lru() } else { None };
        drop(accounts);
        if let Some((_, evicted)) = evicted {
            // A handle can keep it, with counts of the current hour.
            evicted.counter.flush_to_memory();
        }
        account
    }
}

/// The pause before counts are written again at the end.
const FLUSH_RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// The longest time for which the tasks of budgets are awaited at the end, so that sums can be written after it.
const TASKS_TIMEOUT: Duration = Duration::from_secs(3);

impl Drop for UsageRegistry {
    /// Writes the counts since the last write: a short program ends here.
    fn drop(&mut self) {
        if !self.storage.is_shared() {
            return;
        }
        let pending = self.accounts().into_iter().filter(|account| account.counter.is_pending());
        let pending: Vec<_> = pending.collect();
        if pending.is_empty() {
            return;
        }
        block_in_drop(async move {
            for account in pending {
                account.counter.flush_with(StoreTimeout::Unbounded).await;
            }
        });
    }
}

impl IdentityUsageState {
    /// Returns an error if a budget is known to be spent for an operation, without a request to the store.
    pub(crate) fn check(&self, operation: &str) -> Result<()> {
        let now = clock::monotonic_wall_clock();
        self.budgets.iter().try_for_each(|budget| budget.check(operation, now))
    }

    /// Returns the budgets that are spent, as far as this process knows.
    pub(crate) fn exhausted_budgets(&self) -> impl Iterator<Item = &str> {
        let now = clock::monotonic_wall_clock();
        let spent = self.budgets.iter().filter(move |budget| budget.is_exhausted(now));
        spent.map(|budget| budget.budget.name.as_str())
    }

    /// Records the end of a call.
    pub(crate) fn record_call(&self, now: Instant, operation: &'static str, failed: bool) {
        self.counter.count(
            now,
            operation,
            UsageCount { calls: 1, failed: failed.into(), requests: 0 },
        );
    }

    /// Takes a request that is about to be sent from the budgets, unless one of them is spent. All of them are counted
    /// in the store concurrently.
    pub(crate) async fn reserve(
        self: &Arc<Self>,
        operation: &str,
        allowance: &StoreWaitBudget,
    ) -> Result<BudgetReservations> {
        let now = clock::monotonic_wall_clock();
        let spent = self
            .budgets
            .iter()
            .map(|budget| budget.reserve(&self.storage, operation, now, allowance));
        let mut reserved = BudgetReservations {
            account: Arc::clone(self),
            reservations: Vec::new(),
            is_sent: false,
        };
        let mut rejection = None;
        for spent in join_all(spent).await {
            match spent {
                Ok(reservation) => reserved.reservations.push(reservation.commit()),
                Err(error) => {
                    reserved.reservations.push(None);
                    rejection.get_or_insert(error);
                }
            }
        }
        match rejection {
            Some(error) => Err(error),
            None => Ok(reserved),
        }
    }

    /// Records a request that is sent.
    pub(crate) fn record_request(&self, now: Instant, operation: &'static str) {
        self.counter.count(now, operation, UsageCount { calls: 0, failed: 0, requests: 1 });
    }

    /// Gives the request back to those budgets in which it does not count.
    fn release(&self, spent: Vec<Option<BudgetReservation>>, to: impl Fn(&Budget) -> bool) {
        for (budget, spent) in self.budgets.iter().zip(spent) {
            if let Some(spent) = spent.filter(|_| to(&budget.budget)) {
                budget.release(&self.storage, spent);
            }
        }
    }
}

/// The part of the budgets that a request takes before it is sent. It is given back when this is dropped before the
/// request is sent.
pub(crate) struct BudgetReservations {
    account: Arc<IdentityUsageState>,
    /// In the order of the budgets; `None` where one is spent.
    reservations: Vec<Option<BudgetReservation>>,
    is_sent: bool,
}

impl BudgetReservations {
    /// Returns whether no budget has begun another window since.
    pub(crate) fn is_current(&self) -> bool {
        let now = clock::monotonic_wall_clock();
        let mut spent = self.account.budgets.iter().zip(&self.reservations);
        spent
            .all(|(budget, spent)| spent.is_some_and(|spent| spent.is_current(&budget.budget, now)))
    }

    /// Records that GitHub can have received the request from now on.
    pub(crate) fn mark_sent(&mut self) {
        self.is_sent = true;
    }

    /// Settles the request, which did not reach GitHub if it is `unsent`, and whose response confirmed a stored one if
    /// it is `confirmed`.
    pub(crate) fn settle(mut self, unsent: bool, confirmed: bool) {
        let spent = std::mem::take(&mut self.reservations);
        if unsent || confirmed {
            self.account.release(spent, |budget| unsent || budget.exclude_not_modified);
        }
    }
}

impl Drop for BudgetReservations {
    fn drop(&mut self) {
        if !self.is_sent {
            self.account.release(std::mem::take(&mut self.reservations), |_| true);
        }
    }
}
