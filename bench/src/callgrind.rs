//! Instructions, counted by valgrind's callgrind: in user mode, exactly, and on machines without access to
//! performance counters.

use std::io::ErrorKind;
use std::process::Command;

use crate::Result;
use crate::bodies::Body;
use crate::clients::Entry;

/// The other costs of a run are the same in both runs, and cancel out.
const FEW: u64 = 20;
const MANY: u64 = 120;

/// The instructions of one call; `None` if there is no valgrind.
pub fn instructions(client: &Entry, body: Body, url: &str) -> Result<Option<f64>> {
    let (Some(few), Some(many)) = (run(client, body, FEW, url)?, run(client, body, MANY, url)?)
    else {
        return Ok(None);
    };
    Ok(Some((many as f64 - few as f64) / (MANY - FEW) as f64))
}

fn run(client: &Entry, body: Body, calls: u64, url: &str) -> Result<Option<u64>> {
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["repeat", client.key, body.key(), &calls.to_string(), url])
        .output();
    let run = match run {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        run => run?,
    };
    let said = String::from_utf8_lossy(&run.stderr);
    match collected(&said) {
        Some(instructions) if run.status.success() => Ok(Some(instructions)),
        _ => Err(format!("callgrind: {}: {said}", run.status).into()),
    }
}

/// The count in callgrind's closing words: `==123== Collected : 4567`.
fn collected(said: &str) -> Option<u64> {
    let (_, count) = said.lines().find_map(|line| line.split_once("Collected :"))?;
    count.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found() {
        assert_eq!(collected("==7== Events    : Ir\n==7== Collected : 4567\n==7== \n"), Some(4567));
        assert_eq!(collected("==7== Events    : Ir\n"), None);
    }
}
