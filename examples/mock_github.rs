//! A mock of GitHub as a program, for clients in any language.
//!
//! ```text
//! cargo run -p octowire-examples --example mock_github --features mock_github -- --port 4010
//! curl -i http://127.0.0.1:4010/repos/octocat/hello-world/issues
//! ```
//!
//! It serves every operation of GitHub's OpenAPI description until Ctrl-C, validates requests against the
//! description, and stores issues, comments and labels. Tests in any language configure it and read the
//! received requests:
//!
//! ```text
//! curl http://127.0.0.1:4010/octowire-mock/stubs -d '{ "operation": "issues/get", "parameters": { "owner": "acme" },
//!     "steps": [ { "fault": { "server_error": 502 }, "times": 2 }, { "status": 404, "body": { "message": "Not Found" } } ] }'
//! curl http://127.0.0.1:4010/octowire-mock/lists -d '{ "operation": "issues/list-for-repo", "total": 250 }'
//! curl http://127.0.0.1:4010/octowire-mock/rate-limits -d '{ "resource": "core", "limit": 5, "window_seconds": 60 }'
//! curl http://127.0.0.1:4010/octowire-mock/received
//! curl http://127.0.0.1:4010/octowire-mock/deviations
//! curl -X POST http://127.0.0.1:4010/octowire-mock/reset
//! ```

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::{env, fs};

use octowire::contract::ApiDescription;
use octowire::testing::{MockBuilder, MockGitHub};

const USAGE: &str = "\
usage: mock_github [OPTIONS]

  --port PORT        where to listen on 127.0.0.1; a free port by default
  --address ADDRESS  where to listen, such as 0.0.0.0:4010
  --token TOKEN      refuse other tokens than this, and those that an App was given
  --lenient          answer requests that GitHub's document does not allow as well
  --document FILE    answer another document, such as that of an Enterprise Server
  --verbose          tell of each request";

#[tokio::main]
async fn main() -> ExitCode {
    match run(env::args().skip(1)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: impl Iterator<Item = String>) -> Result<(), Box<dyn Error>> {
    let Some(mock) = settings(arguments)? else {
        println!("{USAGE}");
        return Ok(());
    };
    let mock = mock.try_start().await?;
    let count = mock.description().operations().len();
    println!("A mock of GitHub with {count} operations is at {}; Ctrl-C ends it.", mock.base_url());
    tokio::signal::ctrl_c().await?;

    println!("\n{} requests came in.", mock.requests().len());
    for deviation in mock.deviations() {
        println!("  {deviation}");
    }
    Ok(())
}

/// Parses the arguments; returns nothing if they ask for help.
fn settings(
    mut arguments: impl Iterator<Item = String>,
) -> Result<Option<MockBuilder>, Box<dyn Error>> {
    let mut mock = MockGitHub::builder();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value\n\n{USAGE}"));
        mock = match argument.as_str() {
            "--port" => mock.address(parsed(&argument, &format!("127.0.0.1:{}", value()?))?),
            "--address" => mock.address(parsed(&argument, &value()?)?),
            "--token" => mock.token(value()?),
            "--lenient" => mock.allow_deviations(),
            "--document" => {
                let file = value()?;
                let text = fs::read(&file).map_err(|error| format!("{file}: {error}"))?;
                mock.description(Arc::new(ApiDescription::from_slice(&text)?))
            }
            "--verbose" => {
                tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).init();
                mock
            }
            "--help" | "-h" => return Ok(None),
            other => return Err(format!("{other:?} is no option\n\n{USAGE}").into()),
        };
    }
    Ok(Some(mock))
}

fn parsed(argument: &str, address: &str) -> Result<std::net::SocketAddr, String> {
    address.parse().map_err(|_| format!("{argument}: {address:?} is no address"))
}
