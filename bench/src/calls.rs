//! Typed calls, compared with other clients: the cost of a call, and the number of calls per second.
//!
//! The clients take turns, in another order each round, so that other load on the machine affects all of them
//! equally.

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::Result;
use crate::bodies::Body;
use crate::cache_simulation;
use crate::callgrind::{self, FEW, MANY};
use crate::clients::{Entry, Subject};
use crate::measure;
use crate::pairs;
use crate::report::{Cost, Costs, Rates, Report};
use crate::server::Server;

/// The number of concurrent calls.
pub const CALLERS: [usize; 3] = [1, 16, 64];

/// Long compared with a timer tick or a page fault, short compared with disturbances of the machine.
const CPU_SAMPLE: Duration = Duration::from_millis(60);
const RATE_SAMPLE: Duration = Duration::from_millis(250);
/// Enough calls to average out buffers that grow occasionally.
const COUNTED_CALLS: u64 = 100;
/// The client's side of the two cores that GitHub's own runners have.
pub const WORKERS: usize = 2;

pub fn run(options: &[&str]) -> Result<()> {
    match options {
        [] => compare(true),
        ["--no-callgrind"] => compare(false),
        ["--cache-sim"] => cache_simulation::run(),
        ["--pairs", pairs] => pairs::run(pairs.parse()?),
        _ => Err(format!("unknown options: {}", options.join(" ")).into()),
    }
}

fn compare(callgrind: bool) -> Result<()> {
    let server = Server::start()?;
    let mut report = Report::new(measure::rounds());
    for body in Body::ALL {
        report.costs.push(costs(callgrind, &server, body)?);
    }
    for body in Body::ALL {
        report.rates.push(rates(&server, body)?);
    }
    print!("{report}");
    Ok(())
}

/// The cost of a call while nothing else runs in the process.
fn costs(callgrind: bool, server: &Server, body: Body) -> Result<Costs> {
    let runtime = single_threaded()?;
    let subjects = connect(&runtime, server)?;
    for subject in &subjects {
        runtime.block_on(subject.repeat(body, COUNTED_CALLS))?;
    }
    let calls = measure::calls_in(&runtime, &*subjects[Entry::BASE], body, CPU_SAMPLE)?;
    let mut samples = vec![Vec::new(); subjects.len()];
    for round in 0..measure::rounds() {
        eprintln!("{}: CPU time, round {} of {}", body.operation(), round + 1, measure::rounds());
        for place in turns(round) {
            samples[place].push(measure::cpu(&runtime, &*subjects[place], body, calls)?);
        }
    }
    let mut costs = Vec::new();
    for (place, subject) in subjects.iter().enumerate() {
        eprintln!("{}: allocations and instructions, {}", body.operation(), subject.name());
        let instructions = if callgrind {
            callgrind::per_call(Entry::ALL[place].key, body, FEW, MANY, server.url())?
                .map(|counts| counts.instructions)
        } else {
            None
        };
        costs.push(Cost {
            name: subject.name(),
            cpu: std::mem::take(&mut samples[place]),
            allocations: measure::allocations(&runtime, &**subject, body, COUNTED_CALLS)?,
            counted_calls: COUNTED_CALLS,
            instructions,
        });
    }
    Ok(Costs { body, clients: costs })
}

/// The number of calls per second.
fn rates(server: &Server, body: Body) -> Result<Rates> {
    let runtime = multi_threaded()?;
    let subjects = connect(&runtime, server)?;
    let mut samples = vec![vec![Vec::new(); CALLERS.len()]; subjects.len()];
    // The first round opens the connections, and is not counted.
    for round in 0..=measure::rounds() {
        eprintln!("{}: calls a second, round {round} of {}", body.operation(), measure::rounds());
        for (level, callers) in CALLERS.into_iter().enumerate() {
            for place in turns(round) {
                let subject = &*subjects[place];
                let rate = measure::rate(&runtime, subject, body, callers, RATE_SAMPLE)?;
                if round > 0 {
                    samples[place][level].push(rate);
                }
            }
        }
    }
    let clients = subjects.iter().map(|subject| subject.name()).zip(samples).collect();
    Ok(Rates { body, clients })
}

/// The clients' order in this round: each is first, second and so on in turn, and every other round is
/// reversed, so that no client always follows the same one.
fn turns(round: usize) -> impl Iterator<Item = usize> {
    let all = Entry::ALL.len();
    (0..all).map(move |turn| {
        let place = (turn + round / 2) % all;
        if round.is_multiple_of(2) { place } else { all - 1 - place }
    })
}

fn connect(runtime: &Runtime, server: &Server) -> Result<Vec<Box<dyn Subject>>> {
    let _within = runtime.enter();
    Entry::ALL.iter().map(|entry| entry.connect(server.url())).collect()
}

/// A runtime whose tasks all run on the thread that waits for it.
pub fn single_threaded() -> Result<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

/// A runtime with [`WORKERS`] threads.
pub fn multi_threaded() -> Result<Runtime> {
    Ok(Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?)
}

/// The calls per second, and the CPU time of a call in µs, of a client in a process of its own: the line that
/// the programs in `peers/` print as well.
pub fn rate(client: &str, body: &str, callers: &str, seconds: &str, url: &str) -> Result<()> {
    let (entry, body) = (Entry::named(client)?, Body::named(body)?);
    let (callers, sample) = (callers.parse()?, Duration::from_secs_f64(seconds.parse()?));
    let runtime = multi_threaded()?;
    let _within = runtime.enter();
    let subject = entry.connect(url)?;
    measure::rate(&runtime, &*subject, body, callers, sample / 2)?;
    let start = measure::cpu_time();
    let rate = measure::rate(&runtime, &*subject, body, callers, sample)?;
    let cpu = (measure::cpu_time() - start).as_secs_f64() / (rate * sample.as_secs_f64());
    println!("{rate:.1} {:.3}", cpu * 1e6);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_has_every_turn() {
        let rounds: Vec<Vec<usize>> = (0..8).map(|round| turns(round).collect()).collect();
        for turn in 0..4 {
            let mut places: Vec<usize> = rounds.iter().map(|round| round[turn]).collect();
            places.sort_unstable();
            assert_eq!(places, [0, 0, 1, 1, 2, 2, 3, 3]);
        }
    }

    #[test]
    fn unknown_options_are_errors() {
        assert!(run(&["--rounds"]).is_err());
        assert!(run(&["--pairs"]).is_err());
        assert!(run(&["--pairs", "few"]).is_err());
    }
}
