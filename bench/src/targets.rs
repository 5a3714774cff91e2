//! The targets, and the recorded figures beside them.

use std::fmt::Write;

use crate::Result;
use crate::tables::{figure, section};

use Bound::{AtLeast, AtMost};

/// The bound of a figure.
#[derive(Clone, Copy, Debug)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    fn is_met(self, figure: f64) -> bool {
        match self {
            AtMost(bound) => figure <= bound,
            AtLeast(bound) => figure >= bound,
        }
    }
}

/// A target: its name, its bound, and the section, row and column of the figure.
type Target = (&'static str, Bound, &'static str, &'static [&'static str], &'static str);

const TARGETS: &[Target] = &[
    (
        "instructions of a call, 1 KB, of bare",
        AtMost(1.03),
        "calls",
        &["1 KB", "octowire"],
        "instructions, of bare",
    ),
    ("CPU of a call, 1 KB, of bare", AtMost(1.05), "calls", &["1 KB", "octowire"], "CPU, of bare"),
    (
        "CPU of a call, 10 KB, of bare",
        AtMost(1.05),
        "calls",
        &["10 KB", "octowire"],
        "CPU, of bare",
    ),
    (
        "CPU of a call of a process, 1 KB, of bare",
        AtMost(1.05),
        "pairs",
        &["1 KB", "octowire"],
        "CPU, of bare",
    ),
    (
        "CPU of a call of a process, 10 KB, of bare",
        AtMost(1.05),
        "pairs",
        &["10 KB", "octowire"],
        "CPU, of bare",
    ),
    (
        "CPU of a call of a process, 260 KB, of bare",
        AtMost(1.05),
        "pairs",
        &["260 KB", "octowire"],
        "CPU, of bare",
    ),
    (
        "calls per second, 1 KB, 1 caller, of bare",
        AtLeast(0.95),
        "calls",
        &["1 KB", "octowire"],
        "1, of bare",
    ),
    (
        "calls per second, 1 KB, 16 callers, of bare",
        AtLeast(0.95),
        "calls",
        &["1 KB", "octowire"],
        "16, of bare",
    ),
    (
        "calls per second, 1 KB, 64 callers, of bare",
        AtLeast(0.95),
        "calls",
        &["1 KB", "octowire"],
        "64, of bare",
    ),
    (
        "p99 latency, 64 callers, of bare",
        AtMost(1.05),
        "latency",
        &["64", "octowire"],
        "p99, of bare",
    ),
    (
        "future of `send()`, bytes",
        AtMost(1024.0),
        "futures",
        &["`send()` of an operation"],
        "size, bytes",
    ),
    ("`build()` and first call, CPU, of bare", AtMost(1.1), "cold", &["octowire"], "both, of bare"),
    ("a memory-cache hit, 1 KB, of decoding", AtMost(1.3), "cache", &["1 KB"], "of decoding"),
    ("a memory-cache hit, 10 KB, of decoding", AtMost(1.1), "cache", &["10 KB"], "of decoding"),
    ("a 304, 260 KB, beyond bare, µs", AtMost(10.0), "cache", &["260 KB"], "more"),
    (
        "100 pages of 10, 4 ahead, of sequential",
        AtMost(0.27),
        "pages",
        &["10", "4"],
        "of sequential",
    ),
    (
        "100 pages of 10, 10 ahead, of sequential",
        AtMost(0.12),
        "pages",
        &["10", "10"],
        "of sequential",
    ),
    (
        "1,000,000 items, peak beyond 1,000 items, KB",
        AtMost(1000.0),
        "memory",
        &["none"],
        "more, KB",
    ),
    ("a handle before its first call, bytes", AtMost(2048.0), "memory", &["100000"], "bytes each"),
    ("a handle after its first call, bytes", AtMost(2048.0), "memory", &["10000"], "bytes each"),
    ("a cached token, ns", AtMost(200.0), "auth", &["one task"], "ns"),
    ("admission, ns", AtMost(1000.0), "limits", &["one task"], "ns"),
    ("a webhook decoded, of octocrab", AtMost(0.25), "webhooks", &["octowire"], "of octocrab"),
    (
        "webhooks received, of axum with a bare HMAC",
        AtLeast(0.9),
        "webhooks",
        &["octowire's receiver"],
        "of axum, verifying",
    ),
    ("telemetry without a subscriber, ns", AtMost(300.0), "telemetry", &["no subscriber"], "ns"),
    (
        "telemetry with a log and a recorder, ns",
        AtMost(5000.0),
        "telemetry",
        &["a log at INFO, and the recorder"],
        "ns",
    ),
    (
        "admissions per second, 2 tasks",
        AtLeast(1_000_000.0),
        "limits",
        &["2 concurrent tasks, one identity"],
        "per second",
    ),
];

/// The allocations of a call beyond bare reqwest, which are the difference of two figures.
const MORE_ALLOCATIONS: Bound = AtMost(3.0);

pub fn table(bench: &str) -> Result<String> {
    let mut text = "| figure | target | measured | |\n|---|--:|--:|---|\n".to_owned();
    let calls = section(bench, "calls")?;
    let allocations = |client| {
        figure(calls, &["1 KB", client], "allocations").and_then(|count| count.parse::<f64>().ok())
    };
    for (name, bound, from, cells, column) in TARGETS {
        let measured = figure(section(bench, from)?, cells, column);
        row(&mut text, name, *bound, measured)?;
    }
    let more = allocations("octowire").zip(allocations("bare reqwest + serde_json"));
    let more = more.map(|(octowire, bare)| format!("{:.1}", octowire - bare));
    row(&mut text, "allocations of a call, 1 KB, beyond bare", MORE_ALLOCATIONS, more.as_deref())?;
    let mut least: Option<f64> = None;
    for body in ["1 KB", "10 KB", "260 KB"] {
        for callers in ["1", "16", "64"] {
            let rate =
                |client| -> Option<f64> { figure(calls, &[body, client], callers)?.parse().ok() };
            let ratio = rate("octowire").zip(rate("octocrab"));
            let ratio = ratio.map(|(octowire, octocrab)| octowire / octocrab);
            least = [least, ratio].into_iter().flatten().reduce(f64::min);
        }
    }
    let least = least.map(|least| format!("{least:.2}"));
    row(&mut text, "calls per second, of octocrab, the least", AtLeast(1.0), least.as_deref())?;
    Ok(text)
}

fn row(text: &mut String, name: &str, bound: Bound, measured: Option<&str>) -> Result<()> {
    let target = match bound {
        AtMost(bound) => format!("≤ {bound}"),
        AtLeast(bound) => format!("≥ {bound}"),
    };
    let result = match measured.map(str::parse) {
        Some(Ok(figure)) if bound.is_met(figure) => "met",
        Some(Ok(_)) => "missed",
        _ => "",
    };
    Ok(writeln!(text, "| {name} | {target} | {} | {result} |", measured.unwrap_or("–"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_compared_with_its_bound() {
        let line = |bound, measured| {
            let mut text = String::new();
            row(&mut text, "name", bound, measured).expect("a row");
            text
        };
        assert_eq!(line(AtMost(1.05), Some("1.05")), "| name | ≤ 1.05 | 1.05 | met |\n");
        assert_eq!(line(AtMost(1.05), Some("1.06")), "| name | ≤ 1.05 | 1.06 | missed |\n");
        assert_eq!(line(AtLeast(0.9), Some("0.89")), "| name | ≥ 0.9 | 0.89 | missed |\n");
        assert_eq!(line(AtLeast(0.9), None), "| name | ≥ 0.9 | – |  |\n");
    }
}
