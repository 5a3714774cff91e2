//! The stages of the build pipeline, each on small documents, and on GitHub's as a whole.

mod bodies;
mod cycles;
mod dedup_types;
mod docs;
mod documents;
mod entities;
mod fuzzing;
mod generate;
mod load;
mod lower;
mod mutations;
mod normalize;
mod numbers;
mod operations;
mod overlay;
mod parameters;
mod required;
mod reserved_scopes;
mod schemas;
mod select;
mod split_directions;
mod support;
mod texts;
mod twins;
mod webhooks;
mod write;
