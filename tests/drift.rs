//! The vendored description is complete and current, and a refresh to the
//! next version keeps its guarantees.

#[path = "drift/cross_check.rs"]
mod cross_check;
#[path = "drift/faults.rs"]
mod faults;
#[path = "drift/index.rs"]
mod index;
#[path = "drift/online.rs"]
mod online;
#[path = "drift/proposals.rs"]
mod proposals;
#[path = "drift/refresh.rs"]
mod refresh;
#[path = "drift/reviewed_changes.rs"]
mod reviewed_changes;
#[path = "drift/support.rs"]
mod support;
#[path = "drift/vendored.rs"]
mod vendored;
