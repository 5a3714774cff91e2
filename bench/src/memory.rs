//! Memory: of lists that are read item by item, and of handles for installations.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use http::Method;
use octowire::Client;
use octowire::cache::CacheConfig;
use octowire::rate_limit::{RateLimitPolicy, SecondaryLimits};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::bodies::{Body, OWNER};
use crate::calls::single_threaded;
use crate::server::Server;
use crate::{Result, allocations, auth, clients, lists, report};

const PER_PAGE: u64 = 100;
const FEW_ITEMS: u64 = 1_000;
const MANY_ITEMS: u64 = 1_000_000;
const HANDLES: u64 = 100_000;
/// Handles that make a call each, after a token request each.
const USED_HANDLES: u64 = 10_000;
const CALLERS: usize = 16;

pub fn run() -> Result<()> {
    let server = Server::start()?;
    let runtime = single_threaded()?;
    println!("{}", report::header("one run"));
    streams(&runtime, server.url())?;
    handles(&runtime, server.url())
}

fn streams(runtime: &Runtime, url: &str) -> Result<()> {
    println!("Peak memory while a list is read, {PER_PAGE} items on a page, 4 pages ahead:\n");
    println!(
        "| cache | {FEW_ITEMS} items, KB | {MANY_ITEMS} items, KB | more, KB |\n|---|--:|--:|--:|"
    );
    for (name, cache) in
        [("none", CacheConfig::disabled()), ("the default", CacheConfig::default())]
    {
        let client = runtime.block_on(async { clients::octowire(url, cache) })?;
        // The connections are open, and buffers have their size.
        peak(runtime, &client, FEW_ITEMS)?;
        let few = peak(runtime, &client, FEW_ITEMS)?;
        eprintln!("{MANY_ITEMS} items, cache: {name}");
        let many = peak(runtime, &client, MANY_ITEMS)?;
        let kilobytes = |bytes: i64| bytes as f64 / 1e3;
        println!(
            "| {name} | {:.0} | {:.0} | {:.0} |",
            kilobytes(few),
            kilobytes(many),
            kilobytes(many - few)
        );
    }
    println!();
    Ok(())
}

/// The peak while a list of this many items is read, beyond the memory before that.
fn peak(runtime: &Runtime, client: &Client, items: u64) -> Result<i64> {
    let list = client.issues().list_comments_for_repo().owner(OWNER);
    let list = list.repo(lists::repository(items / PER_PAGE, Duration::ZERO));
    let mut comments = list.per_page(PER_PAGE as i64).stream();
    allocations::start();
    let read = runtime.block_on(async {
        let mut sum = 0;
        while let Some(comment) = comments.try_next().await? {
            sum += comment.id.unsigned_abs();
        }
        Ok::<_, octowire::Error>(sum)
    });
    let peak = allocations::stop().peak;
    match read? == items * (items + 1) / 2 {
        true => Ok(peak),
        false => Err("the list is incomplete".into()),
    }
}

fn handles(runtime: &Runtime, url: &str) -> Result<()> {
    println!("Memory of a handle of one client for an installation:\n");
    println!("| handles | | bytes each | blocks allocated each |\n|--:|---|--:|--:|");
    let _within = runtime.enter();
    let client = || {
        let builder = Client::builder().base_url(url).cache(CacheConfig::disabled());
        // All limits are checked, and none is reached.
        let bounds =
            SecondaryLimits::default().points_per_minute(u32::MAX).max_concurrent(u32::MAX);
        let bounds = bounds.content_per_minute(u32::MAX).content_per_hour(u32::MAX);
        let limits = RateLimitPolicy::default().secondary_limits(bounds);
        let client = builder.rate_limits(limits).auth(auth::app()?).build()?;
        Ok::<_, crate::Error>(client)
    };

    let unused = client()?;
    allocations::start();
    let handles: octowire::Result<Vec<_>> =
        (1..=HANDLES).map(|id| unused.installation(id)).collect();
    let counted = allocations::stop();
    row(HANDLES, "before the first call", counted);
    drop(handles?);

    // The connections are open, and the App's JWT is signed.
    let used = client()?;
    runtime.block_on(first_calls(&used, HANDLES + 1..=HANDLES + CALLERS as u64))?;
    allocations::start();
    let handles = runtime.block_on(first_calls(&used, 1..=USED_HANDLES));
    let counted = allocations::stop();
    row(USED_HANDLES, "after a token request and a call", counted);
    drop(handles?);
    Ok(())
}

/// Creates a handle for each installation, and makes a call with it.
async fn first_calls(
    client: &Client,
    installations: std::ops::RangeInclusive<u64>,
) -> octowire::Result<Vec<Client>> {
    let mut handles = Vec::with_capacity(installations.clone().count());
    let mut calls = stream::iter(installations.map(|id| async move {
        let handle = client.installation(id)?;
        handle.request(Method::GET, Body::Comment.path()).send::<Value>().await?;
        Ok::<_, octowire::Error>(handle)
    }))
    .buffer_unordered(CALLERS);
    while let Some(handle) = calls.try_next().await? {
        handles.push(handle);
    }
    Ok(handles)
}

fn row(handles: u64, when: &str, counted: allocations::Allocations) {
    let each = |total: f64| total / handles as f64;
    let (live, calls) = (each(counted.live as f64), each(counted.calls as f64));
    println!("| {handles} | {when} | {live:.0} | {calls:.1} |");
}
