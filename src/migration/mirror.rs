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

use super::call::CallFactory;
use super::compare;
use super::difference::{Difference, DifferenceKind};
use super::failure::Failure;
use super::record::{CallEnd, CallRole, SkipReason};
use super::rules::ComparisonRules;
use super::shared::{CallInfo, MigrationInner};
use super::stage::Side;
use super::view::{DeferredJson, Project};

/// The result of a side, and its latency.
pub(super) struct SideResult {
    pub(super) response: Result<DeferredJson, Failure>,
    pub(super) latency: Duration,
}

/// Starts to mirror a call. Send the result of the serving side to the returned sender, or `None` if it
/// cannot be compared; dropping the sender ends the mirror.
pub(super) fn begin<T, E, V>(
    core: &Arc<MigrationInner>,
    about: &CallInfo,
    side: Side,
    start: CallFactory<T, E>,
    view: V,
) -> Option<oneshot::Sender<Option<SideResult>>>
where
    T: Send + 'static,
    E: Send + 'static,
    V: Project<T>,
{
    let Ok(runtime) = Handle::try_current() else {
        core.skipped(about, SkipReason::NoRuntime);
        return None;
    };
    let Ok(permit) = Arc::clone(&core.permits).try_acquire_owned() else {
        core.skipped(about, SkipReason::Full);
        return None;
    };
    let (sender, first) = oneshot::channel();
    let span = tracing::debug_span!("mirror", operation = %about.operation, %side);
    let mirror = MirrorTask { inner: Arc::clone(core), info: about.clone(), side };
    let task = async move {
        mirror.run(start, view, first).await;
        // Until here, the permit bounds the mirrors and their memory.
        drop(permit);
    };
    runtime.spawn(task.instrument(span));
    Some(sender)
}

struct MirrorTask {
    inner: Arc<MigrationInner>,
    info: CallInfo,
    /// The side that runs here.
    side: Side,
}

impl MirrorTask {
    async fn run<T, E, V>(
        self,
        start: CallFactory<T, E>,
        view: V,
        first: oneshot::Receiver<Option<SideResult>>,
    ) where
        T: Send + 'static,
        E: Send + 'static,
        V: Project<T>,
    {
        let second = self.run_side(start, view);
        // If the caller has dropped the call, the mirror ends as well.
        let (second, first) = match select(pin!(second), first).await {
            Either::Left((second, first)) => (second, first.await.ok()),
            Either::Right((Ok(first), second)) => (second.await, Some(first)),
            Either::Right((Err(_), _)) => {
                return self.inner.skipped(&self.info, SkipReason::Abandoned);
            }
        };
        match (first, second) {
            (None, _) => self.inner.skipped(&self.info, SkipReason::Abandoned),
            (Some(None), _) | (_, None) => self.inner.uncompared(&self.info),
            (Some(Some(first)), Some(second)) => match self.side {
                Side::New => self.compare(first, second).await,
                Side::Old => self.compare(second, first).await,
            },
        }
    }

    /// Calls the side. Returns `None` if there is nothing to compare, since deriving a view of the result
    /// panicked.
    async fn run_side<T, E, V>(&self, start: CallFactory<T, E>, view: V) -> Option<SideResult>
    where
        T: Send + 'static,
        E: Send + 'static,
        V: Project<T>,
    {
        let began = Instant::now();
        let call = AssertUnwindSafe(async move { start().await }).catch_unwind();
        let result = timeout(self.inner.settings.mirror.timeout, call).await;
        let latency = began.elapsed();
        let (ended, response) = match result {
            Ok(Ok(Ok(value))) => {
                let seen = || view.project(self.side, &value);
                (CallEnd::Completed, std::panic::catch_unwind(AssertUnwindSafe(seen)).ok().map(Ok))
            }
            Ok(Ok(Err(error))) => {
                let failure = self.inner.settings.failures.classify(&error);
                (CallEnd::Failed(failure.clone()), Some(Err(failure)))
            }
            Ok(Err(_)) => (CallEnd::Panicked, Some(Err(Failure::new("panic")))),
            Err(_) => (CallEnd::TimedOut, Some(Err(Failure::new("timeout")))),
        };
        self.inner.ended(&self.info, self.side, CallRole::Mirrored, &ended, latency);
        Some(SideResult { response: response?, latency })
    }

    async fn compare(&self, old: SideResult, new: SideResult) {
        let latencies =
            (old.response.is_ok() && new.response.is_ok()).then_some((old.latency, new.latency));
        let rules = self.inner.rules(&self.info.operation);
        // Large results take milliseconds, which would delay other tasks.
        let compare = move || differences(&rules, old.response, new.response);
        match tokio::task::spawn_blocking(compare).await {
            Ok(Some(differences)) => self.inner.compared(&self.info, differences, latencies),
            // It is not JSON, or the conversion panicked.
            Ok(None) | Err(_) => self.inner.uncompared(&self.info),
        }
    }
}

fn differences(
    rules: &ComparisonRules,
    old: Result<DeferredJson, Failure>,
    new: Result<DeferredJson, Failure>,
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
