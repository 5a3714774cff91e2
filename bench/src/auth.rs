//! The cost of tokens: of a cached one, and of the first one for many concurrent calls.

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use octowire::Client;
use octowire::auth::App;
use octowire::http::Method;
use octowire::rate_limit::RateLimitPolicy;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::allocations::{self, Allocations};
use crate::calls::{WORKERS, multi_threaded, single_threaded};
use crate::clients::TOKEN;
use crate::measure::{Summary, concurrent, rounds};
use crate::server::Server;
use crate::{Result, report};

/// Number of tokens taken in a sample: some tens of milliseconds.
const TAKEN: u32 = 200_000;
/// Number of concurrent calls without a token.
const CALLS: usize = 10_000;
const INSTALLATION: u64 = 42;

pub fn run() -> Result<()> {
    let server = Server::start()?;
    let app = app()?;
    println!("{}", report::header(&format!("{} rounds", rounds())));
    cached_token(&server, &app)?;
    first_token(&server, &app)
}

/// The token that every attempt uses, while it is valid.
fn cached_token(server: &Server, app: &App) -> Result<()> {
    let client = Client::builder().base_url(server.url()).auth(app.installation(INSTALLATION));
    let client = client.build()?;
    let runtime = single_threaded()?;
    runtime.block_on(client.access_token())?;
    let mut samples = Vec::new();
    for _ in 0..rounds() {
        let start = Instant::now();
        runtime.block_on(take(&client))?;
        samples.push(start.elapsed().as_secs_f64() / f64::from(TAKEN));
    }
    allocations::start();
    let done = runtime.block_on(take(&client));
    let Allocations { calls, .. } = allocations::stop();
    done?;

    let both = multi_threaded()?;
    let mut contended = Vec::new();
    let task = || {
        let client = client.clone();
        async move { take(&client).await }
    };
    for _ in 0..rounds() {
        contended.push(concurrent(&both, task)? / f64::from(TAKEN));
    }
    println!("| a cached token | ns | allocations |\n|---|--:|--:|");
    let (alone, contended) = (Summary::of(samples), Summary::of(contended));
    let each = calls as f64 / f64::from(TAKEN);
    println!("| one task | {} | {each:.2} |", alone.shown(1e9, 0));
    println!("| {WORKERS} concurrent tasks, each | {} | |\n", contended.shown(1e9, 0));
    Ok(())
}

async fn take(client: &Client) -> Result<()> {
    for _ in 0..TAKEN {
        black_box(client.access_token().await?);
    }
    Ok(())
}

/// Many calls of a client without a token, compared with as many of a client with one.
fn first_token(server: &Server, app: &App) -> Result<()> {
    let runtime = multi_threaded()?;
    // One HTTP/2 connection, as at GitHub: ten thousand would measure the kernel.
    let http = reqwest::Client::builder()
        .http2_prior_knowledge()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .build()?;
    let builder = || {
        let builder = Client::builder().base_url(server.url()).http_client(http.clone());
        // GitHub would not accept as many.
        builder.rate_limits(RateLimitPolicy::disabled())
    };
    let with_token = builder().token(TOKEN).build()?;
    let (mut refreshes, mut alone, mut base, mut firsts) = (0, Vec::new(), Vec::new(), Vec::new());
    for round in 0..=rounds() {
        eprintln!("first calls, round {round} of {}", rounds());
        let fresh = || builder().auth(app.installation(INSTALLATION)).build();
        let before = issued_tokens(&runtime, &with_token)?;
        let client = fresh()?;
        let issue_token = timed(&runtime, async { client.access_token().await.map(drop) })?;
        let calls = timed(&runtime, many(&with_token))?;
        let client = fresh()?;
        let all = timed(&runtime, many(&client))?;
        // The first round opens the connection, and is not counted.
        if round > 0 {
            // One token request is the one that was timed alone.
            refreshes += issued_tokens(&runtime, &with_token)? - before - 1;
            alone.push(issue_token);
            base.push(calls);
            firsts.push(all);
        }
    }
    let sums: Vec<_> =
        alone.iter().zip(&base).map(|(issue_token, calls)| issue_token + calls).collect();
    let of_sum = Summary::of_ratios(&firsts, &sums);
    println!("| {CALLS} concurrent calls | ms |\n|---|--:|");
    println!("| one token request | {} |", milliseconds(alone));
    println!("| the calls, with a cached token | {} |", milliseconds(base));
    println!("| the calls, without a token: until the last response | {} |", milliseconds(firsts));
    println!(
        "\nThat is {:.3} ± {:.1} % of one token request and the calls, with {} token request per round.",
        of_sum.median,
        of_sum.spread * 100.0,
        refreshes as f64 / rounds() as f64
    );
    Ok(())
}

fn milliseconds(samples: Vec<f64>) -> String {
    Summary::of(samples).shown(1e3, 1)
}

fn timed(runtime: &Runtime, work: impl Future<Output = octowire::Result<()>>) -> Result<f64> {
    let start = Instant::now();
    runtime.block_on(work)?;
    Ok(start.elapsed().as_secs_f64())
}

/// All are spawned before any of them can end.
async fn many(client: &Client) -> octowire::Result<()> {
    let call = || {
        let client = client.clone();
        async move { client.request(Method::GET, "/mints").send::<Value>().await.map(drop) }
    };
    let tasks: Vec<_> = (0..CALLS).map(|_| tokio::spawn(call())).collect();
    for task in tasks {
        // Nothing cancels or panics.
        if let Ok(response) = task.await {
            response?;
        }
    }
    Ok(())
}

/// The number of tokens that the server has issued.
fn issued_tokens(runtime: &Runtime, client: &Client) -> Result<u64> {
    let count = client.request(Method::GET, "/mints").send::<u64>();
    Ok(runtime.block_on(count)?.into_inner())
}

/// The approximate time of a token request at GitHub: the server waits, as the network would.
pub const ISSUE_TOKEN: Duration = Duration::from_millis(100);

pub fn app() -> Result<App> {
    let pair = KeyPair::generate(KeySize::Rsa2048)?;
    let der: Pkcs8V1Der<'_> = pair.as_der()?;
    let key = STANDARD.encode(der.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n");
    Ok(App::new("Iv23liBENCH", pem)?)
}
