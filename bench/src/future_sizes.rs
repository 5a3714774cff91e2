//! The memory of a call in flight: the size of its future, and what it has allocated while it waits for its response.

use std::time::Duration;

use http::Method;
use octowire::cache::CacheConfig;
use octowire::types;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::allocations;
use crate::bodies::{Body, COMMENT, OWNER, REPO};
use crate::calls::single_threaded;
use crate::clients::Subject;
use crate::server::Server;
use crate::{Result, clients, lists, report};

pub fn run() -> Result<()> {
    let runtime = single_threaded()?;
    let _within = runtime.enter();
    let client = clients::octowire("http://127.0.0.1:9", CacheConfig::disabled())?;
    let cached = clients::octowire("http://127.0.0.1:9", CacheConfig::default())?;
    let http = reqwest::Client::new();
    let comment = |client: &octowire::Client| {
        client.issues().get_comment().owner(OWNER).repo(REPO).comment_id(COMMENT as i64)
    };
    println!("{}", report::header("one run"));
    println!("| future | size, bytes | allocated with it, bytes | allocations |");
    println!("|---|--:|--:|--:|");
    let request = comment(&client);
    row("`send()` of an operation", || request.send());
    let request = comment(&cached);
    row("`send()` of an operation, with a cache", || request.send());
    let request = client.request(Method::GET, "/user");
    row("`Request::send()`", || request.send::<Value>());
    let request = client.request(Method::GET, "/user");
    row("`Request::send_stream()`", || request.send_stream());
    row("`Client::access_token()`", || client.access_token());
    let request = client.request(Method::GET, "/user/repos");
    row("`Request::pages()`", || request.pages::<Value>());
    let request = http.get("http://127.0.0.1:9/user");
    row("reqwest's `send()`", || request.send());
    let request = http.get("http://127.0.0.1:9/user");
    row("reqwest's `send()`, `bytes()` and decoding", || async {
        let body = request.send().await?.error_for_status()?.bytes().await?;
        Ok::<_, crate::Error>(serde_json::from_slice::<Value>(&body)?)
    });

    in_flight(&runtime)?;

    println!("\n| value | size, bytes |\n|---|--:|");
    println!("| `Client` | {} |", size_of::<octowire::Client>());
    println!("| `Request` | {} |", size_of::<octowire::Request>());
    println!("| `Error` | {} |", size_of::<octowire::Error>());
    println!("| `Response<()>` | {} |", size_of::<octowire::Response<()>>());
    println!("| `IssueComment` | {} |", size_of::<types::IssueComment>());
    println!("| `Issue` | {} |", size_of::<types::Issue>());
    println!("| `FullRepository` | {} |", size_of::<types::FullRepository>());
    Ok(())
}

/// The response that a call waits for takes longer than this.
const RESPONSE: Duration = Duration::from_secs(60);
const WAIT: Duration = Duration::from_millis(100);

/// The memory of calls that have been sent on an open connection.
fn in_flight(runtime: &Runtime) -> Result<()> {
    let server = Server::start()?;
    let repository = lists::repository(1, RESPONSE);
    println!(
        "\n| a call that waits for its response | future, bytes | allocated, bytes | of bare |"
    );
    println!("|---|--:|--:|--:|");
    let url = format!("{}/repos/{OWNER}/{repository}/issues/comments", server.url());
    let http = clients::bare_http()?;
    runtime.block_on(async {
        let open = http.get(format!("{}{}", server.url(), Body::Comment.path()));
        open.send().await?.error_for_status()?.bytes().await
    })?;
    let bare = waiting(runtime, || async {
        let body = http.get(&url).send().await?.error_for_status()?.bytes().await?;
        Ok::<Value, crate::Error>(serde_json::from_slice(&body)?)
    })?;
    let mut rows = vec![("bare reqwest + serde_json", bare)];
    for (name, cache) in
        [("octowire", CacheConfig::disabled()), ("octowire, with a cache", CacheConfig::default())]
    {
        let client = clients::octowire(server.url(), cache)?;
        runtime.block_on(client.repeat(Body::Comment, 1))?;
        let call = client.issues().list_comments_for_repo().owner(OWNER).repo(&*repository);
        rows.push((name, waiting(runtime, || call.send())?));
    }
    for (name, (size, allocated)) in rows {
        let ratio = (size as i64 + allocated) as f64 / (bare.0 as i64 + bare.1) as f64;
        println!("| {name} | {size} | {allocated} | {ratio:.2} |");
    }
    Ok(())
}

/// The size of a future, and the bytes in use for it while it waits.
fn waiting<F: Future>(runtime: &Runtime, create: impl FnOnce() -> F) -> Result<(usize, i64)> {
    runtime.block_on(async {
        allocations::start();
        let future = create();
        let size = size_of_val(&future);
        let mut future = std::pin::pin!(future);
        let ended = tokio::time::timeout(WAIT, &mut future).await.is_ok();
        let allocated = allocations::stop().live;
        // A call that has ended has failed, and its memory is not that of a call in flight.
        (!ended).then_some((size, allocated)).ok_or_else(|| "the call did not wait".into())
    })
}

/// Creates a future without polling it.
fn row<F>(name: &str, create: impl FnOnce() -> F) {
    allocations::start();
    let future = create();
    let created = allocations::stop();
    println!("| {name} | {} | {} | {} |", size_of_val(&future), created.live, created.calls);
}
