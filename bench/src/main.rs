//! Octowire measured against other clients: see README.md beside this crate.
//!
//! One binary has all roles, so that a run needs one build: the benchmark starts itself again as the server,
//! and under callgrind as a client.

mod allocations;
mod auth;
mod bodies;
mod cache;
mod callgrind;
mod calls;
mod clients;
#[path = "../../tests/support/delaying_proxy.rs"]
mod delaying;
#[path = "../../src/store/forward.rs"]
mod forward;
mod leases;
mod limits;
mod measure;
mod report;
mod server;
mod store;
mod telemetry;
mod webhooks;

use std::process::ExitCode;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T, E = Error> = std::result::Result<T, E>;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

const USAGE: &str = "\
octowire-bench calls [--rounds N] [--no-callgrind]   typed calls, compared with other clients
octowire-bench cache                                 the cost of a hit, a revalidation and a miss
octowire-bench auth                                  a cached token; one token request for 10,000 calls
octowire-bench handles                               the memory of handles for installations
octowire-bench limits                                admission by the rate limits
octowire-bench leases                                the same shared by a fleet: three minutes
octowire-bench store                                 what calls wait for a store: four minutes
octowire-bench telemetry                             the telemetry of a call
octowire-bench webhooks                              verifying, reading and receiving them
octowire-bench server                                the server alone; ends with its stdin
octowire-bench concurrent CLIENT CALLERS URL         the rate and CPU time of concurrent calls
octowire-bench repeat CLIENT BODY COUNT URL          calls without measuring, for a profiler
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["calls", options @ ..] => calls::Options::read(options).and_then(calls::run),
        ["cache"] => cache::run(),
        ["auth"] => auth::run(),
        ["handles"] => auth::handles(),
        ["limits"] => limits::run(),
        ["leases"] => leases::run(),
        ["webhooks"] => webhooks::run(),
        ["store"] => store::run(),
        ["telemetry"] => telemetry::run(),
        ["server"] => server::run(),
        ["concurrent", client, callers, url] => calls::concurrent(client, callers, url),
        ["repeat", client, body, count, url] => calls::repeat(client, body, count, url),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
