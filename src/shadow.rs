//! Moving an application from an existing integration to this one, while it runs.
//!
//! A [`Shadow`] stands between an application and two sides, the old integration and the new one: any
//! two clients, or any two asynchronous functions. Each call is served by one of them. Some of the
//! *reads* are run by the other one as well, and what the two say is compared.
//!
//! | stage | serves | is compared |
//! |---|---|---|
//! | [`Off`](Stage::Off) | old | nothing |
//! | [`Mirror`](Stage::Mirror) | old | a share of the reads, on the new side |
//! | [`Shift`](Stage::Shift) | new for some of the keys, old for the others | a share of the reads, on the other |
//! | [`Done`](Stage::Done) | new | nothing |
//!
//! ```
//! use octowire::shadow::{Rules, Shadow, Stage};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> octowire::Result<()> {
//! // What the application has, and what it is to have: any functions of a request.
//! let old = |number: u64| async move { Ok::<_, octowire::Error>(format!("issue {number}")) };
//! let new = |number: u64| async move { Ok::<_, octowire::Error>(format!("Issue {number}")) };
//!
//! let shadow = Shadow::builder(old, new)
//!     .stage(Stage::Mirror { share: 1.0 })
//!     .rules(Rules::default().ignore("$..node_id"))
//!     .build()?;
//! assert_eq!(shadow.read("issues/get", 7).key("acme/rocket").run().await?, "issue 7");
//!
//! shadow.settled().await;
//! let report = shadow.report();
//! assert_eq!(report.operations[0].mismatched, 1);
//! println!("{report}");
//! # Ok(())
//! # }
//! ```
//!
//! # What it never does
//!
//! - *Fail or slow what serves.* The other side runs in a task of its own, with a time limit and a bound
//!   for how many ([`Mirroring`]); its errors, panics and delays are counted and nothing else. It shares
//!   the runtime: a function that blocks its thread holds up whatever else is to run there. Comparing is
//!   done on tokio's blocking threads. What is done on the path of a call is to decide (a short lock),
//!   to start a task, and to clone the answer if it is mirrored; [`Call::view`] takes less than a clone.
//! - *Write twice.* A write goes to the side that serves, and is compared only if a
//!   [dry run](Call::dry_run_new) is given. It is not repeated on the other side if it fails.
//! - *Show what answers say.* Reports and logs (`tracing`) carry JSON paths and kinds of difference;
//!   values only by [`Rules::keep_values`].
//!
//! # Shifting
//!
//! A key, such as a repository, is served by one side, the same in each process, and raising the
//! percentage moves none back. [`Shadow::set_stage`] goes on by hand, a [`Ramp`] by itself. When the new
//! side fails more often, differs too often or is too slow, the stage goes back: see [`StepBack`], also
//! for how soon. A read that the new side fails to serve is served by the old one: see
//! [`Mirroring::fallback`].
//!
//! Each process has a stage of its own. In a fleet, [`ShadowBuilder::on_change`] tells of a step back,
//! and [`Shadow::set_stage`] hands it on.
//!
//! # What it costs
//!
//! A mirrored read is two reads: it costs the rate limit twice, if both sides are the same identity. A
//! shadow takes some 100 KB, and each operation 5 KB and what is kept of its differences: at most 100
//! places of 200 operations; what is beyond is counted together. Each mirrored call holds two answers
//! until they are compared.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

mod builder;
mod call;
mod compare;
mod control;
mod difference;
mod either;
mod failure;
mod histogram;
mod mirror;
mod pattern;
mod policy;
mod record;
mod report;
mod rules;
mod shared;
mod stage;
mod verdict;
mod view;
mod window;

pub use builder::ShadowBuilder;
pub use call::Call;
pub use control::{Reason, StageChange};
pub use difference::{Difference, DifferenceKind};
pub use either::Either;
pub use failure::Failure;
pub use policy::{Mirroring, Ramp, StepBack};
pub use report::{DifferenceReport, OldUse, OperationReport, Report, SideReport, Skipped};
pub use rules::Rules;
pub use stage::{Side, Stage};
pub use verdict::{Decision, Verdict};
pub use view::{By, Whole};

use self::call::start;
use self::shared::Core;

/// Two sides, of which one serves and the other is compared: see the [module](self).
///
/// A clone is the same shadow.
pub struct Shadow<Old, New> {
    old: Old,
    new: New,
    core: Arc<Core>,
}

/// Making one.
impl<Old, New> Shadow<Old, New> {
    /// A shadow of two sides, with the defaults: it begins with [`Stage::Off`].
    pub fn new(old: Old, new: New) -> Self {
        // The default rules have no pattern that could be wrong.
        ShadowBuilder::new(old, new).build_unchecked()
    }

    /// A shadow with other settings.
    pub fn builder(old: Old, new: New) -> ShadowBuilder<Old, New> {
        ShadowBuilder::new(old, new)
    }
}

/// Calls of two functions of a request.
impl<Old, New> Shadow<Old, New>
where
    Old: Clone + Send + Sync + 'static,
    New: Clone + Send + Sync + 'static,
{
    /// A read: it changes nothing, so that both sides may run it. The request is cloned for either.
    ///
    /// The operation, such as `issues/get`, is what reports go by; it should not have numbers or names
    /// in it.
    pub fn read<Q, F, G, T, E>(
        &self,
        operation: impl Into<Cow<'static, str>>,
        request: Q,
    ) -> Call<T, E>
    where
        Q: Clone + Send + Sync + 'static,
        Old: Fn(Q) -> F,
        New: Fn(Q) -> G,
        F: Future<Output = Result<T, E>> + Send + 'static,
        G: Future<Output = Result<T, E>> + Send + 'static,
    {
        let for_new = request.clone();
        self.read_with(operation, move |old| old(request), move |new| new(for_new))
    }

    /// A write: only the side that serves runs it.
    pub fn write<Q, F, G, T, E>(
        &self,
        operation: impl Into<Cow<'static, str>>,
        request: Q,
    ) -> Call<T, E>
    where
        Q: Clone + Send + Sync + 'static,
        Old: Fn(Q) -> F,
        New: Fn(Q) -> G,
        F: Future<Output = Result<T, E>> + Send + 'static,
        G: Future<Output = Result<T, E>> + Send + 'static,
    {
        let for_new = request.clone();
        self.write_with(operation, move |old| old(request), move |new| new(for_new))
    }
}

/// Calls of two clients, or whatever the sides are.
impl<Old, New> Shadow<Old, New>
where
    Old: Clone + Send + Sync + 'static,
    New: Clone + Send + Sync + 'static,
{
    /// A read, said for each side: see [`read`](Self::read).
    ///
    /// Both give the same type, which is the application's own, the new side's, or
    /// [`Either`]. A closure is called again if the old side is fallen back to, so that it has to be
    /// [`Clone`]: as what it captures is.
    ///
    /// ```
    /// # struct Old;
    /// # impl Old { async fn issue(&self, _: u32) -> octowire::Result<String> { Ok(String::new()) } }
    /// # #[cfg(feature = "issues")]
    /// # async fn example(old: std::sync::Arc<Old>, github: octowire::Client) -> octowire::Result<()> {
    /// use octowire::shadow::Shadow;
    ///
    /// let shadow = Shadow::new(old, github);
    /// let title = shadow
    ///     .read_with(
    ///         "issues/get",
    ///         |old| async move { old.issue(7).await },
    ///         |github| async move {
    ///             let issue = github.issues().get().owner("acme").repo("rocket").issue_number(7);
    ///             Ok(issue.send().await?.into_inner().title)
    ///         },
    ///     )
    ///     .key("acme/rocket")
    ///     .run()
    ///     .await?;
    /// # let _ = title;
    /// # Ok(())
    /// # }
    /// ```
    pub fn read_with<F, G, T, E>(
        &self,
        operation: impl Into<Cow<'static, str>>,
        old: impl FnOnce(Old) -> F + Clone + Send + Sync + 'static,
        new: impl FnOnce(New) -> G + Clone + Send + Sync + 'static,
    ) -> Call<T, E>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        G: Future<Output = Result<T, E>> + Send + 'static,
    {
        let (old, new) = (start(self.old.clone(), old), start(self.new.clone(), new));
        Call::new(Arc::clone(&self.core), operation.into(), false, old, new)
    }

    /// A write, said for each side: see [`write`](Self::write).
    pub fn write_with<F, G, T, E>(
        &self,
        operation: impl Into<Cow<'static, str>>,
        old: impl FnOnce(Old) -> F + Clone + Send + Sync + 'static,
        new: impl FnOnce(New) -> G + Clone + Send + Sync + 'static,
    ) -> Call<T, E>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        G: Future<Output = Result<T, E>> + Send + 'static,
    {
        let (old, new) = (start(self.old.clone(), old), start(self.new.clone(), new));
        Call::new(Arc::clone(&self.core), operation.into(), true, old, new)
    }
}

/// Calls of two clients of one type, such as one of a GitHub Enterprise Server that is moved to
/// another address.
impl<C: Clone + Send + Sync + 'static> Shadow<C, C> {
    /// A read, said once for both sides: see [`read`](Self::read).
    ///
    /// ```
    /// # #[cfg(feature = "issues")]
    /// # async fn example(old: octowire::Client, new: octowire::Client) -> octowire::Result<()> {
    /// use octowire::shadow::Shadow;
    ///
    /// let shadow = Shadow::new(old, new);
    /// let issue = shadow
    ///     .read_each("issues/get", |github| async move {
    ///         let issue = github.issues().get().owner("acme").repo("rocket").issue_number(7);
    ///         issue.send().await.map(octowire::Response::into_inner)
    ///     })
    ///     .key("acme/rocket")
    ///     .run()
    ///     .await?;
    /// println!("{}", issue.title);
    /// # Ok(())
    /// # }
    /// ```
    pub fn read_each<F, T, E>(
        &self,
        operation: impl Into<Cow<'static, str>>,
        call: impl FnOnce(C) -> F + Clone + Send + Sync + 'static,
    ) -> Call<T, E>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.read_with(operation, call.clone(), call)
    }

    /// A write, said once for both sides: see [`write`](Self::write).
    pub fn write_each<F, T, E>(
        &self,
        operation: impl Into<Cow<'static, str>>,
        call: impl FnOnce(C) -> F + Clone + Send + Sync + 'static,
    ) -> Call<T, E>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.write_with(operation, call.clone(), call)
    }
}

/// How far it is.
impl<Old, New> Shadow<Old, New> {
    /// The stage.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.core.stage()
    }

    /// Says what the stage is, from the next call on, whatever it was: it also takes back a step back.
    /// What is out of its range is put into it. Calls that are under way end as they were begun, and what
    /// they find out counts for the report alone. The same stage again changes nothing.
    pub fn set_stage(&self, stage: Stage) {
        self.core.set_stage(stage);
    }

    /// Begins the stage anew, after something was mended: what was found out so far counts for the report
    /// alone.
    pub fn restart_stage(&self) {
        self.core.restart_stage();
    }

    /// Which side serves the calls of a key now.
    #[must_use]
    pub fn serves(&self, key: impl AsRef<[u8]>) -> Side {
        self.core.stage().serves(self.core.place(key.as_ref()))
    }

    /// What was found out so far. It takes a lock for some microseconds an operation.
    #[must_use]
    pub fn report(&self) -> Report {
        report::report(&self.core)
    }

    /// Waits until what is mirrored is compared, so that a report has it: at most
    /// [`Mirroring::timeout`] and the time of the calls that are under way. Nothing else is mirrored
    /// meanwhile.
    pub async fn settled(&self) {
        // It is 1,000 at most.
        let all = u32::try_from(self.core.settings.mirroring.concurrency).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        let _ = self.core.permits.acquire_many(all).await;
    }
}

impl<Old: Clone, New: Clone> Clone for Shadow<Old, New> {
    fn clone(&self) -> Self {
        Self { old: self.old.clone(), new: self.new.clone(), core: Arc::clone(&self.core) }
    }
}

impl<Old, New> fmt::Debug for Shadow<Old, New> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shadow").field("stage", &self.core.stage()).finish_non_exhaustive()
    }
}
