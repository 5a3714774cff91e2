//! A fake of GitHub whose issues change occasionally, and whose `ETag`s depend on the token, as GitHub's do.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// The fake, while the program runs.
pub struct GitHub {
    pub base_url: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The number of the newest issue, by path.
    newest: HashMap<String, u64>,
    counted: u64,
}

impl GitHub {
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base_url = format!("http://{}", listener.local_addr()?);
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&shared)));
            }
        });
        Ok(Self { base_url, state })
    }

    /// Opens an issue.
    pub fn open_issue(&self, path: &str) {
        *lock(&self.state).newest.entry(path.to_owned()).or_default() += 1;
    }

    /// The calls that counted against the rate limit.
    pub fn counted(&self) -> u64 {
        lock(&self.state).counted
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(socket: TcpStream, state: Arc<Mutex<State>>) -> io::Result<()> {
    let mut socket = BufReader::new(socket);
    loop {
        let (mut first, mut headers) = (String::new(), HashMap::new());
        if socket.read_line(&mut first).await? == 0 {
            return Ok(());
        }
        loop {
            let mut line = String::new();
            socket.read_line(&mut line).await?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let response = respond(&first, &headers, &mut lock(&state));
        socket.write_all(response.as_bytes()).await?;
    }
}

fn respond(first: &str, headers: &HashMap<String, String>, state: &mut State) -> String {
    let target = first.split(' ').nth(1).unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default();
    let newest = state.newest.get(path).copied().unwrap_or_default();
    let issues: Vec<_> = (newest.saturating_sub(29)..=newest)
        .rev()
        .map(|number| json!({ "number": number, "title": format!("Issue {number}") }))
        .collect();
    let body = json!(issues).to_string();
    let mut digest = Sha256::new();
    for value in ["accept", "authorization"].iter().filter_map(|name| headers.get(*name)) {
        digest.update(format!("{value}:"));
    }
    let digest = digest.chain_update(&body).finalize();
    let tag: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let known = headers.get("if-none-match").is_some_and(|known| known.contains(&tag));
    state.counted += u64::from(!known);
    let (status, body) = if known { ("304 Not Modified", "") } else { ("200 OK", &*body) };
    let length = if known { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\netag: W/\"{tag}\"\r\n{length}\
         x-ratelimit-limit: 5000\r\nx-ratelimit-remaining: {}\r\nx-ratelimit-used: {}\r\n\
         x-ratelimit-reset: 4000000000\r\nx-ratelimit-resource: core\r\n\r\n{body}",
        5_000_u64.saturating_sub(state.counted),
        state.counted,
    )
}
