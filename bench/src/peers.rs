//! Clients in other languages beside those in Rust, each in a process of its own: calls per second, memory, and the time
//! to the first response.

use std::path::PathBuf;
use std::process::Command;

use crate::bodies::Body;
use crate::calls::CALLERS;
use crate::clients::Entry;
use crate::measure::{self, Summary};
use crate::process::{self, Finished};
use crate::server::Server;
use crate::{Result, report};

mod install;

use install::{Node, Python};

const SAMPLE_SECONDS: &str = "1";
/// Starts of a client in a round.
const STARTS: usize = 5;
/// A round takes two minutes.
const MAX_ROUNDS: usize = 3;
/// The concurrency at which the memory is that of the tables.
const MEMORY_CALLERS: usize = 16;

/// A compared client, as a program.
struct Peer {
    name: &'static str,
    /// Its version, or the reason why it is not installed.
    version: Result<String, String>,
    program: Program,
}

enum Program {
    /// This program, with a client of [`Entry::ALL`].
    Rust(&'static str),
    /// `peer.py` with this client.
    Python(Python, &'static str),
    Node(Node),
}

/// The samples of one client.
#[derive(Default)]
struct Samples {
    first_response: Vec<f64>,
    peak_bytes: Vec<f64>,
    cpu: Vec<f64>,
    /// By body and concurrency, in the order of [`Body::ALL`] and [`CALLERS`].
    rates: [[Vec<f64>; CALLERS.len()]; Body::ALL.len()],
}

pub fn run() -> Result<()> {
    let server = Server::start()?;
    let peers = peers()?;
    let rounds = measure::rounds().min(MAX_ROUNDS);
    let mut samples: Vec<Samples> = peers.iter().map(|_| Samples::default()).collect();
    for round in 0..rounds {
        for turn in 0..peers.len() {
            let place = (turn + round) % peers.len();
            let (peer, samples) = (&peers[place], &mut samples[place]);
            if peer.version.is_ok() {
                eprintln!("round {} of {rounds}: {}", round + 1, peer.name);
                peer.sample(server.url(), samples)?;
            }
        }
    }
    println!("{}", report::header(&format!("{rounds} rounds of {SAMPLE_SECONDS} s")));
    costs(&peers, &samples);
    rates(&peers, &samples);
    Ok(())
}

/// All clients, after installing those in other languages.
fn peers() -> Result<Vec<Peer>> {
    let rust = |key, version: String| {
        let name = Entry::named(key)?.name;
        Ok::<_, crate::Error>(Peer { name, version: Ok(version), program: Program::Rust(key) })
    };
    let locked = |package| report::locked_version(package);
    let mut peers = vec![
        rust("reqwest", locked("reqwest"))?,
        rust("octowire", locked("octowire"))?,
        rust("octocrab", locked("octocrab"))?,
    ];
    let node = Node::install();
    peers.push(Peer {
        name: "octokit.js",
        version: node.as_ref().map(|_| Node::version()).map_err(ToString::to_string),
        program: Program::Node(node.unwrap_or_default()),
    });
    let python = Python::install();
    for name in ["githubkit", "PyGithub"] {
        let version = python.as_ref().map(|_| Python::version(name)).map_err(ToString::to_string);
        let python = python.as_ref().ok().cloned().unwrap_or_default();
        peers.push(Peer { name, version, program: Program::Python(python, name) });
    }
    Ok(peers)
}

impl Peer {
    fn sample(&self, url: &str, samples: &mut Samples) -> Result<()> {
        // The first process reads its files from the disk, and is not counted.
        process::run(&mut self.first(url)?)?;
        for _ in 0..STARTS {
            let first = process::run(&mut self.first(url)?)?;
            let time = first.first_line.ok_or_else(|| format!("{}: no response", self.name))?;
            samples.first_response.push(time.as_secs_f64());
        }
        for (place, body) in Body::ALL.into_iter().enumerate() {
            for (level, callers) in CALLERS.into_iter().enumerate() {
                let done = process::run(&mut self.rate(body, callers, url)?)?;
                let [rate, cpu] = rate_and_cpu(&done)?;
                samples.rates[place][level].push(rate);
                if body == Body::Comment && callers == 1 {
                    samples.cpu.push(cpu);
                }
                if body == Body::Comment && callers == MEMORY_CALLERS {
                    samples.peak_bytes.push(done.peak_bytes as f64);
                }
            }
        }
        Ok(())
    }

    /// The process that ends after its first response.
    fn first(&self, url: &str) -> Result<Command> {
        self.command(&["first", url], &["start", self.rust_key(), "call", url])
    }

    /// The process that makes calls for a while.
    fn rate(&self, body: Body, callers: usize, url: &str) -> Result<Command> {
        let callers = callers.to_string();
        self.command(
            &["rate", body.key(), &callers, SAMPLE_SECONDS, url],
            &["rate", self.rust_key(), body.key(), &callers, SAMPLE_SECONDS, url],
        )
    }

    fn rust_key(&self) -> &'static str {
        if let Program::Rust(key) = self.program { key } else { "" }
    }

    fn command(&self, script: &[&str], own: &[&str]) -> Result<Command> {
        let (mut command, arguments) = match &self.program {
            Program::Rust(_) => (Command::new(std::env::current_exe()?), own),
            Program::Python(python, client) => (python.command(client), script),
            Program::Node(node) => (node.command(), script),
        };
        command.args(arguments);
        Ok(command)
    }
}

/// The line that a process of `rate` prints.
fn rate_and_cpu(done: &Finished) -> Result<[f64; 2]> {
    let line = done.stdout.split_whitespace().map(str::parse::<f64>);
    let line: Vec<f64> = line.collect::<Result<_, _>>()?;
    line.try_into().map_err(|_| format!("two numbers expected: {}", done.stdout).into())
}

fn costs(peers: &[Peer], samples: &[Samples]) {
    println!(
        "| client | version | first response, ms | peak memory, MB | CPU of a call of 1 KB, µs |"
    );
    println!("|---|---|--:|--:|--:|");
    for (peer, samples) in peers.iter().zip(samples) {
        match &peer.version {
            Ok(version) => println!(
                "| {} | {version} | {} | {} | {} |",
                peer.name,
                shown(&samples.first_response, 1e3, 1),
                shown(&samples.peak_bytes, 1e-6, 1),
                shown(&samples.cpu, 1.0, 0),
            ),
            Err(reason) => {
                // A cell has one line.
                let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
                let reason: String = reason.replace('|', "/").chars().take(120).collect();
                println!("| {} | not installed: {reason} | | | |", peer.name);
            }
        }
    }
}

fn rates(peers: &[Peer], samples: &[Samples]) {
    println!("\nCalls per second, by concurrency:\n");
    println!("| body | client | {} |", CALLERS.map(|callers| callers.to_string()).join(" | "));
    println!("|---|---|{}", "--:|".repeat(CALLERS.len()));
    for (place, body) in Body::ALL.into_iter().enumerate() {
        for (peer, samples) in peers.iter().zip(samples).filter(|(peer, _)| peer.version.is_ok()) {
            let rates = samples.rates[place].each_ref().map(|samples| shown(samples, 1.0, 0));
            println!("| {} | {} | {} |", body.name(), peer.name, rates.join(" | "));
        }
    }
}

/// The median and spread; `fails` if no call has succeeded.
fn shown(samples: &[f64], scale: f64, digits: usize) -> String {
    if samples.is_empty() {
        return "fails".to_owned();
    }
    Summary::of(samples.to_vec()).shown(scale, digits)
}

/// The folder of what is installed, beside the build of this program.
fn folder() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.parent().and_then(std::path::Path::parent).ok_or("no target folder")?;
    Ok(target.join("bench-peers"))
}
