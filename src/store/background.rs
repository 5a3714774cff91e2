//! Background work that no call waits for.

use std::collections::BTreeSet;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::select;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;
use tracing::instrument::WithSubscriber;

use crate::runtime::current_or_dedicated;

/// Polls the work once, and continues it in a task: a store in memory has finished when this returns.
///
/// Without a runtime, unfinished work is dropped.
pub(crate) fn run_in_background(work: impl Future<Output = ()> + Send + 'static) {
    let mut work: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(work);
    // The task registers its own waker when it polls.
    let Ok(runtime) = Handle::try_current() else { return };
    if work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
        runtime.spawn(work.in_current_span().with_current_subscriber());
    }
}

/// Tasks in the background, for which the end of a process can wait.
#[derive(Debug, Default)]
pub(crate) struct BackgroundTasks {
    ids: Mutex<TaskRegistry>,
    ended: Notify,
}

#[derive(Debug, Default)]
struct TaskRegistry {
    /// The id of the latest task.
    last: u64,
    running: BTreeSet<u64>,
}

impl BackgroundTasks {
    /// Continues some work in the background, as [`run_in_background`] does.
    pub(crate) fn spawn(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        let running = RunningTask::begin(Arc::clone(self));
        run_in_background(async move {
            let _running = running;
            work.await;
        });
    }

    /// Waits until the current tasks have ended, for at most this time. Returns whether they have.
    pub(crate) async fn wait(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let last = self.ids().last;
        loop {
            let mut ended = pin!(self.ended.notified());
            ended.as_mut().enable();
            if self.ids().running.first().is_none_or(|first| *first > last) {
                return true;
            }
            if timeout_at(until, ended).await.is_err() {
                return false;
            }
        }
    }

    fn ids(&self) -> MutexGuard<'_, TaskRegistry> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running task, until this is dropped.
#[derive(Debug)]
struct RunningTask {
    tasks: Arc<BackgroundTasks>,
    id: u64,
}

impl RunningTask {
    fn begin(tasks: Arc<BackgroundTasks>) -> Self {
        let mut ids = tasks.ids();
        ids.last = ids.last.saturating_add(1);
        let id = ids.last;
        ids.running.insert(id);
        drop(ids);
        Self { tasks, id }
    }
}

impl Drop for RunningTask {
    fn drop(&mut self) {
        self.tasks.ids().running.remove(&self.id);
        self.tasks.ended.notify_waiters();
    }
}

/// The longest time that a drop waits for the store, if other threads drive the connection.
const DROP_TIMEOUT: Duration = Duration::from_millis(500);
/// The longest time that a drop waits on a single-threaded runtime, which makes no progress meanwhile.
const DROP_TIMEOUT_CURRENT_THREAD: Duration = Duration::from_millis(100);

/// Finishes some work within the drop of a client: a short program ends here. On a thread without a runtime, the work
/// runs on that of blocking calls (feature `blocking`). If there is none either, this has no effect.
pub(crate) fn block_in_drop(work: impl Future<Output = ()> + Send + 'static) {
    let is_on_runtime = Handle::try_current().is_ok();
    let Some(runtime) = current_or_dedicated() else { return };
    // The timers of the work need it.
    let _context = runtime.enter();
    let mut work = Box::pin(work);
    if work.as_mut().now_or_never().is_some() {
        return;
    }
    let patience = match runtime.metrics().num_workers() {
        // Whatever its flavor, its one worker can be this thread.
        1 if is_on_runtime => DROP_TIMEOUT_CURRENT_THREAD,
        _ => DROP_TIMEOUT,
    };
    // A separate thread can block, whatever the runtime and the place of this call.
    let (end, ended) = std::sync::mpsc::channel();
    let (give_up, given_up) = tokio::sync::oneshot::channel::<()>();
    let waiting = runtime.clone();
    let waits = move || {
        waiting.block_on(select(work, given_up));
        let _ = end.send(());
    };
    if std::thread::Builder::new().name("octowire-close".to_owned()).spawn(waits).is_ok() {
        let _ = ended.recv_timeout(patience);
    }
    // The drop ends the thread, whatever the store does.
    drop(give_up);
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn tasks_that_begin_later_are_not_waited_for() {
        let tasks = Arc::new(BackgroundTasks::default());
        let begun = Arc::clone(&tasks);
        let more = tokio::spawn(async move {
            loop {
                begun.spawn(sleep(Duration::from_millis(100)));
                sleep(Duration::from_millis(10)).await;
            }
        });
        sleep(Duration::from_secs(1)).await;
        let start = Instant::now();
        assert!(tasks.wait(Duration::from_secs(1)).await);
        assert!(start.elapsed() <= Duration::from_millis(100), "{:?}", start.elapsed());
        more.abort();
        tasks.spawn(std::future::pending());
        assert!(!tasks.wait(Duration::from_secs(1)).await);
    }
}
