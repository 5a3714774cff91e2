//! Instructions and cache misses, counted by valgrind's callgrind: in user mode, exactly, and on machines without
//! access to performance counters.

use std::io::ErrorKind;
use std::process::Command;

use crate::Result;
use crate::bodies::Body;

/// Numbers of calls whose other costs are the same, and cancel out.
pub const FEW: u64 = 20;
pub const MANY: u64 = 120;

/// The counts of a process, or of a call. The misses are those of a simulated cache, and 0 without it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    pub instructions: f64,
    /// Instruction fetches that missed the first level.
    pub i1_misses: f64,
    /// Data accesses that missed the first level.
    pub d1_misses: f64,
    /// Accesses that missed the last level.
    pub ll_misses: f64,
}

/// The counts of one call of `repeat`; `None` if there is no valgrind.
pub fn per_call(
    client: &str,
    body: Body,
    few: u64,
    many: u64,
    url: &str,
) -> Result<Option<Counts>> {
    difference(client, body, few, many, url, &[])
}

/// The counts of one call of `repeat`, with those of a simulated cache.
pub fn per_call_with_cache(client: &str, body: Body, url: &str) -> Result<Option<Counts>> {
    difference(client, body, FEW, MANY, url, &["--cache-sim=yes"])
}

fn difference(
    client: &str,
    body: Body,
    few: u64,
    many: u64,
    url: &str,
    options: &[&str],
) -> Result<Option<Counts>> {
    let run = |calls: u64| count(&["repeat", client, body.key(), &calls.to_string(), url], options);
    let (Some(less), Some(more)) = (run(few)?, run(many)?) else { return Ok(None) };
    let each = |count: fn(&Counts) -> f64| (count(&more) - count(&less)) / (many - few) as f64;
    Ok(Some(Counts {
        instructions: each(|counts| counts.instructions),
        i1_misses: each(|counts| counts.i1_misses),
        d1_misses: each(|counts| counts.d1_misses),
        ll_misses: each(|counts| counts.ll_misses),
    }))
}

/// The instructions of this program with these arguments; `None` if there is no valgrind.
pub fn instructions(arguments: &[&str]) -> Result<Option<u64>> {
    Ok(count(arguments, &[])?.map(|counts| counts.instructions as u64))
}

fn count(arguments: &[&str], options: &[&str]) -> Result<Option<Counts>> {
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(options)
        .arg(std::env::current_exe()?)
        .args(arguments)
        .output();
    let run = match run {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        run => run?,
    };
    let said = String::from_utf8_lossy(&run.stderr);
    match counts(&said) {
        Some(counts) if run.status.success() => Ok(Some(counts)),
        _ => Err(format!("callgrind: {}: {said}", run.status).into()),
    }
}

/// The counts in callgrind's closing words: `==123== Collected : 4567 89`, and `==123== D1  misses:  1,234 (…)`.
fn counts(said: &str) -> Option<Counts> {
    let (_, collected) = said.lines().find_map(|line| line.split_once("Collected :"))?;
    let misses = |cache: &str| {
        let line = said.lines().find_map(|line| {
            let (name, count) = line.split_once(" misses:")?;
            (name.split_whitespace().last()? == cache).then_some(count)
        });
        let count = line.and_then(|count| count.split_whitespace().next());
        count.and_then(|count| count.replace(',', "").parse().ok()).unwrap_or_default()
    };
    Some(Counts {
        instructions: collected.split_whitespace().next()?.parse().ok()?,
        i1_misses: misses("I1"),
        d1_misses: misses("D1"),
        ll_misses: misses("LL"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instructions_are_found() {
        let counted = counts("==7== Events    : Ir\n==7== Collected : 4567\n==7== \n");
        let expected = Counts { instructions: 4567.0, ..Counts::default() };
        assert_eq!(counted, Some(expected));
        assert_eq!(counts("==7== Events    : Ir\n"), None);
    }

    #[test]
    fn the_misses_of_the_simulated_cache_are_found() {
        let said = "\
            ==7== Events    : Ir Dr Dw I1mr D1mr D1mw ILmr DLmr DLmw\n\
            ==7== Collected : 2345678 500 400 12 30 4 1 2 3\n\
            ==7== \n\
            ==7== I   refs:      2,345,678\n\
            ==7== I1  misses:       12,345\n\
            ==7== LLi misses:        1,111\n\
            ==7== I1  miss rate:      0.53%\n\
            ==7== D1  misses:       34,567  (   30,000 rd   +   4,567 wr)\n\
            ==7== LLd misses:        5,555  (    5,000 rd   +     555 wr)\n\
            ==7== LL misses:        6,666  (    6,111 rd   +     555 wr)\n";
        let expected = Counts {
            instructions: 2_345_678.0,
            i1_misses: 12_345.0,
            d1_misses: 34_567.0,
            ll_misses: 6_666.0,
        };
        assert_eq!(counts(said), Some(expected));
    }
}
