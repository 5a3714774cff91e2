//! Equal reads that are in flight at the same time are one.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{Shared, WeakShared};

use super::found::Landed;
use super::key::Key;
use crate::limits::{BatchSlot, Priority};

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
    flight: WeakShared<Reading>,
    /// Of the batch that it was begun in.
    slot: Option<BatchSlot>,
}

impl Flights {
    /// The read that is in flight, with its slot, or else a new one with this slot, which `begin`
    /// makes of its number.
    pub(crate) fn join(
        &self,
        route: Route,
        slot: Option<BatchSlot>,
        begin: impl FnOnce(u64) -> Reading,
    ) -> (Flight, Option<BatchSlot>) {
        let mut state = self.state();
        let known = state.flights.get(&route);
        if let Some((known, flight)) =
            known.and_then(|known| Some((known, known.flight.upgrade()?)))
        {
            return (flight, known.slot.clone());
        }
        state.number += 1;
        let number = state.number;
        let flight = begin(number).shared();
        // It has not ended, so that it can be pointed to.
        if let Some(pointer) = flight.downgrade() {
            state.flights.insert(route, Known { number, flight: pointer, slot: slot.clone() });
        }
        // Those that everybody left.
        if state.flights.len() > state.sweep_above.max(64) {
            state.flights.retain(|_, known| known.flight.upgrade().is_some());
            state.sweep_above = 2 * state.flights.len();
        }
        (flight, slot)
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
