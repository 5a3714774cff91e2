//! The runtime of blocking calls: one for the process, on a thread of its own.
//!
//! A thread that waits for a call polls that call alone. The runtime's thread drives the rest: timers, connections and
//! background tasks, also while no thread waits. The first blocking call starts the runtime, and it ends with the
//! process. So no value owns it, and no drop has to end it.

use std::future::{pending, poll_fn};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread;

use tokio::runtime::{Builder, Handle};

use super::current_or_dedicated;

/// The name of the runtime's thread, and of its threads for blocking work, such as reading a file.
const THREAD_NAME: &str = "octowire-blocking";

/// `None` before the first blocking call.
static RUNTIME: Mutex<Option<Handle>> = Mutex::new(None);

/// The reason why a thread cannot wait for a call.
#[derive(Debug)]
pub(crate) enum CannotBlock {
    /// The thread belongs to a runtime.
    InRuntime,
    /// The thread ends, and its local values are gone.
    ThreadEnds,
    /// The runtime did not start.
    NotStarted(io::Error),
}

/// Returns the runtime for a thread that is about to wait. The first call starts it.
pub(crate) fn for_waiting() -> Result<Handle, CannotBlock> {
    match Handle::try_current() {
        Ok(_) => return Err(CannotBlock::InRuntime),
        Err(error) if error.is_thread_local_destroyed() => return Err(CannotBlock::ThreadEnds),
        Err(_) => {}
    }
    let mut runtime = runtime();
    if let Some(started) = &*runtime {
        return Ok(started.clone());
    }
    let started = start().map_err(CannotBlock::NotStarted)?;
    Ok(runtime.insert(started).clone())
}

/// Returns the runtime, if a blocking call has started it.
pub(crate) fn started() -> Option<Handle> {
    runtime().clone()
}

/// Calls `poll` on this thread until it is ready.
///
/// It is not generic: each type of a future costs a program one closure, and not a copy of tokio's `block_on`.
pub(crate) fn wait_until_ready(
    runtime: &Handle,
    poll: &mut dyn FnMut(&mut Context<'_>) -> Poll<()>,
) {
    // `for_waiting` has ruled out the threads on which this panics.
    runtime.block_on(poll_fn(poll));
}

/// Drops a value in the context of a runtime, which then runs what the drop leaves to the background.
pub(crate) fn drop_in_context<T>(value: T) {
    let runtime = current_or_dedicated();
    let _context = runtime.as_ref().map(Handle::enter);
    drop(value);
}

fn start() -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().thread_name(THREAD_NAME).build()?;
    let started = runtime.handle().clone();
    let thread = thread::Builder::new().name(THREAD_NAME.to_owned());
    // Only `Runtime::block_on` drives timers and connections of such a runtime. This one never returns.
    thread.spawn(move || runtime.block_on(pending::<()>()))?;
    Ok(started)
}

fn runtime() -> MutexGuard<'static, Option<Handle>> {
    RUNTIME.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;

    /// The timeout for an expected condition, on a busy machine too.
    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn the_runtime_is_started_once_and_runs_tasks_while_no_thread_waits() {
        let first = for_waiting().unwrap();
        assert_eq!(first.id(), for_waiting().unwrap().id());
        assert_eq!(first.id(), started().unwrap().id());
        let (sender, receiver) = mpsc::channel();
        first.spawn(async move {
            sleep(Duration::from_millis(1)).await;
            sender.send(thread::current().name().map(str::to_owned)).unwrap();
        });
        let name = receiver.recv_timeout(PATIENCE).expect("the task did not run");
        assert_eq!(name.as_deref(), Some(THREAD_NAME));
    }

    #[test]
    fn a_thread_of_any_runtime_cannot_wait() {
        let is_rejected = || matches!(for_waiting(), Err(CannotBlock::InRuntime));
        let current_thread = Builder::new_current_thread().build().unwrap();
        assert!(current_thread.block_on(async { is_rejected() }));
        let multi_thread = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        assert!(multi_thread.block_on(multi_thread.spawn(async move { is_rejected() })).unwrap());
        let blocking = multi_thread.spawn_blocking(is_rejected);
        assert!(multi_thread.block_on(blocking).unwrap());
        let entered = current_thread.enter();
        assert!(is_rejected());
        drop(entered);
        assert!(!is_rejected());
        // Its own thread would wait for itself.
        let (sender, receiver) = mpsc::channel();
        let own = for_waiting().unwrap();
        own.spawn(async move { sender.send(is_rejected()).unwrap() });
        assert!(receiver.recv_timeout(PATIENCE).unwrap());
    }

    /// Records whether its drop has a runtime.
    struct Dropped(mpsc::Sender<bool>);

    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.send(Handle::try_current().is_ok()).unwrap();
        }
    }

    #[test]
    fn a_value_is_dropped_in_the_context_of_a_runtime() {
        let (sender, receiver) = mpsc::channel();
        let own = for_waiting().unwrap();
        drop_in_context(Dropped(sender.clone()));
        assert!(receiver.recv().unwrap());
        assert!(Handle::try_current().is_err());
        // Within another runtime, that one stays.
        let other = Builder::new_current_thread().build().unwrap();
        other.block_on(async {
            drop_in_context(Dropped(sender));
            assert_ne!(Handle::current().id(), own.id());
        });
        assert!(receiver.recv().unwrap());
    }
}
