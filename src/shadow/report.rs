//! What was found out.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::control::StageChange;
use super::difference::Difference;
use super::record::{Record, SideRecord};
use super::shared::{Core, State};
use super::stage::Stage;
use super::verdict::{Verdict, verdict};

mod table;

/// What a [`Shadow`](super::Shadow) has found out since it was made.
///
/// Its [`Display`](std::fmt::Display) is a table for people, [`to_json`](Self::to_json) is for programs. It
/// carries no values of answers unless [`Rules::keep_values`](super::Rules::keep_values) says so.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// The stage now.
    pub stage: Stage,
    /// For how long there is a shadow.
    pub age: Duration,
    /// By the names of the operations. The 201st and those after it are together `(others)`.
    pub operations: Vec<OperationReport>,
    /// How the stage has changed: the last 100 times.
    pub changes: Vec<StageChange>,
    /// Whether the old side is still needed.
    pub old_use: OldUse,
    /// What is to be done next.
    pub verdict: Verdict,
}

/// What was found out of an operation.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OperationReport {
    /// Its name.
    pub operation: String,
    /// The old side.
    pub old: SideReport,
    /// The new side.
    pub new: SideReport,
    /// The calls that were compared.
    pub compared: u64,
    /// Those of them that differ.
    pub mismatched: u64,
    /// The calls that both sides ran and that could not be compared: an answer was no JSON.
    pub uncompared: u64,
    /// The calls that the new side failed to serve, and the old one was asked for.
    pub fallbacks: u64,
    /// Those of them that the old one answered.
    pub saved: u64,
    /// The calls that were not mirrored, though their share was.
    pub skipped: Skipped,
    /// Where answers differ: at most 100 places.
    pub differences: Vec<DifferenceReport>,
    /// The differences at other places, when 100 were known.
    pub differences_left_out: u64,
}

/// What one side of an operation did. Latencies are within 3.2 %, of the calls that ended by themselves,
/// timeouts among them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SideReport {
    /// The calls that it served, fallbacks among them.
    pub served: u64,
    /// The writes among them.
    pub writes: u64,
    /// The calls that it ran beside the other side.
    pub mirrored: u64,
    /// The calls that ended with an error that is an [answer](super::Failure::answer).
    pub answered_with_error: u64,
    /// The calls that failed.
    pub failed: u64,
    /// The calls that took longer than they may.
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
    /// The longest.
    pub longest: Option<Duration>,
}

/// Why calls were not mirrored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// As many were mirrored as [may](super::Mirroring::concurrency).
    pub full: u64,
    /// The caller gave the call up.
    pub abandoned: u64,
    /// There was no tokio runtime.
    pub no_runtime: u64,
}

/// A place where answers differ, whatever the indices in its path.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DifferenceReport {
    /// How often.
    pub count: u64,
    /// The newest one.
    pub newest: Difference,
}

/// How much this shadow uses the old side, to know when it can be removed. In a fleet, each process has
/// one of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OldUse {
    /// The calls that it served, fallbacks among them.
    pub served: u64,
    /// The writes among them.
    pub writes: u64,
    /// The calls that it ran beside the new side.
    pub mirrored: u64,
    /// How long ago it was last called; `None` if it was not.
    pub unused_for: Option<Duration>,
}

impl Report {
    /// The report as JSON, with times in milliseconds and without the words of the table.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let changes = self.changes.iter().map(|change| {
            json!({
                "from": change.from.to_string(),
                "to": change.to.to_string(),
                "reason": change.reason.to_string(),
                "trouble": change.reason.is_trouble(),
                "after_ms": millis(change.after),
            })
        });
        json!({
            "stage": self.stage.to_string(),
            "age_ms": millis(self.age),
            "operations": self.operations.iter().map(operation_json).collect::<Vec<_>>(),
            "changes": changes.collect::<Vec<_>>(),
            "old_use": {
                "served": self.old_use.served,
                "writes": self.old_use.writes,
                "mirrored": self.old_use.mirrored,
                "unused_for_ms": self.old_use.unused_for.map(millis),
            },
            "verdict": {
                "decision": self.verdict.decision.to_string(),
                "reasons": self.verdict.reasons,
            },
        })
    }
}

fn millis(time: Duration) -> Value {
    // Microseconds are what is measured.
    json!((time.as_secs_f64() * 1e6).round() / 1e3)
}

fn operation_json(operation: &OperationReport) -> Value {
    let side = |side: &SideReport| {
        json!({
            "served": side.served,
            "writes": side.writes,
            "mirrored": side.mirrored,
            "answered_with_error": side.answered_with_error,
            "failed": side.failed,
            "timed_out": side.timed_out,
            "panicked": side.panicked,
            "abandoned": side.abandoned,
            "p50_ms": side.p50.map(millis),
            "p95_ms": side.p95.map(millis),
            "p99_ms": side.p99.map(millis),
            "longest_ms": side.longest.map(millis),
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
        "differences_left_out": operation.differences_left_out,
    })
}

pub(super) fn report(core: &Core) -> Report {
    let now = Instant::now();
    let mut state = core.state();
    let State { control, records } = &mut *state;
    let records = records.all();
    let sum = |of: fn(&SideRecord) -> u64| records.iter().map(|(_, record)| of(&record.old)).sum();
    let last = records.iter().filter_map(|(_, record)| record.old.last).max();
    Report {
        stage: control.stage(),
        age: control.age(now),
        old_use: OldUse {
            served: sum(|old| old.served),
            writes: sum(|old| old.writes),
            mirrored: sum(|old| old.mirrored),
            unused_for: last.map(|last| now.saturating_duration_since(last)),
        },
        operations: records.iter().map(|(name, record)| operation(name, record)).collect(),
        changes: control.changes().cloned().collect(),
        verdict: verdict(control, now),
    }
}

fn operation(name: &str, record: &Record) -> OperationReport {
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
        skipped: Skipped {
            full: record.full,
            abandoned: record.abandoned,
            no_runtime: record.no_runtime,
        },
        differences: record.samples.values().map(difference).collect(),
        differences_left_out: record.left_out,
    }
}

fn side(record: &SideRecord) -> SideReport {
    SideReport {
        served: record.served,
        writes: record.writes,
        mirrored: record.mirrored,
        answered_with_error: record.answers,
        failed: record.failed,
        timed_out: record.timed_out,
        panicked: record.panicked,
        abandoned: record.abandoned,
        p50: record.latency.quantile(0.5),
        p95: record.latency.quantile(0.95),
        p99: record.latency.quantile(0.99),
        longest: record.latency.longest(),
    }
}
