//! Coalesces equal reads that are in flight at the same time.

use std::collections::HashMap;
use std::fmt;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures_util::FutureExt;
use futures_util::future::{Either, Shared, WeakShared, select};
use tokio::sync::watch;

use super::found::Landed;
use super::key::Key;
use crate::limits::{BatchSlot, Priority};
use crate::runtimes::{self, AbortOnDrop, HomeRuntime};

/// The key of the read, its priority, and the number of earlier writes: a caller that reads after its own write does
/// not receive a response from before it.
pub(crate) type Route = (Key, Priority, u64);

/// One read. Each call on the runtime where the read began polls it, so that no call delays the others. Calls on other
/// runtimes wait for its outcome: connections and timers belong to the runtime that first polls them, so that a poll on
/// another runtime would tie the read to that one. The read ends when all calls are dropped.
pub(crate) type Flight = Shared<Reading>;

pub(crate) type Reading = Pin<Box<dyn Future<Output = Landed> + Send>>;

/// The reads in flight; at most one for each call.
#[derive(Default)]
pub(crate) struct Flights(Mutex<State>);

#[derive(Default)]
struct State {
    flights: HashMap<Route, Known>,
    /// Distinguishes a read from an earlier one of the same route.
    number: u64,
    /// The number of reads above which ended ones are removed.
    sweep_above: usize,
}

/// A read that has begun.
struct Known {
    number: u64,
    /// The runtime whose connections and timers the read depends on.
    runtime: Option<HomeRuntime>,
    flight: WeakShared<Reading>,
    outcome: watch::Receiver<Option<Landed>>,
    /// The task that polls the read for calls of other runtimes.
    driver: Weak<AbortOnDrop>,
    /// The slot of the batch in which the read began.
    slot: Option<BatchSlot>,
}

/// The read that a call has joined.
pub(crate) struct Joined {
    number: u64,
    role: Role,
    /// The slot of the batch in which the read began.
    pub(crate) slot: Option<BatchSlot>,
}

/// How a call takes part in a read.
enum Role {
    /// The call polls the read.
    Poll(Flight),
    /// The call runs on another runtime than the read, and waits for the outcome.
    Wait {
        outcome: watch::Receiver<Option<Landed>>,
        runtime: HomeRuntime,
        /// Polls the read on its runtime, whether or not the calls there are polled.
        _driver: Arc<AbortOnDrop>,
    },
}

impl Known {
    /// Returns whether the read has not ended.
    fn is_in_flight(&self) -> bool {
        self.flight.upgrade().is_some()
    }

    /// Joins the read. Returns `None` if it has ended.
    fn join(&mut self) -> Option<Joined> {
        let flight = self.flight.upgrade()?;
        let role = match &self.runtime {
            Some(runtime) if !runtime.is_current() => {
                let driver = self.driver.upgrade().unwrap_or_else(|| {
                    let driver = Arc::new(runtime.spawn(flight.map(drop)));
                    self.driver = Arc::downgrade(&driver);
                    driver
                });
                Role::Wait {
                    outcome: self.outcome.clone(),
                    runtime: runtime.clone(),
                    _driver: driver,
                }
            }
            _ => Role::Poll(flight),
        };
        Some(Joined { number: self.number, role, slot: self.slot.clone() })
    }
}

impl Flights {
    /// Returns the read in flight, or else a new one with this slot, which `begin` creates from its number.
    pub(crate) fn join(
        &self,
        route: Route,
        slot: Option<BatchSlot>,
        begin: impl FnOnce(u64) -> Reading,
    ) -> Joined {
        let mut state = self.state();
        if let Some(joined) = state.flights.get_mut(&route).and_then(Known::join) {
            return joined;
        }
        state.number = state.number.wrapping_add(1);
        let number = state.number;
        let (sender, outcome) = watch::channel(None);
        let tell = move |landed: &Landed| {
            // The read has its response, so that no further call joins it.
            if !sender.is_closed() {
                sender.send_replace(Some(landed.clone()));
            }
        };
        let reading: Reading = Box::pin(begin(number).inspect(tell));
        let flight = reading.shared();
        // The read has not ended, so that a weak pointer to it exists.
        if let Some(pointer) = flight.downgrade() {
            let known = Known {
                number,
                runtime: HomeRuntime::current(),
                flight: pointer,
                outcome,
                driver: Weak::new(),
                slot: slot.clone(),
            };
            state.flights.insert(route, known);
        }
        // Removes the reads that all calls have left.
        if state.flights.len() > state.sweep_above.max(64) {
            state.flights.retain(|_, known| known.is_in_flight());
            state.sweep_above = state.flights.len().saturating_mul(2);
        }
        Joined { number, role: Role::Poll(flight), slot }
    }

    /// Waits for the read. Returns `None` if its runtime makes no progress: then the read is no longer in flight for
    /// calls that join.
    pub(crate) async fn landed(&self, route: Route, joined: Joined) -> Option<Landed> {
        let Joined { number, role, .. } = joined;
        let (mut outcome, runtime, _driver) = match role {
            Role::Poll(flight) => return Some(flight.await),
            Role::Wait { outcome, runtime, _driver } => (outcome, runtime, _driver),
        };
        let stalled = pin!(runtimes::stalled(Some(&runtime)));
        let landed = match select(pin!(outcome.wait_for(Option::is_some)), stalled).await {
            Either::Left((Ok(landed), _)) => landed.clone(),
            // The read panicked, or its runtime makes no progress or was shut down.
            Either::Left((Err(_), _)) | Either::Right(_) => None,
        };
        if landed.is_none() {
            self.land(route, number);
        }
        landed
    }

    /// Returns whether such a read is in flight, on a runtime that is not known to have stopped.
    pub(crate) fn is_flying(&self, route: Route) -> bool {
        let state = self.state();
        let Some(known) = state.flights.get(&route) else { return false };
        known.is_in_flight() && !known.runtime.as_ref().is_some_and(HomeRuntime::is_stalled)
    }

    /// Removes a read that has its response: later calls send a new read.
    pub(crate) fn land(&self, route: Route, number: u64) {
        let mut state = self.state();
        if state.flights.get(&route).is_some_and(|known| known.number == number) {
            state.flights.remove(&route);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Flights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").finish_non_exhaustive()
    }
}
