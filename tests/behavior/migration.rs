//! A migration does not affect the serving side, compares results, and rolls back after mismatches.

#[path = "migration/clients.rs"]
mod clients;
#[path = "migration/comparison.rs"]
mod comparison;
#[path = "migration/primary_isolation.rs"]
mod primary_isolation;
#[path = "migration/reports.rs"]
mod reports;
#[path = "migration/rollback.rs"]
mod rollback;
#[path = "migration/rollout.rs"]
mod rollout;
#[path = "migration/writes.rs"]
mod writes;
