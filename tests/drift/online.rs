//! The latest published description, on request:
//! `cargo test -p octowire-refresh --test drift -- --ignored online`

use std::path::PathBuf;

use octowire_refresh::options::{Command, Options, Source};
use octowire_refresh::problem::Problem;
use octowire_refresh::refresh;

use crate::support::root;

#[test]
#[ignore = "needs npm and the network"]
fn the_newest_document_that_is_published_breaks_nothing() {
    let report = tempfile::tempdir().unwrap();
    // Run beside another refresh, it would not get the lock.
    let copy = crate::support::Copy::of(&root());
    let options = Options {
        command: Command::Refresh(Source::Npm(None)),
        check: true,
        prune: false,
        root: copy.root().to_owned(),
        report: Some(PathBuf::from(report.path())),
    };
    let mut said = Vec::new();
    let status = refresh::run(&options, &Source::Npm(None), &mut said);
    let said = String::from_utf8_lossy(&said).into_owned();
    println!("{said}");
    match status {
        Ok(0 | 10) => {}
        Ok(status) => panic!("status {status}: run ./scripts/refresh-openapi.sh\n{said}"),
        Err(problem @ Problem::Stale(_)) => panic!("run ./scripts/refresh-openapi.sh: {problem}"),
        Err(problem) => panic!("{problem}"),
    }
}
