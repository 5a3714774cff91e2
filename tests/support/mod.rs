//! A server on a raw socket, for responses that no well-behaved server sends.
#![allow(dead_code)]

#[cfg(feature = "github-app")]
pub mod github_app;
pub mod hostile;
pub mod limiter;
#[allow(
    clippy::duplicate_mod,
    reason = "so have the Redis servers, which not every test program has"
)]
pub mod ports;
pub mod resources;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use octowire::cache::CacheConfig;
use octowire::rate_limit::RateLimitPolicy;
use octowire::{Client, ClientBuilder, RetryPolicy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A folder that goes with the test.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let name = format!("{name}-{}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    /// A folder that exists.
    pub fn created(name: &str) -> Self {
        let folder = Self::new(name);
        std::fs::create_dir_all(&folder.0).unwrap();
        folder
    }

    /// The names of its files.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A store in the server at this URL, which may be slow to answer at first: others have just started, too.
#[cfg(feature = "redis")]
pub async fn connected(url: &str) -> octowire::store::RedisStore {
    let start = std::time::Instant::now();
    loop {
        match octowire::store::RedisStore::connect(url).await {
            Ok(store) => return store,
            Err(error) => assert!(start.elapsed().as_secs() < 20, "{error}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// A request as it came in.
#[derive(Clone, Debug, Default)]
pub struct Received {
    pub method: String,
    /// The path and the query.
    pub target: String,
    /// The headers, by their names in lower case.
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Received {
    /// A parameter of the query as a number.
    pub fn number(&self, name: &str) -> Option<u64> {
        let (_, query) = self.target.split_once('?')?;
        let prefix = format!("{name}=");
        query.split('&').find_map(|part| part.strip_prefix(&prefix)?.parse().ok())
    }
}

/// The response to send.
pub enum Reply {
    /// These bytes, and then the next request.
    Raw(Vec<u8>),
    /// These bytes, and then the end of the connection.
    Last(Vec<u8>),
    /// These bytes, and then nothing.
    Silence(Vec<u8>),
}

pub struct Server {
    pub url: String,
    log: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    /// A server that sends what `response` makes of each request.
    pub async fn start<F, R>(response: F) -> Self
    where
        F: Fn(Received) -> R + Send + Sync + 'static,
        R: Future<Output = Reply> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let (response, entries) = (Arc::new(response), Arc::clone(&log));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (response, entries) = (Arc::clone(&response), Arc::clone(&entries));
                tokio::spawn(async move { serve(socket, &*response, &entries).await });
            }
        });
        Self { url, log }
    }

    /// A server that always responds with the same bytes.
    pub async fn fixed_response(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::start(move |_| {
            let reply = Reply::Last(bytes.clone());
            async { reply }
        })
        .await
    }

    /// A server that takes requests and says nothing after these bytes.
    pub async fn silent_after(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::start(move |_| {
            let reply = Reply::Silence(bytes.clone());
            async { reply }
        })
        .await
    }

    pub fn requests(&self) -> Vec<Received> {
        self.log.lock().unwrap().clone()
    }

    pub fn request_count(&self) -> usize {
        self.log.lock().unwrap().len()
    }

    /// A client that sends each call once, and at once: for tests of a single attempt.
    pub fn builder(&self) -> ClientBuilder {
        let builder = self.default_client_builder().rate_limits(RateLimitPolicy::disabled());
        builder.retry(RetryPolicy::disabled()).cache(CacheConfig::disabled())
    }

    /// A client as users have it.
    pub fn default_client_builder(&self) -> ClientBuilder {
        Client::builder().base_url(&self.url)
    }

    pub fn client(&self) -> Client {
        self.builder().token("t0ken").build().unwrap()
    }
}

async fn serve<F, R>(mut socket: TcpStream, response: &F, log: &Mutex<Vec<Received>>)
where
    F: Fn(Received) -> R,
    R: Future<Output = Reply>,
{
    let mut buffer = Vec::new();
    while let Some(request) = receive(&mut socket, &mut buffer).await {
        log.lock().unwrap().push(request.clone());
        match response(request).await {
            Reply::Raw(bytes) => {
                if socket.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Reply::Last(bytes) => {
                let _ = socket.write_all(&bytes).await;
                let _ = socket.shutdown().await;
                return;
            }
            Reply::Silence(bytes) => {
                let _ = socket.write_all(&bytes).await;
                std::future::pending::<()>().await;
            }
        }
    }
}

pub async fn receive(socket: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Received> {
    let head = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head: Vec<u8> = buffer.drain(..end + 4).collect();
            break String::from_utf8(head).unwrap();
        }
        if socket.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ').map(str::to_owned);
    let headers: HashMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    while buffer.len() < length {
        if socket.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    Some(Received {
        method: words.next()?,
        target: words.next()?,
        headers,
        body: buffer.drain(..length).collect(),
    })
}

/// A response with a JSON body; `headers` are lines that each end in `\r\n`.
pub fn json_response(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json; charset=utf-8\r\n\
         content-length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Keeps tokio's paused clock from running ahead while the network is waited for: only
/// [`tokio::time::advance`] moves it while this lives.
pub struct FrozenClock(Option<std::sync::mpsc::Sender<()>>);

impl FrozenClock {
    pub fn new() -> Self {
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        // tokio does not advance by itself while a blocking task runs.
        tokio::task::spawn_blocking(move || receiver.recv());
        Self(Some(sender))
    }
}

impl Drop for FrozenClock {
    fn drop(&mut self) {
        self.0.take();
    }
}
