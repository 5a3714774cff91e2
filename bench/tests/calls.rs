//! The benchmark's clients against its server, without measuring.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

const BENCH: &str = env!("CARGO_BIN_EXE_octowire-bench");

#[test]
fn every_client_reads_every_body() {
    let mut server = Command::new(BENCH);
    let mut server =
        server.arg("server").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut port = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let url = format!("http://127.0.0.1:{}", port.trim());

    for client in ["reqwest", "octowire", "reqwest-octocrab", "octocrab"] {
        for body in ["comment", "repository", "issues"] {
            let calls = Command::new(BENCH).args(["repeat", client, body, "2", &url]).output();
            let calls = calls.unwrap();
            let said = String::from_utf8_lossy(&calls.stderr);
            assert!(calls.status.success(), "{client}, {body}: {said}");
        }
    }

    drop(server.stdin.take());
    assert!(server.wait().unwrap().success(), "the server ends with its standard input");
}
