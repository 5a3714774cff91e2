//! The count of a request in the store, which continues when its call no longer waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use tokio::sync::oneshot;

use super::{Spending, Telling};
use crate::telemetry::usage::period::Window;
use crate::telemetry::usage::place::{Place, Ran};

/// The store's response for a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Heard {
    /// The sum, and whether the limit permitted the request.
    Sum(i64, bool),
    /// There is no response. If the store can have counted the request, the client counts it.
    Nothing { counted: bool },
}

/// The part of a request's count that continues when its call no longer waits.
pub(super) struct Question {
    pub(super) spending: Arc<Spending>,
    pub(super) place: Arc<Place>,
    pub(super) window: Window,
    pub(super) hard: Option<i64>,
    pub(super) now: SystemTime,
    pub(super) shared: Arc<Decision>,
}

/// The state that a question shares with its call. It is read and changed while the state of the spending is locked.
#[derive(Debug, Default)]
pub(super) struct Decision {
    /// Whether the request is among those that are being counted in the store.
    pub(super) is_told: AtomicBool,
    /// Whether the request counts as undecided.
    pub(super) is_undecided: AtomicBool,
    /// Whether the call has sent its request without a response of the store.
    pub(super) went: AtomicBool,
}

impl Question {
    /// Counts the request in the store, and records the response. If the call has continued without it, corrects the
    /// sum.
    pub(super) async fn ask(self, answer: oneshot::Sender<Heard>) {
        let Self { spending, place, window, hard, now, shared } = &self;
        if !spending.finds_out(place, *window).await {
            let _ = answer.send(Heard::Nothing { counted: false });
            return;
        }
        let owed = {
            let mut state = spending.state();
            // The call has decided, and recorded the count that is to be written.
            if answer.is_closed() {
                return;
            }
            state.turn_to(*window);
            let owed = std::mem::take(&mut state.untold);
            state.in_flight = state.in_flight.saturating_add(owed).saturating_add(1);
            shared.is_told.store(true, Ordering::Relaxed);
            shared.is_undecided.store(true, Ordering::Relaxed);
            state.undecided = state.undecided.saturating_add(1);
            owed
        };
        let amount = owed.saturating_add(1);
        let mut telling = Telling { spending, window: *window, amount };
        let most = hard.unwrap_or(i64::MAX);
        let ran = spending.count(place, *window, owed, most).await;
        telling.amount = 0;
        let heard = self.hear(ran, amount, owed);
        if let Err(heard) = answer.send(heard) {
            self.correct(heard);
        }
        if let Heard::Sum(sum, true) = heard {
            if sum == amount {
                let key = spending.first_key(*window);
                place.remember_first(&key, *now, window.period.kept()).await;
            }
            spending.warn(place, *window, sum).await;
        }
    }

    /// Records the response for this request and the owed amount, or that there is none.
    fn hear(&self, ran: Ran<(i64, bool)>, amount: i64, owed: i64) -> Heard {
        let mut state = self.spending.state();
        let is_current = state.window == Some(self.window);
        if is_current {
            state.in_flight = state.in_flight.saturating_sub(amount);
            state.silent = !matches!(ran, Ran::Done(_));
        }
        match ran {
            Ran::Done((sum, went)) => {
                if is_current {
                    state.hear(sum);
                    if self.shared.is_undecided.swap(false, Ordering::Relaxed) {
                        state.undecided = state.undecided.saturating_sub(1);
                    }
                }
                drop(state);
                if went {
                    self.spending.tell(sum);
                }
                Heard::Sum(sum, went)
            }
            Ran::Unknown => {
                if is_current {
                    state.doubt(amount);
                }
                Heard::Nothing { counted: true }
            }
            Ran::NotTried | Ran::Unreadable => {
                if is_current {
                    state.untold = state.untold.saturating_add(owed);
                }
                Heard::Nothing { counted: false }
            }
        }
    }

    /// Corrects the sum after the call has decided without this response, or was dropped: the sum then has the requests
    /// that were sent.
    fn correct(&self, heard: Heard) {
        let mut state = self.spending.state();
        let went = self.shared.went.load(Ordering::Relaxed);
        let is_current = state.window == Some(self.window);
        let correction = match (heard, went) {
            (Heard::Sum(_, true), false) => -1,
            (Heard::Sum(_, false) | Heard::Nothing { counted: false }, true) => 1,
            (Heard::Nothing { counted: true }, false) if is_current => return state.not_sent(),
            _ => return,
        };
        if is_current {
            state.untold = state.untold.saturating_add(correction);
            drop(state);
            self.spending.tell_behind(&self.place);
        }
    }
}
