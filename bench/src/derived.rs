//! The tables of other documents, derived from the sections of `bench/README.md`.

use std::fmt::Write;

use crate::Result;
use crate::tables::{day, figure, section, size};

/// From the text of `bench/README.md` to a table.
type Derive = fn(&str) -> Result<String>;

/// A document, its section, and the table of that section.
pub const TABLES: [(&str, &str, Derive); 2] =
    [("README.md", "comparison", comparison), ("docs/guide/cost.md", "calls", calls)];

/// The columns of the comparison: names in the document and in the measurements.
const CLIENTS: [(&str, &str); 5] = [
    ("Octowire", "octowire"),
    ("octocrab", "octocrab"),
    ("octokit.js", "octokit.js"),
    ("githubkit", "githubkit"),
    ("PyGithub", "PyGithub"),
];

/// A row of the comparison: its name, its section, the cells before the client, and the column.
const ROWS: [(&str, &str, &[&str], &str); 11] = [
    ("CPU time of a call of 1 KB, of bare reqwest", "calls", &["1 KB"], "CPU, of bare"),
    ("CPU time of a call of 10 KB, of bare reqwest", "calls", &["10 KB"], "CPU, of bare"),
    ("CPU time of a call of 260 KB, of bare reqwest", "calls", &["260 KB"], "CPU, of bare"),
    ("CPU time of a call of 1 KB, µs", "peers", &[], "CPU of a call of 1 KB, µs"),
    ("Calls of 1 KB per second, one after another", "peers", &["1 KB"], "1"),
    ("Calls of 10 KB per second, 16 concurrent", "peers", &["10 KB"], "16"),
    ("Calls of 10 KB per second, 64 concurrent", "peers", &["10 KB"], "64"),
    ("Calls of 260 KB per second, 16 concurrent", "peers", &["260 KB"], "16"),
    ("Peak memory of the process, MB", "peers", &[], "peak memory, MB"),
    ("From the start of the process to the first response, ms", "peers", &[], "first response, ms"),
    ("Published webhook payloads decoded", "webhooks", &[], "published payloads, of 329"),
];

fn comparison(bench: &str) -> Result<String> {
    let peers = section(bench, "peers")?;
    let mut runs = Vec::new();
    for name in ["calls", "peers", "webhooks"] {
        let recorded = section(bench, name)?;
        if let (Some(day), Some(size)) = (day(recorded), size(recorded)) {
            runs.push(format!("{name} on {day}, {size}"));
        }
    }
    let mut text = format!("Measured: {}.\n\n| |", runs.join("; "));
    for (name, client) in CLIENTS {
        let version = figure(peers, &[client], "version");
        // Octowire's is this one, and a client that is not installed has a reason in its place.
        let version =
            version.filter(|version| version.starts_with(|first: char| first.is_ascii_digit()));
        match version.filter(|_| client != "octowire") {
            Some(version) => write!(text, " {name} {version} |")?,
            None => write!(text, " {name} |")?,
        }
    }
    writeln!(text, "\n|---|{}", "--:|".repeat(CLIENTS.len()))?;
    for (row, from, cells, column) in ROWS {
        write!(text, "| {row} |")?;
        let from = section(bench, from)?;
        for (_, client) in CLIENTS {
            let cells = [cells, &[client]].concat();
            write!(text, " {} |", figure(from, &cells, column).unwrap_or("–"))?;
        }
        text.push('\n');
    }
    Ok(text)
}

fn calls(bench: &str) -> Result<String> {
    let calls = section(bench, "calls")?;
    let day = day(calls).ok_or("the calls have no day")?;
    let mut text = format!(
        "Measured on {day}:\n\n\
         | body | octowire: CPU | instructions | octocrab: CPU | instructions | octowire: calls/s | octocrab |\n\
         |---|--:|--:|--:|--:|--:|--:|\n"
    );
    for body in ["1 KB", "10 KB", "260 KB"] {
        let of = |client, column| figure(calls, &[body, client], column).unwrap_or("–");
        let ratios = |client| {
            format!("{} | {}", of(client, "CPU, of bare"), of(client, "instructions, of bare"))
        };
        writeln!(
            text,
            "| {body} | {} | {} | {} | {} |",
            ratios("octowire"),
            ratios("octocrab"),
            of("octowire", "16"),
            of("octocrab", "16")
        )?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_figures_are_dashes() {
        let bench = "<!-- measured: peers -->\nLast run, on 1 May 2026: m.\n\n\
            | client | version | first response, ms |\n|---|---|--:|\n| octowire | 0.1.0 | 5.0 ± 1 % |\n\
            | octokit.js | not installed: no npm | | |\n| githubkit | 0.16.1 | 700.1 ± 3 % |\n<!-- /measured -->\n\
            <!-- measured: calls -->\n<!-- /measured -->\n<!-- measured: webhooks -->\n<!-- /measured -->\n";
        let table = comparison(bench).expect("a table");
        assert!(
            table.contains("| Octowire | octocrab | octokit.js | githubkit 0.16.1 |"),
            "{table}"
        );
        assert!(table.contains("first response, ms | 5.0 | – | – | 700.1 | – |"), "{table}");
    }
}
