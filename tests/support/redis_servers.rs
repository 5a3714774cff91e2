//! Redis servers on free ports, which end with the test. They come from the system: without
//! `redis-server` and `redis-sentinel` a test fails.

use std::fs::File;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

#[path = "ports.rs"]
mod ports;

pub use ports::free_port;

/// A server, or a Sentinel.
pub struct RedisServer {
    child: Option<Child>,
    program: &'static str,
    arguments: Vec<String>,
    directory: PathBuf,
    pub port: u16,
}

impl RedisServer {
    /// A server that keeps nothing when it ends.
    #[allow(dead_code, reason = "not every test binary has one")]
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// The same with more arguments.
    pub fn with(arguments: &[&str]) -> Self {
        Self::listening(|| {
            let port = free_port();
            let directory = directory(port);
            let own = [
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
            ];
            let dir = ["--dir", directory.to_str().unwrap()];
            let all = own.iter().chain(&dir).chain(arguments).map(|text| (*text).to_owned());
            let arguments = all.collect();
            Self { child: None, program: "redis-server", arguments, directory, port }
        })
    }

    /// A Sentinel of this master.
    #[allow(dead_code, reason = "not every test binary has one")]
    pub fn sentinel(master: &Self, name: &str) -> Self {
        Self::listening(|| {
            let port = free_port();
            let directory = directory(port);
            let config = directory.join("sentinel.conf");
            let text = format!(
                "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor {name} 127.0.0.1 {} 1\n",
                directory.display(),
                master.port
            );
            std::fs::write(&config, text).unwrap();
            let arguments = vec![config.to_str().unwrap().to_owned()];
            Self { child: None, program: "redis-sentinel", arguments, directory, port }
        })
    }

    /// Three masters that share the slots.
    #[allow(dead_code, reason = "not every test binary has one")]
    pub fn cluster() -> Vec<Self> {
        let node = || Self::with(&["--cluster-enabled", "yes", "--cluster-node-timeout", "15000"]);
        let nodes = [node(), node(), node()];
        let slots = [(0, 5460), (5461, 10922), (10923, 16383)];
        for (node, (first, last)) in nodes.iter().zip(slots) {
            node.ask(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]);
            let other = nodes[0].port.to_string();
            node.ask(&["CLUSTER", "MEET", "127.0.0.1", &other]);
        }
        for node in &nodes {
            eventually("the cluster is whole", || {
                let info = node.ask(&["CLUSTER", "INFO"]);
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
            });
        }
        nodes.into()
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Returns the output of `redis-cli` for a command.
    pub fn ask(&self, command: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string()])
            .args(command)
            .output()
            .expect("redis-cli has to be installed: see scripts/test.sh");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Ends it at once, as a machine does that loses power.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Stops the process: it responds to no client, and loses no data.
    #[allow(dead_code, reason = "not every test binary has one")]
    pub fn hang(&self) {
        self.signal("-STOP");
    }

    /// Ends that.
    #[allow(dead_code, reason = "not every test binary has one")]
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let process = self.child.as_ref().expect("it runs").id().to_string();
        assert!(Command::new("kill").args([signal, &process]).status().unwrap().success());
    }

    /// Restarts it on the same port without data.
    #[allow(dead_code, reason = "not every test binary has one")]
    pub fn restart(&mut self) {
        let start = Instant::now();
        while !self.listens() {
            assert!(start.elapsed() < PATIENCE, "{} ended by itself: {}", self.program, self.log());
            sleep(Duration::from_millis(100));
        }
    }

    /// The first of a few servers that listens: another program may have taken the port of one since it was free.
    fn listening(new: impl Fn() -> Self) -> Self {
        let mut logs = Vec::new();
        while logs.len() < 5 {
            let mut server = new();
            if server.listens() {
                return server;
            }
            logs.push(server.log());
        }
        panic!("none of five servers listens: {logs:?}")
    }

    /// Starts it, and returns whether it listens: it ends by itself if it cannot, as where a test looks whether the
    /// port is free.
    fn listens(&mut self) -> bool {
        self.kill();
        self.child = Some(self.spawn());
        let start = Instant::now();
        while !self.has_ended() {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() && !self.has_ended() {
                return true;
            }
            let waits = start.elapsed() < PATIENCE;
            assert!(waits, "it does not listen within {PATIENCE:?}: {}", self.log());
            sleep(Duration::from_millis(20));
        }
        false
    }

    /// What it has told since its last start.
    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    fn spawn(&self) -> Child {
        let log = File::create(self.directory.join("log")).unwrap();
        let child = Command::new(self.program)
            .args(&self.arguments)
            .current_dir(&self.directory)
            .stdout(log)
            .stderr(Stdio::null())
            .spawn();
        let program = self.program;
        child.unwrap_or_else(|error| {
            panic!("{program} has to be installed, see scripts/test.sh: {error}")
        })
    }

    fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some())
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

const PATIENCE: Duration = Duration::from_secs(60);

fn eventually(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        sleep(Duration::from_millis(20));
    }
}

fn directory(port: u16) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("octowire-redis-{}-{port}-{count}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}
