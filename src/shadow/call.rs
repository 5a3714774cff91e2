//! One call: which side serves it, and what becomes of the other.

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

/// A call of either side, which [`Shadow::read`](super::Shadow::read) and the methods beside it make.
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

/// Begins a call of one side.
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

    /// Compares what a function makes of the answers, such as their ids, instead of all of them. The
    /// answers need not be [`Serialize`](serde::Serialize) and [`Clone`] then.
    ///
    /// It runs on the caller's path if the call is mirrored: it should return soon. If it panics for the
    /// side that serves, the call is not compared.
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
    /// By what the call sticks to a side while keys are shifted, such as a repository or a tenant. Calls
    /// of one key are all served by the same side, in all processes that have the same
    /// [salt](super::ShadowBuilder::salt). Without a key, chance decides for each call.
    pub fn key(mut self, key: impl AsRef<[u8]>) -> Self {
        self.place = Some(self.core.place(key.as_ref()));
        self
    }

    /// What runs on the new side instead of the call while the old one serves, and changes nothing: so a
    /// write is compared as well. It gives what the write would. For a read, it runs instead of the read.
    pub fn dry_run_new<F, R>(mut self, dry_run: F) -> Self
    where
        F: FnOnce() -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.new_dry = Some(start((), move |()| dry_run()));
        self
    }

    /// The same on the old side, while the new one serves.
    pub fn dry_run_old<F, R>(mut self, dry_run: F) -> Self
    where
        F: FnOnce() -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.old_dry = Some(start((), move |()| dry_run()));
        self
    }

    /// What runs on a side that does not serve.
    fn mirrored(&self, side: Side) -> Option<Start<T, E>> {
        let (dry, call) = match side {
            Side::Old => (&self.old_dry, &self.old),
            Side::New => (&self.new_dry, &self.new),
        };
        // A write changes something: it never goes to both.
        dry.as_ref().or((!self.write).then_some(call)).cloned()
    }
}

impl<T, E, V> Call<T, E, V>
where
    T: Send + 'static,
    E: Send + 'static,
    V: View<T>,
{
    /// Makes the call, and gives what the side that serves says, at once. Dropped, it ends the mirror as
    /// well.
    ///
    /// # Errors
    /// That of the side that serves; if the new one serves a read and fails, and there is a
    /// [fallback](super::Mirroring::fallback), that of the old one.
    ///
    /// # Panics
    /// If the side that serves does, and there is no fallback.
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

    /// Has the new side serve, and the old one if that fails.
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

    /// Notes how the side that serves has ended, and tells the mirror. Says whether it has failed.
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
        // Its runtime may have ended.
        let _ = mirror.send(said);
    }
}

/// A side that serves. Dropped before its end, it was given up or has panicked.
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

    /// Gives the latency.
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
