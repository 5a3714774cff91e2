//! The cost of webhooks: verifying, decoding and receiving them.

use std::hint::black_box;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac as aws_hmac;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::post;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, StatusCode};
use octowire::webhooks::{Event, Verifier, WebhookReceiver, sign};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::calls::single_threaded;
use crate::measure::{Summary, cpu_time, rounds};
use crate::{Result, report};

pub const SECRET: &str = "the secret of the webhook";
const CONNECTIONS: usize = 32;
const SAMPLE: Duration = Duration::from_millis(400);

pub fn run() -> Result<()> {
    println!("{}", report::header(&format!("{} rounds", rounds())));
    verification()?;
    decoding()?;
    receiving()
}

/// The time of one operation, in seconds, over enough repetitions.
fn time(mut act: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut times = 1_u32;
    loop {
        let start = cpu_time();
        for _ in 0..times {
            act()?;
        }
        let took = cpu_time() - start;
        if took > Duration::from_millis(30) {
            return Ok(took.as_secs_f64() / f64::from(times));
        }
        times *= 2;
    }
}

fn verification() -> Result<()> {
    println!("Verifying a signature:\n");
    println!("| body | octowire, µs | aws-lc-rs | ring | hmac + sha2 | the fastest, of octowire |");
    println!("|---|--:|--:|--:|--:|--:|");
    for (name, size) in [("8 KB", 8 * 1024), ("25 MB", 25_000_000)] {
        let body: Vec<u8> = (0..size).map(|index| (index % 251) as u8).collect();
        let signature = sign(SECRET, &body)?;
        let verifier = Verifier::new(SECRET)?;
        let tag =
            aws_hmac::sign(&aws_hmac::Key::new(aws_hmac::HMAC_SHA256, SECRET.as_bytes()), &body);
        let aws = aws_hmac::Key::new(aws_hmac::HMAC_SHA256, SECRET.as_bytes());
        let ring = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
        let rust = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes())?;
        let wrong = || crate::Error::from("the signature is not right");
        let mut samples: [Vec<f64>; 4] = Default::default();
        for _ in 0..rounds() {
            samples[0].push(time(|| {
                verifier.verify_signature(black_box(&signature), black_box(&body))?;
                Ok(())
            })?);
            samples[1].push(time(|| {
                aws_hmac::verify(&aws, black_box(&body), tag.as_ref()).map_err(|_| wrong())
            })?);
            samples[2].push(time(|| {
                ring::hmac::verify(&ring, black_box(&body), tag.as_ref()).map_err(|_| wrong())
            })?);
            samples[3].push(time(|| {
                let mac = rust.clone().chain_update(black_box(&body));
                mac.verify_slice(tag.as_ref()).map_err(|_| wrong())
            })?);
        }
        let fastest = (1..4)
            .map(|peer| Summary::of_ratios(&samples[peer], &samples[0]))
            .min_by(|a, b| a.median.total_cmp(&b.median))
            .ok_or_else(wrong)?;
        let [ours, aws, ring, rust] = samples.map(|samples| Summary::of(samples).median * 1e6);
        println!(
            "| {name} | {ours:.2} | {aws:.2} | {ring:.2} | {rust:.2} | {} |",
            fastest.shown(1.0, 2)
        );
    }
    println!();
    Ok(())
}

/// A published event, with its payloads as GitHub wrote them.
#[derive(Deserialize)]
struct PublishedEvent<'a> {
    name: String,
    #[serde(borrow)]
    examples: Vec<&'a RawValue>,
}

/// The published payloads, with the names of their events. Their properties are in GitHub's order, which a [`Value`]
/// would not keep.
pub fn payloads() -> Result<Vec<(String, Vec<u8>)>> {
    let path = "../tests/webhooks/examples/api.github.com.json.gz";
    let packed = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))?;
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut text)?;
    let events: Vec<PublishedEvent<'_>> = serde_json::from_slice(&text)?;
    let mut payloads = Vec::new();
    for PublishedEvent { name, examples } in events {
        payloads.extend(examples.iter().map(|payload| (name.clone(), compact(payload.get()))));
    }
    Ok(payloads)
}

/// JSON without the white space between its tokens, as GitHub sends it.
fn compact(json: &str) -> Vec<u8> {
    let (mut in_string, mut is_escaped) = (false, false);
    let kept = json.bytes().filter(|byte| {
        if in_string {
            in_string = *byte != b'"' || is_escaped;
            is_escaped = *byte == b'\\' && !is_escaped;
            return true;
        }
        in_string = *byte == b'"';
        !byte.is_ascii_whitespace()
    });
    kept.collect()
}

fn octocrab(name: &str, payload: &[u8]) -> Option<octocrab::models::webhook_events::WebhookEvent> {
    octocrab::models::webhook_events::WebhookEvent::try_from_header_and_body(name, payload).ok()
}

fn decoding() -> Result<()> {
    let all = payloads()?;
    let typed = all.iter().filter(|(name, payload)| {
        Event::read(name, payload).is_ok_and(|event| !event.is_unknown())
    });
    let typed = typed.count();
    // The payloads that both decode, so that both do the same work.
    let both: Vec<_> =
        all.iter().filter(|(name, payload)| octocrab(name, payload).is_some()).collect();
    let bytes: usize = both.iter().map(|(_, payload)| payload.len()).sum();
    let mut samples: [Vec<f64>; 3] = Default::default();
    for _ in 0..rounds() {
        samples[0].push(time(|| {
            for (name, payload) in &both {
                black_box(Event::read(name, payload)?);
            }
            Ok(())
        })?);
        samples[1].push(time(|| {
            for (name, payload) in &both {
                black_box(octocrab(name, payload));
            }
            Ok(())
        })?);
        samples[2].push(time(|| {
            for (_, payload) in &both {
                black_box(serde_json::from_slice::<Value>(payload)?);
            }
            Ok(())
        })?);
    }
    let ratio = Summary::of_ratios(&samples[0], &samples[1]);
    let [ours, octocrab, value] =
        samples.map(|samples| Summary::of(samples).median * 1e6 / both.len() as f64);
    println!(
        "A payload of {:.1} KB, the mean of the {} published ones that both decode:\n",
        bytes as f64 / both.len() as f64 / 1024.0,
        both.len()
    );
    println!(
        "| decoder | µs | of octocrab | published payloads, of {} |\n|---|--:|--:|--:|",
        all.len()
    );
    println!("| octowire | {ours:.1} | {} | {typed} |", ratio.shown(1.0, 2));
    println!("| octocrab | {octocrab:.1} | 1.00 | {} |", both.len());
    println!("| serde_json::Value | {value:.1} | {:.2} | |\n", value / octocrab);
    Ok(())
}

fn receiving() -> Result<()> {
    println!(
        "Receiving signed events of 8 KB over {CONNECTIONS} connections, with one thread for the server:\n"
    );
    println!("| server | per second | of axum | of axum, verifying | of axum, also reading JSON |");
    println!("|---|--:|--:|--:|--:|");
    let body = format!("{{\"action\":\"opened\",\"text\":\"{}\"}}", "x".repeat(8 * 1024 - 30));
    let mut servers = Vec::new();
    for kind in [Variant::Bare, Variant::Verifying, Variant::ReadingJson, Variant::Receiver] {
        servers.push(serve(kind)?);
    }
    let mut samples: [Vec<f64>; 4] = Default::default();
    for _ in 0..rounds() {
        for (samples, address) in samples.iter_mut().zip(&servers) {
            samples.push(rate(*address, &body)?);
        }
    }
    let names = [
        "axum, reading the body",
        "axum, also verifying it with aws-lc-rs",
        "axum, also reading its JSON",
        "octowire's receiver",
    ];
    for (name, of) in names.into_iter().zip(&samples) {
        let of_base = |base: &[f64]| Summary::of_ratios(of, base).shown(1.0, 2);
        let rate = Summary::of(of.clone()).median;
        println!(
            "| {name} | {rate:.0} | {} | {} | {} |",
            of_base(&samples[0]),
            of_base(&samples[1]),
            of_base(&samples[2])
        );
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Variant {
    Bare,
    Verifying,
    ReadingJson,
    Receiver,
}

/// A server on its own thread, until the program ends.
fn serve(kind: Variant) -> Result<SocketAddr> {
    let (sender, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || -> Result<()> {
        single_threaded()?.block_on(async move {
            let app = match kind {
                Variant::Bare => Router::new()
                    .route("/webhooks", post(|body: Bytes| async move { read(&body) }))
                    .layer(DefaultBodyLimit::disable()),
                Variant::Verifying => Router::new()
                    .route("/webhooks", post(verify))
                    .layer(DefaultBodyLimit::disable()),
                Variant::ReadingJson => Router::new()
                    .route("/webhooks", post(verify_and_read))
                    .layer(DefaultBodyLimit::disable()),
                Variant::Receiver => {
                    let receiver = WebhookReceiver::builder(Verifier::new(SECRET)?)
                        .start(|_| async { Ok::<_, std::convert::Infallible>(()) })?;
                    receiver.router("/webhooks")
                }
            };
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            sender.send(listener.local_addr()?)?;
            axum::serve(listener, app).await?;
            Ok(())
        })
    });
    Ok(address.recv()?)
}

/// The minimum work of a webhook receiver.
async fn verify(headers: HeaderMap, body: Bytes) -> StatusCode {
    if is_signed(&headers, &body) { StatusCode::ACCEPTED } else { StatusCode::UNAUTHORIZED }
}

/// The same, and rejects a body that is not JSON, without building a value: in UTF-8, as the receiver does.
async fn verify_and_read(headers: HeaderMap, body: Bytes) -> StatusCode {
    if !is_signed(&headers, &body) {
        return StatusCode::UNAUTHORIZED;
    }
    match serde_json::from_slice::<&RawValue>(&body) {
        Ok(_) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::BAD_REQUEST,
    }
}

fn is_signed(headers: &HeaderMap, body: &[u8]) -> bool {
    static KEY: LazyLock<aws_hmac::Key> =
        LazyLock::new(|| aws_hmac::Key::new(aws_hmac::HMAC_SHA256, SECRET.as_bytes()));
    let signature = headers.get("x-hub-signature-256").and_then(|value| value.to_str().ok());
    signature == Some(&*sign_with(&KEY, body))
}

fn sign_with(key: &aws_hmac::Key, body: &[u8]) -> String {
    use std::fmt::Write;

    let mut signature = "sha256=".to_owned();
    for byte in aws_hmac::sign(key, body).as_ref() {
        // Writing to a string cannot fail.
        let _ = write!(signature, "{byte:02x}");
    }
    signature
}

fn read(body: &Bytes) -> StatusCode {
    black_box(body);
    StatusCode::ACCEPTED
}

/// The accepted deliveries per second.
fn rate(address: SocketAddr, body: &str) -> Result<f64> {
    let signature = sign(SECRET, body.as_bytes())?;
    let stop = Arc::new(AtomicBool::new(false));
    single_threaded()?.block_on(async {
        let start = Instant::now();
        let senders: Vec<_> = (0..CONNECTIONS)
            .map(|number| {
                tokio::spawn(send(
                    address,
                    number,
                    body.to_owned(),
                    signature.clone(),
                    stop.clone(),
                ))
            })
            .collect();
        tokio::time::sleep(SAMPLE).await;
        stop.store(true, Relaxed);
        let mut accepted = 0;
        for sender in senders {
            accepted += sender.await??;
        }
        Ok(f64::from(accepted) / start.elapsed().as_secs_f64())
    })
}

/// Writes requests and reads responses as bytes, so that the sender needs little CPU time.
async fn send(
    address: SocketAddr,
    number: usize,
    body: String,
    signature: String,
    stop: Arc<AtomicBool>,
) -> Result<u32> {
    // No name is ever used twice.
    static RUN: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let run = RUN.fetch_add(1, Relaxed);
    let mut socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let mut response = vec![0; 1024];
    let mut accepted = 0;
    while !stop.load(Relaxed) {
        let head = format!(
            "POST /webhooks HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nx-github-event: issues\r\nx-github-delivery: {run}-{number}-{accepted}\r\n\
             x-hub-signature-256: {signature}\r\n\r\n",
            body.len()
        );
        socket.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await?;
        let mut read = 0;
        // The responses are short: the text of the receiver's ends in a line break.
        while !response[..read].windows(4).any(|end| end == b"\r\n\r\n") {
            let more = socket.read(&mut response[read..]).await?;
            if more == 0 {
                return Err("the server closed the connection".into());
            }
            read += more;
        }
        if !response.starts_with(b"HTTP/1.1 202") {
            let response = String::from_utf8_lossy(&response[..read]).into_owned();
            return Err(format!("not accepted: {response}").into());
        }
        accepted += 1;
    }
    Ok(accepted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_within_text_is_kept() {
        let json = "{ \"a \\\" b\" :\n [1, \"\\\\\", true] }";
        assert_eq!(compact(json), b"{\"a \\\" b\":[1,\"\\\\\",true]}");
        assert_eq!(payloads().expect("the payloads").len(), 329);
    }
}
