//! The quota ledgers of a store in memory.

use std::collections::HashMap;

use tokio::time::Instant;

use crate::store::quota_bounds::LEDGER_TTL;
use crate::store::{QuotaLease, QuotaLedger, QuotaRequest};
use crate::time::clock;

/// In milliseconds: longer than any window.
const CLOCK_OFFSET_MS: u64 = 24 * 60 * 60 * 1_000;
const MAX_LEDGERS: usize = 15_000;

/// Ledgers, with the time of their last use.
#[derive(Debug)]
pub(super) struct Ledgers {
    by_key: HashMap<Box<str>, (Instant, QuotaLedger)>,
    /// The origin of the time in ledgers.
    origin: Instant,
}

impl Ledgers {
    pub(super) fn new() -> Self {
        Self { by_key: HashMap::new(), origin: Instant::now() }
    }

    /// Processes a request for quota, by the ledger of this key.
    pub(super) fn lease(&mut self, key: &str, request: &QuotaRequest) -> QuotaLease {
        let now = Instant::now();
        if self.by_key.len() >= MAX_LEDGERS && !self.by_key.contains_key(key) {
            self.by_key.retain(|_, (used, _)| *used + LEDGER_TTL > now);
            // The store is full of ledgers: the least recently used one is dropped.
            if self.by_key.len() >= MAX_LEDGERS {
                let oldest = self.by_key.iter().min_by_key(|(_, (used, _))| *used);
                if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                    self.by_key.remove(&oldest);
                }
            }
        }
        // As on a server's clock, there is time before the origin, which clients report.
        let passed = clock::millis(now.saturating_duration_since(self.origin));
        let (used, ledger) =
            self.by_key.entry(key.into()).or_insert_with(|| (now, QuotaLedger::default()));
        *used = now;
        ledger.lease(passed.saturating_add(CLOCK_OFFSET_MS), request)
    }
}
