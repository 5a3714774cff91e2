//! The count of a request in the store, which continues when its call no longer waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use tokio::sync::oneshot;

use super::{BudgetCounter, SpendGuard};
use crate::policy::usage::period::CalendarWindow;
use crate::policy::usage::storage::UsageStorage;
use crate::store::StoreResult;

/// The store's response for a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum StoreReply {
    /// The sum, and whether the limit permitted the request.
    Total(i64, bool),
    /// There is no response. If the store can have counted the request, the client counts it.
    None { counted: bool },
}

/// The part of a request's count that continues when its call no longer waits.
pub(super) struct StoreRequest {
    pub(super) spending: Arc<BudgetCounter>,
    pub(super) storage: Arc<UsageStorage>,
    pub(super) window: CalendarWindow,
    pub(super) hard_limit: Option<i64>,
    pub(super) now: SystemTime,
    pub(super) shared: Arc<Decision>,
}

/// The state that a question shares with its call. It is read and changed while the state of the spending is locked.
#[derive(Debug, Default)]
pub(super) struct Decision {
    /// Whether the request is among those that are being counted in the store.
    pub(super) is_in_flight: AtomicBool,
    /// Whether the request counts as undecided.
    pub(super) is_undecided: AtomicBool,
    /// Whether the call has sent its request without a response of the store.
    pub(super) was_sent: AtomicBool,
}

impl StoreRequest {
    /// Counts the request in the store, and records the response. If the call has continued without it, corrects the
    /// sum.
    pub(super) async fn run(self, response: oneshot::Sender<StoreReply>) {
        let Self { spending, storage, window, hard_limit: hard, now, shared } = &self;
        if !spending.probe_store(storage, *window).await {
            let _ = response.send(StoreReply::None { counted: false });
            return;
        }
        let owed = {
            let mut state = spending.state();
            // The call has decided, and recorded the count that is to be written.
            if response.is_closed() {
                return;
            }
            state.enter_window(*window);
            let owed = std::mem::take(&mut state.pending);
            state.in_flight = state.in_flight.saturating_add(owed).saturating_add(1);
            shared.is_in_flight.store(true, Ordering::Relaxed);
            shared.is_undecided.store(true, Ordering::Relaxed);
            state.undecided = state.undecided.saturating_add(1);
            owed
        };
        let amount = owed.saturating_add(1);
        let mut guard = SpendGuard { spending, window: *window, amount };
        let most = hard.unwrap_or(i64::MAX);
        let ran = spending.count_in_store(storage, *window, owed, most).await;
        guard.amount = 0;
        let reply = self.apply_reply(ran, amount, owed);
        if let Err(reply) = response.send(reply) {
            self.correct(reply);
        }
        if let StoreReply::Total(sum, true) = reply {
            if sum == amount {
                let key = spending.first_key(*window);
                storage.record_first_use(&key, *now, window.period.retention()).await;
            }
            spending.warn_once(storage, *window, sum).await;
        }
    }

    /// Records the response for this request and the owed amount, or that there is none.
    fn apply_reply(&self, ran: StoreResult<(i64, bool)>, amount: i64, owed: i64) -> StoreReply {
        let mut state = self.spending.state();
        let is_current = state.window == Some(self.window);
        if is_current {
            state.in_flight = state.in_flight.saturating_sub(amount);
            state.store_unresponsive = !matches!(ran, StoreResult::Done(_));
        }
        match ran {
            StoreResult::Done((sum, went)) => {
                if is_current {
                    state.apply_total(sum);
                    if self.shared.is_undecided.swap(false, Ordering::Relaxed) {
                        state.undecided = state.undecided.saturating_sub(1);
                    }
                }
                drop(state);
                if went {
                    self.spending.record_metric(sum);
                }
                StoreReply::Total(sum, went)
            }
            StoreResult::Indeterminate => {
                if is_current {
                    state.mark_unconfirmed(amount);
                }
                StoreReply::None { counted: true }
            }
            StoreResult::NotAttempted | StoreResult::Unreadable => {
                if is_current {
                    state.pending = state.pending.saturating_add(owed);
                }
                StoreReply::None { counted: false }
            }
        }
    }

    /// Corrects the sum after the call has decided without this response, or was dropped: the sum then has the requests
    /// that were sent.
    fn correct(&self, reply: StoreReply) {
        let mut state = self.spending.state();
        let went = self.shared.was_sent.load(Ordering::Relaxed);
        let is_current = state.window == Some(self.window);
        let correction = match (reply, went) {
            (StoreReply::Total(_, true), false) => -1,
            (StoreReply::Total(_, false) | StoreReply::None { counted: false }, true) => 1,
            (StoreReply::None { counted: true }, false) if is_current => return state.not_sent(),
            _ => return,
        };
        if is_current {
            state.pending = state.pending.saturating_add(correction);
            drop(state);
            self.spending.flush_in_background(&self.storage);
        }
    }
}
