//! An interceptor that rejects writes, so that a program can only read.
//!
//! ```text
//! cargo run -p octowire-examples --example read_only --features read_only
//! ```
//!
//! runs without a token and without a network, against a mock of GitHub.

use std::error::Error;

use octowire::testing::MockGitHub;
use octowire::{ErrorKind, Interceptor, InterceptorFuture, OutgoingRequest};

/// Lets only methods through that change nothing. GraphQL queries are POST requests, and are rejected as well.
#[derive(Debug)]
struct ReadOnly;

impl Interceptor for ReadOnly {
    // Before the call, so that a write is rejected before it waits for a rate limit.
    fn before_call<'a>(&'a self, request: &'a mut OutgoingRequest<'_>) -> InterceptorFuture<'a> {
        let rejection =
            (!request.method().is_safe()).then(|| format!("{} is a write", request.operation()));
        Box::pin(async move {
            match rejection {
                Some(reason) => Err(reason.into()),
                None => Ok(()),
            }
        })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mock = MockGitHub::start().await;
    let client = mock.client_builder().interceptor(ReadOnly).build()?;
    let issues = client.repo("octocat", "hello-world").issues();
    let issue = issues.get().issue_number(1347).send().await?;
    println!("read issue #{}: {}", issue.number, issue.title);
    let write = issues.create().title("Hello").send().await;
    match write {
        Err(error) if error.kind() == ErrorKind::Interceptor => {
            println!("rejected: {}", error.source().map_or_else(String::new, ToString::to_string));
        }
        Err(error) => return Err(error.into()),
        Ok(_) => return Err("the write was sent".into()),
    }
    println!("{} request was sent", mock.requests().len());
    Ok(())
}
