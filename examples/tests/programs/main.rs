//! The programs, and calls as an application first writes them, against a mock of GitHub.

mod changelog;
mod first_lines;
mod mirror;
mod pull_request_bot;
// Its tests are a part of the program.
#[path = "../../release_reporter.rs"]
#[allow(dead_code, reason = "`main` is for the example")]
mod release_reporter;
mod triage;
