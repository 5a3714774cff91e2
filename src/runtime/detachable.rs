//! A future that its caller polls until another call needs the future's resources: then a task polls it.
//!
//! A call can hold a permit of the rate limits while its caller does not poll it, as a page that is fetched ahead does
//! while the loop over its items awaits another call. If that call needs the permit, neither can continue.
//! [`Detach::detach`] moves the future into a task of its own, which runs it to its end; the caller then awaits the
//! outcome. Until then, no task is spawned.

use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tracing::instrument::WithSubscriber;
use tracing::{Dispatch, Instrument, Span, dispatcher};

use crate::time::deadline::DeadlineExtension;

/// A future that a [`DetachableCall`] runs.
pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

trait Detach: Send + Sync {
    fn detach(self: Arc<Self>);
}

/// A weak reference to a [`DetachableCall`].
#[derive(Clone)]
pub(crate) struct DetachHandle(Weak<dyn Detach>);

impl DetachHandle {
    /// Moves the future into a task of its own, now or at the end of the current poll.
    pub(crate) fn detach(&self) {
        if let Some(call) = self.0.upgrade() {
            call.detach();
        }
    }
}

impl fmt::Debug for DetachHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DetachHandle").finish_non_exhaustive()
    }
}

/// The caller's side of a call. Dropping it drops the call, in whichever task it runs.
#[must_use = "futures do nothing unless polled"]
pub(crate) struct DetachableCall<T: Send + 'static>(Arc<CallCell<T>>);

/// The state that the caller and the task share.
struct CallCell<T> {
    stage: Mutex<Stage<T>>,
    /// The context that the task inherits from the caller.
    runtime: Option<Handle>,
    span: Span,
    subscriber: Dispatch,
    /// Extended by the time in which nothing polled the future.
    extension: Option<DeadlineExtension>,
}

enum Stage<T> {
    /// The caller polls the future. `last_polled_at` is kept only if there is an extension.
    Attached { future: BoxFuture<T>, caller: Option<Waker>, last_polled_at: Option<Instant> },
    /// The caller polls the future at this moment.
    Polling { caller: Option<Waker>, detach: bool },
    /// A task polls the future; at this moment, if `future` is `None`.
    Detached { future: Option<BoxFuture<T>>, caller: Option<Waker>, task: Option<AbortHandle> },
    /// The future ended in its task; an error is a panic.
    Completed(Result<T, Box<dyn Any + Send>>),
    /// The caller has the outcome, or dropped the call.
    Consumed,
}

impl<T: Send + 'static> DetachableCall<T> {
    /// Creates the future with a handle to itself.
    pub(crate) fn new(
        extension: Option<DeadlineExtension>,
        future: impl FnOnce(DetachHandle) -> BoxFuture<T>,
    ) -> Self {
        Self(Arc::new_cyclic(|cell: &Weak<CallCell<T>>| {
            let future = future(DetachHandle(Weak::clone(cell) as Weak<dyn Detach>));
            CallCell {
                stage: Mutex::new(Stage::Attached { future, caller: None, last_polled_at: None }),
                runtime: Handle::try_current().ok(),
                span: Span::current(),
                subscriber: dispatcher::get_default(Dispatch::clone),
                extension,
            }
        }))
    }
}

impl<T: Send + 'static> Future for DetachableCall<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let cell = &self.0;
        let mut future = {
            let mut stage = cell.stage();
            match &mut *stage {
                Stage::Detached { caller, .. } => {
                    store_waker(caller, context);
                    return Poll::Pending;
                }
                // Of a panic during a poll, or of a poll after the end.
                Stage::Polling { .. } | Stage::Consumed => return Poll::Pending,
                Stage::Attached { .. } | Stage::Completed(_) => {}
            }
            match std::mem::replace(&mut *stage, Stage::Consumed) {
                Stage::Attached { future, mut caller, .. } => {
                    store_waker(&mut caller, context);
                    *stage = Stage::Polling { caller, detach: false };
                    future
                }
                Stage::Completed(Ok(outcome)) => return Poll::Ready(outcome),
                Stage::Completed(Err(panic)) => {
                    drop(stage);
                    resume_unwind(panic)
                }
                other => {
                    *stage = other;
                    return Poll::Pending;
                }
            }
        };
        let polled = future.as_mut().poll(context);
        let now = match (&polled, &cell.extension) {
            (Poll::Pending, Some(_)) => Some(Instant::now()),
            _ => None,
        };
        let detach = {
            let mut stage = cell.stage();
            match (&polled, std::mem::replace(&mut *stage, Stage::Consumed)) {
                (Poll::Pending, Stage::Polling { caller, detach: true }) => {
                    *stage = Stage::Detached { future: Some(future), caller, task: None };
                    true
                }
                (Poll::Pending, Stage::Polling { caller, detach: false }) => {
                    *stage = Stage::Attached { future, caller, last_polled_at: now };
                    false
                }
                _ => false,
            }
        };
        if detach {
            cell.spawn(now.zip(now));
        }
        polled
    }
}

impl<T: Send + 'static> Drop for DetachableCall<T> {
    fn drop(&mut self) {
        let stage = std::mem::replace(&mut *self.0.stage(), Stage::Consumed);
        // Otherwise the task would wait for a future that is gone.
        if let Stage::Detached { task: Some(task), .. } = &stage {
            task.abort();
        }
    }
}

impl<T: Send + 'static> Detach for CallCell<T> {
    fn detach(self: Arc<Self>) {
        // Without a runtime there are no timers and no connections either.
        if self.runtime.is_none() {
            return;
        }
        let now = self.extension.as_ref().map(|_| Instant::now());
        let polled = {
            let mut stage = self.stage();
            match std::mem::replace(&mut *stage, Stage::Consumed) {
                Stage::Attached { future, caller, last_polled_at: polled } => {
                    *stage = Stage::Detached { future: Some(future), caller, task: None };
                    polled
                }
                Stage::Polling { caller, .. } => {
                    *stage = Stage::Polling { caller, detach: true };
                    return;
                }
                other => {
                    *stage = other;
                    return;
                }
            }
        };
        // A future that was never polled was not idle either.
        self.spawn(now.map(|now| (now, polled.unwrap_or(now))));
    }
}

impl<T: Send + 'static> CallCell<T> {
    /// Starts the task, with the current time and that of the last poll if there is an extension. No lock is held: if its
    /// runtime is shut down, it is dropped right here.
    fn spawn(self: &Arc<Self>, times: Option<(Instant, Instant)>) {
        let Some(runtime) = &self.runtime else { return };
        if let (Some(extension), Some((now, polled))) = (&self.extension, times) {
            extension.detach(now, polled);
        }
        let driver = Driver(Arc::clone(self));
        let task = poll_fn(move |context| driver.poll(context))
            .instrument(self.span.clone())
            .with_subscriber(self.subscriber.clone());
        let spawned = runtime.spawn(task).abort_handle();
        let mut stage = self.stage();
        match &mut *stage {
            Stage::Detached { task, .. } => *task = Some(spawned),
            // The caller dropped the future meanwhile.
            Stage::Consumed => spawned.abort(),
            Stage::Attached { .. } | Stage::Polling { .. } | Stage::Completed(_) => {}
        }
    }

    fn stage(&self) -> MutexGuard<'_, Stage<T>> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that polls the future.
struct Driver<T: Send + 'static>(Arc<CallCell<T>>);

impl<T: Send + 'static> Driver<T> {
    fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        let future = match &mut *self.0.stage() {
            Stage::Detached { future, .. } => future.take(),
            _ => None,
        };
        let Some(mut future) = future else { return Poll::Ready(()) };
        // The caller receives the panic, as if it had polled the future itself.
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        let outcome = match polled {
            Ok(Poll::Pending) => return self.put_back(future),
            Ok(Poll::Ready(outcome)) => Ok(outcome),
            Err(panic) => Err(panic),
        };
        // Dropping the data of the future can panic as well.
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(future)));
        let outcome = outcome.and_then(|outcome| dropped.map(|()| outcome));
        let caller = {
            let mut stage = self.0.stage();
            let Stage::Detached { caller, .. } = &mut *stage else { return Poll::Ready(()) };
            let caller = caller.take();
            *stage = Stage::Completed(outcome);
            caller
        };
        if let Some(caller) = caller {
            caller.wake();
        }
        Poll::Ready(())
    }

    fn put_back(&self, polled: BoxFuture<T>) -> Poll<()> {
        let mut stage = self.0.stage();
        if let Stage::Detached { future, .. } = &mut *stage {
            *future = Some(polled);
            return Poll::Pending;
        }
        drop(stage);
        // The caller dropped the call during this poll, and with it the future.
        drop(polled);
        Poll::Ready(())
    }
}

impl<T: Send + 'static> Drop for Driver<T> {
    /// If the runtime of the task shuts down, the caller polls the future again.
    fn drop(&mut self) {
        let polled = self.0.extension.as_ref().map(|extension| {
            extension.attach();
            Instant::now()
        });
        let caller = {
            let mut stage = self.0.stage();
            match &mut *stage {
                Stage::Detached { future, caller, .. } => {
                    let (future, caller) = (future.take(), caller.take());
                    *stage = match future {
                        Some(future) => Stage::Attached {
                            future,
                            caller: caller.clone(),
                            last_polled_at: polled,
                        },
                        // The task ended within a poll. The caller must not wait forever.
                        None => Stage::Completed(Err(Box::new(
                            "the task of a call ended before the call",
                        ))),
                    };
                    caller
                }
                _ => None,
            }
        };
        if let Some(caller) = caller {
            caller.wake();
        }
    }
}

/// Stores the waker of the last poll.
fn store_waker(caller: &mut Option<Waker>, context: &Context<'_>) {
    match caller {
        Some(known) => known.clone_from(context.waker()),
        None => *caller = Some(context.waker().clone()),
    }
}

#[cfg(test)]
mod tests;
