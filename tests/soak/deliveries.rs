//! Webhook deliveries to a receiver that is killed again and again.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use octowire::webhooks::{
    Delivery, DeliveryJournal, OutgoingDelivery, RetrySchedule, Verifier, WebhookReceiver,
};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::github::checksum;
use super::process::{self, FOLDER, Process};

/// The most memory that the receiver may hold, in kilobytes.
pub const MAX_KILOBYTES: u64 = 250_000;

const PORT: &str = "OCTOWIRE_SOAK_PORT";
const SECRET: &str = "the secret of the soak's webhook";
const SENDERS: u64 = 8;
/// Time between two deliveries of a sender.
const INTERVAL: Duration = Duration::from_millis(50);
/// The longest time of the last deliveries after the soak.
const PATIENCE: Duration = Duration::from_secs(60);

/// The percentage of attempts and deliveries of each kind.
const FAILING: u64 = 10;
const DUPLICATED: u64 = 10;
const FORGED: u64 = 5;

/// The receiver and its sender.
pub struct Deliveries {
    folder: PathBuf,
    port: u16,
    receiver: Process,
    senders: Vec<JoinHandle<()>>,
    acknowledged: Arc<Mutex<HashSet<String>>>,
}

/// The outcomes of the deliveries.
pub struct HandledDeliveries {
    acknowledged: usize,
    lost: Vec<String>,
    twice: Vec<String>,
    forged: Vec<String>,
}

/// The receiver: each delivery that it handles is a line in a file.
#[ignore = "a process of the soak"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_receiver() {
    let (Ok(folder), Ok(port)) = (std::env::var(FOLDER), std::env::var(PORT)) else { return };
    let folder = Path::new(&folder);
    process::report_panics(folder);
    let handled = folder.join("handled");
    let before: Arc<HashSet<String>> = Arc::new(lines(&handled).into_iter().collect());
    let log = Arc::new(OpenOptions::new().create(true).append(true).open(&handled).unwrap());
    let handler = move |delivery: Delivery| {
        let (before, log) = (Arc::clone(&before), Arc::clone(&log));
        async move {
            if is_one_of(FAILING, &format!("{} {}", delivery.id(), delivery.attempt())) {
                return Err("it fails at random");
            }
            // Deliveries started before the process was killed can have been handled.
            if !(delivery.is_replayed() && before.contains(delivery.id())) {
                let line = format!("{}\n", delivery.id());
                assert_eq!((&*log).write(line.as_bytes()).unwrap(), line.len());
            }
            Ok(())
        }
    };
    let journal = DeliveryJournal::open(folder.join("journal").join("webhooks")).await.unwrap();
    let receiver = WebhookReceiver::builder(Verifier::new(SECRET).unwrap())
        .journal(journal.clone())
        .concurrency(16)
        .retry(RetrySchedule::new(vec![Duration::from_millis(20); 19]).jitter(1.0))
        .start(handler)
        .unwrap();
    let left = move || async move { journal.pending_count().to_string() };
    let app = Router::new().merge(receiver.router("/webhooks")).route("/left", get(left));
    let address = ("127.0.0.1", port.parse().unwrap());
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    axum::serve(listener, app).await.unwrap();
}

impl Deliveries {
    /// Sends deliveries for as long as the soak lasts.
    pub fn start(folder: &Path, length: Duration) -> Self {
        std::fs::create_dir_all(folder.join("journal")).unwrap();
        let port = crate::redis_servers::free_port();
        let acknowledged = Arc::new(Mutex::new(HashSet::new()));
        let (began, next) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().unwrap();
        let url = format!("http://127.0.0.1:{port}/webhooks");
        let senders = (0..SENDERS).map(|_| {
            let (client, url, next) = (client.clone(), url.clone(), Arc::clone(&next));
            let acknowledged = Arc::clone(&acknowledged);
            tokio::spawn(async move {
                while began.elapsed() < length {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let id = format!("delivery-{number}");
                    if send(&client, &url, &id).await {
                        acknowledged.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
                        if is_one_of(DUPLICATED, &format!("duplicated {number}")) {
                            // A delivery that can have been handled long ago.
                            send(&client, &url, &format!("delivery-{}", number / 2)).await;
                        }
                    }
                    sleep(INTERVAL).await;
                }
            })
        });
        Self {
            folder: folder.to_owned(),
            port,
            receiver: start(folder, port),
            senders: senders.collect(),
            acknowledged,
        }
    }

    pub fn kill_and_restart(&mut self) {
        self.receiver.kill();
        self.receiver = start(&self.folder, self.port);
    }

    pub fn peak_kilobytes(&self) -> u64 {
        self.receiver.peak_kilobytes().unwrap_or_default()
    }

    /// Waits until all is handled.
    pub async fn finish(self) -> HandledDeliveries {
        for sender in self.senders {
            sender.await.unwrap();
        }
        let (began, left) = (Instant::now(), format!("http://127.0.0.1:{}/left", self.port));
        loop {
            let response = reqwest::get(&left).await;
            if let Ok(response) = response
                && response.text().await.is_ok_and(|left| left == "0")
            {
                break;
            }
            assert!(began.elapsed() < PATIENCE, "deliveries are never handled");
            sleep(Duration::from_millis(50)).await;
        }
        let mut times: HashMap<String, u32> = HashMap::new();
        for line in lines(&self.folder.join("handled")) {
            *times.entry(line).or_default() += 1;
        }
        let acknowledged = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        let named = |keep: &dyn Fn(&String, u32) -> bool| {
            let kept = times.iter().filter(|(id, times)| keep(id, **times));
            kept.map(|(id, _)| id.clone()).collect()
        };
        HandledDeliveries {
            acknowledged: acknowledged.len(),
            lost: acknowledged.iter().filter(|id| !times.contains_key(*id)).cloned().collect(),
            twice: named(&|_, times| times > 1),
            forged: named(&|id, _| is_forged(id)),
        }
    }
}

impl HandledDeliveries {
    pub fn assert_once(&self) {
        let Self { acknowledged, lost, twice, forged } = self;
        assert!(lost.is_empty(), "lost: {lost:?}");
        assert!(twice.is_empty(), "handled twice: {twice:?}");
        assert!(forged.is_empty(), "forged: {forged:?}");
        assert!(*acknowledged > 50, "{self}");
    }
}

impl fmt::Display for HandledDeliveries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} deliveries acknowledged, each handled once", self.acknowledged)
    }
}

fn start(folder: &Path, port: u16) -> Process {
    Process::start("deliveries::the_receiver", folder, &[(PORT, port.to_string())])
}

/// Sends a delivery until the receiver decides on it; true if it is acknowledged.
async fn send(client: &reqwest::Client, url: &str, id: &str) -> bool {
    let secret = if is_forged(id) { "another secret" } else { SECRET };
    let payload = format!("{{\"action\":\"opened\",\"text\":\"{}\"}}", "x".repeat(2_000));
    for _ in 0..2_000 {
        let delivery = OutgoingDelivery::new("issues", payload.clone()).id(id);
        let signed = delivery.sign(secret.to_owned(), url).unwrap();
        let request = reqwest::Request::try_from(signed).unwrap();
        match client.execute(request).await.map(|response| response.status().as_u16()) {
            Ok(200 | 202) => return true,
            Ok(401) => return false,
            // The receiver is busy, or it has been killed.
            Ok(503) | Err(_) => sleep(Duration::from_millis(20)).await,
            Ok(other) => panic!("{other} for {id}"),
        }
    }
    panic!("{id} was never decided on");
}

fn is_forged(id: &str) -> bool {
    is_one_of(FORGED, &format!("forged {id}"))
}

/// Whether a name belongs to so many of a hundred.
fn is_one_of(percent: u64, name: &str) -> bool {
    checksum(name) % 100 < percent
}

fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}
