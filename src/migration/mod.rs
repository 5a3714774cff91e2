//! Gradual migration of an application from an existing integration to this one.
//!
//! A [`Migration`] is placed between an application and two sides, the legacy integration and the new one: any two
//! clients, or any two asynchronous functions. One side serves each call. Some of the *reads* also run on the other
//! side, and the two results are compared.
//!
//! | stage | serves | compared |
//! |---|---|---|
//! | [`Off`](Stage::Off) | legacy | nothing |
//! | [`Mirror`](Stage::Mirror) | legacy | a share of the reads, on the new side |
//! | [`Shift`](Stage::Shift) | new for some of the keys, legacy for the others | a share of the reads, on the other side |
//! | [`Cutover`](Stage::Cutover) | new | nothing |
//!
//! ```
//! use octowire::migration::{ComparisonRules, Migration, Stage};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> octowire::Result<()> {
//! // The existing integration, and the new one: any functions of a request.
//! let old = |number: u64| async move { Ok::<_, octowire::Error>(format!("issue {number}")) };
//! let new = |number: u64| async move { Ok::<_, octowire::Error>(format!("Issue {number}")) };
//!
//! let migration = Migration::builder(old, new)
//!     .stage(Stage::Mirror { share: 1.0 })
//!     .rules(ComparisonRules::default().ignore("$..node_id"))
//!     .build()?;
//! assert_eq!(migration.read("issues/get", 7).key("acme/rocket").run().await?, "issue 7");
//!
//! migration.drain().await;
//! let report = migration.report();
//! assert_eq!(report.operations[0].mismatched, 1);
//! println!("{report}");
//! # Ok(())
//! # }
//! ```
//!
//! # Guarantees
//!
//! - *Failures and delays of the other side do not affect calls.* The other side runs in a task of its own, with a time
//!   limit and a bounded number of tasks ([`MirrorConfig`]); its errors, panics and delays are only counted. It shares the
//!   runtime: a function that blocks its thread delays other tasks on it. Comparisons run on tokio's blocking threads.
//!   The path of a call contains only the decision (a short lock), the start of a task, and a clone of the response if
//!   it is mirrored; [`ShadowedCall::project`] takes less than a clone.
//! - *Writes are never repeated.* A write runs on the serving side, and is compared only if a [dry
//!   run](ShadowedCall::dry_run_new) is set. It is not repeated on the other side if it fails.
//! - *Responses are not disclosed.* Reports and logs (`tracing`) contain JSON paths and kinds of difference; values
//!   only with [`ComparisonRules::include_values`].
//!
//! # Shifting
//!
//! A key, such as a repository, is served by one side, the same in each process, and raising the percentage moves no
//! key back. [`Migration::set_stage`] changes the stage manually, a [`RolloutSchedule`] automatically. When the new side fails too
//! often, differs too often or is too slow, the stage is rolled back: see [`RollbackPolicy`], also for the delay. A read that
//! the new side fails to serve is served by the legacy side: see [`MirrorConfig::fallback`].
//!
//! Each process has its own stage. In a fleet, [`MigrationBuilder::on_change`] reports a rollback, and
//! [`Migration::set_stage`] applies it in the other processes.
//!
//! # Costs
//!
//! A mirrored read is two reads: it counts twice against the rate limit, if both sides are the same identity. A migration
//! takes about 100 KB, and each operation 5 KB plus its recorded differences: at most 100 JSON paths of 200 operations;
//! further ones are counted together. Each mirrored call holds two responses until they are compared.

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

pub use builder::MigrationBuilder;
pub use call::ShadowedCall;
pub use control::{StageChange, StageChangeReason};
pub use difference::{Difference, DifferenceKind};
pub use either::Either;
pub use failure::Failure;
pub use policy::{MirrorConfig, RollbackPolicy, RolloutSchedule};
pub use report::{
    DifferenceReport, LegacyUsage, MigrationReport, OperationReport, SideReport, SkippedMirrors,
};
pub use rules::ComparisonRules;
pub use stage::{Side, Stage};
pub use verdict::{NextStep, Recommendation};
pub use view::{FullResponse, Projection};

use self::call::start;
use self::shared::MigrationInner;

/// Two sides: one serves each call, and the other is compared. See the [module](self).
///
/// A clone shares the same state.
pub struct Migration<Old, New> {
    old: Old,
    new: New,
    inner: Arc<MigrationInner>,
}

/// Constructors.
impl<Old, New> Migration<Old, New> {
    /// Creates a migration of two sides, with the defaults: it begins with [`Stage::Off`].
    pub fn new(old: Old, new: New) -> Self {
        // The default rules contain no invalid pattern.
        MigrationBuilder::new(old, new).build_unchecked()
    }

    /// Returns a builder of a migration with other settings.
    pub fn builder(old: Old, new: New) -> MigrationBuilder<Old, New> {
        MigrationBuilder::new(old, new)
    }
}

/// Calls of two functions of a request.
impl<Old, New> Migration<Old, New>
where
    Old: Clone + Send + Sync + 'static,
    New: Clone + Send + Sync + 'static,
{
    /// Runs a read: it changes nothing, so that both sides can run it. The request is cloned for either.
    ///
    /// The operation, such as `issues/get`, is the key of reports; it should not contain numbers or names.
    pub fn read<Q, F, G, T, E>(
        &self,
        operation: impl Into<Cow<'static, str>>,
        request: Q,
    ) -> ShadowedCall<T, E>
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

    /// Runs a write: only on the serving side.
    pub fn write<Q, F, G, T, E>(
        &self,
        operation: impl Into<Cow<'static, str>>,
        request: Q,
    ) -> ShadowedCall<T, E>
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

/// Calls of two clients, or of any two sides.
impl<Old, New> Migration<Old, New>
where
    Old: Clone + Send + Sync + 'static,
    New: Clone + Send + Sync + 'static,
{
    /// Runs a read with a closure for each side: see [`read`](Self::read).
    ///
    /// Both closures return the same type: the application's own, the new side's, or [`Either`]. A closure is called
    /// again if the call falls back to the legacy side, so it has to be [`Clone`], which it is if its captures are.
    ///
    /// ```
    /// # struct Old;
    /// # impl Old { async fn issue(&self, _: u32) -> octowire::Result<String> { Ok(String::new()) } }
    /// # #[cfg(feature = "issues")]
    /// # async fn example(old: std::sync::Arc<Old>, github: octowire::Client) -> octowire::Result<()> {
    /// use octowire::migration::Migration;
    ///
    /// let migration = Migration::new(old, github);
    /// let title = migration
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
    ) -> ShadowedCall<T, E>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        G: Future<Output = Result<T, E>> + Send + 'static,
    {
        let (old, new) = (start(self.old.clone(), old), start(self.new.clone(), new));
        ShadowedCall::new(Arc::clone(&self.inner), operation.into(), false, old, new)
    }

    /// Runs a write with a closure for each side: see [`write`](Self::write).
    pub fn write_with<F, G, T, E>(
        &self,
        operation: impl Into<Cow<'static, str>>,
        old: impl FnOnce(Old) -> F + Clone + Send + Sync + 'static,
        new: impl FnOnce(New) -> G + Clone + Send + Sync + 'static,
    ) -> ShadowedCall<T, E>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        G: Future<Output = Result<T, E>> + Send + 'static,
    {
        let (old, new) = (start(self.old.clone(), old), start(self.new.clone(), new));
        ShadowedCall::new(Arc::clone(&self.inner), operation.into(), true, old, new)
    }
}

/// Calls of two clients of one type, such as during the move of a GitHub Enterprise Server to another URL.
impl<C: Clone + Send + Sync + 'static> Migration<C, C> {
    /// Runs a read with one closure for both sides: see [`read`](Self::read).
    ///
    /// ```
    /// # #[cfg(feature = "issues")]
    /// # async fn example(old: octowire::Client, new: octowire::Client) -> octowire::Result<()> {
    /// use octowire::migration::Migration;
    ///
    /// let migration = Migration::new(old, new);
    /// let issue = migration
    ///     .read_same("issues/get", |github| async move {
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
    pub fn read_same<F, T, E>(
        &self,
        operation: impl Into<Cow<'static, str>>,
        call: impl FnOnce(C) -> F + Clone + Send + Sync + 'static,
    ) -> ShadowedCall<T, E>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.read_with(operation, call.clone(), call)
    }

    /// Runs a write with one closure for both sides: see [`write`](Self::write).
    pub fn write_same<F, T, E>(
        &self,
        operation: impl Into<Cow<'static, str>>,
        call: impl FnOnce(C) -> F + Clone + Send + Sync + 'static,
    ) -> ShadowedCall<T, E>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.write_with(operation, call.clone(), call)
    }
}

/// The stage and the report.
impl<Old, New> Migration<Old, New> {
    /// Returns the stage.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.inner.stage()
    }

    /// Sets the stage for all further calls, which also reverts a rollback. A value out of range is clamped. Calls in
    /// progress finish as they began, and their results count only for the report. Setting the same stage again has no
    /// effect.
    pub fn set_stage(&self, stage: Stage) {
        self.inner.set_stage(stage);
    }

    /// Restarts the stage, such as after a fix: earlier results count only for the report.
    pub fn restart_stage(&self) {
        self.inner.restart_stage();
    }

    /// Returns the side that serves the calls of a key now.
    #[must_use]
    pub fn serving_side(&self, key: impl AsRef<[u8]>) -> Side {
        self.inner.stage().serves(self.inner.bucket(key.as_ref()))
    }

    /// Returns the results so far. It takes a lock for some microseconds per operation.
    #[must_use]
    pub fn report(&self) -> MigrationReport {
        report::report(&self.inner)
    }

    /// Waits until all mirrored calls are compared, so that a report includes them: at most [`MirrorConfig::timeout`] and
    /// the time of the calls in progress. No further call is mirrored meanwhile.
    pub async fn drain(&self) {
        // At most 1,000.
        let all = u32::try_from(self.inner.settings.mirror.concurrency).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        let _ = self.inner.permits.acquire_many(all).await;
    }
}

impl<Old: Clone, New: Clone> Clone for Migration<Old, New> {
    fn clone(&self) -> Self {
        Self { old: self.old.clone(), new: self.new.clone(), inner: Arc::clone(&self.inner) }
    }
}

impl<Old, New> fmt::Debug for Migration<Old, New> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Migration").field("stage", &self.inner.stage()).finish_non_exhaustive()
    }
}
