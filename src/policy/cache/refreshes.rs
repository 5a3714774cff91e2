//! The stored responses that are being revalidated in the background.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::key::Key;
use crate::runtime::HomeRuntime;

/// The most refreshes that one runtime performs at a time. The refreshes of a runtime that is not polled do not end, so
/// that each runtime has its own bound.
const MAX_PER_RUNTIME: usize = 16;
/// The most refreshes of all runtimes at a time.
const MAX_REFRESHES: usize = 256;

/// The keys of the stored responses that are being refreshed. However the calls differ that receive a stale response, it
/// has one refresh in flight.
#[derive(Debug, Default)]
pub(super) struct BackgroundRefreshes(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    running: HashMap<Key, Running>,
    /// Distinguishes a refresh from an earlier one of the same key.
    next_id: u64,
}

#[derive(Debug)]
struct Running {
    id: u64,
    runtime: HomeRuntime,
}

/// A refresh in flight, until this is dropped.
#[derive(Debug)]
#[must_use = "the refresh counts as ended when this is dropped"]
pub(crate) struct Refresh {
    refreshes: Arc<BackgroundRefreshes>,
    key: Key,
    id: u64,
}

impl BackgroundRefreshes {
    /// Begins a refresh on the current runtime. Returns `None` if the response is being refreshed already, if too many
    /// are, or outside of a runtime. A refresh on a runtime that has stalled does not prevent another one.
    pub(super) fn begin(self: &Arc<Self>, key: Key) -> Option<Refresh> {
        let mut state = self.state();
        if state.running.get(&key).is_some_and(|running| !running.runtime.is_stalled()) {
            return None;
        }
        let runtime = HomeRuntime::current()?;
        let of_runtime = state.running.values().filter(|running| running.runtime.is_current());
        if of_runtime.count() >= MAX_PER_RUNTIME {
            return None;
        }
        if state.running.len() >= MAX_REFRESHES {
            state.running.retain(|_, running| !running.runtime.is_stalled());
        }
        if state.running.len() >= MAX_REFRESHES {
            return None;
        }
        state.next_id = state.next_id.wrapping_add(1);
        let id = state.next_id;
        state.running.insert(key, Running { id, runtime });
        Some(Refresh { refreshes: Arc::clone(self), key, id })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Refresh {
    fn drop(&mut self) {
        let mut state = self.refreshes.state();
        // Another refresh can have replaced this one, whose runtime had stalled.
        if state.running.get(&self.key).is_some_and(|running| running.id == self.id) {
            state.running.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;
    use std::time::Duration;

    use tokio::runtime::{Builder, Runtime};

    use super::*;

    fn runtime() -> Runtime {
        Builder::new_current_thread().build().unwrap()
    }

    #[tokio::test]
    async fn a_response_has_one_refresh_until_it_is_dropped() {
        let refreshes = Arc::new(BackgroundRefreshes::default());
        let first = refreshes.begin(Key::numbered(0)).unwrap();
        assert!(refreshes.begin(Key::numbered(0)).is_none());
        let other = refreshes.begin(Key::numbered(1)).unwrap();
        drop(first);
        let next = refreshes.begin(Key::numbered(0)).unwrap();
        drop((other, next));
        assert!(refreshes.state().running.is_empty());
    }

    #[test]
    fn there_is_no_refresh_outside_of_a_runtime() {
        assert!(Arc::new(BackgroundRefreshes::default()).begin(Key::numbered(0)).is_none());
    }

    #[test]
    fn refreshes_are_bounded_for_each_runtime_and_in_total_and_those_of_stalled_runtimes_end() {
        let refreshes = Arc::new(BackgroundRefreshes::default());
        let runtimes: Vec<_> = (0..=MAX_REFRESHES / MAX_PER_RUNTIME).map(|_| runtime()).collect();
        let (last, others) = runtimes.split_last().unwrap();
        let mut begun = Vec::new();
        for (runtime, number) in others.iter().zip(0..) {
            let _entered = runtime.enter();
            let first = number * MAX_PER_RUNTIME;
            begun.extend((first..).map_while(|number| refreshes.begin(Key::numbered(number))));
            assert_eq!(begun.len(), first + MAX_PER_RUNTIME);
        }
        let _entered = last.enter();
        assert_eq!(refreshes.state().running.len(), MAX_REFRESHES);
        // It is not known yet that no other runtime is polled.
        assert!(refreshes.begin(Key::numbered(0)).is_none());
        assert!(refreshes.begin(Key::numbered(MAX_REFRESHES)).is_none());
        sleep(Duration::from_millis(250));
        let replaced = refreshes.begin(Key::numbered(0)).unwrap();
        let more = refreshes.begin(Key::numbered(MAX_REFRESHES)).unwrap();
        // The end of a refresh that was replaced does not end the other one.
        drop(begun);
        assert_eq!(refreshes.state().running.len(), 2);
        assert!(refreshes.begin(Key::numbered(0)).is_none());
        drop((replaced, more));
        assert!(refreshes.state().running.is_empty());
    }

    #[test]
    fn a_refresh_ends_with_its_runtime() {
        let refreshes = Arc::new(BackgroundRefreshes::default());
        let (one, other) = (runtime(), runtime());
        let refresh = one.block_on(async { refreshes.begin(Key::numbered(0)) }).unwrap();
        one.spawn(async move {
            let _refresh = refresh;
            std::future::pending::<()>().await;
        });
        drop(one);
        let _entered = other.enter();
        assert!(refreshes.begin(Key::numbered(0)).is_some());
    }
}
