//! One call: the side that serves it, and the mirror on the other side.

use std::borrow::Cow;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::thread::panicking;
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::Value;
use tokio::sync::oneshot::Sender;
use tokio::time::{Instant, timeout};

use super::failure::Failure;
use super::mirror::{self, SideResult};
use super::record::{CallEnd, CallRole};
use super::shared::{CallInfo, MigrationInner};
use super::stage::{RolloutBucket, Side};
use super::view::{FullResponse, Project, Projection};

/// A call of either side, created by [`Migration::read`](super::Migration::read) and the related methods.
#[must_use = "nothing is called before `run`"]
pub struct ShadowedCall<T, E, V = FullResponse> {
    inner: Arc<MigrationInner>,
    operation: Cow<'static, str>,
    write: bool,
    bucket: Option<RolloutBucket>,
    old: CallFactory<T, E>,
    new: CallFactory<T, E>,
    old_dry_run: Option<CallFactory<T, E>>,
    new_dry_run: Option<CallFactory<T, E>>,
    projection: V,
}

/// Starts a call of one side.
pub(super) type CallFactory<T, E> = Arc<dyn Fn() -> CallFuture<T, E> + Send + Sync>;
type CallFuture<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// Binds a function to the side that it calls.
pub(super) fn start<S, F, R, T, E>(side: S, call: F) -> CallFactory<T, E>
where
    S: Clone + Send + Sync + 'static,
    F: FnOnce(S) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<T, E>> + Send + 'static,
{
    Arc::new(move || Box::pin(call.clone()(side.clone())))
}

impl<T, E> ShadowedCall<T, E> {
    pub(super) fn new(
        core: Arc<MigrationInner>,
        operation: Cow<'static, str>,
        write: bool,
        old: CallFactory<T, E>,
        new: CallFactory<T, E>,
    ) -> Self {
        let (place, old_dry, new_dry) = (None, None, None);
        Self {
            inner: core,
            operation,
            write,
            bucket: place,
            old,
            new,
            old_dry_run: old_dry,
            new_dry_run: new_dry,
            projection: FullResponse,
        }
    }

    /// Compares a value that a function derives from the results, such as their ids, instead of the whole
    /// results. The results do not need to be [`Serialize`](serde::Serialize) and [`Clone`] then.
    ///
    /// The function runs on the caller's path if the call is mirrored, so it should return quickly. If it
    /// panics for the serving side, the call is not compared.
    pub fn project<F>(self, view: F) -> ShadowedCall<T, E, Projection<F>>
    where
        F: Fn(Side, &T) -> Value + Send + Sync + 'static,
    {
        let Self {
            inner: core,
            operation,
            write,
            bucket: place,
            old,
            new,
            old_dry_run: old_dry,
            new_dry_run: new_dry,
            projection: FullResponse,
        } = self;
        let view = Projection(Arc::new(view));
        ShadowedCall {
            inner: core,
            operation,
            write,
            bucket: place,
            old,
            new,
            old_dry_run: old_dry,
            new_dry_run: new_dry,
            projection: view,
        }
    }
}

impl<T, E, V> ShadowedCall<T, E, V> {
    /// Sets the key that binds the call to a side while keys are shifted, such as a repository or a tenant.
    /// The same side serves all calls of one key, in all processes with the same
    /// [salt](super::MigrationBuilder::salt). Without a key, the side is random for each call.
    pub fn key(mut self, key: impl AsRef<[u8]>) -> Self {
        self.bucket = Some(self.inner.bucket(key.as_ref()));
        self
    }

    /// Sets a dry run: a function without effects that runs on the new side instead of the call while the legacy
    /// one serves. It makes writes comparable, and returns the same as the write. For a read, it runs instead
    /// of the read.
    pub fn dry_run_new<F, R>(mut self, dry_run: F) -> Self
    where
        F: FnOnce() -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.new_dry_run = Some(start((), move |()| dry_run()));
        self
    }

    /// Sets the same on the legacy side, while the new one serves.
    pub fn dry_run_old<F, R>(mut self, dry_run: F) -> Self
    where
        F: FnOnce() -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.old_dry_run = Some(start((), move |()| dry_run()));
        self
    }

    /// The function that runs on the non-serving side.
    fn mirrored(&self, side: Side) -> Option<CallFactory<T, E>> {
        let (dry, call) = match side {
            Side::Old => (&self.old_dry_run, &self.old),
            Side::New => (&self.new_dry_run, &self.new),
        };
        // A write has effects: it never runs on both sides.
        dry.as_ref().or((!self.write).then_some(call)).cloned()
    }
}

impl<T, E, V> ShadowedCall<T, E, V>
where
    T: Send + 'static,
    E: Send + 'static,
    V: Project<T>,
{
    /// Makes the call, and returns the result of the serving side immediately. Dropping it also ends the
    /// mirror.
    ///
    /// # Errors
    /// The error of the serving side. If the new side serves a read and fails, and there is a
    /// [fallback](super::MirrorConfig::fallback), the error of the legacy side.
    ///
    /// # Panics
    /// If the serving side panics, and there is no fallback.
    pub async fn run(self) -> Result<T, E> {
        let plan = self.inner.plan(self.bucket, self.write);
        let about = CallInfo { operation: self.operation.clone(), epoch: plan.epoch };
        let other = plan.serves.other();
        let mirror = self.mirrored(other).filter(|_| plan.mirrored).and_then(|start| {
            mirror::begin(&self.inner, &about, other, start, self.projection.clone())
        });
        let part = CallRole::Served { write: self.write };
        let served = ServedGuard::start(&self.inner, &about, plan.serves, part);
        match (plan.serves, plan.fallback) {
            (Side::New, true) => self.serve_or_fall_back(served, mirror).await,
            (Side::New, false) => self.serve(&self.new, served, mirror).await,
            (Side::Old, _) => self.serve(&self.old, served, mirror).await,
        }
    }

    async fn serve(
        &self,
        start: &CallFactory<T, E>,
        served: ServedGuard<'_>,
        mirror: Option<Sender<Option<SideResult>>>,
    ) -> Result<T, E> {
        let result = start().await;
        self.finish_serving(served, &result, mirror);
        result
    }

    /// Lets the new side serve, and the legacy one if that fails.
    async fn serve_or_fall_back(
        &self,
        served: ServedGuard<'_>,
        mirror: Option<Sender<Option<SideResult>>>,
    ) -> Result<T, E> {
        let about = served.info;
        let call = AssertUnwindSafe(async { (self.new)().await }).catch_unwind();
        let ended = match self.inner.settings.mirror.fallback_timeout {
            None => Ok(call.await),
            Some(within) => timeout(within, call).await,
        };
        let (ended, name) = match ended {
            Ok(Ok(result)) => {
                if !self.finish_serving(served, &result, mirror) {
                    return result;
                }
                return self.fall_back(about).await;
            }
            Ok(Err(_)) => (CallEnd::Panicked, "panic"),
            Err(_) => (CallEnd::TimedOut, "timeout"),
        };
        let latency = served.end(&ended);
        send_result(mirror, Some(SideResult { response: Err(Failure::new(name)), latency }));
        self.fall_back(about).await
    }

    async fn fall_back(&self, about: &CallInfo) -> Result<T, E> {
        let served = ServedGuard::start(&self.inner, about, Side::Old, CallRole::Fallback);
        let result = (self.old)().await;
        self.finish_serving(served, &result, None);
        result
    }

    /// Records the outcome of the serving side, and sends it to the mirror. Returns whether it failed.
    fn finish_serving(
        &self,
        served: ServedGuard<'_>,
        result: &Result<T, E>,
        mirror: Option<Sender<Option<SideResult>>>,
    ) -> bool {
        let side = served.side;
        let failure =
            result.as_ref().err().map(|error| self.inner.settings.failures.classify(error));
        let ended = failure.clone().map_or(CallEnd::Completed, CallEnd::Failed);
        let latency = served.end(&ended);
        if mirror.is_some() {
            let seen = || match (result, failure) {
                (Ok(value), _) => Some(Ok(self.projection.project(side, value))),
                (Err(_), failure) => failure.map(Err),
            };
            let response = catch_unwind(AssertUnwindSafe(seen)).ok().flatten();
            send_result(mirror, response.map(|response| SideResult { response, latency }));
        }
        ended.is_failure()
    }
}

fn send_result(mirror: Option<Sender<Option<SideResult>>>, said: Option<SideResult>) {
    if let Some(mirror) = mirror {
        // The runtime might have shut down.
        let _ = mirror.send(said);
    }
}

/// A call of the serving side. If it is dropped before its end, the caller gave it up or it panicked.
struct ServedGuard<'a> {
    inner: &'a MigrationInner,
    info: &'a CallInfo,
    side: Side,
    role: CallRole,
    started_at: Instant,
    has_ended: bool,
}

impl<'a> ServedGuard<'a> {
    fn start(core: &'a MigrationInner, about: &'a CallInfo, side: Side, part: CallRole) -> Self {
        Self {
            inner: core,
            info: about,
            side,
            role: part,
            started_at: Instant::now(),
            has_ended: false,
        }
    }

    /// Returns the latency.
    fn end(mut self, ended: &CallEnd) -> Duration {
        self.has_ended = true;
        self.record(ended)
    }

    fn record(&self, ended: &CallEnd) -> Duration {
        let latency = self.started_at.elapsed();
        self.inner.ended(self.info, self.side, self.role, ended, latency);
        latency
    }
}

impl Drop for ServedGuard<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            let ended = if panicking() { CallEnd::Panicked } else { CallEnd::Abandoned };
            self.record(&ended);
        }
    }
}

impl<T, E, V> fmt::Debug for ShadowedCall<T, E, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShadowedCall")
            .field("operation", &self.operation)
            .field("write", &self.write)
            .finish_non_exhaustive()
    }
}
