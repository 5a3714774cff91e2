//! The quota that a fleet shares: leases of the store, and the client that asks for them.

pub(super) mod lease_client;
pub(super) mod lease_state;
