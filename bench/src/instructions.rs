//! Instructions of the main paths, compared with committed ones.
//!
//! The counts depend on the compiler, and hardly on the machine. Their ratio to a call of bare reqwest, counted in the
//! same binary, depends less on the compiler, and is what is compared.

use std::fmt::Write;
use std::path::PathBuf;

use crate::bodies::Body;
use crate::callgrind::{self, FEW, MANY};
use crate::report;
use crate::server::Server;
use crate::{Error, Result};

/// The greatest difference between a measured and a committed ratio, as a part of the committed one.
const TOLERANCE: f64 = 0.02;
/// The runs of each path, of which the one with the fewest instructions counts: a response that arrives in more parts
/// only adds some.
const RUNS: usize = 3;
const RENEW: &str = "scripts/check-instructions.sh --update";

/// A path by its name, the client and body of `repeat` that take it, and the numbers of calls.
struct Path {
    name: &'static str,
    client: &'static str,
    body: Body,
    calls: (u64, u64),
}

const CALLS: (u64, u64) = (FEW, MANY);

const PATHS: [Path; 7] = [
    Path { name: "call, 1 KB", client: "octowire", body: Body::Comment, calls: CALLS },
    Path { name: "call, 10 KB", client: "octowire", body: Body::Repository, calls: CALLS },
    Path { name: "call, 260 KB", client: "octowire", body: Body::Issues, calls: CALLS },
    Path { name: "cache hit, 1 KB", client: "hit", body: Body::Comment, calls: (100, 1_100) },
    Path { name: "cached token", client: "token", body: Body::Comment, calls: (1_000, 51_000) },
    Path {
        name: "webhook decoded",
        client: "webhook-decode",
        body: Body::Comment,
        calls: (100, 1_100),
    },
    Path {
        name: "webhook received",
        client: "webhook-receive",
        body: Body::Comment,
        calls: (100, 1_100),
    },
];

/// The instructions of one path, in thousands, and their ratio to a call of bare reqwest with the same body.
#[derive(Clone, Debug, PartialEq)]
struct Count {
    path: String,
    of_bare: f64,
    thousands: f64,
}

/// Prints the counts: with `--check`, fails if they differ from the committed ones; with `--update`, commits them.
pub fn run(options: &[&str]) -> Result<()> {
    let act: fn(&[Count]) -> Result<()> = match options {
        [] => |_| Ok(()),
        ["--check"] => check,
        ["--update"] => update,
        _ => return Err(format!("unknown options: {}", options.join(" ")).into()),
    };
    let counts = measure()?;
    println!("{}", report::header(&format!("the fewest of {RUNS} runs")));
    println!("| path | instructions, thousands | of bare |\n|---|--:|--:|");
    for Count { path, of_bare, thousands } in &counts {
        println!("| {path} | {thousands:.2} | {of_bare:.4} |");
    }
    act(&counts)
}

fn measure() -> Result<Vec<Count>> {
    let server = Server::start()?;
    let count = |client: &str, body: Body, calls: (u64, u64)| {
        let mut least = f64::INFINITY;
        for run in 1..=RUNS {
            eprintln!("{client}, {}: run {run} of {RUNS}", body.name());
            let counts = callgrind::per_call(client, body, calls.0, calls.1, server.url())?;
            let counts = counts.ok_or("valgrind is not installed")?;
            least = least.min(counts.instructions);
        }
        Ok::<_, Error>(least)
    };
    let mut bases = Vec::new();
    for body in Body::ALL {
        bases.push((body, count("reqwest", body, CALLS)?));
    }
    let mut counts = Vec::new();
    for path in &PATHS {
        let base = bases.iter().find(|(body, _)| *body == path.body).ok_or("no base")?.1;
        let instructions = count(path.client, path.body, path.calls)?;
        counts.push(Count {
            path: path.name.to_owned(),
            of_bare: instructions / base,
            thousands: instructions / 1e3,
        });
    }
    Ok(counts)
}

fn committed_path() -> PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.tsv")
}

fn check(counts: &[Count]) -> Result<()> {
    let path = committed_path();
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("{}: {error}; create it with {RENEW}", path.display()))?;
    let differences = compare(&parse(&text)?, counts);
    if differences.is_empty() {
        println!("\nAll are within {:.0} % of the committed ratios.", TOLERANCE * 100.0);
        return Ok(());
    }
    let written_with = text.lines().next().unwrap_or_default().trim_start_matches("# ");
    Err(format!(
        "{}\n{written_with}; this build: {}. If the change is intended, renew the file with {RENEW}",
        differences.join("\n"),
        report::compiler()
    )
    .into())
}

fn update(counts: &[Count]) -> Result<()> {
    std::fs::write(committed_path(), render(counts)?)?;
    println!("\nWritten to {}", committed_path().display());
    Ok(())
}

/// Returns a message for each path whose ratio is not the committed one, or that only one side has.
fn compare(committed: &[Count], measured: &[Count]) -> Vec<String> {
    let named =
        |counts: &[Count], path: &str| counts.iter().find(|count| count.path == path).cloned();
    let mut differences = Vec::new();
    for count in measured {
        let Count { path, of_bare, thousands } = count;
        let Some(expected) = named(committed, path) else {
            differences.push(format!("{path}: no committed ratio; measured {of_bare:.4}"));
            continue;
        };
        let change = of_bare / expected.of_bare - 1.0;
        // A ratio that is not a number is no match either.
        if change.is_nan() || change.abs() > TOLERANCE {
            differences.push(format!(
                "{path}: committed {:.4} of bare reqwest ({:.2} thousand instructions), measured {of_bare:.4} \
                 ({thousands:.2} thousand): {:+.1} %, allowed ±{:.0} %",
                expected.of_bare,
                expected.thousands,
                change * 100.0,
                TOLERANCE * 100.0
            ));
        }
    }
    let unmeasured = committed.iter().filter(|count| named(measured, &count.path).is_none());
    differences
        .extend(unmeasured.map(|count| format!("{}: committed, but not measured", count.path)));
    differences
}

fn render(counts: &[Count]) -> Result<String> {
    let mut text = format!(
        "# written on {} with {} on {}\n# path\tof bare reqwest\tthousand instructions\n",
        report::today(),
        report::compiler(),
        std::env::consts::ARCH
    );
    for Count { path, of_bare, thousands } in counts {
        writeln!(text, "{path}\t{of_bare:.5}\t{thousands:.3}")?;
    }
    Ok(text)
}

fn parse(text: &str) -> Result<Vec<Count>> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let mut fields = line.split('\t');
            let mut next = || fields.next().ok_or_else(|| format!("not three fields: {line}"));
            let (path, of_bare, thousands) = (next()?.to_owned(), next()?, next()?);
            Ok(Count { path, of_bare: of_bare.parse()?, thousands: thousands.parse()? })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(counts: &[(&str, f64)]) -> Vec<Count> {
        let count = |(path, of_bare): &(&str, f64)| Count {
            path: (*path).to_owned(),
            of_bare: *of_bare,
            thousands: 100.0 * of_bare,
        };
        counts.iter().map(count).collect()
    }

    #[test]
    fn ratios_beyond_the_tolerance_are_differences() {
        let committed = [("call", 1.2), ("token", 0.002)];
        for (measured, differing) in [
            ([("call", 1.2), ("token", 0.002)], &[][..]),
            ([("call", 1.2239), ("token", 0.002_039)], &[]),
            ([("call", 1.1761), ("token", 0.001_961)], &[]),
            ([("call", 1.2241), ("token", 0.002)], &["call"]),
            ([("call", 1.1759), ("token", 0.002)], &["call"]),
            ([("call", 1.2), ("token", 0.002_1)], &["token"]),
            ([("call", 2.0), ("token", 0.001)], &["call", "token"]),
            ([("call", f64::NAN), ("token", 0.002)], &["call"]),
            ([("call", 1.2), ("other", 0.002)], &["other", "token"]),
        ] {
            let found = compare(&counts(&committed), &counts(&measured));
            let paths: Vec<&str> =
                found.iter().filter_map(|found| found.split(':').next()).collect();
            assert_eq!(paths, differing, "{measured:?}");
        }
    }

    #[test]
    fn a_difference_names_both_figures() {
        let found = compare(&counts(&[("call, 1 KB", 1.0)]), &counts(&[("call, 1 KB", 1.05)]));
        let [message] = found.as_slice() else { panic!("one difference: {found:?}") };
        for part in ["call, 1 KB", "1.0000", "1.0500", "100.00", "105.00", "+5.0 %", "±2 %"] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn the_file_is_read_as_it_was_written() {
        let written = counts(&[("call, 1 KB", 1.25), ("cached token", 0.5)]);
        let text = render(&written).expect("text");
        assert!(text.starts_with("# written on "), "{text}");
        assert_eq!(parse(&text).expect("the same"), written);
        assert!(parse("call\t1.2").is_err());
        assert!(parse("call\tfast\t1").is_err());
    }

    #[test]
    fn every_path_has_a_committed_ratio() {
        let text = std::fs::read_to_string(committed_path()).expect("instructions.tsv");
        let committed = parse(&text).expect("ratios");
        let committed: Vec<&str> = committed.iter().map(|count| &*count.path).collect();
        assert_eq!(committed, PATHS.map(|path| path.name));
    }
}
