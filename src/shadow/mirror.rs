//! The non-serving side, in its own task.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, select};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tracing::Instrument;

use super::call::Start;
use super::compare;
use super::difference::{Difference, DifferenceKind};
use super::failure::Failure;
use super::record::{Ended, Part, Skip};
use super::rules::Rules;
use super::shared::{About, Core};
use super::stage::Side;
use super::view::{Seen, View};

/// The result of a side, and its latency.
pub(super) struct Said {
    pub(super) answer: Result<Seen, Failure>,
    pub(super) latency: Duration,
}

/// Starts to mirror a call. Send the result of the serving side to the returned sender, or `None` if it
/// cannot be compared; dropping the sender ends the mirror.
pub(super) fn begin<T, E, V>(
    core: &Arc<Core>,
    about: &About,
    side: Side,
    start: Start<T, E>,
    view: V,
) -> Option<oneshot::Sender<Option<Said>>>
where
    T: Send + 'static,
    E: Send + 'static,
    V: View<T>,
{
    let Ok(runtime) = Handle::try_current() else {
        core.skipped(about, Skip::NoRuntime);
        return None;
    };
    let Ok(permit) = Arc::clone(&core.permits).try_acquire_owned() else {
        core.skipped(about, Skip::Full);
        return None;
    };
    let (sender, first) = oneshot::channel();
    let span = tracing::debug_span!("shadow", operation = %about.operation, %side);
    let mirror = Mirror { core: Arc::clone(core), about: about.clone(), side };
    let task = async move {
        mirror.run(start, view, first).await;
        // Until here, the permit bounds the mirrors and their memory.
        drop(permit);
    };
    runtime.spawn(task.instrument(span));
    Some(sender)
}

struct Mirror {
    core: Arc<Core>,
    about: About,
    /// The side that runs here.
    side: Side,
}

impl Mirror {
    async fn run<T, E, V>(self, start: Start<T, E>, view: V, first: oneshot::Receiver<Option<Said>>)
    where
        T: Send + 'static,
        E: Send + 'static,
        V: View<T>,
    {
        let second = self.second(start, view);
        // If the caller has dropped the call, the mirror ends as well.
        let (second, first) = match select(pin!(second), first).await {
            Either::Left((second, first)) => (second, first.await.ok()),
            Either::Right((Ok(first), second)) => (second.await, Some(first)),
            Either::Right((Err(_), _)) => return self.core.skipped(&self.about, Skip::Abandoned),
        };
        match (first, second) {
            (None, _) => self.core.skipped(&self.about, Skip::Abandoned),
            (Some(None), _) | (_, None) => self.core.uncompared(&self.about),
            (Some(Some(first)), Some(second)) => match self.side {
                Side::New => self.compare(first, second).await,
                Side::Old => self.compare(second, first).await,
            },
        }
    }

    /// Calls the side. Returns `None` if there is nothing to compare, since deriving a view of the result
    /// panicked.
    async fn second<T, E, V>(&self, start: Start<T, E>, view: V) -> Option<Said>
    where
        T: Send + 'static,
        E: Send + 'static,
        V: View<T>,
    {
        let began = Instant::now();
        let call = AssertUnwindSafe(async move { start().await }).catch_unwind();
        let result = timeout(self.core.settings.mirroring.timeout, call).await;
        let latency = began.elapsed();
        let (ended, answer) = match result {
            Ok(Ok(Ok(value))) => {
                let seen = || view.seen(self.side, &value);
                (Ended::Answered, std::panic::catch_unwind(AssertUnwindSafe(seen)).ok().map(Ok))
            }
            Ok(Ok(Err(error))) => {
                let failure = self.core.settings.failures.of(&error);
                (Ended::Failed(failure.clone()), Some(Err(failure)))
            }
            Ok(Err(_)) => (Ended::Panicked, Some(Err(Failure::new("panic")))),
            Err(_) => (Ended::TimedOut, Some(Err(Failure::new("timeout")))),
        };
        self.core.ended(&self.about, self.side, Part::Mirrored, &ended, latency);
        Some(Said { answer: answer?, latency })
    }

    async fn compare(&self, old: Said, new: Said) {
        let latencies =
            (old.answer.is_ok() && new.answer.is_ok()).then_some((old.latency, new.latency));
        let rules = self.core.rules(&self.about.operation);
        // Large results take milliseconds, which would delay other tasks.
        let compare = move || differences(&rules, old.answer, new.answer);
        match tokio::task::spawn_blocking(compare).await {
            Ok(Some(differences)) => self.core.compared(&self.about, differences, latencies),
            // It is not JSON, or the conversion panicked.
            Ok(None) | Err(_) => self.core.uncompared(&self.about),
        }
    }
}

fn differences(
    rules: &Rules,
    old: Result<Seen, Failure>,
    new: Result<Seen, Failure>,
) -> Option<Vec<Difference>> {
    let name = |failure: Failure| Some(failure.name().to_owned());
    let (kind, old, new) = match (old, new) {
        (Ok(old), Ok(new)) => return Some(compare::compare(rules, &old().ok()?, &new().ok()?)),
        (Err(old), Err(new)) if old.name() == new.name() => return Some(Vec::new()),
        (Err(old), Err(new)) => (DifferenceKind::FailedDifferently, name(old), name(new)),
        (Err(old), Ok(_)) => (DifferenceKind::OldFailed, name(old), None),
        (Ok(_), Err(new)) => (DifferenceKind::NewFailed, None, name(new)),
    };
    let (path, pattern) = ("$".to_owned(), "$".to_owned());
    Some(vec![Difference { path, pattern, kind, old, new }])
}
