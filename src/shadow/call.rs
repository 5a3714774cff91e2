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
use super::mirror::{self, Said};
use super::record::{Ended, Part};
use super::shared::{About, Core};
use super::stage::{Place, Side};
use super::view::{By, View, Whole};

/// A call of either side, created by [`Shadow::read`](super::Shadow::read) and the related methods.
#[must_use = "nothing is called before `run`"]
pub struct Call<T, E, V = Whole> {
    core: Arc<Core>,
    operation: Cow<'static, str>,
    write: bool,
    place: Option<Place>,
    old: Start<T, E>,
    new: Start<T, E>,
    old_dry: Option<Start<T, E>>,
    new_dry: Option<Start<T, E>>,
    view: V,
}

/// Starts a call of one side.
pub(super) type Start<T, E> = Arc<dyn Fn() -> Running<T, E> + Send + Sync>;
type Running<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// Binds a function to the side that it calls.
pub(super) fn start<S, F, R, T, E>(side: S, call: F) -> Start<T, E>
where
    S: Clone + Send + Sync + 'static,
    F: FnOnce(S) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<T, E>> + Send + 'static,
{
    Arc::new(move || Box::pin(call.clone()(side.clone())))
}

impl<T, E> Call<T, E> {
    pub(super) fn new(
        core: Arc<Core>,
        operation: Cow<'static, str>,
        write: bool,
        old: Start<T, E>,
        new: Start<T, E>,
    ) -> Self {
        let (place, old_dry, new_dry) = (None, None, None);
        Self { core, operation, write, place, old, new, old_dry, new_dry, view: Whole }
    }

    /// Compares a value that a function derives from the results, such as their ids, instead of the whole
    /// results. The results do not need to be [`Serialize`](serde::Serialize) and [`Clone`] then.
    ///
    /// The function runs on the caller's path if the call is mirrored, so it should return quickly. If it
    /// panics for the serving side, the call is not compared.
    pub fn view<F>(self, view: F) -> Call<T, E, By<F>>
    where
        F: Fn(Side, &T) -> Value + Send + Sync + 'static,
    {
        let Self { core, operation, write, place, old, new, old_dry, new_dry, view: Whole } = self;
        let view = By(Arc::new(view));
        Call { core, operation, write, place, old, new, old_dry, new_dry, view }
    }
}

impl<T, E, V> Call<T, E, V> {
    /// Sets the key that binds the call to a side while keys are shifted, such as a repository or a tenant.
    /// The same side serves all calls of one key, in all processes with the same
    /// [salt](super::ShadowBuilder::salt). Without a key, the side is random for each call.
    pub fn key(mut self, key: impl AsRef<[u8]>) -> Self {
        self.place = Some(self.core.place(key.as_ref()));
        self
    }

    /// Sets a dry run: a function without effects that runs on the new side instead of the call while the old
    /// one serves. It makes writes comparable, and returns the same as the write. For a read, it runs instead
    /// of the read.
    pub fn dry_run_new<F, R>(mut self, dry_run: F) -> Self
    where
        F: FnOnce() -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.new_dry = Some(start((), move |()| dry_run()));
        self
    }

    /// Sets the same on the old side, while the new one serves.
    pub fn dry_run_old<F, R>(mut self, dry_run: F) -> Self
    where
        F: FnOnce() -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.old_dry = Some(start((), move |()| dry_run()));
        self
    }

    /// The function that runs on the non-serving side.
    fn mirrored(&self, side: Side) -> Option<Start<T, E>> {
        let (dry, call) = match side {
            Side::Old => (&self.old_dry, &self.old),
            Side::New => (&self.new_dry, &self.new),
        };
        // A write has effects: it never runs on both sides.
        dry.as_ref().or((!self.write).then_some(call)).cloned()
    }
}

impl<T, E, V> Call<T, E, V>
where
    T: Send + 'static,
    E: Send + 'static,
    V: View<T>,
{
    /// Makes the call, and returns the result of the serving side immediately. Dropping it also ends the
    /// mirror.
    ///
    /// # Errors
    /// The error of the serving side. If the new side serves a read and fails, and there is a
    /// [fallback](super::Mirroring::fallback), the error of the old side.
    ///
    /// # Panics
    /// If the serving side panics, and there is no fallback.
    pub async fn run(self) -> Result<T, E> {
        let plan = self.core.plan(self.place, self.write);
        let about = About { operation: self.operation.clone(), epoch: plan.epoch };
        let other = plan.serves.other();
        let mirror = self
            .mirrored(other)
            .filter(|_| plan.mirrored)
            .and_then(|start| mirror::begin(&self.core, &about, other, start, self.view.clone()));
        let part = Part::Served { write: self.write };
        let served = Served::begin(&self.core, &about, plan.serves, part);
        match (plan.serves, plan.fallback) {
            (Side::New, true) => self.serve_or_fall_back(served, mirror).await,
            (Side::New, false) => self.serve(&self.new, served, mirror).await,
            (Side::Old, _) => self.serve(&self.old, served, mirror).await,
        }
    }

    async fn serve(
        &self,
        start: &Start<T, E>,
        served: Served<'_>,
        mirror: Option<Sender<Option<Said>>>,
    ) -> Result<T, E> {
        let result = start().await;
        self.served(served, &result, mirror);
        result
    }

    /// Lets the new side serve, and the old one if that fails.
    async fn serve_or_fall_back(
        &self,
        served: Served<'_>,
        mirror: Option<Sender<Option<Said>>>,
    ) -> Result<T, E> {
        let about = served.about;
        let call = AssertUnwindSafe(async { (self.new)().await }).catch_unwind();
        let ended = match self.core.settings.mirroring.serve_within {
            None => Ok(call.await),
            Some(within) => timeout(within, call).await,
        };
        let (ended, name) = match ended {
            Ok(Ok(result)) => {
                if !self.served(served, &result, mirror) {
                    return result;
                }
                return self.fall_back(about).await;
            }
            Ok(Err(_)) => (Ended::Panicked, "panic"),
            Err(_) => (Ended::TimedOut, "timeout"),
        };
        let latency = served.end(&ended);
        tell(mirror, Some(Said { answer: Err(Failure::new(name)), latency }));
        self.fall_back(about).await
    }

    async fn fall_back(&self, about: &About) -> Result<T, E> {
        let served = Served::begin(&self.core, about, Side::Old, Part::Fallback);
        let result = (self.old)().await;
        self.served(served, &result, None);
        result
    }

    /// Records the outcome of the serving side, and sends it to the mirror. Returns whether it failed.
    fn served(
        &self,
        served: Served<'_>,
        result: &Result<T, E>,
        mirror: Option<Sender<Option<Said>>>,
    ) -> bool {
        let side = served.side;
        let failure = result.as_ref().err().map(|error| self.core.settings.failures.of(error));
        let ended = failure.clone().map_or(Ended::Answered, Ended::Failed);
        let latency = served.end(&ended);
        if mirror.is_some() {
            let seen = || match (result, failure) {
                (Ok(value), _) => Some(Ok(self.view.seen(side, value))),
                (Err(_), failure) => failure.map(Err),
            };
            let answer = catch_unwind(AssertUnwindSafe(seen)).ok().flatten();
            tell(mirror, answer.map(|answer| Said { answer, latency }));
        }
        ended.is_failure()
    }
}

fn tell(mirror: Option<Sender<Option<Said>>>, said: Option<Said>) {
    if let Some(mirror) = mirror {
        // The runtime might have shut down.
        let _ = mirror.send(said);
    }
}

/// A call of the serving side. If it is dropped before its end, the caller gave it up or it panicked.
struct Served<'a> {
    core: &'a Core,
    about: &'a About,
    side: Side,
    part: Part,
    began: Instant,
    ended: bool,
}

impl<'a> Served<'a> {
    fn begin(core: &'a Core, about: &'a About, side: Side, part: Part) -> Self {
        Self { core, about, side, part, began: Instant::now(), ended: false }
    }

    /// Returns the latency.
    fn end(mut self, ended: &Ended) -> Duration {
        self.ended = true;
        self.note(ended)
    }

    fn note(&self, ended: &Ended) -> Duration {
        let latency = self.began.elapsed();
        self.core.ended(self.about, self.side, self.part, ended, latency);
        latency
    }
}

impl Drop for Served<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let ended = if panicking() { Ended::Panicked } else { Ended::Abandoned };
            self.note(&ended);
        }
    }
}

impl<T, E, V> fmt::Debug for Call<T, E, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("operation", &self.operation)
            .field("write", &self.write)
            .finish_non_exhaustive()
    }
}
