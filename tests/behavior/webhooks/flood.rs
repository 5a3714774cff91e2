//! A flood of deliveries to a program that is killed and started again in the middle of it.

use std::collections::{HashMap, HashSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use octowire::webhooks::{Delivery, DeliveryJournal, OutgoingDelivery, RetrySchedule};
use sha2::{Digest, Sha256};

use super::journal::Folder;
use super::{SECRET, builder};

const DELIVERIES: u32 = 50_000;
/// Of a hundred.
const DUPLICATED: u32 = 5;
const BROKEN: u32 = 1;
const FAILING: u32 = 10;
/// So many wait for an answer at a time.
const SENDERS: u32 = 64;
/// It takes some 20 s.
const PATIENCE: Duration = Duration::from_secs(600);
/// The memory limit of the program, in kilobytes. The deliveries have 100 MB.
const MEMORY: u64 = 250_000;

const FOLDER: &str = "OCTOWIRE_FLOOD_FOLDER";
const PORT: &str = "OCTOWIRE_FLOOD_PORT";

/// A number below a hundred that belongs to a name.
fn percent(name: &str) -> u32 {
    u32::from(Sha256::digest(name)[0]) * 100 / 256
}

fn id(number: u32) -> String {
    format!("delivery-{number}")
}

fn is_broken(number: u32) -> bool {
    percent(&format!("broken {number}")) < BROKEN
}

fn is_duplicated(number: u32) -> bool {
    percent(&format!("duplicated {number}")) < DUPLICATED
}

/// The program: it writes a line to a file for each handled delivery.
#[ignore = "the program that the test below starts"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_that_is_flooded() {
    let (Ok(folder), Ok(port)) = (std::env::var(FOLDER), std::env::var(PORT)) else { return };
    let folder = Path::new(&folder);
    let effects = folder.join("effects");
    let done: HashSet<String> = lines(&effects).into_iter().collect();
    let log = OpenOptions::new().create(true).append(true).open(&effects).unwrap();
    let (done, log) = (Arc::new(done), Arc::new(log));
    let handler = move |delivery: Delivery| {
        let (done, log) = (Arc::clone(&done), Arc::clone(&log));
        async move {
            if percent(&format!("{} {}", delivery.id(), delivery.attempt())) < FAILING {
                return Err("it fails at random");
            }
            // Only deliveries started before the program was killed can be in the file.
            if !(delivery.is_replayed() && done.contains(delivery.id())) {
                let line = format!("{}\n", delivery.id());
                assert_eq!((&*log).write(line.as_bytes()).unwrap(), line.len());
            }
            Ok(())
        }
    };
    let journal = DeliveryJournal::open(folder.join("journal")).await.unwrap();
    let at_once = Duration::from_millis(1);
    let receiver = builder()
        .journal(journal.clone())
        .concurrency(64)
        .retry(RetrySchedule::new(vec![5 * at_once; 19]).jitter(1.0))
        .start(handler)
        .unwrap();
    let left = move || async move { journal.pending_count().to_string() };
    let app = Router::new().merge(receiver.router("/webhooks")).route("/left", get(left));
    let address = ("127.0.0.1", port.parse().unwrap());
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    axum::serve(listener, app).await.unwrap();
}

fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

struct Program {
    child: Option<Child>,
    folder: std::path::PathBuf,
    port: u16,
}

impl Program {
    fn start(&mut self) {
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "behavior::webhooks::flood::the_program_that_is_flooded",
                "--exact",
                "--ignored",
            ])
            .env(FOLDER, &self.folder)
            .env(PORT, self.port.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn();
        self.child = Some(child.unwrap());
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// The most memory that it had, in kilobytes, where the system says.
    fn peak(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.as_ref()?.id()));
        let status = status.ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().trim_end_matches("kB").trim().parse().ok()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a delivery until it is acknowledged, as often as it takes; says how often.
async fn send(client: &reqwest::Client, url: &str, number: u32) -> u32 {
    let payload = format!("{{\"action\":\"opened\",\"text\":\"{}\"}}", "x".repeat(2_000));
    let outgoing = || OutgoingDelivery::new("issues", payload.clone()).id(id(number));
    let request = |secret: &str| {
        reqwest::Request::try_from(outgoing().sign(secret.to_owned(), url).unwrap()).unwrap()
    };
    for attempt in 1..20_000 {
        let secret = if is_broken(number) { "another" } else { SECRET };
        let status =
            client.execute(request(secret)).await.map(|response| response.status().as_u16());
        match status {
            Ok(200 | 202) => {
                assert!(!is_broken(number), "{} is acknowledged", id(number));
                return attempt;
            }
            Ok(401) => {
                assert!(is_broken(number), "{} is not taken for signed", id(number));
                return attempt;
            }
            // The program is busy, has it, or is gone.
            Ok(503) | Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            Ok(other) => panic!("{other} for {}", id(number)),
        }
    }
    panic!("{} was never answered", id(number));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_fifty_thousand_deliveries_is_handled_once_though_the_program_is_killed_twice() {
    let folder = Folder::new();
    let port = crate::support::ports::free_port();
    let path = folder.file().parent().unwrap().to_owned();
    let mut program = Program { child: None, folder: path.clone(), port };
    program.start();
    let url = format!("http://127.0.0.1:{port}/webhooks");
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    let began = Instant::now();
    let (next, repeated) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let senders: Vec<_> = (0..SENDERS)
        .map(|_| {
            let (client, url) = (client.clone(), url.clone());
            let (next, repeated) = (Arc::clone(&next), Arc::clone(&repeated));
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= DELIVERIES {
                        return;
                    }
                    let mut sent = send(&client, &url, number).await;
                    if is_duplicated(number) {
                        // Itself once more, and one that may be long done.
                        sent += send(&client, &url, number).await;
                        sent += send(&client, &url, number / 2).await;
                    }
                    repeated.fetch_add(sent - 1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let mut peak = 0;
    for killed_at in [DELIVERIES / 3, DELIVERIES * 2 / 3] {
        while next.load(Ordering::Relaxed) < killed_at {
            assert!(began.elapsed() < PATIENCE, "it stands still");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        peak = peak.max(program.peak().unwrap_or_default());
        program.kill();
        program.start();
    }
    for sender in senders {
        sender.await.unwrap();
    }
    let left = format!("http://127.0.0.1:{port}/left");
    while client.get(&left).send().await.unwrap().text().await.unwrap() != "0" {
        assert!(began.elapsed() < PATIENCE, "some are never handled");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    peak = peak.max(program.peak().unwrap_or_default());
    let mut times: HashMap<String, u32> = HashMap::new();
    for line in lines(&path.join("effects")) {
        *times.entry(line).or_default() += 1;
    }
    let expected: HashSet<String> =
        (0..DELIVERIES).filter(|number| !is_broken(*number)).map(id).collect();
    println!(
        "{} deliveries handled in {:.1} s, {} sent more than once, {} MB of memory at most",
        times.len(),
        began.elapsed().as_secs_f64(),
        repeated.load(Ordering::Relaxed),
        peak / 1_000
    );
    let lost: Vec<&String> = expected.iter().filter(|id| !times.contains_key(*id)).collect();
    assert!(lost.is_empty(), "{} are lost: {:?}", lost.len(), &lost[..lost.len().min(5)]);
    let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).collect();
    assert!(
        twice.is_empty(),
        "{} are handled twice: {:?}",
        twice.len(),
        &twice[..twice.len().min(5)]
    );
    assert_eq!(times.len(), expected.len());
    assert!(peak < MEMORY, "{peak} kB of memory");
}
