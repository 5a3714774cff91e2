//! What `build.rs` generated from GitHub's document.

include!(concat!(env!("OUT_DIR"), "/api.rs"));
