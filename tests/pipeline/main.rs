//! The build pipeline's promises, stage by stage, on small documents; and on
//! the real ones as a whole.

// The build script uses everything; the tests reach a few items less.
#[allow(dead_code, unused_imports)]
#[path = "../../build/mod.rs"]
mod build;

#[cfg(test)]
mod bodies;
#[cfg(test)]
mod circles;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod fold;
pub mod fuzzing;
#[cfg(test)]
mod generate;
#[cfg(test)]
mod mutations;
#[cfg(test)]
mod normalize;
#[cfg(test)]
mod numbers;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod overlay;
#[cfg(test)]
mod parameters;
#[cfg(test)]
mod refine;
#[cfg(test)]
mod required;
#[cfg(test)]
mod schemas;
#[cfg(test)]
mod select;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tolerate;
#[cfg(test)]
mod twins;
#[cfg(test)]
mod verify;
#[cfg(test)]
mod webhooks;
#[cfg(test)]
mod write;
