//! The report of a migration: results, differences and failures of each operation.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::control::StageChange;
use super::difference::Difference;
use super::record::{SideStats, StatsEntry};
use super::shared::{MigrationInner, State};
use super::stage::Stage;
use super::verdict::{Recommendation, recommend};

mod table;

/// The findings of a [`Migration`](super::Migration) since it was created.
///
/// Its [`Display`](std::fmt::Display) is a readable table, [`to_json`](Self::to_json) is for programs. It
/// carries no values of results unless [`ComparisonRules::include_values`](super::ComparisonRules::include_values) is set.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MigrationReport {
    /// The current stage.
    pub stage: Stage,
    /// The age of the migration.
    pub age: Duration,
    /// The findings by operation name. The 201st and further ones are combined as `(others)`.
    pub operations: Vec<OperationReport>,
    /// The last 100 changes of the stage.
    pub changes: Vec<StageChange>,
    /// Whether the legacy side is still needed.
    pub legacy_usage: LegacyUsage,
    /// The next step.
    pub verdict: Recommendation,
}

/// The findings for one operation.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OperationReport {
    /// Its name.
    pub operation: String,
    /// The legacy side.
    pub old: SideReport,
    /// The new side.
    pub new: SideReport,
    /// The number of compared calls.
    pub compared: u64,
    /// The number of those that differ.
    pub mismatched: u64,
    /// The calls that both sides ran and that could not be compared: a result was not JSON.
    pub uncompared: u64,
    /// The calls that the new side failed to serve, and that fell back to the legacy one.
    pub fallbacks: u64,
    /// The number of those that the legacy side served successfully.
    pub saved: u64,
    /// The calls that were not mirrored although their share was.
    pub skipped: SkippedMirrors,
    /// The locations of differences: at most 100.
    pub differences: Vec<DifferenceReport>,
    /// The number of differences at other locations, once 100 are known.
    pub differences_dropped: u64,
}

/// The calls of one side of an operation. Latencies are within 3.2 %, for calls that ended by themselves,
/// including timeouts.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SideReport {
    /// The calls that it served, including fallbacks.
    pub served: u64,
    /// The number of writes among them.
    pub writes: u64,
    /// The calls that it ran in addition to the other side.
    pub mirrored: u64,
    /// The calls that ended with an error that is a [valid result](super::Failure::expected).
    pub expected_errors: u64,
    /// The calls that failed.
    pub failed: u64,
    /// The calls that exceeded their timeout.
    pub timed_out: u64,
    /// The calls that panicked.
    pub panicked: u64,
    /// The calls that it served and that their caller gave up.
    pub abandoned: u64,
    /// The median latency; `None` without a call, as for those below.
    pub p50: Option<Duration>,
    /// The 95th percentile.
    pub p95: Option<Duration>,
    /// The 99th percentile.
    pub p99: Option<Duration>,
    /// The longest latency.
    pub max_latency: Option<Duration>,
}

/// The reasons why calls were not mirrored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SkippedMirrors {
    /// The [maximum number](super::MirrorConfig::concurrency) of calls was already mirrored.
    pub full: u64,
    /// The caller gave the call up.
    pub abandoned: u64,
    /// There was no tokio runtime.
    pub no_runtime: u64,
}

/// A location at which results differ, independent of the indices in its path.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DifferenceReport {
    /// The number of occurrences.
    pub count: u64,
    /// The newest one.
    pub newest: Difference,
}

/// The use of the legacy side by this migration, which shows when the legacy side can be removed. In a fleet, each
/// process has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LegacyUsage {
    /// The calls that it served, including fallbacks.
    pub served: u64,
    /// The number of writes among them.
    pub writes: u64,
    /// The calls that it ran in addition to the new side.
    pub mirrored: u64,
    /// The time since its last call; `None` if it was not called.
    pub unused_for: Option<Duration>,
}

impl MigrationReport {
    /// Returns the report as JSON, with times in milliseconds and without the texts of the table.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let changes = self.changes.iter().map(|change| {
            json!({
                "from": change.from.to_string(),
                "to": change.to.to_string(),
                "reason": change.reason.to_string(),
                "trouble": change.reason.is_violation(),
                "after_ms": millis(change.after),
            })
        });
        json!({
            "stage": self.stage.to_string(),
            "age_ms": millis(self.age),
            "operations": self.operations.iter().map(operation_json).collect::<Vec<_>>(),
            "changes": changes.collect::<Vec<_>>(),
            "old_use": {
                "served": self.legacy_usage.served,
                "writes": self.legacy_usage.writes,
                "mirrored": self.legacy_usage.mirrored,
                "unused_for_ms": self.legacy_usage.unused_for.map(millis),
            },
            "verdict": {
                "decision": self.verdict.decision.to_string(),
                "reasons": self.verdict.reasons,
            },
        })
    }
}

fn millis(time: Duration) -> Value {
    // The measured unit is microseconds.
    json!((time.as_secs_f64() * 1e6).round() / 1e3)
}

fn operation_json(operation: &OperationReport) -> Value {
    let side = |side: &SideReport| {
        json!({
            "served": side.served,
            "writes": side.writes,
            "mirrored": side.mirrored,
            "expected_errors": side.expected_errors,
            "failed": side.failed,
            "timed_out": side.timed_out,
            "panicked": side.panicked,
            "abandoned": side.abandoned,
            "p50_ms": side.p50.map(millis),
            "p95_ms": side.p95.map(millis),
            "p99_ms": side.p99.map(millis),
            "longest_ms": side.max_latency.map(millis),
        })
    };
    let differences = operation
        .differences
        .iter()
        .map(|difference| json!({ "count": difference.count, "newest": difference.newest }));
    json!({
        "operation": operation.operation,
        "old": side(&operation.old),
        "new": side(&operation.new),
        "compared": operation.compared,
        "mismatched": operation.mismatched,
        "uncompared": operation.uncompared,
        "fallbacks": operation.fallbacks,
        "saved": operation.saved,
        "skipped": {
            "full": operation.skipped.full,
            "abandoned": operation.skipped.abandoned,
            "no_runtime": operation.skipped.no_runtime,
        },
        "differences": differences.collect::<Vec<_>>(),
        "differences_left_out": operation.differences_dropped,
    })
}

pub(super) fn report(core: &MigrationInner) -> MigrationReport {
    let now = Instant::now();
    let mut state = core.state();
    let State { controller: control, stats: records } = &mut *state;
    let records = records.all();
    let sum = |of: fn(&SideStats) -> u64| records.iter().map(|(_, record)| of(&record.old)).sum();
    let last = records.iter().filter_map(|(_, record)| record.old.last).max();
    MigrationReport {
        stage: control.stage(),
        age: control.age(now),
        legacy_usage: LegacyUsage {
            served: sum(|old| old.served),
            writes: sum(|old| old.writes),
            mirrored: sum(|old| old.mirrored),
            unused_for: last.map(|last| now.saturating_duration_since(last)),
        },
        operations: records.iter().map(|(name, record)| operation(name, record)).collect(),
        changes: control.changes().cloned().collect(),
        verdict: recommend(control, now),
    }
}

fn operation(name: &str, record: &StatsEntry) -> OperationReport {
    let difference = |(count, newest): &(u64, Difference)| DifferenceReport {
        count: *count,
        newest: newest.clone(),
    };
    OperationReport {
        operation: name.to_owned(),
        old: side(&record.old),
        new: side(&record.new),
        compared: record.compared,
        mismatched: record.mismatched,
        uncompared: record.uncompared,
        fallbacks: record.fallbacks,
        saved: record.saved,
        skipped: SkippedMirrors {
            full: record.full,
            abandoned: record.abandoned,
            no_runtime: record.no_runtime,
        },
        differences: record.samples.values().map(difference).collect(),
        differences_dropped: record.samples_dropped,
    }
}

fn side(record: &SideStats) -> SideReport {
    SideReport {
        served: record.served,
        writes: record.writes,
        mirrored: record.mirrored,
        expected_errors: record.errors_expected,
        failed: record.failed,
        timed_out: record.timed_out,
        panicked: record.panicked,
        abandoned: record.abandoned,
        p50: record.latency.quantile(0.5),
        p95: record.latency.quantile(0.95),
        p99: record.latency.quantile(0.99),
        max_latency: record.latency.max(),
    }
}
