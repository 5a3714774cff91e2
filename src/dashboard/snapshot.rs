//! The state that the page shows.

use std::sync::Mutex as SyncMutex;
use std::sync::PoisonError;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::DashboardState;
use crate::observability::dashboard_series::{ChartSeries, FailedCall};
use crate::observability::health::{Health, RateLimitHealth, TokenHealth};
use crate::policy::usage::{BudgetReport, OperationUsage, UsageCount};

/// The state at one time.
#[derive(Serialize)]
pub(super) struct DashboardUpdate {
    /// Completed seconds.
    series: ChartSeries,
    health: Health,
    limits: Vec<RateLimitHealth>,
    tokens: Vec<TokenHealth>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<UsageSnapshot>,
    /// Outcomes of deliveries, since the receiver was started.
    #[cfg(feature = "webhooks")]
    webhooks: Option<crate::webhooks::ReceiverStats>,
    /// Failed calls since the last event, the latest first.
    failed: Vec<FailedCall>,
}

/// The usage of a month.
#[derive(Clone, Serialize)]
struct UsageSnapshot {
    month: UsageCount,
    is_complete: bool,
    budgets: Vec<BudgetReport>,
    /// The operations with most requests.
    operations: Vec<OperationUsage>,
}

/// The position of a reader after its last event.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Subscriber {
    /// The second to continue from.
    next: u64,
    /// The number of failed calls.
    failed: u64,
    /// When the usage of the last event was read.
    usage: Option<Instant>,
}

/// Maximum number of identities.
const MAX_IDENTITIES: usize = 50;
/// Maximum number of operations.
const MAX_OPERATIONS: usize = 10;
/// The interval at which usage is read from the store, while the page is open.
const USAGE_INTERVAL: Duration = Duration::from_secs(5);

/// Usage, shared by all readers.
#[derive(Default)]
pub(super) struct UsageCache {
    reading: Mutex<()>,
    read: SyncMutex<Option<(Instant, UsageSnapshot)>>,
}

impl UsageCache {
    fn last(&self) -> Option<(Instant, UsageSnapshot)> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl DashboardState {
    /// Returns the changes for a reader.
    pub(super) async fn update_for(&self, reader: &mut Subscriber) -> DashboardUpdate {
        let client = &self.dashboard.client;
        let handle = client.handle();
        let usage = self.usage().await;
        let usage = usage.filter(|(read, _)| reader.usage != Some(*read)).map(|(read, usage)| {
            reader.usage = Some(read);
            usage
        });
        let (series, failed) = handle.shared.recent.seconds(|now, seconds| {
            let series = seconds.series(reader.next, now);
            reader.next = now;
            let failed = seconds.failed_after(reader.failed).cloned().collect();
            reader.failed = seconds.failed_total();
            (series, failed)
        });
        DashboardUpdate {
            series,
            health: client.health(),
            limits: handle.shared.limits.health(
                &handle.rate_limit_identity(),
                handle.admission_queue(),
                MAX_IDENTITIES,
            ),
            tokens: handle.identity.health(MAX_IDENTITIES),
            usage,
            #[cfg(feature = "webhooks")]
            webhooks: self.dashboard.receiver.as_ref().map(|receiver| receiver.stats()),
            failed,
        }
    }

    async fn usage(&self) -> Option<(Instant, UsageSnapshot)> {
        let fresh = |read: &(Instant, UsageSnapshot)| read.0.elapsed() < USAGE_INTERVAL;
        if let Some(read) = self.usage.last().filter(fresh) {
            return Some(read);
        }
        // One reader loads it, and the others use its result.
        let Ok(_reading) = self.usage.reading.try_lock() else { return self.usage.last() };
        let report = self.dashboard.client.usage().report().await;
        let is_complete = report.is_complete;
        let (month, mut operations) = match report.periods.into_iter().next_back() {
            Some(month) => (month.total, month.operations),
            None => (UsageCount::default(), Vec::new()),
        };
        operations.truncate(MAX_OPERATIONS);
        let read = (
            Instant::now(),
            UsageSnapshot { month, is_complete, budgets: report.budgets, operations },
        );
        let mut last = self.usage.read.lock().unwrap_or_else(PoisonError::into_inner);
        Some(last.insert(read).clone())
    }
}
