//! Bare reqwest and octowire as whole processes, in pairs: their user and system time.
//!
//! A process of few calls is subtracted from one of many, so that the start of the process is not counted.

use crate::Result;
use crate::bodies::Body;
use crate::clients::Entry;
use crate::measure::Summary;
use crate::process::{self, Finished};
use crate::report;
use crate::server::Server;

const CLIENTS: [&str; 2] = ["reqwest", "octowire"];

/// The calls of a process: about half a second, which is long compared with a timer tick.
fn calls(body: Body) -> (u64, u64) {
    match body {
        Body::Comment => (100, 10_100),
        Body::Repository => (100, 6_100),
        Body::Issues => (10, 810),
    }
}

/// The seconds of a call.
struct Cost {
    user: f64,
    system: f64,
}

pub fn run(pairs: usize) -> Result<()> {
    let server = Server::start()?;
    println!("{}", report::header(&format!("{pairs} pairs of processes")));
    println!("User and system time of a call, from the whole process:\n");
    println!(
        "| body | client | CPU, µs | CPU, of bare | user, µs | user, of bare | system, µs | system, of bare |"
    );
    println!("|---|---|--:|--:|--:|--:|--:|--:|");
    for body in Body::ALL {
        let mut costs: [Vec<Cost>; 2] = Default::default();
        for pair in 0..pairs {
            eprintln!("{}: pair {} of {pairs}", body.operation(), pair + 1);
            for turn in 0..2 {
                let place = (turn + pair) % 2;
                costs[place].push(cost(CLIENTS[place], body, server.url())?);
            }
        }
        for (client, of) in CLIENTS.into_iter().zip(&costs) {
            print!("| {} | {} |", body.name(), Entry::named(client)?.name);
            for part in [cpu, |cost: &Cost| cost.user, |cost: &Cost| cost.system] {
                let samples: Vec<f64> = of.iter().map(part).collect();
                let base: Vec<f64> = costs[0].iter().map(part).collect();
                let ratio = Summary::of_ratios(&samples, &base);
                print!(
                    " {:.1} | {:.3} ± {:.1} % |",
                    Summary::of(samples).median * 1e6,
                    ratio.median,
                    ratio.spread * 100.0
                );
            }
            println!();
        }
    }
    Ok(())
}

fn cpu(cost: &Cost) -> f64 {
    cost.user + cost.system
}

fn cost(client: &str, body: Body, url: &str) -> Result<Cost> {
    let (few, many) = calls(body);
    let run =
        |count: u64| process::run_self(&["repeat", client, body.key(), &count.to_string(), url]);
    Ok(difference(&run(few)?, &run(many)?, many - few))
}

fn difference(few: &Finished, many: &Finished, calls: u64) -> Cost {
    // The time of a few calls can be the longer one by chance, if both are near the clock's resolution.
    let each = |few: f64, many: f64| (many - few) / calls as f64;
    Cost {
        user: each(few.user.as_secs_f64(), many.user.as_secs_f64()),
        system: each(few.system.as_secs_f64(), many.system.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_start_of_the_process_is_subtracted() {
        let used = |user, system| Finished {
            user: Duration::from_millis(user),
            system: Duration::from_millis(system),
            peak_bytes: 0,
            first_line: None,
            stdout: String::new(),
        };
        let cost = difference(&used(30, 5), &used(130, 25), 100);
        assert!((cost.user - 1e-3).abs() < 1e-9 && (cost.system - 2e-4).abs() < 1e-9);
        assert!((cpu(&cost) - 1.2e-3).abs() < 1e-9);
    }
}
