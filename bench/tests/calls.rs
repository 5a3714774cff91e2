//! The benchmark's clients and paths against its server, without measuring.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

const BENCH: &str = env!("CARGO_BIN_EXE_octowire-bench");
const CLIENTS: [&str; 4] = ["reqwest", "octowire", "reqwest-octocrab", "octocrab"];

/// The benchmark's server; it ends when its standard input does.
struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn start() -> Self {
        let mut server = Command::new(BENCH);
        let mut process =
            server.arg("server").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self { process, url: format!("http://127.0.0.1:{}", port.trim()) }
    }

    fn end(mut self) {
        drop(self.process.stdin.take());
        assert!(self.process.wait().unwrap().success(), "the server ends with its standard input");
    }
}

fn bench(arguments: &[&str]) -> Output {
    let run = Command::new(BENCH).args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{arguments:?}: {errors}");
    run
}

#[test]
fn every_client_reads_every_body() {
    let server = Server::start();
    for client in CLIENTS {
        for body in ["comment", "repository", "issues"] {
            bench(&["repeat", client, body, "2", &server.url]);
        }
    }
    server.end();
}

#[test]
fn every_path_whose_instructions_are_counted_runs() {
    let server = Server::start();
    for path in ["hit", "token", "webhook-decode", "webhook-receive"] {
        bench(&["repeat", path, "comment", "3", &server.url]);
    }
    server.end();
}

#[test]
fn processes_print_what_is_measured() {
    let server = Server::start();
    for client in CLIENTS {
        let timed = bench(&["start", client, "timed", &server.url]);
        let rate = bench(&["rate", client, "comment", "4", "0.1", &server.url]);
        for run in [timed, rate] {
            let line = String::from_utf8(run.stdout).unwrap();
            let numbers: Vec<f64> =
                line.split_whitespace().map(|number| number.parse().unwrap()).collect();
            assert!(numbers.len() == 2 && numbers.iter().all(|number| *number > 0.0), "{line}");
        }
        let called = bench(&["start", client, "call", &server.url]);
        assert_eq!(called.stdout, b"done\n");
    }
    server.end();
}

#[test]
fn an_unknown_client_is_an_error() {
    let arguments = ["rate", "none", "comment", "1", "1", "http://127.0.0.1:9"];
    let run = Command::new(BENCH).args(arguments).output().unwrap();
    assert!(!run.status.success());
    assert!(String::from_utf8_lossy(&run.stderr).contains("there is no client none"));
}
