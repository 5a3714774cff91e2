//! The report in readable form.

use std::fmt;
use std::time::Duration;

use super::{MigrationReport, OperationReport, SideReport};

impl fmt::Display for MigrationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "stage: {}; {}", self.stage, self.verdict)?;
        self.table(f)?;
        self.differences(f)?;
        if !self.changes.is_empty() {
            writeln!(f, "\nstage changes:")?;
        }
        for change in &self.changes {
            writeln!(f, "  after {:.1} s: {change}", change.after.as_secs_f64())?;
        }
        let used = &self.legacy_usage;
        write!(
            f,
            "\nthe legacy side served {} calls ({} writes) and mirrored {}",
            used.served, used.writes, used.mirrored
        )?;
        match used.unused_for {
            Some(time) => write!(f, ", the last {:.1} s ago", time.as_secs_f64()),
            None => Ok(()),
        }
    }
}

/// The columns for each side.
const COLUMNS: [&str; 8] =
    ["side", "served", "mirrored", "failed", "p50 ms", "p95 ms", "compared", "differ"];

impl MigrationReport {
    fn table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.operations.iter().map(|of| of.operation.chars().count());
        let width = names.max().unwrap_or(0).max("operation".len());
        write!(f, "\n{:width$}", "operation")?;
        COLUMNS.iter().try_for_each(|column| write!(f, " {column:>9}"))?;
        writeln!(f)?;
        for of in &self.operations {
            write!(f, "{:width$}", of.operation)?;
            side(f, "old", &of.old)?;
            writeln!(f, " {:>9} {:>9}", of.compared, of.mismatched)?;
            write!(f, "{:width$}", "")?;
            side(f, "new", &of.new)?;
            remarks(f, of)?;
            writeln!(f)?;
        }
        Ok(())
    }

    fn differences(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for of in self.operations.iter().filter(|of| !of.differences.is_empty()) {
            writeln!(f, "\n{} differs:", of.operation)?;
            let mut sorted: Vec<_> = of.differences.iter().collect();
            sorted.sort_by_key(|difference| std::cmp::Reverse(difference.count));
            for difference in sorted {
                let newest = &difference.newest;
                write!(f, "{:>7} × {}", difference.count, newest.pattern)?;
                writeln!(f, ": {}{}", newest.kind, Values(&newest.old, &newest.new))?;
            }
            if of.differences_dropped > 0 {
                writeln!(f, "{:>7} × at other paths", of.differences_dropped)?;
            }
        }
        Ok(())
    }
}

fn side(f: &mut fmt::Formatter<'_>, name: &str, side: &SideReport) -> fmt::Result {
    let failed = [side.timed_out, side.panicked, side.abandoned]
        .into_iter()
        .fold(side.failed, u64::saturating_add);
    write!(f, " {name:>9} {:>9} {:>9} {failed:>9}", side.served, side.mirrored)?;
    write!(f, " {:>9} {:>9}", milliseconds(side.p50), milliseconds(side.p95))
}

fn milliseconds(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| format!("{:.1}", time.as_secs_f64() * 1e3))
}

/// Rare counts, shown only if they are not zero.
fn remarks(f: &mut fmt::Formatter<'_>, of: &OperationReport) -> fmt::Result {
    let skipped = [of.skipped.abandoned, of.skipped.no_runtime]
        .into_iter()
        .fold(of.skipped.full, u64::saturating_add);
    for (count, what) in [
        (of.fallbacks, "fell back to the legacy side"),
        (skipped, "were not mirrored"),
        (of.uncompared, "could not be compared"),
    ] {
        if count > 0 {
            write!(f, "  {count} {what}")?;
        }
    }
    Ok(())
}

/// The values of both sides, if values are kept, or their failures.
struct Values<'a>(&'a Option<String>, &'a Option<String>);

impl fmt::Display for Values<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_none() && self.1.is_none() {
            return Ok(());
        }
        let [old, new] = [self.0, self.1].map(|side| side.as_deref().unwrap_or("-"));
        write!(f, " ({old} | {new})")
    }
}
