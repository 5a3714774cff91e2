//! A mock of GitHub as a program, for clients in any language.
//!
//! ```text
//! cargo run --example mock_github --features testing -- --port 4010
//! curl -i http://127.0.0.1:4010/repos/octocat/hello-world/issues
//! ```
//!
//! It answers every operation of GitHub's document until Ctrl-C, keeps requests to the document, and
//! remembers issues, comments and labels. `--lenient` lets requests pass that the document does not
//! allow, `--token TOKEN` wants that token, and `--document FILE` answers another document, such as
//! that of an Enterprise Server.

use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::{env, fs};

use octowire::contract::Document;
use octowire::testing::{MockBuilder, MockGitHub};

const USAGE: &str =
    "usage: mock_github [--port PORT] [--lenient] [--token TOKEN] [--document FILE]";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mock = settings(env::args().skip(1))?.start().await;
    let count = mock.document().operations().len();
    println!("A mock of GitHub with {count} operations is at {}; Ctrl-C ends it.", mock.base_url());
    tokio::signal::ctrl_c().await?;

    println!("\n{} requests came in.", mock.received().len());
    for deviation in mock.deviations() {
        println!("  {deviation}");
    }
    Ok(())
}

fn settings(mut arguments: impl Iterator<Item = String>) -> Result<MockBuilder, Box<dyn Error>> {
    let mut mock = MockGitHub::builder();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(USAGE);
        mock = match argument.as_str() {
            "--port" => mock.address((Ipv4Addr::LOCALHOST, value()?.parse()?).into()),
            "--token" => mock.token(value()?),
            "--lenient" => mock.lenient(),
            "--document" => mock.document(Arc::new(Document::from_slice(&fs::read(value()?)?)?)),
            _ => return Err(USAGE.into()),
        };
    }
    Ok(mock)
}
