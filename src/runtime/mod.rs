//! State for each of several Tokio runtimes that use one client.
//!
//! A task, a timer and a connection make progress only while the runtime that made them is polled. A program can have
//! several runtimes, such as one for each thread, and can stop polling one of them without shutting it down. That must
//! not block calls of the others. So connections are created [for each runtime](PerRuntime), and a call that waits for
//! a task of another runtime [watches](HomeRuntime::stalled) whether that runtime still runs tasks, and does the work
//! itself if it does not.

pub(crate) mod blocking;
#[cfg(feature = "blocking")]
pub(crate) mod dedicated;
pub(crate) mod detachable;

use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{Map, Shared};
use tokio::runtime::{Handle, Id};
use tokio::task::{AbortHandle, JoinError, JoinHandle};
use tokio::time::{sleep, timeout};

/// The interval between two checks of another runtime, while a call waits for it.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// A runtime that does not run an empty task for this long counts as stalled. If it is only busy, some work is done
/// twice, which is harmless.
const MAX_SILENCE: Duration = Duration::from_millis(200);

/// The runtime that a task runs on.
#[derive(Clone, Debug)]
pub(crate) struct HomeRuntime(Arc<Home>);

#[derive(Debug)]
struct Home {
    handle: Handle,
    probe: Mutex<LatestProbe>,
}

/// The empty task that was last spawned to probe whether the runtime runs tasks.
#[derive(Debug, Default)]
struct LatestProbe {
    /// `None` once the task has ended. Until then, no other one is spawned, however many calls wait and however long: a
    /// stalled runtime would keep each task.
    pending: Option<(Instant, Probe)>,
    /// The last time at which a probe ran, as far as is known.
    last_run_at: Option<Instant>,
}

/// When the task ran; `None` if its runtime is shut down.
type Probe = Shared<Map<JoinHandle<Instant>, fn(ProbeResult) -> Option<Instant>>>;
type ProbeResult = Result<Instant, JoinError>;

impl Home {
    fn new(handle: Handle) -> Self {
        Self { handle, probe: Mutex::default() }
    }

    /// Returns the outstanding probe with its spawn time, or a new one.
    fn probe(&self) -> (Instant, Probe) {
        let mut latest = self.latest();
        let (spawned, probe) = latest.pending.get_or_insert_with(|| {
            let ran_at: fn(ProbeResult) -> Option<Instant> = Result::ok;
            (Instant::now(), self.handle.spawn(async { Instant::now() }).map(ran_at).shared())
        });
        (*spawned, probe.clone())
    }

    /// Records that the probe with this spawn time has ended.
    fn record_ended(&self, spawned: Instant, ran_at: Option<Instant>) {
        let mut latest = self.latest();
        // Another waiting call might have recorded it before, and there might be a new probe.
        latest.pending.take_if(|(outstanding, _)| *outstanding == spawned);
        latest.last_run_at = latest.last_run_at.max(ran_at);
    }

    fn latest(&self) -> MutexGuard<'_, LatestProbe> {
        self.probe.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether the runtime no longer runs tasks: it cancels new tasks and pending ones.
    fn is_shut_down(&self) -> bool {
        // An earlier call's probe can have run before the runtime was shut down: then a new probe decides.
        for _ in 0..2 {
            let (spawned, probe) = self.probe();
            let Some(ran_at) = probe.now_or_never() else { return false };
            self.record_ended(spawned, ran_at);
            if ran_at.is_none() {
                return true;
            }
        }
        false
    }
}

/// Returns the runtime of the caller. Without one, returns the runtime of blocking calls (feature `blocking`), if it has
/// started.
pub(crate) fn current_or_dedicated() -> Option<Handle> {
    let current = Handle::try_current();
    // A thread that ends cannot enter a runtime any more.
    #[cfg(feature = "blocking")]
    if current.as_ref().is_err_and(|error| error.is_missing_context()) {
        return dedicated::started();
    }
    current.ok()
}

/// Waits until the runtime stalls, as [`HomeRuntime::stalled`] does; forever if there is none.
pub(crate) async fn stalled(runtime: Option<&HomeRuntime>) {
    match runtime {
        Some(runtime) => runtime.stalled().await,
        None => pending().await,
    }
}

impl HomeRuntime {
    /// Returns the runtime of the caller; `None` outside of one.
    pub(crate) fn current() -> Option<Self> {
        let handle = Handle::try_current().ok()?;
        Some(Self(Arc::new(Home::new(handle))))
    }

    /// Returns whether the caller runs on this runtime.
    pub(crate) fn is_current(&self) -> bool {
        Handle::try_current().is_ok_and(|current| current.id() == self.0.handle.id())
    }

    /// Spawns a task on this runtime, which ends when the result is dropped.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortOnDrop {
        AbortOnDrop(self.0.handle.spawn(task).abort_handle())
    }

    /// Returns whether the runtime is known to have stalled, or is shut down, without a wait. The first call spawns an
    /// empty task, and a call 200 ms later returns the result.
    pub(crate) fn is_stalled(&self) -> bool {
        if self.is_current() {
            return false;
        }
        let (spawned, probe) = self.0.probe();
        match probe.now_or_never() {
            Some(ran_at) => {
                self.0.record_ended(spawned, ran_at);
                ran_at.is_none()
            }
            None => spawned.elapsed() > MAX_SILENCE,
        }
    }

    /// Waits until the runtime stalls, or is shut down. Never returns on the runtime itself, which then does not run
    /// the caller either.
    pub(crate) async fn stalled(&self) {
        let home = &*self.0;
        if self.is_current() {
            return pending().await;
        }
        loop {
            sleep(CHECK_INTERVAL).await;
            if home.latest().last_run_at.is_some_and(|at| at.elapsed() < CHECK_INTERVAL) {
                continue;
            }
            let (spawned, probe) = home.probe();
            match timeout(MAX_SILENCE.saturating_sub(spawned.elapsed()), probe).await {
                Ok(ran_at) => {
                    home.record_ended(spawned, ran_at);
                    if ran_at.is_none() {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    }
}

/// Aborts a task when it is dropped.
#[derive(Debug)]
pub(crate) struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One value for each runtime that requests it.
///
/// The values of runtimes that were shut down are dropped when a new runtime requests one. So there are no more values
/// than runtimes.
#[derive(Debug)]
pub(crate) struct PerRuntime<T>(RwLock<Vec<Arc<Slot<T>>>>);

/// The slot of one runtime's value.
#[derive(Debug)]
struct Slot<T> {
    runtime: Id,
    home: Home,
    value: OnceLock<T>,
    /// The value of a runtime that was shut down, until this one's is created.
    previous: Mutex<Option<T>>,
    /// Whether no other runtime had a slot.
    is_first: bool,
}

impl<T> Default for PerRuntime<T> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<T: Clone> PerRuntime<T> {
    /// Returns the value of the current runtime, which `make` creates if there is none. `make` receives the value of a
    /// runtime that was shut down, if there is one, and whether no other runtime has a value. Outside of a runtime, the
    /// value is created each time.
    ///
    /// While `make` runs, other threads of the same runtime wait for it, and other runtimes do not.
    pub(crate) fn get_or_make(&self, make: impl FnOnce(Option<T>, bool) -> T) -> T {
        let Ok(runtime) = Handle::try_current() else { return make(None, true) };
        let slot = self.slot(&runtime);
        let left = || slot.previous.lock().unwrap_or_else(PoisonError::into_inner).take();
        slot.value.get_or_init(|| make(left(), slot.is_first)).clone()
    }

    fn slot(&self, runtime: &Handle) -> Arc<Slot<T>> {
        let id = runtime.id();
        let find = |slots: &[Arc<Slot<T>>]| slots.iter().find(|slot| slot.runtime == id).cloned();
        if let Some(slot) = find(&self.0.read().unwrap_or_else(PoisonError::into_inner)) {
            return slot;
        }
        let mut slots = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread of the same runtime might have created it first.
        if let Some(slot) = find(&slots) {
            return slot;
        }
        let mut left = None;
        slots.retain(|slot| {
            let is_shut_down = slot.home.is_shut_down();
            if is_shut_down && let Some(value) = slot.value.get() {
                left = Some(value.clone());
            }
            !is_shut_down
        });
        let slot = Arc::new(Slot {
            runtime: id,
            home: Home::new(runtime.clone()),
            value: OnceLock::new(),
            previous: Mutex::new(left),
            is_first: slots.is_empty(),
        });
        slots.push(Arc::clone(&slot));
        slot
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::mpsc;
    use std::thread;

    use tokio::runtime::{Builder, Runtime};
    use tokio::sync::oneshot;
    use tokio::task::JoinSet;

    use super::*;

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_all().build().unwrap()
    }

    /// Returns whether the condition holds at least once in several tries. On a busy machine, a runtime that runs tasks
    /// can be silent for long.
    fn sometimes(mut is_so: impl FnMut() -> bool) -> bool {
        (0..10).any(|_| is_so())
    }

    async fn is_stalled(home: &HomeRuntime) -> bool {
        timeout(Duration::from_secs(2), home.stalled()).await.is_ok()
    }

    /// The timeout for an expected condition, on a busy machine too.
    const PATIENCE: Duration = Duration::from_secs(20);

    async fn becomes_stalled(home: &HomeRuntime) -> bool {
        timeout(PATIENCE, home.stalled()).await.is_ok()
    }

    #[test]
    fn a_runtime_that_is_not_polled_or_shut_down_is_noticed_by_another_one() {
        let (one, other) = (runtime(), runtime());
        let home = one.block_on(async { HomeRuntime::current().unwrap() });
        assert!(other.block_on(becomes_stalled(&home)));
        drop(one);
        assert!(other.block_on(becomes_stalled(&home)));
    }

    #[test]
    fn a_runtime_that_runs_is_not_taken_for_one_that_does_not() {
        let busy = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let home = busy.block_on(async { HomeRuntime::current().unwrap() });
        assert!(sometimes(|| !runtime().block_on(is_stalled(&home))));
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

    #[test]
    fn a_runtime_that_ran_tasks_before_it_was_shut_down_is_not_taken_for_one_that_is_there() {
        let values = PerRuntime::default();
        let get = |runtime: &Runtime| {
            runtime.block_on(async { values.get_or_make(|left, _| left.is_some()) })
        };
        let (one, other) = (runtime(), runtime());
        assert!(!get(&one));
        assert!(!get(&other), "it looks at the first");
        one.block_on(async { sleep(Duration::from_millis(5)).await });
        assert_eq!(tasks(&one), 0, "which runs what it looks by");
        drop(one);
        assert!(get(&runtime()), "it takes over what is left");
        assert_eq!(values.0.read().unwrap().len(), 2);
    }

    #[test]
    fn an_earlier_probe_does_not_prove_that_the_runtime_still_runs() {
        let runtime = runtime();
        let home = Home::new(runtime.handle().clone());
        let _ = home.probe();
        runtime.block_on(async { sleep(Duration::from_millis(5)).await });
        thread::sleep(CHECK_INTERVAL);
        assert!(!home.is_shut_down());
        assert!(home.latest().last_run_at.unwrap().elapsed() >= CHECK_INTERVAL);
    }

    /// Creates a runtime with a thread, whose home is known.
    fn running() -> (Runtime, HomeRuntime) {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let home = runtime.block_on(async { HomeRuntime::current().unwrap() });
        (runtime, home)
    }

    /// Tasks of a runtime that have not ended.
    fn tasks(runtime: &Runtime) -> usize {
        runtime.metrics().num_alive_tasks()
    }

    #[test]
    fn all_waiters_of_a_stalled_runtime_share_one_task_and_get_its_result() {
        const WAITERS: usize = 300;
        let (still, other) = (runtime(), runtime());
        let home = still.block_on(async { HomeRuntime::current().unwrap() });
        for _ in 0..3 {
            let began = Instant::now();
            other.block_on(async {
                let mut waiters = JoinSet::new();
                for _ in 0..WAITERS {
                    let home = home.clone();
                    waiters.spawn(async move { home.stalled().await });
                }
                let all = timeout(PATIENCE, waiters.join_all());
                assert_eq!(all.await.expect("some were not notified").len(), WAITERS);
            });
            assert_eq!(tasks(&still), 1, "after {:?}", began.elapsed());
        }
        // Once it is polled again, it does not count as stalled.
        still.block_on(async { sleep(Duration::from_millis(10)).await });
        assert_eq!(tasks(&still), 0);
        let (end, ended) = oneshot::channel::<()>();
        let still = thread::spawn(move || still.block_on(ended));
        let runs = || {
            other.block_on(async {
                timeout(Duration::from_millis(700), home.stalled()).await.is_err()
            })
        };
        assert!(sometimes(runs), "it runs");
        end.send(()).unwrap();
        still.join().unwrap().unwrap();
    }

    #[test]
    fn a_runtime_that_was_busy_for_longer_than_is_waited_is_watched_again_afterwards() {
        let (busy, home) = running();
        let other = runtime();
        let (end, ended) = mpsc::channel::<()>();
        let blocked = busy.spawn(async move { ended.recv() });
        let is_stalled =
            |within| other.block_on(async { timeout(within, home.stalled()).await.is_ok() });
        for _ in 0..5 {
            assert!(is_stalled(PATIENCE), "it runs no task");
            // The blocked task and one probe.
            assert_eq!(tasks(&busy), 2);
        }
        end.send(()).unwrap();
        busy.block_on(blocked).unwrap().unwrap();
        assert!(sometimes(|| !is_stalled(Duration::from_millis(700))), "it runs again");
        // The last probe might be about to end.
        assert!(sometimes(|| {
            thread::sleep(Duration::from_millis(10));
            tasks(&busy) == 0
        }));
    }

    #[test]
    fn new_runtimes_do_not_pile_up_tasks_on_one_that_stands_still() {
        let values = PerRuntime::default();
        let get = |runtime: &Runtime| {
            runtime.block_on(async { values.get_or_make(|_, is_first| is_first) })
        };
        let still = runtime();
        assert!(get(&still));
        for _ in 0..50 {
            assert!(!get(&runtime()));
        }
        assert_eq!(tasks(&still), 1);
        assert_eq!(values.0.read().unwrap().len(), 2, "those that were shut down are dropped");
    }

    #[test]
    fn a_value_that_takes_long_to_make_does_not_hold_up_other_runtimes() {
        let values = PerRuntime::default();
        let (started, has_started) = mpsc::channel::<()>();
        let (end, ended) = mpsc::channel::<()>();
        let made = AtomicU32::new(0);
        let get = |wait: Option<(mpsc::Sender<()>, mpsc::Receiver<()>)>| {
            values.get_or_make(|_, _| {
                if let Some((started, ended)) = wait {
                    started.send(()).unwrap();
                    ended.recv_timeout(Duration::from_secs(10)).expect("others were held up");
                }
                made.fetch_add(1, Ordering::Relaxed)
            })
        };
        let slow = runtime();
        thread::scope(|scope| {
            scope.spawn(|| {
                let _entered = slow.enter();
                assert_eq!(get(Some((started, ended))), 1);
            });
            has_started.recv().unwrap();
            // Another runtime creates its own meanwhile.
            let other = runtime();
            let _entered = other.enter();
            assert_eq!((get(None), get(None)), (0, 0));
            end.send(()).unwrap();
        });
        // Threads of one runtime share one value.
        let _entered = slow.enter();
        assert_eq!(get(None), 1);
    }
}
