//! Servers that misbehave by script, on raw sockets of 127.0.0.1: HTTP/1.1 and HTTP/2.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use octowire::{Client, ClientBuilder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Received, receive};

/// The steps of an HTTP/1.1 server after a request. If no step ends the connection, it waits
/// for the next request.
#[derive(Clone, Debug)]
pub enum Step {
    Send(Vec<u8>),
    Pause(Duration),
    /// Sends these bytes again and again.
    Dribble(&'static [u8], Duration),
    /// The end of the connection.
    Close,
    /// Its end by a reset.
    Reset,
    /// Nothing more, and no end.
    Stall,
}

/// A server whose script is made for each request, of its number from 0 on.
pub struct Http1 {
    pub url: String,
    log: Arc<Mutex<Vec<Received>>>,
}

impl Http1 {
    pub async fn start(
        script: impl Fn(usize, &Received) -> Vec<Step> + Send + Sync + 'static,
    ) -> Self {
        let (listener, url) = listen().await;
        let (log, script) = (Arc::new(Mutex::new(Vec::new())), Arc::new(script));
        let entries = Arc::clone(&log);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (script, entries) = (Arc::clone(&script), Arc::clone(&entries));
                tokio::spawn(async move { run_http1(socket, &*script, &entries).await });
            }
        });
        Self { url, log }
    }

    pub fn requests(&self) -> Vec<Received> {
        self.log.lock().unwrap().clone()
    }

    pub fn builder(&self) -> ClientBuilder {
        Client::builder().base_url(&self.url)
    }
}

async fn run_http1(
    mut socket: TcpStream,
    script: &(impl Fn(usize, &Received) -> Vec<Step> + Sync),
    log: &Mutex<Vec<Received>>,
) {
    let mut buffer = Vec::new();
    while let Some(request) = receive(&mut socket, &mut buffer).await {
        let number = {
            let mut log = log.lock().unwrap();
            log.push(request.clone());
            log.len() - 1
        };
        for step in script(number, &request) {
            let sent = match step {
                Step::Send(bytes) => socket.write_all(&bytes).await,
                Step::Pause(time) => {
                    tokio::time::sleep(time).await;
                    Ok(())
                }
                Step::Dribble(bytes, pause) => loop {
                    if let Err(error) = socket.write_all(bytes).await {
                        break Err(error);
                    }
                    tokio::time::sleep(pause).await;
                },
                Step::Close => {
                    let _ = socket.shutdown().await;
                    return;
                }
                Step::Reset => {
                    // Data sent before arrives first.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    let _ = socket.set_zero_linger();
                    return;
                }
                Step::Stall => std::future::pending().await,
            };
            if sent.is_err() {
                return;
            }
        }
    }
}

/// The frames that an HTTP/2 server sends on the stream of a request.
#[derive(Clone, Debug)]
pub enum Frame {
    /// The status, other headers, and whether the stream ends with them.
    Headers(u16, Vec<(&'static str, String)>, bool),
    /// A part of the body, and whether the stream ends with it.
    Data(Vec<u8>, bool),
    /// Headers after the body, which end the stream.
    Trailers,
    /// A reset of the stream with this error code.
    Reset(u32),
    /// The end of the connection, announced with this error code.
    GoAway(u32),
    Pause(Duration),
    /// The end of the connection.
    Close,
}

pub const NO_ERROR: u32 = 0;
pub const INTERNAL_ERROR: u32 = 2;
pub const CANCEL: u32 = 8;

/// A server that speaks HTTP/2 without TLS, and whose script is made for each request, of its number from
/// 0 on. It answers before it reads the body of a request.
pub struct Http2 {
    pub url: String,
    requests: Arc<AtomicUsize>,
}

impl Http2 {
    pub async fn start(script: impl Fn(usize) -> Vec<Frame> + Send + Sync + 'static) -> Self {
        let (listener, url) = listen().await;
        let (requests, script) = (Arc::new(AtomicUsize::new(0)), Arc::new(script));
        let counter = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (script, counter) = (Arc::clone(&script), Arc::clone(&counter));
                tokio::spawn(async move { run_http2(socket, &*script, &counter).await });
            }
        });
        Self { url, requests }
    }

    /// The number of requests received.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// A client that speaks HTTP/2 from the beginning.
    pub fn builder(&self) -> ClientBuilder {
        let http = reqwest::Client::builder().http2_prior_knowledge();
        let http = http.redirect(reqwest::redirect::Policy::none());
        let http = http.retry(reqwest::retry::never()).build().unwrap();
        Client::builder().base_url(&self.url).http_client(http)
    }
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PREFACE: usize = 24;

async fn run_http2(
    mut socket: TcpStream,
    script: &(impl Fn(usize) -> Vec<Frame> + Sync),
    requests: &AtomicUsize,
) -> Option<()> {
    socket.read_exact(&mut [0; PREFACE]).await.ok()?;
    send(&mut socket, SETTINGS, 0, 0, &[]).await?;
    loop {
        let mut head = [0; 9];
        socket.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let (kind, flags) = (head[3], head[4]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        let mut payload = vec![0; length as usize];
        socket.read_exact(&mut payload).await.ok()?;
        match kind {
            SETTINGS if flags & ACK == 0 => send(&mut socket, SETTINGS, ACK, 0, &[]).await?,
            PING if flags & ACK == 0 => send(&mut socket, PING, ACK, 0, &payload).await?,
            HEADERS => {
                for frame in script(requests.fetch_add(1, Ordering::SeqCst)) {
                    run_frame(&mut socket, stream, frame).await?;
                }
            }
            _ => {}
        }
    }
}

async fn run_frame(socket: &mut TcpStream, stream: u32, frame: Frame) -> Option<()> {
    let end_flag = |end: bool| if end { END_STREAM } else { 0 };
    match frame {
        Frame::Headers(status, headers, end) => {
            let mut block = Vec::new();
            literal(&mut block, ":status", &status.to_string());
            headers.iter().for_each(|(name, value)| literal(&mut block, name, value));
            send(socket, HEADERS, END_HEADERS | end_flag(end), stream, &block).await
        }
        Frame::Data(bytes, end) => send(socket, DATA, end_flag(end), stream, &bytes).await,
        Frame::Trailers => {
            let mut block = Vec::new();
            literal(&mut block, "x-trailer", "1");
            send(socket, HEADERS, END_HEADERS | END_STREAM, stream, &block).await
        }
        Frame::Reset(code) => send(socket, RST_STREAM, 0, stream, &code.to_be_bytes()).await,
        Frame::GoAway(code) => {
            let payload = [stream.to_be_bytes(), code.to_be_bytes()].concat();
            send(socket, GOAWAY, 0, 0, &payload).await
        }
        Frame::Pause(time) => {
            tokio::time::sleep(time).await;
            Some(())
        }
        Frame::Close => None,
    }
}

async fn send(
    socket: &mut TcpStream,
    kind: u8,
    flags: u8,
    stream: u32,
    payload: &[u8],
) -> Option<()> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    socket.write_all(&frame).await.ok()
}

/// A header of HPACK (RFC 7541, 6.2.2): spelled out, and not indexed.
fn literal(block: &mut Vec<u8>, name: &str, value: &str) {
    block.push(0);
    for text in [name, value] {
        block.push(u8::try_from(text.len()).ok().filter(|length| *length < 127).unwrap());
        block.extend_from_slice(text.as_bytes());
    }
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}
