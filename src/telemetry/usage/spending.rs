//! What is spent of a budget, counted before it is sent.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tracing::warn;

use super::budget::Budget;
use super::period::Window;
use super::place::Place;
use crate::error::{Error, ErrorKind};
use crate::telemetry::meter;

/// One budget of one identity, or of all.
pub(super) struct Spending {
    pub(super) budget: Budget,
    /// What its keys begin with.
    prefix: String,
    /// The budget and the identity, as metrics know them.
    labels: [&'static str; 2],
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    window: Option<Window>,
    /// The sum that the store told last, and when.
    heard: i64,
    at: Option<Instant>,
    /// What it was not told yet; negative if it is to be given back.
    untold: i64,
    warned: bool,
}

/// What the store is being told of. If whoever tells it is dropped, nobody knows whether it heard: rather
/// twice than not at all.
struct Carried<'a> {
    spending: &'a Spending,
    amount: i64,
}

impl Drop for Carried<'_> {
    fn drop(&mut self) {
        if self.amount != 0 {
            self.spending.state().untold += self.amount;
        }
    }
}

/// One request that was counted, to be given back if it was none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent(Window);

/// A budget that is spent is asked for again after this.
const ASK_AGAIN: Duration = Duration::from_secs(1);

impl Spending {
    pub(super) fn new(budget: Budget, prefix: String, identity: &'static str) -> Self {
        let labels = [meter::budget_name(&budget.name), identity];
        Self { budget, prefix, labels, state: Mutex::default() }
    }

    /// Counts one request.
    pub(super) async fn spend(
        &self,
        place: &Place,
        operation: &str,
        now: SystemTime,
    ) -> Result<Spent, Error> {
        let window = self.budget.period.at(now);
        let exempt = self.budget.exempt.iter().any(|exempt| exempt == operation);
        let hard = self.budget.hard.filter(|_| !exempt).map(signed);
        let mut carried = {
            let mut state = self.state();
            state.turn_to(window);
            let asked = state.at.is_some_and(|at| at.elapsed() < ASK_AGAIN);
            if hard.is_some_and(|hard| asked && state.heard.saturating_add(state.untold) >= hard) {
                return Err(self.spent(window, now));
            }
            Carried { spending: self, amount: 1 + std::mem::take(&mut state.untold) }
        };
        let sum = place.add(&self.key(window), carried.amount, window.period.kept()).await;
        let amount = std::mem::take(&mut carried.amount);
        let Some(sum) = sum else { return self.spend_alone(window, amount, hard, now) };
        if self.budget.soft.map(signed).is_some_and(|soft| sum - amount < soft && soft <= sum) {
            self.warn(window, sum);
        }
        let over = hard.is_some_and(|hard| sum > hard);
        {
            let mut state = self.state();
            if state.window == Some(window) {
                (state.heard, state.at) = (sum, Some(Instant::now()));
            }
        }
        if over {
            self.give_back(place, Spent(window)).await;
            return Err(self.spent(window, now));
        }
        self.tell(sum);
        Ok(Spent(window))
    }

    /// Gives one back that was none, or was refused.
    pub(super) async fn give_back(&self, place: &Place, Spent(window): Spent) {
        let sum = place.add(&self.key(window), -1, window.period.kept()).await;
        let mut state = self.state();
        if state.window != Some(window) {
            return;
        }
        match sum {
            Some(sum) => state.heard = sum,
            None => state.untold -= 1,
        }
    }

    /// What is spent of it in this window, and whether the store says so.
    pub(super) async fn used(&self, place: &Place, window: Window) -> (u64, bool) {
        let told = place.number(&self.key(window)).await;
        let mut state = self.state();
        state.turn_to(window);
        if let Some(told) = told {
            state.heard = told;
        }
        let used = state.heard.saturating_add(state.untold);
        (u64::try_from(used).unwrap_or_default(), told.is_some())
    }

    /// Counts one that the store can not be told of now.
    fn spend_alone(
        &self,
        window: Window,
        amount: i64,
        hard: Option<i64>,
        now: SystemTime,
    ) -> Result<Spent, Error> {
        let mut state = self.state();
        state.turn_to(window);
        // Whether it was counted or not, nobody knows: rather twice than not at all.
        state.untold = state.untold.saturating_add(amount);
        let used = state.heard.saturating_add(state.untold);
        let refused = match hard {
            Some(_) if self.budget.strict => Some(self.unknown()),
            Some(hard) if used > hard => Some(self.spent(window, now)),
            _ => None,
        };
        match refused {
            Some(error) => {
                state.untold -= 1;
                Err(error)
            }
            None => {
                drop(state);
                self.tell(used);
                Ok(Spent(window))
            }
        }
    }

    fn tell(&self, used: i64) {
        let limit = self.budget.hard.or(self.budget.soft);
        meter::budget(self.labels, used.max(0) as f64, limit);
    }

    fn warn(&self, window: Window, used: i64) {
        // What was given back is reached again.
        if std::mem::replace(&mut self.state().warned, true) {
            return;
        }
        let Budget { name, period, hard, .. } = &self.budget;
        warn!(budget = name, used, hard, %period, ends = %window.ends, "a budget is nearly spent");
    }

    fn spent(&self, window: Window, now: SystemTime) -> Error {
        meter::budget_refused(self.labels[0]);
        let Budget { name, period, hard, .. } = &self.budget;
        let hard = hard.unwrap_or_default();
        let message = format!("the budget {name:?} of {hard} requests a {period} is spent");
        Error::new(ErrorKind::Budget, message)
            .with_advice(format!(
                "a new {period} begins at {}; until then raise the budget, or exempt what has to go on",
                window.ends.format("%Y-%m-%dT%H:%M:%SZ")
            ))
            .with_retry_after(window.left(now))
    }

    fn unknown(&self) -> Error {
        meter::budget_refused(self.labels[0]);
        let message = format!(
            "what is left of the budget {:?} is not known: the store does not answer",
            self.budget.name
        );
        Error::new(ErrorKind::Budget, message)
            .with_advice("see to the store, or build the budget without strict()")
            .with_retryable(true)
    }

    fn key(&self, window: Window) -> String {
        format!("{}:{window}", self.prefix)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Begins anew in a window that is later.
    fn turn_to(&mut self, window: Window) {
        if self.window.is_none_or(|held| held.began < window.began) {
            *self = Self { window: Some(window), ..Self::default() };
        }
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use proptest::prelude::*;

    use super::super::{Budget, Period};
    use super::*;

    fn at(text: &str) -> SystemTime {
        text.parse::<DateTime<Utc>>().unwrap().into()
    }

    fn spending(budget: Budget) -> Spending {
        Spending::new(budget, "budget:test".to_owned(), "")
    }

    #[tokio::test]
    async fn a_budget_begins_anew_with_its_window() {
        let place = Place::new(None);
        let spending = spending(Budget::new("b", Period::Hour).hard(2));
        let late = at("2026-11-26T01:59:59Z");
        spending.spend(&place, "o/p", late).await.unwrap();
        spending.spend(&place, "o/p", late).await.unwrap();
        let error = spending.spend(&place, "o/p", late).await.unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
        assert!(error.to_string().contains("begins at 2026-11-26T02:00:00Z"), "{error}");
        let next = at("2026-11-26T02:00:00Z");
        spending.spend(&place, "o/p", next).await.unwrap();
        assert_eq!(spending.used(&place, Period::Hour.at(next)).await, (1, true));
        // What is given back late goes to the hour that it was taken from.
        spending.give_back(&place, Spent(Period::Hour.at(late))).await;
        assert_eq!(spending.used(&place, Period::Hour.at(next)).await, (1, true));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_refused_asks_the_store_once_a_second() {
        let place = Place::new(None);
        let spending = spending(Budget::new("b", Period::Hour).hard(1));
        let now = at("2026-11-26T01:00:00Z");
        let spent = spending.spend(&place, "o/p", now).await.unwrap();
        spending.spend(&place, "o/p", now).await.unwrap_err();
        // Somebody else gives one back, which is not heard of before a second has passed.
        place.add(&spending.key(spent.0), -1, ASK_AGAIN).await.unwrap();
        spending.spend(&place, "o/p", now).await.unwrap_err();
        tokio::time::sleep(ASK_AGAIN).await;
        spending.spend(&place, "o/p", now).await.unwrap();
    }

    proptest! {
        /// However often what is given back, refused and exempt is mixed: no more are let through
        /// than the limit has room for, and what is counted is what was let through.
        #[test]
        fn no_more_is_let_through_than_there_is(
            hard in 1_u64..20,
            steps in prop::collection::vec((0_u8..4, 0_usize..2), 1..80),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap();
            runtime.block_on(async {
                let place = Place::new(None);
                let budget = Budget::new("b", Period::Hour).hard(hard).exempt("free/one");
                let clients = [spending(budget.clone()), spending(budget)];
                let now = at("2026-11-26T01:00:00Z");
                let (mut held, mut counted) = (Vec::new(), 0_u64);
                for (step, who) in steps {
                    tokio::time::advance(ASK_AGAIN).await;
                    match step {
                        0 | 1 => match clients[who].spend(&place, "o/p", now).await {
                            Ok(spent) => {
                                prop_assert!(counted < hard);
                                counted += 1;
                                held.push(spent);
                            }
                            Err(_) => prop_assert!(counted >= hard),
                        },
                        2 => {
                            clients[who].spend(&place, "free/one", now).await.unwrap();
                            counted += 1;
                        }
                        _ => if let Some(spent) = held.pop() {
                            clients[who].give_back(&place, spent).await;
                            counted -= 1;
                        },
                    }
                    let used = clients[who].used(&place, Period::Hour.at(now)).await;
                    prop_assert_eq!(used, (counted, true));
                }
                Ok(())
            })?;
        }
    }
}
