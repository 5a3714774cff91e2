//! Misses of a call in the processor's caches, as callgrind simulates them.

use crate::Result;
use crate::bodies::Body;
use crate::callgrind;
use crate::clients::Entry;
use crate::report;
use crate::server::Server;

pub fn run() -> Result<()> {
    let server = Server::start()?;
    println!("{}", report::header("120 calls minus 20"));
    println!("Misses of a call in callgrind's simulated caches:\n");
    println!("| body | client | I1 misses | I1, of bare | D1 misses | D1, of bare | LL misses |");
    println!("|---|---|--:|--:|--:|--:|--:|");
    for body in Body::ALL {
        let mut base = None;
        for entry in &Entry::ALL {
            eprintln!("{}: cache simulation, {}", body.operation(), entry.name);
            let counts = callgrind::per_call_with_cache(entry.key, body, server.url())?
                .ok_or("valgrind is not installed")?;
            let base = base.get_or_insert(counts);
            println!(
                "| {} | {} | {:.0} | {:.2} | {:.0} | {:.2} | {:.1} |",
                body.name(),
                entry.name,
                counts.i1_misses,
                counts.i1_misses / base.i1_misses,
                counts.d1_misses,
                counts.d1_misses / base.d1_misses,
                counts.ll_misses
            );
        }
    }
    Ok(())
}
