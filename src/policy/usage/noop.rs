//! Usage: the empty replacement without the feature `usage`, at no cost. A client then counts nothing, and has no
//! budgets.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::error::Result;
use crate::store::{ResilientStore, StoreWaitBudget};

/// The settings of usage counts.
#[derive(Debug, Default)]
pub(crate) struct UsageConfig {}

impl UsageConfig {
    #[allow(clippy::unnecessary_wraps, reason = "with the feature it fails")]
    pub(crate) fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// The usage of all identities of a client.
pub(crate) struct UsageRegistry(Arc<IdentityUsageState>);

impl UsageRegistry {
    pub(crate) fn new(_: UsageConfig, _: &str, _: Option<Arc<ResilientStore>>) -> Self {
        Self(Arc::new(IdentityUsageState))
    }

    #[allow(clippy::unused_async, reason = "with the feature it waits for the store")]
    pub(crate) async fn flush(&self, _: Duration) -> bool {
        true
    }

    pub(crate) fn has_budgets(&self) -> bool {
        false
    }

    pub(crate) fn account(&self, _: &str) -> Arc<IdentityUsageState> {
        Arc::clone(&self.0)
    }
}

/// The usage of one identity.
pub(crate) struct IdentityUsageState;

impl IdentityUsageState {
    #[allow(clippy::unnecessary_wraps, reason = "with the feature it fails")]
    pub(crate) fn check(&self, _: &str) -> Result<()> {
        Ok(())
    }

    pub(crate) fn exhausted_budgets(&self) -> impl Iterator<Item = &str> {
        std::iter::empty()
    }

    #[allow(clippy::unused_async, reason = "with the feature it waits for the store")]
    pub(crate) async fn reserve(&self, _: &str, _: &StoreWaitBudget) -> Result<BudgetReservations> {
        Ok(BudgetReservations)
    }

    pub(crate) fn record_request(&self, _: Instant, _: &'static str) {}
}

/// Counts the end of a call.
pub(crate) struct UsageRecorder;

impl UsageRecorder {
    pub(crate) fn new(_: &Arc<UsageRegistry>, _: Arc<IdentityUsageState>) -> Self {
        Self
    }

    pub(crate) fn record_call(&self, _: Instant, _: &'static str, _: bool) {}
}

/// The part of the budgets that a request takes before it is sent.
pub(crate) struct BudgetReservations;

impl BudgetReservations {
    pub(crate) fn is_current(&self) -> bool {
        true
    }

    pub(crate) fn mark_sent(&mut self) {}

    pub(crate) fn settle(self, _: bool, _: bool) {}
}
