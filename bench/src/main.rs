//! Octowire measured against other clients: see README.md beside this crate.
//!
//! One binary has all roles, so that a run needs one build: the benchmark starts itself again as the server,
//! and under callgrind as a client.

mod allocations;
mod auth;
mod bodies;
mod cache;
mod cache_simulation;
mod callgrind;
mod calls;
mod clients;
mod cold_start;
#[path = "../../tests/support/delaying_proxy.rs"]
mod delaying;
mod derived;
#[path = "../../src/store/forward.rs"]
mod forward;
mod future_sizes;
mod instructions;
mod latency;
mod leases;
mod limits;
mod lists;
mod measure;
mod memory;
mod pages;
mod pairs;
mod peers;
mod process;
mod readme;
mod repeat;
mod report;
mod server;
mod store;
mod tables;
mod targets;
mod telemetry;
mod webhooks;

use std::process::ExitCode;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T, E = Error> = std::result::Result<T, E>;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

const USAGE: &str = "\
octowire-bench calls [--no-callgrind]                typed calls, compared with other clients
octowire-bench calls --pairs N                       the same for pairs of whole processes
octowire-bench calls --cache-sim                     misses in the processor's caches, simulated by callgrind
octowire-bench latency                               the latency of concurrent calls, and its tail
octowire-bench futures                               the sizes of futures and types
octowire-bench cold                                  creating a client, and its first call
octowire-bench pages                                 lists whose pages are fetched ahead
octowire-bench memory                                long lists, and handles for installations
octowire-bench peers                                 clients in other languages, which it installs
octowire-bench cache                                 the cost of a hit, a revalidation and a miss
octowire-bench auth                                  a cached token; one token request for 10,000 calls
octowire-bench limits                                admission by the rate limits
octowire-bench leases                                the same shared by a fleet: three minutes
octowire-bench store                                 what calls wait for a store: four minutes
octowire-bench telemetry                             the telemetry of a call
octowire-bench webhooks                              verifying, reading and receiving them
octowire-bench instructions [--check | --update]     instructions of the main paths, and the committed ones
octowire-bench readme [SECTION... | --derive]        all of these, recorded in the documents
octowire-bench server                                the server alone; ends with its stdin
octowire-bench rate CLIENT BODY CALLERS SECONDS URL  the calls per second, and the CPU time of a call in µs
octowire-bench start CLIENT STEP URL                 a new client, for a profiler
octowire-bench repeat CLIENT BODY COUNT URL          calls without measuring, for a profiler

--rounds N: the rounds of a measurement, 15 by default
";

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = take_rounds(&mut arguments).and_then(|()| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        run(&arguments)
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    match arguments {
        ["calls", options @ ..] => calls::run(options),
        ["latency"] => latency::run(),
        ["futures"] => future_sizes::run(),
        ["cold"] => cold_start::run(),
        ["pages"] => pages::run(),
        ["memory"] => memory::run(),
        ["peers"] => peers::run(),
        ["cache"] => cache::run(),
        ["auth"] => auth::run(),
        ["limits"] => limits::run(),
        ["leases"] => leases::run(),
        ["store"] => store::run(),
        ["telemetry"] => telemetry::run(),
        ["webhooks"] => webhooks::run(),
        ["instructions", options @ ..] => instructions::run(options),
        ["readme", sections @ ..] => readme::run(sections),
        ["server"] => server::run(),
        ["rate", client, body, callers, seconds, url] => {
            calls::rate(client, body, callers, seconds, url)
        }
        ["start", client, step, url] => cold_start::start(client, step, url),
        ["repeat", client, body, count, url] => repeat::run(client, body, count, url),
        _ => Err(USAGE.into()),
    }
}

/// Takes `--rounds N` out of the arguments.
fn take_rounds(arguments: &mut Vec<String>) -> Result<()> {
    let Some(place) = arguments.iter().position(|argument| argument == "--rounds") else {
        return Ok(());
    };
    let given: Vec<String> = arguments.drain(place..(place + 2).min(arguments.len())).collect();
    measure::set_rounds(given.get(1).ok_or("--rounds needs a number")?)
}
