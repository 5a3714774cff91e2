//! The measurements, as Markdown.

use std::fmt;
use std::process::Command;

use crate::allocations::Allocations;
use crate::bodies::Body;
use crate::calls::CALLERS;
use crate::clients::Entry;
use crate::measure::Summary;

#[derive(Debug)]
pub struct Report {
    rounds: usize,
    pub costs: Vec<Costs>,
    pub rates: Vec<Rates>,
}

/// The cost of a call for this body, for each client.
#[derive(Debug)]
pub struct Costs {
    pub body: Body,
    pub clients: Vec<Cost>,
}

#[derive(Debug)]
pub struct Cost {
    pub name: &'static str,
    /// Seconds per call, one sample per round.
    pub cpu: Vec<f64>,
    pub allocations: Allocations,
    pub counted_calls: u64,
    pub instructions: Option<f64>,
}

/// The calls per second for this body: for each client and concurrency, one sample per round.
#[derive(Debug)]
pub struct Rates {
    pub body: Body,
    pub clients: Vec<(&'static str, Vec<Vec<f64>>)>,
}

impl Report {
    pub fn new(rounds: usize) -> Self {
        Self { rounds, costs: Vec::new(), rates: Vec::new() }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", header(&format!("{} rounds", self.rounds)))?;

        writeln!(f, "Cost of a call:\n")?;
        writeln!(
            f,
            "| body | client | CPU, µs | CPU, of bare | instructions, thousands \
             | instructions, of bare | allocations | allocated, KB |"
        )?;
        writeln!(f, "|---|---|--:|--:|--:|--:|--:|--:|")?;
        for costs in &self.costs {
            let base = &costs.clients[Entry::BASE];
            for cost in &costs.clients {
                let cpu = Summary::of(cost.cpu.clone());
                let of_base = Summary::of_ratios(&cost.cpu, &base.cpu);
                let calls = cost.counted_calls as f64;
                writeln!(
                    f,
                    "| {} | {} | {:.1} ± {:.0} % | {:.3} ± {:.1} % | {} | {} | {:.1} | {:.1} |",
                    costs.body.name(),
                    cost.name,
                    cpu.median * 1e6,
                    cpu.spread * 100.0,
                    of_base.median,
                    of_base.spread * 100.0,
                    or_not(cost.instructions.map(|count| format!("{:.1}", count / 1e3))),
                    or_not(ratio(cost.instructions, base.instructions)),
                    cost.allocations.calls as f64 / calls,
                    cost.allocations.bytes as f64 / calls / 1e3,
                )?;
            }
        }

        writeln!(f, "\nCalls per second, by concurrency:\n")?;
        write!(f, "| body | client |")?;
        for callers in CALLERS {
            write!(f, " {callers} | {callers}, of bare |")?;
        }
        writeln!(f, "\n|---|---|{}", "--:|--:|".repeat(CALLERS.len()))?;
        for rates in &self.rates {
            let (_, base) = &rates.clients[Entry::BASE];
            for (name, levels) in &rates.clients {
                write!(f, "| {} | {name} |", rates.body.name())?;
                for (samples, base) in levels.iter().zip(base) {
                    let rate = Summary::of(samples.clone());
                    let of_base = Summary::of_ratios(samples, base);
                    let (rate, spread) = (rate.median, rate.spread * 100.0);
                    write!(f, " {rate:.0} ± {spread:.0} % | {:.2} |", of_base.median)?;
                }
                writeln!(f)?;
            }
        }
        Ok(())
    }
}

fn ratio(count: Option<f64>, base: Option<f64>) -> Option<String> {
    Some(format!("{:.3}", count? / base?))
}

fn or_not(shown: Option<String>) -> String {
    shown.unwrap_or_else(|| "n/a".to_owned())
}

/// The first line of a measurement: its day, machine, versions and size.
pub fn header(size: &str) -> String {
    format!("Last run, on {}: {}; {size}.\n", today(), machine())
}

/// Today's date in UTC, as `24 November 2026`.
pub fn today() -> String {
    chrono::Utc::now().format("%-d %B %Y").to_string()
}

/// The version of the compiler in the path, which is the one that builds the benchmark.
pub fn compiler() -> String {
    let version = Command::new("rustc").arg("--version").output().ok();
    let version = version.and_then(|output| String::from_utf8(output.stdout).ok());
    let version = version.as_deref().and_then(|version| version.split(' ').nth(1));
    format!("rustc {}", version.unwrap_or("?").trim())
}

/// The machine and the compared versions.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let processor = std::fs::read_to_string("/proc/cpuinfo").ok();
    let processor = processor.as_deref().and_then(|info| {
        let line = info.lines().find(|line| line.starts_with("model name"))?;
        line.split_once(": ").map(|(_, name)| name)
    });
    let lock = lock();
    format!(
        "{} cores of {}, {}; {}, reqwest {}, serde_json {}, octocrab {}",
        cores,
        processor.unwrap_or(std::env::consts::ARCH),
        std::env::consts::OS,
        compiler(),
        version(&lock, "reqwest"),
        version(&lock, "serde_json"),
        version(&lock, "octocrab"),
    )
}

/// The version of a package in this build.
pub fn locked_version(package: &str) -> String {
    version(&lock(), package).to_owned()
}

fn lock() -> String {
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock");
    std::fs::read_to_string(lock).unwrap_or_default()
}

/// The version of a package, from the lock file.
fn version<'a>(lock: &'a str, package: &str) -> &'a str {
    let entry = lock.split_once(&format!("name = \"{package}\"\nversion = \""));
    entry.and_then(|(_, rest)| rest.split('"').next()).unwrap_or("?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_packages_own() {
        let lock =
            "name = \"serde\"\nversion = \"1.0.1\"\n\nname = \"serde_json\"\nversion = \"2\"\n";
        assert_eq!(version(lock, "serde"), "1.0.1");
        assert_eq!(version(lock, "serde_json"), "2");
        assert_eq!(version(lock, "other"), "?");
    }
}
