//! Creating a client and its first call, each in a process of its own.

use crate::bodies::Body;
use crate::calls::single_threaded;
use crate::clients::{Entry, Subject};
use crate::measure::{self, Summary, cpu_time};
use crate::process;
use crate::server::Server;
use crate::{Result, allocations, callgrind, report};

const CLIENTS: [&str; 3] = ["reqwest", "octowire", "octocrab"];
/// Processes take a few milliseconds, and their times vary: more of them than other measurements take.
const PER_ROUND: usize = 3;

/// One client's processes, one value for each.
#[derive(Default)]
struct Samples {
    build: Vec<f64>,
    first_call: Vec<f64>,
    both: Vec<f64>,
    process: Vec<f64>,
}

pub fn run() -> Result<()> {
    let server = Server::start()?;
    let processes = measure::rounds() * PER_ROUND;
    let mut samples: [Samples; CLIENTS.len()] = Default::default();
    for round in 0..processes {
        eprintln!("cold start: process {} of {processes}", round + 1);
        for turn in 0..CLIENTS.len() {
            let place = (turn + round) % CLIENTS.len();
            let done = process::run_self(&["start", CLIENTS[place], "timed", server.url()])?;
            let [build, first_call] = times(&done.stdout)?;
            let samples = &mut samples[place];
            samples.build.push(build);
            samples.first_call.push(first_call);
            samples.both.push(build + first_call);
            samples.process.push(done.cpu().as_secs_f64());
        }
    }
    println!("{}", report::header(&format!("{processes} processes")));
    println!("CPU time of creating a client, and of its first call, of 1 KB, in a new process:\n");
    println!(
        "| client | `build()`, µs | first call, µs | both, of bare | process, ms | process, of bare \
         | allocated, KB |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|");
    for (client, of) in CLIENTS.into_iter().zip(&samples) {
        let median = |samples: &[f64]| Summary::of(samples.to_vec()).median;
        let ratio = |samples: &[f64], base: &[f64]| Summary::of_ratios(samples, base).shown(1.0, 2);
        let counted = process::run_self(&["start", client, "count", server.url()])?;
        let bytes: f64 = counted.stdout.trim().parse()?;
        println!(
            "| {} | {:.0} | {:.0} | {} | {:.1} | {} | {:.0} |",
            Entry::named(client)?.name,
            median(&of.build) * 1e6,
            median(&of.first_call) * 1e6,
            ratio(&of.both, &samples[0].both),
            median(&of.process) * 1e3,
            ratio(&of.process, &samples[0].process),
            bytes / 1e3
        );
    }
    instructions(server.url())
}

/// The instructions of both steps, by subtracting a process that ends before them.
fn instructions(url: &str) -> Result<()> {
    let count = |client: &str, step: &str| callgrind::instructions(&["start", client, step, url]);
    let mut base = None;
    for client in CLIENTS {
        let (Some(none), Some(build), Some(call)) =
            (count(client, "none")?, count(client, "build")?, count(client, "call")?)
        else {
            println!("\nInstructions are not counted: valgrind is not installed.");
            return Ok(());
        };
        if base.is_none() {
            println!(
                "\n| client | instructions of `build()`, thousands | first call | both, of bare |"
            );
            println!("|---|--:|--:|--:|");
        }
        let thousands = |more: u64, less: u64| more.saturating_sub(less) as f64 / 1e3;
        let both = thousands(call, none);
        println!(
            "| {} | {:.0} | {:.0} | {:.3} |",
            Entry::named(client)?.name,
            thousands(build, none),
            thousands(call, build),
            both / *base.get_or_insert(both)
        );
    }
    Ok(())
}

/// The times that [`start`] printed.
fn times(stdout: &str) -> Result<[f64; 2]> {
    let times: Result<Vec<f64>, _> = stdout.split_whitespace().map(str::parse).collect();
    times?.try_into().map_err(|_| format!("two times expected: {stdout}").into())
}

/// A process that creates a client and makes its first call. `step` is the last step (`none`, `build` or `call`);
/// `timed` prints the CPU times of both, and `count` the bytes that they allocated.
pub fn start(client: &str, step: &str, url: &str) -> Result<()> {
    let entry = Entry::named(client)?;
    let runtime = single_threaded()?;
    let _within = runtime.enter();
    let call = |subject: &dyn Subject| runtime.block_on(subject.repeat(Body::Comment, 1));
    // Only `timed` reads the clock: callgrind cannot run the function that does.
    match step {
        "none" => {}
        "build" => drop(entry.connect(url)?),
        "call" => {
            call(&*entry.connect(url)?)?;
            println!("done");
        }
        "timed" => {
            let start = cpu_time();
            let subject = entry.connect(url)?;
            let built = cpu_time();
            call(&*subject)?;
            let called = cpu_time();
            println!("{} {}", (built - start).as_secs_f64(), (called - built).as_secs_f64());
        }
        "count" => {
            allocations::start();
            call(&*entry.connect(url)?)?;
            println!("{}", allocations::stop().bytes);
        }
        _ => return Err(format!("there is no step {step}").into()),
    }
    Ok(())
}
