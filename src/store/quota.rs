//! The limits that a fleet shares.

use std::fmt;

use super::{QuotaLease, QuotaRequest, StoreFuture};

/// Leases of the limits of an identity, which a fleet shares. See the [contract](super::Store) of all methods.
pub trait QuotaStore: fmt::Debug + Send + Sync + 'static {
    /// Processes a request for quota as `QuotaLedger::lease` (feature `quota-ledger`) does for the
    /// ledger of this key, by the store's own clock, which is one clock for all members.
    ///
    /// The ledger is read, changed and written as one step, or the shares of two members would exceed the limit. It is
    /// kept for two hours after its last request. A ledger that the store has lost, or cannot read, begins again empty;
    /// one of a later version is left unchanged, and the method fails with an
    /// [unreadable value](crate::Error::unreadable_value).
    ///
    /// `None`, the default, means that this store does not share limits: each client keeps its own.
    fn lease<'a>(
        &'a self,
        key: &'a str,
        request: &'a QuotaRequest,
    ) -> StoreFuture<'a, Option<QuotaLease>> {
        let _ = (key, request);
        Box::pin(async { Ok(None) })
    }
}
