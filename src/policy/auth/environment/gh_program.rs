//! One run of `gh auth token`, without a shell, and with bounds on its time and its output.

use std::ffi::OsStr;
use std::io;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use secrecy::SecretString;

use super::read_secret;

/// gh waits for the keyring of the system for 3 s.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Many times the length of a token.
const MAX_OUTPUT_BYTES: u64 = 16 * 1024;
/// The interval at which the exit of a program is awaited that has closed its output.
const EXIT_POLL_INTERVAL: Duration = Duration::from_millis(2);

/// The variables from which `gh` takes a token. The client has read those of the server already, and `gh` returns others
/// too: in a Codespace, the `GITHUB_TOKEN` of github.com for an Enterprise Server.
const TOKEN_VARIABLES: [&str; 4] =
    ["GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN"];

/// Runs the program, and returns its output without white space around it. The token is one of a login, and of no
/// variable.
///
/// # Errors
/// If it cannot be started, fails, does not end in time, or writes too much. The error contains nothing of the output.
pub(super) fn auth_token(program: &OsStr, host: &str) -> io::Result<SecretString> {
    run(&mut command(program, host), TIMEOUT)
}

fn command(program: &OsStr, host: &str) -> Command {
    let mut command = Command::new(program);
    command.args(["auth", "token", "--hostname", host]);
    // There is no terminal for a question or a notice.
    command.env("GH_PROMPT_DISABLED", "1").env("GH_NO_UPDATE_NOTIFIER", "1");
    for name in TOKEN_VARIABLES {
        command.env_remove(name);
    }
    command
}

fn run(command: &mut Command, timeout: Duration) -> io::Result<SecretString> {
    let started = Instant::now();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let output = read_output(&mut child, started, timeout);
    if output.is_err() {
        // Both fail if the program has ended.
        let _ = child.kill();
        let _ = child.wait();
    }
    output
}

fn read_output(child: &mut Child, started: Instant, timeout: Duration) -> io::Result<SecretString> {
    let stdout = child.stdout.take().ok_or_else(|| io::Error::other("it has no output"))?;
    let (sender, receiver) = mpsc::sync_channel(1);
    // A pipe has no read timeout, so a thread reads it. The thread ends when the last process closes the pipe, and the
    // output is dropped if it comes too late.
    let reader = thread::Builder::new().name("gh-auth-token".to_owned());
    reader.spawn(move || {
        let too_long = "its output is too long for a token";
        let _ = sender.send(read_secret(stdout, MAX_OUTPUT_BYTES, MAX_OUTPUT_BYTES, too_long));
    })?;
    let remaining = timeout.saturating_sub(started.elapsed());
    let output = receiver.recv_timeout(remaining).map_err(|_| timed_out(timeout))??;
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if started.elapsed() >= timeout => return Err(timed_out(timeout)),
            None => thread::sleep(EXIT_POLL_INTERVAL),
        }
    };
    if !status.success() {
        return Err(io::Error::other(format!("it ended with {status}")));
    }
    let text = std::str::from_utf8(&output)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "its output is not valid UTF-8"))?;
    Ok(SecretString::from(text.trim()))
}

fn timed_out(timeout: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("it did not end within {timeout:?}"))
}

#[cfg(all(test, unix))]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    /// Longer than any of these programs takes on a busy machine.
    const LONG: Duration = Duration::from_secs(60);

    fn shell(script: &str, timeout: Duration) -> io::Result<SecretString> {
        run(Command::new("/bin/sh").args(["-c", script]), timeout)
    }

    #[test]
    fn the_output_of_a_program_that_succeeds_is_the_token() {
        let token = shell("echo; echo ' gho_abc '", LONG).unwrap();
        assert_eq!(token.expose_secret(), "gho_abc");
        assert_eq!(shell("exit 0", LONG).unwrap().expose_secret(), "");
        let longest = shell("head -c 16384 /dev/zero | tr '\\0' a", LONG).unwrap();
        assert_eq!(longest.expose_secret().len(), 16 * 1024);
    }

    #[test]
    fn a_program_that_fails_returns_nothing_of_its_output() {
        for (script, reason) in [
            ("echo hunter2; echo hunter2 >&2; exit 4", "exit status: 4"),
            ("while :; do echo hunter2hunter2hunter2; done", "too long"),
            ("printf 'hunter2\\377'", "UTF-8"),
            ("kill -9 $$", "signal: 9"),
        ] {
            let error = shell(script, LONG).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(reason) && !shown.contains("hunter2"), "{script}: {shown}");
        }
    }

    #[test]
    fn a_program_that_does_not_end_in_time_is_killed() {
        let timeout = Duration::from_millis(100);
        for script in [
            "exec sleep 600",
            // It has closed its output.
            "exec >/dev/null; exec sleep 600",
            // Another process keeps the output open.
            "sleep 5 & echo $!",
        ] {
            let started = Instant::now();
            let error = shell(script, timeout).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{script}");
            assert!(started.elapsed() < LONG, "{script}");
        }
    }

    #[test]
    fn a_program_that_does_not_exist_is_not_found() {
        let error = auth_token(OsStr::new("/nowhere/octowire-gh"), "github.com").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    /// They can be those of another server.
    #[test]
    fn the_program_has_no_variable_with_a_token() {
        let command = command(OsStr::new("gh"), "ghe.example.com");
        for name in TOKEN_VARIABLES {
            let is_removed = command.get_envs().any(|(key, value)| key == name && value.is_none());
            assert!(is_removed, "{name}");
        }
    }

    #[test]
    fn the_host_is_one_argument_whatever_it_contains() {
        // `echo` prints its arguments: there is no shell that would run a part of them.
        let printed = auth_token(OsStr::new("echo"), "a; exit 1 $(id) '").unwrap();
        assert_eq!(printed.expose_secret(), "auth token --hostname a; exit 1 $(id) '");
    }
}
