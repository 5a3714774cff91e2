//! Several Tokio runtimes that use one client.
//!
//! A task, a timer and a connection make progress only while the runtime that made them is polled. A
//! program can have several runtimes, such as one for each thread, and can stop polling one of them
//! without shutting it down. That must not hold up calls of the others. So connections are made
//! [for each runtime](PerRuntime), and a call that waits for a task of another runtime
//! [watches](HomeRuntime::stalled) whether that runtime still runs tasks, and does the work itself if it
//! does not.

use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::runtime::{Handle, Id};
use tokio::time::{sleep, timeout};

/// The time between two looks at another runtime, while a call waits for it.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// A runtime that does not run an empty task for so long is taken for one that stands still. If it is
/// only busy, work is done twice that is harmless to do twice.
const MAX_SILENCE: Duration = Duration::from_millis(200);

/// The runtime that a task runs on.
#[derive(Clone, Debug)]
pub(crate) struct HomeRuntime(Arc<Home>);

#[derive(Debug)]
struct Home {
    handle: Handle,
    /// When it ran a task last, as far as is known. Others that wait for it need not look then.
    ran_at: Mutex<Option<Instant>>,
}

impl HomeRuntime {
    /// Returns the runtime of the caller; `None` outside of one.
    pub(crate) fn current() -> Option<Self> {
        let handle = Handle::try_current().ok()?;
        Some(Self(Arc::new(Home { handle, ran_at: Mutex::default() })))
    }

    /// Waits until the runtime stands still, or is shut down. Never returns on the runtime itself, which
    /// then does not run the caller either.
    pub(crate) async fn stalled(&self) {
        let home = &*self.0;
        let ran_at = || home.ran_at.lock().unwrap_or_else(PoisonError::into_inner);
        if Handle::try_current().is_ok_and(|current| current.id() == home.handle.id()) {
            return pending().await;
        }
        loop {
            sleep(CHECK_INTERVAL).await;
            if ran_at().is_some_and(|at| at.elapsed() < CHECK_INTERVAL) {
                continue;
            }
            let task = home.handle.spawn(async {});
            match timeout(MAX_SILENCE, task).await {
                Ok(Ok(())) => *ran_at() = Some(Instant::now()),
                _ => return,
            }
        }
    }
}

/// One value for each runtime that asks for it.
///
/// The values of runtimes that were shut down are dropped when a new runtime asks. So there are no more
/// values than runtimes.
#[derive(Debug)]
pub(crate) struct PerRuntime<T>(RwLock<Vec<(Id, Handle, T)>>);

impl<T> Default for PerRuntime<T> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<T: Clone> PerRuntime<T> {
    /// Returns the value of the current runtime, which `make` makes if there is none. It is given the value
    /// of a runtime that was shut down, if there is one, and whether no other runtime has a value. Outside of
    /// a runtime the value is made each time.
    pub(crate) fn get_or_make(&self, make: impl FnOnce(Option<T>, bool) -> T) -> T {
        let Ok(runtime) = Handle::try_current() else { return make(None, true) };
        let id = runtime.id();
        let find = |known: &[(Id, Handle, T)]| {
            known.iter().find(|(known, ..)| *known == id).map(|(.., value)| value.clone())
        };
        if let Some(value) = find(&self.0.read().unwrap_or_else(PoisonError::into_inner)) {
            return value;
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread of the same runtime can have been faster.
        if let Some(value) = find(&known) {
            return value;
        }
        let mut left = None;
        known.retain(|(_, handle, value)| {
            let is_shut_down = is_shut_down(handle);
            if is_shut_down {
                left = Some(value.clone());
            }
            !is_shut_down
        });
        let value = make(left, known.is_empty());
        known.push((id, runtime, value.clone()));
        value
    }
}

/// Whether a runtime runs no task any more: it cancels what is spawned at once.
fn is_shut_down(runtime: &Handle) -> bool {
    let spawned = runtime.spawn(async {}).now_or_never();
    spawned.is_some_and(|ended| ended.is_err_and(|error| error.is_cancelled()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::runtime::{Builder, Runtime};

    use super::*;

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_all().build().unwrap()
    }

    async fn is_stalled(home: &HomeRuntime) -> bool {
        timeout(Duration::from_secs(2), home.stalled()).await.is_ok()
    }

    #[test]
    fn a_runtime_that_is_not_polled_or_shut_down_is_noticed_by_another_one() {
        let (one, other) = (runtime(), runtime());
        let home = one.block_on(async { HomeRuntime::current().unwrap() });
        assert!(other.block_on(is_stalled(&home)));
        drop(one);
        assert!(other.block_on(is_stalled(&home)));
    }

    #[test]
    fn a_runtime_that_runs_is_not_taken_for_one_that_does_not() {
        let busy = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let home = busy.block_on(async { HomeRuntime::current().unwrap() });
        assert!(!runtime().block_on(is_stalled(&home)));
        // The caller's own runtime runs, since it runs the caller.
        assert!(!busy.block_on(is_stalled(&home)));
        assert!(HomeRuntime::current().is_none());
    }

    #[test]
    fn each_runtime_has_a_value_until_it_is_shut_down() {
        let made = AtomicU32::new(0);
        let values = PerRuntime::default();
        let get = |runtime: &Runtime| {
            runtime.block_on(async {
                values.get_or_make(|left, _| {
                    left.unwrap_or_else(|| made.fetch_add(1, Ordering::Relaxed))
                })
            })
        };
        let (one, other) = (runtime(), runtime());
        assert_eq!((get(&one), get(&other), get(&one)), (0, 1, 0));
        drop(one);
        let third = runtime();
        assert_eq!((get(&third), get(&other)), (0, 1), "it takes over what is left");
        assert_eq!(values.0.read().unwrap().len(), 2);
    }
}
