//! The state that the page shows.

use std::sync::Mutex as SyncMutex;
use std::sync::PoisonError;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Shown;
use crate::health::{Health, LimitsHealth, TokenHealth};
use crate::telemetry::seconds::{FailedCall, Series};
use crate::telemetry::usage::{BudgetReport, Count, OperationUsage};

/// The state at one time.
#[derive(Serialize)]
pub(super) struct Told {
    /// Completed seconds.
    series: Series,
    health: Health,
    limits: Vec<LimitsHealth>,
    tokens: Vec<TokenHealth>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<UsageTold>,
    /// Outcomes of deliveries, since the receiver was started.
    #[cfg(feature = "webhooks-core")]
    webhooks: Option<crate::webhooks::ReceiverStats>,
    /// Failed calls since the last event, the latest first.
    failed: Vec<FailedCall>,
}

/// The usage of a month.
#[derive(Clone, Serialize)]
struct UsageTold {
    month: Count,
    is_complete: bool,
    budgets: Vec<BudgetReport>,
    /// The operations with most requests.
    operations: Vec<OperationUsage>,
}

/// The position of a reader after its last event.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reader {
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
const USAGE_EVERY: Duration = Duration::from_secs(5);

/// Usage, shared by all readers.
#[derive(Default)]
pub(super) struct Usage {
    reading: Mutex<()>,
    read: SyncMutex<Option<(Instant, UsageTold)>>,
}

impl Usage {
    fn last(&self) -> Option<(Instant, UsageTold)> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Shown {
    /// Returns the changes for a reader.
    pub(super) async fn tell(&self, reader: &mut Reader) -> Told {
        let client = &self.dashboard.client;
        let inner = client.inner();
        let usage = self.usage().await;
        let usage = usage.filter(|(read, _)| reader.usage != Some(*read)).map(|(read, usage)| {
            reader.usage = Some(read);
            usage
        });
        let (series, failed) = inner.watch.seconds(|now, seconds| {
            let series = seconds.series(reader.next, now);
            reader.next = now;
            let failed = seconds.failed_after(reader.failed).cloned().collect();
            reader.failed = seconds.failed_in_all();
            (series, failed)
        });
        Told {
            series,
            health: client.health(),
            limits: inner.limits.health(&client.limited_as(), client.lane(), MAX_IDENTITIES),
            tokens: inner.auth.health(MAX_IDENTITIES),
            usage,
            #[cfg(feature = "webhooks-core")]
            webhooks: self.dashboard.receiver.as_ref().map(|receiver| receiver.stats()),
            failed,
        }
    }

    async fn usage(&self) -> Option<(Instant, UsageTold)> {
        let fresh = |read: &(Instant, UsageTold)| read.0.elapsed() < USAGE_EVERY;
        if let Some(read) = self.usage.last().filter(fresh) {
            return Some(read);
        }
        // One reader loads it, and the others use its result.
        let Ok(_reading) = self.usage.reading.try_lock() else { return self.usage.last() };
        let report = self.dashboard.client.usage().report().await;
        let is_complete = report.is_complete;
        let (month, mut operations) = match report.periods.into_iter().next_back() {
            Some(month) => (month.total, month.operations),
            None => (Count::default(), Vec::new()),
        };
        operations.truncate(MAX_OPERATIONS);
        let read =
            (Instant::now(), UsageTold { month, is_complete, budgets: report.budgets, operations });
        let mut last = self.usage.read.lock().unwrap_or_else(PoisonError::into_inner);
        Some(last.insert(read).clone())
    }
}
