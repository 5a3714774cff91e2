//! What the page shows.

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

/// What is told at a time.
#[derive(Serialize)]
pub(super) struct Told {
    /// Seconds that have ended.
    series: Series,
    health: Health,
    limits: Vec<LimitsHealth>,
    tokens: Vec<TokenHealth>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<UsageTold>,
    /// What became of deliveries, since the receiver was started.
    #[cfg(feature = "webhooks-core")]
    webhooks: Option<crate::webhooks::ReceiverStats>,
    /// Calls that failed since it was told last, the latest first.
    failed: Vec<FailedCall>,
}

/// What was used in a month.
#[derive(Clone, Serialize)]
struct UsageTold {
    month: Count,
    is_complete: bool,
    budgets: Vec<BudgetReport>,
    /// Those with most requests.
    operations: Vec<OperationUsage>,
}

/// What a reader was told last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reader {
    /// The second to go on from.
    next: u64,
    /// How many calls had failed.
    failed: u64,
    /// When usage was read that it was told of.
    usage: Option<Instant>,
}

/// As many identities are shown.
const MAX_IDENTITIES: usize = 50;
/// As many operations are.
const MAX_OPERATIONS: usize = 10;
/// Usage is read from the store this often, if anybody looks.
const USAGE_EVERY: Duration = Duration::from_secs(5);

/// Usage, read for all who look.
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
    /// What there is to tell a reader.
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
        // One reads, and the others take what there is.
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
