//! Imports a new version of GitHub's OpenAPI description, and reports the changes.
//!
//! [`refresh::run`] is the entry point: fetch, check in a folder beside `openapi/`, replace all files
//! together or none, report. Each step is a file.

#[path = "../../../src/contract/drift/mod.rs"]
pub mod drift;

/// The same for requests.
#[path = "../../../crates/codegen/tests/stages/documents/broken.rs"]
pub mod broken_requests;
/// Response examples that contradict the description, and so are not evidence.
#[path = "../../../tests/examples/broken.rs"]
pub mod broken_responses;

pub mod description_versions;
pub mod examples;
pub mod features;
pub mod index;
pub mod options;
pub mod payloads;
pub mod problem;
pub mod prune;
pub mod records;
pub mod refresh;
pub mod report;
pub mod required;
pub mod source;
pub mod survey;
pub mod swap;
