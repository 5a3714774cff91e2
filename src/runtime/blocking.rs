//! Work that can block, such as reading a file, in tasks of the Tokio runtime.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::{JoinError, spawn_blocking};

/// Runs this function in a task that can block, to its end, also if the future is dropped. A result that is not awaited
/// is dropped.
///
/// All tasks have one type: a further one would compile another copy of Tokio's task.
///
/// # Errors
/// If the function panics, or the runtime is shut down before it starts.
pub(crate) async fn run_blocking<T: Send + 'static>(
    act: impl FnOnce() -> T + Send + 'static,
) -> Result<T, BlockingTaskEnded> {
    let result = Arc::new(Mutex::new(None));
    let slot = Arc::clone(&result);
    let task: Box<dyn FnOnce() + Send> = Box::new(move || {
        let value = act();
        *lock(&slot) = Some(value);
    });
    let ended = spawn_blocking(task).await;
    let value = lock(&result).take();
    value.ok_or_else(|| BlockingTaskEnded(ended.err()))
}

/// A task that can block ended without a result.
#[derive(Debug)]
pub(crate) struct BlockingTaskEnded(Option<JoinError>);

impl fmt::Display for BlockingTaskEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a blocking task ended without a result")
    }
}

impl std::error::Error for BlockingTaskEnded {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.as_ref().map(|error| error as _)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The value is set and taken whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use futures_util::future::poll_immediate;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn the_result_is_returned_and_a_panic_is_an_error() {
        assert_eq!(run_blocking(|| 7).await.unwrap(), 7);
        let ended = run_blocking(|| -> u32 { panic!("the task panics") }).await.unwrap_err();
        let source = ended.source().and_then(|source| source.downcast_ref::<JoinError>());
        assert!(source.is_some_and(JoinError::is_panic), "{ended:?}");
    }

    /// Reports when it is dropped.
    struct Dropped(Option<oneshot::Sender<()>>);

    impl Drop for Dropped {
        fn drop(&mut self) {
            if let Some(sender) = self.0.take() {
                let _ = sender.send(());
            }
        }
    }

    #[tokio::test]
    async fn a_result_that_is_not_awaited_is_dropped() {
        let (sender, dropped) = oneshot::channel();
        let value = Dropped(Some(sender));
        let (start, started) = std::sync::mpsc::channel::<()>();
        {
            let mut task = std::pin::pin!(run_blocking(move || {
                let _ = started.recv();
                value
            }));
            assert!(poll_immediate(&mut task).await.is_none());
        }
        start.send(()).unwrap();
        dropped.await.unwrap();
    }
}
