//! The build pipeline: one file per stage, from GitHub's OpenAPI description to the Rust source that
//! `src/api/mod.rs` includes.
//!
//! Each stage converts a document into another one (a [`serde_json::Value`]), until [`generate`] passes it to
//! progenitor. Progenitor's output is parsed into a small [`model`], which [`refine`] modifies and [`write`]
//! prints. A stage that cannot continue reports its name and the JSON pointer of the defect; it never panics.

pub mod circles;
pub mod document;
pub mod embed;
pub mod error;
pub mod fold;
pub mod generate;
pub mod model;
pub mod names;
pub mod normalize;
pub mod operations;
pub mod overlay;
pub mod refine;
pub mod required;
pub mod select;
pub mod tolerate;
pub mod twins;
pub mod verify;
pub mod webhooks;
pub mod write;

pub use error::{Error, Result};
