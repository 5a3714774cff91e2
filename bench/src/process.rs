//! Processes whose resources are measured as a whole.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wait4::Wait4;

use crate::Result;

/// The resources that a process used from its start to its end, and its output.
#[derive(Debug)]
pub struct Finished {
    pub user: Duration,
    pub system: Duration,
    pub peak_bytes: u64,
    /// The time from the start of the process to its first line on standard output.
    pub first_line: Option<Duration>,
    pub stdout: String,
}

impl Finished {
    pub fn cpu(&self) -> Duration {
        self.user + self.system
    }
}

/// Runs a command to its end. A failure is an error with its standard error.
pub fn run(command: &mut Command) -> Result<Finished> {
    let start = Instant::now();
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().map_err(|error| format!("{command:?}: {error}"))?;
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    // A full pipe would block the process, so both are read at the same time.
    let errors = std::thread::spawn(move || {
        let mut text = Vec::new();
        errors.map(|mut errors| errors.read_to_end(&mut text)).transpose().map(|_| text)
    });
    let (mut stdout, mut first_line) = (String::new(), None);
    if let Some(output) = output {
        let mut output = BufReader::new(output);
        if output.read_line(&mut stdout)? > 0 {
            first_line = Some(start.elapsed());
        }
        output.read_to_string(&mut stdout)?;
    }
    let used = child.wait4()?;
    let errors = errors.join().map_err(|_| "the reader of the standard error panicked")??;
    if !used.status.success() {
        let errors = String::from_utf8_lossy(&errors);
        return Err(format!("{command:?}: {}: {errors}", used.status).into());
    }
    Ok(Finished {
        user: used.rusage.utime,
        system: used.rusage.stime,
        peak_bytes: used.rusage.maxrss,
        first_line,
        stdout,
    })
}

/// Runs this program again, with other arguments.
pub fn run_self(arguments: &[&str]) -> Result<Finished> {
    run(Command::new(std::env::current_exe()?).args(arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_and_failures_are_returned() {
        let done = run(Command::new("sh").args(["-c", "echo one; echo two"])).expect("it runs");
        assert_eq!(done.stdout, "one\ntwo\n");
        assert!(done.first_line.is_some_and(|first| first < Duration::from_secs(60)));
        assert!(done.peak_bytes > 100_000, "{} bytes", done.peak_bytes);

        let failed = run(Command::new("sh").args(["-c", "echo reason >&2; exit 3"]));
        let failed = failed.expect_err("it fails").to_string();
        assert!(failed.contains("reason") && failed.contains('3'), "{failed}");
    }

    #[test]
    fn the_work_of_a_process_is_its_cpu_time() {
        let work = "i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done";
        let done = run(Command::new("sh").args(["-c", work])).expect("it runs");
        assert!(done.cpu() > Duration::from_millis(10) && done.user > done.system, "{done:?}");
    }
}
