//! The build pipeline: one file a stage, from GitHub's OpenAPI document to the
//! Rust source that `src/api.rs` includes.
//!
//! Each stage takes a document and gives a document (a [`serde_json::Value`]),
//! until [`generate`] hands it to progenitor. What progenitor wrote is read
//! back into a small [`model`], which [`refine`] works on and [`write`] prints.
//! A stage that cannot go on says which stage it is and the JSON pointer that
//! it stood at; it never panics.

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
