//! Equal reads that are in flight at the same time are one.

use std::collections::HashMap;
use std::fmt;
use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{Either, Shared, WeakShared, select};

use super::found::Landed;
use super::key::Key;
use crate::limits::{BatchSlot, Priority};
use crate::runtimes::{self, HomeRuntime};

/// What is read, how urgently, and how many writes there were before: who reads after a write of its
/// own is not told what was so before it.
pub(crate) type Route = (Key, Priority, u64);

/// One read. Whoever of those that wait for it is polled moves it on, so that none of them holds up
/// the others; when all are dropped, it ends.
pub(crate) type Flight = Shared<Reading>;

pub(crate) type Reading = Pin<Box<dyn Future<Output = Landed> + Send>>;

/// The reads that are in flight; as many as there are calls.
#[derive(Default)]
pub(crate) struct Flights(Mutex<State>);

#[derive(Default)]
struct State {
    flights: HashMap<Route, Known>,
    /// Tells a read from an earlier one of the same route.
    number: u64,
    /// More than these are looked through for those that have ended.
    sweep_above: usize,
}

/// A read that was begun.
struct Known {
    number: u64,
    /// The runtime whose connections and timers it depends on.
    runtime: Option<HomeRuntime>,
    flight: WeakShared<Reading>,
    /// Of the batch that it was begun in.
    slot: Option<BatchSlot>,
}

/// The read that a call has joined.
pub(crate) struct Joined {
    pub(crate) flight: Flight,
    number: u64,
    /// Of the batch that it was begun in.
    pub(crate) slot: Option<BatchSlot>,
    /// The runtime that it depends on, if another call began it.
    runtime: Option<HomeRuntime>,
}

impl Flights {
    /// The read that is in flight, or else a new one with this slot, which `begin` makes of its number.
    pub(crate) fn join(
        &self,
        route: Route,
        slot: Option<BatchSlot>,
        begin: impl FnOnce(u64) -> Reading,
    ) -> Joined {
        let mut state = self.state();
        let known = state.flights.get(&route);
        if let Some((known, flight)) =
            known.and_then(|known| Some((known, known.flight.upgrade()?)))
        {
            let (slot, runtime) = (known.slot.clone(), known.runtime.clone());
            return Joined { flight, number: known.number, slot, runtime };
        }
        state.number = state.number.wrapping_add(1);
        let number = state.number;
        let flight = begin(number).shared();
        // It has not ended, so that it can be pointed to.
        if let Some(pointer) = flight.downgrade() {
            let (slot, runtime) = (slot.clone(), HomeRuntime::current());
            state.flights.insert(route, Known { number, runtime, flight: pointer, slot });
        }
        // Those that everybody left.
        if state.flights.len() > state.sweep_above.max(64) {
            state.flights.retain(|_, known| known.flight.upgrade().is_some());
            state.sweep_above = state.flights.len().saturating_mul(2);
        }
        // The call that begins it depends on no other one.
        Joined { flight, number, slot, runtime: None }
    }

    /// Waits for the read. `None` if its runtime stands still: then it is no longer in flight for calls
    /// that join.
    pub(crate) async fn landed(&self, route: Route, joined: Joined) -> Option<Landed> {
        let Joined { flight, number, runtime, .. } = joined;
        let stalled = pin!(runtimes::stalled(runtime.as_ref()));
        match select(flight, stalled).await {
            Either::Left((landed, _)) => Some(landed),
            Either::Right(_) => {
                self.land(route, number);
                None
            }
        }
    }

    /// Whether such a read is in flight.
    pub(crate) fn is_flying(&self, route: Route) -> bool {
        let state = self.state();
        state.flights.get(&route).is_some_and(|known| known.flight.upgrade().is_some())
    }

    /// A read has its answer: who comes now reads anew.
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
