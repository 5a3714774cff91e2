//! Equal reads that are under way at the same time are one.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::{Mutex as AsyncMutex, MutexGuard as Turn};

use super::key::Key;

/// What is read, and how many writes there were before: who reads after a write of its own is not
/// told what was so before it.
pub(crate) type Route = (Key, u64);

/// The reads that are under way; as many as there are calls.
pub(crate) struct Flights<T>(Mutex<HashMap<Route, Weak<Flight<T>>>>);

/// One read, and those who wait for it.
///
/// Whoever has the turn reads; the others wait for theirs and find what was read. If the reader
/// gives up, the next one's turn comes with nothing found.
pub(crate) struct Flight<T> {
    route: Route,
    landed: AsyncMutex<Option<T>>,
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Flights<T> {
    /// The read that is under way, or a new one.
    pub(crate) fn join(&self, route: Route) -> Arc<Flight<T>> {
        let mut flights = self.flights();
        if let Some(flight) = flights.get(&route).and_then(Weak::upgrade) {
            return flight;
        }
        let flight = Arc::new(Flight { route, landed: AsyncMutex::new(None) });
        flights.insert(route, Arc::downgrade(&flight));
        // Those that everybody left.
        if flights.len() > 64 && flights.len() > 2 * (flights.capacity() / 4) {
            flights.retain(|_, flight| flight.strong_count() > 0);
        }
        flight
    }

    /// Whether a read of this key is under way.
    pub(crate) fn is_flying(&self, route: Route) -> bool {
        self.flights().get(&route).is_some_and(|flight| flight.strong_count() > 0)
    }

    /// What was read, for those who wait; who comes now reads anew.
    pub(crate) fn land(&self, flight: &Arc<Flight<T>>, mut turn: Turn<'_, Option<T>>, found: T) {
        self.leave(flight);
        *turn = Some(found);
    }

    /// Nothing is under way for who comes now.
    pub(crate) fn leave(&self, flight: &Arc<Flight<T>>) {
        let mut flights = self.flights();
        let same = |known: &Weak<Flight<T>>| known.as_ptr() == Arc::as_ptr(flight);
        if flights.get(&flight.route).is_some_and(same) {
            flights.remove(&flight.route);
        }
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<Route, Weak<Flight<T>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Flight<T> {
    /// The turn of this one: what it holds was read by another, if there is something.
    pub(crate) async fn turn(&self) -> Turn<'_, Option<T>> {
        self.landed.lock().await
    }
}

impl<T> fmt::Debug for Flights<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").finish_non_exhaustive()
    }
}
