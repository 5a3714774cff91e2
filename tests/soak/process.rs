//! The processes of the soak: this test binary again, with an ignored test as its program.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Folder that all processes of the soak write to.
pub const FOLDER: &str = "OCTOWIRE_SOAK_FOLDER";
const VIOLATIONS: &str = "violations";
const MAX_VIOLATIONS: usize = 20;

/// A process that is killed with this value.
pub struct Process(Child);

impl Process {
    /// Starts the program that is this ignored test, with these environment variables.
    pub fn start(program: &str, folder: &Path, variables: &[(&str, String)]) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args([program, "--exact", "--ignored", "--nocapture"])
            .env(FOLDER, folder)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn();
        Self(child.unwrap())
    }

    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// Waits for the end of the process, which must succeed, and returns its output.
    pub fn finish(mut self, patience: Duration) -> String {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < patience, "a process does not end");
            std::thread::sleep(Duration::from_millis(50));
        };
        let mut output = String::new();
        let mut stdout = self.0.stdout.take().expect("it is piped");
        std::io::Read::read_to_string(&mut stdout, &mut output).unwrap();
        assert!(status.success(), "{status}: {output}");
        output
    }

    pub fn resident_kilobytes(&self) -> Option<u64> {
        self.status("VmRSS:")
    }

    pub fn peak_kilobytes(&self) -> Option<u64> {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches("kB").trim().parse().ok()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Makes each panic of this process a violation, even if it is caught.
pub fn report_panics(folder: &Path) {
    let folder = folder.to_owned();
    std::panic::set_hook(Box::new(move |panic| report(&folder, &panic.to_string())));
}

/// Reports a broken promise to the parent.
pub fn report(folder: &Path, violation: &str) {
    let file = OpenOptions::new().create(true).append(true).open(folder.join(VIOLATIONS));
    let line = format!("{}\n", violation.replace('\n', " "));
    file.unwrap().write_all(line.as_bytes()).unwrap();
}

/// Returns the reported violations.
pub fn violations(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join(VIOLATIONS)).unwrap_or_default();
    text.lines().take(MAX_VIOLATIONS).map(str::to_owned).collect()
}
