//! The build pipeline of the crate `octowire`: from GitHub's OpenAPI description to the Rust source that its
//! `src/api/mod.rs` includes.
//!
//! The pipeline is a build dependency of `octowire`; its interface follows the needs of that crate, and has no
//! stability of its own. The methods of [`pipeline`] show the order of the stages. Each stage
//! is a module: it converts a document into another one (a [`serde_json::Value`]), until [`generate`] passes
//! the document to progenitor. [`parse_progenitor`] reads progenitor's output into a small [`model`], which
//! [`lower`] modifies and [`write`](mod@write) prints.
//!
//! A stage that cannot continue reports its name and the JSON pointer of the defect ([`Error`]); it never
//! panics.
//!
//! | stage | input | output |
//! |---|---|---|
//! | [`load`] | a file | the description, checked |
//! | `overlay` | description | description with our [corrections](mod@corrections) |
//! | [`required`] | description | description in which properties that some versions do not require are optional |
//! | [`select`] | description | the part that the Cargo features select |
//! | [`normalize`] | description | description in the keywords that typify supports |
//! | [`split_directions`] | description | description with separate schemas for requests and responses, and a [table](hints) of the metadata that typify drops |
//! | [`generate`] | description | progenitor's tokens |
//! | [`parse_progenitor`] | tokens | types, and a signature for each function |
//! | [`lower`] | types and signatures | types and calls, with [repeated types](dedup_types) as aliases |
//! | [`write`](mod@write) | types and calls | Rust source |

#![warn(missing_docs)]
#![warn(clippy::expect_used, clippy::panic, clippy::unreachable, clippy::unwrap_used)]

pub mod corrections;
pub mod cycles;
pub mod dedup_types;
pub mod document;
pub mod entity;
pub mod error;
pub mod function_names;
pub mod generate;
pub mod hints;
pub mod load;
pub mod lower;
pub mod model;
pub mod names;
pub mod normalize;
pub mod operations;
#[cfg(feature = "overlay")]
pub mod overlay;
pub mod parse_progenitor;
pub mod pipeline;
pub mod required;
pub mod reserved_scopes;
pub mod runtime_description;
pub mod select;
pub mod split_directions;
#[cfg(feature = "overlay")]
pub mod twins;
pub mod type_names;
pub mod webhooks;
pub mod write;

pub use error::{Error, Result};
